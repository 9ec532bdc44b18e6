//! The schedules of byrequests, bytraffic and bybusyness against those measured on httpd, step by step.

use std::collections::BTreeMap;

use serde_json::Value;
use switchyard_tests::{After, Client, Exchange, Gateway, Member, Request, golden, scripts};

use crate::conf::{balancer, entry, site};

/// One member for each letter that any scenario uses.
fn members() -> BTreeMap<String, Member> {
    ["a", "b", "c", "d"]
        .into_iter()
        .map(|n| (n.to_owned(), Member::start(n, scripts::name())))
        .collect()
}

/// httpd's flags as our words.
fn status(flag: &str) -> &'static str {
    match flag {
        "+D" => "disabled",
        "+N" => "draining",
        "+H" => "standby",
        "+R" => "spare",
        "+S" => "stopped",
        other => panic!("no word for {other}"),
    }
}

/// A balancer `s<index>` for each scenario, mapped at a path of the same name.
fn gateway(scenarios: &[Value], lbmethod: &str, members: &BTreeMap<String, Member>) -> Gateway {
    let mut routes = Vec::new();
    let mut balancers = String::new();
    for (i, scenario) in scenarios.iter().enumerate() {
        let entries: Vec<String> = golden::list(scenario, "members")
            .iter()
            .map(|m| {
                let name = m["name"]
                    .as_str()
                    .or(m["n"].as_str())
                    .expect("members have names");
                let mut keys = vec![format!("route = \"{name}\"")];
                keys.extend(m.get("loadfactor").map(|lf| format!("loadfactor = {lf}")));
                keys.extend(m.get("lbset").map(|set| format!("lbset = {set}")));
                keys.extend(
                    m["status"]
                        .as_str()
                        .map(|flag| format!("status = \"{}\"", status(flag))),
                );
                entry(&members[name], &keys.join(", "))
            })
            .collect();
        routes.push((format!("/s{i}"), format!("balancer = \"s{i}\"")));
        balancers.push_str(&balancer(
            &format!("s{i}"),
            &format!("lbmethod = \"{lbmethod}\""),
            &entries,
        ));
    }
    let routes: Vec<_> = routes
        .iter()
        .map(|(p, k)| (p.as_str(), k.as_str()))
        .collect();
    Gateway::start(site(&routes) + &balancers)
}

fn title(scenario: &Value) -> &str {
    golden::text(scenario, "scenario")
}

#[test]
fn byrequests_gives_httpds_sequences_letter_by_letter() {
    let file = golden::load("byrequests.json");
    let scenarios = golden::list(&file, "scenarios");
    let members = members();
    let gateway = gateway(scenarios, "byrequests", &members);
    for (i, scenario) in scenarios.iter().enumerate() {
        let expected = golden::text(scenario, "sequence");
        // Two connections take turns, so that both workers may have a part in one schedule.
        let mut clients = [gateway.connect(), gateway.connect()];
        let sequence: String = (0..expected.len())
            .map(|n| clients[n % 2].get(&format!("/s{i}/x")).text())
            .collect();
        assert_eq!(sequence, expected, "{}", title(scenario));
        for (name, facts) in scenario["final"].as_object().expect("an object") {
            let elected = &gateway.member_status(&format!("s{i}"), name)["elected"];
            assert_eq!(
                elected,
                &facts["elected"],
                "{}: elected of {name}",
                title(scenario)
            );
        }
    }
}

/// Scenarios whose outcome does not hang on how long the proxy's own request head is.
const BY_BODY_ALONE: [&str; 4] = [
    "equal members, constant 1000-byte responses",
    "equal, alternating 10000/100",
    "equal, one 100000 then 1000s",
    "request bodies count too",
];

#[test]
fn bytraffic_gives_httpds_sequences() {
    let file = golden::load("bytraffic.json");
    let scenarios: Vec<Value> = golden::list(&file, "scenarios")
        .iter()
        .filter(|s| BY_BODY_ALONE.contains(&title(s)))
        .cloned()
        .collect();
    assert_eq!(scenarios.len(), BY_BODY_ALONE.len());
    let members = members();
    for member in members.values() {
        member.becomes(|exchange| {
            if exchange.read_body().is_err() {
                return switchyard_tests::After::Close;
            }
            let size = exchange
                .target()
                .rsplit('=')
                .next()
                .and_then(|n| n.parse().ok())
                .unwrap_or(0);
            let name = exchange.member.name.clone();
            exchange.send(scripts::reply(
                "200 OK",
                &[("X-Member", &name)],
                vec![b'x'; size],
            ));
            switchyard_tests::After::Keep
        });
    }
    let gateway = gateway(&scenarios, "bytraffic", &members);
    for (i, scenario) in scenarios.iter().enumerate() {
        let mut sequence = String::new();
        let mut client = gateway.connect();
        for step in golden::list(scenario, "steps") {
            let target = format!("/s{i}/x?size={}", step["resp_body"]);
            let body = vec![b'y'; usize::try_from(step["req_body"].as_u64().unwrap()).unwrap()];
            let response = if body.is_empty() {
                client.get(&target)
            } else {
                client.ask(&Request::post(&target, body))
            };
            sequence.push_str(
                response
                    .field("x-member")
                    .expect("the member says who it is"),
            );
            settle(&gateway, &format!("s{i}"));
        }
        assert_eq!(
            sequence,
            golden::text(scenario, "sequence"),
            "{}",
            title(scenario)
        );
    }
}

/// Waits until nobody is busy: counters are settled when a body ends, a moment after the client has it.
fn settle(gateway: &Gateway, balancer: &str) {
    gateway.wait_for_status("nobody is busy", |status| {
        status["balancers"][balancer]["members"]
            .as_array()
            .is_some_and(|all| all.iter().all(|m| m["busy"] == 0))
    });
}

/// Answers `/…/hold-NAME` with a head at once, and with its body when the test notes `NAME`.
fn holding(exchange: &mut Exchange<'_>) -> After {
    let Some((_, name)) = exchange.target().split_once("hold-") else {
        return scripts::name()(exchange);
    };
    let (name, member) = (name.to_owned(), exchange.member.name.clone());
    exchange.send(format!(
        "HTTP/1.1 200 OK\r\nX-Member: {member}\r\nContent-Length: 1\r\n\r\n"
    ));
    exchange.wait_for_note(&name);
    exchange.send("x");
    After::Keep
}

#[test]
fn bybusyness_gives_httpds_choices_while_requests_are_held() {
    let file = golden::load("bybusyness.json");
    let scenarios = golden::list(&file, "scenarios");
    let members = members();
    for member in members.values() {
        member.becomes(holding);
    }
    let gateway = gateway(scenarios, "bybusyness", &members);
    for (i, scenario) in scenarios.iter().enumerate() {
        let balancer = format!("s{i}");
        let mut held: BTreeMap<String, Client> = BTreeMap::new();
        for step in golden::list(scenario, "steps") {
            let member = golden::text(step, "member");
            let request = format!("{balancer}-{}", golden::text(step, "request"));
            match golden::text(step, "op") {
                "req" => {
                    let answer = gateway.get(&format!("/{balancer}/x")).text();
                    assert_eq!(answer, member, "{}: {step}", title(scenario));
                }
                "finish" => {
                    members[member].note(&request);
                    let mut client = held.remove(&request).expect("it is held");
                    assert_eq!(client.exactly(1), b"x");
                }
                _ => {
                    let mut client = gateway.connect();
                    client.send(Request::get(&format!("/{balancer}/hold-{request}")).bytes());
                    // The head has come, so the choice is made; the body is held.
                    let chosen = client.head();
                    assert_eq!(
                        chosen.field("x-member"),
                        Some(member),
                        "{}: {step}",
                        title(scenario)
                    );
                    held.insert(request, client);
                }
            }
            let expected = &step["busy_after"];
            gateway.wait_for_status(
                &format!("{}: busy after {step}", title(scenario)),
                |status| {
                    let members = status["balancers"][&balancer]["members"]
                        .as_array()
                        .cloned()
                        .unwrap_or_default();
                    if expected.is_null() {
                        // httpd was not asked after this step: whoever is still held is busy.
                        let busy = members.iter().filter_map(|m| m["busy"].as_u64());
                        return busy.sum::<u64>() == held.len() as u64;
                    }
                    members
                        .iter()
                        .all(|m| m["busy"] == expected[m["route"].as_str().unwrap_or_default()])
                },
            );
        }
        drop(held);
        settle(&gateway, &balancer);
    }
}
