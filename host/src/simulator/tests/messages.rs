//! Rewriters and affinity: what members get, and what clients get.

use super::{breaks, built_in, holds};

const MEMBER: &str =
    "[balancer]\nmembers = [{ url = \"http://10.0.0.1:8080/Test\", route = \"w1\" }]\n";

fn reverse(steps: &str) -> String {
    // What the configuration makes of `reverse = true`, given by hand.
    format!("{MEMBER}[route]\npath = \"/app\"\nreverse = {{ html = true }}\nrewrite = []\n{steps}")
}

#[test]
fn answers_are_rewritten_as_a_gateway_would() {
    // The built-in `reverse` rewrites because the route says so; the policy under test looks on.
    let tested = built_in("byrequests");
    let text = reverse(
        r#"
        [[step]]
        path = "/app/start?x=1"
        requests = 1
        answer = { status = 302, headers = { location = "http://10.0.0.1:8080/Test/next" } }
        expect = { path = "/Test/start?x=1", host = "10.0.0.1:8080", status = 302, headers = { location = "http://www.example.com/app/next" } }
        [[step]]
        path = "/app/"
        requests = 1
        answer = { headers = { content-type = "text/html" }, body = "<a href=\"http://10.0.0.1:8080/Test/x\">x</a>" }
        expect = { body = "<a href=\"/app/x\">x</a>" }
        "#,
    );
    holds(&tested, &text);
    let wrong = text.replace("/app/next\" } }", "/app/other\" } }");
    breaks(
        &tested,
        &wrong,
        "the answer has location [\"http://www.example.com/app/next\"]",
    );
}

#[test]
fn fields_that_must_not_be_there_are_found() {
    let tested = built_in("byrequests");
    let text = format!(
        "{MEMBER}{}",
        r#"
        [[step]]
        requests = 1
        headers = { x-tag = ["1", "2"] }
        answer = { headers = { server = "secret" } }
        expect = { sent = { x-tag = ["1", "2"], x-none = [] }, headers = { server = [] } }
        "#
    );
    breaks(
        &tested,
        &text,
        "the answer has server [\"secret\"], [] is due",
    );
}

#[test]
fn a_session_cookie_leads_back_to_the_member_that_gave_it() {
    let tested = built_in("jsessionid");
    let text = r#"
        [policy]
        config = { cookie = "SID", parameter = "sid" }
        [balancer]
        members = [{ url = "http://a", route = "a" }, { url = "http://b", route = "b" }]
        [[step]]
        requests = 4
        cookies = { SID = "x.b" }
        expect = { only = "b", decided_by = "pin" }
        [[step]]
        requests = 4
        expect = { shares = { a = 50, b = 50 }, decided_by = "byrequests" }
        "#;
    holds(&tested, text);
    breaks(
        &tested,
        &text.replacen("only = \"b\"", "only = \"a\"", 1),
        "request 1 of step 1 went to b, which is not to be asked",
    );
}

#[test]
fn what_no_route_takes_is_the_gateways_own_answer() {
    let tested = built_in("byrequests");
    let text = reverse("[[step]]\npath = \"/apple\"\nrequests = 1\nexpect = { status = 404 }\n");
    holds(&tested, &text);
}
