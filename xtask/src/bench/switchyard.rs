//! Our gateway, configured for each scenario.

use std::{fmt::Write as _, path::Path};

use anyhow::Result;

use super::{
    front::{Front, Site},
    peers,
    variant::Setup,
};
use crate::gateway::Gateway;

/// The route that a request takes, and its balancer's method.
pub const ROUTES: [(&str, &str); 3] = [
    ("app", "byrequests"),
    ("traffic", "bytraffic"),
    ("busy", "bybusyness"),
];

/// Starts a gateway that the report calls `name`. `policies` holds the built-in policies as files.
pub fn start(
    site: &Site,
    key: &str,
    name: &str,
    program: &Path,
    setup: Setup,
    policies: &Path,
) -> Result<Front> {
    let file = site.write("switchyard.toml", &config(site, setup, policies))?;
    let gateway = Gateway::start(program, &file, Some(site.workers), &site.cores)?;
    let mut front = Front::own(site, key, name, setup, gateway);
    front.version = peers::version(program, "--version");
    Ok(front)
}

fn config(site: &Site, setup: Setup, policies: &Path) -> String {
    let log = match site.access_log {
        true => "\n[log]\naccess = { path = \"access.log\", format = \"combined\" }\n",
        false => "",
    };
    // The compiled policies are the same for all gateways of a run.
    let mut text = format!(
        r#"version = 1
cache_dir = "../cache"
admin = {{ listen = "127.0.0.1:0" }}
{log}
[limits]
idle_timeout = "1h"

[[listener]]
bind = "127.0.0.1:0"

[[vhost]]
name = "localhost"
default = true
"#
    );
    if setup == Setup::Nothing {
        for (route, _) in ROUTES {
            let proxies = site.members.first().map(|member| {
                format!("\n  [[vhost.route]]\n  path = \"/{route}\"\n  proxy = \"http://{member}/Test\"\n")
            });
            text.extend(proxies);
        }
        return text;
    }
    let routes = match setup {
        Setup::Five => &ROUTES[..],
        _ => &ROUTES[..1],
    };
    for (route, _) in routes {
        let _ = write!(
            text,
            "\n  [[vhost.route]]\n  path = \"/{route}\"\n  balancer = \"{route}\"\n"
        );
        if setup != Setup::Balancer {
            text.push_str(
                "  reverse = { location = true, cookie_path = true, cookie_domain = true }\n",
            );
        }
    }
    for (route, method) in routes {
        let method = match setup {
            Setup::File | Setup::Record => "policy:filed",
            _ => method,
        };
        let _ = write!(text, "\n[balancer.{route}]\nlbmethod = \"{method}\"\n");
        if setup != Setup::Balancer {
            text.push_str("stickysession = \"JSESSIONID|jsessionid\"\n");
        }
        if setup == Setup::Shadow {
            text.push_str("shadow = { policy = \"policy:candidate\", sample = 10 }\n");
        }
        text.push_str("members = [\n");
        for (number, member) in (1..).zip(&site.members) {
            let _ = writeln!(
                text,
                "  {{ url = \"http://{member}/Test\", route = \"worker{number}\" }},"
            );
        }
        text.push_str("]\n");
    }
    let source = |name: &str| format!("source = '{}'\n", policies.join(name).display());
    match setup {
        // One that is replicated: an exclusive one would have to see all.
        Setup::Shadow => {
            let _ = write!(text, "\n[policy.candidate]\n{}", source("bytraffic.wasm"));
        }
        Setup::File => {
            let _ = write!(text, "\n[policy.filed]\n{}", source("byrequests.wasm"));
        }
        Setup::Record => {
            let _ = write!(
                text,
                "\n[policy.filed]\n{}record = {{ path = \"decisions.rec\", sample = 0.01 }}\n",
                source("byrequests.wasm")
            );
        }
        _ => {}
    }
    text
}
