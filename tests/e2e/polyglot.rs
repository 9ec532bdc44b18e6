//! Policies in other languages: each is httpd's byrequests once more, and must schedule as it does.

use switchyard_tests::{Gateway, Member, Request, Setup, guests, polyglot, scripts};

use crate::{
    conf::{balancer, entry, site},
    policies::{policy_status, sequence},
};

/// What a policy in Python needs beyond the defaults: memory for itself, and for its file alone
/// more of the compiler.
fn keys(language: &str, wasm: &[u8]) -> String {
    if language != "python" {
        return String::new();
    }
    let raise = "time = \"120s\"\nmemory = \"2GiB\"\n";
    let digest = guests::sha256(wasm);
    format!("limits = {{ memory = \"128MiB\" }}\n[compile.{digest}]\n{raise}")
}

/// Three members of weights 1, 2 and 3 behind the example; `None` where it cannot be built.
fn start(language: &str) -> Option<(Vec<Member>, Gateway)> {
    let wasm = polyglot::built(language)?;
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

#[test]
fn they_refuse_a_configuration_as_any_policy_does() {
    for language in ["c", "js", "python"] {
        let Some(wasm) = polyglot::built(language) else {
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
