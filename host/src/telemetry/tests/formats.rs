use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    super::{FormatError, Record, check_format, format::Format},
    with_record,
};
use crate::snapshot::AccessFormat;

fn line(format: &str, record: &Record<'_>) -> String {
    let format = match format {
        "common" => AccessFormat::Common,
        "combined" => AccessFormat::Combined,
        "json" => AccessFormat::Json,
        text => AccessFormat::Custom(text.to_owned()),
    };
    let mut out = Vec::new();
    Format::compile(&format).unwrap().render(record, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn letters_stand_for_what_they_stand_for_in_httpd() {
    for (format, expected) in [
        (
            "%h %a %{c}a %A",
            "203.0.113.7 203.0.113.7 10.0.0.9 10.0.0.1",
        ),
        ("%l %u", "- -"),
        ("%r", "GET /Test/a%20b?x=1&y=%22 HTTP/1.1"),
        ("%s %>s %<s", "200 200 200"),
        ("%b %B %O %I %S", "1000 1000 1200 345 1545"),
        ("%D %T %{s}T %{ms}T %{us}T", "1234567 1 1 1234 1234567"),
        ("%{msec}t %{end:msec}t", "1795391292045 1795391293280"),
        ("%U|%q|%m|%H", "/Test/a%20b|?x=1&y=%22|GET|HTTP/1.1"),
        ("%v %V", "example www.example.com"),
        (
            "%p %{canonical}p %{local}p %{remote}p",
            "8080 8080 8080 51000",
        ),
        ("%X %k", "+ 3"),
        ("%{REFERER}i", "http://www.example.com/start"),
        ("%{User-Agent}i", r#"curl/8\" x \n\xff"#),
        ("%{none}i [%{X-Empty}i]", "- []"),
        ("%{Content-Type}o %{none}o", "text/html -"),
        ("%{JSESSIONID}C %{a}C %{SESSION}C", "ABC.worker1 1 -"),
        (
            "%400,500{Referer}i %!400{JSESSIONID}C %200s",
            "- ABC.worker1 200",
        ),
        ("%{BALANCER_NAME}e", "balancer://mycluster"),
        ("%{BALANCER_WORKER_NAME}e", "http://10.0.0.11:8080/Test"),
        (
            "%{BALANCER_WORKER_ROUTE}e %{BALANCER_SESSION_ROUTE}e",
            "worker2 worker1",
        ),
        ("%{BALANCER_ROUTE_CHANGED}e", "1"),
        (
            "%{balancer}x %{member}x %{member_route}x",
            "mycluster http://10.0.0.11:8080/Test worker2",
        ),
        (
            "%{route}x %{session_route}x %{moved}x %{attempts}x",
            "/Test worker1 1 2",
        ),
        ("%{policy}x %{policy_us}x %{error}x", "byrequests 7 -"),
        (r#"100%% \"%m\" \\ \t|\x"#, "100% \"GET\" \\ \t|\\x"),
    ] {
        with_record(|record| assert_eq!(line(format, &record), expected, "{format}"));
    }
}

#[test]
fn what_does_not_apply_is_a_dash() {
    with_record(|mut record| {
        record.method = "";
        record.target = "";
        record.status = 0;
        record.body_bytes = 0;
        record.balancer = "";
        record.moved = false;
        record.aborted = true;
        assert_eq!(
            line(
                "%r %s %b %B %U %q|%m %{BALANCER_NAME}e %{BALANCER_ROUTE_CHANGED}e %{moved}x %X",
                &record
            ),
            "- - - 0 - |- - - 0 X"
        );
    });
}

#[test]
fn path_and_query_are_found_in_every_form_of_target() {
    for (target, expected) in [
        ("/", "/ "),
        ("/a?", "/a ?"),
        ("http://host/a?b=http://c", "/a ?b=http://c"),
        ("http://host", "/ "),
        ("http://host?q", "- ?q"),
        ("/a?b=http://c/d", "/a ?b=http://c/d"),
        ("*", "* "),
        ("host:443", "host:443 "),
    ] {
        with_record(|mut record| {
            record.target = target;
            assert_eq!(line("%U %q", &record), expected, "{target}");
        });
    }
}

#[test]
fn common_and_combined_are_ncsas() {
    with_record(|record| {
        let common = line("common", &record);
        let time = line("%t", &record);
        assert_eq!(
            common,
            format!("203.0.113.7 - - {time} \"GET /Test/a%20b?x=1&y=%22 HTTP/1.1\" 200 1000")
        );
        let more = r#" "http://www.example.com/start" "curl/8\" x \n\xff""#;
        assert_eq!(line("combined", &record), common + more);
    });
}

#[test]
fn json_line_holds_all_facts() {
    let parsed: Value = with_record(|record| serde_json::from_str(&line("json", &record)).unwrap());
    assert_eq!(
        parsed,
        json!({
            "time": "2026-11-22T23:48:12.045678Z",
            "client": "203.0.113.7", "peer": "10.0.0.9:51000", "local": "10.0.0.1:8080",
            "method": "GET", "target": "/Test/a%20b?x=1&y=%22", "protocol": "HTTP/1.1",
            "host": "www.example.com", "status": 200, "body_bytes": 1000, "sent_bytes": 1200,
            "received_bytes": 345, "duration_us": 1_234_567, "tenant": "acme", "vhost": "example", "route": "/Test",
            "balancer": "mycluster", "member": "http://10.0.0.11:8080/Test",
            "member_route": "worker2", "session_route": "worker1", "moved": true, "attempts": 2,
            "policy": "byrequests", "policy_us": 7, "referer": "http://www.example.com/start",
            "user_agent": "curl/8\" x \n\u{fffd}", "keepalive": 3, "connection": "kept",
        })
    );
}

#[test]
fn formats_that_cannot_be_served_are_refused_with_the_reason() {
    for (format, expected) in [
        ("%h %Z", FormatError::Letter('Z')),
        ("%f", FormatError::Letter('f')),
        ("%h %", FormatError::Ends),
        ("%>", FormatError::Ends),
        ("%200", FormatError::Ends),
        ("%{Referer", FormatError::Unclosed),
        ("%{}i", FormatError::Nameless('i')),
        ("%i", FormatError::Nameless('i')),
        ("%99s", FormatError::Statuses),
        ("%200,s", FormatError::Statuses),
        ("%!s", FormatError::Statuses),
        ("%h\n%h", FormatError::LineBreak),
        (r"%h\n", FormatError::LineBreak),
        ("combimed", FormatError::Constant),
        ("", FormatError::Constant),
    ] {
        assert_eq!(check_format(format), Err(expected), "{format}");
    }
    assert_eq!(check_format(&"%h ".repeat(200)), Err(FormatError::TooLong));
    for (format, expected) in [
        ("%{min}T", "%{min}T is not known; T takes s, ms or us"),
        ("%{HOME}e", "BALANCER_NAME"),
        ("%{mebmer}x", "takes balancer, member"),
        ("%{x}h", "h takes no name"),
    ] {
        let error = check_format(format).unwrap_err().to_string();
        assert!(error.contains(expected), "{format}: {error}");
    }
}

proptest! {
    #[test]
    fn no_format_panics(format: String) {
        if check_format(&format).is_ok() {
            with_record(|record| line(&format, &record));
        }
    }

    #[test]
    fn no_client_can_write_a_line_of_its_own(text: String, bytes: Vec<u8>) {
        let header = |_: &str| Some(bytes.clone());
        with_record(|mut record| {
            record.method = &text;
            record.target = &text;
            record.host = &text;
            record.session_route = &text;
            record.request_header = &header;
            for format in ["combined", "json", "%m %U%q %V %{session_route}x %{a}i %{a}C"] {
                let line = line(format, &record);
                assert!(!line.contains(|c: char| c.is_control()), "{format}: {line:?}");
            }
            // Method, target and version are within one pair of quotes, whatever they hold.
            let combined = line("\"%r\" \"%{a}i\"", &record);
            let bare = combined.replace(r"\\", "").replace(r#"\""#, "");
            assert_eq!(bare.matches('"').count(), 4);
            serde_json::from_str::<Value>(&line("json", &record)).unwrap();
        });
    }
}
