//! Apache httpd, one process of enough threads.

use std::{fmt::Write as _, net::SocketAddr, path::Path, process::Command};

use anyhow::Result;

use super::Peer;
use crate::bench::front::{Front, Site, free_address, is_root, launch};

/// Debian's program has those that log built in.
const MODULES: [&str; 7] = [
    "mpm_event",
    "authz_core",
    "proxy",
    "proxy_http",
    "proxy_balancer",
    "slotmem_shm",
    "lbmethod_byrequests",
];

pub fn start(site: &Site, program: &Path) -> Result<Front> {
    let address = free_address()?;
    let file = site.write("httpd.conf", &config(site, address))?;
    let mut command = Command::new(program);
    command
        .arg("-d")
        .arg(&site.folder)
        .arg("-f")
        .arg(&file)
        .arg("-DFOREGROUND");
    launch(
        site,
        Peer::Apache,
        command,
        address,
        &site.folder.join("error.log"),
    )
}

fn config(site: &Site, address: SocketAddr) -> String {
    let dir = site.folder.display();
    let user = if is_root() {
        "User www-data\nGroup www-data"
    } else {
        ""
    };
    let modules: String = MODULES
        .iter()
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .collect();
    let log = match site.access_log {
        true => {
            "LogFormat \"%h %l %u %t \\\"%r\\\" %>s %O \\\"%{Referer}i\\\" \\\"%{User-Agent}i\\\"\" combined\n\
             CustomLog access.log combined\nBufferedLogs On"
        }
        false => "",
    };
    let (mut members, mut reverse) = (String::new(), String::new());
    for (number, member) in (1..).zip(&site.members) {
        let _ = writeln!(
            members,
            "  BalancerMember http://{member}/Test route=worker{number}"
        );
        let _ = writeln!(reverse, "ProxyPassReverse /app http://{member}/Test");
    }
    format!(
        r#"ServerRoot "{dir}"
DefaultRuntimeDir "{dir}"
PidFile "{dir}/pid"
ErrorLog "{dir}/error.log"
LogLevel warn
Listen {address}
ServerName {address}
{modules}{user}
{log}
StartServers 1
ServerLimit 1
ThreadLimit 128
ThreadsPerChild 128
MaxRequestWorkers 128
MinSpareThreads 1
MaxSpareThreads 128
MaxConnectionsPerChild 0
AsyncRequestWorkerFactor 64
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 600
<Proxy balancer://cluster>
{members}  ProxySet stickysession=JSESSIONID|jsessionid
</Proxy>
ProxyPass /app balancer://cluster
{reverse}ProxyPassReverseCookiePath /Test /app
"#
    )
}
