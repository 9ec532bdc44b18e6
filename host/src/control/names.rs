//! The system's way from a name to addresses.

use std::{
    fs, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use hickory_resolver::{
    Resolver, TokioResolver,
    config::{LookupIpStrategy, NameServerConfig, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
};
use tracing::warn;

/// Whose change makes us read the system's configuration again.
const FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// Most addresses of one name that are used.
const MOST: usize = 64;

/// A resolver as the system is configured: name servers, search domains, `/etc/hosts`.
///
/// A clone is the same one; whoever reads the configuration anew makes another.
#[derive(Clone)]
pub(super) struct Names(Arc<Inner>);

struct Inner {
    resolver: Option<TokioResolver>,
    /// The configuration's; empty = the system's.
    servers: Vec<SocketAddr>,
    /// Of [`FILES`] when they were read.
    stamps: [Option<SystemTime>; 2],
}

/// Where a name leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// At least one; IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// For how long.
    pub ttl: Duration,
}

#[cfg(test)]
impl Answer {
    /// `10.0.0.N` for each, for so many seconds.
    pub fn of(last: &[u8], ttl: u64) -> Self {
        let addresses = last.iter().map(|n| IpAddr::from([10, 0, 0, *n]));
        Self {
            addresses: addresses.collect(),
            ttl: Duration::from_secs(ttl),
        }
    }
}

/// Why a name leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unresolved {
    /// No server knows it, or none answered.
    #[error("{0}")]
    Failed(String),
    /// It exists, without an address.
    #[error("it has no address")]
    Empty,
}

impl Names {
    /// As the system is configured now.
    pub fn from_system() -> Self {
        Self::of(Vec::new())
    }

    /// From these servers; where there are none, as the system is configured now.
    fn of(servers: Vec<SocketAddr>) -> Self {
        let stamps = stamps();
        let resolver = build(&servers).inspect_err(|error| {
            warn!(%error, "The name servers are not known; members' names do not resolve");
        });
        Self(Arc::new(Inner {
            resolver: resolver.ok(),
            servers,
            stamps,
        }))
    }

    /// From these servers, where they are others than this one's.
    pub fn others(&self, servers: &[SocketAddr]) -> Option<Self> {
        (self.0.servers != servers).then(|| Self::of(servers.to_vec()))
    }

    /// Whether both are the same one.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    #[cfg(test)]
    pub fn with(resolver: TokioResolver) -> Self {
        Self(Arc::new(Inner {
            resolver: Some(resolver),
            servers: Vec::new(),
            stamps: stamps(),
        }))
    }

    /// Reads the system's configuration again if it has changed; returns whether it has.
    pub fn renew(&mut self) -> bool {
        if self.0.stamps == stamps() {
            return false;
        }
        *self = Self::of(self.0.servers.clone());
        true
    }

    /// The addresses of a name.
    pub async fn lookup(&self, name: &str) -> Result<Answer, Unresolved> {
        let failed = |error: &dyn std::fmt::Display| Unresolved::Failed(error.to_string());
        let resolver = self.0.resolver.as_ref();
        let resolver = resolver.ok_or_else(|| failed(&"there is no name server"))?;
        let found = resolver.lookup_ip(name).await.map_err(|e| failed(&e))?;
        let mut addresses: Vec<IpAddr> = found.iter().take(MOST).collect();
        // Most members listen on IPv4 at least.
        addresses.sort_by_key(IpAddr::is_ipv6);
        addresses.dedup();
        let seconds = found.as_lookup().answers().iter().map(|record| record.ttl);
        match seconds.min() {
            Some(seconds) if !addresses.is_empty() => Ok(Answer {
                addresses,
                ttl: Duration::from_secs(seconds.into()),
            }),
            _ => Err(Unresolved::Empty),
        }
    }
}

fn build(servers: &[SocketAddr]) -> Result<TokioResolver, hickory_resolver::net::NetError> {
    let configured = |servers: &[SocketAddr]| {
        let servers = servers.iter().map(name_server).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        Resolver::builder_with_config(config, TokioRuntimeProvider::default())
    };
    let mut builder = match TokioResolver::builder_tokio() {
        Ok(builder) if servers.is_empty() => builder,
        // Without name servers there still is /etc/hosts. Never somebody else's servers.
        _ => configured(servers),
    };
    let options = builder.options_mut();
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    // We ask when the TTL has run out, so a cache would only answer too late.
    options.cache_size = 0;
    builder.build()
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}

fn stamps() -> [Option<SystemTime>; 2] {
    let stamp = |file: &str| -> io::Result<SystemTime> { fs::metadata(file)?.modified() };
    FILES.map(|file| stamp(file).ok())
}
