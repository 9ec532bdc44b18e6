//! The configuration.

use switchyard_policy::config::{Config, Fields, Node};

/// Where sessions carry their route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Cookie that holds the session id.
    pub cookie: String,
    /// Path or query parameter that holds it for clients without cookies; empty = none.
    pub parameter: String,
    /// Another name of that parameter, looked for second; empty = none.
    pub other_parameter: String,
    /// Between the id and the route; `None` = the whole value is the route.
    pub separator: Option<char>,
    /// Whether a session may move when its member is down.
    pub failover: bool,
    /// Whether the query is looked at; the path always is.
    pub query: bool,
    /// A cookie of the gateway's own.
    pub route_cookie: Option<RouteCookie>,
    /// Whether a `;` ends the value of a query parameter.
    pub semicolon_delimits: bool,
}

/// The cookie that the gateway sets where members give their sessions no route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteCookie {
    /// Its name.
    pub name: String,
    /// Its `Path`.
    pub path: String,
}

impl Config for Settings {
    fn read(fields: &mut Fields<'_>) -> Self {
        let name = |node: Node<'_>| {
            let name = node.text()?;
            if name.is_empty() || !name.bytes().all(is_token) {
                node.problem("a cookie's name is due: letters, digits and !#$%&'*+-.^_`|~");
            }
            Some(name.to_owned())
        };
        let route_cookie = fields.take("route_cookie").and_then(|node| {
            node.object(|fields| RouteCookie {
                name: fields.require("name").and_then(name).unwrap_or_default(),
                path: fields
                    .take("path")
                    .and_then(path)
                    .unwrap_or_else(|| "/".into()),
            })
        });
        let separator = fields.take("separator");
        Settings {
            cookie: fields
                .take("cookie")
                .and_then(name)
                .unwrap_or_else(|| "JSESSIONID".into()),
            parameter: fields
                .text("parameter")
                .unwrap_or_else(|| "jsessionid".into()),
            other_parameter: fields.text("other_parameter").unwrap_or_default(),
            separator: separator.map_or(Some('.'), |node| separator_of(&node)),
            failover: fields.bool("failover").unwrap_or(true),
            query: fields.bool("query").unwrap_or(true),
            route_cookie,
            semicolon_delimits: fields.bool("semicolon_delimits").unwrap_or(true),
        }
    }
}

impl Settings {
    /// The names that the URL is searched for, in order.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &str> {
        let names = [self.parameter.as_str(), self.other_parameter.as_str()];
        names.into_iter().filter(|name| !name.is_empty())
    }
}

fn separator_of(node: &Node<'_>) -> Option<char> {
    let text = node.text()?;
    let mut chars = text.chars();
    let separator = chars.next();
    let legal = separator.is_none_or(|c| u8::try_from(c).is_ok_and(is_cookie_octet));
    if chars.next().is_some() || !legal {
        node.problem("one character that may stand in a cookie is due, or \"\" for none");
    }
    separator
}

fn path(node: Node<'_>) -> Option<String> {
    let path = node.text()?;
    // RFC 6265 section 4.1.1: any character except controls and `;`.
    if !path.starts_with('/') || path.bytes().any(|b| b < b' ' || b == 0x7f || b == b';') {
        node.problem("a path that begins with `/` and has no `;` is due");
    }
    Some(path.to_owned())
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// RFC 6265 section 4.1.1: what a cookie's value may hold without quotes.
pub(crate) fn is_cookie_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\",;\\".contains(&byte)
}
