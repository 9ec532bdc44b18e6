//! Access log and error log.

use std::fs;

use serde_json::Value;
use switchyard_tests::{
    Gateway, Member, Request, Setup, eventually, guests, scripts, wait::DEADLINE,
};

use crate::conf::{balancer, entry, everything_to, site};

/// Everything goes to `a` and `b`; the access log has this format.
fn logged(format: &str, keys: &str) -> (Vec<Member>, Gateway) {
    let members: Vec<Member> = ["a", "b"]
        .into_iter()
        .map(|n| Member::start(n, scripts::name()))
        .collect();
    let log = format!("[log]\naccess = {{ path = \"logs/access.log\", format = {format:?} }}\n");
    let setup =
        Setup::new(log + &everything_to(&[&members[0], &members[1]], keys)).arguments(IN_ORDER);
    fs::create_dir(setup.dir().join("logs")).unwrap();
    (members, setup.start())
}

/// One worker writes its lines in the order in which it answers.
const IN_ORDER: &[&str] = &["--workers", "1"];

/// Waits for so many lines.
fn lines(gateway: &Gateway, file: &str, n: usize) -> Vec<String> {
    eventually(&format!("{n} lines in {file}"), DEADLINE, || {
        let text = fs::read_to_string(gateway.dir().join(file)).ok()?;
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        (lines.len() >= n && text.ends_with('\n')).then_some(lines)
    })
}

#[test]
fn common_and_combined_are_as_every_tool_reads_them() {
    let (_m, gateway) = logged("common", "");
    gateway.ask(
        &Request::get("/x?y=1")
            .field("Referer", "http://r/")
            .field("User-Agent", "test/1 \"quoted\""),
    );
    let line = &lines(&gateway, "logs/access.log", 1)[0];
    let rest = line
        .strip_prefix("127.0.0.1 - - [")
        .unwrap_or_else(|| panic!("{line}"));
    let (time, rest) = rest.split_once("] ").unwrap();
    assert_eq!(time.len(), "10/Oct/2000:13:55:36 -0700".len(), "{time}");
    assert_eq!(rest, "\"GET /x?y=1 HTTP/1.1\" 200 1");

    let (_m, gateway) = logged("combined", "");
    gateway.ask(
        &Request::get("/x")
            .field("Referer", "http://r/")
            .field("User-Agent", "test/1 \"quoted\""),
    );
    let line = &lines(&gateway, "logs/access.log", 1)[0];
    assert!(
        line.ends_with("200 1 \"http://r/\" \"test/1 \\\"quoted\\\"\""),
        "{line}"
    );
}

#[test]
fn json_lines_carry_the_balancing_facts() {
    let (_m, gateway) = logged("json", "stickysession = \"S\"");
    gateway.ask(
        &Request::get("/x")
            .host("front.example.com:81")
            .cookie("S=1.b"),
    );
    gateway.ask(&Request::get("/y").cookie("S=1.gone"));
    let lines = lines(&gateway, "logs/access.log", 2);
    let first: Value =
        serde_json::from_str(&lines[0]).unwrap_or_else(|e| panic!("{e}: {}", lines[0]));
    let text = first.to_string();
    for part in [
        "\"GET\"",
        "/x",
        "200",
        "front.example.com",
        "\"b\"",
        "127.0.0.1",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let second: Value = serde_json::from_str(&lines[1]).unwrap();
    let moved = |value: &Value| value.get("moved").cloned();
    assert_eq!(
        (moved(&first), moved(&second)),
        (Some(false.into()), Some(true.into())),
        "{second}"
    );
}

#[test]
fn a_format_string_takes_httpds_letters() {
    let (_m, gateway) = logged("%m|%U|%q|%H|%>s|%{Host}i|%{X-Member}o|%b|%v|%a", "");
    gateway.ask(&Request::get("/x/y?z=1").host("front.example.com"));
    let line = &lines(&gateway, "logs/access.log", 1)[0];
    assert_eq!(
        line,
        "GET|/x/y|?z=1|HTTP/1.1|200|front.example.com|a|1|front.example.com|127.0.0.1"
    );
}

#[test]
fn a_client_cannot_forge_log_lines() {
    let (_m, gateway) = logged("combined", "");
    gateway
        .ask(&Request::get("/x%0a127.0.0.1%20-%20forged").field("User-Agent", "a\"\\b\tc\u{e9}"));
    gateway.get("/next");
    let lines = lines(&gateway, "logs/access.log", 1);
    assert!(
        lines.iter().all(|l| l.starts_with("127.0.0.1 - - [")),
        "{lines:?}"
    );
    let agent = &lines[0];
    assert!(
        !agent.contains('\t') && !agent.contains("\"a\"\\b"),
        "{agent}"
    );
}

#[test]
fn refused_and_failed_requests_are_logged_too() {
    let log = "[log]\naccess = { path = \"access.log\", format = \"%>s %m %I %X %{error}x\" }\n";
    let limits = "[limits]\nhead_size = \"1KiB\"\nhead_timeout = \"300ms\"\n";
    let dead = switchyard_tests::ReservedPort::new();
    let gateway = Setup::new(
        log.to_owned()
            + limits
            + &site(&[("/dead", "balancer = \"cl\"")])
            + &balancer("cl", "", &[entry(&dead, "")]),
    )
    .arguments(IN_ORDER)
    .start();
    let dead_end = Request::get("/dead");
    gateway.ask(&dead_end);
    // Its body is thrown away, but has come.
    let unwanted = Request::post("/nothing", "x".repeat(100));
    gateway.ask(&unwanted);
    let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(2000));
    for head in [
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "no request\r\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
        &long,
    ] {
        gateway.raw(head);
    }
    let mut stalled = gateway.connect();
    stalled.send("GET / HT");
    assert_eq!(stalled.response().status, 408);
    let mut leaver = gateway.connect();
    leaver.send("GET / H");
    drop(leaver);
    let told: Vec<String> = lines(&gateway, "access.log", 8);
    assert_eq!(
        told,
        [
            format!("502 GET {} + connect_refused", dead_end.bytes().len()),
            format!("404 POST {} + not_found", unwanted.bytes().len()),
            "400 GET 36 - malformed".to_owned(),
            "400 - 14 - malformed".to_owned(),
            "505 - 18 - malformed".to_owned(),
            format!("431 - {} - malformed", long.len()),
            "408 - 8 - head_timeout".to_owned(),
            "499 - 7 X client_left".to_owned(),
        ]
    );
}

#[test]
fn the_client_is_whom_trusted_proxies_name() {
    let a = Member::start("a", scripts::name());
    let log = "[log]\naccess = { path = \"access.log\", format = \"%h %a %{c}a %>s\" }\n";
    let claim = |path: &str| Request::get(path).field("X-Forwarded-For", "198.51.100.1, 192.0.2.7");
    let trusting = Setup::new(log.to_owned() + &everything_to(&[&a], ""))
        .top("trusted_proxies = [\"127.0.0.0/8\"]")
        .arguments(IN_ORDER)
        .start();
    trusting.ask(&claim("/"));
    // Refused before anybody looked at whom it is for.
    trusting.ask(&claim("/").host("bad host"));
    assert_eq!(
        lines(&trusting, "access.log", 2),
        [
            "192.0.2.7 192.0.2.7 127.0.0.1 200",
            "192.0.2.7 192.0.2.7 127.0.0.1 400"
        ]
    );
    let careful = Setup::new(log.to_owned() + &everything_to(&[&a], "")).start();
    careful.ask(&claim("/"));
    assert_eq!(
        lines(&careful, "access.log", 1),
        ["127.0.0.1 127.0.0.1 127.0.0.1 200"]
    );
}

#[test]
fn bytes_hosts_and_times_are_what_they_were() {
    let format = "%I %O %S %B %V %k %X %D %{policy_us}x";
    let (_m, gateway) = logged(format, "");
    let mut client = gateway.connect();
    let mut exchanges = Vec::new();
    for body in ["x".repeat(1000), String::new()] {
        let request = Request::post("/x", body).host("Front.example.com:8080");
        let response = client.ask(&request);
        exchanges.push((request.bytes().len(), response.head.raw.len() + 1));
    }
    let told = lines(&gateway, "logs/access.log", 2);
    for (k, (line, (received, sent))) in told.iter().zip(exchanges).enumerate() {
        let both = received + sent;
        let facts = format!("{received} {sent} {both} 1 Front.example.com {k} + ");
        let times = line.strip_prefix(&facts);
        let times = times.unwrap_or_else(|| panic!("{facts:?} in {told:?}"));
        let (all, policy) = times.split_once(' ').expect("two times");
        let (all, policy): (u64, u64) = (all.parse().unwrap(), policy.parse().unwrap());
        assert!(0 < policy && policy <= all && all < 15_000_000, "{line}");
    }
    let chunked = "POST / HTTP/1.1\r\nHost: h:1\r\nTransfer-Encoding: chunked\r\n\r\n";
    gateway.raw(format!("{chunked}5\r\nhello\r\n0\r\n\r\n"));
    let told = lines(&gateway, "logs/access.log", 3);
    assert!(
        told[2].starts_with(&format!("{} ", chunked.len() + 5)),
        "{told:?}"
    );
}

#[test]
fn a_vhost_has_logs_of_its_own() {
    let a = Member::start("a", scripts::name());
    let gateway = Setup::new(format!(
        "[log]\naccess = {{ path = \"all.log\", format = \"%U\" }}\n\
         [[vhost]]\nname = \"one.example\"\ndefault = true\nlog = {{ access = {{ path = \"one.log\", format = \"%U\" }} }}\n\
         [[vhost.route]]\npath = \"/\"\nbalancer = \"cl\"\n\
         [[vhost]]\nname = \"two.example\"\n[[vhost.route]]\npath = \"/\"\nbalancer = \"cl\"\n{}",
        balancer("cl", "", &[entry(&a, "")])
    ))
    .start();
    gateway.ask(&Request::get("/1").host("one.example"));
    gateway.ask(&Request::get("/2").host("two.example"));
    assert_eq!(lines(&gateway, "one.log", 1), ["/1"]);
    assert_eq!(lines(&gateway, "all.log", 1), ["/2"]);
}

#[test]
fn sigusr1_reopens_both_logs() {
    let mut a = Member::start("a", scripts::name());
    let log = "[log]\naccess = { path = \"access.log\", format = \"%U\" }\nerror = { path = \"error.log\", level = \"info\" }\n";
    let gateway = Setup::new(log.to_owned() + &everything_to(&[&a], "")).start();
    gateway.get("/1");
    assert_eq!(lines(&gateway, "access.log", 1), ["/1"]);
    let dir = gateway.dir().to_owned();
    for name in ["access", "error"] {
        fs::rename(
            dir.join(format!("{name}.log")),
            dir.join(format!("{name}.log.1")),
        )
        .unwrap();
    }
    gateway.signal(libc::SIGUSR1);
    eventually("both are there again", DEADLINE, || {
        (dir.join("access.log").exists() && dir.join("error.log").exists()).then_some(())
    });
    gateway.get("/2");
    assert_eq!(lines(&gateway, "access.log", 1), ["/2"]);
    assert_eq!(lines(&gateway, "access.log.1", 1), ["/1"]);
    let before = fs::read_to_string(dir.join("error.log.1")).unwrap();
    a.crash();
    assert_eq!(gateway.get("/3").status, 502);
    eventually("the error is in the new file", DEADLINE, || {
        let text = fs::read_to_string(dir.join("error.log")).ok()?;
        text.contains("No member answered").then_some(())
    });
    let after = fs::read_to_string(dir.join("error.log.1")).unwrap();
    assert_eq!(after, before, "and not in the old one");
}

#[test]
fn the_error_log_says_what_failed() {
    let dead = switchyard_tests::ReservedPort::new();
    let gateway = Gateway::start(
        site(&[("/", "balancer = \"cl\"")]) + &balancer("cl", "", &[entry(&dead, "")]),
    );
    gateway.get("/");
    gateway.wait_for_log(&[&dead.addr().to_string()]);
    let line = gateway.wait_for_log(&["Member is blocked"]);
    assert!(line.contains(" cause=connect_refused retry=60s"), "{line}");
}

#[test]
fn versions_in_the_error_log_are_named_and_what_is_not_there_is_left_out() {
    let member = Member::start("a", scripts::name());
    let text = site(&[("/", "balancer = \"cl\"\nrewrite = \"policy:r\"")])
        + &balancer("cl", "", &[entry(&member, "")])
        + "[policy.r]\nsource = \"r.wasm\"\n";
    let first = guests::marked("rewriter", "v1");
    let gateway = Setup::new(text).file("r.wasm", first).start();
    let line = gateway.wait_for_log(&["Policy is in service"]);
    assert!(!line.contains("before"), "{line}");
    let digest = line.split_once(" digest=").unwrap().1;
    let digest = digest.split_once('…').unwrap().0.to_owned();
    assert_eq!(digest.len(), 12, "{line}");

    gateway.replace_file("r.wasm", b"\0asm half");
    let line = gateway.wait_for_log(&["Policy is refused"]);
    assert!(line.contains(&format!(" stays={digest}… ")), "{line}");
    assert!(!line.contains("Some"), "{line}");

    fs::remove_file(gateway.dir().join("r.wasm")).unwrap();
    let line = gateway.wait_for_log(&["Policy is refused", "cannot be read"]);
    assert!(
        !line.contains("digest=") && !line.contains("None"),
        "{line}"
    );

    gateway.replace_file("r.wasm", guests::marked("rewriter", "v2"));
    let line = gateway.wait_for_log(&["Policy is in service", "before="]);
    assert!(line.contains(&format!(" before={digest}… ")), "{line}");
}

#[test]
fn a_full_disk_stops_no_traffic() {
    let a = Member::start("a", scripts::name());
    // Writing to /dev/full gives ENOSPC, every time.
    let log = "[log]\naccess = { path = \"/dev/full\", format = \"common\" }\nerror = { path = \"/dev/full\", level = \"debug\" }\n";
    let gateway = Setup::new(log.to_owned() + &everything_to(&[&a], "")).start();
    let mut client = gateway.connect();
    for _ in 0..2000 {
        assert_eq!(client.get("/").status, 200);
    }
    gateway.terminate();
}

#[test]
fn a_format_string_takes_the_balancing_facts() {
    let format = "%{route}x %{balancer}x %{member_route}x %{session_route}x %{moved}x %{attempts}x %{policy}x %{error}x";
    let (mut members, gateway) = logged(format, "stickysession = \"S\"\nretry = \"60s\"");
    gateway.ask(&Request::get("/").cookie("S=1.b"));
    members[1].crash();
    gateway.ask(&Request::get("/").cookie("S=1.b"));
    members[0].crash();
    gateway.get("/");
    let lines = lines(&gateway, "logs/access.log", 3);
    assert_eq!(lines[0], "/ cl b b 0 1 pin -");
    assert_eq!(
        lines[1], "/ cl a b 1 2 byrequests -",
        "the member that answered, after the one that could not"
    );
    let last: Vec<&str> = lines[2].split(' ').collect();
    assert_eq!(last[..2], ["/", "cl"], "{}", lines[2]);
    assert_ne!(last[7], "-", "what went wrong has a word: {}", lines[2]);
}

#[test]
fn a_letter_that_cannot_be_served_is_a_mistake_of_the_configuration() {
    let log = "[log]\naccess = { path = \"access.log\", format = \"%h %Z\" }\n";
    let (status, said) = Setup::new(log.to_owned() + &site(&[]))
        .try_start()
        .expect_err("it must not start");
    assert_eq!(status.code(), Some(64), "{said:?}");
    assert!(said.join("\n").contains("%Z"), "{said:?}");
}
