//! The built-in policy `jsessionid`: a session stays with the member that began it.
//!
//! The member's route stands in the session id (`1A2B.worker1`, Tomcat's jvmRoute) or
//! in a route cookie of the gateway's own. Looked for in the URL, then in cookies;
//! the host turns the route into a member.

#![forbid(unsafe_code)]

mod settings;

use switchyard_policy::{
    Affinity, Context, Descriptor, Edit, Hold, Hook, Member, Membership, Problem, Trigger, request,
    response,
};

pub use settings::{RouteCookie, Settings};

/// Finds routes; knows which of them lead to a member.
#[derive(Debug)]
pub struct JSessionId {
    settings: Settings,
    /// Each once, in order.
    routes: Vec<String>,
}

impl Affinity for JSessionId {
    type Config = Settings;

    fn describe(settings: &Settings) -> Descriptor {
        let descriptor = match &settings.route_cookie {
            // A move can be told only once it has happened: `bind` is always asked.
            Some(_) => Descriptor::replicated(),
            None => Descriptor::replicated().never(Hook::Bind),
        };
        let cookies = [
            Some(&settings.cookie),
            settings.route_cookie.as_ref().map(|c| &c.name),
        ];
        let triggers = cookies
            .into_iter()
            .flatten()
            .map(|name| Trigger::Cookie(name.clone()));
        let mut descriptor = triggers.fold(descriptor, |descriptor, trigger| {
            descriptor.when(Hook::Locate, trigger)
        });
        for name in settings.parameters() {
            let trigger = Trigger::PathParameter(name.to_owned());
            descriptor = descriptor.when(Hook::Locate, trigger);
            if settings.query {
                let trigger = Trigger::QueryParameter(name.to_owned());
                descriptor = descriptor.when(Hook::Locate, trigger);
            }
        }
        descriptor
    }

    fn init(settings: Settings, _: &Context) -> Result<Self, Vec<Problem>> {
        Ok(JSessionId {
            settings,
            routes: Vec::new(),
        })
    }

    fn locate(&mut self) -> Option<Hold> {
        let mut search = Search {
            policy: self,
            first: None,
        };
        let route = search.run().or(search.first)?;
        Some(Hold::route(route).strictly(!self.settings.failover))
    }

    fn bind(&mut self) -> Vec<Edit> {
        let Some(cookie) = &self.settings.route_cookie else {
            return Vec::new();
        };
        let route = response::member_route();
        if route.is_empty() || !route.bytes().all(settings::is_cookie_octet) {
            return Vec::new();
        }
        let mut value = String::new();
        value.extend(self.settings.separator);
        value.push_str(&route);
        if request::cookie(&cookie.name).is_some_and(|held| unquoted(&held) == value.as_bytes()) {
            return Vec::new();
        }
        let line = [
            &cookie.name,
            "=",
            &value,
            "; Path=",
            &cookie.path,
            "; HttpOnly; SameSite=Lax",
        ];
        vec![Edit::append("set-cookie", line.concat())]
    }
}

impl Membership for JSessionId {
    fn members_changed(&mut self, _revision: u64, members: Vec<Member>) {
        self.routes = Vec::with_capacity(members.len());
        let routes = members.into_iter().map(|member| member.route);
        for route in routes.filter(|route| !route.is_empty()) {
            if let Err(at) = self.routes.binary_search(&route) {
                self.routes.insert(at, route);
            }
        }
    }
}

/// One look through everything that may name a route. A route that some member
/// carries ends it; the first other one is kept for when there is no such route.
struct Search<'a> {
    policy: &'a JSessionId,
    first: Option<String>,
}

impl Search<'_> {
    fn run(&mut self) -> Option<String> {
        let settings = &self.policy.settings;
        // In the order of the triggers above.
        let there = request::triggered();
        let is_there = |trigger: usize| there >> trigger & 1 != 0;
        let cookies = [
            Some(&settings.cookie),
            settings.route_cookie.as_ref().map(|c| &c.name),
        ];
        let mut trigger = cookies.iter().flatten().count();
        for name in settings.parameters() {
            if is_there(trigger)
                && let Some(value) = request::path_parameter(name)
                && let Some(route) = self.offer(value.as_bytes())
            {
                return Some(route);
            }
            trigger += 1;
            if !settings.query {
                continue;
            }
            if is_there(trigger)
                && let Some(value) = request::query(name)
                && let Some(route) = self.offer(self.delimited(&value).as_bytes())
            {
                return Some(route);
            }
            trigger += 1;
        }
        let mut there = cookies.into_iter().flatten().enumerate();
        there.find_map(|(trigger, name)| is_there(trigger).then(|| self.cookie(name))?)
    }

    /// Almost always there is one cookie of that name: all are asked for only
    /// where the first one leads to no member.
    fn cookie(&mut self, name: &str) -> Option<String> {
        let first = request::cookie(name)?;
        if let Some(route) = self.offer(unquoted(&first)) {
            return Some(route);
        }
        let others = request::cookies(name).into_iter().skip(1);
        others
            .into_iter()
            .find_map(|value| self.offer(unquoted(&value)))
    }

    fn delimited<'v>(&self, value: &'v str) -> &'v str {
        match self.policy.settings.semicolon_delimits {
            true => value.split(';').next().unwrap_or_default(),
            false => value,
        }
    }

    /// The value's route, if a member carries it.
    fn offer(&mut self, value: &[u8]) -> Option<String> {
        let value = std::str::from_utf8(value).ok()?;
        let route = match self.policy.settings.separator {
            Some(separator) => value.split_once(separator)?.1,
            None => value,
        };
        if route.is_empty() {
            return None;
        }
        let known = &self.policy.routes;
        if known.binary_search_by(|known| (**known).cmp(route)).is_ok() {
            return Some(route.to_owned());
        }
        self.first.get_or_insert_with(|| route.to_owned());
        None
    }
}

/// Some clients and old servlet containers quote cookie values.
fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

switchyard_policy::affinity!(JSessionId, with membership);
