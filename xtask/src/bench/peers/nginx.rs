//! nginx. It has no sessions of its own: a map from the cookie's end to a member is how they are written.

use std::{fmt::Write as _, net::SocketAddr, path::Path, process::Command};

use anyhow::Result;

use super::Peer;
use crate::bench::front::{Front, Site, free_address, is_root, launch};

/// From so many members on a table is looked up instead of one pattern after another.
const MANY: usize = 8;

pub fn start(site: &Site, program: &Path) -> Result<Front> {
    let address = free_address()?;
    let file = site.write("nginx.conf", &config(site, address))?;
    let log = site.folder.join("error.log");
    let mut command = Command::new(program);
    command
        .arg("-p")
        .arg(&site.folder)
        .arg("-c")
        .arg(&file)
        .arg("-e")
        .arg(&log);
    launch(site, Peer::Nginx, command, address, &log)
}

fn config(site: &Site, address: SocketAddr) -> String {
    let dir = site.folder.display();
    // As root it would drop to a user who may not read this folder.
    let user = if is_root() { "user root;" } else { "" };
    let log = match site.access_log {
        // As others write theirs: many lines at once.
        true => format!("access_log {dir}/access.log combined buffer=64k flush=1s;"),
        false => "access_log off;".to_owned(),
    };
    // One that is reached through two pools, with room for the client's connections in each.
    let pool = |members: usize| {
        format!(
            "keepalive {}; keepalive_requests 1000000000;",
            64.max(4 * members)
        )
    };
    let reuse = if site.workers > 1 { " reuseport" } else { "" };
    let (mut servers, mut upstreams, mut map) = (String::new(), String::new(), String::new());
    let mut redirects = String::new();
    let is_many = site.members.len() >= MANY;
    for (number, member) in (1..).zip(&site.members) {
        let _ = write!(servers, " server {member};");
        let _ = writeln!(
            upstreams,
            "  upstream worker{number} {{ server {member}; {} }}",
            pool(1)
        );
        let _ = match is_many {
            true => write!(map, " worker{number} worker{number};"),
            false => write!(map, r#" "~\.worker{number}$" worker{number};"#),
        };
        if !is_many {
            let _ = writeln!(
                redirects,
                "      proxy_redirect http://{member}/Test/ http://$http_host/app/;"
            );
        }
    }
    let map = match is_many {
        true => format!(
            "map_hash_max_size 4096;\n  map $cookie_JSESSIONID $route {{ default \"\"; \"~\\.(?<end>[^.]+)$\" $end; }}\n  \
             map $route $member {{ default all;{map} }}"
        ),
        false => format!("map $cookie_JSESSIONID $member {{ default all;{map} }}"),
    };
    if is_many {
        redirects =
            r"      proxy_redirect ~^http://127\.0\.0\.1:\d+/Test/(.*)$ http://$http_host/app/$1;"
                .to_owned();
    }
    format!(
        r#"daemon off;
worker_processes {workers};
{user}
pid {dir}/pid;
error_log {dir}/error.log warn;
events {{ worker_connections 16384; }}
http {{
  {log}
  client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
  uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  {map}
  upstream all {{{servers} {pool} }}
{upstreams}  server {{
    listen {address}{reuse};
    location /app/ {{
      rewrite ^/app/(.*)$ /Test/$1 break;
      proxy_pass http://$member;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_buffers 8 64k;
      proxy_busy_buffers_size 128k;
      proxy_max_temp_file_size 0;
      client_body_buffer_size 64k;
{redirects}      proxy_cookie_path /Test /app;
    }}
  }}
}}
"#,
        workers = site.workers,
        pool = pool(site.members.len()),
    )
}
