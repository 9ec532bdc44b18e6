//! `tests/smuggle`: 326 raw requests with an oracle, against the gateway.

use std::{fs, process::Command, thread};

use serde_json::Value;
use switchyard_tests::{Gateway, ReservedPort, Setup, golden, target};

use crate::conf::{balancer, entry, site};

/// Cases that may end in WARN: lenient on purpose. `docs/security.md` explains each.
const LENIENT: &[(&str, &str)] = &[];

/// The suite waits 0.7 s in most cases: so many parts run side by side to keep it under a minute.
const PARTS: usize = 10;

fn suite() -> Command {
    let mut python = Command::new("python3");
    python.arg(target::tests_dir().join("smuggle/smuggle.py"));
    python
}

fn ids() -> Vec<String> {
    let output = suite()
        .args(["127.0.0.1:1", "--list"])
        .output()
        .expect("python3 runs");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.split(' ').next().filter(|id| id.contains('.')))
        .map(str::to_owned)
        .collect()
}

/// The gateway as the suite wants it: everything to the backend with the client's Host, `/admin` denied, `X-Real-IP`
/// sent. The suite's host has a name here, since an absolute-form target must name a host that is served.
fn gateway(backend: &ReservedPort) -> Gateway {
    let routes = [
        ("/", "balancer = \"cl\"\npreserve_host = true"),
        ("/admin", "deny = true"),
    ];
    let text = site(&routes).replace("front.example.com", "h.test")
        + &balancer(
            "cl",
            "retry = \"0s\"\nanswer_timeout = \"5s\"",
            &[entry(backend, "")],
        );
    Setup::new(text).top("x_real_ip = true").start()
}

/// Runs the cases with these ids; one result each.
fn run(ids: &[String]) -> Vec<Value> {
    let backend = ReservedPort::new();
    let gateway = gateway(&backend);
    let only: Vec<String> = ids
        .iter()
        .map(|id| id.replace('.', "\\.").replace('+', "\\+"))
        .collect();
    let json = gateway.dir().join("results.json");
    let output = suite()
        .arg(gateway.addr().to_string())
        .args([
            "--backend",
            &backend.addr().to_string(),
            "--only",
            &format!("^({})$", only.join("|")),
        ])
        .arg("--json")
        .arg(&json)
        .output()
        .expect("python3 runs");
    let text = fs::read_to_string(&json).unwrap_or_else(|e| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        panic!("{e}: {said}{}", String::from_utf8_lossy(&output.stdout))
    });
    assert!(!gateway.logged(&["panicked"]), "{:?}", gateway.log());
    let results: Value = serde_json::from_str(&text).unwrap();
    golden::list(&results, "results").to_vec()
}

#[test]
fn nothing_is_smuggled_and_nothing_well_formed_is_refused() {
    let ids = ids();
    assert!(ids.len() >= 326, "the suite shrank to {} cases", ids.len());
    let parts: Vec<Vec<String>> = (0..PARTS)
        .map(|part| ids.iter().skip(part).step_by(PARTS).cloned().collect())
        .collect();
    let results: Vec<Value> = thread::scope(|scope| {
        let running: Vec<_> = parts.iter().map(|part| scope.spawn(|| run(part))).collect();
        running
            .into_iter()
            .flat_map(|part| part.join().unwrap())
            .collect()
    });
    assert_eq!(results.len(), ids.len());
    let with = |verdict: &str| -> Vec<String> {
        let these = results.iter().filter(|r| r["verdict"] == verdict);
        these
            .map(|r| {
                format!(
                    "{} expected {}: answered {}, {}",
                    r["id"], r["expect"], r["status"], r["notes"]
                )
            })
            .collect()
    };
    let (failed, warned) = (with("FAIL"), with("WARN"));
    for line in &warned {
        println!("WARN {line}");
    }
    assert!(
        failed.is_empty(),
        "{} of {} failed:\n{}",
        failed.len(),
        ids.len(),
        failed.join("\n")
    );
    let unexplained: Vec<&Value> = results
        .iter()
        .filter(|r| r["verdict"] == "WARN" && !LENIENT.iter().any(|(id, _)| r["id"] == *id))
        .collect();
    assert!(
        unexplained.is_empty(),
        "WARN without a reason: {unexplained:#?}"
    );
    assert!(
        warned.len() <= 5,
        "{} warnings:\n{}",
        warned.len(),
        warned.join("\n")
    );
}
