//! Access log lines in JSON, one object a line.

use std::io::Write;

use super::{escape, record::Record, time};

/// Appends the object. Texts that do not apply are left out, numbers never.
pub(super) fn render(record: &Record<'_>, out: &mut Vec<u8>) {
    let mut object = Object { out };
    object.out.extend_from_slice(b"{\"time\":\"");
    time::rfc3339(object.out, record.started, 6);
    object.out.push(b'"');
    object.shown("client", record.client);
    object.shown("peer", record.peer);
    object.shown("local", record.local);
    object.text("method", record.method);
    object.text("target", record.target);
    object.text("protocol", record.version);
    object.text("host", record.host);
    object.number("status", record.status);
    object.number("body_bytes", record.body_bytes);
    object.number(
        "sent_bytes",
        record.head_bytes.saturating_add(record.body_bytes),
    );
    object.number("received_bytes", record.received_bytes);
    object.number("duration_us", record.duration.as_micros());
    object.text("tenant", record.tenant);
    object.text("vhost", record.vhost);
    object.text("route", record.route);
    object.text("balancer", record.balancer);
    object.text("member", record.member);
    object.text("member_route", record.member_route);
    object.text("session_route", record.session_route);
    object.number("moved", record.moved);
    object.number("attempts", record.attempts);
    object.text("policy", record.policy);
    object.number("policy_us", record.policy_time.as_micros());
    object.text("error", record.error);
    object.header("referer", (record.request_header)("referer"));
    object.header("user_agent", (record.request_header)("user-agent"));
    object.number("keepalive", record.keepalive_index);
    let connection = match (record.aborted, record.kept) {
        (true, _) => "aborted",
        (false, true) => "kept",
        (false, false) => "closed",
    };
    object.text("connection", connection);
    out.push(b'}');
}

struct Object<'a> {
    out: &'a mut Vec<u8>,
}

impl Object<'_> {
    fn key(&mut self, key: &str) {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.key(key);
            escape::json(self.out, value.as_bytes());
        }
    }

    fn header(&mut self, key: &str, value: Option<Vec<u8>>) {
        if let Some(value) = value {
            self.key(key);
            escape::json(self.out, &value);
        }
    }

    /// Addresses: nothing in them needs an escape.
    fn shown(&mut self, key: &str, value: impl std::fmt::Display) {
        self.key(key);
        // A Vec takes all that is written to it.
        let _ = write!(self.out, "\"{value}\"");
    }

    /// Numbers and booleans.
    fn number(&mut self, key: &str, value: impl std::fmt::Display) {
        self.key(key);
        let _ = write!(self.out, "{value}");
    }
}
