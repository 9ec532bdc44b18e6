//! Where a tenant's members and files may not be.

use std::{fs, net::Ipv4Addr, os::unix::fs::symlink};

use switchyard_tests::{
    Gateway, Member, NameServer, Request, Setup, command, eventually, guests, scripts,
    wait::DEADLINE,
};

use crate::tenants::{LOCAL, OPERATOR, at, claims, tenant_site, tenant_status, wait_for};

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// `acme` with one member at this URL.
fn member_at(url: &str, keys: &str) -> String {
    format!(
        "[[vhost]]\nname = \"acme.example\"\n[[vhost.route]]\npath = \"/\"\nbalancer = \"app\"\n\
         [balancer.app]\n{keys}\nmembers = [{{ url = \"{url}\" }}]\n"
    )
}

/// A gateway without tenants yet, whose operator says this of them.
fn alone(quota: &str) -> Gateway {
    Setup::new(format!("{OPERATOR}{quota}")).start()
}

fn egress_refused(gateway: &Gateway) -> u64 {
    tenant_status(gateway, "acme")["usage"]["egress_refused"]
        .as_u64()
        .unwrap_or(0)
}

#[test]
fn no_member_is_the_gateway_itself_by_whatever_name() {
    let server = NameServer::start(Some((HERE, 3600)));
    // The operator allows all of this machine, and yet.
    let gateway = Setup::new(format!("{OPERATOR}{LOCAL}"))
        .top(&format!("name_servers = [\"{}\"]", server.addr()))
        .start();
    let ports = [gateway.admin_addr().port(), gateway.addr().port()];
    for port in ports {
        for host in [
            "127.0.0.1",
            "localhost",
            "[::ffff:127.0.0.1]",
            "admin.example",
        ] {
            let text = member_at(&format!("http://{host}:{port}/"), "retry = \"0s\"");
            gateway.write_file("tenants/acme/site.toml", &text);
            wait_for(&gateway, "acme.example", "502");
            let line = gateway.wait_for_log(&[
                "tenant=acme",
                "may not be connected to",
                &format!("member=http://{host}:{port}"),
            ]);
            assert!(line.contains("is this gateway itself"), "{line}");
            assert!(egress_refused(&gateway) > 0, "{host}");
            fs::remove_dir_all(gateway.dir().join("tenants/acme")).unwrap();
            wait_for(&gateway, "acme.example", "404");
        }
    }
}

#[test]
fn what_the_operator_does_not_list_is_not_reached_by_requests_checks_or_tunnels() {
    let a = Member::start("a", scripts::websocket_echo());
    let gateway = alone("[each_tenant]\negress = [\"10.0.0.0/8\"]\n");
    let health = "[balancer.app.health]\ninterval = \"1s\"\nfall = 1\n";
    let text = member_at(&a.url(), "") + health;
    gateway.write_file("tenants/acme/site.toml", text);
    let line = gateway.wait_for_log(&["tenant=acme", "Member fails its checks"]);
    assert!(line.contains("outside of where the members"), "{line}");
    let upgrade = Request::get("/")
        .host("acme.example")
        .field("Connection", "Upgrade")
        .field("Upgrade", "websocket")
        .field("Sec-WebSocket-Version", "13")
        .field("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    for request in [Request::get("/").host("acme.example"), upgrade] {
        let status = gateway.ask(&request).status;
        assert!(matches!(status, 502 | 503), "{status}");
    }
    assert_eq!(a.connections(), 0, "nobody came");
    assert!(egress_refused(&gateway) > 0);
}

#[test]
fn without_a_word_of_the_operator_this_machine_is_not_reached() {
    let a = Member::start("a", scripts::name());
    let gateway = alone("");
    gateway.write_file("tenants/acme/site.toml", member_at(&a.url(), ""));
    wait_for(&gateway, "acme.example", "502");
    assert_eq!(a.connections(), 0);
}

#[test]
fn a_name_that_leads_elsewhere_later_gains_nothing() {
    let server = NameServer::start(Some((HERE, 1)));
    let a = Member::start("a", scripts::name());
    let other = Ipv4Addr::new(127, 0, 0, 2);
    let port = a.addr().port();
    let gateway = Setup::new(format!("{OPERATOR}{LOCAL}"))
        .top(&format!("name_servers = [\"{}\"]", server.addr()))
        .file(
            "tenants/acme/site.toml",
            member_at(&format!("http://app.example:{port}"), ""),
        )
        .start();
    assert_eq!(at(&gateway, "acme.example"), "a");
    server.says(Some((other, 1)));
    wait_for(&gateway, "acme.example", "502");
    gateway.wait_for_log(&["tenant=acme", "127.0.0.2", "outside of where"]);
}

#[test]
fn files_are_the_tenants_own_or_are_not_read() {
    let a = Member::start("a", scripts::name());
    let cases = [
        (
            "policy.p.source",
            "[policy.p]\nsource = \"../../secret.wasm\"\n",
        ),
        ("policy.p.source", "[policy.p]\nsource = \"/etc/passwd\"\n"),
        ("policy.p.source", "[policy.p]\nsource = \"link.wasm\"\n"),
        (
            "policy.p.source",
            "[policy.p]\nsource = \"up/secret.wasm\"\n",
        ),
        (
            "vhost[0].document_root",
            "[[vhost]]\nname = \"x.example\"\ndocument_root = \"..\"\n",
        ),
        (
            "vhost[0].document_root",
            "[[vhost]]\nname = \"x.example\"\ndocument_root = \"up\"\n",
        ),
        (
            "vhost[0].route[0].static",
            "[[vhost]]\nname = \"x.example\"\n[[vhost.route]]\npath = \"/\"\nstatic = \"up/beside\"\n",
        ),
        (
            "vhost[0].error_page",
            "[[vhost]]\nname = \"x.example\"\ndocument_root = \".\"\nerror_page = { 404 = \"link.wasm\" }\n",
        ),
        (
            "vhost[0].log.access",
            "[[vhost]]\nname = \"x.example\"\ndocument_root = \".\"\nlog = { access = \"up/access.log\" }\n",
        ),
        (
            "vhost[0].log.access",
            "[[vhost]]\nname = \"x.example\"\ndocument_root = \".\"\nlog = { access = true }\n",
        ),
        ("log.error", "[log]\nerror = { path = \"../error.log\" }\n"),
        ("listener", "[[listener]]\nbind = \"127.0.0.1:0\"\n"),
        ("admin", "[admin]\nlisten = \"127.0.0.1:0\"\n"),
        ("limits", "[limits]\nbody_size = 0\n"),
        ("trusted_proxies", "trusted_proxies = [\"0.0.0.0/0\"]\n"),
        ("tenant", "[tenant.acme]\nrequests = 0\n"),
        (
            "policy.p.limits.memory",
            "[policy.p]\nsource = \"p.wasm\"\nlimits = { memory = \"1GiB\" }\n",
        ),
    ];
    let gateway = Setup::new(format!("{OPERATOR}{LOCAL}"))
        .file(
            "tenants/acme/site.toml",
            tenant_site("acme.example", &a, ""),
        )
        .file("tenants/acme/p.wasm", guests::component("balancer"))
        .file("secret.wasm", guests::component("balancer"))
        .file("tenants/beside/site.toml", "")
        .start();
    let folder = gateway.dir().join("tenants/acme");
    symlink("../../secret.wasm", folder.join("link.wasm")).unwrap();
    symlink("..", folder.join("up")).unwrap();
    for (key, text) in cases {
        let mut last = String::new();
        gateway.replace_file("tenants/acme/more.toml", text);
        eventually(&format!("{key} of {text:?} is refused"), DEADLINE, || {
            last = tenant_status(&gateway, "acme")["last_error"]["what"].to_string();
            (last.contains(key) && last.contains("more.toml:")).then_some(())
        });
        assert_eq!(at(&gateway, "acme.example"), "a", "{text}");
        fs::remove_file(folder.join("more.toml")).unwrap();
        gateway.wait_for_status("all is well again", |_| {
            tenant_status(&gateway, "acme")["last_error"].is_null()
        });
    }
    assert!(!gateway.dir().join("tenants/access.log").exists());
}

#[test]
fn a_link_that_leads_out_later_is_not_followed() {
    let gateway = alone(LOCAL);
    gateway.write_file("secret/index.html", "secret");
    gateway.write_file("tenants/acme/www/index.html", "public");
    gateway.write_file(
        "tenants/acme/site.toml",
        "[[vhost]]\nname = \"acme.example\"\ndocument_root = \"www\"\nlog = { access = \"logs/access.log\" }\n",
    );
    wait_for(&gateway, "acme.example", "public");
    let folder = gateway.dir().join("tenants/acme");
    eventually("its own log is written", DEADLINE, || {
        let text = fs::read_to_string(folder.join("logs/access.log")).ok()?;
        text.contains("GET / HTTP/1.1").then_some(())
    });
    fs::remove_dir_all(folder.join("www")).unwrap();
    symlink("../../secret", folder.join("www")).unwrap();
    assert_eq!(at(&gateway, "acme.example"), "403");
    // A log that is opened anew stays within as well.
    fs::remove_dir_all(folder.join("logs")).unwrap();
    symlink("../..", folder.join("logs")).unwrap();
    gateway.signal(libc::SIGUSR1);
    gateway.wait_for_log(&["access.log", "leads out"]);
    assert!(!gateway.dir().join("access.log").exists());
}

#[test]
fn a_log_that_cannot_be_opened_keeps_nobody_from_service() {
    let a = Member::start("a", scripts::name());
    let gateway = alone(LOCAL);
    gateway.write_file("tenants/acme/logs", "no folder");
    let text = tenant_site("acme.example", &a, "").replace(
        "name = \"acme.example\"",
        "name = \"acme.example\"\nlog = { access = \"logs/a.log\", error = \"logs/e.log\" }",
    );
    gateway.write_file("tenants/acme/site.toml", text);
    wait_for(&gateway, "acme.example", "a");
    gateway.wait_for_log(&["tenant=acme", "log cannot be opened", "logs/a.log"]);
    gateway.wait_for_log(&["tenant=acme", "log cannot be opened", "logs/e.log"]);
    claims(&gateway, "beta", "beta.example", &a);
    wait_for(&gateway, "beta.example", "a");
}

#[test]
fn check_tells_all_tenants_problems() {
    let a = Member::start("a", scripts::name());
    let setup = Setup::new(format!("{OPERATOR}{LOCAL}"))
        .file(
            "tenants/acme/site.toml",
            tenant_site("acme.example", &a, ""),
        )
        .file(
            "tenants/beta/site.toml",
            tenant_site("acme.example", &a, ""),
        )
        .file("tenants/carl/one.toml", "[[listener]]\n")
        .file("tenants/carl/two.toml", "vhosts = []\n");
    let file = setup.dir().join("switchyard.toml");
    fs::write(&file, setup.text()).unwrap();
    let checked = command::switchyard(&["check", file.to_str().unwrap()]);
    let said = checked.all();
    assert_eq!(checked.status.code(), Some(64), "{said}");
    for words in [
        "tenants/beta/site.toml:2:8: vhost[0].name: the host belongs to the tenant `acme`",
        "tenants/carl/one.toml:1:3: listener: that is the operator's to say",
        "tenants/carl/two.toml:1:1: vhosts: unknown key",
        "3 errors",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

/// What a tenant writes must neither fill everybody's log nor everybody's memory.
#[test]
fn a_flood_of_mistakes_or_of_regular_expressions_is_cut_short() {
    let a = Member::start("a", scripts::name());
    let gateway = alone(LOCAL);
    let flood: String = (0..10_000).map(|n| format!("a{n} = 1\n")).collect();
    gateway.write_file("tenants/acme/site.toml", flood);
    gateway.wait_for_log(&["tenant=acme", "There are more problems"]);
    let told = |line: &String| line.contains("unknown key");
    assert_eq!(gateway.log().iter().filter(|line| told(line)).count(), 20);
    let what = tenant_status(&gateway, "acme")["last_error"]["what"].to_string();
    assert!(what.len() < 40_000, "{}", what.len());
    let routes = |count: usize, regex: &str| {
        let route = format!("[[vhost.route]]\nregex = '{regex}'\ndeny = true\n");
        let all = route.repeat(count);
        tenant_site("acme.example", &a, "").replace("[[vhost.route]]", &(all + "[[vhost.route]]"))
    };
    gateway.replace_file("tenants/acme/site.toml", routes(65, "^/x"));
    gateway.wait_for_log(&["tenant=acme", "more regular expressions than the 64"]);
    gateway.replace_file("tenants/acme/site.toml", routes(1, r"\w{40}"));
    gateway.wait_for_log(&["tenant=acme", "needs more than 128KiB when compiled"]);
    gateway.replace_file("tenants/acme/site.toml", routes(64, "^/x"));
    wait_for(&gateway, "acme.example", "a");
}
