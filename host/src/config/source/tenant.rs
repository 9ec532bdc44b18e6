//! Tenants: what the operator says of them, and what they say themselves.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use toml::de::DeValue;

use super::{
    super::{
        problems::{Place, Problems},
        reach::Reach,
        read::{Named, Node, Read, Value},
        table::table,
        units::{Size, Time},
    },
    BalancerTable, LogTable, PolicyTable, VhostTable,
};

table! {
    /// Bounds on a tenant. What is left out is as in each_tenant.
    pub struct QuotaTable {
        /// Requests a second, with bursts of one second's worth; 0 = unlimited.
        #[schemars(extend("default" = 1_000))]
        requests: u32,
        /// Requests whose answers have not ended, WebSockets included; 0 = unlimited.
        #[schemars(extend("default" = 512))]
        in_flight: u32,
        /// Connections to all its members together; 0 = unlimited.
        #[schemars(extend("default" = 512))]
        connections: u32,
        /// CPU time of its policies a second; 0s = unlimited.
        #[schemars(extend("default" = "200ms"))]
        policy_cpu: Time,
        /// Memory of its policies' instances together.
        #[schemars(extend("default" = "1GiB"))]
        policy_memory: Size,
        /// Policies of its own.
        #[schemars(extend("default" = 16))]
        policies: u32,
        /// Size of a policy's .wasm file.
        #[schemars(extend("default" = "4MiB"))]
        policy_size: Size,
        /// Folders on the way from its own to its files, which are watched.
        #[schemars(extend("default" = 32))]
        folders: u32,
        /// Where its members may be: networks, with a port or a range of ports behind a colon. Left out: the public internet alone.
        egress: Vec<Node<Reach>>,
        /// Host names that it may claim, with wildcards as in a vhost's aliases. Left out: any that nobody else has.
        hosts: Vec<Node<String>>,
    }
}

table! {
    /// One file of a tenant's.
    pub struct TenantFile {
        /// Version of this format: 1.
        version: u32,
        /// What its vhosts' logs fall back to.
        log: LogTable,
        /// Virtual hosts.
        vhost: Vec<Node<VhostTable>>,
        /// Groups of members, by name.
        balancer: Named<BalancerTable>,
        /// Policies, by name.
        policy: Named<PolicyTable>,
        /// The operator's.
        trusted_proxies: Reserved,
        /// The operator's.
        x_real_ip: Reserved,
        /// The operator's.
        via: Reserved,
        /// The operator's.
        forwarded: Reserved,
        /// The operator's.
        name_servers: Reserved,
        /// The operator's.
        cache_dir: Reserved,
        /// The operator's.
        state_dir: Reserved,
        /// The operator's.
        tenants_dir: Reserved,
        /// The operator's.
        drain_deadline: Reserved,
        /// The operator's.
        admin: Reserved,
        /// The operator's.
        limits: Reserved,
        /// The operator's.
        compile: Reserved,
        /// The operator's.
        listener: Reserved,
        /// The operator's.
        each_tenant: Reserved,
        /// The operator's.
        tenant: Reserved,
    }
}

/// A key of the operator's file, which no tenant may set.
#[derive(Debug, Clone)]
pub struct Reserved;

impl Read for Reserved {
    const WHAT: &'static str = "nothing";

    fn fits(_: &DeValue<'_>) -> bool {
        true
    }

    fn read(_: &Value<'_>, at: &Place, out: &mut Problems) -> Option<Self> {
        out.error(
            at,
            "that is the operator's to say: a tenant's files hold vhosts, balancers, policies and their logs",
            "remove it, or ask the operator to set it in the main file",
        );
        None
    }
}

impl JsonSchema for Reserved {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Reserved".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "not": {} })
    }
}
