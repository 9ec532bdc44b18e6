//! The built-in policy `reverse`: members' own addresses in answers become the front's.
//!
//! httpd's ProxyPassReverse, its cookie directives and mod_proxy_html in one. Which
//! URLs are members' follows from the pool itself, so there is no second list of
//! addresses to keep, and what is nobody's address is never touched.

#![forbid(unsafe_code)]

pub mod cookie;
mod map;
mod places;
mod settings;
pub mod url;
pub mod value;

use switchyard_policy::{
    BodyPlan, Context, Descriptor, Edit, Hook, LinkPlan, Member, Membership, Problem, ResponsePlan,
    Rewriter, Substitution, Trigger, request, response,
};

pub use map::Front;
pub use places::{Place, Places};
pub use settings::{Cookies, Mapping, Settings};

/// Headers that hold URLs, and the one that sets cookies.
const HEADERS: [&str; 7] = [
    "location",
    "content-location",
    "uri",
    "destination",
    "refresh",
    "link",
    COOKIES,
];
const COOKIES: &str = "set-cookie";

/// Which of them are looked at, as `response.lines` takes their names, and the place of the first one.
const ALL: (&str, usize) = (
    "location,content-location,uri,destination,refresh,link,set-cookie",
    0,
);
const URLS: (&str, usize) = ("location,content-location,uri,destination,refresh,link", 0);
const COOKIES_ALONE: (&str, usize) = (COOKIES, HEADERS.len() - 1);

/// Media types whose links are mapped.
const LINKED: [&str; 3] = ["text/html", "application/xhtml+xml", "text/css"];

/// The members' places, and what to do with them.
#[derive(Debug)]
pub struct Reverse {
    settings: Settings,
    places: Places,
    substitutions: Vec<Substitution>,
}

impl Rewriter for Reverse {
    type Config = Settings;

    fn describe(settings: &Settings) -> Descriptor {
        let mut descriptor = Descriptor::replicated().never(Hook::OnRequest);
        let before = descriptor.triggers.len();
        let mut when = |trigger| descriptor.triggers.push((Hook::OnResponse, trigger));
        if settings.location {
            for name in URLS.0.split(',') {
                when(Trigger::ResponseHeader(name.into()));
            }
        }
        if settings.maps_cookies() {
            when(Trigger::ResponseHeader(COOKIES.into()));
        }
        if settings.html {
            for media_type in LINKED {
                when(Trigger::ContentType(media_type.into()));
            }
        }
        match descriptor.triggers.len() == before {
            true => descriptor.never(Hook::OnResponse),
            false => descriptor,
        }
    }

    fn init(settings: Settings, _: &Context) -> Result<Self, Vec<Problem>> {
        Ok(Reverse {
            substitutions: map::substitutions(&settings, &[]),
            settings,
            places: Places::default(),
        })
    }

    fn on_response(&mut self) -> ResponsePlan {
        let mut plan = ResponsePlan::default();
        match (self.settings.location, self.settings.maps_cookies()) {
            (true, true) => self.headers(ALL, &mut plan.headers),
            (true, false) => self.headers(URLS, &mut plan.headers),
            (false, true) => self.headers(COOKIES_ALONE, &mut plan.headers),
            (false, false) => {}
        }
        if self.settings.html && !self.substitutions.is_empty() && has_links() {
            plan.body = BodyPlan::Links(LinkPlan {
                urls: self.substitutions.clone(),
                events: self.settings.events,
            });
        }
        plan
    }
}

impl Membership for Reverse {
    fn members_changed(&mut self, _revision: u64, members: Vec<Member>) {
        self.places = Places::of(&members);
        self.substitutions = map::substitutions(&self.settings, &self.places);
    }
}

impl Reverse {
    /// Maps what these headers hold.
    fn headers(&self, (names, first): (&str, usize), edits: &mut Vec<Edit>) {
        let front = Front::new(&self.settings, &self.places, request::original_base);
        let mut line = (0, 0);
        for (place, value) in response::lines(names) {
            // The lines of one name stand together, and are counted from 0.
            if line.0 != place {
                line = (place, 0);
            }
            let index = line.1;
            line.1 += 1;
            let Some(name) = HEADERS.get(first + place as usize) else {
                continue;
            };
            let new = match *name {
                COOKIES => self.cookie(&value),
                "refresh" => value::refresh(&value, |url| front.url(url)),
                "link" => value::link(&value, |url| front.url(url)),
                _ => front.url(&value),
            };
            edits.extend(new.map(|new| Edit::replace_line(*name, index, new)));
        }
    }

    fn cookie(&self, line: &[u8]) -> Option<Vec<u8>> {
        let path = |path: &[u8]| {
            let own = || self.places.base_of(response::member_id);
            map::cookie_path(&self.settings, own, path)
        };
        let domain = |domain: &[u8]| map::cookie_domain(&self.settings, &self.places, domain);
        cookie::edit(line, path, domain)
    }
}

/// Whether the body is of a media type that has links; parameters do not matter.
fn has_links() -> bool {
    let Some(value) = response::header("content-type") else {
        return false;
    };
    let media_type = value
        .split(|b| *b == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    LINKED
        .iter()
        .any(|linked| media_type.eq_ignore_ascii_case(linked.as_bytes()))
}

switchyard_policy::rewriter!(Reverse, with membership);
