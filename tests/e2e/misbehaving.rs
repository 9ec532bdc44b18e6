//! Every hook of a policy, and every bad thing it may do there.
//!
//! The guests of `tests/guests` misbehave as `hook:deed` says: as the mark of a new version, which
//! fails its trial and is refused; or in their configuration, for one that is in service already.
//! Whatever it is, the gateway goes on serving, the log names policy, hook and kind, and the status
//! counts it.

use switchyard_tests::{Exchange, Gateway, Member, Setup, eventually, guests, wait::DEADLINE};

use crate::{
    conf::{balancer, entry, site},
    policies::{bad, policy_status},
};

/// What is done, and what the host calls it.
const DEEDS: [(&str, &str); 5] = [
    ("trap", "trapped: unreachable"),
    ("loop", "deadline"),
    ("memory", "more memory"),
    ("recursion", "stack overflow"),
    ("string", "limit on bytes handed over"),
];

/// Each is met before the next: time for 8 MiB of memory, no time to wait for.
const LIMITS: &str = "limits = { deadline = \"200ms\", init_deadline = \"400ms\", memory = \"8MiB\", failures = 1000 }";

/// Answers with its name; for `/teapot`, or with this header, with a 418 that policies are told of.
fn member() -> Member {
    Member::start("a", |exchange: &mut Exchange<'_>| {
        let status = match exchange.head.field("x-teapot") {
            Some(_) => "418 I'm a teapot",
            None => "200 OK",
        };
        exchange.send(format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\na"
        ));
        switchyard_tests::After::Keep
    })
}

/// How a policy of this kind is used by a balancer, and by its route.
fn used(guest: &str, policy: &str) -> (String, String) {
    match guest {
        "balancer" => (format!("lbmethod = \"policy:{policy}\""), String::new()),
        "affinity" => (format!("affinity = \"policy:{policy}\""), String::new()),
        _ => (String::new(), format!("rewrite = \"policy:{policy}\"")),
    }
}

/// A route, a balancer and a policy for each deed, all named after it.
fn one_each(guest: &str, hook: &str, deeds: &[&str], member: &Member, keys: &str) -> String {
    let uses: Vec<_> = deeds.iter().map(|deed| used(guest, deed)).collect();
    let routes: Vec<_> = (deeds.iter().zip(&uses))
        .map(|(deed, (_, route))| (format!("/{deed}"), format!("balancer = {deed:?}\n{route}")))
        .collect();
    let routes: Vec<_> = routes
        .iter()
        .map(|(p, k)| (p.as_str(), k.as_str()))
        .collect();
    let mut text = site(&routes);
    for (deed, (method, _)) in deeds.iter().zip(&uses) {
        text += &balancer(deed, method, &[entry(member, keys)]);
        text += &format!(
            "[policy.{deed}]\nsource = \"p.wasm\"\nconfig = {{ misdeed = \"{hook}:{deed}\" }}\n{LIMITS}\n"
        );
    }
    text
}

/// The deeds of the table, and `more` that this hook alone can do.
fn deeds<'d>(more: &[(&'d str, &'d str)]) -> Vec<(&'d str, &'d str)> {
    DEEDS.iter().chain(more).copied().collect()
}

#[track_caller]
fn is_told(gateway: &Gateway, policy: &str, hook: &str, kind: &str) {
    gateway.wait_for_log(&[&format!("policy={policy} "), hook, kind]);
    let status = gateway.wait_for_status(&format!("{policy}: the fault is counted"), |_| {
        policy_status(gateway, policy)["faults"].as_u64() > Some(0)
    });
    drop(status);
}

/// What a hook that is asked about a request does to it, and that nobody else notices.
fn asked_about_a_request(guest: &str, hook: &str, more: &[(&str, &str)]) {
    let member = member();
    let deeds = deeds(more);
    let names: Vec<&str> = deeds.iter().map(|(deed, _)| *deed).collect();
    let text = one_each(guest, hook, &names, &member, "route = \"a\"");
    let gateway = Setup::new(text)
        .file("p.wasm", guests::component(guest))
        .start();
    for (deed, kind) in deeds {
        let path = format!("/{deed}");
        let mut request = switchyard_tests::Request::get(&path);
        request = request.field("X-Misbehave", "1");
        let answer = gateway.ask(&request);
        assert_eq!(answer.status, 200, "{hook}:{deed}: {answer:?}");
        is_told(&gateway, deed, hook, kind);
        assert_eq!(gateway.get(&path).status, 200, "{hook}:{deed}, afterwards");
    }
}

#[test]
fn pick() {
    asked_about_a_request("balancer", "pick", &[]);
}

#[test]
fn locate() {
    asked_about_a_request("affinity", "locate", &[]);
}

#[test]
fn bind() {
    asked_about_a_request("affinity", "bind", &[("list", "limit on header edits")]);
}

#[test]
fn on_request() {
    let more = [("path", "limit on bytes of a path or a host")];
    asked_about_a_request("rewriter", "request", &more);
}

#[test]
fn on_response() {
    let more = [
        ("list", "limit on header edits"),
        ("value", "limit on bytes of header edits"),
        ("patterns", "limit on bytes of substitutions"),
    ];
    asked_about_a_request("rewriter", "response", &more);
}

#[test]
fn bodies_are_broken_off_and_the_next_one_is_whole() {
    for hook in ["new", "write", "finish"] {
        let member = member();
        let names = DEEDS.map(|(deed, _)| deed);
        let text = one_each("rewriter", hook, &names, &member, "");
        let gateway = Setup::new(text)
            .file("p.wasm", guests::component("rewriter"))
            .start();
        for (deed, kind) in DEEDS {
            let path = format!("/{deed}");
            let request = switchyard_tests::Request::get(&path).field("X-Misbehave", "1");
            let mut client = gateway.connect();
            match client.send(request.bytes()).try_response() {
                Ok(answer) => assert!(
                    matches!(answer.status, 200 | 502),
                    "{hook}:{deed}: {answer:?}"
                ),
                Err(broken) => assert!(!broken.is_bare_close(), "{hook}:{deed}: {broken:?}"),
            }
            is_told(&gateway, deed, "", kind);
            assert_eq!(gateway.get(&path).text(), "a", "{hook}:{deed}, afterwards");
        }
    }
}

#[test]
fn members_changed() {
    let member = member();
    let names = DEEDS.map(|(deed, _)| deed);
    let config = |keys: &str| one_each("balancer", "members", &names, &member, keys);
    let mut gateway = Setup::new(config("route = \"a\""))
        .file("p.wasm", guests::component("balancer"))
        .start();
    for (deed, _) in DEEDS {
        assert_eq!(gateway.get(&format!("/{deed}")).status, 200);
    }
    // What is known of the member changes, so every instance is told anew.
    gateway.rewrite(config("route = \"b\""));
    gateway.wait_for_status("the new configuration", |s| s["config"]["generation"] == 2);
    for (deed, kind) in DEEDS {
        let path = format!("/{deed}");
        assert_eq!(gateway.get(&path).status, 200, "members:{deed}");
        // Told within a decision that could not do without, it is named after that decision.
        is_told(&gateway, deed, "", kind);
        assert_eq!(gateway.get(&path).status, 200, "members:{deed}, afterwards");
    }
}

#[test]
fn completed() {
    let member = member();
    let names = DEEDS.map(|(deed, _)| deed);
    let text = one_each("balancer", "completed", &names, &member, "");
    let gateway = Setup::new(text)
        .file("p.wasm", guests::component("balancer"))
        .start();
    for (deed, kind) in DEEDS {
        let path = format!("/{deed}");
        let request = switchyard_tests::Request::get(&path).field("X-Teapot", "1");
        assert_eq!(gateway.ask(&request).status, 418, "completed:{deed}");
        is_told(&gateway, deed, "completed", kind);
        assert_eq!(
            gateway.get(&path).status,
            200,
            "completed:{deed}, afterwards"
        );
    }
}

#[test]
fn tick() {
    let member = member();
    let names = DEEDS.map(|(deed, _)| deed);
    let text = one_each("balancer", "tick", &names, &member, "");
    let gateway = Setup::new(text)
        .file("p.wasm", guests::component("balancer"))
        .start();
    for (deed, kind) in DEEDS {
        let path = format!("/{deed}");
        // Instances that were never asked anything do not tick.
        assert_eq!(gateway.get(&path).status, 200, "tick:{deed}");
        is_told(&gateway, deed, "tick", kind);
        assert_eq!(gateway.get(&path).status, 200, "tick:{deed}, afterwards");
    }
}

/// One policy of that kind, whose file is replaced.
fn replaceable(guest: &str) -> (Member, Gateway) {
    let member = member();
    let (method, route) = used(guest, "p");
    let text = site(&[("/", &format!("balancer = \"cl\"\n{route}"))])
        + &balancer("cl", &method, &[entry(&member, "")])
        + &format!("[policy.p]\nsource = \"p.wasm\"\n{LIMITS}\n");
    let gateway = Setup::new(text)
        .file("p.wasm", guests::marked(guest, "v1"))
        .start();
    assert_eq!(gateway.get("/").status, 200);
    (member, gateway)
}

/// Every version that does it at its trial is refused with its hook and the kind.
fn refused_at_its_trial(guest: &str, hooks: &[(&str, &str)]) {
    let (_member, gateway) = replaceable(guest);
    let in_service = policy_status(&gateway, "p")["digest"].clone();
    for (hook, told) in hooks {
        for (deed, kind) in DEEDS {
            let mark = format!("{hook}:{deed}");
            let words = ["refused", "policy=p ", *told, kind];
            let times = || {
                let lines = gateway.log();
                let told = |line: &&String| words.iter().all(|word| line.contains(word));
                lines.iter().filter(told).count()
            };
            let before = times();
            gateway.replace_file("p.wasm", guests::marked(guest, &mark));
            eventually(
                &format!("{mark} is refused with {words:?}"),
                DEADLINE,
                || (times() > before).then_some(()),
            );
            assert_eq!(gateway.get("/").status, 200, "{mark}");
            assert_eq!(policy_status(&gateway, "p")["digest"], in_service, "{mark}");
        }
    }
}

#[test]
fn at_the_trial_of_a_balancer() {
    let hooks = [
        ("init", "init: "),
        ("restore", "restore: "),
        ("pick", "smoke call, pick: "),
        ("completed", "smoke call, completed: "),
        ("tick", "smoke call, tick: "),
    ];
    refused_at_its_trial("balancer", &hooks);
}

#[test]
fn at_the_description_of_a_balancer() {
    refused_at_its_trial(
        "balancer",
        &[("describe", "describe: "), ("members", "members-changed: ")],
    );
}

#[test]
fn at_the_trial_of_an_affinity() {
    let hooks = [
        ("locate", "smoke call, locate: "),
        ("bind", "smoke call, bind: "),
    ];
    refused_at_its_trial("affinity", &hooks);
}

#[test]
fn at_the_trial_of_a_rewriter() {
    let hooks = [
        ("request", "smoke call, on-request: "),
        ("response", "smoke call, on-response: "),
        ("write", "smoke call, body: "),
        ("finish", "smoke call, body: "),
        ("new", "smoke call, body: "),
    ];
    refused_at_its_trial("rewriter", &hooks);
}

#[test]
fn illegal_edits_are_refused_at_the_trial() {
    let (_member, gateway) = replaceable("rewriter");
    for (does, why) in [
        (
            "always-forge-coding",
            "`transfer-encoding` is the gateway's own",
        ),
        ("always-forge-crlf", "holds a control character"),
        ("always-forge-host", "`host` is the gateway's own"),
        (
            "always-forge-length",
            "`content-length` is the gateway's own",
        ),
        ("always-forge-name", "is no field name"),
    ] {
        gateway.replace_file("p.wasm", guests::marked("rewriter", does));
        gateway.wait_for_log(&["refused", "policy=p ", why]);
        assert_eq!(gateway.get("/").field("x-version"), Some("v1"), "{does}");
    }
}

#[test]
fn a_version_that_cannot_save_is_replaced_all_the_same() {
    let deeds = deeds(&[("list", "limit on bytes handed over")]);
    let (_member, gateway) = replaceable("balancer");
    for (at, (deed, _)) in deeds.iter().enumerate() {
        let digest = policy_status(&gateway, "p")["digest"].clone();
        gateway.replace_file(
            "p.wasm",
            guests::marked("balancer", &format!("save:{deed}")),
        );
        let changed = || policy_status(&gateway, "p")["digest"] != digest;
        eventually("the version that cannot save", DEADLINE, || {
            changed().then_some(())
        });
        // There is a state to save once it was asked.
        assert_eq!(gateway.get("/").status, 200);
        let digest = policy_status(&gateway, "p")["digest"].clone();
        gateway.replace_file(
            "p.wasm",
            guests::marked("balancer", &format!("v{}", at + 2)),
        );
        let changed = || policy_status(&gateway, "p")["digest"] != digest;
        eventually("the version after it", DEADLINE, || changed().then_some(()));
        assert_eq!(gateway.get("/").status, 200, "save:{deed}");
    }
}

#[test]
fn a_backtrace_names_the_guests_functions() {
    let member = member();
    let text = one_each("balancer", "pick", &["trap"], &member, "");
    let gateway = Setup::new(text)
        .file("p.wasm", guests::component("balancer"))
        .start();
    assert_eq!(gateway.ask(&bad()).status, 404, "no route but /trap");
    let request = switchyard_tests::Request::get("/trap").field("X-Misbehave", "1");
    assert_eq!(gateway.ask(&request).status, 200);
    let line = gateway.wait_for_log(&["warn", "policy=trap ", "pick", "third_of_three"]);
    // From the innermost to the outermost, as their author named them.
    let at = |name: &str| {
        line.find(name)
            .unwrap_or_else(|| panic!("no {name} in {line}"))
    };
    let (third, second, first) = (
        at("test_guest_misdeeds::third_of_three"),
        at("test_guest_misdeeds::second_of_three"),
        at("test_guest_misdeeds::first_of_three"),
    );
    assert!(third < second && second < first, "{line}");
    assert!(line.len() < 10_000, "{} bytes", line.len());
    let lines = gateway.log();
    let times = lines
        .iter()
        .filter(|l| l.contains("third_of_three"))
        .count();
    assert_eq!(times, 1, "once a fault: {lines:#?}");
}
