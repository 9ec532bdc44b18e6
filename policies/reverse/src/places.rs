//! The members' places, found by what URLs and answers call them.

use std::ops::Deref;

use switchyard_policy::Member;

use crate::url::{self, Origin, Reference};

/// Where a member's application lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The member's id: its URL.
    pub id: String,
    /// Its server.
    pub origin: Origin,
    /// The same as most URLs name it, without a final slash.
    pub server: String,
    /// Without a final slash; empty = the root.
    pub base: String,
}

impl Place {
    /// `None` where a member's id is no URL, and so has nothing to map.
    pub fn parse(id: &str) -> Option<Self> {
        let Reference::Absolute {
            scheme: Some(scheme),
            authority,
            rest,
        } = url::split(id.as_bytes())?
        else {
            return None;
        };
        let origin = Origin::parse(scheme, authority)?;
        Some(Place {
            id: id.to_owned(),
            server: origin.url(),
            origin,
            base: std::str::from_utf8(rest)
                .ok()?
                .trim_end_matches('/')
                .to_owned(),
        })
    }
}

/// All of a pool's, longer bases first: `/app/admin` comes before `/app`. (Each is inserted where it belongs:
/// the library's sort would be 7 KB of the guest.)
#[derive(Debug, Default)]
pub struct Places {
    all: Vec<Place>,
    /// Their indices by server, in the order of `all` where that is the same.
    by_server: Vec<usize>,
    /// Likewise by id.
    by_id: Vec<usize>,
    /// Every member is here, and all have the same base.
    alike: bool,
}

impl Deref for Places {
    type Target = [Place];

    fn deref(&self) -> &[Place] {
        &self.all
    }
}

impl Places {
    /// Of those whose ids are URLs.
    pub fn of(members: &[Member]) -> Self {
        let mut all: Vec<Place> = Vec::with_capacity(members.len());
        for place in members.iter().filter_map(|member| Place::parse(&member.id)) {
            let at = all.partition_point(|known| known.base.len() >= place.base.len());
            all.insert(at, place);
        }
        let same = |place: &Place| all.first().is_some_and(|first| place.base == first.base);
        Places {
            alike: all.len() == members.len() && all.iter().all(same),
            by_server: order(&all, |place| &place.server),
            by_id: order(&all, |place| &place.id),
            all,
        }
    }

    /// The base of a member, whose id is asked for only where that makes a difference.
    pub fn base_of(&self, id: impl FnOnce() -> String) -> Option<&str> {
        let place = match self.alike {
            true => self.all.first(),
            false => self.of_member(&id()),
        };
        place.map(|place| place.base.as_str())
    }

    fn of_member(&self, id: &str) -> Option<&Place> {
        self.found(&self.by_id, id.as_bytes(), |place| &place.id)
            .next()
    }

    /// The places at a server in its usual form, longer bases first.
    pub fn at<'p>(&'p self, server: &'p [u8]) -> impl Iterator<Item = &'p Place> {
        self.found(&self.by_server, server, |place| &place.server)
    }

    fn found<'p, 'w>(
        &'p self,
        order: &'p [usize],
        wanted: &'w [u8],
        key: fn(&Place) -> &str,
    ) -> impl Iterator<Item = &'p Place> + use<'p, 'w> {
        let place = |index: &usize| self.all.get(*index);
        let first =
            order.partition_point(|index| place(index).is_some_and(|p| key(p).as_bytes() < wanted));
        let rest = order.iter().skip(first).filter_map(place);
        rest.take_while(move |place| key(place).as_bytes() == wanted)
    }
}

fn order(all: &[Place], key: fn(&Place) -> &str) -> Vec<usize> {
    let mut order: Vec<usize> = Vec::with_capacity(all.len());
    for (index, place) in all.iter().enumerate() {
        let before = |known: &usize| {
            all.get(*known)
                .is_some_and(|known| key(known) <= key(place))
        };
        let at = order.partition_point(before);
        order.insert(at, index);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: &str) -> Member {
        Member {
            id: id.into(),
            route: String::new(),
            weight: 100,
            lb_set: 0,
            labels: Vec::new(),
        }
    }

    #[test]
    fn places_are_found_by_server_and_by_member_among_many() {
        let mut members: Vec<_> = (0..300)
            .map(|n| member(&format!("http://10.0.{}.{}:8080/app", n % 7, n)))
            .collect();
        members.push(member("http://10.0.3.3:8080"));
        members.push(member("http://10.0.3.3:8080/app/admin/"));
        members.push(member("no URL"));
        let places = Places::of(&members);
        assert_eq!(places.len(), 302);
        for member in &members[..302] {
            assert_eq!(places.of_member(&member.id).unwrap().id, member.id);
        }
        assert_eq!(places.of_member("http://10.0.3.4:8080/app"), None);
        let bases = |server: &str| {
            let found = places.at(server.as_bytes());
            found.map(|place| place.base.clone()).collect::<Vec<_>>()
        };
        assert_eq!(bases("http://10.0.3.3:8080"), ["/app/admin", "/app", ""]);
        assert_eq!(bases("http://10.0.6.299:8080"), [""; 0]);
        assert_eq!(bases("http://10.0.5.299:8080"), ["/app"]);
        assert_eq!(bases("http://10.0.3.3:808"), [""; 0]);
    }

    #[test]
    fn a_member_is_asked_for_only_where_bases_differ_or_some_have_none() {
        let base_of = |ids: &[&str], id: Option<&str>| {
            let members: Vec<_> = ids.iter().copied().map(member).collect();
            let places = Places::of(&members);
            let id = || id.expect("not asked for").to_owned();
            places.base_of(id).map(str::to_owned)
        };
        let (a, b, c) = ("http://a/app", "http://b/app/", "http://c/other");
        assert_eq!(base_of(&[a, b], None).as_deref(), Some("/app"));
        assert_eq!(base_of(&[a, b, c], Some(c)).as_deref(), Some("/other"));
        assert_eq!(base_of(&[a, b, "no URL"], Some(b)).as_deref(), Some("/app"));
        assert_eq!(base_of(&[a, b, "no URL"], Some("no URL")), None);
        assert_eq!(base_of(&[], Some(a)), None);
    }
}
