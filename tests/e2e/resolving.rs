//! Members that are named, and where their names lead.

use std::net::Ipv4Addr;

use switchyard_tests::{
    Gateway, Member, NameServer, ReservedPort, Setup, eventually, guests, scripts, wait::DEADLINE,
};

use crate::conf::site;

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const THERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// One port of two addresses, and whoever listens there.
fn twins() -> (Member, Member) {
    let here = Member::start("here", scripts::name());
    let port = ReservedPort::at((THERE, here.addr().port()).into());
    (here, Member::at("there", port, scripts::name()))
}

fn named(server: &NameServer, port: u16) -> Setup {
    let member = format!(
        "[balancer.cl]\nmembers = [{{ url = \"http://app.example:{port}\", route = \"a\" }}]\n"
    );
    Setup::new(site(&[("/", "balancer = \"cl\"")]) + &member)
        .top(&format!("name_servers = [\"{}\"]", server.addr()))
}

fn wait_for(gateway: &Gateway, name: &str) {
    eventually("it is served by whom the name leads to", DEADLINE, || {
        (gateway.get("/").text() == name).then_some(())
    });
}

#[test]
fn a_member_moves_with_its_name_once_the_ttl_is_over() {
    let server = NameServer::start(Some((HERE, 1)));
    let (here, there) = twins();
    let gateway = named(&server, here.addr().port()).start();
    assert_eq!(
        gateway.get("/").text(),
        "here",
        "it is ready when it says so"
    );
    assert!(here.open_connections() > 0, "a connection is kept");
    server.says(Some((THERE, 1)));
    wait_for(&gateway, "there");
    // Whatever was kept open led to where the member is no more.
    let before = here.hits();
    for _ in 0..20 {
        assert_eq!(gateway.get("/").text(), "there");
    }
    assert_eq!(here.hits(), before);
    assert_eq!(there.hits(), 21);
    let addresses = &gateway.member_status("cl", "a")["addresses"];
    let expected = format!("{THERE}:{}", here.addr().port());
    assert_eq!(addresses.as_array().unwrap(), &[expected]);
}

#[test]
fn a_name_is_not_asked_for_before_its_ttl_is_over() {
    let often = NameServer::start(Some((HERE, 1)));
    let seldom = NameServer::start(Some((HERE, 3600)));
    let (here, _there) = twins();
    let port = here.addr().port();
    let slow = named(&seldom, port).start();
    let _fast = named(&often, port).start();
    assert_eq!(slow.get("/").status, 200);
    let first = seldom.asked();
    eventually("three TTLs of a second are over", DEADLINE, || {
        (often.asked() >= 4).then_some(())
    });
    assert_eq!(seldom.asked(), first);
}

#[test]
fn a_member_stays_where_it_was_while_the_name_server_fails() {
    let server = NameServer::start(Some((HERE, 1)));
    let (here, _there) = twins();
    let gateway = named(&server, here.addr().port()).start();
    server.says(None);
    gateway.wait_for_log(&["does not resolve", "app.example"]);
    assert_eq!(gateway.get("/").text(), "here");
    server.says(Some((THERE, 1)));
    wait_for(&gateway, "there");
}

#[test]
fn a_reload_may_name_other_name_servers() {
    let (first, second) = (
        NameServer::start(Some((HERE, 3600))),
        NameServer::start(Some((THERE, 3600))),
    );
    let (here, _there) = twins();
    let gateway = named(&first, here.addr().port()).start();
    assert_eq!(gateway.get("/").text(), "here");
    let text = std::fs::read_to_string(gateway.file()).unwrap();
    let text = text.replace(&first.addr().to_string(), &second.addr().to_string());
    gateway.replace_file("switchyard.toml", text);
    wait_for(&gateway, "there");
}

#[test]
fn a_reload_that_is_refused_leaves_the_name_servers_as_they_are() {
    let (first, second) = (
        NameServer::start(Some((HERE, 1))),
        NameServer::start(Some((THERE, 1))),
    );
    let (here, _there) = twins();
    let gateway = named(&first, here.addr().port()).start();
    let text = std::fs::read_to_string(gateway.file()).unwrap();
    let text = text
        .replace(&first.addr().to_string(), &second.addr().to_string())
        .replace("members = [", "lbmethod = \"policy:p\"\nmembers = [");
    // A rewriter chooses nobody, which is found out last.
    gateway.replace_file("p.wasm", guests::component("rewriter"));
    let refused = text + "[policy.p]\nsource = \"p.wasm\"\n";
    gateway.replace_file("switchyard.toml", refused);
    gateway.wait_for_status("it is refused for the policy", |status| {
        let what = status["config"]["last_error"]["what"].as_str();
        what.is_some_and(|what| what.contains("needs a policy that exports"))
    });
    let before = first.asked();
    eventually("three TTLs of a second are over", DEADLINE, || {
        (first.asked() >= before + 4).then_some(())
    });
    assert_eq!(second.asked(), 0);
    assert_eq!(gateway.get("/").text(), "here");
}
