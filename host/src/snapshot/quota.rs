//! What a tenant may use, and whom it may reach.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;

use super::{HostPattern, OnError};

/// One tenant, as the operator set it up.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenant {
    /// Its folder, absolute: nothing that its files name lies outside of it.
    pub folder: Arc<std::path::Path>,
    /// What it may use.
    pub quota: Arc<Quota>,
}

/// What the operator says of tenants.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenancy {
    /// Holds a folder for each tenant, absolute; `None` = there are no tenants.
    pub dir: Option<PathBuf>,
    /// Quotas of those that have their own.
    pub own: BTreeMap<String, Arc<Quota>>,
    /// Of all others.
    pub each: Arc<Quota>,
    /// What a failing call of their policies becomes, where they do not say.
    pub on_error: OnError,
}

impl Tenancy {
    /// What a tenant may use.
    pub fn quota(&self, tenant: &str) -> &Arc<Quota> {
        self.own.get(tenant).unwrap_or(&self.each)
    }
}

/// Bounds on one tenant. Every default has its reason in `docs/tenants.md`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// Requests a second, with bursts of one second's worth; `None` = unlimited.
    pub requests: Option<u32>,
    /// Requests whose answers have not ended, tunnels included; `None` = unlimited.
    pub in_flight: Option<u32>,
    /// Connections to all its members together, idle ones included; `None` = unlimited.
    pub connections: Option<u32>,
    /// CPU time of its policies a second; `None` = unlimited.
    pub policy_cpu: Option<Duration>,
    /// Memory of its policies' instances together, bytes.
    pub policy_memory: usize,
    /// Policies of its own.
    pub policies: usize,
    /// Size of a policy's `.wasm` file, bytes.
    pub policy_size: usize,
    /// Folders that are watched for it beside its own.
    pub folders: usize,
    /// Where its members may be.
    pub egress: Egress,
    /// Names that it may claim; `None` = any that nobody else has.
    pub hosts: Option<Vec<HostPattern>>,
}

impl Quota {
    /// No bound at all, the public internet excepted.
    #[cfg(test)]
    pub(crate) fn unlimited() -> Self {
        Self {
            requests: None,
            in_flight: None,
            connections: None,
            policy_cpu: None,
            policy_memory: usize::MAX,
            policies: usize::MAX,
            policy_size: usize::MAX,
            folders: usize::MAX,
            egress: Egress::Public,
            hosts: None,
        }
    }
}

/// Where members may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Egress {
    /// Addresses of the public internet, and nothing else.
    Public,
    /// One of these.
    Only(Vec<Reachable>),
}

/// Addresses and ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reachable {
    /// The addresses.
    pub network: IpNet,
    /// The lowest and the highest port.
    pub ports: (u16, u16),
}

impl Reachable {
    fn contains(&self, address: SocketAddr) -> bool {
        let (first, last) = self.ports;
        self.network.contains(&address.ip()) && (first..=last).contains(&address.port())
    }
}

impl Egress {
    /// Whether a member may be there. What no router forwards (loopback, link-local with the
    /// clouds' metadata, multicast, …) is meant only by a network that lies within it: the
    /// operator who writes `0.0.0.0/0` does not mean `127.0.0.1`.
    pub fn allows(&self, address: SocketAddr) -> bool {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        match self {
            Self::Public => is_public(address.ip()),
            Self::Only(list) => {
                let special = special_of(address.ip());
                let meant = |one: &&Reachable| match special {
                    Some(special) => special.contains(&one.network),
                    None => true,
                };
                list.iter().filter(meant).any(|one| one.contains(address))
            }
        }
    }
}

/// Networks of this machine and of its link, and those that stand for other addresses
/// (IANA's special-purpose registries, RFC 6890).
const SPECIAL: [&str; 15] = [
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "192.0.0.0/24",
    "192.88.99.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "2001::/23",
    "2002::/16",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
];

/// Networks that are somebody's own, and those of documents and benchmarks.
const PRIVATE: [&str; 11] = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "172.16.0.0/12",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "100::/64",
    "2001:db8::/32",
    "fc00::/7",
];

fn network(text: &str) -> IpNet {
    text.parse().expect("a constant network")
}

fn special_of(ip: IpAddr) -> Option<IpNet> {
    let all = SPECIAL.into_iter().map(network);
    all.into_iter().find(|network| network.contains(&ip))
}

fn is_public(ip: IpAddr) -> bool {
    special_of(ip).is_none() && !PRIVATE.into_iter().any(|text| network(text).contains(&ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(list: &[(&str, (u16, u16))]) -> Egress {
        let one = |(net, ports): &(&str, (u16, u16))| Reachable {
            network: network(net),
            ports: *ports,
        };
        Egress::Only(list.iter().map(one).collect())
    }

    #[test]
    fn without_a_list_only_the_public_internet_is_reached() {
        for (address, allowed) in [
            ("8.8.8.8:80", true),
            ("[2606:4700::1111]:443", true),
            ("10.1.2.3:80", false),
            ("172.31.0.1:80", false),
            ("192.168.1.1:80", false),
            ("100.64.0.1:80", false),
            ("127.0.0.1:80", false),
            ("127.8.8.8:80", false),
            ("0.0.0.0:80", false),
            ("169.254.169.254:80", false),
            ("224.0.0.1:80", false),
            ("255.255.255.255:80", false),
            ("[::]:80", false),
            ("[::1]:80", false),
            ("[::ffff:127.0.0.1]:80", false),
            ("[::ffff:10.0.0.1]:80", false),
            ("[::ffff:8.8.8.8]:80", true),
            ("[::127.0.0.1]:80", false),
            ("[64:ff9b::7f00:1]:80", false),
            ("[2002:7f00:1::]:80", false),
            ("[fe80::1]:80", false),
            ("[fd00::1]:80", false),
            ("[ff02::1]:80", false),
        ] {
            assert_eq!(
                Egress::Public.allows(address.parse().unwrap()),
                allowed,
                "{address}"
            );
        }
    }

    #[test]
    fn a_list_means_what_it_names_and_this_machine_only_by_name() {
        let all = (1, u16::MAX);
        let egress = only(&[("10.0.0.0/8", all), ("192.0.2.7/32", (8080, 8089))]);
        for (address, allowed) in [
            ("10.9.9.9:1", true),
            ("192.0.2.7:8080", true),
            ("192.0.2.7:8089", true),
            ("192.0.2.7:8090", false),
            ("192.0.2.8:8080", false),
            ("8.8.8.8:80", false),
            ("127.0.0.1:80", false),
        ] {
            assert_eq!(
                egress.allows(address.parse().unwrap()),
                allowed,
                "{address}"
            );
        }
        let everything = only(&[("0.0.0.0/0", all), ("::/0", all)]);
        for (address, allowed) in [
            ("8.8.8.8:80", true),
            ("10.0.0.1:80", true),
            ("127.0.0.1:80", false),
            ("169.254.169.254:80", false),
            ("[::1]:80", false),
            ("[::ffff:127.0.0.1]:80", false),
        ] {
            assert_eq!(
                everything.allows(address.parse().unwrap()),
                allowed,
                "{address}"
            );
        }
        let local = only(&[("127.0.0.1/32", (9000, 9000)), ("169.254.1.0/24", all)]);
        for (address, allowed) in [
            ("127.0.0.1:9000", true),
            ("[::ffff:127.0.0.1]:9000", true),
            ("127.0.0.1:9001", false),
            ("127.0.0.2:9000", false),
            ("169.254.1.9:80", true),
            ("169.254.169.254:80", false),
        ] {
            assert_eq!(local.allows(address.parse().unwrap()), allowed, "{address}");
        }
    }
}
