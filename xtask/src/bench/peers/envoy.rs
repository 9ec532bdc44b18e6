//! Envoy. A cookie's route becomes metadata that chooses the subset of the cluster, which is how it holds a
//! session to a member by a name of the member's own; it has no words for `Location` and cookies of answers, so a
//! script in Lua maps them, or a WebAssembly filter.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Peer;
use crate::bench::front::{ACCESS_LOG, Front, Site, free_address, launch};

/// The filter's text; Envoy reads binaries alone.
const FILTER: &str = include_str!("filter.wat");

const SCRIPT: &str = r#"
function envoy_on_response(handle)
  local headers = handle:headers()
  local location = headers:get("location")
  local path = location and string.match(location, "^http://[^/]+/Test/(.*)$")
  if path then
    headers:replace("location", "/app/" .. path)
  end
  local cookie = headers:get("set-cookie")
  if cookie then
    local first, last = string.find(cookie, "Path=/Test", 1, true)
    if first then
      headers:replace("set-cookie", string.sub(cookie, 1, first - 1) .. "Path=/app" .. string.sub(cookie, last + 1))
    end
  end
end
"#;

pub fn start(site: &Site, peer: Peer, program: &Path) -> Result<Front> {
    let address = free_address()?;
    let rewriter = match peer {
        Peer::EnvoyWasm => {
            let file = site.folder.join("filter.wasm");
            let binary = wat::parse_str(FILTER).context("the filter's text is no module")?;
            fs::write(&file, binary).with_context(|| format!("cannot write {}", file.display()))?;
            wasm(&file)
        }
        _ => lua(),
    };
    let config = config(site, address, &rewriter);
    let file = site.write("envoy.json", &format!("{config:#}\n"))?;
    let mut command = Command::new(program);
    command
        .arg("-c")
        .arg(&file)
        .args(["--concurrency", &site.workers.to_string()])
        .args(["--disable-hot-restart", "--log-level", "error"])
        // Of the access log; ten seconds are longer than a turn.
        .args(["--file-flush-interval-msec", "1000"]);
    launch(site, peer, command, address, &site.folder.join("error.log"))
}

fn lua() -> Value {
    json!({
        "name": "envoy.filters.http.lua",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": { "inline_string": SCRIPT },
        },
    })
}

fn wasm(file: &Path) -> Value {
    json!({
        "name": "envoy.filters.http.wasm",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": "rewriter",
                "vm_config": {
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": { "local": { "filename": file } },
                },
            },
        },
    })
}

fn config(site: &Site, address: SocketAddr, rewriter: &Value) -> Value {
    let socket = |address: SocketAddr| json!({ "socket_address": { "address": address.ip(), "port_value": address.port() } });
    let endpoints: Vec<_> = (1..)
        .zip(&site.members)
        .map(|(number, member)| {
            json!({
                "endpoint": { "address": socket(*member) },
                "metadata": { "filter_metadata": { "envoy.lb": { "route": format!("worker{number}") } } },
            })
        })
        .collect();
    let route = json!({
        "cookie": "JSESSIONID",
        "on_header_present": {
            "metadata_namespace": "envoy.lb",
            "key": "route",
            "regex_value_rewrite": { "pattern": { "regex": r"^.*\.([^.]+)$" }, "substitution": r"\1" },
        },
    });
    let log = json!({
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": site.folder.join(ACCESS_LOG),
        },
    });
    let logs: Vec<_> = site.access_log.then_some(log).into_iter().collect();
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "clients",
        "codec_type": "HTTP1",
        "use_remote_address": true,
        // The others make none.
        "generate_request_id": false,
        "access_log": logs,
        "route_config": {
            "virtual_hosts": [{
                "name": "all",
                "domains": ["*"],
                "routes": [{
                    "match": { "prefix": "/app/" },
                    "route": { "cluster": "cluster", "prefix_rewrite": "/Test/" },
                    "request_headers_to_add": [{
                        "header": { "key": "x-forwarded-host", "value": "%REQ(:authority)%" },
                        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
                    }],
                }],
            }],
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.header_to_metadata",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.header_to_metadata.v3.Config",
                    "request_rules": [route],
                },
            },
            rewriter,
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
                    "suppress_envoy_headers": true,
                },
            },
        ],
    });
    let most = json!({
        "max_connections": 100_000, "max_pending_requests": 100_000, "max_requests": 100_000,
    });
    json!({
        "static_resources": {
            "listeners": [{
                "name": "clients",
                "address": socket(address),
                "filter_chains": [{
                    "filters": [{
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": manager,
                    }],
                }],
            }],
            "clusters": [{
                "name": "cluster",
                "type": "STATIC",
                "connect_timeout": "5s",
                "lb_policy": "ROUND_ROBIN",
                "lb_subset_config": {
                    "fallback_policy": "ANY_ENDPOINT",
                    "subset_selectors": [{ "keys": ["route"], "single_host_per_subset": true }],
                },
                "circuit_breakers": { "thresholds": [most] },
                "load_assignment": {
                    "cluster_name": "cluster",
                    "endpoints": [{ "lb_endpoints": endpoints }],
                },
            }],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_text_is_a_module() {
        let binary = wat::parse_str(FILTER).unwrap();
        assert!(binary.starts_with(b"\0asm"));
    }
}
