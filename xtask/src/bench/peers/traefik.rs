//! Traefik. Its own sessions name members by hashes, so a router for each route holds those of Tomcat's kind.

use std::{net::SocketAddr, path::Path, process::Command};

use anyhow::Result;
use serde_json::{Value, json};

use super::Peer;
use crate::bench::front::{ACCESS_LOG, Front, Site, free_address, launch};

/// What it cannot do without a plug-in.
pub const LACKS: &str = "it leaves Location and Set-Cookie as the members wrote them";

pub fn start(site: &Site, program: &Path) -> Result<Front> {
    let address = free_address()?;
    // It tells a format by the file's name, and JSON is YAML.
    site.write("dynamic.yaml", &format!("{:#}\n", dynamic(&site.members)))?;
    let file = site.write("traefik.yaml", &format!("{:#}\n", fixed(site, address)))?;
    let mut command = Command::new(program);
    command
        .arg(format!("--configfile={}", file.display()))
        .current_dir(&site.folder)
        .env("GOMAXPROCS", site.workers.to_string());
    let mut front = launch(
        site,
        Peer::Traefik,
        command,
        address,
        &site.folder.join("error.log"),
    )?;
    front.lacks = Some(LACKS);
    Ok(front)
}

fn fixed(site: &Site, address: SocketAddr) -> Value {
    let mut config = json!({
        "global": { "checkNewVersion": false, "sendAnonymousUsage": false },
        "log": { "level": "ERROR" },
        "entryPoints": { "clients": {
            "address": address.to_string(),
            "transport": { "respondingTimeouts": { "idleTimeout": "10m" } },
        } },
        "serversTransport": { "maxIdleConnsPerHost": 128 },
        "providers": { "file": { "filename": site.folder.join("dynamic.yaml"), "watch": false } },
    });
    if site.access_log {
        config["accessLog"] =
            json!({ "filePath": site.folder.join(ACCESS_LOG), "bufferingSize": 256 });
    }
    config
}

fn dynamic(members: &[SocketAddr]) -> Value {
    let url = |member: &SocketAddr| json!({ "url": format!("http://{member}") });
    let mut routers = serde_json::Map::new();
    let mut services = serde_json::Map::new();
    let router = |service: &str, rule: String| json!({ "entryPoints": ["clients"], "rule": rule, "service": service, "middlewares": ["path"] });
    routers.insert(
        "all".to_owned(),
        router("all", "PathPrefix(`/app/`)".to_owned()),
    );
    let servers: Vec<_> = members.iter().map(url).collect();
    services.insert(
        "all".to_owned(),
        json!({ "loadBalancer": { "servers": servers } }),
    );
    for (number, member) in (1..).zip(members) {
        let name = format!("worker{number}");
        let rule = format!(
            "PathPrefix(`/app/`) && HeaderRegexp(`Cookie`, `JSESSIONID=[^;]*\\.{name}(;|$)`)"
        );
        routers.insert(name.clone(), router(&name, rule));
        services.insert(
            name,
            json!({ "loadBalancer": { "servers": [url(member)] } }),
        );
    }
    json!({
        "http": {
            "routers": routers,
            "services": services,
            "middlewares": {
                "path": { "replacePathRegex": { "regex": "^/app/(.*)", "replacement": "/Test/$1" } },
            },
        },
    })
}
