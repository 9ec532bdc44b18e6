#!/usr/bin/env bash
# Switchyard as the front end under test. Same actions as apache.sh, whose header describes them, with one more setting:
#       health=on|off  (active health checks; on unless said otherwise)
# The program is $SWITCHYARD_BIN, else the newest of target/release/switchyard and target/debug/switchyard.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
dir=$TC_RUN/switchyard
settings=$dir/settings
draining=$dir/draining
config=$dir/switchyard.toml
# Not a socket file: the state directory may be too deep for its 108 bytes.
admin=$TC_BIND:${TC_ADMIN_PORT:-$((TC_BASE_PORT + 1))}
front=http://$TC_BIND:$TC_FRONT_PORT
pid=$(cat "$dir/pid" 2>/dev/null || true)

program() {
  [ -z "${SWITCHYARD_BIN:-}" ] || { echo "$SWITCHYARD_BIN"; return; }
  local target=${CARGO_TARGET_DIR:-$TC_HERE/../../target} found
  found=$(ls -t "$target/release/switchyard" "$target/debug/switchyard" 2>/dev/null | head -1)
  [ -n "$found" ] || die "no switchyard in $target; build it with: cargo build -p switchyard"
  echo "$found"
}
load() { # $settings: KEY=VALUE lines
  lbmethod=byrequests lf1=1 lf2=1 lf3=1 workers=$TC_WORKERS retry=5 timeout=10 nofailover=Off
  sticky='JSESSIONID|jsessionid' proto=http health=on reloads=0
  local line
  if [ -f "$settings" ]; then while IFS= read -r line; do printf -v "${line%%=*}" %s "${line#*=}"; done <"$settings"; fi
}
members() {
  local n lf state
  for n in $(seq 1 "$workers"); do
    lf=lf$n state=ok
    grep -qx "worker$n" "$draining" 2>/dev/null && state=draining
    echo "  { url = \"http://$TC_BIND:$(port_of HTTP "$n")/Test\", route = \"worker$n\", loadfactor = ${!lf}, status = \"$state\" },"
  done
}
# What apache/httpd.conf says, in Switchyard's words.
configuration() {
  load
  [ "$proto" = http ] || die "Switchyard speaks HTTP to its members, not $proto"
  local failover=true checks=
  [ "$nofailover" = Off ] || failover=false
  # Failing requests take a member out, checks bring it back: patient enough that a busy machine takes nobody out.
  [ "$health" = off ] || checks='health = { path = "/Test/ready.jsp", interval = "500ms", rise = 1, fall = 2, timeout = "3s" }'
  cat <<TOML
version = 1
cache_dir = "$dir/cache"
# The scenario's clients speak as a proxy in front would.
trusted_proxies = ["127.0.0.0/8"]

[admin]
listen = "$admin"

[log]
error = { path = "$dir/error.log", level = "info" }
access = { path = "$dir/access.log", format = "%h %l %u %t \"%r\" %>s %b" }

[[listener]]
bind = "$TC_BIND:$TC_FRONT_PORT"

[[vhost]]
name = "front.example"
default = true
document_root = "$dir/htdocs"

  [[vhost.route]]
  path = "/images"
  exclude = true

  # The same application under another path, so that reverse mapping has something to do.
  [[vhost.route]]
  path = "/app/images"
  static = "$dir/htdocs/images"

  [[vhost.route]]
  path = "/Test"
  balancer = "mycluster"
  reverse = { location = true, cookie_path = false, cookie_domain = false }

  [[vhost.route]]
  path = "/app"
  balancer = "mycluster"
  reverse = { location = true, cookie_path = true, cookie_domain = { "backend.internal" = "front.example" }, html = true, events = true }

[balancer.mycluster]
lbmethod = "$lbmethod"
stickysession = "$sticky"
failover = $failover
retry = "${retry}s"
answer_timeout = "${timeout}s"
# A member that hangs is left out after the first timeout.
failontimeout = true
# Below the members' own 3 s, so that a request does not meet their close.
idle_timeout = "$((2500 + reloads))ms"
$checks
members = [
$(members)
]
TOML
}
write() { # in one step: the file is watched
  local text
  text=$(configuration) || exit 1
  printf '%s\n' "$text" >"$config.new" && mv "$config.new" "$config"
}
status() { curl -s -m 2 "http://$admin/status"; }
generation() { status | python3 -c 'import json, sys; print(json.load(sys.stdin)["config"]["generation"])' 2>/dev/null || echo -1; }
# put: writes the configuration and waits until it is in service
put() {
  local before end
  before=$(generation)
  write
  kill -HUP "$pid" || die "the gateway is not running"
  end=$(( $(now_ms) + 10000 ))
  until [ "$(generation)" -gt "$before" ]; do
    [ "$(now_ms)" -lt "$end" ] || die "the new configuration is not in service; see $dir/error.log"
    sleep 0.05
  done
}
running() { is_ours "$pid" "$config"; }
start() {
  running && return 0
  mkdir -p "$dir"; rm -rf "$dir/htdocs"; cp -r "$TC_HERE/htdocs" "$dir/htdocs"
  local bin; bin=$(program) || exit 1
  write
  setsid "$bin" run -c "$config" >>"$dir/output.log" 2>&1 </dev/null &
  pid=$!; echo "$pid" >"$dir/pid"
  local end=$(( $(now_ms) + 20000 ))
  until curl -s -o /dev/null -m 1 "$front/images/logo.txt"; do
    running || die "the gateway ended; see $dir/output.log"
    [ "$(now_ms)" -lt "$end" ] || die "no answer on $front; see $dir/output.log"
    sleep 0.05
  done
}
stop() {
  running || return 0
  # The second SIGTERM skips the drain: whoever stops the front here is done with it.
  kill -TERM "$pid"; wait_gone "$pid" "$config" 2 || { kill -TERM "$pid"; wait_gone "$pid" "$config" 5; } || kill -KILL "$pid"
}

case ${1:?action} in
  start) start ;;
  stop) stop ;;
  apply)
    shift; stop; mkdir -p "$dir"; : >"$settings"; : >"$draining"
    for kv in "$@"; do printf '%s\n' "$kv" >>"$settings"; done
    start ;;
  # An unchanged file would be no reload: something changes that nobody notices.
  reload) load; echo "reloads=$((reloads + 1))" >>"$settings"; put ;;
  drain)
    touch "$draining"
    if [ "$3" = on ]; then echo "$2" >>"$draining"; else sed -i "/^$2\$/d" "$draining"; fi
    put ;;
  pid) running && echo "$pid" ;;
  *) die "unknown action $1" ;;
esac
