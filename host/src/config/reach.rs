//! Networks with ports, as `egress` has them.

use std::{borrow::Cow, net::IpAddr};

use ipnet::IpNet;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use toml::de::DeValue;

use super::{
    problems::{Place, Problems},
    read::{Read, Value},
};
use crate::snapshot::Reachable;

/// A network and ports: `10.0.0.0/8`, `10.0.0.0/8:8080`, `[2001:db8::/32]:8000-8099`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach(pub Reachable);

/// Parses `10.0.0.0/8:8080-8090`; the network may have bits set behind its prefix.
pub fn parse_reach(text: &str) -> Option<Reachable> {
    let network = |text: &str| {
        let network = text.parse::<IpNet>().ok();
        network.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
    };
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let all = (1, u16::MAX);
    if let Some(network) = network(text) {
        return Some(Reachable {
            network,
            ports: all,
        });
    }
    let (front, ports) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']')? {
            (front, "") => (front, None),
            (front, ports) => (front, Some(ports.strip_prefix(':')?)),
        },
        None => {
            let (front, ports) = text.rsplit_once(':')?;
            (front, Some(ports))
        }
    };
    let ports = match ports.map(|ports| ports.split_once('-').unwrap_or((ports, ports))) {
        None => all,
        Some((first, last)) => (port(first)?, port(last)?),
    };
    let network = network(front)?;
    (ports.0 <= ports.1).then_some(Reachable { network, ports })
}

impl Read for Reach {
    const WHAT: &'static str = "a network, with ports if need be";

    fn fits(value: &DeValue<'_>) -> bool {
        value.is_str()
    }

    fn read(value: &Value<'_>, at: &Place, out: &mut Problems) -> Option<Self> {
        let text = String::read(value, at, out)?;
        let Some(reach) = parse_reach(&text) else {
            out.error(
                at,
                format!("{text:?} is no network with ports"),
                "write \"10.0.0.0/8\", \"10.0.0.7:8080\", \"10.0.0.0/8:8000-8099\" or \"[2001:db8::/32]:8080\"",
            );
            return None;
        };
        if reach.network.trunc() != reach.network {
            let remedy = format!("write \"{}\"", reach.network.trunc());
            out.error(
                at,
                format!("{text:?} has bits set behind its prefix"),
                remedy,
            );
            return None;
        }
        Some(Self(reach))
    }
}

impl JsonSchema for Reach {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Reach".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A network or an address, with a port or a range of ports behind a colon.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_have_ports_behind_them() {
        let all = (1, u16::MAX);
        for (text, network, ports) in [
            ("10.0.0.0/8", "10.0.0.0/8", all),
            ("10.0.0.7", "10.0.0.7/32", all),
            ("10.0.0.7:8080", "10.0.0.7/32", (8080, 8080)),
            ("10.0.0.0/8:8000-8099", "10.0.0.0/8", (8000, 8099)),
            ("2001:db8::/32", "2001:db8::/32", all),
            ("2001:db8::1", "2001:db8::1/128", all),
            ("[2001:db8::/32]", "2001:db8::/32", all),
            ("[2001:db8::1]:443", "2001:db8::1/128", (443, 443)),
        ] {
            let reach = parse_reach(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(reach.network, network.parse().unwrap(), "{text}");
            assert_eq!(reach.ports, ports, "{text}");
        }
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.1:",
            "10.0.0.1:0",
            "10.0.0.1:99999",
            "10.0.0.1:9-8",
            "host:80",
            "[2001:db8::1",
            "[2001:db8::1]8",
        ] {
            assert!(parse_reach(text).is_none(), "{text}");
        }
    }
}
