//! `/metrics`, read by a parser that forgives nothing, and by `promtool` where it is installed.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    process::{Command, Stdio},
};

use switchyard_tests::{Gateway, Member, Request, Setup, guests, scripts};

use crate::{
    conf::{balancer, entry, site},
    policies::{bad, balanced, misbehaving},
};

const PAGE: &str = include_str!("../../docs/metrics.md");

/// The page, and whether it is OpenMetrics.
pub fn scrape(gateway: &Gateway, accept: &str) -> (String, bool) {
    let mut client = switchyard_tests::Client::connect(gateway.admin_addr());
    let request = Request::get("/metrics")
        .host("localhost")
        .field("Accept", accept);
    let response = client.ask(&request);
    assert_eq!(response.status, 200);
    let kind = response
        .field("content-type")
        .unwrap_or_default()
        .to_owned();
    (
        response.text(),
        kind.starts_with("application/openmetrics-text"),
    )
}

/// Values by series, as text: `name{label="value"}`.
pub type Series = BTreeMap<String, f64>;

/// Reads a page; every rule of the format that is broken is a panic.
pub fn parse(page: &str, openmetrics: bool) -> Series {
    let mut all = Series::new();
    let mut families: BTreeMap<String, String> = BTreeMap::new();
    let mut open: Option<(String, String)> = None;
    let mut lines = page.lines();
    assert!(page.ends_with('\n'));
    if openmetrics {
        assert_eq!(lines.next_back(), Some("# EOF"));
    }
    for line in lines {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (what, name) = (words.next().unwrap(), words.next().expect("a name"));
            let rest = words.next().expect("something behind the name");
            is_name(name);
            match what {
                "TYPE" => {
                    let twice = families.insert(name.to_owned(), rest.to_owned());
                    assert!(twice.is_none(), "{name} is declared twice");
                    open = Some((name.to_owned(), rest.to_owned()));
                    assert_eq!(
                        rest == "counter" && name.ends_with("_total"),
                        rest == "counter" && !openmetrics,
                        "{line}"
                    );
                }
                "UNIT" => assert!(openmetrics && name.ends_with(rest), "{line}"),
                "HELP" => assert_eq!(Some(name), open.as_ref().map(|(name, _)| &**name)),
                other => panic!("{other} in {line}"),
            }
            continue;
        }
        let (name, labels, value) = sample(line);
        let (family, kind) = open.as_ref().expect("a family before its samples");
        let suffix = name
            .strip_prefix(family.as_str())
            .expect("of the family above");
        match kind.as_str() {
            "counter" => assert_eq!(suffix, if openmetrics { "_total" } else { "" }, "{line}"),
            "gauge" => assert_eq!(suffix, "", "{line}"),
            "histogram" => assert!(["_bucket", "_sum", "_count"].contains(&suffix), "{line}"),
            other => panic!("{other}"),
        }
        assert_eq!(suffix == "_bucket", labels.contains_key("le"), "{line}");
        assert!(value.is_finite(), "{line}");
        let labels: Vec<_> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let twice = all.insert(format!("{name}{{{}}}", labels.join(",")), value);
        assert!(twice.is_none(), "twice: {line}");
    }
    check_histograms(page);
    all
}

/// `name{label="value",…} number`
fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let end = line.find(['{', ' ']).expect("a value");
    let (name, mut rest) = line.split_at(end);
    is_name(name);
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").expect("a label");
            is_name(label);
            let mut value = String::new();
            let mut letters = after.char_indices();
            let end = loop {
                match letters.next().expect("the end of a value") {
                    (at, '"') => break at,
                    (_, '\\') => match letters.next().expect("an escaped letter").1 {
                        'n' => value.push('\n'),
                        letter @ ('\\' | '"') => value.push(letter),
                        other => panic!("\\{other} in {line}"),
                    },
                    (_, letter) => value.push(letter),
                }
            };
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            rest = &after[end + 1..];
            match rest.split_at(1) {
                (",", more) => rest = more,
                ("}", more) => {
                    rest = more;
                    break;
                }
                other => panic!("{other:?} in {line}"),
            }
        }
    }
    let value = rest.strip_prefix(' ').expect("one blank");
    (name.to_owned(), labels, value.parse().expect("a number"))
}

fn is_name(name: &str) {
    let mut bytes = name.bytes();
    let first = bytes.next().expect("a letter");
    assert!(first.is_ascii_alphabetic() || first == b'_', "{name}");
    assert!(
        bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_'),
        "{name}"
    );
}

/// Buckets rise with their bounds, and the last is the count.
fn check_histograms(page: &str) {
    let mut below: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    let mut counts = BTreeMap::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (name, mut labels, value) = sample(line);
        if let Some(family) = name.strip_suffix("_bucket") {
            let bound = labels.remove("le").expect("a bound");
            let bound = bound.replace("+Inf", "inf").parse().unwrap();
            let of = format!("{family} {labels:?}");
            below.entry(of).or_default().push((bound, value));
        } else if let Some(family) = name.strip_suffix("_count") {
            counts.insert(format!("{family} {labels:?}"), value);
        }
    }
    for (of, buckets) in below {
        assert!(buckets.is_sorted(), "{of}: {buckets:?}");
        let values: Vec<_> = buckets.iter().map(|(_, value)| *value).collect();
        assert!(values.is_sorted(), "{of}: {values:?}");
        let (last, count) = buckets.last().unwrap();
        assert_eq!(
            (*last, Some(count)),
            (f64::INFINITY, counts.get(&of)),
            "{of}"
        );
    }
}

/// The sum of all series of that name which have these labels.
pub fn sum(all: &Series, name: &str, labels: &[&str]) -> f64 {
    let of = |series: &&String| {
        series.starts_with(&format!("{name}{{")) && labels.iter().all(|l| series.contains(l))
    };
    all.iter()
        .filter(|(s, _)| of(s))
        .map(|(_, value)| value)
        .sum()
}

fn promtool(page: &str) -> Option<String> {
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(page.as_bytes()).ok()?;
    let said = child.wait_with_output().ok()?;
    let text = [said.stdout, said.stderr].concat();
    // 3: it parses, and a name is not to the linter's taste.
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(matches!(said.status.code(), Some(0 | 3)), "{text}");
    Some(text)
}

#[test]
fn the_page_tells_what_happened_in_both_formats() {
    let record = "record = { path = \"p.rec\", sample = 1 }";
    let (_members, setup) = balanced("trap", record, "");
    let gateway = setup.start();
    for _ in 0..10 {
        assert_eq!(gateway.get("/x").status, 200);
    }
    misbehaving(&gateway, 2);
    assert_eq!(gateway.ask(&bad()).status, 200);
    let (text, openmetrics) = scrape(&gateway, "");
    assert!(!openmetrics);
    let all = parse(&text, false);
    let policy = ["tenant=default", "policy=p", "binding=default/cl"];
    assert_eq!(sum(&all, "switchyard_requests_total", &["class=2xx"]), 13.0);
    assert_eq!(
        sum(
            &all,
            "switchyard_member_responses_total",
            &["balancer=cl", "class=2xx"]
        ),
        13.0
    );
    assert!(sum(&all, "switchyard_policy_calls_total", &policy) >= 11.0);
    assert!(
        sum(
            &all,
            "switchyard_policy_faults_total",
            &["policy=p", "kind=trap"]
        ) >= 1.0
    );
    assert!(sum(&all, "switchyard_policy_fallbacks_total", &policy) >= 1.0);
    assert!(sum(&all, "switchyard_recording_calls_total", &["policy=p"]) >= 10.0);
    assert_eq!(sum(&all, "switchyard_member_state", &["state=ok"]), 3.0);
    assert_eq!(all["switchyard_ready{}"], 1.0);
    assert_eq!(all["switchyard_config_generation{}"], 1.0);
    assert!(all["process_resident_memory_bytes{}"] > 1e6);
    assert!(all["process_threads{}"] > 2.0);
    let (text, openmetrics) = scrape(&gateway, "application/openmetrics-text;version=1.0.0");
    assert!(openmetrics);
    let again = parse(&text, true);
    assert!(all.keys().all(|series| again.contains_key(series)));
    match promtool(&scrape(&gateway, "text/plain").0) {
        Some(said) => println!("promtool: {said}"),
        None => {
            println!("promtool is not installed; the parser of this test is all that read the page")
        }
    }
}

#[test]
fn every_metric_of_a_real_page_is_documented() {
    let (_members, setup) = balanced("count", "", "");
    let gateway = setup.start();
    gateway.get("/");
    let (text, _) = scrape(&gateway, "");
    let told: BTreeSet<_> = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let shown = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    for family in shown.filter_map(|line| line.split(' ').next()) {
        assert!(told.contains(family), "{family} is not in docs/metrics.md");
    }
}

#[test]
fn what_a_policy_counted_leaves_the_page_with_the_policy() {
    let a = Member::start("a", scripts::name());
    let text = |policy: &str| {
        site(&[("/", "balancer = \"cl\"")])
            + &balancer("cl", &format!("lbmethod = {policy:?}"), &[entry(&a, "")])
    };
    let own = "[policy.p]\nsource = \"p.wasm\"\nconfig = { does = \"meter\" }\n";
    let metered = text("policy:p") + own;
    let mut gateway = Setup::new(metered.clone())
        .file("p.wasm", guests::component("balancer"))
        .start();
    let picks = |gateway: &Gateway| {
        let all = parse(&scrape(gateway, "").0, false);
        let mut own = all
            .iter()
            .filter(|(name, _)| name.starts_with("switchyard_guest_picks_total{"));
        own.next().map(|(_, value)| *value)
    };
    gateway.get("/");
    assert_eq!(picks(&gateway), Some(1.0));
    gateway.rewrite(text("byrequests"));
    gateway.wait_for_status("without it", |s| s["config"]["generation"] == 2);
    assert_eq!(picks(&gateway), None);
    gateway.rewrite(metered);
    gateway.wait_for_status("with it", |s| s["config"]["generation"] == 3);
    gateway.get("/");
    assert_eq!(picks(&gateway), Some(2.0), "it goes on");
}

#[test]
fn reloads_and_policies_own_series_are_counted() {
    let member = Member::start("a", scripts::name());
    let text = |percent: &str| {
        site(&[("/", "balancer = \"cl\"")])
            + &balancer("cl", "lbmethod = \"policy:canary\"", &[entry(&member, "")])
            + &format!(
                "[policy.canary]\nsource = \"canary.wasm\"\nconfig = {{ percent = {percent} }}\n"
            )
    };
    let mut gateway = Setup::new(text("5"))
        .file("canary.wasm", guests::sdk_example("canary"))
        .start();
    gateway.get("/");
    gateway.rewrite(text("\"many\""));
    gateway.wait_for_status("the refusal", |s| s["config"]["last_error"].is_object());
    let all = parse(&scrape(&gateway, "").0, false);
    assert_eq!(all["switchyard_reloads_total{outcome=refused}"], 1.0);
    assert_eq!(all["switchyard_config_refused{}"], 1.0);
    gateway.rewrite(text("7"));
    gateway.wait_for_status("the next generation", |s| s["config"]["generation"] == 2);
    let all = parse(&scrape(&gateway, "").0, false);
    assert_eq!(all["switchyard_reloads_total{outcome=published}"], 1.0);
    assert_eq!(all["switchyard_config_refused{}"], 0.0);
}
