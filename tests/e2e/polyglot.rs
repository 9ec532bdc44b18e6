//! Policies in other languages. Each balancer is httpd's byrequests once more, and must schedule as
//! it does; affinities keep sessions, and rewriters change both directions.

use std::{env, fs, os::unix::fs::PermissionsExt, process::Command};

use switchyard_tests::{Gateway, Member, Request, Setup, guests, polyglot, scripts};

use crate::{
    conf::{balancer, entry, site},
    policies::{policy_status, sequence},
};

/// What a policy in Python needs beyond the defaults: memory for itself, and for its file alone
/// more of the compiler. That of JavaScript takes a second of the five that it has, unless other
/// tests have the processors.
fn keys(language: &str, wasm: &[u8]) -> String {
    let (limits, raise) = match language {
        "python" => (
            "limits = { memory = \"128MiB\" }\n",
            "time = \"120s\"\nmemory = \"2GiB\"\n",
        ),
        "js" => ("", "time = \"60s\"\n"),
        _ => return String::new(),
    };
    let digest = guests::sha256(wasm);
    format!("{limits}[compile.{digest}]\n{raise}")
}

/// Three members of weights 1, 2 and 3 behind the example; `None` where it cannot be built.
fn start(language: &str) -> Option<(Vec<Member>, Gateway)> {
    let wasm = polyglot::built(language, "balancer")?;
    let members: Vec<Member> = ["a", "b", "c"]
        .into_iter()
        .map(|name| Member::start(name, scripts::name()))
        .collect();
    let entries: Vec<String> = (members.iter().zip(1..))
        .map(|(member, weight)| {
            entry(
                member,
                &format!("route = \"{}\", loadfactor = {weight}", member.name()),
            )
        })
        .collect();
    let text = site(&[("/", "balancer = \"cl\"")])
        + &balancer("cl", "lbmethod = \"policy:p\"\nretry = \"60s\"", &entries)
        + &format!(
            "[policy.p]\nsource = \"p.wasm\"\n{}\n",
            keys(language, &wasm)
        );
    let setup = Setup::new(text).file("p.wasm", wasm);
    Some((members, setup.patient().start()))
}

/// The schedule, what becomes of it when a member dies, and what the host thinks of the policy.
fn schedules_as_byrequests(language: &str) {
    let Some((mut members, gateway)) = start(language) else {
        return;
    };
    assert_eq!(sequence(&gateway, 12), "cbacbc".repeat(2), "{language}");
    members[2].crash();
    // The first attempt may still go there; the policy is asked again, and leaves it out.
    let answers = sequence(&gateway, 6);
    assert!(
        answers.len() == 6 && !answers.contains('c') && answers.contains('a'),
        "{language}: {answers}"
    );
    assert_eq!(gateway.ask(&Request::post("/", "x")).status, 200);
    let status = policy_status(&gateway, "p");
    assert_eq!(status["faults"], 0, "{language}: {status:#}");
}

#[test]
fn a_policy_in_c_schedules_as_byrequests() {
    schedules_as_byrequests("c");
}

#[test]
fn a_policy_in_javascript_schedules_as_byrequests() {
    schedules_as_byrequests("js");
}

#[test]
fn a_policy_in_python_schedules_as_byrequests() {
    schedules_as_byrequests("python");
}

/// Three members behind the example that keeps sessions; `None` where it cannot be built.
fn start_sticky(language: &str) -> Option<(Vec<Member>, Gateway)> {
    let wasm = polyglot::built(language, "affinity")?;
    let members = ["a", "b", "c"].map(|name| Member::start(name, scripts::name()));
    let entries = members
        .iter()
        .map(|member| entry(member, &format!("route = \"{}\"", member.name())));
    let entries: Vec<String> = entries.collect();
    let text = site(&[("/", "balancer = \"cl\"")])
        + &balancer("cl", "affinity = \"policy:p\"\nretry = \"60s\"", &entries)
        + &format!(
            "[policy.p]\nsource = \"p.wasm\"\n{}\n",
            keys(language, &wasm)
        );
    let setup = Setup::new(text).file("p.wasm", wasm);
    Some((members.into(), setup.patient().start()))
}

/// A session begins with a cookie, ends with its member, and goes on with another one's.
fn keeps_sessions(language: &str) {
    let Some((mut members, gateway)) = start_sticky(language) else {
        return;
    };
    let ask = |cookie: &str| gateway.ask(&Request::get("/").cookie(cookie));
    let begun = gateway.get("/");
    let first = begun.text();
    let due = format!("ROUTEID=.{first}; Path=/; HttpOnly; SameSite=Lax");
    assert_eq!(begun.field("set-cookie"), Some(&*due), "{language}");
    // What is no route of a member's is nobody's; its owner begins anew.
    for odd in [
        "ROUTEID=.",
        "ROUTEID=b",
        "ROUTEID=.\u{e9}",
        "ROUTEID=.nobody",
    ] {
        let answer = ask(odd);
        assert_eq!(answer.status, 200, "{language}: {odd}");
        assert!(answer.field("set-cookie").is_some(), "{language}: {odd}");
    }
    let cookie = format!("a=b; ROUTEID=.{first}");
    for _ in 0..4 {
        let answer = ask(&cookie);
        assert_eq!(answer.text(), first, "{language}");
        assert_eq!(answer.field("set-cookie"), None, "{language}");
    }
    let at = members.iter().position(|m| m.name() == first);
    members[at.expect("it is one of them")].crash();
    let moved = ask(&cookie);
    let second = moved.text();
    assert_ne!(second, first, "{language}");
    let due = format!("ROUTEID=.{second};");
    let given = moved.field("set-cookie").unwrap_or_default();
    assert!(given.starts_with(&due), "{language}: {given}");
    let status = policy_status(&gateway, "p");
    assert_eq!(status["faults"], 0, "{language}: {status:#}");
}

#[test]
fn an_affinity_in_c_keeps_sessions() {
    keeps_sessions("c");
}

#[test]
fn an_affinity_in_javascript_keeps_sessions() {
    keeps_sessions("js");
}

/// What it sets reaches the member and the client, and pages alone are changed.
fn changes_both_directions(language: &str, new: &str, config: &str) {
    let Some(wasm) = polyglot::built(language, "rewriter") else {
        return;
    };
    let page = b"<p>Acme, Acme and \xe9</p>";
    let pages = Member::start(
        "pages",
        scripts::answer("200 OK", &[("Content-Type", "text/html")], page),
    );
    let echo = Member::start("echo", scripts::echo());
    let text = site(&[
        ("/page", "balancer = \"pages\"\nrewrite = [\"policy:p\"]"),
        ("/", "balancer = \"echo\"\nrewrite = [\"policy:p\"]"),
    ]) + &balancer("pages", "", &[entry(&pages, "route = \"one\"")])
        + &balancer("echo", "", &[entry(&echo, "route = \"two\"")])
        + &format!(
            "[policy.p]\nsource = \"p.wasm\"\n{config}\n{}\n",
            keys(language, &wasm)
        );
    let gateway = Setup::new(text).file("p.wasm", wasm).patient().start();
    let answer = gateway.get("/page");
    let due = [format!("<p>{new}, {new} and ").as_bytes(), b"\xe9</p>"].concat();
    assert_eq!(answer.body, due, "{language}");
    assert_eq!(answer.field("x-served-by"), Some("one"), "{language}");
    // Plain text is no page.
    let answer = gateway.ask(&Request::get("/").field("x-brand", "Acme"));
    let sent = answer.text().to_ascii_lowercase();
    let due = format!("x-brand: {}\r\n", new.to_ascii_lowercase());
    assert!(sent.contains(&due), "{language}: {sent}");
    assert!(!sent.contains("x-brand: acme"), "{language}: {sent}");
    assert_eq!(answer.field("x-served-by"), None, "{language}");
    let status = policy_status(&gateway, "p");
    assert_eq!(status["faults"], 0, "{language}: {status:#}");
}

#[test]
fn a_rewriter_in_c_changes_both_directions() {
    changes_both_directions("c", "Apex", "");
}

#[test]
fn a_rewriter_in_javascript_changes_both_directions() {
    let config = "config = { old = \"Acme\", new = \"Äpex\" }";
    changes_both_directions("js", "Äpex", config);
}

#[test]
fn a_rewriter_in_javascript_names_all_that_is_wrong_with_its_configuration() {
    let Some(wasm) = polyglot::built("js", "rewriter") else {
        return;
    };
    let member = Member::start("a", scripts::name());
    let text = site(&[("/", "balancer = \"cl\"\nrewrite = [\"policy:p\"]")])
        + &balancer("cl", "", &[entry(&member, "")])
        + &format!(
            "[policy.p]\nsource = \"p.wasm\"\nconfig = {{ old = \"\", brand = \"Apex\" }}\n{}\n",
            keys("js", &wasm)
        );
    let setup = Setup::new(text).file("p.wasm", wasm);
    let (_, log) = setup.patient().try_start().unwrap_err();
    let log = log.join("\n");
    for due in [
        "/old: a name is due",
        "/new: a text is due",
        "/brand: there is no such key",
    ] {
        assert!(log.contains(due), "{due} in {log}");
    }
}

#[test]
fn they_refuse_a_configuration_as_any_policy_does() {
    for language in ["c", "js", "python"] {
        let Some(wasm) = polyglot::built(language, "balancer") else {
            continue;
        };
        let member = Member::start("a", scripts::name());
        let text = site(&[("/", "balancer = \"cl\"")])
            + &balancer("cl", "lbmethod = \"policy:p\"", &[entry(&member, "")])
            + &format!(
                "[policy.p]\nsource = \"p.wasm\"\nconfig = {{ percent = 5 }}\n{}\n",
                keys(language, &wasm)
            );
        let setup = Setup::new(text).file("p.wasm", wasm);
        let (_, log) = setup.patient().try_start().unwrap_err();
        let log = log.join("\n");
        assert!(
            log.contains("this policy takes no configuration"),
            "{language}: {log}"
        );
    }
}

/// A gateway may watch what a script makes. Its tool writes half of it here, shows what is at the name meanwhile, and ends so.
#[test]
fn scripts_put_nothing_in_place_that_is_not_whole() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let tool = "#!/bin/sh\nuntil [ \"$1\" = --output ] || [ \"$1\" = -o ]; do shift; done\n\
                printf half >\"$2\"; cat \"$NAMED\"; printf whole >\"$2\"; exit \"$ENDS\"\n";
    for name in ["clang", "wasm-ld", "componentize-qjs", "componentize-py"] {
        fs::write(place(name), tool).unwrap();
        fs::set_permissions(place(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", folder.path().display());
    for language in ["c", "js", "python"] {
        let made = place(language);
        fs::create_dir(&made).unwrap();
        let named = made.join("it.wasm");
        fs::write(&named, "old").unwrap();
        let run = |ends: i32| {
            let ended = Command::new(polyglot::script(language))
                .arg(&named)
                .env("PATH", &path)
                .env("NAMED", &named)
                .env("ENDS", ends.to_string())
                .env("BINDINGS", &made)
                .env_remove("CC")
                .output()
                .unwrap();
            let files = fs::read_dir(&made).unwrap().count();
            assert_eq!(files, 1, "{language}: nothing else is left there");
            (ended.status.code(), ended.stdout)
        };
        let before = run(1);
        if language == "c" && before.0 == Some(polyglot::MISSING) {
            // The library's headers have no place of their own that a test could name.
            continue;
        }
        assert_eq!(before, (Some(1), b"old".to_vec()), "{language}");
        assert_eq!(fs::read(&named).unwrap(), b"old", "{language}");
        assert_eq!(run(0), (Some(0), b"old".to_vec()), "{language}");
        assert_eq!(fs::read(&named).unwrap(), b"whole", "{language}");
    }
}
