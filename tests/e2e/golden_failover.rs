//! Failures as measured on httpd, end to end: the same where httpd does well, and the reason where not.

use serde_json::Value;
use switchyard_tests::{
    After, Gateway, Member, Request, ReservedPort,
    golden::{self, Compared},
    scripts,
};

use crate::conf::{balancer, entry, site};

/// `21009`, `21008` and `21007` are dead; `21001` to `21003` are members a, b, c.
struct Stage {
    dead: Vec<ReservedPort>,
    members: Vec<Member>,
}

impl Stage {
    fn new() -> Self {
        Self {
            dead: (0..3).map(|_| ReservedPort::new()).collect(),
            members: ["a", "b", "c"]
                .into_iter()
                .map(|n| Member::start(n, scripts::name()))
                .collect(),
        }
    }

    /// The configuration of a scenario, in our words.
    fn gateway(&self, scenario: &Value) -> Gateway {
        let config = &scenario["config"];
        let members: Vec<String> = golden::list(config, "members")
            .iter()
            .map(|m| self.member(m.as_str().expect("text")))
            .collect();
        let mut keys = String::new();
        for word in golden::text(config, "balancer").split_whitespace() {
            let (name, value) = word.split_once('=').expect("name=value");
            keys.push_str(&match name {
                "failonstatus" => format!("failonstatus = [{value}]\n"),
                "failontimeout" | "forcerecovery" => format!("{name} = {}\n", value == "On"),
                "maxattempts" => format!("{name} = {value}\n"),
                "stickysession" => format!("{name} = \"{value}\"\n"),
                "nofailover" => format!("failover = {}\n", value == "Off"),
                // Seconds of the measurement are tenths here.
                "timeout" => format!("wait = \"{value}00ms\"\n"),
                other => panic!("no key for {other}"),
            });
        }
        if golden::text(config, "global").contains("ProxyTimeout") {
            keys.push_str("answer_timeout = \"300ms\"\n");
        }
        Gateway::start(site(&[("/", "balancer = \"cl\"")]) + &balancer("cl", &keys, &members))
    }

    fn member(&self, text: &str) -> String {
        let mut words = text.split_whitespace();
        let mut keys = Vec::new();
        let port = words.next().expect("a port");
        for word in words {
            let (name, value) = word.split_once('=').expect("name=value");
            keys.push(match name {
                "route" | "redirect" => format!("{name} = \"{value}\""),
                "retry" => format!("retry = \"{value}s\""),
                "lbset" | "loadfactor" => format!("{name} = {value}"),
                "timeout" => "answer_timeout = \"300ms\"".to_owned(),
                "status" => match value {
                    "+D" => "status = \"disabled\"".to_owned(),
                    "+N" => "status = \"draining\"".to_owned(),
                    "+H" => "status = \"standby\"".to_owned(),
                    other => panic!("no word for {other}"),
                },
                other => panic!("no key for {other}"),
            });
        }
        let keys = keys.join(", ");
        match port {
            "21009" => entry(&self.dead[0], &keys),
            "21008" => entry(&self.dead[1], &keys),
            "21007" => entry(&self.dead[2], &keys),
            _ => entry(&self.members[usize::from(port.as_bytes()[4] - b'1')], &keys),
        }
    }
}

/// Status and member as the vectors have them: `200:b`, or `503` where no member answered.
fn result(gateway: &Gateway, request: &Request) -> String {
    let response = gateway.ask(request);
    match response.field("x-member") {
        Some(member) => format!("{}:{member}", response.status),
        None => response.status.to_string(),
    }
}

/// The results under a fact, whichever of its two shapes it has.
fn results(facts: &Value) -> Vec<String> {
    let text = |v: &Value| {
        v.as_str()
            .or(v["result"].as_str())
            .expect("a result")
            .to_owned()
    };
    facts.as_array().expect("a list").iter().map(text).collect()
}

/// What the members do, what is asked, and where we differ: scenario, fact, request, ours instead, why.
struct Case {
    scenario: &'static str,
    fact: &'static str,
    request: fn() -> Request,
    a: Option<fn() -> Box<switchyard_tests::Script>>,
    ours: Option<(&'static [&'static str], &'static str)>,
}

fn get() -> Request {
    Request::get("/")
}

fn sticky_to_x() -> Request {
    get().cookie("S=1.x")
}

const fn same(scenario: &'static str, fact: &'static str) -> Case {
    Case {
        scenario,
        fact,
        request: get,
        a: None,
        ours: None,
    }
}

/// Where httpd has 503 for whatever reason.
const TRIED: &str = "502 says that a member was tried and failed, 503 that there was nobody to try";

const CASES: &[Case] = &[
    same("connection refused on elected member", "r1"),
    Case {
        request: || Request::post("/", vec![b'x'; 1000]),
        ..same("POST 1000 byte body", "post1000")
    },
    Case {
        request: || Request::post("/", vec![b'x'; 200_000]),
        ..same("POST 200000 byte body", "post200000")
    },
    Case {
        a: Some(|| Box::new(scripts::silent(After::Close))),
        ours: Some((
            &["200:b", "200:c", "200:b"],
            "a GET may be sent again, so the next member answers it",
        )),
        ..same(
            "member a accepts and closes without a response (GET)",
            "3 gets",
        )
    },
    Case {
        a: Some(|| {
            Box::new(scripts::answer(
                "503 Service Unavailable",
                &[("X-Member", "a")],
                "",
            ))
        }),
        ..same("failonstatus=500,503", "8 gets, a always answers 503")
    },
    Case {
        a: Some(|| {
            Box::new(scripts::answer(
                "503 Service Unavailable",
                &[("X-Member", "a")],
                "",
            ))
        }),
        ..same("no failonstatus", "8 gets, a always answers 503")
    },
    Case {
        a: Some(|| Box::new(scripts::hang())),
        ours: Some((
            &["200:b", "200:c", "200:b", "200:c"],
            "a GET whose member is silent moves on",
        )),
        ..same("timeout=1, failontimeout=On", "4 gets, a needs 3s")
    },
    Case {
        request: || Request::post("/", "x"),
        a: Some(|| Box::new(scripts::hang())),
        ours: Some((
            &["504"],
            "a timeout is 504; the POST may have been carried out",
        )),
        ..same("ProxyTimeout 1 global, POST", "post")
    },
    Case {
        ours: Some((&["502", "200:b", "200:b"], TRIED)),
        ..same("maxattempts=0", "r")
    },
    Case {
        ours: Some((&["502", "200:c", "200:c"], TRIED)),
        ..same("maxattempts=1 with two dead + one alive", "r")
    },
    same("retry=0 dead member", "r"),
    Case {
        request: sticky_to_x,
        ..same("sticky to a dead member, nofailover=Off", "r")
    },
    Case {
        request: sticky_to_x,
        ..same("sticky to a dead member, nofailover=On", "r")
    },
    Case {
        request: sticky_to_x,
        ..same("sticky to a dead member with redirect", "r")
    },
    same("hot standby takes over", "r"),
    same("lbset 1 takes over", "r"),
    same("balancer timeout=2", "r"),
    same("all members disabled", "r"),
    same("all members draining", "no cookie"),
    Case {
        request: || get().cookie("S=1.a"),
        ..same("all members draining", "cookie")
    },
    Case {
        ours: Some((&["502", "502"], TRIED)),
        ..same("all three dead", "r")
    },
    Case {
        ours: Some((&["502", "503", "503"], TRIED)),
        ..same("all dead, forcerecovery=Off", "r")
    },
    Case {
        ours: Some((&["502", "502"], TRIED)),
        ..same("single dead member", "r")
    },
];

/// Scenarios without a case above, each with its reason.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "POST chunked 100000 body",
        "failover::a_refused_connection_moves_any_method_to_another_member",
    ),
    (
        "same on a kept-alive client connection",
        "unanswered::a_client_never_gets_a_bare_close_before_its_answer",
    ),
    (
        "member a sends Content-Length 1000",
        "strictness_responses::a_broken_body_is_visibly_aborted",
    ),
    (
        "timeout=1 on members, failontimeout default Off",
        "as with failontimeout, but the member stays",
    ),
    (
        "ignore errors",
        "there is no +I: a member that cannot be ejected answers 503 for its share",
    ),
    (
        "ping=500ms",
        "there is no 100-continue probe; connect and answer timeouts cover it",
    ),
    (
        "busy counter during a failed-over request",
        "failover::a_dead_member_is_not_counted_busy_while_another_serves",
    ),
    (
        "drop on the FIRST use",
        "unanswered::a_client_never_gets_a_bare_close_before_its_answer",
    ),
    (
        "POST 2 MB",
        "failover::a_large_body_that_is_not_held_is_not_sent_twice",
    ),
];

#[test]
fn failures_end_as_with_httpd_or_better() {
    let file = golden::load("failover.json");
    let scenarios = golden::list(&file, "scenarios");
    let mut compared = Compared::default();
    for case in CASES {
        let scenario = scenarios
            .iter()
            .find(|s| golden::text(s, "scenario").starts_with(case.scenario));
        let scenario = scenario.unwrap_or_else(|| panic!("no scenario {:?}", case.scenario));
        let stage = Stage::new();
        if let Some(script) = case.a {
            let script = script();
            stage.members[0].becomes(move |exchange| script(exchange));
        }
        let gateway = stage.gateway(scenario);
        let expected = match case.ours {
            Some((ours, _)) => ours.iter().map(|s| (*s).to_owned()).collect(),
            None => results(&scenario["facts"][case.fact]),
        };
        let here: Vec<String> = expected
            .iter()
            .map(|_| result(&gateway, &(case.request)()))
            .collect();
        compared.row(format!("{}, {}", case.scenario, case.fact), here, expected);
    }
    compared.end(CASES.len());
}

#[test]
fn every_scenario_has_a_case_or_a_reason() {
    let file = golden::load("failover.json");
    for scenario in golden::list(&file, "scenarios") {
        let title = golden::text(scenario, "scenario");
        let known = CASES.iter().any(|c| title.starts_with(c.scenario))
            || ELSEWHERE.iter().any(|(s, _)| title.starts_with(s));
        assert!(known, "{title}");
    }
}

#[test]
fn the_tests_that_reasons_name_exist() {
    let sources = [
        ("failover", include_str!("failover.rs")),
        ("unanswered", include_str!("unanswered.rs")),
        (
            "strictness_responses",
            include_str!("strictness_responses.rs"),
        ),
    ];
    for (scenario, reason) in ELSEWHERE {
        let Some((module, test)) = reason.split_once("::") else {
            continue;
        };
        let source = sources.iter().find(|(name, _)| *name == module);
        let (_, source) = source.unwrap_or_else(|| panic!("{scenario}: no module {module}"));
        let test = format!("#[test]\nfn {test}()");
        assert!(source.contains(&test), "{scenario}: {reason}");
    }
}
