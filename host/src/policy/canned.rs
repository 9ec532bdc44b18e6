//! The messages a policy is tried with before it meets real ones.

use std::borrow::Cow;

use crate::decision::{FieldsView, RequestView, ResponseView, Trigger};

/// Stands in for values of which only the name is known. A number is what most values can be read as.
const VALUE: &str = "1";

/// Where canned requests came from, and where answers lead if their member's id is no URL: example.com belongs to
/// nobody (RFC 2606).
const SERVER: &str = "http://www.example.com";

const AUTHORITY: &str = "www.example.com";

/// `GET /` for a page, with one trigger, if any.
#[derive(Debug)]
pub struct CannedRequest {
    fields: Fields,
    cookie: Option<String>,
    parameter: Option<String>,
    query: Option<String>,
    path: String,
}

/// A page as answered by a member, with one trigger, if any.
#[derive(Debug)]
pub struct CannedResponse<'a> {
    fields: Fields,
    /// Who gave it: id and route.
    member: (&'a str, &'a str),
}

/// Names in lower case, each once.
#[derive(Debug)]
struct Fields(Vec<(String, String)>);

impl Fields {
    fn with(mut self, name: &str, value: String) -> Self {
        self.0.retain(|(other, _)| other != name);
        self.0.push((name.to_owned(), value));
        self
    }
}

impl CannedRequest {
    /// With that trigger.
    pub fn new(trigger: Option<&Trigger>) -> Self {
        let fields = Fields(Vec::new())
            .with("host", AUTHORITY.into())
            .with("accept", "text/html".into());
        let plain = Self {
            fields,
            cookie: None,
            parameter: None,
            query: None,
            path: "/".into(),
        };
        match trigger {
            Some(Trigger::RequestHeader(name)) => Self {
                fields: plain.fields.with(name, value_of(name, SERVER)),
                ..plain
            },
            Some(Trigger::Cookie(name)) => Self {
                fields: plain.fields.with("cookie", format!("{name}={VALUE}")),
                cookie: Some(name.clone()),
                ..plain
            },
            Some(Trigger::PathParameter(name)) => Self {
                parameter: Some(name.clone()),
                path: format!("/;{name}={VALUE}"),
                ..plain
            },
            Some(Trigger::QueryParameter(name)) => Self {
                query: Some(name.clone()),
                path: format!("/?{name}={VALUE}"),
                ..plain
            },
            Some(
                Trigger::AbsentCookie(_) | Trigger::ResponseHeader(_) | Trigger::ContentType(_),
            )
            | None => plain,
        }
    }
}

impl<'a> CannedResponse<'a> {
    /// With that trigger, given by a member of this id and route.
    pub fn new(trigger: Option<&Trigger>, member: (&'a str, &'a str)) -> Self {
        let plain = Fields(Vec::new()).with("content-type", "text/html; charset=utf-8".into());
        // As members do that do not know that they are asked through a gateway.
        let server = match member.0.contains("://") {
            true => member.0.trim_end_matches('/'),
            false => SERVER,
        };
        let fields = match trigger {
            Some(Trigger::ResponseHeader(name)) => plain.with(name, value_of(name, server)),
            Some(Trigger::ContentType(prefix)) => plain.with("content-type", prefix.clone()),
            _ => plain,
        };
        Self { fields, member }
    }
}

/// A value that could stand in the field of that name; URLs lead to `server`.
fn value_of(name: &str, server: &str) -> String {
    match name {
        "origin" => server.into(),
        "location" | "content-location" | "uri" | "referer" => format!("{server}/"),
        "link" => format!("<{server}/>; rel=next"),
        "refresh" => format!("{VALUE}; url={server}/"),
        "host" => AUTHORITY.into(),
        "content-type" | "accept" => "text/html".into(),
        "cookie" | "set-cookie" => format!("name={VALUE}"),
        "date" | "last-modified" | "expires" => "Sun, 06 Nov 1994 08:49:37 GMT".into(),
        _ => VALUE.into(),
    }
}

impl FieldsView for Fields {
    fn header(&self, name: &str) -> Option<&[u8]> {
        let mut lines = self.0.iter();
        let found = lines.find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_bytes())
    }

    fn headers(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.header(name).into_iter().for_each(each);
    }

    fn header_names(&self, each: &mut dyn FnMut(&str)) {
        self.0.iter().for_each(|(name, _)| each(name));
    }
}

impl FieldsView for CannedRequest {
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.fields.header(name)
    }

    fn headers(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.fields.headers(name, each);
    }

    fn header_names(&self, each: &mut dyn FnMut(&str)) {
        self.fields.header_names(each);
    }
}

impl RequestView for CannedRequest {
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
        AUTHORITY
    }

    fn original_path(&self) -> &str {
        &self.path
    }

    fn original_scheme(&self) -> &str {
        "http"
    }

    fn original_authority(&self) -> &str {
        AUTHORITY
    }

    fn cookie(&self, name: &str) -> Option<&[u8]> {
        let found = self.cookie.as_deref() == Some(name);
        found.then_some(VALUE.as_bytes())
    }

    fn cookies(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.cookie(name).into_iter().for_each(each);
    }

    fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        let found = self.query.as_deref() == Some(name);
        found.then_some(Cow::Borrowed(VALUE))
    }

    fn path_parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameter.as_deref() == Some(name);
        found.then_some(VALUE)
    }

    fn attribute(&self, name: &str) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match name {
            // An address for documentation (RFC 5737).
            "client.address" | "peer.address" => "192.0.2.1",
            "vhost.name" => AUTHORITY,
            "route.name" | "path.decoded" => "/",
            "tenant" => "default",
            _ => return None,
        }))
    }

    fn tried(&self) -> &[u32] {
        &[]
    }
}

impl FieldsView for CannedResponse<'_> {
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.fields.header(name)
    }

    fn headers(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.fields.headers(name, each);
    }

    fn header_names(&self, each: &mut dyn FnMut(&str)) {
        self.fields.header_names(each);
    }
}

impl ResponseView for CannedResponse<'_> {
    fn status(&self) -> u16 {
        200
    }

    fn member_id(&self) -> &str {
        self.member.0
    }

    fn member_route(&self) -> &str {
        self.member.1
    }

    fn moved(&self) -> bool {
        false
    }
}
