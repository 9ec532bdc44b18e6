//! Caddy. A map takes the route from the cookie and another one the member from the route.

use std::{fmt::Write as _, net::SocketAddr, path::Path, process::Command};

use anyhow::Result;

use super::Peer;
use crate::bench::front::{ACCESS_LOG, Front, Site, free_address, launch};

pub fn start(site: &Site, program: &Path) -> Result<Front> {
    let address = free_address()?;
    let file = site.write("Caddyfile", &config(site, address))?;
    let mut command = Command::new(program);
    command
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(&file)
        .env("HOME", &site.folder)
        .env("XDG_DATA_HOME", &site.folder)
        .env("XDG_CONFIG_HOME", &site.folder)
        .env("GOMAXPROCS", site.workers.to_string());
    launch(
        site,
        Peer::Caddy,
        command,
        address,
        &site.folder.join("error.log"),
    )
}

fn config(site: &Site, address: SocketAddr) -> String {
    let (mut all, mut map) = (String::new(), String::new());
    for (number, member) in (1..).zip(&site.members) {
        let _ = write!(all, " {member}");
        let _ = writeln!(map, "      worker{number} {member}");
    }
    let log = match site.access_log {
        true => format!(
            "  log {{\n    output file {}\n  }}\n",
            site.folder.join(ACCESS_LOG).display()
        ),
        false => String::new(),
    };
    let same = "      header_down Location ^http://[^/]+/Test/(.*)$ /app/$1\n      \
                header_down Set-Cookie Path=/Test Path=/app\n      \
                transport http {\n        keepalive_idle_conns_per_host 128\n        keepalive 10m\n        compression off\n      }";
    format!(
        r#"{{
  admin off
  auto_https off
  persist_config off
  log default {{
    level ERROR
  }}
}}
http://{address} {{
  bind {ip}
{log}  handle_path /app/* {{
    rewrite * /Test{{uri}}
    map {{http.request.cookie.JSESSIONID}} {{route}} {{
      ~\.([^.]+)$ $1
      default none
    }}
    map {{route}} {{member}} {{
{map}      default none
    }}
    @pinned not vars {{member}} none
    reverse_proxy @pinned {{
      to {{member}}
{same}
    }}
    reverse_proxy {{
      to{all}
      lb_policy round_robin
{same}
    }}
  }}
}}
"#,
        ip = address.ip(),
    )
}
