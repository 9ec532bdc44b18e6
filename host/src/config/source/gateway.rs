//! Top level, listeners, logs and limits.

use super::{
    super::{
        read::{Either, Named, Node},
        table::{table, words},
        units::{Network, Size, Time},
    },
    BalancerTable, PolicyTable, QuotaTable, VhostTable,
};

table! {
    /// The configuration of a Switchyard gateway (`switchyard.toml`).
    pub struct Config {
        /// Version of this format: 1.
        #[schemars(required, range(min = 1, max = 1))]
        version: u32,
        /// Networks of proxies in front. Their X-Forwarded-For and PROXY protocol headers are believed; nobody else's.
        trusted_proxies: Vec<Node<Network>>,
        /// Send X-Real-IP with the client's address to members.
        #[schemars(extend("default" = false))]
        x_real_ip: bool,
        /// Name written to Via, or false to write none.
        #[schemars(extend("default" = "switchyard"))]
        via: Either<bool, String>,
        /// Send Forwarded (RFC 7239) beside the X-Forwarded fields.
        #[schemars(extend("default" = false))]
        forwarded: bool,
        /// Servers to ask for members' names, as "10.0.0.53" or "127.0.0.1:8600". Left out: those of /etc/resolv.conf.
        name_servers: Vec<Node<String>>,
        /// Folder for compiled policies; without it they are compiled at each start.
        cache_dir: String,
        /// Folder for the version history of policies; without it the history ends with the process.
        state_dir: String,
        /// How long SIGTERM waits for requests in flight.
        #[schemars(extend("default" = "30s"))]
        drain_deadline: Time,
        /// The read-only endpoint of `switchyard status`; left out, there is none.
        admin: AdminTable,
        /// Logs of the process; a vhost may have its own.
        log: LogTable,
        /// Bounds on clients and on policies.
        limits: LimitsTable,
        /// Sockets to accept clients on, at least one.
        #[schemars(required)]
        listener: Vec<Node<ListenerTable>>,
        /// Virtual hosts, at least one. The first is the default where none says so.
        #[schemars(required)]
        vhost: Vec<Node<VhostTable>>,
        /// Groups of members, by name.
        balancer: Named<BalancerTable>,
        /// Policies of your own, by name; used as "policy:NAME".
        policy: Named<PolicyTable>,
        /// Folder that holds a folder for each tenant. Left out: `tenants` beside this file, where that is there.
        #[schemars(extend("default" = "tenants"))]
        tenants_dir: String,
        /// What every tenant may use.
        each_tenant: QuotaTable,
        /// What single tenants may use, by name.
        tenant: Named<QuotaTable>,
        /// What compiling single files may take, by the SHA-256 of the file.
        compile: Named<CompileTable>,
    }
}

table! {
    /// What compiling one file may take beyond the limits of its policy.
    pub struct CompileTable {
        /// CPU time.
        time: Time,
        /// Memory.
        memory: Size,
        /// Size of the file.
        module_size: Size,
    }
}

table! {
    /// Where `switchyard status` asks.
    pub struct AdminTable {
        /// An address as 127.0.0.1:9191, or a Unix socket as unix:/run/switchyard.sock.
        #[schemars(extend("default" = "127.0.0.1:9191"))]
        listen: String,
        /// Further values of Host that are answered; loopback names always are.
        hosts: Vec<Node<String>>,
        /// The file with the token that orders about policies need; readable by its owner alone.
        token_file: String,
    }
}

table! {
    /// Where the logs go.
    pub struct LogTable {
        /// The error log: a path, or path and level. Standard error where no path is given.
        error: Either<String, ErrorLogTable>,
        /// The access log: a path, path and format, or false for none.
        #[schemars(extend("default" = false))]
        access: Either<bool, Either<String, AccessTable>>,
    }
}

table! {
    /// The error log.
    pub struct ErrorLogTable {
        /// Standard error where left out.
        path: String,
        /// Least important level that is written.
        #[schemars(extend("default" = "info"))]
        level: LevelWord,
    }
}

words! {
    /// Importance of a log line.
    pub enum LevelWord {
        /// Every step.
        Trace = "trace",
        /// Detail of each request.
        Debug = "debug",
        /// An operator's action worked.
        Info = "info",
        /// Something went wrong and was coped with.
        Warn = "warn",
        /// Somebody must act.
        Error = "error",
    }
}

table! {
    /// The access log.
    pub struct AccessTable {
        /// Standard output where left out.
        path: String,
        /// common, combined, json, or a format string with httpd's letters such as "%h %>s %D".
        #[schemars(extend("default" = "combined"))]
        format: String,
    }
}

table! {
    /// A socket that accepts clients.
    pub struct ListenerTable {
        /// Address and port; port 0 takes a free one, which the ready line names.
        #[schemars(required)]
        bind: String,
        /// Expect a PROXY protocol header (v1 or v2) from trusted_proxies.
        #[schemars(extend("default" = false))]
        proxy_protocol: bool,
    }
}

table! {
    /// Bounds on what a client may send and how long it may take.
    pub struct LimitsTable {
        /// Request line and header fields together; likewise the head of a member's answer.
        #[schemars(extend("default" = "32KiB"))]
        head_size: Size,
        /// Number of header fields.
        #[schemars(extend("default" = 100))]
        field_count: u32,
        /// Request body; 0 = unlimited.
        #[schemars(extend("default" = "1GiB"))]
        body_size: Size,
        /// From the first byte of a head to its end.
        #[schemars(extend("default" = "20s"))]
        head_timeout: Time,
        /// Longest pause within a request body.
        #[schemars(extend("default" = "20s"))]
        body_timeout: Time,
        /// Longest wait for the next request on a kept-alive connection.
        #[schemars(extend("default" = "60s"))]
        idle_timeout: Time,
        /// Longest wait for a client to take bytes of an answer.
        #[schemars(extend("default" = "60s"))]
        write_timeout: Time,
        /// Longest silence, in both directions, of a connection that was upgraded, to WebSocket for instance.
        #[schemars(extend("default" = "1h"))]
        tunnel_timeout: Time,
        /// Requests on one client connection before it is closed; 0 = unlimited.
        #[schemars(extend("default" = 0))]
        requests_per_connection: u32,
        /// Client connections over all workers; more wait in the backlog.
        #[schemars(extend("default" = 10_000))]
        connections: u32,
        /// Bounds on every policy; a policy may have its own.
        policy: PolicyLimitsTable,
    }
}

table! {
    /// Bounds on a policy.
    pub struct PolicyLimitsTable {
        /// CPU time of one decision.
        #[schemars(extend("default" = "5ms"))]
        deadline: Time,
        /// CPU time of starting an instance, off the request's path.
        #[schemars(extend("default" = "1s"))]
        init_deadline: Time,
        /// Memory of one instance.
        #[schemars(extend("default" = "32MiB"))]
        memory: Size,
        /// Size of the .wasm file.
        #[schemars(extend("default" = "32MiB"))]
        module_size: Size,
        /// CPU time of compiling it.
        #[schemars(extend("default" = "5s"))]
        compile_time: Time,
        /// Memory of compiling it.
        #[schemars(extend("default" = "512MiB"))]
        compile_memory: Size,
        /// Entries of the function tables of one instance.
        #[schemars(extend("default" = 20_000))]
        table_elements: u32,
        /// Instances at one time: one a balancer or worker, one for each body that is being transformed.
        #[schemars(extend("default" = 256))]
        instances: u32,
        /// Log bytes a second, of all its instances together; more are dropped and counted.
        #[schemars(extend("default" = "64KiB"))]
        log_bytes: Size,
        /// Metric series of one version; more do nothing and are counted.
        #[schemars(extend("default" = 256))]
        metric_series: u32,
        /// Keys up to which the policy may fill its tenant's store; more are dropped and counted.
        #[schemars(extend("default" = 10_000))]
        store_keys: u32,
        /// Bytes of keys and values likewise.
        #[schemars(extend("default" = "8MiB"))]
        store_bytes: Size,
        /// Shared cells of one binding.
        #[schemars(extend("default" = 65_536))]
        shared_cells: u32,
        /// An instance that is not asked for so long is let go; the next call makes another.
        #[schemars(extend("default" = "10m"))]
        idle: Time,
        /// Failures within failure_window that take the policy out of service.
        #[schemars(extend("default" = 5))]
        failures: u32,
        /// See failures.
        #[schemars(extend("default" = "60s"))]
        failure_window: Time,
        /// How long it stays out before it is tried again.
        #[schemars(extend("default" = "30s"))]
        quarantine: Time,
        /// What a failing call becomes.
        #[schemars(extend("default" = "builtin"))]
        on_error: OnErrorWord,
    }
}

words! {
    /// What the request gets where a policy failed.
    pub enum OnErrorWord {
        /// The built-in policy of the same kind; a rewriter passes the answer on unchanged.
        BuiltIn = "builtin",
        /// The policy's previous version, else the built-in.
        Previous = "previous",
        /// 503; for a rewriter 502.
        Refuse = "refuse",
    }
}
