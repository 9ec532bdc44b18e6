//! Listeners, admin, logs and limits.

use std::{net::SocketAddr, time::Duration};

use super::{
    super::{
        problems::{Place, suggest},
        read::{Either, Node},
        source::{
            AccessTable, AdminTable, Config, ErrorLogTable, LevelWord, LimitsTable, LogTable,
        },
    },
    bounds,
    context::{Context, or},
};
use crate::snapshot::{
    AccessFormat, AccessLog, Admin, AdminBind, ErrorLog, HttpLimits, Level, Listener, Log,
};
use crate::telemetry::{self, FormatError};

/// 127.0.0.1: who may ask for the status has a login on this machine.
const ADMIN: &str = "127.0.0.1:9191";

/// The sockets to accept on, each with the place of its address.
pub fn listeners(config: &Config, context: &mut Context<'_>) -> Vec<(Listener, Place)> {
    let mut list: Vec<(Listener, Place)> = Vec::new();
    let tables = config.listener.iter().flat_map(|n| &n.value);
    for Node {
        value: table,
        place,
    } in tables
    {
        let Some(bind) = &table.bind else {
            context
                .out
                .missing(place, "bind", "write bind = \"0.0.0.0:8080\"");
            continue;
        };
        let Some(address) = address(bind, &bind.value, context) else {
            continue;
        };
        if address.port() != 0 && list.iter().any(|(other, _)| other.bind == address) {
            context.out.error(
                &bind.place,
                format!("{address} is bound twice"),
                "remove one of the two listeners",
            );
        }
        let proxy_protocol = or(&table.proxy_protocol, false);
        if proxy_protocol
            && config
                .trusted_proxies
                .as_ref()
                .is_none_or(|n| n.value.is_empty())
        {
            let place = table.proxy_protocol.as_ref().map_or(place, |n| &n.place);
            let message = "nobody's PROXY protocol header is believed: trusted_proxies is empty";
            context.out.warn(
                place,
                message,
                "list the balancers in front in trusted_proxies",
            );
        }
        list.push((
            Listener {
                bind: address,
                proxy_protocol,
            },
            bind.place.clone(),
        ));
    }
    if list.is_empty() {
        context.out.missing(
            &Place::default(),
            "listener",
            "add [[listener]] with bind = \"0.0.0.0:8080\"",
        );
    }
    list
}

fn address(node: &Node<String>, text: &str, context: &mut Context<'_>) -> Option<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let port = text.rsplit(':').next().filter(|p| p.parse::<u16>().is_ok());
    let remedy = match port {
        Some(port) if !text.contains('[') => {
            format!(
                "write \"0.0.0.0:{port}\", \"[::]:{port}\" or \"127.0.0.1:{port}\"; names are not looked up here"
            )
        }
        _ => "write an address and a port, such as \"0.0.0.0:8080\" or \"[::]:8080\"".to_owned(),
    };
    context.out.error(
        &node.place,
        format!("{text:?} is not an address with a port"),
        remedy,
    );
    None
}

/// Where `switchyard status` asks; none unless the file has `[admin]`.
pub fn admin(config: &Config, context: &mut Context<'_>) -> Option<Admin> {
    let node = config.admin.as_ref()?;
    let AdminTable {
        listen,
        hosts,
        token_file,
    } = &node.value;
    let bind = match listen {
        Some(listen) => match listen.value.strip_prefix("unix:") {
            Some(path) => {
                let path = context.path(&Node {
                    value: path.to_owned(),
                    place: listen.place.clone(),
                });
                AdminBind::Unix(path)
            }
            None => AdminBind::Tcp(address(listen, &listen.value, context)?),
        },
        None => AdminBind::Tcp(ADMIN.parse().expect("a constant address")),
    };
    if let (AdminBind::Tcp(address), Some(listen)) = (&bind, listen)
        && !address.ip().is_loopback()
    {
        let message =
            "the status endpoint has no password and answers whoever reaches this address";
        context.out.warn(
            &listen.place,
            message,
            "use 127.0.0.1 or unix:/path, unless a firewall guards it",
        );
    }
    Some(Admin {
        token_file: token_file.as_ref().map(|node| context.path(node)),
        bind,
        hosts: hosts
            .iter()
            .flat_map(|n| &n.value)
            .map(|n| n.value.to_ascii_lowercase())
            .collect(),
    })
}

/// What is logged where the file says nothing.
pub fn default_log() -> Log {
    Log {
        error: ErrorLog {
            beneath: None,
            path: None,
            level: Level::Info,
        },
        access: None,
    }
}

/// Logs of the process or of a vhost; what is left out is as in `context.log`.
pub fn log(node: Option<&Node<LogTable>>, context: &mut Context<'_>) -> Log {
    let Some(Node {
        value: LogTable { error, access, .. },
        ..
    }) = node
    else {
        return context.log.clone();
    };
    let fallback = context.log.clone();
    let error = match error {
        None => fallback.error,
        Some(node) => error_log(node, fallback.error, context),
    };
    let access = match access {
        None => fallback.access,
        Some(node) => access_log(node, context),
    };
    Log { error, access }
}

fn error_log(
    node: &Node<Either<String, ErrorLogTable>>,
    fallback: ErrorLog,
    context: &mut Context<'_>,
) -> ErrorLog {
    let (path, level) = match &node.value {
        Either::Left(path) => (Some(node.with(path.clone())), None),
        Either::Right(ErrorLogTable { path, level, .. }) => (path.clone(), level.as_ref()),
    };
    let level = level.map_or(fallback.level, |n| level_of(n.value));
    match path {
        Some(path) => ErrorLog {
            path: Some(context.path(&path)),
            beneath: context.beneath(),
            level,
        },
        None => {
            // The operator's own log is not the tenant's to fill.
            if fallback.beneath.is_none() {
                needs_path(&node.place, context);
            }
            ErrorLog { level, ..fallback }
        }
    }
}

fn access_log(
    node: &Node<Either<bool, Either<String, AccessTable>>>,
    context: &mut Context<'_>,
) -> Option<AccessLog> {
    let (path, format) = match &node.value {
        Either::Left(false) => return None,
        Either::Left(true) => (None, None),
        Either::Right(Either::Left(path)) => (Some(node.with(path.clone())), None),
        Either::Right(Either::Right(AccessTable { path, format, .. })) => {
            (path.clone(), format.as_ref())
        }
    };
    if path.is_none() {
        needs_path(&node.place, context);
    }
    Some(AccessLog {
        path: path.map(|path| context.path(&path)),
        beneath: context.beneath(),
        format: format.map_or(AccessFormat::Combined, |n| access_format(n, context)),
    })
}

/// The standard streams are the operator's.
fn needs_path(place: &Place, context: &mut Context<'_>) {
    if context.bounds.is_some() {
        let message = "a tenant's log needs a file of its own";
        let remedy = "write path = \"access.log\", a file within the tenant's folder";
        context.out.error(place, message, remedy);
    }
}

fn level_of(word: LevelWord) -> Level {
    match word {
        LevelWord::Trace => Level::Trace,
        LevelWord::Debug => Level::Debug,
        LevelWord::Info => Level::Info,
        LevelWord::Warn => Level::Warn,
        LevelWord::Error => Level::Error,
    }
}

fn access_format(node: &Node<String>, context: &mut Context<'_>) -> AccessFormat {
    match node.value.as_str() {
        "common" => AccessFormat::Common,
        "combined" => AccessFormat::Combined,
        "json" => AccessFormat::Json,
        text => {
            if let Err(error) = telemetry::check_format(text) {
                let remedy = match error {
                    FormatError::Constant => suggest(text, &["common", "combined", "json"]),
                    _ => String::new(),
                };
                let remedy =
                    format!("{remedy} A format string has % letters, such as \"%h %>s %D\"");
                context.out.error(
                    &node.place,
                    format!("{text:?} is not a format: {error}"),
                    remedy.trim_start(),
                );
            }
            AccessFormat::Custom(text.to_owned())
        }
    }
}

/// Bounds on clients. Reasons for the defaults stand in `docs/configuration.md`.
pub fn limits(table: &LimitsTable, context: &mut Context<'_>) -> HttpLimits {
    const SECOND: Duration = Duration::from_secs(1);
    HttpLimits {
        head_size: bounds::size(
            table.head_size.as_ref(),
            32 << 10,
            (1 << 10, 1 << 20),
            context.out,
        ) as usize,
        field_count: bounds::positive(table.field_count.as_ref(), 100, context.out) as usize,
        body_size: table.body_size.as_ref().map_or(1 << 30, |n| n.value.0),
        head_timeout: bounds::positive_time(table.head_timeout.as_ref(), 20 * SECOND, context.out),
        body_timeout: bounds::positive_time(table.body_timeout.as_ref(), 20 * SECOND, context.out),
        idle_timeout: bounds::positive_time(table.idle_timeout.as_ref(), 60 * SECOND, context.out),
        write_timeout: bounds::positive_time(
            table.write_timeout.as_ref(),
            60 * SECOND,
            context.out,
        ),
        tunnel_timeout: bounds::positive_time(
            table.tunnel_timeout.as_ref(),
            3600 * SECOND,
            context.out,
        ),
        requests_per_connection: or(&table.requests_per_connection, 0),
        connections: bounds::positive(table.connections.as_ref(), 10_000, context.out) as usize,
    }
}
