//! The read-only status: endpoint and command.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
};

use switchyard_tests::{
    Client, Gateway, Member, Request, ReservedPort, Setup, command::switchyard, eventually, guests,
    scripts, wait::DEADLINE,
};

use crate::{
    conf::everything_to,
    policies::{balanced, policy_status},
};

#[test]
fn the_status_names_listeners_members_and_policies() {
    let (a, b) = Member::pair();
    let gateway = Gateway::start(everything_to(&[&a, &b], "stickysession = \"S\""));
    for _ in 0..4 {
        gateway.get("/");
    }
    // A member is busy until its body has ended, a moment after the client has read it.
    gateway.wait_for_status("nobody is busy", |status| {
        let members = status["balancers"]["cl"]["members"].as_array();
        members.is_some_and(|all| all.iter().all(|m| m["busy"] == 0))
    });
    let status = gateway.status();
    assert!(
        status["listeners"]
            .to_string()
            .contains(&gateway.addr().to_string()),
        "{status:#}"
    );
    let members = status["balancers"]["cl"]["members"].as_array().unwrap();
    assert_eq!(members.len(), 2);
    for (member, running) in members.iter().zip([&a, &b]) {
        assert!(
            member["id"].as_str().unwrap().starts_with(&running.url()),
            "{member}"
        );
        assert_eq!(member["route"], running.name());
        assert_eq!(member["state"], "ok");
        assert_eq!(member["elected"], 2);
        assert_eq!(member["busy"], 0);
        assert!(
            member["bytes_in"].as_u64().unwrap() > 0 && member["bytes_out"].as_u64().unwrap() > 0,
            "{member}"
        );
    }
    let policies = status["policies"].as_array().unwrap();
    for name in ["byrequests", "jsessionid"] {
        let policy = policies
            .iter()
            .find(|p| p["name"].as_str().is_some_and(|n| n.ends_with(name)));
        let policy = policy.unwrap_or_else(|| panic!("no {name} in {status:#}"));
        assert_eq!(policy["digest"].as_str().unwrap().len(), 64, "{policy}");
    }
}

#[test]
fn a_foreign_host_is_refused() {
    let a = Member::start("a", scripts::name());
    let gateway = Gateway::start(everything_to(&[&a], ""));
    let addr = gateway.admin_addr();
    let ask = |host: &str| {
        Client::connect(addr)
            .ask(&Request::get("/status").host(host))
            .status
    };
    assert_eq!(ask(&addr.to_string()), 200);
    assert_eq!(ask(&format!("localhost:{}", addr.port())), 200);
    // A page in a browser whose name was rebound to 127.0.0.1.
    for host in [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
    ] {
        assert!(matches!(ask(host), 400 | 403 | 421), "{host}");
    }
}

#[test]
fn further_hosts_are_configured() {
    let a = Member::start("a", scripts::name());
    let gateway = Setup::new(everything_to(&[&a], ""))
        .admin("[admin]\nlisten = \"127.0.0.1:0\"\nhosts = [\"admin.internal\"]\n")
        .start();
    let response =
        Client::connect(gateway.admin_addr()).ask(&Request::get("/status").host("admin.internal"));
    assert_eq!(response.status, 200);
}

/// The answer's status. One who stops listening meanwhile gives none.
fn asked(addr: SocketAddr, host: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(addr).ok()?;
    stream.set_read_timeout(Some(DEADLINE)).ok()?;
    write!(stream, "GET /status HTTP/1.1\r\nHost: {host}\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

#[test]
fn a_reload_moves_it_and_changes_its_hosts() {
    let a = Member::start("a", scripts::name());
    let (one, two) = (ReservedPort::new(), ReservedPort::new());
    let table = |port: &ReservedPort| format!("[admin]\nlisten = \"{}\"\n", port.addr());
    let setup = Setup::new(everything_to(&[&a], "")).admin(&table(&one));
    let (text, now) = (setup.text(), table(&one));
    let gateway = setup.start();
    let load = |admin: &str| {
        gateway.replace_file("switchyard.toml", text.replace(&now, admin));
        gateway.signal(libc::SIGHUP);
    };
    let answers = |port: &ReservedPort, host: &str, status: Option<u16>| {
        eventually(
            &format!("{host} at {}: {status:?}", port.addr()),
            DEADLINE,
            || (asked(port.addr(), host) == status).then_some(()),
        );
    };
    answers(&one, "localhost", Some(200));
    answers(&one, "admin.internal", Some(421));
    load(&format!("{now}hosts = [\"admin.internal\"]\n"));
    answers(&one, "admin.internal", Some(200));
    load(&now);
    answers(&one, "admin.internal", Some(421));
    // Elsewhere, with a host.
    load(&format!("{}hosts = [\"admin.internal\"]\n", table(&two)));
    answers(&two, "admin.internal", Some(200));
    answers(&one, "localhost", None);
    // Nowhere.
    load("");
    answers(&two, "localhost", None);
    assert_eq!(gateway.get("/").text(), "a");
    // And again.
    load(&now);
    answers(&one, "localhost", Some(200));
    assert_eq!(gateway.status()["config"]["generation"], 6);
}

#[test]
fn an_address_that_is_taken_refuses_the_reload() {
    let a = Member::start("a", scripts::name());
    let gateway = Gateway::start(everything_to(&[&a], ""));
    let text = fs::read_to_string(gateway.file()).unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap();
    let next = text
        .replace(
            "[admin]\nlisten = \"127.0.0.1:0\"",
            &format!("[admin]\nlisten = \"{taken}\""),
        )
        .replace("path = \"/\"", "path = \"/only\"");
    gateway.replace_file("switchyard.toml", &next);
    gateway.signal(libc::SIGHUP);
    gateway.wait_for_status("the status says why", |status| {
        let what = status["config"]["last_error"]["what"].as_str();
        what.is_some_and(|what| what.contains(&taken.to_string()))
    });
    assert_eq!(
        gateway.get("/").text(),
        "a",
        "nothing else of it is in service"
    );
    assert_eq!(gateway.status()["config"]["generation"], 1);
    // No file changes when the port becomes free, so it takes a signal.
    drop(other);
    gateway.signal(libc::SIGHUP);
    eventually("it has moved", DEADLINE, || {
        (asked(taken, "localhost") == Some(200)).then_some(())
    });
    assert_eq!(gateway.get("/").status, 404);
    assert_eq!(gateway.get("/only").text(), "a");
}

#[test]
fn nothing_can_be_changed_through_it() {
    let a = Member::start("a", scripts::name());
    let gateway = Gateway::start(everything_to(&[&a], ""));
    let addr = gateway.admin_addr();
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let request = Request::new(method, "/status")
            .host(&addr.to_string())
            .field("Content-Length", "0");
        assert_eq!(Client::connect(addr).ask(&request).status, 405, "{method}");
    }
    let other = Client::connect(addr).ask(&Request::get("/other").host(&addr.to_string()));
    assert_eq!(other.status, 404);
}

#[test]
fn it_listens_on_a_unix_socket_where_configured() {
    let a = Member::start("a", scripts::name());
    let setup = Setup::new(everything_to(&[&a], ""));
    let socket = setup.dir().join("admin.sock");
    let gateway = setup
        .admin(&format!(
            "[admin]\nlisten = \"unix:{}\"\n",
            socket.display()
        ))
        .start();
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream
        .write_all(b"GET /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("\"balancers\""),
        "{answer}"
    );
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o007, 0, "nobody else may connect: {mode:o}");
    drop(gateway);
}

#[test]
fn the_status_command_shows_what_is_in_service() {
    let (a, b) = Member::pair();
    let gateway = Gateway::start(everything_to(&[&a, &b], ""));
    gateway.get("/");
    let said = switchyard(&["status", "--admin", &gateway.admin_addr().to_string()]);
    assert!(said.status.success(), "{said:?}");
    let text = said.out;
    for part in [
        a.addr().to_string(),
        b.addr().to_string(),
        "byrequests".into(),
        gateway.addr().to_string(),
    ] {
        assert!(text.contains(&part), "{part} in {text}");
    }
    let nobody = ReservedPort::new();
    let said = switchyard(&["status", "--admin", &nobody.addr().to_string()]);
    assert!(!said.status.success());
    assert!(!said.err.is_empty(), "it says that nobody answered");
}

#[test]
fn the_status_command_finds_the_gateway_by_its_configuration_or_its_socket() {
    let a = Member::start("a", scripts::name());
    let port = ReservedPort::new();
    let gateway = Setup::new(everything_to(&[&a], ""))
        .admin(&format!("[admin]\nlisten = \"{}\"\n", port.addr()))
        .start();
    let file = gateway.file().display().to_string();
    let said = switchyard(&["status", "-c", &file]);
    assert!(said.status.success(), "{said:?}");
    assert!(said.out.contains(&a.addr().to_string()), "{}", said.out);
    // The document that the gateway sent, times and counters aside.
    let said = switchyard(&["status", "-c", &file, "--json"]);
    assert!(said.status.success(), "{said:?}");
    let document: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let status = gateway.status();
    for part in ["pid", "version", "listeners", "config", "policies"] {
        assert_eq!(document[part], status[part], "{part}");
    }

    let setup = Setup::new(everything_to(&[&a], ""));
    let socket = format!("unix:{}", setup.dir().join("admin.sock").display());
    let _gateway = setup
        .admin(&format!("[admin]\nlisten = \"{socket}\"\n"))
        .start();
    let said = switchyard(&["status", "--admin", &socket]);
    assert!(said.status.success(), "{said:?}");
    assert!(said.out.contains(&a.addr().to_string()), "{}", said.out);

    let without = Setup::new(everything_to(&[&a], "")).admin("");
    let file = without.dir().join("other.toml").display().to_string();
    let text = without.text();
    let without = without.file("other.toml", text);
    let said = switchyard(&["status", "-c", &file]);
    assert_eq!(said.status.code(), Some(64), "{said:?}");
    assert!(said.err.contains("no admin listener"), "{said:?}");
    drop(without);
}

#[test]
fn the_status_command_tells_a_policys_history_and_why_its_latest_version_was_refused() {
    let (_members, setup) = balanced("count", "", "");
    let gateway = setup
        .file("p.wasm", guests::marked("balancer", "v1"))
        .start();
    let digest = || policy_status(&gateway, "p")["digest"].as_str().unwrap()[..12].to_owned();
    let first = digest();
    gateway.replace_file("p.wasm", guests::marked("balancer", "v2"));
    gateway.wait_for_status("the second version", |_| digest() != first);
    let second = digest();
    gateway.replace_file("p.wasm", guests::marked("balancer", "trap-in-init"));
    gateway.wait_for_status("the third is refused", |_| {
        !policy_status(&gateway, "p")["last_error"].is_null()
    });
    let said = switchyard(&["status", "--admin", &gateway.admin_addr().to_string()]);
    assert!(said.status.success(), "{said:?}");
    let line = |words: &[&str]| {
        let found = said
            .out
            .lines()
            .any(|l| words.iter().all(|w| l.contains(w)));
        assert!(found, "{words:?} in {}", said.out);
    };
    line(&["init: trapped"]);
    line(&[&second, "file changed"]);
    line(&[&first, "start"]);
    line(&["refused"]);
}
