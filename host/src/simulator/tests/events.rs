//! What may happen to members, and what the gateway's rules make of it.

use super::{POOL, breaks, built_in, holds};

fn with(steps: &str) -> String {
    format!("{POOL}{steps}")
}

#[test]
fn a_member_that_dies_is_found_out_once_and_tried_again_when_its_time_has_come() {
    let tested = built_in("byrequests");
    let text = with(
        r#"
        [[step]]
        dies = "c"
        requests = 6
        # The first one meets it, and is served by another.
        expect = { status = 200 }
        [[step]]
        returns = "c"
        requests = 6
        expect = { never = "c" }
        [[step]]
        wait = "60s"
        requests = 1
        # The trial, for which nobody else is asked.
        expect = { sequence = "c", decided_by = "trial" }
        [[step]]
        requests = 60
        expect = { shares = "weights" }
        "#,
    );
    holds(&tested, &text);
}

#[test]
fn where_nobody_is_left_clients_get_503() {
    let tested = built_in("byrequests");
    let steps = r#"
        [[step]]
        leaves = ["b", "c"]
        changes = { a = { status = "disabled" } }
        requests = 2
        expect = { sequence = "--", status = 503 }
        "#;
    holds(&tested, &with(steps));
    breaks(
        &tested,
        &with(&steps.replace("--", "-a")),
        "request 2 of step 1 was served by nobody (no member is usable), a is due",
    );
}

#[test]
fn weights_members_and_statuses_change_as_by_a_reload() {
    let tested = built_in("byrequests");
    let text = with(
        r#"
        [[step]]
        changes = { a = { loadfactor = 3 }, b = { loadfactor = 3 } }
        requests = 90
        expect = { shares = { a = 33.3, b = 33.3, c = 33.3 } }
        [[step]]
        joins = [{ url = "http://d", loadfactor = 3 }]
        requests = 80
        expect = { shares = "weights", within = 3 }
        [[step]]
        changes = { d = { status = "draining" } }
        requests = 10
        expect = { never = "d" }
        "#,
    );
    let shown = holds(&tested, &text);
    assert!(shown.contains("\nd         3.00"), "{shown}");
}

#[test]
fn sessions_keep_their_cookies_and_their_member() {
    let tested = built_in("byrequests");
    let text = POOL
        .replace("[balancer]\n", "[balancer]\nstickysession = \"SID\"\n")
        .replace("http://a\"", "http://a\", route = \"a\"")
        .replace("http://b\"", "http://b\", route = \"b\"")
        .replace("http://c\"", "http://c\", route = \"c\"")
        + r#"
        [answer]
        headers = { set-cookie = "SID={session}.{route}; Path=/" }
        [[step]]
        sessions = 10
        requests = 100
        expect = { sticky = true }
        [[step]]
        session = "1"
        requests = 3
        expect = { decided_by = "pin" }
        "#;
    holds(&tested, &text);
    let moved = text.clone()
        + r#"
        [[step]]
        changes = { a = { status = "disabled" }, b = { status = "disabled" } }
        sessions = 10
        requests = 10
        [expect]
        sticky = true
        "#;
    breaks(&tested, &moved, "took session 2 from b to c");
}

#[test]
fn requests_that_take_time_end_when_it_has_passed() {
    let tested = built_in("bybusyness");
    let text = with(
        r#"
        [answers.c]
        lasts = "1s"
        [[step]]
        requests = 1
        expect = { sequence = "c" }
        [[step]]
        requests = 10
        every = "10ms"
        # It is busy, and the others are not.
        expect = { never = "c" }
        [[step]]
        wait = "1s"
        requests = 1
        expect = { sequence = "c" }
        "#,
    );
    holds(&tested, &text);
}

#[test]
fn a_member_that_takes_too_long_is_left_for_another() {
    let tested = built_in("byrequests");
    let text = with(
        r#"
        [[step]]
        answers = { c = { fails = "timeout" } }
        requests = 1
        expect = { sequence = "b", status = 200 }
        [[step]]
        requests = 1
        method = "POST"
        answer = { fails = "reset" }
        # It may have been carried out, so it is not sent again.
        expect = { status = 502 }
        "#,
    );
    let shown = holds(&tested, &text);
    assert!(
        shown.contains("60s of time"),
        "as long as that takes: {shown}"
    );
}

#[test]
fn two_runs_print_the_same() {
    let tested = built_in("byrequests");
    let text = with("[[step]]\nrequests = 100\nevery = \"7ms\"\nanswer = { lasts = \"20ms\" }\n");
    assert_eq!(holds(&tested, &text), holds(&tested, &text));
}

#[test]
fn shares_that_are_off_are_told_with_what_is_allowed_for() {
    let tested = built_in("byrequests");
    let text = with("[[step]]\nrequests = 60\nexpect = { shares = { a = 20 } }\n");
    breaks(
        &tested,
        &text,
        "step[0].expect.shares: in step 1 a served 16.7 % of the requests, 20.0 % are due; 1 % are allowed for",
    );
}

#[test]
fn dear_calls_are_told_with_their_hook() {
    let tested = built_in("byrequests");
    let text = with("[[step]]\nname = \"go\"\nrequests = 6\nexpect = { fuel = 10 }\n");
    breaks(&tested, &text, "in step 1 (go) a call of ");
}

#[test]
fn more_open_requests_than_can_be_held_are_refused() {
    let tested = built_in("byrequests");
    let text = with("[[step]]\nrequests = 30000\nanswer = { lasts = \"1s\" }\n");
    let scenario = super::read(&tested, &text).unwrap();
    let error = super::play(&tested, &scenario).unwrap_err().to_string();
    assert!(error.contains("under way at once"), "{error}");
}
