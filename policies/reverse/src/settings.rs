//! The configuration.

use switchyard_policy::{
    config::{Config, Fields, Node},
    json::Value,
};

use crate::url::{self, Origin, Reference};

/// What is mapped, and to where.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The route's path without a final slash; empty = the root.
    pub front: String,
    /// `Location` and the other headers that hold URLs.
    pub location: bool,
    /// `Path` of cookies.
    pub cookie_path: Cookies,
    /// `Domain` of cookies.
    pub cookie_domain: Cookies,
    /// Links in HTML and CSS.
    pub html: bool,
    /// Inline scripts and event attributes too.
    pub events: bool,
    /// URL prefixes beside the members' own.
    pub map: Vec<Mapping>,
}

/// How one attribute of cookies is mapped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Cookies {
    /// Not at all.
    #[default]
    Off,
    /// As the members' addresses say.
    Members,
    /// `(from, to)`: the first that fits.
    List(Vec<(String, String)>),
}

/// A URL prefix of the operator's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// Without a path: the URL's server; `None` for a path of any member's answer.
    pub origin: Option<Origin>,
    /// Without a final slash.
    pub base: String,
    /// As configured, for bodies.
    pub from: String,
    /// Absolute, or a path; without a final slash.
    pub to: String,
}

impl Settings {
    /// Whether `Set-Cookie` matters.
    pub fn maps_cookies(&self) -> bool {
        self.cookie_path != Cookies::Off || self.cookie_domain != Cookies::Off
    }
}

impl Config for Settings {
    fn read(fields: &mut Fields<'_>) -> Self {
        let front = fields.take("front").and_then(|node| {
            let front = node.text()?.trim_end_matches('/');
            if !front.is_empty() && !front.starts_with('/') {
                node.problem("a path that begins with `/` is due");
            }
            Some(front.to_owned())
        });
        Settings {
            front: front.unwrap_or_default(),
            location: fields.bool("location").unwrap_or(false),
            cookie_path: fields
                .take("cookie_path")
                .map(|node| cookies(node, legal_path))
                .unwrap_or_default(),
            cookie_domain: fields
                .take("cookie_domain")
                .map(|node| cookies(node, legal_domain))
                .unwrap_or_default(),
            html: fields.bool("html").unwrap_or(false),
            events: fields.bool("events").unwrap_or(false),
            map: fields.take("map").map(mappings).unwrap_or_default(),
        }
    }
}

/// `legal` says what is wrong with a `from` or `to`.
fn cookies(node: Node<'_>, legal: impl Fn(&str) -> Option<&'static str>) -> Cookies {
    match node.value() {
        Value::Bool(false) => Cookies::Off,
        Value::Bool(true) => Cookies::Members,
        Value::List(_) => {
            let checked = |((from, to), node): ((String, String), Node<'_>)| {
                if let Some(problem) = legal(&from).or_else(|| legal(&to)) {
                    node.problem(problem);
                }
                (from, to)
            };
            Cookies::List(pairs(&node).into_iter().map(checked).collect())
        }
        _ => {
            node.problem("true, false or a list of [from, to] is due");
            Cookies::Off
        }
    }
}

/// RFC 6265 section 4.1.1: neither controls nor `;` in an attribute's value.
fn legal_path(path: &str) -> Option<&'static str> {
    let legal = path.starts_with('/') && !path.bytes().any(|b| b < b' ' || b == 0x7f || b == b';');
    (!legal).then_some("[from, to] of paths that begin with `/` and have no `;` is due")
}

fn legal_domain(domain: &str) -> Option<&'static str> {
    let legal = domain
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-.[]:_".contains(&b));
    (!legal).then_some("[from, to] of host names is due; an empty `to` takes the domain away")
}

fn mappings(node: Node<'_>) -> Vec<Mapping> {
    let mapping = |((from, to), node): ((String, String), Node<'_>)| {
        let Some(mapping) = mapping(&from, &to) else {
            node.problem("[from, to] of URLs (http://host/path) or paths (/path) is due");
            return None;
        };
        Some(mapping)
    };
    pairs(&node).into_iter().filter_map(mapping).collect()
}

fn mapping(from: &str, to: &str) -> Option<Mapping> {
    let parts = url::split(from.as_bytes())?;
    let (from, to) = (from.trim_end_matches('/'), to.trim_end_matches('/'));
    let (origin, base) = match parts {
        Reference::Path(_) => (None, from),
        Reference::Absolute {
            scheme,
            authority,
            rest,
        } => {
            let origin = Origin::parse(scheme.unwrap_or(b"http"), authority)?;
            (
                Some(origin),
                std::str::from_utf8(rest).ok()?.trim_end_matches('/'),
            )
        }
    };
    let known = to.is_empty() || url::split(to.as_bytes()).is_some();
    let plain = !base.contains(['?', '#']) && !to.contains(['?', '#']);
    (known && plain).then(|| Mapping {
        origin,
        base: base.to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
    })
}

fn pairs<'a>(node: &Node<'a>) -> Vec<((String, String), Node<'a>)> {
    let pair = |node: Node<'a>| {
        let mut texts = node.list()?.map(|node| node.text().map(str::to_owned));
        match (texts.next(), texts.next(), texts.next()) {
            (Some(from), Some(to), None) => Some(((from?, to?), node)),
            _ => {
                node.problem("[from, to] is due");
                None
            }
        }
    };
    node.list().into_iter().flatten().filter_map(pair).collect()
}
