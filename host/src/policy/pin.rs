//! Where a session's pin leads.
//!
//! A pin names a route, a member or a key. A route or member is looked up among
//! ordinary members, then standbys, whatever their lb-set; draining ones serve the
//! sessions they have. An unusable member may name another route that takes its
//! sessions over. A key is placed by rendezvous hashing over the usable members.

use crate::{
    decision::Pin,
    members::{Admission, Endpoint, Facts, InFlight, Micros},
    snapshot::{MemberId, Status},
};

/// What became of a pin.
#[derive(Debug)]
pub(super) enum Pinned {
    /// The member begins the request. `moved` = another one than the pin named, by redirect.
    To { in_flight: InFlight, moved: bool },
    /// Nobody it leads to is usable.
    Nowhere {
        /// Some member is the one the pin names, usable or not.
        carried: bool,
    },
}

/// Follows a pin, and begins the request where it leads.
pub(super) fn follow(facts: &Facts, pin: &Pin, tried: &[MemberId], now: Micros) -> Pinned {
    let seeker = Seeker { facts, tried, now };
    match pin {
        Pin::Route(route) => seeker.by_route(route),
        Pin::Member(id) => seeker.by_member(id),
        Pin::Key(key) => seeker.by_key(*key),
    }
}

struct Seeker<'a> {
    facts: &'a Facts,
    tried: &'a [MemberId],
    now: Micros,
}

impl Seeker<'_> {
    fn by_route(&self, route: &str) -> Pinned {
        self.among(self.facts.members.of_route(route), 0)
    }

    fn by_member(&self, id: &str) -> Pinned {
        let index = self.facts.members.index_of(&MemberId(id.into()));
        self.among(index.as_slice(), 0)
    }

    /// Among those that have the name, in configuration order.
    fn among(&self, named: &[u32], hops: usize) -> Pinned {
        let endpoint = |index: u32| &self.endpoints()[index as usize];
        for standby in [false, true] {
            for &index in named {
                let endpoint = endpoint(index);
                let of_pass = (endpoint.settings.status == Status::Standby) == standby;
                if of_pass && let Some(in_flight) = self.begin(index, endpoint) {
                    let moved = hops > 0;
                    return Pinned::To { in_flight, moved };
                }
            }
        }
        let carrier = named.first().map(|&index| endpoint(index));
        let redirect = carrier.map_or("", |e| e.settings.redirect.as_str());
        // More hops than members is a cycle.
        if !redirect.is_empty() && hops < self.endpoints().len() {
            let heirs = self.facts.members.of_route(redirect);
            if let Pinned::To { in_flight, .. } = self.among(heirs, hops + 1) {
                return Pinned::To {
                    in_flight,
                    moved: true,
                };
            }
        }
        Pinned::Nowhere {
            carried: carrier.is_some(),
        }
    }

    fn by_key(&self, key: u64) -> Pinned {
        let usable = |(index, _): &(usize, &Endpoint)| self.facts.is_usable(*index as u32);
        let drawn = self
            .endpoints()
            .iter()
            .enumerate()
            .filter(usable)
            .map(|(index, e)| (index, e.live.draw(key, e.settings.weight)))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        match drawn {
            Some((index, _)) => Pinned::To {
                in_flight: self.facts.begin(index as u32),
                moved: false,
            },
            None => Pinned::Nowhere { carried: false },
        }
    }

    fn begin(&self, index: u32, endpoint: &Endpoint) -> Option<InFlight> {
        let settings = &endpoint.settings;
        if matches!(settings.status, Status::Disabled | Status::Stopped)
            || self.tried.contains(&settings.id)
        {
            return None;
        }
        match endpoint.live.admission(self.now) {
            Admission::Admitting => Some(self.facts.begin(index)),
            // The session's own request is the fittest trial: elsewhere it would lose its session.
            Admission::Due if !self.facts.forced => {
                InFlight::begin_trial(&self.facts.members, index)
            }
            Admission::Due | Admission::Blocked { .. } | Admission::Trial if self.facts.forced => {
                Some(self.facts.begin(index))
            }
            _ => None,
        }
    }

    fn endpoints(&self) -> &[Endpoint] {
        &self.facts.members.endpoints
    }
}
