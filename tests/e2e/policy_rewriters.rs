//! Rewriters of the operator's own: what they may change, and what the host refuses of it.

use std::time::Instant;

use switchyard_tests::{After, Gateway, Member, Request, Setup, guests, scripts};

use crate::{
    conf::{balancer, entry, site},
    policies::{bad, policy_status},
};

/// Everything goes through the test rewriter, which does what `does` says.
fn rewritten(does: &str, policy: &str) -> (Member, Gateway) {
    let a = Member::start("a", scripts::name());
    let text = site(&[("/", "balancer = \"cl\"\nrewrite = \"policy:r\"")])
        + &balancer("cl", "", &[entry(&a, "route = \"a\"")])
        + &format!("[policy.r]\nsource = \"r.wasm\"\nconfig = {{ does = {does:?} }}\n{policy}\n");
    let gateway = Setup::new(text)
        .file("r.wasm", guests::marked("rewriter", "v1"))
        .start();
    (a, gateway)
}

#[test]
fn a_rewriter_changes_both_directions() {
    let (a, gateway) = rewritten("path", "");
    let response = gateway.get("/x?y");
    assert_eq!(response.field("x-version"), Some("v1"));
    assert_eq!(a.last().target(), "/rewritten/x?y");
    assert_eq!(a.last().field("x-original"), Some("/x?y"));
    let (_a, gateway) = rewritten("member", "");
    assert_eq!(gateway.get("/").field("x-served-by"), Some("a"));
    let (_a, gateway) = rewritten("status", "");
    assert_eq!(gateway.get("/").status, 418);
}

#[test]
fn a_body_is_streamed_through_the_guest() {
    let (a, gateway) = rewritten("upper", "");
    assert_eq!(gateway.get("/").text(), "A (end)");
    a.becomes(scripts::sized(1_000_000));
    let body = gateway.get("/").body;
    assert_eq!(body.len(), 1_000_006);
    assert!(body.iter().take(1_000_000).all(|b| *b == b'X'));
}

#[test]
fn a_body_that_traps_is_visibly_aborted_or_refused() {
    let (a, gateway) = rewritten("trap-in-body", "");
    a.becomes(scripts::sized(100_000));
    let mut client = gateway.connect();
    match client.send(bad().bytes()).try_response() {
        Ok(response) => assert_eq!(response.status, 502, "{response:?}"),
        Err(broken) => assert!(!broken.is_bare_close(), "{broken:?}"),
    }
    a.becomes(scripts::name());
    assert!(
        gateway
            .connect()
            .try_send(Request::get("/").bytes())
            .is_ok()
    );
}

#[test]
fn byte_strings_are_substituted_also_across_chunks() {
    let (a, gateway) = rewritten("swap", "");
    a.becomes(|exchange| {
        exchange.send(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
        for part in ["a nee", "d", "le, and a needle.nee", "dle"] {
            exchange.send(format!("{:x}\r\n{part}\r\n", part.len()));
        }
        exchange.send("0\r\n\r\n");
        After::Keep
    });
    assert_eq!(gateway.get("/").text(), "a thread, and a thread.thread");
}

/// What it costs to look for 60,000 bytes of patterns is its tenant's to bear, in time and memory.
#[test]
fn many_long_patterns_cost_a_request_neither_much_memory_nor_much_time() {
    let (a, gateway) = rewritten("swap-many", "");
    a.becomes(|exchange| {
        exchange.send(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\na needle.",
        );
        After::Keep
    });
    let before = gateway.resident_peak();
    for _ in 0..20 {
        assert_eq!(gateway.get("/").text(), "a thread.");
    }
    let grown = gateway.resident_peak().saturating_sub(before);
    assert!(grown < 40 << 20, "{grown} bytes more at the peak");
}

#[test]
fn a_rewriter_that_fails_passes_the_answer_or_refuses_it() {
    for does in ["trap", "loop", "trap-on-request"] {
        let (_a, gateway) = rewritten(does, "on_error = \"builtin\"");
        let response = gateway.ask(&bad());
        assert_eq!(
            (response.status, response.text().as_str()),
            (200, "a"),
            "{does}"
        );
        // One that failed for the request may be back when the answer comes.
        if does != "trap-on-request" {
            assert_eq!(
                response.field("x-version"),
                None,
                "{does}: nothing half done"
            );
        }
        let (_a, gateway) = rewritten(does, "on_error = \"refuse\"");
        assert_eq!(gateway.ask(&bad()).status, 502, "{does}");
    }
}

#[test]
fn nothing_that_a_policy_returns_can_break_the_protocol() {
    for does in [
        "forge-path",
        "forge-request-header",
        "forge-host",
        "forge-host-twice",
        "forge-request-length",
        "forge-status",
        "forge-crlf",
        "forge-name",
        "forge-length",
        "forge-coding",
    ] {
        let (a, gateway) = rewritten(does, "");
        let mut client = gateway.connect();
        // The reader here is strict: two lengths, or a broken head, are no answer.
        for _ in 0..2 {
            let response = client.send(bad().bytes()).response();
            assert!(matches!(response.status, 200 | 502), "{does}: {response:?}");
            assert_eq!(response.field("x-injected"), None, "{does}");
            if response.status == 200 {
                assert_eq!(response.text(), "a", "{does}");
            }
        }
        for seen in a.seen() {
            assert_eq!(seen.field("x-injected"), None, "{does}");
            assert_eq!(seen.head.all("host").len(), 1, "{does}");
            assert_ne!(seen.field("host"), Some("evil.example"), "{does}");
            assert_eq!(seen.field("content-length").unwrap_or("0"), "0", "{does}");
        }
    }
}

/// Each body has an instance of its own, and none of them brings another ration.
#[test]
fn instances_for_bodies_share_what_their_policy_may_log() {
    let began = Instant::now();
    let (_a, mut gateway) = rewritten("chatty", "limits = { log_bytes = \"4KiB\" }");
    for _ in 0..30 {
        assert_eq!(gateway.get("/").text(), "A (end)");
    }
    let most = 4_096 * (began.elapsed().as_secs() + 2);
    gateway.wait_for_log(&["chatter"]);
    // Whatever else there is to tell is told by then.
    gateway.signal(libc::SIGTERM);
    gateway.wait_for_exit();
    let lines = gateway.log();
    let chatter = lines.iter().filter(|line| line.contains("chatter"));
    let logged = chatter.count() as u64 * 1_000;
    assert!(
        logged > 0 && logged < most,
        "{logged} bytes, {most} at most"
    );
}

#[test]
fn of_two_that_plan_the_body_the_first_holds_and_the_second_is_counted_and_told_once() {
    let a = Member::start("a", scripts::name());
    let text = site(&[(
        "/",
        "balancer = \"cl\"\nrewrite = [\"policy:one\", \"policy:two\"]",
    )]) + &balancer("cl", "", &[entry(&a, "route = \"a\"")])
        + "[policy.one]\nsource = \"r.wasm\"\nconfig = { does = \"upper\" }\n\
           [policy.two]\nsource = \"r.wasm\"\nconfig = { does = \"swap\" }\n";
    let mut gateway = Setup::new(text)
        .file("r.wasm", guests::marked("rewriter", "v1"))
        .start();
    for _ in 0..5 {
        assert_eq!(gateway.get("/").text(), "A (end)");
    }
    let overruled = |name: &str| policy_status(&gateway, name)["overruled"].clone();
    assert_eq!((overruled("one"), overruled("two")), (0.into(), 5.into()));
    gateway.wait_for_log(&["second policy"]);
    // Whatever else there is to tell is told by then.
    gateway.signal(libc::SIGTERM);
    gateway.wait_for_exit();
    let lines = gateway.log();
    let told = lines.iter().filter(|line| line.contains("second policy"));
    assert_eq!(told.count(), 1);
}
