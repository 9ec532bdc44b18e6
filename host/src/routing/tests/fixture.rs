//! Snapshots of a few lines for tests of the table.

use std::{net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use crate::{
    routing::{CanonicalPath, Found, Table, Target},
    snapshot::{
        Access, Action, ErrorLog, HostPattern, HttpLimits, Level, Log, PathPattern, PolicyLimits,
        Proxy, Redirect, Route, RouteOrder, Snapshot, StaticFiles, Vhost,
    },
};

pub(super) const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

pub(super) fn table(vhosts: Vec<Vhost>) -> Table {
    Table::new(&snapshot(vhosts)).unwrap()
}

pub(super) fn snapshot(vhosts: Vec<Vhost>) -> Snapshot {
    let second = Duration::from_secs(1);
    Snapshot {
        source: PathBuf::from("/switchyard.toml"),
        files: Vec::new(),
        admin: None,
        log: Log {
            error: ErrorLog {
                beneath: None,
                path: None,
                level: Level::Info,
            },
            access: None,
        },
        listeners: Vec::new(),
        limits: HttpLimits {
            head_size: 1,
            field_count: 1,
            body_size: 1,
            head_timeout: second,
            body_timeout: second,
            idle_timeout: second,
            write_timeout: second,
            tunnel_timeout: second,
            requests_per_connection: 0,
            connections: 1,
        },
        trusted_proxies: Vec::new(),
        name_servers: Vec::new(),
        x_real_ip: false,
        via: None,
        forwarded: false,
        vhosts: vhosts.into_iter().map(Arc::new).collect(),
        balancers: Default::default(),
        policies: Default::default(),
        policy_limits: PolicyLimits {
            deadline: second,
            init_deadline: second,
            memory: 1,
            module_size: 1,
            compile_time: second,
            compile_memory: 1,
            log_bytes: 1,
            failures: 1,
            failure_window: second,
            quarantine: second,
            ..PolicyLimits::default()
        },
        raises: Default::default(),
        cache_dir: None,
        state_dir: None,
        tenancy: crate::snapshot::Tenancy {
            dir: None,
            own: Default::default(),
            on_error: crate::snapshot::OnError::BuiltIn,
            each: Arc::new(crate::snapshot::Quota::unlimited()),
        },
        tenants: Default::default(),
        drain_deadline: second,
    }
}

/// A vhost with files; without wildcards in `name` it is an exact one.
pub(super) fn vhost(name: &str, order: RouteOrder, routes: Vec<Route>) -> Vhost {
    Vhost {
        tenant: Default::default(),
        name: name.to_owned(),
        hosts: vec![HostPattern::Exact(name.to_owned())],
        default: false,
        order,
        routes,
        document_root: Some(files()),
        error_pages: Vec::new(),
        replace_member_errors: false,
        log: None,
    }
}

pub(super) fn files() -> StaticFiles {
    StaticFiles {
        beneath: None,
        root: PathBuf::from("/srv"),
        prefix: String::new(),
        index: vec!["index.html".to_owned()],
    }
}

/// A route named by its path; `~` in front makes it a regex.
pub(super) fn route(path: &str, action: Action) -> Route {
    let pattern = match path.strip_prefix('~') {
        Some(regex) => PathPattern::Regex(regex.to_owned()),
        None => PathPattern::Prefix(path.to_owned()),
    };
    Route {
        name: path.to_owned(),
        path: pattern,
        access: Access::default(),
        action,
    }
}

pub(super) fn proxy(path: &str) -> Route {
    let prefix = if path.starts_with('~') { "" } else { path };
    let proxy = Proxy {
        balancer: "cl".to_owned(),
        prefix: prefix.to_owned(),
        preserve_host: false,
        upgrade: Vec::new(),
        rewrite: Vec::new(),
        candidates: Default::default(),
    };
    route(path, Action::Proxy(Arc::new(proxy)))
}

pub(super) fn redirect(path: &str, to: &str) -> Route {
    let prefix = if path.starts_with('~') { "" } else { path };
    route(
        path,
        Action::Redirect(Redirect {
            status: 302,
            to: to.to_owned(),
            prefix: prefix.to_owned(),
        }),
    )
}

pub(super) fn deny(path: &str) -> Route {
    Route {
        access: Access {
            deny: true,
            ..Access::default()
        },
        ..route(path, Action::Continue)
    }
}

/// Only access rules: these networks may go on.
pub(super) fn allow(path: &str, net: &str) -> Route {
    let access = Access {
        allow_from: vec![net.parse().unwrap()],
        ..Access::default()
    };
    Route {
        access,
        ..route(path, Action::Continue)
    }
}

pub(super) fn find<'a>(table: &'a Table, host: &str, target: &str) -> Found<'a> {
    let path =
        CanonicalPath::parse(target.as_bytes()).unwrap_or_else(|error| panic!("{target}: {error}"));
    table.find(host, &path, CLIENT)
}

/// The route's name, or what there is instead.
pub(super) fn outcome(found: &Found<'_>) -> String {
    match &found.target {
        Target::Route { route, .. } => route.name.clone(),
        Target::Denied { route } => format!("denied by {}", route.name),
        Target::DocumentRoot => "files".to_owned(),
        Target::NotFound => "nothing".to_owned(),
        Target::Ambiguous => "ambiguous".to_owned(),
    }
}
