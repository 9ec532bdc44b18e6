//! A candidate that decides for some, so that its mistakes are theirs alone.
//!
//! Who they are follows from the session, the client, the tenant or a header, and stays the
//! same: nobody is decided for now by one and now by the other.

use std::{
    hash::Hasher,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use fnv::FnvHasher;

use super::Binding;
use crate::{
    decision::{RequestView, Trigger},
    snapshot::CanaryBy,
};

/// Parts of [`Canary::share`].
const WHOLE: u64 = 10_000;

/// A candidate that decides for some.
#[derive(Debug, Clone)]
pub struct Canary {
    /// Which.
    pub binding: Arc<Binding>,
    /// Of 10,000.
    pub share: u32,
    /// What tells one from the other.
    pub by: CanaryBy,
    /// Where a session's name is found.
    pub sessions: Arc<[Trigger]>,
    /// It decides for all if it was no worse for so long.
    pub promote_after: Option<Duration>,
}

/// How far a canary has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CanaryState {
    /// It decides for its share.
    Running,
    /// It decides for all.
    Promoted,
    /// It decides for nobody.
    Undone,
}

/// What became of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fates {
    /// That a member answered.
    pub answered: u64,
    /// Those with 500 and above, and those without any answer.
    pub failed: u64,
}

/// How a canary does, kept over reloads.
#[derive(Debug, Default)]
pub(super) struct CanaryRecord {
    state: AtomicU8,
    answered: [AtomicU64; 2],
    failed: [AtomicU64; 2],
}

/// How a canary does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CanaryStatus {
    /// How far it has come.
    pub state: CanaryState,
    /// Of requests it decided for.
    pub own: Fates,
    /// Of the others.
    pub others: Fates,
}

impl CanaryRecord {
    pub fn state(&self) -> CanaryState {
        match self.state.load(Relaxed) {
            0 => CanaryState::Running,
            1 => CanaryState::Promoted,
            _ => CanaryState::Undone,
        }
    }

    pub fn set(&self, state: CanaryState) {
        let number = match state {
            CanaryState::Running => 0,
            CanaryState::Promoted => 1,
            CanaryState::Undone => 2,
        };
        self.state.store(number, Relaxed);
    }

    pub fn status(&self) -> CanaryStatus {
        let fates = |side: usize| Fates {
            answered: self.answered[side].load(Relaxed),
            failed: self.failed[side].load(Relaxed),
        };
        CanaryStatus {
            state: self.state(),
            own: fates(1),
            others: fates(0),
        }
    }
}

impl Canary {
    /// Whether it decides for this request.
    pub(super) fn takes(&self, request: &dyn RequestView) -> bool {
        match self.binding.canary_state() {
            CanaryState::Running => self.is_in_share(request),
            CanaryState::Promoted => true,
            CanaryState::Undone => false,
        }
    }

    /// How a request ended.
    pub(super) fn note(&self, request: &dyn RequestView, failed: bool) {
        let record = self.binding.canary_record();
        let side = usize::from(self.takes(request));
        record.answered[side].fetch_add(1, Relaxed);
        if failed {
            record.failed[side].fetch_add(1, Relaxed);
        }
    }

    fn is_in_share(&self, request: &dyn RequestView) -> bool {
        // Another canary takes others, or the same few would bear all of them.
        let mut hasher = FnvHasher::default();
        hasher.write(self.binding.policy().as_bytes());
        match &self.by {
            CanaryBy::Session => match self.session(request) {
                Some(session) => hasher.write(session),
                None => write_client(request, &mut hasher),
            },
            CanaryBy::Client => write_client(request, &mut hasher),
            CanaryBy::Tenant => {
                let tenant = request.attribute("tenant").unwrap_or_default();
                hasher.write(tenant.as_bytes());
            }
            CanaryBy::Header(name) => match request.header(name) {
                Some(value) => hasher.write(value),
                None => return false,
            },
        }
        mixed(hasher.finish()) % WHOLE < u64::from(self.share)
    }

    /// The session's name, without its route: that changes when it moves.
    fn session<'r>(&self, request: &'r dyn RequestView) -> Option<&'r [u8]> {
        let mut sources = self.sessions.iter();
        let value = sources.find_map(|source| match source {
            Trigger::Cookie(name) => request.cookie(name),
            Trigger::PathParameter(name) => request.path_parameter(name).map(str::as_bytes),
            Trigger::RequestHeader(name) => request.header(name),
            _ => None,
        })?;
        let name = value.iter().rposition(|byte| *byte == b'.');
        Some(&value[..name.unwrap_or(value.len())])
    }
}

fn write_client(request: &dyn RequestView, hasher: &mut FnvHasher) {
    let client = request.attribute("client.address").unwrap_or_default();
    hasher.write(client.as_bytes());
}

/// FNV's low bits follow the last byte too closely (MurmurHash3's finaliser).
fn mixed(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{Later, Native, Request, asleep, parts},
        *,
    };

    fn canary(share: u32, by: CanaryBy) -> Canary {
        let native = Native::rewriting(|| Ok(()));
        Canary {
            binding: asleep(parts(&native, None, &Arc::<Later>::default()), None),
            share,
            by,
            sessions: [
                Trigger::Cookie("JSESSIONID".into()),
                Trigger::PathParameter("jsessionid".into()),
            ]
            .into(),
            promote_after: None,
        }
    }

    fn with_session(value: &'static str) -> Request {
        Request {
            cookies: vec![("JSESSIONID", value)],
            ..Request::default()
        }
    }

    #[test]
    fn share_is_kept_and_a_session_stays_where_it_is_when_it_moves() {
        let canary = canary(500, CanaryBy::Session);
        let mut taken = 0;
        for number in 0..10_000 {
            let name: &'static str = format!("S{number:x}.worker1").leak();
            let takes = canary.takes(&with_session(name));
            let moved: &'static str = format!("S{number:x}.worker2").leak();
            assert_eq!(takes, canary.takes(&with_session(moved)));
            taken += u32::from(takes);
        }
        assert!((400..600).contains(&taken), "{taken} of 10,000 for 5 %");
    }

    #[test]
    fn without_a_session_the_client_decides() {
        let (all, nobody) = (
            canary(10_000, CanaryBy::Session),
            canary(0, CanaryBy::Client),
        );
        assert!(all.takes(&Request::default()));
        assert!(!nobody.takes(&Request::default()));
    }

    #[test]
    fn tenant_or_client_is_decided_for_by_one_of_them_alone() {
        for (by, decides, differs) in [
            (CanaryBy::Tenant, "tenant", "client.address"),
            (CanaryBy::Client, "client.address", "tenant"),
        ] {
            let canary = canary(5_000, by);
            let mut taken = 0;
            for number in 0..1_000 {
                let one: &'static str = format!("{decides} {number}").leak();
                let takes = |other| {
                    canary.takes(&Request {
                        attributes: vec![(decides, one), (differs, other)],
                        ..Request::default()
                    })
                };
                assert!(takes("a") == takes("b") && takes("b") == takes("c"));
                taken += u32::from(takes("a"));
            }
            assert!((400..600).contains(&taken), "{taken} of 1,000 by {decides}");
        }
    }

    #[test]
    fn header_limits_it_to_those_who_send_it() {
        let canary = canary(10_000, CanaryBy::Header("x-beta".into()));
        assert!(!canary.takes(&Request::default()));
        let asks = Request {
            headers: vec![("x-beta", "1")],
            ..Request::default()
        };
        assert!(canary.takes(&asks));
    }

    #[test]
    fn promoted_takes_all_and_undone_nobody() {
        let canary = canary(0, CanaryBy::Client);
        let record = canary.binding.canary_record();
        record.set(CanaryState::Promoted);
        assert!(canary.takes(&Request::default()));
        canary.note(&Request::default(), true);
        record.set(CanaryState::Undone);
        assert!(!canary.takes(&Request::default()));
        canary.note(&Request::default(), false);
        let status = record.status();
        assert_eq!((status.own.answered, status.own.failed), (1, 1));
        assert_eq!((status.others.answered, status.others.failed), (1, 0));
    }
}
