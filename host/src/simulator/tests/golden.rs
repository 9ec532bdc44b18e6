//! httpd's own schedules, played as an author would play them.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::Value;

use super::{built_in, holds, played};

fn scenarios(file: &str) -> Vec<Value> {
    let path = format!("{}/../tests/golden/{file}.json", env!("CARGO_MANIFEST_DIR"));
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    golden["scenarios"].as_array().unwrap().clone()
}

/// The balancer of a scenario; members are called by their hosts.
fn pool(scenario: &Value) -> String {
    let mut text = "[balancer]\nmembers = [\n".to_owned();
    for member in scenario["members"].as_array().unwrap() {
        let name = member["name"].as_str().or(member["n"].as_str()).unwrap();
        let status = match member["status"].as_str() {
            None => "ok",
            Some("+D") => "disabled",
            Some("+N") => "draining",
            Some("+H") => "standby",
            Some("+R") => "spare",
            Some(other) => panic!("{other}"),
        };
        let factor = member["loadfactor"].as_f64().unwrap_or(1.0);
        let set = member["lbset"].as_u64().unwrap_or(0);
        writeln!(
            text,
            "{{ url = \"http://{name}\", loadfactor = {factor}, lbset = {set}, status = \"{status}\" }},"
        )
        .unwrap();
    }
    text + "]\n"
}

#[test]
fn byrequests_keeps_every_schedule_and_a_wrong_one_is_found_out() {
    let tested = built_in("byrequests");
    let all = scenarios("byrequests");
    assert_eq!(all.len(), 13);
    for scenario in all {
        let (pool, sequence) = (pool(&scenario), scenario["sequence"].as_str().unwrap());
        let step = |sequence: &str| {
            let requests = sequence.len();
            format!(
                "{pool}[[step]]\nrequests = {requests}\nexpect = {{ sequence = \"{sequence}\" }}\n"
            )
        };
        holds(&tested, &step(sequence));
        // The last request goes to somebody else.
        let (most, last) = sequence.split_at(sequence.len() - 1);
        let other = if last == "a" { "b" } else { "a" };
        let outcome = played(&tested, &step(&format!("{most}{other}")));
        let due = format!(
            "request {} of step 1 was served by {last}, {other} is due",
            sequence.len()
        );
        assert!(
            !outcome.held && outcome.text.contains(&due),
            "{}",
            outcome.text
        );
    }
}

#[test]
fn bytraffic_follows_the_bytes_of_every_answer() {
    let tested = built_in("bytraffic");
    for scenario in scenarios("bytraffic") {
        let mut text = pool(&scenario);
        for step in scenario["steps"].as_array().unwrap() {
            let number = |key: &str| step[key].as_u64().unwrap();
            let (read, written) = (number("delta_read"), number("delta_transferred"));
            let member = step["member"].as_str().unwrap();
            writeln!(
                text,
                "[[step]]\nrequests = 1\nanswer = {{ bytes = {read}, sent = {written} }}\n\
                 expect = {{ sequence = \"{member}\" }}"
            )
            .unwrap();
        }
        holds(&tested, &text);
    }
}

#[test]
fn bybusyness_sees_the_requests_that_are_still_open() {
    let tested = built_in("bybusyness");
    for scenario in scenarios("bybusyness") {
        let steps = scenario["steps"].as_array().unwrap();
        let request = |step: &Value| step["request"].as_str().unwrap().to_owned();
        // A request that is held lasts until its end's place in the list, a second for each.
        let ends: BTreeMap<String, usize> = steps
            .iter()
            .enumerate()
            .filter(|(_, step)| !matches!(step["op"].as_str(), Some("req" | "open and hold")))
            .map(|(index, step)| (request(step), index))
            .collect();
        let mut text = pool(&scenario);
        for (index, step) in steps.iter().enumerate() {
            let lasts = match step["op"].as_str().unwrap() {
                "req" => 0,
                "open and hold" => ends.get(&request(step)).map_or(1_000, |end| end - index),
                _ => {
                    writeln!(text, "[[step]]\nwait = \"1s\"").unwrap();
                    continue;
                }
            };
            let member = step["member"].as_str().unwrap();
            writeln!(
                text,
                "[[step]]\nwait = \"1s\"\nrequests = 1\nanswer = {{ lasts = \"{lasts}s\" }}\n\
                 expect = {{ sequence = \"{member}\" }}"
            )
            .unwrap();
        }
        holds(&tested, &text);
    }
}
