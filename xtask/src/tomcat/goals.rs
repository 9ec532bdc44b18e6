//! What the gateway promises, beyond what the scenario asks of any front.

use serde_json::Value;

/// One promise.
struct Goal {
    check: &'static str,
    metric: &'static str,
    /// The largest value that holds it.
    most: f64,
    says: &'static str,
}

const GOALS: [Goal; 15] = [
    Goal {
        check: "c2",
        metric: "strays",
        most: 0.0,
        says: "path sessions stay with one name configured",
    },
    Goal {
        check: "c2",
        metric: "wrong",
        most: 0.0,
        says: "and lose no update",
    },
    Goal {
        check: "d1",
        metric: "failures",
        most: 0.0,
        says: "no failure when a member dies between requests",
    },
    Goal {
        check: "d2",
        metric: "failures",
        most: 0.0,
        says: "no GET fails when a member is killed",
    },
    Goal {
        check: "d2",
        metric: "updates_lost",
        most: 0.0,
        says: "no session update is lost",
    },
    Goal {
        check: "d3",
        metric: "failures",
        most: 0.0,
        says: "no GET fails, one connection a request",
    },
    Goal {
        check: "d4",
        metric: "orders_done_twice",
        most: 0.0,
        says: "no POST is carried out twice",
    },
    Goal {
        check: "d4",
        metric: "orders_acked_but_absent",
        most: 0.0,
        says: "no acknowledged POST is lost",
    },
    // httpd: 90.
    Goal {
        check: "d5",
        metric: "failures",
        most: 9.0,
        says: "fewer than 10 failures when a member stops",
    },
    // httpd: 126; a GET without an answer moves on.
    Goal {
        check: "d6",
        metric: "failures",
        most: 0.0,
        says: "no GET fails when a member hangs",
    },
    // Two retries fit into the 12 s; httpd: 100, a wave of them after every retry.
    Goal {
        check: "d6",
        metric: "late_trials",
        most: 2.0,
        says: "a hung member is ejected after the first answer timeouts, one trial at a time",
    },
    Goal {
        check: "e1",
        metric: "lag_after_ready_s",
        most: 2.0,
        says: "a restarted member serves within 2 s",
    },
    // httpd, whose default this retry is: 57 s.
    Goal {
        check: "e4",
        metric: "lag_after_ready_s",
        most: 2.0,
        says: "a restarted member serves within 2 s, whatever its retry",
    },
    Goal {
        check: "l",
        metric: "failures",
        most: 0.0,
        says: "a reload fails nothing",
    },
    Goal {
        check: "p",
        metric: "orders_done_twice",
        most: 0.0,
        says: "no POST is repeated on a stale connection",
    },
];

/// Whether a promise was kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// `d2.failures`
    pub of: String,
    /// In words.
    pub says: &'static str,
    /// The largest value that holds it.
    pub most: f64,
    /// As measured; `None` where the check did not run.
    pub measured: Option<f64>,
    /// `None` where the check did not run.
    pub held: Option<bool>,
}

/// Compares the scenario's results with every goal.
pub fn judge(results: &Value) -> Vec<Judgement> {
    GOALS.iter().map(|goal| judged(goal, results)).collect()
}

fn judged(goal: &Goal, results: &Value) -> Judgement {
    let check = &results["checks"][goal.check];
    let measured = check["metrics"][goal.metric].as_f64();
    // A check that ran and does not say is a miss: otherwise one that breaks off, or a
    // metric that is renamed, would pass unnoticed.
    let ran = check.is_object() && check["verdict"] != "SKIP";
    let held = ran.then(|| measured.is_some_and(|value| value <= goal.most));
    Judgement {
        of: format!("{}.{}", goal.check, goal.metric),
        says: goal.says,
        most: goal.most,
        measured,
        held,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn held(results: Value, of: &str) -> Option<bool> {
        judge(&results)
            .into_iter()
            .find(|goal| goal.of == of)
            .unwrap()
            .held
    }

    #[test]
    fn a_goal_is_held_up_to_its_bound() {
        let results = |failures: u32| json!({"checks": {"d5": {"verdict": "INFO", "metrics": {"failures": failures}}}});
        assert_eq!(held(results(9), "d5.failures"), Some(true));
        assert_eq!(held(results(10), "d5.failures"), Some(false));
    }

    #[test]
    fn a_check_that_did_not_run_is_not_judged_but_a_silent_one_is_a_miss() {
        assert_eq!(held(json!({"checks": {}}), "d2.failures"), None);
        assert_eq!(
            held(
                json!({"checks": {"d2": {"verdict": "SKIP", "metrics": {}}}}),
                "d2.failures"
            ),
            None
        );
        assert_eq!(
            held(
                json!({"checks": {"d2": {"verdict": "FAIL", "metrics": {}}}}),
                "d2.failures"
            ),
            Some(false)
        );
    }

    #[test]
    fn every_goal_names_a_metric_that_the_scenario_writes() {
        let path = crate::workspace::root().join("tests/tomcat/baseline-apache.json");
        let baseline: Value =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        for goal in judge(&baseline) {
            assert!(goal.measured.is_some(), "{}", goal.of);
        }
    }
}
