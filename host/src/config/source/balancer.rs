//! Balancers, members and policies.

use super::{
    super::{
        read::{Either, Named, Node},
        share::Share,
        table::{table, words},
        units::{LoadFactor, Size, Statuses, Time},
    },
    OneOrMany,
    candidates::{CanaryTable, RollbackTable, ShadowTable},
    gateway::{OnErrorWord, PolicyLimitsTable},
};

table! {
    /// A named group of members and how one of them is chosen.
    pub struct BalancerTable {
        /// How a member is chosen: byrequests, bytraffic, bybusyness, "policy:NAME", or a chain of them.
        #[schemars(extend("default" = "byrequests"))]
        lbmethod: OneOrMany<String>,
        /// What ties a session to a member: jsessionid (implied by stickysession), "policy:NAME", or a chain of them.
        affinity: OneOrMany<String>,
        /// A policy that sees what lbmethod's first (or affinity's) sees, and is never obeyed.
        shadow: Either<String, ShadowTable>,
        /// A policy that decides for a share in its place.
        canary: CanaryTable,
        /// Cookie and path parameter that carry a session's route: NAME, or COOKIE|parameter.
        stickysession: String,
        /// The character before the route in a session's value, or off where the whole value is the route.
        #[schemars(extend("default" = "."))]
        stickysessionsep: String,
        /// Move a session whose member is unusable to another; false answers 503 (nofailover=On).
        #[schemars(extend("default" = true))]
        failover: bool,
        /// A cookie of the gateway's own with the member's route, for members that put none into their session.
        route_cookie: Either<String, RouteCookieTable>,
        /// Tries after the first one; left out: one less than there are members.
        maxattempts: u32,
        /// Statuses of a member that put it in error. The answer itself is delivered.
        failonstatus: OneOrMany<Statuses>,
        /// A member that does not answer in time is put in error.
        #[schemars(extend("default" = false))]
        failontimeout: bool,
        /// Try members in error when there are no others.
        #[schemars(extend("default" = true))]
        forcerecovery: bool,
        /// How long a request waits for a usable member before it gets 503 (httpd: the balancer's timeout).
        #[schemars(extend("default" = "0s"))]
        wait: Time,
        /// Time over which a member that joins or returns is brought to its full share; 0s = at once, as httpd.
        #[schemars(extend("default" = "0s"))]
        slow_start: Time,
        /// Half-life of the byte counters that bytraffic compares; 0s = they never decay, as httpd.
        #[schemars(extend("default" = "0s"))]
        traffic_half_life: Time,
        /// Active health checks; left out, members are judged by their answers alone.
        health: HealthTable,
        /// Share of members without their own, 1 to 100.
        #[schemars(extend("default" = 1))]
        loadfactor: LoadFactor,
        /// Set of members without their own; lower sets are used up first.
        #[schemars(extend("default" = 0))]
        lbset: u32,
        /// Status of members without their own.
        #[schemars(extend("default" = "ok"))]
        status: StatusWord,
        /// Time in error before one trial request, for members without their own.
        #[schemars(extend("default" = "60s"))]
        retry: Time,
        /// For the TCP connect, for members without their own.
        #[schemars(extend("default" = "5s"))]
        connect_timeout: Time,
        /// Wait for an answer's head and between bytes of its body, for members without their own.
        #[schemars(extend("default" = "60s"))]
        answer_timeout: Time,
        /// Connections over all workers, for members without their own; 0 = unlimited.
        #[schemars(extend("default" = 0))]
        max_connections: u32,
        /// How long a request waits for one of them, for members without their own.
        #[schemars(extend("default" = "1s"))]
        acquire_timeout: Time,
        /// Keep connections open between requests, for members without their own.
        #[schemars(extend("default" = true))]
        keepalive: bool,
        /// Close a kept connection after this long, for members without their own.
        #[schemars(extend("default" = "15s"))]
        idle_timeout: Time,
        /// Members, as an array of inline tables.
        members: Vec<Node<MemberTable>>,
        /// Members, one [[balancer.NAME.member]] each; they follow those of `members`.
        member: Vec<Node<MemberTable>>,
    }
}

table! {
    /// One upstream server.
    pub struct MemberTable {
        /// http://host:port/path. The path is put in front of what is left of the request's.
        #[schemars(required)]
        url: String,
        /// Its affinity route (Tomcat's jvmRoute).
        route: String,
        /// Route of the member that takes over its sessions while it is unusable.
        redirect: String,
        /// Its share, 1 to 100, two decimals.
        loadfactor: LoadFactor,
        /// Lower sets are used up before higher ones.
        lbset: u32,
        /// What it may do.
        status: StatusWord,
        /// Time in error before one trial request.
        retry: Time,
        /// For the TCP connect.
        connect_timeout: Time,
        /// From the last byte sent to the answer's head, and between bytes of its body.
        answer_timeout: Time,
        /// Connections over all workers; 0 = unlimited.
        max_connections: u32,
        /// How long a request waits for one of them.
        acquire_timeout: Time,
        /// Keep connections open between requests.
        keepalive: bool,
        /// Close a kept connection after this long.
        idle_timeout: Time,
        /// Texts for policies.
        labels: Named<String>,
    }
}

words! {
    /// What the operator allows a member to do.
    pub enum StatusWord {
        /// Serves.
        Ok = "ok",
        /// Serves the sessions it has, takes no new ones (+N).
        Draining = "draining",
        /// Serves nothing (+D).
        Disabled = "disabled",
        /// Serves nothing and is not checked (+S).
        Stopped = "stopped",
        /// Serves when no ordinary member of its set can (+H).
        Standby = "standby",
        /// Serves in place of an unusable member of its set (+R).
        Spare = "spare",
    }
}

table! {
    /// The gateway's own route cookie.
    pub struct RouteCookieTable {
        /// Its name.
        #[schemars(extend("default" = "ROUTEID"))]
        name: String,
        /// Its path.
        #[schemars(extend("default" = "/"))]
        path: String,
    }
}

table! {
    /// Active health checks (mod_proxy_hcheck).
    pub struct HealthTable {
        /// Asked with GET.
        #[schemars(extend("default" = "/"))]
        path: String,
        /// Between two checks of a member.
        #[schemars(extend("default" = "1s"))]
        interval: Time,
        /// Passes in a row that bring a member back.
        #[schemars(extend("default" = 1))]
        rise: u32,
        /// Failures in a row that take it out.
        #[schemars(extend("default" = 3))]
        fall: u32,
        /// Statuses that count as a pass.
        #[schemars(extend("default" = ["200-399"]))]
        expect: OneOrMany<Statuses>,
        /// For connect and answer together.
        #[schemars(extend("default" = "1s"))]
        timeout: Time,
    }
}

table! {
    /// A policy of your own.
    pub struct PolicyTable {
        /// Its .wasm file; watched.
        #[schemars(required)]
        source: String,
        /// Given to the policy as JSON: any TOML.
        #[schemars(extend("default" = {}))]
        config: serde_json::Value,
        /// Undo a new version that is worse than the one before: false, or when.
        #[schemars(extend("default" = true))]
        rollback: Either<bool, RollbackTable>,
        /// What a failing call becomes; limits.policy.on_error where left out.
        on_error: OnErrorWord,
        /// Bounds of its own; what is left out is as in limits.policy.
        limits: PolicyLimitsTable,
        /// Writes decisions down with all that went into them, for switchyard policy replay.
        record: RecordTable,
    }
}

table! {
    /// A policy's recording.
    pub struct RecordTable {
        /// The file. One that is there is put aside as NAME.1.
        #[schemars(required)]
        path: String,
        /// Share of the decisions that is recorded, in runs without a gap.
        #[schemars(extend("default" = 0.01))]
        sample: Share,
        /// Headers, cookies and parameters whose values are replaced by a hash.
        #[schemars(extend("default" = ["authorization", "cookie", "jsessionid", "proxy-authorization", "set-cookie"]))]
        redact: Vec<Node<String>>,
        /// A file of this size is put aside as NAME.1 and a new one begun.
        #[schemars(extend("default" = "64MiB"))]
        max_size: Size,
    }
}
