//! A scenario as its author writes it: one struct a table, one field a key.

use crate::config::{
    read::{Either, Named, Node},
    source::{BalancerTable, MemberTable, OneOrMany, PolicyLimitsTable, RouteTable},
    table::{table, words},
    units::{Size, Statuses, Time},
};

table! {
    /// What happens to a policy, step by step, and what it is to do.
    pub struct ScenarioTable {
        /// The policy under test.
        policy: TestedTable,
        /// Its balancer; every key of a gateway's [balancer.NAME]. The policy itself is "policy:tested".
        balancer: BalancerTable,
        /// Its route; every key of a gateway's [[vhost.route]].
        route: RouteTable,
        /// Seeds entropy.
        #[schemars(extend("default" = 1))]
        seed: u32,
        /// What every member answers, unless said otherwise.
        answer: AnswerTable,
        /// What single members answer.
        answers: Named<AnswerTable>,
        /// What holds for all requests together.
        expect: ExpectTable,
        /// What happens, in order.
        #[schemars(required)]
        step: Vec<Node<StepTable>>,
    }
}

table! {
    /// The policy under test.
    pub struct TestedTable {
        /// Given to the policy as JSON: any TOML.
        config: serde_json::Value,
        /// Bounds of its own.
        limits: PolicyLimitsTable,
    }
}

table! {
    /// Events, then requests, then what these must have been answered with.
    pub struct StepTable {
        /// For messages.
        name: String,
        /// Members that refuse connections from here on.
        dies: OneOrMany<String>,
        /// Members that accept them again.
        returns: OneOrMany<String>,
        /// Members that come into the pool.
        joins: Vec<Node<MemberTable>>,
        /// Members that leave it.
        leaves: OneOrMany<String>,
        /// Keys of members that change, such as a = { status = "draining" }.
        changes: Named<MemberTable>,
        /// How long nothing happens, before the requests.
        wait: Time,
        /// How many requests are sent.
        #[schemars(extend("default" = 0))]
        requests: u32,
        /// Time from one request to the next.
        #[schemars(extend("default" = "0s"))]
        every: Time,
        /// An access log (common or combined) whose requests are sent instead, at its pace: clients are sessions.
        log: String,
        /// How they are asked.
        #[schemars(extend("default" = "GET"))]
        method: String,
        /// For what.
        #[schemars(extend("default" = "/"))]
        path: String,
        /// At which host.
        #[schemars(extend("default" = "www.example.com"))]
        host: String,
        /// Fields of the requests.
        headers: Named<OneOrMany<String>>,
        /// Cookies of the requests, besides those that a session was given.
        cookies: Named<String>,
        /// The address they come from.
        #[schemars(extend("default" = "192.0.2.1"))]
        client: String,
        /// A client that keeps the cookies it is given.
        session: String,
        /// So many such clients, who take turns.
        sessions: u32,
        /// What every member answers in this step.
        answer: AnswerTable,
        /// What single members answer in this step.
        answers: Named<AnswerTable>,
        /// What must hold for these requests.
        expect: ExpectTable,
    }
}

table! {
    /// What a member answers.
    pub struct AnswerTable {
        /// Its status.
        #[schemars(extend("default" = 200))]
        status: u32,
        /// Its fields. {route} and {id} stand for the member's, {session} for the client.
        headers: Named<OneOrMany<String>>,
        /// Its body; the same words stand for the same.
        body: String,
        /// Bytes of the body, where only their number counts.
        bytes: Size,
        /// Bytes of the request.
        sent: Size,
        /// Time until its head is there.
        #[schemars(extend("default" = "0s"))]
        after: Time,
        /// Time until its body has ended; not before its head.
        lasts: Time,
        /// How it fails instead.
        fails: FailsWord,
    }
}

words! {
    /// How a member gives no answer.
    pub enum FailsWord {
        /// It does not accept the connection.
        Refused = "refused",
        /// It does not even refuse it.
        ConnectTimeout = "connect-timeout",
        /// It closes the connection.
        Reset = "reset",
        /// It takes too long.
        Timeout = "timeout",
        /// It answers with something else than HTTP.
        Garbage = "garbage",
    }
}

table! {
    /// What must hold. All that is written must.
    pub struct ExpectTable {
        /// Who serves each request, in order: "a b c", or "abc" where every name has one letter; - is nobody.
        sequence: OneOrMany<String>,
        /// Likewise, begun again at its end.
        cycle: OneOrMany<String>,
        /// Percent of the requests for each member, or "weights".
        shares: Either<String, Named<f64>>,
        /// How far shares may be off, in percent of all requests.
        #[schemars(extend("default" = 1.0))]
        within: f64,
        /// Members that are asked nothing.
        never: OneOrMany<String>,
        /// Members besides which none is asked.
        only: OneOrMany<String>,
        /// No session goes to another member than before.
        sticky: bool,
        /// Who decides: policy, pin, trial, rotation or a policy's name.
        decided_by: String,
        /// The status that clients get.
        status: OneOrMany<Statuses>,
        /// Fields of the answer as clients get it, all lines of that name; [] is none.
        headers: Named<OneOrMany<String>>,
        /// The body that clients get.
        body: String,
        /// Path and query as members get them.
        path: String,
        /// Host as members get it.
        host: String,
        /// Fields of the request as members get them, all lines of that name; [] is none.
        sent: Named<OneOrMany<String>>,
        /// Failures of the policy; 0 where left out.
        faults: u32,
        /// Decisions of the policy that the gateway cannot follow; 0 where left out.
        overruled: u32,
        /// What one call may cost at most, in instructions.
        fuel: u32,
    }
}
