//! Requests, responses and pools that differ from call to call.

use std::borrow::Cow;

use crate::decision::{FieldsView, Member, PoolView, RequestView, ResponseView};

/// A request, a response and a pool that differ from call to call.
pub struct Moment {
    number: u64,
    path: String,
    cookie: Option<Vec<u8>>,
    location: String,
    set_cookies: Vec<String>,
    usable: Vec<u8>,
    weights: Vec<u32>,
}

impl Moment {
    pub fn new(number: u64) -> Self {
        let route = format!("worker{}", number % 4);
        Self {
            number,
            path: match number % 5 {
                0 => format!("/app;jsessionid=P{number}.{route}/x"),
                1 => format!("/app/x?jsessionid=Q{number}.{route}"),
                _ => format!("/app/{number}"),
            },
            cookie: (!number.is_multiple_of(3)).then(|| format!("S{number}.{route}").into_bytes()),
            location: format!("http://10.0.0.{}/webapp/{number}", number % 4),
            set_cookies: vec![
                format!("JSESSIONID=S{number}.{route}; Path=/webapp"),
                "plain=1".to_owned(),
            ],
            usable: (0..4).map(|at| u8::from(number / 7 % 5 != at)).collect(),
            weights: vec![100, 200, 100 + number as u32 / 500 * 50, 300],
        }
    }
}

impl FieldsView for Moment {
    fn header(&self, name: &str) -> Option<&[u8]> {
        (name == "x-group").then_some(b"blue")
    }
    fn headers(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.header(name).into_iter().for_each(each);
    }
    fn header_names(&self, each: &mut dyn FnMut(&str)) {
        each("x-group");
    }
}

impl RequestView for Moment {
    fn method(&self) -> &str {
        "GET"
    }
    fn path(&self) -> &str {
        &self.path
    }
    fn scheme(&self) -> &str {
        "http"
    }
    fn authority(&self) -> &str {
        "example.org"
    }
    fn original_path(&self) -> &str {
        &self.path
    }
    fn original_scheme(&self) -> &str {
        "https"
    }
    fn original_authority(&self) -> &str {
        "www.example.org"
    }
    fn cookie(&self, name: &str) -> Option<&[u8]> {
        self.cookie.as_deref().filter(|_| name == "JSESSIONID")
    }
    fn cookies(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.cookie(name).into_iter().for_each(each);
    }
    fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        let (_, query) = self.path.split_once('?')?;
        let value = query.strip_prefix(name)?.strip_prefix('=')?;
        Some(value.into())
    }
    fn path_parameter(&self, name: &str) -> Option<&str> {
        let (_, rest) = self.path.split_once(';')?;
        let rest = rest.strip_prefix(name)?.strip_prefix('=')?;
        rest.split('/').next()
    }
    fn attribute(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
    fn tried(&self) -> &[u32] {
        &[]
    }
}

/// The response of a moment.
pub struct Answered<'a>(pub &'a Moment);

impl FieldsView for Answered<'_> {
    fn header(&self, name: &str) -> Option<&[u8]> {
        match name {
            "location" => Some(self.0.location.as_bytes()),
            "set-cookie" => Some(self.0.set_cookies[0].as_bytes()),
            "content-type" => Some(b"text/html"),
            _ => None,
        }
    }
    fn headers(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        match name {
            "set-cookie" => self
                .0
                .set_cookies
                .iter()
                .for_each(|line| each(line.as_bytes())),
            _ => self.header(name).into_iter().for_each(each),
        }
    }
    fn header_names(&self, each: &mut dyn FnMut(&str)) {
        ["location", "set-cookie", "content-type"]
            .iter()
            .for_each(|name| each(name));
    }
}

impl ResponseView for Answered<'_> {
    fn status(&self) -> u16 {
        302
    }
    fn member_id(&self) -> &str {
        "http://10.0.0.1/webapp"
    }
    fn member_route(&self) -> &str {
        "worker1"
    }
    fn moved(&self) -> bool {
        self.0.number.is_multiple_of(2)
    }
}

impl PoolView for Moment {
    fn name(&self) -> &str {
        "cluster"
    }
    fn usable(&self) -> &[u8] {
        &self.usable
    }
    fn weights(&self) -> &[u32] {
        &self.weights
    }
    fn in_flight(&self, out: &mut Vec<u32>) {
        out.extend((0..4).map(|at| (self.number as u32 * (at + 3)) % 7));
    }
    fn elected(&self, out: &mut Vec<u64>) {
        out.extend((0..4).map(|at| self.number * (at + 1)));
    }
    fn bytes_in(&self, out: &mut Vec<u64>) {
        out.extend((0..4).map(|at| self.number * 1_000 * (at + 1) % 7_919));
    }
    fn bytes_out(&self, out: &mut Vec<u64>) {
        out.extend((0..4).map(|at| self.number * (at + 7) % 97));
    }
    fn latency_us(&self, out: &mut Vec<u32>) {
        out.extend([10, 20, 30, 40]);
    }
    fn consecutive_failures(&self, out: &mut Vec<u32>) {
        out.extend([0; 4]);
    }
}

/// The pool's, `count` of them.
pub fn members(count: u64) -> Vec<Member> {
    let member = |at| Member {
        id: format!("http://10.0.0.{at}/webapp"),
        route: format!("worker{at}"),
        weight: 100,
        lb_set: 0,
        labels: Vec::new(),
    };
    (0..count).map(member).collect()
}
