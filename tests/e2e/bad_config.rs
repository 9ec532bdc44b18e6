//! What is wrong with a configuration, said all at once; and the other commands that read one.

use std::{fs, net::TcpListener};

use switchyard_tests::{
    Gateway, Member, Setup,
    command::{Said, switchyard},
    guests, scripts,
};

use crate::conf::{balancer, entry, everything_to, site};

/// Runs the program on a file with this text.
fn run(text: &str, arguments: impl FnOnce(&str) -> Vec<String>) -> Said {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("switchyard.toml");
    fs::write(&file, text).unwrap();
    let arguments = arguments(&file.display().to_string());
    switchyard(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

fn check(text: &str) -> (i32, String) {
    let said = run(text, |file| vec!["check".into(), file.into()]);
    (said.status.code().expect("it exits"), said.all())
}

fn good() -> String {
    format!(
        "version = 1\n[[listener]]\nbind = \"127.0.0.1:0\"\n{}{}",
        site(&[("/", "balancer = \"cl\"")]),
        "[balancer.cl]\nstickysession = \"S\"\nmembers = [\n  { url = \"http://127.0.0.1:8081\", route = \"a\" },\n  { url = \"http://127.0.0.1:8082\", route = \"b\" },\n]\n"
    )
}

#[test]
fn a_good_configuration_is_accepted() {
    let (code, said) = check(&good());
    assert_eq!(code, 0, "{said}");
}

#[test]
fn five_mistakes_are_reported_at_once_each_with_place_key_and_remedy() {
    let text = good()
        .replace("bind = ", "bnid = ")
        .replace("default = true", "default = \"yes\"")
        .replace("stickysession = \"S\"", "stickysession = \"S\"\nretry = 60")
        .replace("route = \"a\"", "route = \"a\", loadfactor = 0")
        .replace("balancer = \"cl\"", "balancer = \"lc\"");
    let (code, said) = check(&text);
    assert_eq!(code, 64, "{said}");
    for (key, line_with) in [
        ("bnid", "bnid ="),
        ("default", "default ="),
        ("retry", "retry ="),
        ("loadfactor", "loadfactor ="),
        ("lc", "\"lc\""),
    ] {
        let line = text.lines().position(|l| l.contains(line_with)).unwrap() + 1;
        assert!(said.contains(key), "{key} in {said}");
        assert!(
            said.contains(&format!("switchyard.toml:{line}:")),
            "line {line} of {key} in {said}"
        );
    }
    assert!(said.contains("bind"), "a near miss is named: {said}");
    assert!(said.contains("\"60s\""), "a remedy is shown: {said}");
}

#[test]
fn a_policy_that_a_start_refuses_is_refused_by_check_in_the_same_words() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("switchyard.toml");
    let text = good().replace(
        "balancer = \"cl\"",
        "balancer = \"cl\"\nrewrite = \"policy:r\"",
    );
    fs::write(&file, text + "[policy.r]\nsource = \"r.wasm\"\n").unwrap();
    let file = file.to_str().unwrap();
    let whole = guests::component("rewriter");
    for (what, wasm) in [
        ("half written", whole[..whole.len() / 2].to_vec()),
        ("another kind of policy", guests::component("balancer")),
        (
            "refuses its configuration",
            guests::marked("rewriter", "refuse"),
        ),
        ("traps in init", guests::marked("rewriter", "trap-in-init")),
        (
            "loops when it decides",
            guests::marked("rewriter", "always-loop"),
        ),
    ] {
        fs::write(dir.path().join("r.wasm"), wasm).unwrap();
        let checked = switchyard(&["check", file]);
        assert_eq!(checked.status.code(), Some(64), "{what}: {}", checked.all());
        let started = switchyard(&["run", "-c", file]);
        assert_eq!(started.status.code(), Some(64), "{what}: {}", started.all());
        let why = started
            .err
            .lines()
            .find_map(|line| line.strip_prefix("switchyard: "));
        let why = why.unwrap_or_else(|| panic!("{what}: {}", started.err));
        let told = format!("/r.wasm: error: {why}");
        assert!(
            checked.out.contains(&told),
            "{what}: {told} in {}",
            checked.out
        );
        assert!(
            checked.out.ends_with("switchyard.toml: 1 error\n"),
            "{what}: {}",
            checked.out
        );
    }
    fs::write(dir.path().join("r.wasm"), whole).unwrap();
    let checked = switchyard(&["check", file]);
    assert_eq!(checked.status.code(), Some(0), "{}", checked.all());
}

#[test]
fn what_works_but_is_hardly_meant_is_warned_of() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = port.local_addr().unwrap().to_string();
    for (what, text, word) in [
        (
            "two members with one route",
            good().replace("route = \"b\"", "route = \"a\""),
            "route",
        ),
        (
            "a route shadowed by an earlier one",
            good()
                .replace("default = true", "default = true\norder = \"file\"")
                .replace(
                    "[balancer.cl]",
                    "[[vhost.route]]\npath = \"/shadowed\"\nbalancer = \"cl\"\n[balancer.cl]",
                ),
            "never serves",
        ),
        (
            "a listener that is not bindable",
            good().replace("127.0.0.1:0", &taken),
            &taken,
        ),
        (
            "stickysession without any route",
            good()
                .replace(", route = \"a\"", "")
                .replace(", route = \"b\"", ""),
            "stickysession",
        ),
        (
            "a policy that is not there",
            good() + "[policy.p]\nsource = \"none.wasm\"\n",
            "none.wasm",
        ),
    ] {
        let (code, said) = check(&text);
        assert!(said.to_lowercase().contains("warning"), "{what}: {said}");
        assert!(said.contains(word), "{what}: {word} in {said}");
        assert_eq!(code, 0, "{what} is no mistake: {said}");
    }
    for (what, text, word) in [
        (
            "an unknown policy",
            good().replace("stickysession", "lbmethod = \"policy:none\"\nstickysession"),
            "none",
        ),
        (
            "weights of zero",
            good().replace("route = \"a\"", "route = \"a\", loadfactor = 0"),
            "loadfactor",
        ),
    ] {
        let (code, said) = check(&text);
        assert!(said.contains(word), "{what}: {said}");
        assert_eq!(code, 64, "{what}: {said}");
    }
}

#[test]
fn a_file_that_is_no_toml_or_not_there_is_said_so() {
    let (code, said) = check("version = 1\n[[listener\n");
    assert_eq!(code, 64, "{said}");
    assert!(said.contains("switchyard.toml:2"), "{said}");
    for command in ["check", "run"] {
        let mut arguments = vec![command];
        if command == "run" {
            arguments.push("-c");
        }
        arguments.push("/nowhere/none.toml");
        let said = switchyard(&arguments);
        assert!(!said.status.success(), "{command}");
        let said = said.all();
        assert!(said.contains("/nowhere/none.toml"), "{command}: {said}");
    }
}

#[test]
fn the_gateway_does_not_start_with_a_bad_configuration() {
    let (status, log) = Setup::new("[[vhost]]\nnmae = \"x\"\n")
        .try_start()
        .expect_err("it must not start");
    assert_eq!(status.code(), Some(64), "{log:?}");
    assert!(log.join("\n").contains("nmae"), "{log:?}");
}

#[test]
fn a_port_in_use_is_named_and_nothing_else_is_taken() {
    let a = Member::start("a", scripts::name());
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = port.local_addr().unwrap().to_string();
    let (status, log) = Setup::new(everything_to(&[&a], ""))
        .listeners(&format!("[[listener]]\nbind = \"{taken}\"\n"))
        .try_start()
        .expect_err("it must not start");
    assert!(!status.success());
    let log = log.join("\n");
    assert!(log.contains(&taken), "{log}");
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn two_gateways_do_not_share_a_port_by_accident() {
    let a = Member::start("a", scripts::name());
    let first = Gateway::start(everything_to(&[&a], ""));
    let second = Setup::new(everything_to(&[&a], ""))
        .listeners(&format!("[[listener]]\nbind = \"{}\"\n", first.addr()))
        .try_start();
    // SO_REUSEPORT lets the workers of one gateway share a port, and must not let two gateways.
    let (status, log) = second.expect_err("the port is taken");
    assert!(!status.success(), "{log:?}");
    assert_eq!(first.get("/").text(), "a");
}

#[test]
fn the_schema_is_json_and_knows_the_keys() {
    let said = switchyard(&["schema"]);
    assert!(said.status.success(), "{said:?}");
    let schema: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let text = schema.to_string();
    for key in [
        "listener",
        "vhost",
        "stickysession",
        "loadfactor",
        "drain_deadline",
    ] {
        assert!(text.contains(&format!("\"{key}\"")), "{key}");
    }
}

#[test]
fn help_reads_well() {
    let said = switchyard(&["--help"]);
    assert!(said.status.success(), "{said:?}");
    let text = said.out;
    for command in ["run", "check", "explain", "schema", "status"] {
        assert!(
            text.lines()
                .any(|l| l.trim_start().starts_with(command) && l.trim().len() > command.len() + 5),
            "{text}"
        );
    }
}

#[test]
fn explain_says_which_vhost_route_policy_and_member_and_why() {
    let (a, b) = Member::pair();
    let body = site(&[("/app", "balancer = \"cl\""), ("/private", "deny = true")])
        + &balancer(
            "cl",
            "stickysession = \"S\"",
            &[entry(&a, "route = \"a\""), entry(&b, "route = \"b\"")],
        );
    let text = Setup::new(body).text();
    let explain = |rest: &[&str]| {
        let said = run(&text, |file| {
            ["explain", "-c", file]
                .iter()
                .chain(rest)
                .map(|s| (*s).to_owned())
                .collect()
        });
        assert!(said.status.success(), "{said:?}");
        said.all()
    };
    let said = explain(&["http://www.example.com/app/x", "--cookie", "S=1.b"]);
    for part in [
        "front.example.com",
        "/app",
        "cl",
        &b.addr().to_string(),
        "jsessionid",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let said = explain(&["http://www.example.com/private/x"]);
    assert!(
        said.contains("403") || said.contains("denied") || said.contains("refused"),
        "{said}"
    );
    assert_eq!((a.hits(), b.hits()), (0, 0), "nobody was asked");
}
