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

/// Headers whose whole value is a URL.
const URLS: [&str; 4] = ["location", "content-location", "uri", "destination"];

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
            for name in URLS.iter().chain(&["refresh", "link"]) {
                when(Trigger::ResponseHeader((*name).into()));
            }
        }
        if settings.maps_cookies() {
            when(Trigger::ResponseHeader("set-cookie".into()));
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
        // In the order of the triggers above.
        let mut there = request::triggered();
        if self.settings.location {
            self.urls(there, &mut plan.headers);
            there >>= URLS.len() + 2;
        }
        if self.settings.maps_cookies() && there & 1 != 0 {
            self.cookies(&mut plan.headers);
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
    /// Bit n of `there`: the answer has the nth of these headers.
    fn urls(&self, mut there: u64, edits: &mut Vec<Edit>) {
        if there & ((1 << (URLS.len() + 2)) - 1) == 0 {
            return;
        }
        let front = Front::new(
            &self.settings,
            &self.places,
            request::original_scheme(),
            request::original_authority(),
        );
        let mut every = |name: &str, change: &dyn Fn(&[u8]) -> Option<Vec<u8>>| {
            let is_there = there & 1 != 0;
            there >>= 1;
            if !is_there {
                return;
            }
            for (index, value) in response::headers(name).iter().enumerate() {
                if let Some(new) = change(value) {
                    edits.push(Edit::replace_line(name, index as u32, new));
                }
            }
        };
        for name in URLS {
            every(name, &|value| front.url(value));
        }
        every("refresh", &|value| {
            value::refresh(value, |url| front.url(url))
        });
        every("link", &|value| value::link(value, |url| front.url(url)));
    }

    fn cookies(&self, edits: &mut Vec<Edit>) {
        let lines = response::headers("set-cookie");
        if lines.is_empty() {
            return;
        }
        let own = self.places.base_of(response::member_id);
        let path = |path: &[u8]| map::cookie_path(&self.settings, own, path);
        let domain = |domain: &[u8]| map::cookie_domain(&self.settings, &self.places, domain);
        for (index, line) in lines.iter().enumerate() {
            if let Some(new) = cookie::edit(line, path, domain) {
                edits.push(Edit::replace_line("set-cookie", index as u32, new));
            }
        }
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
