//! What is known of one name, and when it is asked for again.

use std::{net::IpAddr, time::Duration};

use tokio::time::Instant;

use super::names::{Answer, Unresolved};

/// A TTL of 0 would ask for ever.
const SHORTEST: Duration = Duration::from_secs(1);

/// Records and lines of `/etc/hosts` that live for days are looked at again after this.
pub(super) const LONGEST: Duration = Duration::from_secs(3600);

/// First pause after a failure; it doubles up to [`SLOWEST`].
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// Longest pause between two tries of a name that does not resolve.
const SLOWEST: Duration = Duration::from_secs(30);

/// Shortest time between two lines about a name that moves. Some servers name others each second.
const MOVES: Duration = Duration::from_secs(60);

/// What is known of one name.
#[derive(Debug, Clone)]
pub(super) struct Name {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) due: Instant,
    pub(super) failures: u32,
    /// Being resolved.
    pub(super) asked: bool,
    /// Told to be, and not yet told to resolve again.
    lost: bool,
    /// Since its last line about that.
    moves: u64,
    /// When the next line may be.
    quiet_until: Option<Instant>,
}

/// What a lookup has changed.
#[derive(Debug, PartialEq)]
pub(super) enum News {
    None,
    First,
    Moved,
    Back,
    Lost(Unresolved),
}

impl Name {
    /// Its addresses, for the log.
    pub(super) fn listed(&self) -> String {
        let each: Vec<_> = self.addresses.iter().map(IpAddr::to_string).collect();
        each.join(",")
    }

    pub(super) fn new() -> Self {
        Self {
            addresses: Vec::new(),
            due: Instant::now(),
            failures: 0,
            asked: false,
            lost: false,
            moves: 0,
            quiet_until: None,
        }
    }

    /// Others are asked from now on: they have not failed yet, and what was asked before is void.
    pub(super) fn restart(&mut self, now: Instant) {
        self.asked = false;
        self.due = now;
        self.failures = 0;
    }

    pub(super) fn is_untried(&self) -> bool {
        self.addresses.is_empty() && self.failures == 0
    }

    /// It has moved: how many times since that was told last, where it is to be told now.
    pub(super) fn moved(&mut self, now: Instant) -> Option<u64> {
        self.moves += 1;
        if self.quiet_until.is_some_and(|until| now < until) {
            return None;
        }
        self.quiet_until = Some(now + MOVES);
        Some(std::mem::take(&mut self.moves))
    }

    pub(super) fn learn(&mut self, result: Result<Answer, Unresolved>, now: Instant) -> News {
        let answer = match result {
            Ok(answer) => answer,
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                let doublings = (self.failures - 1).min(16);
                self.due = now + FIRST_RETRY.saturating_mul(1 << doublings).min(SLOWEST);
                self.lost = true;
                return match self.failures {
                    1 => News::Lost(error),
                    _ => News::None,
                };
            }
        };
        self.due = now + answer.ttl.clamp(SHORTEST, LONGEST);
        self.failures = 0;
        let was_lost = std::mem::take(&mut self.lost);
        // Name servers rotate what they answer; that is no news, and no reason to move connections.
        let same = self.addresses.len() == answer.addresses.len()
            && self
                .addresses
                .iter()
                .all(|ip| answer.addresses.contains(ip));
        let first = self.addresses.is_empty();
        if !same {
            self.addresses = answer.addresses;
        }
        match (was_lost, first, same) {
            (true, ..) => News::Back,
            (false, true, _) => News::First,
            (false, false, false) => News::Moved,
            (false, false, true) => News::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn failure() -> Result<Answer, Unresolved> {
        Err(Unresolved::Failed("no answer".into()))
    }

    #[tokio::test(start_paused = true)]
    async fn name_is_due_again_at_its_ttl_within_bounds() {
        for (ttl, expected) in [(0, 1), (1, 1), (60, 60), (1_000_000, 3_600)] {
            let (mut name, now) = (Name::new(), Instant::now());
            assert_eq!(name.learn(Ok(Answer::of(&[1], ttl)), now), News::First);
            assert_eq!(name.due - now, Duration::from_secs(expected), "TTL {ttl}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn failure_keeps_the_addresses_and_is_told_once() {
        let (mut name, now) = (Name::new(), Instant::now());
        name.learn(Ok(Answer::of(&[1, 2], 60)), now);
        assert!(matches!(name.learn(failure(), now), News::Lost(_)));
        let mut waits = vec![name.due - now];
        for _ in 0..7 {
            assert_eq!(name.learn(failure(), now), News::None);
            waits.push(name.due - now);
        }
        let waits: Vec<_> = waits.iter().map(Duration::as_secs).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(name.addresses, Answer::of(&[1, 2], 0).addresses);
        assert_eq!(name.learn(Ok(Answer::of(&[1, 2], 60)), now), News::Back);
        assert!(matches!(name.learn(failure(), now), News::Lost(_)));
        assert_eq!(name.due - now, SECOND, "it begins anew");
    }

    #[tokio::test(start_paused = true)]
    async fn rotated_answer_is_no_news() {
        let (mut name, now) = (Name::new(), Instant::now());
        name.learn(Ok(Answer::of(&[1, 2], 60)), now);
        assert_eq!(name.learn(Ok(Answer::of(&[2, 1], 60)), now), News::None);
        assert_eq!(name.addresses, Answer::of(&[1, 2], 0).addresses);
        assert_eq!(name.learn(Ok(Answer::of(&[2, 3], 60)), now), News::Moved);
        assert_eq!(name.addresses, Answer::of(&[2, 3], 0).addresses);
        assert_eq!(name.learn(Ok(Answer::of(&[2], 60)), now), News::Moved);
    }

    #[tokio::test(start_paused = true)]
    async fn name_that_moves_each_second_is_told_once_a_minute() {
        let (mut name, start) = (Name::new(), Instant::now());
        let told = (0..=120).filter_map(|second| {
            let now = start + second * SECOND;
            name.moved(now).map(|moves| (second, moves))
        });
        assert_eq!(told.collect::<Vec<_>>(), [(0, 1), (60, 60), (120, 60)]);
    }
}
