//! The whole file.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use super::{
    super::{
        problems::{Place, Problems},
        read::{Either, Named, Node},
        source::{BalancerTable, Config},
    },
    balancer,
    context::{Context, Fallback, folder_of, or, time},
    http, policy, raise, semantic, tenant, vhost,
};
use crate::snapshot::{Balancer, Snapshot, TenantName};

/// Checks everything and fills in defaults. The addresses come back with their places, for those who try to bind them.
pub fn compile(
    config: &Config,
    path: &Path,
    out: &mut Problems,
) -> (Snapshot, Vec<(SocketAddr, Place)>) {
    check_version(config, out);
    let nothing = Named::default();
    let balancers = config.balancer.as_ref().map_or(&nothing, |n| &n.value);
    let no_policies = Named::default();
    let policies = config.policy.as_ref().map_or(&no_policies, |n| &n.value);
    let limits = config
        .limits
        .as_ref()
        .map(|n| n.value.clone())
        .unwrap_or_default();
    let (policy_limits, on_error) = policy::defaults(limits.policy.as_ref(), out);
    let fallback = Fallback {
        log: http::default_log(),
        policy_limits,
        raises: raise::raises(config.compile.as_ref(), out),
        on_error,
    };
    let whose = (TenantName::operator(), None);
    let named = (balancers, policies);
    let mut context = Context::new(whose, folder_of(path), named, fallback, out);
    context.log = http::log(config.log.as_ref(), &mut context);
    let listeners = http::listeners(config, &mut context);
    let vhosts = vhost::vhosts(config, &mut context);
    let mut named = named_balancers(balancers, &mut context);
    named.append(&mut context.anonymous);
    let policies = policy::sources(policies, &mut context);
    // A name with a typing error is an unused one too; the error says enough.
    if !context.out.has_errors() {
        semantic::unused(config, &mut context);
    }

    let tenancy = tenant::tenancy(config, &mut context);
    let source = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let snapshot = Snapshot {
        admin: http::admin(config, &mut context),
        listeners: listeners
            .iter()
            .map(|(listener, _)| listener.clone())
            .collect(),
        limits: http::limits(&limits, &mut context),
        trusted_proxies: config
            .trusted_proxies
            .iter()
            .flat_map(|n| &n.value)
            .map(|n| n.value.0)
            .collect(),
        x_real_ip: or(&config.x_real_ip, false),
        via: via(config, &mut context),
        forwarded: or(&config.forwarded, false),
        vhosts,
        balancers: named,
        policies,
        policy_limits: context.policy_limits.clone(),
        raises: Arc::clone(&context.raises),
        name_servers: name_servers(config, &mut context),
        cache_dir: config.cache_dir.as_ref().map(|n| context.path(n)),
        state_dir: config.state_dir.as_ref().map(|n| context.path(n)),
        tenancy,
        tenants: BTreeMap::new(),
        // Longer than most requests, and what Kubernetes waits between SIGTERM and SIGKILL.
        drain_deadline: time(&config.drain_deadline, Duration::from_secs(30)),
        log: context.log.clone(),
        files: std::iter::once(source.clone())
            .chain(context.files)
            .collect(),
        source,
    };
    let places = listeners
        .into_iter()
        .map(|(listener, place)| (listener.bind, place))
        .collect();
    (snapshot, places)
}

fn check_version(config: &Config, out: &mut Problems) {
    match &config.version {
        Some(node) if node.value == 1 => {}
        Some(node) => {
            let message = format!("version {} of the format is not known", node.value);
            out.error(
                &node.place,
                message,
                "write version = 1, or run a newer Switchyard",
            );
        }
        None => out.missing(
            &Place::default(),
            "version",
            "write version = 1 as the first line",
        ),
    }
}

fn via(config: &Config, context: &mut Context<'_>) -> Option<String> {
    const NAME: &str = "switchyard";
    let Some(node) = &config.via else {
        return Some(NAME.to_owned());
    };
    match &node.value {
        Either::Left(true) => Some(NAME.to_owned()),
        Either::Left(false) => None,
        Either::Right(name) => {
            let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
            if name.is_empty() || !name.bytes().all(legal) {
                let remedy = "use letters, digits, -, . and _, or host:port";
                context
                    .out
                    .error(&node.place, "not a name that Via can carry", remedy);
            }
            Some(name.clone())
        }
    }
}

fn name_servers(config: &Config, context: &mut Context<'_>) -> Vec<SocketAddr> {
    /// Of DNS.
    const PORT: u16 = 53;
    let mut servers = Vec::new();
    for node in config.name_servers.iter().flat_map(|n| &n.value) {
        let text = &node.value;
        let alone = text.parse().map(|ip: IpAddr| SocketAddr::new(ip, PORT));
        match alone.or_else(|_| text.parse()) {
            Ok(server) => servers.push(server),
            Err(_) => context.out.error(
                &node.place,
                format!("{text:?} is not an address"),
                "write an address, or address and port, such as \"10.0.0.53\" or \"127.0.0.1:8600\"",
            ),
        }
    }
    servers
}

pub(super) fn named_balancers(
    tables: &Named<BalancerTable>,
    context: &mut Context<'_>,
) -> BTreeMap<String, Arc<Balancer>> {
    let mut named = BTreeMap::new();
    for (name, node) in &tables.0 {
        let Node {
            value: table,
            place,
        } = node;
        let balancer = balancer::balancer(name, table, place, context);
        if named
            .insert(balancer.name.clone(), Arc::new(balancer))
            .is_some()
        {
            let message = "another balancer has this name; case does not count";
            context.out.error(place, message, "rename one of the two");
        }
    }
    named
}
