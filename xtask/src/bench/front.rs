//! The fronts, configured to do the same.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::gateway::{self, Gateway};

/// Where Debian's packages put what is compared with, and the package's name.
pub const NGINX: (&str, &str) = ("/usr/sbin/nginx", "nginx-light");
/// As above. It brings the program and its modules, no service.
pub const APACHE: (&str, &str) = ("/usr/sbin/apache2", "apache2-bin");

/// A running front. Dropping it ends it.
pub struct Front {
    /// `Switchyard`, `nginx`, `Apache httpd`
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its first process; the others are its descendants.
    pub pid: u32,
    process: Process,
}

impl Front {
    /// Ours, not one of those it is measured against.
    pub fn is_gateway(&self) -> bool {
        matches!(self.process, Process::Own(_))
    }
}

enum Process {
    Own(#[expect(dead_code, reason = "held for its Drop")] Gateway),
    Other(Child),
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Self::Other(child) = self {
            // A front that ignores SIGTERM was killed, and nothing is measured any more.
            let _ = gateway::terminate(child, Duration::from_secs(5));
        }
    }
}

/// What is missing of what the gateway is compared with, as a command to get it.
pub fn missing() -> Option<String> {
    let packages: Vec<_> = [NGINX, APACHE]
        .iter()
        .filter(|(program, _)| !Path::new(program).is_file())
        .map(|(_, package)| *package)
        .collect();
    (!packages.is_empty()).then(|| {
        format!(
            "apt-get install --no-install-recommends {}",
            packages.join(" ")
        )
    })
}

/// Where a front works.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its config and logs go below.
    pub folder: PathBuf,
    /// Two members: `worker1` and `worker2`.
    pub members: [SocketAddr; 2],
    /// Its core.
    pub core: usize,
}

/// Starts a gateway that the report calls `name`.
pub fn switchyard(place: &Place, name: &str, program: &Path) -> Result<Front> {
    let folder = place.folder.join(name);
    fs::create_dir_all(&folder)?;
    let [first, second] = place.members;
    let config = format!(
        r#"version = 1
cache_dir = "cache"

[[listener]]
bind = "127.0.0.1:0"

[[vhost]]
name = "localhost"
default = true

  [[vhost.route]]
  path = "/app"
  balancer = "cluster"
  reverse = {{ location = true, cookie_path = true, cookie_domain = true }}

[balancer.cluster]
lbmethod = "byrequests"
stickysession = "JSESSIONID|jsessionid"
members = [
  {{ url = "http://{first}/Test", route = "worker1" }},
  {{ url = "http://{second}/Test", route = "worker2" }},
]
"#
    );
    let file = folder.join("switchyard.toml");
    fs::write(&file, config)?;
    let gateway = Gateway::start(program, &file, Some(1), Some(place.core))?;
    Ok(Front {
        name: name.to_owned(),
        address: gateway.address,
        pid: gateway.pid(),
        process: Process::Own(gateway),
    })
}

/// Starts nginx. It has no sessions of its own: a map from the cookie's end to a member is how they are written.
pub fn nginx(place: &Place) -> Result<Front> {
    let folder = place.folder.join("nginx");
    fs::create_dir_all(&folder)?;
    let address = free_address()?;
    let [first, second] = place.members;
    let dir = folder.display();
    // As root it would drop to a user who may not read this folder.
    let user = if is_root() { "user root;" } else { "" };
    let pool = "keepalive 64; keepalive_requests 1000000000;";
    let config = format!(
        r#"daemon off;
worker_processes 1;
{user}
pid {dir}/pid;
error_log {dir}/error.log warn;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
  uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
  keepalive_timeout 300s;
  keepalive_requests 1000000000;
  map $cookie_JSESSIONID $member {{ default all; "~\.worker1$" worker1; "~\.worker2$" worker2; }}
  upstream all {{ server {first}; server {second}; {pool} }}
  upstream worker1 {{ server {first}; {pool} }}
  upstream worker2 {{ server {second}; {pool} }}
  server {{
    listen {address};
    location /app/ {{
      rewrite ^/app/(.*)$ /Test/$1 break;
      proxy_pass http://$member;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_redirect http://{first}/Test/ http://$http_host/app/;
      proxy_redirect http://{second}/Test/ http://$http_host/app/;
      proxy_cookie_path /Test /app;
    }}
  }}
}}
"#
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, config)?;
    let mut command = Command::new(NGINX.0);
    command
        .arg("-p")
        .arg(&folder)
        .arg("-c")
        .arg(&file)
        .arg("-e")
        .arg(folder.join("error.log"));
    other(
        "nginx",
        command,
        address,
        place.core,
        &folder.join("error.log"),
    )
}

/// Starts Apache httpd with one process of enough threads.
pub fn apache(place: &Place) -> Result<Front> {
    let folder = place.folder.join("apache");
    fs::create_dir_all(&folder)?;
    let address = free_address()?;
    let [first, second] = place.members;
    let dir = folder.display();
    let user = if is_root() {
        "User www-data\nGroup www-data"
    } else {
        ""
    };
    let modules: String = [
        "mpm_event",
        "authz_core",
        "proxy",
        "proxy_http",
        "proxy_balancer",
        "slotmem_shm",
        "lbmethod_byrequests",
    ]
    .iter()
    .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
    .collect();
    let config = format!(
        r#"ServerRoot "{dir}"
DefaultRuntimeDir "{dir}"
PidFile "{dir}/pid"
ErrorLog "{dir}/error.log"
LogLevel warn
Listen {address}
ServerName {address}
{modules}{user}
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
KeepAliveTimeout 300
<Proxy balancer://cluster>
  BalancerMember http://{first}/Test route=worker1
  BalancerMember http://{second}/Test route=worker2
  ProxySet stickysession=JSESSIONID|jsessionid
</Proxy>
ProxyPass /app balancer://cluster
ProxyPassReverse /app http://{first}/Test
ProxyPassReverse /app http://{second}/Test
ProxyPassReverseCookiePath /Test /app
"#
    );
    let file = folder.join("httpd.conf");
    fs::write(&file, config)?;
    let mut command = Command::new(APACHE.0);
    command
        .arg("-d")
        .arg(&folder)
        .arg("-f")
        .arg(&file)
        .arg("-DFOREGROUND");
    other(
        "Apache httpd",
        command,
        address,
        place.core,
        &folder.join("error.log"),
    )
}

fn other(
    name: &str,
    mut command: Command,
    address: SocketAddr,
    core: usize,
    log: &Path,
) -> Result<Front> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    gateway::tie(&mut command, Some(core));
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    let end = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(address).is_err() {
        if child.try_wait()?.is_some() || Instant::now() > end {
            let _ = child.kill();
            let said = fs::read_to_string(log).unwrap_or_default();
            bail!("{name} does not answer on {address}; its log says:\n{said}");
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(Front {
        name: name.to_owned(),
        address,
        pid: child.id(),
        process: Process::Other(child),
    })
}

/// A port that was free a moment ago: these programs cannot be asked to choose one.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr())?)
}

fn is_root() -> bool {
    // SAFETY: asks for a number and cannot fail.
    unsafe { libc::geteuid() == 0 }
}
