//! The configuration changes while requests flow.

use std::{fs, net::TcpListener, os::unix::fs::symlink, thread};

use switchyard_tests::{
    Client, Gateway, Member, Request, SetOnDrop, Setup, eventually, scripts, wait::DEADLINE,
};

use crate::conf::everything_to;

fn wait_for_answer(gateway: &Gateway, text: &str) {
    eventually(&format!("{text:?} answers"), DEADLINE, || {
        (gateway.get("/").text() == text).then_some(())
    });
}

/// The configuration, and the same with the second member in the first one's place.
fn texts(setup: &Setup, a: &Member, b: &Member) -> (String, String) {
    let text = setup.text();
    let other = text.replace(&a.addr().to_string(), &b.addr().to_string());
    (text, other)
}

#[test]
fn sighup_takes_the_new_configuration_into_service() {
    let (a, b) = Member::pair();
    let gateway = Gateway::start(everything_to(&[&a], ""));
    assert_eq!(gateway.get("/").text(), "a");
    let text = fs::read_to_string(gateway.file()).unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap();
    let more = format!("[[listener]]\nbind = \"{taken}\"\n[[vhost]]");
    let next = text
        .replace("[[vhost]]", &more)
        .replace(&a.addr().to_string(), &b.addr().to_string());
    gateway.replace_file("switchyard.toml", next);
    gateway.wait_for_status("it is refused for the port", |status| {
        let what = status["config"]["last_error"]["what"].as_str();
        what.is_some_and(|what| what.contains(&taken.to_string()))
    });
    assert_eq!(gateway.get("/").text(), "a");
    // A port that becomes free changes no file: nobody but the signal says so.
    drop(other);
    gateway.signal(libc::SIGHUP);
    wait_for_answer(&gateway, "b");
    assert_eq!(Client::connect(taken).get("/").text(), "b");
}

#[test]
fn a_changed_file_is_noticed_without_a_signal() {
    let (a, b) = Member::pair();
    let gateway = Gateway::start(everything_to(&[&a], ""));
    let (for_a, for_b) = (
        fs::read_to_string(gateway.file()).unwrap(),
        fs::read_to_string(gateway.file())
            .unwrap()
            .replace(&a.addr().to_string(), &b.addr().to_string()),
    );
    // As editors do: beside, then over.
    gateway.replace_file("switchyard.toml", &for_b);
    wait_for_answer(&gateway, "b");
    // As shells do: truncate, then write.
    gateway.write_file("switchyard.toml", &for_a);
    wait_for_answer(&gateway, "a");
    // Deleted and created again; meanwhile the old one serves.
    fs::remove_file(gateway.file()).unwrap();
    assert_eq!(gateway.get("/").text(), "a");
    gateway.write_file("switchyard.toml", &for_b);
    wait_for_answer(&gateway, "b");
}

#[test]
fn a_symlink_that_is_swapped_is_noticed() {
    // As Kubernetes mounts a ConfigMap: file -> ..data/file, ..data -> a folder with a date.
    let (a, b) = Member::pair();
    let setup = Setup::new(everything_to(&[&a], ""));
    let (text, other) = texts(&setup, &a, &b);
    let mut setup = setup
        .file("..one/real.toml", text)
        .file("..two/real.toml", other);
    let dir = setup.dir().to_owned();
    symlink("..one", dir.join("..data")).unwrap();
    setup = setup.linked("..data/real.toml");
    let gateway = setup.start();
    assert_eq!(gateway.get("/").text(), "a");
    symlink("..two", dir.join("..data_new")).unwrap();
    fs::rename(dir.join("..data_new"), dir.join("..data")).unwrap();
    wait_for_answer(&gateway, "b");
}

#[test]
fn a_whole_folder_that_is_swapped_is_noticed() {
    let (a, b) = Member::pair();
    let setup = Setup::new(everything_to(&[&a], ""));
    let (text, other) = texts(&setup, &a, &b);
    let setup = setup
        .file("etc/real.toml", text)
        .file("etc.new/real.toml", other)
        .linked("etc/real.toml");
    let dir = setup.dir().to_owned();
    let gateway = setup.start();
    assert_eq!(gateway.get("/").text(), "a");
    fs::rename(dir.join("etc"), dir.join("etc.old")).unwrap();
    fs::rename(dir.join("etc.new"), dir.join("etc")).unwrap();
    wait_for_answer(&gateway, "b");
}

#[test]
fn a_bad_configuration_keeps_the_old_one_in_service_and_says_why() {
    let (a, b) = Member::pair();
    let mut gateway = Gateway::start(everything_to(&[&a], ""));
    for (bad, why) in [
        ("[[vhost\n", "unclosed array"),
        ("[[vhost]]\nnmae = \"x\"\n", "nmae"),
        ("", "`vhost` is missing"),
    ] {
        gateway.rewrite(bad);
        gateway.signal(libc::SIGHUP);
        gateway.wait_for_status(&format!("the status says why: {why}"), |s| {
            let what = s["config"]["last_error"]["what"].as_str();
            what.is_some_and(|what| what.contains(why))
        });
        gateway.wait_for_log(&["switchyard.toml", why]);
        for _ in 0..5 {
            assert_eq!(gateway.get("/").text(), "a");
        }
    }
    gateway.rewrite(everything_to(&[&b], ""));
    gateway.signal(libc::SIGHUP);
    wait_for_answer(&gateway, "b");
    gateway.wait_for_status("and that it is over", |s| {
        s["config"]["last_error"].is_null()
    });
}

#[test]
fn counters_connections_and_requests_in_flight_survive() {
    let a = Member::start("a", scripts::name());
    let b = Member::start("b", scripts::name());
    let mut gateway = Gateway::start(everything_to(&[&a], ""));
    let mut kept = gateway.connect();
    for _ in 0..5 {
        assert_eq!(kept.get("/").text(), "a");
    }
    a.becomes(scripts::held());
    let mut in_flight = gateway.connect();
    in_flight.send(Request::get("/").bytes());
    a.wait_for_note("holding");
    gateway.rewrite(everything_to(&[&a, &b], "retry = \"7s\""));
    gateway.signal(libc::SIGHUP);
    gateway.wait_for_status("b has joined", |s| {
        s["balancers"]["cl"]["members"]
            .as_array()
            .is_some_and(|m| m.len() == 2)
    });
    let status = gateway.member_status("cl", "a");
    assert_eq!(
        (&status["elected"], &status["busy"]),
        (&6.into(), &1.into())
    );
    a.open_gate();
    assert_eq!(in_flight.response().text(), "a");
    assert!(kept.get("/").status == 200, "the connection was kept");
}

#[test]
fn a_request_whose_member_is_removed_is_finished_by_it() {
    let (a, b) = (
        Member::start("a", scripts::held()),
        Member::start("b", scripts::name()),
    );
    let mut gateway = Gateway::start(everything_to(&[&a], ""));
    let mut client = gateway.connect();
    client.send(Request::get("/").bytes());
    a.wait_for_note("holding");
    gateway.rewrite(everything_to(&[&b], ""));
    gateway.signal(libc::SIGHUP);
    // A request that came before the reload would be held as well: ask nobody but the status.
    gateway.wait_for_status("b has taken over", |status| {
        let members = status["balancers"]["cl"]["members"].to_string();
        members.contains(&b.url()) && !members.contains(&a.url())
    });
    wait_for_answer(&gateway, "b");
    a.open_gate();
    assert_eq!(client.response().text(), "a");
}

#[test]
fn listeners_come_and_go() {
    let a = Member::start("a", scripts::name());
    let port = switchyard_tests::ReservedPort::new();
    let body = everything_to(&[&a], "");
    let gateway = Gateway::start(body.clone());
    let before = fs::read_to_string(gateway.file()).unwrap();
    let more = before.replace(
        "[[vhost]]",
        &format!("[[listener]]\nbind = \"{}\"\n[[vhost]]", port.addr()),
    );
    gateway.replace_file("switchyard.toml", more);
    gateway.signal(libc::SIGHUP);
    let connect = || std::net::TcpStream::connect(port.addr());
    eventually("the new one listens", DEADLINE, || connect().ok());
    assert_eq!(Client::connect(port.addr()).get("/").text(), "a");
    let mut kept = gateway.connect();
    assert_eq!(kept.get("/").text(), "a");
    gateway.replace_file("switchyard.toml", before);
    gateway.signal(libc::SIGHUP);
    eventually("it is gone", DEADLINE, || connect().is_err().then_some(()));
    assert_eq!(
        kept.get("/").text(),
        "a",
        "connections of the other listener are not touched"
    );
}

#[test]
fn no_request_fails_while_the_configuration_changes_without_pause() {
    let (a, b) = Member::pair();
    let mut gateway = Gateway::start(everything_to(&[&a, &b], ""));
    let addr = gateway.addr();
    let done = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        let ending = SetOnDrop(&done);
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let done = &done;
                scope.spawn(move || {
                    let mut client = Client::connect(addr);
                    let mut n = 0;
                    while !done.load(std::sync::atomic::Ordering::Relaxed) {
                        let response = client.get("/");
                        assert_eq!(response.status, 200);
                        assert!(
                            !response.head.closes(),
                            "no kept-alive connection ends with a reload"
                        );
                        n += 1;
                    }
                    n
                })
            })
            .collect();
        let mut generation = 0;
        for round in 0..20 {
            gateway.rewrite(everything_to(
                &[&a, &b],
                &format!("retry = \"{}s\"", round + 1),
            ));
            gateway.signal(libc::SIGHUP);
            let status = gateway.wait_for_status("a new generation", |s| {
                s["config"]["generation"].as_u64() > Some(generation)
            });
            generation = status["config"]["generation"].as_u64().unwrap();
        }
        drop(ending);
        let served: u32 = clients.into_iter().map(|c| c.join().unwrap()).sum();
        assert!(served > 100, "{served}");
    });
}
