//! From a member's address to the front's.

use std::cell::LazyCell;

use switchyard_policy::{Substitution, json, response};

use crate::{
    places::{Place, Places},
    settings::{Cookies, Settings},
    url::{self, Origin, Reference},
};

/// The front as one client knows it.
pub struct Front<'a> {
    settings: &'a Settings,
    places: &'a Places,
    base: LazyCell<String, fn() -> String>,
}

impl<'a> Front<'a> {
    /// `base`: what an absolute URL begins with that leads to where the client asked; empty where that is not known.
    /// Asked for once, if at all.
    pub fn new(settings: &'a Settings, places: &'a Places, base: fn() -> String) -> Self {
        Front {
            settings,
            places,
            base: LazyCell::new(base),
        }
    }

    /// Where `value` leads for the client; `None` = leave it.
    pub fn url(&self, value: &[u8]) -> Option<Vec<u8>> {
        let value = value.trim_ascii();
        // Nearly all lead to a member in its usual form, which spares reading them closely.
        if self.settings.map.is_empty()
            && let Some((server, rest)) = url::server(value)
        {
            let mut here = self.places.at(server).peekable();
            if here.peek().is_some() {
                let rest = here.find_map(|place| url::below(rest, &place.base))?;
                return Some(self.public(&self.settings.front, rest));
            }
        }
        match url::split(value)? {
            Reference::Absolute {
                scheme,
                authority,
                rest,
            } => self.absolute(scheme, authority, rest),
            Reference::Path(path) => self.path(path).filter(|mapped| *mapped != value),
        }
    }

    fn absolute(&self, scheme: Option<&[u8]>, authority: &[u8], rest: &[u8]) -> Option<Vec<u8>> {
        // Parsed once, not for every member.
        let origins = Origin::named(scheme, authority);
        let is = |origin: &Origin| origins.iter().flatten().any(|named| named == origin);
        for mapping in &self.settings.map {
            let Some(origin) = &mapping.origin else {
                continue;
            };
            if is(origin)
                && let Some(rest) = url::below(rest, &mapping.base)
            {
                return Some(self.public(&mapping.to, rest));
            }
        }
        let rest = self
            .places
            .iter()
            .filter(|place| is(&place.origin))
            .find_map(|place| url::below(rest, &place.base))?;
        Some(self.public(&self.settings.front, rest))
    }

    fn path(&self, path: &[u8]) -> Option<Vec<u8>> {
        for mapping in &self.settings.map {
            if mapping.origin.is_none()
                && let Some(rest) = url::below(path, &mapping.base)
            {
                return Some(url::join(&mapping.to, rest));
            }
        }
        // The member knows its own paths; another's base is a guess.
        let own = self.places.base_of(response::member_id)?;
        Some(url::join(&self.settings.front, url::below(path, own)?))
    }

    /// An absolute URL below `to`, which is a path of the front or absolute itself.
    fn public(&self, to: &str, rest: &[u8]) -> Vec<u8> {
        // An HTTP/1.0 client may have sent no Host: a path is right for it too.
        if !is_path(to) || self.base.is_empty() {
            return url::join(to, rest);
        }
        let length = self.base.len() + to.len() + rest.len();
        let mut url = Vec::with_capacity(length + "/".len());
        url.extend_from_slice(self.base.as_bytes());
        url::append(&mut url, to, rest);
        url
    }
}

fn is_path(to: &str) -> bool {
    to.is_empty() || (to.starts_with('/') && !to.starts_with("//"))
}

/// The new `Path` of a cookie from a member whose base `own` tells.
pub fn cookie_path<'a>(
    settings: &Settings,
    own: impl FnOnce() -> Option<&'a str>,
    path: &[u8],
) -> Option<Vec<u8>> {
    let mapped = match &settings.cookie_path {
        Cookies::Off => None,
        Cookies::Members => below_front(path, own()?, &settings.front),
        Cookies::List(list) => list
            .iter()
            .find_map(|(from, to)| below_front(path, from.trim_end_matches('/'), to)),
    }?;
    (mapped != path).then_some(mapped)
}

/// A cookie path is a plain path: only a `/` ends a segment (RFC 6265 section 5.1.4).
fn below_front(path: &[u8], base: &str, front: &str) -> Option<Vec<u8>> {
    let rest = path.strip_prefix(base.as_bytes())?;
    match rest {
        // `/app/` would not be sent for `/app`: the root's own cookie is the front's.
        [b'/'] if base.is_empty() => Some(front_path(front)),
        [] if !base.is_empty() => Some(front_path(front)),
        [b'/', ..] => Some(url::join(front.trim_end_matches('/'), rest)),
        _ => None,
    }
}

fn front_path(front: &str) -> Vec<u8> {
    match front {
        "" => b"/".to_vec(),
        front => front.as_bytes().to_vec(),
    }
}

/// The new `Domain` of a cookie; empty = none.
pub fn cookie_domain(settings: &Settings, places: &[Place], domain: &[u8]) -> Option<Vec<u8>> {
    // RFC 6265 section 5.2.3: a leading dot means nothing.
    let bare = |domain: &'_ [u8]| {
        domain
            .strip_prefix(b".")
            .unwrap_or(domain)
            .to_ascii_lowercase()
    };
    let domain = bare(domain);
    match &settings.cookie_domain {
        Cookies::Off => None,
        Cookies::Members => places
            .iter()
            .any(|place| place.origin.host.as_bytes() == domain)
            .then(Vec::new),
        Cookies::List(list) => list
            .iter()
            .find(|(from, _)| bare(from.as_bytes()) == domain)
            .map(|(_, to)| to.clone().into_bytes()),
    }
}

/// URL prefixes for bodies; the first that matches at a boundary wins.
pub fn substitutions(settings: &Settings, places: &[Place]) -> Vec<Substitution> {
    let mut rules = Rules::default();
    if !settings.html {
        return rules.list;
    }
    for mapping in &settings.map {
        rules.prefix(&mapping.from, &mapping.to);
    }
    for place in places {
        let Origin { scheme, host, port } = &place.origin;
        let port = json::decimal(u64::from(*port));
        let mut authorities = vec![[host, ":", &port].concat()];
        if place.origin.has_default_port() {
            authorities.push(host.clone());
        }
        for authority in authorities {
            let server = ["//", &authority, &place.base].concat();
            for url in [[scheme, ":", &server].concat(), server] {
                rules.prefix(&url, &settings.front);
            }
        }
    }
    for place in places {
        if place.base == settings.front {
            continue;
        }
        rules.prefix(&place.base, &settings.front);
    }
    rules.list
}

#[derive(Default)]
struct Rules {
    list: Vec<Substitution>,
}

impl Rules {
    /// `from` and everything below it. A root needs a rule of its own for what has a
    /// path, or `http://member/x` would become `//x`.
    fn prefix(&mut self, from: &str, to: &str) {
        if from.is_empty() {
            // Other servers' scheme-relative URLs begin with `/` too: they stay.
            self.push("//", "//");
            self.push("/", &[to, "/"].concat());
        } else if to.is_empty() {
            self.push(&[from, "/"].concat(), "/");
            self.push(from, "/");
        } else {
            self.push(from, to);
        }
    }

    fn push(&mut self, from: &str, to: &str) {
        let new = Substitution::new(from, to);
        if !self.list.contains(&new) {
            self.list.push(new);
        }
    }
}
