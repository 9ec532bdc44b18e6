//! The request as policies see it.

use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
};

use http::Method;
use percent_encoding::percent_decode_str;

use crate::{
    decision::{FieldsView, RequestView, ResponseView, cookies, path_parameter, query_parameter},
    http1::{Fields, Framing, Version},
    routing::{Authority, CanonicalPath},
    snapshot::{Member, Proxy},
};

/// A checked request on its way to a member.
#[derive(Debug)]
pub struct Exchange<'l> {
    /// As sent.
    pub method: Method,
    /// Of the client.
    pub version: Version,
    /// Of the request's body.
    pub framing: Framing,
    /// Without hop-by-hop fields, changed by plans.
    pub fields: Fields,
    /// `Host`, or of an absolute target.
    pub original_authority: &'l Authority,
    /// `http`, or what a trusted proxy said.
    pub original_scheme: &'static str,
    /// The path the client sent, in its one reading.
    pub original: &'l CanonicalPath,
    /// The path after plans; `None` = the original.
    pub planned: Option<CanonicalPath>,
    /// The host after plans; `None` = the original.
    pub planned_authority: Option<Authority>,
    /// Whoever is meant.
    pub client: IpAddr,
    /// Whoever connected.
    pub peer: SocketAddr,
    /// For attributes.
    pub tenant: &'l str,
    /// For attributes.
    pub vhost: &'l str,
    /// For attributes.
    pub route: &'l str,
}

impl Exchange<'_> {
    /// What routes to a member: the planned path, else the original.
    pub fn path(&self) -> &CanonicalPath {
        self.planned.as_ref().unwrap_or(self.original)
    }

    /// Path and query as this member gets them.
    pub fn target_at(&self, proxy: &Proxy, member: &Member) -> String {
        self.path().mapped(&proxy.prefix, &member.base_path)
    }

    /// `Host` as this member gets it.
    pub fn host_at(&self, proxy: &Proxy, member: &Member) -> String {
        match &self.planned_authority {
            Some(planned) => planned.as_str().to_owned(),
            None if proxy.preserve_host => self.original_authority.as_str().to_owned(),
            None => member_host(&member.host, member.port),
        }
    }

    /// Whether doing it twice is doing it once (RFC 9110 9.2.2).
    pub fn is_idempotent(&self) -> bool {
        self.method.is_idempotent()
    }
}

/// `host`, or `host:port` where the port is not 80; version 6 addresses in brackets.
fn member_host(host: &str, port: u16) -> String {
    const LONGEST_PORT: usize = 5;
    let is_literal = host.contains(':');
    let mut named = String::with_capacity(host.len() + "[]:".len() + LONGEST_PORT);
    named.push_str(if is_literal { "[" } else { "" });
    named.push_str(host);
    named.push_str(if is_literal { "]" } else { "" });
    if port != 80 {
        named.push(':');
        // Formatting a number is dearer than all the rest.
        let digits = [10_000, 1_000, 100, 10, 1].map(|unit| port / unit);
        let digits = digits.into_iter().skip_while(|digit| *digit == 0);
        named.extend(digits.map(|digit| char::from(b'0' + (digit % 10) as u8)));
    }
    named
}

impl FieldsView for Exchange<'_> {
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.fields.get(name)
    }

    fn headers(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.fields.all(name).for_each(each);
    }

    fn header_names(&self, each: &mut dyn FnMut(&str)) {
        names(&self.fields, each);
    }

    fn seen(&self) -> u64 {
        self.fields.seen()
    }
}

impl RequestView for Exchange<'_> {
    fn method(&self) -> &str {
        self.method.as_str()
    }

    fn path(&self) -> &str {
        Exchange::path(self).target()
    }

    fn scheme(&self) -> &str {
        "http"
    }

    fn authority(&self) -> &str {
        self.planned_authority
            .as_ref()
            .unwrap_or(self.original_authority)
            .as_str()
    }

    fn original_path(&self) -> &str {
        self.original.target()
    }

    fn original_scheme(&self) -> &str {
        self.original_scheme
    }

    fn original_authority(&self) -> &str {
        self.original_authority.as_str()
    }

    fn cookie(&self, name: &str) -> Option<&[u8]> {
        all_cookies(&self.fields)
            .find(|(found, _)| *found == name.as_bytes())
            .map(|(_, value)| value)
    }

    fn cookies(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        all_cookies(&self.fields)
            .filter(|(found, _)| *found == name.as_bytes())
            .for_each(|(_, value)| each(value));
    }

    fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        query_parameter(Exchange::path(self).query()?, name)
    }

    fn path_parameter(&self, name: &str) -> Option<&str> {
        path_parameter(Exchange::path(self).forward(), name)
    }

    fn attribute(&self, name: &str) -> Option<Cow<'_, str>> {
        Some(match name {
            "client.address" => Cow::Owned(self.client.to_string()),
            "peer.address" => Cow::Owned(self.peer.ip().to_string()),
            "route.name" => Cow::Borrowed(self.route),
            "vhost.name" => Cow::Borrowed(self.vhost),
            "tenant" => Cow::Borrowed(self.tenant),
            "path.decoded" => percent_decode_str(Exchange::path(self).as_str()).decode_utf8_lossy(),
            _ => return None,
        })
    }

    fn tried(&self) -> &[u32] {
        &[]
    }
}

/// Name and value of every cookie.
fn all_cookies(fields: &Fields) -> impl Iterator<Item = (&[u8], &[u8])> {
    fields.all("cookie").flat_map(cookies)
}

/// Every distinct name, lower case, in order of first appearance.
fn names(fields: &Fields, each: &mut dyn FnMut(&str)) {
    let mut seen: Vec<String> = Vec::with_capacity(fields.len());
    for line in fields.iter() {
        let name = line.name.to_ascii_lowercase();
        if !seen.contains(&name) {
            each(&name);
            seen.push(name);
        }
    }
}

/// An answer as policies see it.
#[derive(Debug)]
pub struct Answered<'a> {
    /// 200
    pub status: u16,
    /// Without hop-by-hop fields, changed by earlier plans.
    pub fields: &'a Fields,
    /// Who answered.
    pub member_id: &'a str,
    /// Its route.
    pub member_route: &'a str,
    /// The session could not stay where it was.
    pub moved: bool,
}

impl FieldsView for Answered<'_> {
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.fields.get(name)
    }

    fn headers(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.fields.all(name).for_each(each);
    }

    fn header_names(&self, each: &mut dyn FnMut(&str)) {
        names(self.fields, each);
    }

    fn seen(&self) -> u64 {
        self.fields.seen()
    }
}

impl ResponseView for Answered<'_> {
    fn status(&self) -> u16 {
        self.status
    }

    fn member_id(&self) -> &str {
        self.member_id
    }

    fn member_route(&self) -> &str {
        self.member_route
    }

    fn moved(&self) -> bool {
        self.moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_named_with_their_port_unless_it_is_80() {
        for (host, port, named) in [
            ("a.test", 80, "a.test"),
            ("a.test", 8080, "a.test:8080"),
            ("10.0.0.1", 443, "10.0.0.1:443"),
            ("::1", 80, "[::1]"),
            ("::1", 3000, "[::1]:3000"),
        ] {
            assert_eq!(member_host(host, port), named);
        }
    }
}
