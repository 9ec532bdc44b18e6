use std::path::Path;

use super::*;
use crate::{builtin, cli::rehearsal, control};

const CONFIG: &str = r#"
version = 1
trusted_proxies = ["10.9.0.0/16"]
[[listener]]
bind = "127.0.0.1:0"
[[vhost]]
name = "www.example.com"
aliases = ["*.example.com"]
default = true
  [[vhost.route]]
  path = "/"
  balancer = "plain"
  [[vhost.route]]
  path = "/Test"
  balancer = "cluster"
  preserve_host = true
  reverse = { location = true }
  [[vhost.route]]
  path = "/Test/private"
  deny_from = ["203.0.113.0/24"]
  [[vhost.route]]
  path = "/Test/images"
  exclude = true
  [[vhost.route]]
  path = "/old"
  redirect = { to = "/Test", status = 308 }
  [[vhost.route]]
  path = "/admin"
  deny = true
[[vhost]]
name = "off.example.org"
  [[vhost.route]]
  path = "/app"
  balancer = "off"
[balancer.cluster]
stickysession = "JSESSIONID|jsessionid"
members = [
  { url = "http://10.0.0.11:8080/Test", route = "worker1" },
  { url = "http://10.0.0.12:8080/Test", route = "worker2", loadfactor = 2 },
]
[balancer.plain]
members = [{ url = "http://[::1]:3000/base" }]
[balancer.off]
members = [{ url = "http://10.0.0.13/", status = "disabled" }]
"#;

/// Arguments as on a command line, and parts of lines: `key text`.
const TABLE: &[(&[&str], &[&str])] = &[
    (
        &["http://www.example.com/Test/a;x=1?q"],
        &[
            "vhost www.example.com, for it has the exact name",
            "path /Test/a (for routes and rules), /Test/a;x=1?q as received",
            "route /Test [route 2], the longest prefix of 2",
            "shadows / [route 1]",
            "access allowed to everybody",
            "action forwards to balancer cluster (2 members)",
            "rewriters reverse ",
            "policies byrequests ",
            "affinity jsessionid ",
            // byrequests begins with the greatest weight.
            "member http://10.0.0.12:8080/Test (route worker2), on a fresh start; chosen by policy byrequests",
            "sends GET http://10.0.0.12:8080/Test/a;x=1?q",
            "host www.example.com",
        ],
    ),
    (
        &[
            "http://a.example.com/Test",
            "--cookie",
            "a=b",
            "--cookie",
            "JSESSIONID=1.worker1",
        ],
        &[
            "vhost www.example.com, for no vhost has the exact name a.example.com and it has the wildcard *.example.com",
            "the session is at route worker1",
            "member http://10.0.0.11:8080/Test (route worker1), on a fresh start; chosen by the session's pin",
        ],
    ),
    (
        &["http://www.example.com/Test;jsessionid=1.gone"],
        &[
            "the session is at route gone",
            "chosen by policy byrequests",
            "the pin leads to no usable member",
            "sends GET http://10.0.0.12:8080/Test;jsessionid=1.gone",
        ],
    ),
    (
        &["http://nobody.test/x"],
        &[
            "vhost www.example.com, the default: no vhost claims nobody.test",
            "route / [route 1], the only one that takes the path",
            "affinity none",
            "sends GET http://[::1]:3000/base/x",
            "host [::1]:3000",
        ],
    ),
    (
        &["http://nobody.test/x", "--absolute"],
        &["answer 421 Misdirected Request"],
    ),
    (
        &[
            "http://www.example.com/Test/private/a",
            "--client",
            "203.0.113.9",
        ],
        &[
            "route /Test/private [route 3]",
            "access denied: 203.0.113.9 is in deny_from 203.0.113.0/24",
            "answer 403 Forbidden",
        ],
    ),
    (
        &["http://www.example.com/Test/private/a"],
        &[
            "passed /Test/private [route 3]: allowed: 127.0.0.1 is not in deny_from",
            "route /Test [route 2]",
        ],
    ),
    (
        &[
            "http://www.example.com/Test/private/a",
            "--client",
            "10.9.0.1",
            "--header",
            "X-Forwarded-For: 203.0.113.9",
        ],
        &["client 203.0.113.9, by X-Forwarded-For", "answer 403"],
    ),
    (
        &["http://www.example.com/Test/images/a.png"],
        &[
            "route /Test/images [route 4]",
            "action leaves the path to the vhost's document root",
            "answer 404 Not Found",
        ],
    ),
    (
        &["http://www.example.com/old/a?b#c"],
        &[
            "action redirects to /Test/a?b",
            "answer 308 Permanent Redirect",
        ],
    ),
    (
        &["http://www.example.com/admin/x"],
        &["access denied to everybody", "answer 403"],
    ),
    (
        &["http://off.example.org/none"],
        &["route none takes the path", "answer 404"],
    ),
    (
        &["http://off.example.org/app"],
        &["answer 503 Service Unavailable: no member is usable"],
    ),
    (
        &["http://www.example.com/x/..;/admin"],
        &["answer 400 Bad Request: a dot segment is hidden"],
    ),
    (
        &["http://www.example.com/Test%2Fimages"],
        &[
            "route none: some servers would read the path as",
            "answer 400",
        ],
    ),
    (
        &["http://a..b/"],
        &["answer 400 Bad Request: the host has an empty label"],
    ),
    (
        &["http://www.example.com/", "--method", "TRACE"],
        &["answer 405 Method Not Allowed"],
    ),
    (
        &["http://www.example.com/", "--header", "Expect: tea"],
        &["answer 417"],
    ),
    (
        &["http://www.example.com/", "--header", "a b: c"],
        &["answer 400"],
    ),
];

#[derive(Debug, clap::Parser)]
struct Line {
    #[command(flatten)]
    args: ExplainArgs,
}

fn args(line: &[&str]) -> ExplainArgs {
    let file = if line.contains(&"-c") {
        &[][..]
    } else {
        &["-c", "it.toml"]
    };
    let line = ["explain"].iter().chain(file).chain(line);
    <Line as clap::Parser>::try_parse_from(line)
        .expect("legal")
        .args
}

/// Columns are for the eye alone.
fn squeezed(text: &str) -> String {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines().map(words).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_fact_is_told() {
    let loaded = config::parse(CONFIG, Path::new("/it.toml"));
    let snapshot = Arc::new(
        loaded
            .map_err(|report| report.lines())
            .expect("legal")
            .snapshot,
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let compiled = explain_links(&snapshot);
    for (line, facts) in TABLE {
        // Afresh, so that no request stands on the one before.
        let live = compiled();
        let asked = explain_request::Asked::of(&args(line)).unwrap();
        let told = squeezed(&runtime.block_on(explain_words::tell(&live, &asked)));
        for fact in *facts {
            assert!(told.contains(fact), "{line:?}: no {fact:?} in\n{told}");
        }
    }
}

/// Compiles once and links as often as asked.
fn explain_links(snapshot: &Arc<Snapshot>) -> impl Fn() -> Generation {
    let stock = rehearsal::stock(None, Compiler::InProcess).expect("an engine");
    let snapshot = Arc::clone(snapshot);
    move || {
        let linker = rehearsal::linker(1);
        let rehearsed = control::rehearse(&linker, &stock, &snapshot, BTreeMap::new());
        assert!(rehearsed.unfit.is_empty(), "{:?}", rehearsed.unfit);
        rehearsed.generation.expect("it links")
    }
}

#[test]
fn what_no_client_could_send_is_refused() {
    for (line, why) in [
        (&["www.example.com/a"][..], "not a URL"),
        (&["https://www.example.com/"], "speaks http"),
        (&["http://a/\r\nHost: b"], "line break"),
        (&["http://a/", "--header", "nothing"], "no colon"),
        (&["http://a/", "--cookie", "nothing"], "no value"),
        (&["http://a/", "--method", "GET /"], "no method"),
    ] {
        let refused = explain_request::Asked::of(&args(line)).expect_err("refused");
        assert!(refused.contains(why), "{refused}");
    }
}

#[test]
fn a_bad_file_is_the_operators_matter() {
    let missing = args(&["http://a/", "-c", "no/such/file.toml"]);
    let told = explained(&missing, Compiler::InProcess);
    assert!(
        matches!(&told, Err(Trouble::Input(why)) if why.contains("cannot be read")),
        "{told:?}"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("it.toml");
    std::fs::write(folder.path().join("it.wasm"), "no wasm").unwrap();
    let policy = "[policy.own]\nsource = \"it.wasm\"\n";
    std::fs::write(&file, CONFIG.to_owned() + policy).unwrap();
    let told = explained(
        &args(&["http://a/", "-c", file.to_str().unwrap()]),
        Compiler::InProcess,
    );
    assert!(
        matches!(&told, Err(Trouble::Input(why)) if why.contains("`own`")),
        "{told:?}"
    );
}

#[test]
fn a_cache_directory_is_never_made() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    assert!(rehearsal::gateways(Some(&cache)).is_none());
    assert!(!cache.exists());
}

#[test]
fn a_tenant_that_is_broken_is_named_and_the_rest_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let site = |host: &str, method: &str| {
        format!(
            "[[vhost]]\nname = \"{host}\"\n[[vhost.route]]\npath = \"/\"\nbalancer = \"app\"\n\
             [balancer.app]\nlbmethod = {method}\nmembers = [{{ url = \"http://192.0.2.1\" }}]\n"
        )
    };
    let own = "\n[policy.own]\nsource = \"own.wasm\"\n";
    write("it.toml", CONFIG);
    write(
        "tenants/good/site.toml",
        &site("good.example.net", "\"byrequests\""),
    );
    write("tenants/typo/site.toml", "[[vhosts]]\n");
    write(
        "tenants/late/site.toml",
        &site("good.example.net", "\"byrequests\""),
    );
    write(
        "tenants/wasm/site.toml",
        &(site("wasm.example.net", "\"policy:own\"") + own),
    );
    write("tenants/wasm/own.wasm", "no wasm");
    let rewriter = builtin::find("reverse").unwrap().wasm;
    write(
        "tenants/kind/site.toml",
        &(site("kind.example.net", "\"policy:own\"") + own),
    );
    std::fs::write(folder.path().join("tenants/kind/own.wasm"), rewriter).unwrap();
    let file = folder.path().join("it.toml");
    let told = |url: &str| {
        let args = args(&[url, "-c", file.to_str().unwrap()]);
        squeezed(&explained(&args, Compiler::InProcess).unwrap())
    };
    let all = told("http://good.example.net/");
    for fact in [
        "vhost good.example.net, for it has the exact name",
        "vhosts",
        "the host belongs to the tenant `good`",
        "left out tenant `wasm`: policy `own`: `own` is not WebAssembly",
        "left out tenant `kind`: ",
    ] {
        assert!(all.contains(fact), "no {fact:?} in\n{all}");
    }
    assert_eq!(all.matches("left out ").count(), 4, "{all}");
    assert!(
        told("http://wasm.example.net/").contains("vhost www.example.com"),
        "the default one"
    );
}
