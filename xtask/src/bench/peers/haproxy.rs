//! HAProxy. A session's member is named by what stands behind the last dot of the cookie.

use std::{fmt::Write as _, net::SocketAddr, path::Path, process::Command};

use anyhow::Result;

use super::Peer;
use crate::bench::front::{ACCESS_LOG, Front, Site, append, free_address, launch_with};

pub fn start(site: &Site, program: &Path) -> Result<Front> {
    let address = free_address()?;
    let file = site.write("haproxy.cfg", &config(site, address))?;
    let log = site.folder.join("error.log");
    let mut command = Command::new(program);
    command.arg("-db").arg("-f").arg(&file);
    // The only file that it can write its log to.
    command.stdout(append(&site.folder.join(ACCESS_LOG))?);
    launch_with(site, Peer::HaProxy, command, address, &log)
}

// HAProxy keeps no connection to a member once a fifth of its descriptors are in use, and idle clients use them too: with
// 5,000 of these and a limit of 20,000 it would connect anew for each request. The others' pools have no such bound.
fn config(site: &Site, address: SocketAddr) -> String {
    let mut servers = String::new();
    for (number, member) in (1..).zip(&site.members) {
        let _ = writeln!(servers, "  server worker{number} {member}");
    }
    let (target, log) = match site.access_log {
        true => (
            "  log stdout format raw local0\n",
            "  log global\n  option httplog\n",
        ),
        false => ("", ""),
    };
    format!(
        r#"global
  nbthread {workers}
  tune.pool-low-fd-ratio 100
  tune.pool-high-fd-ratio 100
{target}
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
{log}
frontend clients
  bind {address}
  default_backend cluster
backend cluster
  balance roundrobin
  http-reuse always
  option forwardfor
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Proto http
  http-request replace-path /app/(.*) /Test/\1
  use-server %[req.cook(JSESSIONID),field(-1,.)] if {{ req.cook(JSESSIONID) -m found }}
  http-response replace-header Location ^http://[^/]+/Test/(.*)$ /app/\1
  http-response replace-header Set-Cookie ^(.*;\s*Path=)/Test(.*)$ \1/app\2
{servers}"#,
        workers = site.workers,
    )
}
