//! Whether a member is let requests through.
//!
//! A state machine without clock, lock or side effect: `member` owns one and
//! tells it what happened and when. Requests carry a [`Ticket`] from their
//! beginning, so that an answer to a request that began before the member was
//! blocked can neither readmit it nor spoil somebody else's trial.

use super::Micros;

/// Whether a member may be given requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Yes.
    Admitting,
    /// In error until then.
    Blocked {
        /// When a trial is due.
        until: Micros,
    },
    /// `retry` is over: the next request that is fit for it is the trial.
    Due,
    /// A trial is under way.
    Trial,
    /// Active checks failed.
    Unhealthy,
}

/// A change of a member's standing that an operator wants to read of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// It serves again.
    Up,
    /// It serves no more.
    Down,
}

/// How much one failure says about the member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Harm {
    /// It is down: block at once.
    Down,
    /// No answer in time: block the second time in a row.
    Slow,
    /// An answer that breaks the protocol: block the third time in a row.
    Garbled,
    /// Nothing beyond the counter.
    Slight,
}

/// One slow answer may be one slow page; two in a row are a member that hangs.
const SLOW_LIMIT: u32 = 2;

/// One URL may garble its answers; a client must not block members with it too easily.
const GARBLED_LIMIT: u32 = 3;

/// What a request knows of the breaker from when it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    blocks: u32,
    trial: bool,
}

impl Ticket {
    /// Of an ordinary request that begins now.
    pub fn ordinary(blocks: u32) -> Self {
        Self {
            blocks,
            trial: false,
        }
    }

    /// Whether it is the trial.
    pub fn is_trial(self) -> bool {
        self.trial
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Admitting,
    Blocked { until: Micros },
    Trial,
}

/// The breaker of one member.
#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    unhealthy: bool,
    /// How often it was blocked; tickets compare themselves with it.
    blocks: u32,
    since: Micros,
    slow: u32,
    garbled: u32,
    passes: u32,
    misses: u32,
    /// When it last joined or returned; `None` = its weight does not ramp.
    ramp_from: Option<Micros>,
}

impl Breaker {
    /// Admitting; a member that joins a pool in service ramps up.
    pub fn new(now: Micros, joins: bool) -> Self {
        Self {
            state: State::Admitting,
            unhealthy: false,
            blocks: 0,
            since: now,
            slow: 0,
            garbled: 0,
            passes: 0,
            misses: 0,
            ramp_from: joins.then_some(now),
        }
    }

    pub fn admission(&self, now: Micros) -> Admission {
        match self.state {
            _ if self.unhealthy => Admission::Unhealthy,
            State::Admitting => Admission::Admitting,
            State::Trial => Admission::Trial,
            State::Blocked { until } if until <= now => Admission::Due,
            State::Blocked { until } => Admission::Blocked { until },
        }
    }

    /// Everything that admission follows from, apart from the time.
    pub fn shape(&self) -> impl PartialEq + use<> {
        (self.state, self.unhealthy)
    }

    pub fn blocks(&self) -> u32 {
        self.blocks
    }

    pub fn since(&self) -> Micros {
        self.since
    }

    pub fn ramp_from(&self) -> Option<Micros> {
        self.ramp_from
    }

    /// Whether a success would change anything; if not, none need be reported.
    pub fn wants_good_news(&self) -> bool {
        self.state != State::Admitting || self.slow > 0 || self.garbled > 0
    }

    /// The one trial of a blocked member whose `retry` is over.
    pub fn try_trial(&mut self, now: Micros) -> Option<Ticket> {
        if self.admission(now) != Admission::Due {
            return None;
        }
        self.state = State::Trial;
        self.since = now;
        Some(Ticket {
            blocks: self.blocks,
            trial: true,
        })
    }

    /// An answer came that is no reason to block.
    pub fn succeeded(&mut self, ticket: Ticket, now: Micros) -> Option<Transition> {
        if ticket.blocks != self.blocks {
            return None;
        }
        self.slow = 0;
        self.garbled = 0;
        if self.state == State::Admitting {
            return None;
        }
        // Also a request that got here because all members were blocked: it
        // proved the member alive as well as the trial would have.
        self.admit(now);
        (!self.unhealthy).then_some(Transition::Up)
    }

    /// No answer came, or one that is a reason to block.
    pub fn failed(
        &mut self,
        ticket: Ticket,
        harm: Harm,
        now: Micros,
        retry: Micros,
    ) -> Option<Transition> {
        if ticket.blocks != self.blocks {
            return None;
        }
        match self.state {
            State::Admitting => {
                if !self.is_too_much(harm) {
                    return None;
                }
                self.blocks = self.blocks.wrapping_add(1);
                self.block(now, retry);
                (!self.unhealthy).then_some(Transition::Down)
            }
            State::Trial if ticket.trial => {
                self.block(now, retry);
                None
            }
            // Somebody else's trial goes on.
            State::Trial => None,
            State::Blocked { .. } => {
                self.block(now, retry);
                None
            }
        }
    }

    fn is_too_much(&mut self, harm: Harm) -> bool {
        match harm {
            Harm::Down => true,
            Harm::Slow => {
                self.slow += 1;
                self.slow >= SLOW_LIMIT
            }
            Harm::Garbled => {
                self.garbled += 1;
                self.garbled >= GARBLED_LIMIT
            }
            Harm::Slight => false,
        }
    }

    /// The request ended without saying anything about the member: the next one may try.
    pub fn abandoned(&mut self, ticket: Ticket, now: Micros) {
        if ticket.trial && ticket.blocks == self.blocks && self.state == State::Trial {
            self.state = State::Blocked { until: now };
            self.since = now;
        }
    }

    /// The verdict of an active check.
    pub fn checked(&mut self, pass: bool, rise: u32, fall: u32, now: Micros) -> Option<Transition> {
        if !pass {
            self.passes = 0;
            self.misses = self.misses.saturating_add(1);
            if self.unhealthy || self.misses < fall.max(1) {
                return None;
            }
            self.unhealthy = true;
            self.since = now;
            return (self.state == State::Admitting).then_some(Transition::Down);
        }
        self.misses = 0;
        self.passes = self.passes.saturating_add(1);
        let serves = !self.unhealthy && self.state == State::Admitting;
        if serves || self.passes < rise.max(1) {
            return None;
        }
        self.unhealthy = false;
        self.admit(now);
        Some(Transition::Up)
    }

    /// Checks were switched off, so their last verdict no longer counts.
    pub fn unchecked(&mut self, now: Micros) {
        self.passes = 0;
        self.misses = 0;
        if self.unhealthy {
            self.unhealthy = false;
            self.since = now;
        }
    }

    /// Its name leads somewhere at last: what failed for want of an address says nothing of what is there.
    pub fn located(&mut self, now: Micros) {
        if matches!(self.state, State::Blocked { .. }) {
            self.admit(now);
        }
    }

    /// The operator let it serve again: ramp up.
    pub fn returned(&mut self, now: Micros) {
        self.ramp_from = Some(now);
    }

    fn admit(&mut self, now: Micros) {
        self.state = State::Admitting;
        self.since = now;
        self.slow = 0;
        self.garbled = 0;
        self.ramp_from = Some(now);
    }

    fn block(&mut self, now: Micros, retry: Micros) {
        let until = now.saturating_add(retry);
        self.state = State::Blocked { until };
        self.since = now;
        self.slow = 0;
        self.garbled = 0;
        // `rise` passes after this moment bring it back, not those before it.
        self.passes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Micros = 1_000;

    fn blocked_at(now: Micros) -> (Breaker, Ticket) {
        let mut breaker = Breaker::new(0, false);
        let ticket = Ticket::ordinary(breaker.blocks());
        assert_eq!(
            breaker.failed(ticket, Harm::Down, now, RETRY),
            Some(Transition::Down)
        );
        (breaker, ticket)
    }

    #[test]
    fn refused_connect_blocks_for_retry_then_one_trial_is_due() {
        let (mut breaker, _) = blocked_at(100);
        assert_eq!(
            breaker.admission(1_099),
            Admission::Blocked { until: 1_100 }
        );
        assert_eq!(breaker.try_trial(1_099), None);
        assert_eq!(breaker.admission(1_100), Admission::Due);
        assert!(breaker.try_trial(1_100).is_some_and(Ticket::is_trial));
        assert_eq!(breaker.try_trial(1_100), None, "one at a time");
        assert_eq!(breaker.admission(9_999), Admission::Trial);
    }

    #[test]
    fn trial_decides() {
        let (mut breaker, _) = blocked_at(100);
        let trial = breaker.try_trial(1_100).unwrap();
        assert_eq!(breaker.failed(trial, Harm::Slight, 1_200, RETRY), None);
        assert_eq!(
            breaker.admission(1_200),
            Admission::Blocked { until: 2_200 }
        );
        let trial = breaker.try_trial(2_200).unwrap();
        assert_eq!(breaker.succeeded(trial, 2_300), Some(Transition::Up));
        assert_eq!(breaker.admission(2_300), Admission::Admitting);
        assert_eq!(breaker.ramp_from(), Some(2_300));
    }

    #[test]
    fn abandoned_trial_leaves_the_next_one_due_at_once() {
        let (mut breaker, _) = blocked_at(100);
        let trial = breaker.try_trial(1_100).unwrap();
        breaker.abandoned(trial, 1_150);
        assert_eq!(breaker.admission(1_150), Admission::Due);
    }

    #[test]
    fn requests_from_before_the_block_neither_readmit_nor_prolong() {
        let (mut breaker, before) = blocked_at(100);
        assert_eq!(breaker.succeeded(before, 200), None);
        assert_eq!(breaker.failed(before, Harm::Down, 900, RETRY), None);
        assert_eq!(breaker.admission(1_100), Admission::Due);
        let _trial = breaker.try_trial(1_100).unwrap();
        assert_eq!(breaker.failed(before, Harm::Down, 1_101, RETRY), None);
        assert_eq!(breaker.admission(1_101), Admission::Trial);
    }

    #[test]
    fn forced_request_readmits_when_it_is_answered() {
        let (mut breaker, _) = blocked_at(100);
        let forced = Ticket::ordinary(breaker.blocks());
        assert_eq!(breaker.succeeded(forced, 200), Some(Transition::Up));
        assert_eq!(breaker.admission(200), Admission::Admitting);
    }

    #[test]
    fn forced_request_that_fails_leaves_somebody_elses_trial_alone() {
        let (mut breaker, _) = blocked_at(100);
        let forced = Ticket::ordinary(breaker.blocks());
        let trial = breaker.try_trial(1_100).unwrap();
        assert_eq!(breaker.failed(forced, Harm::Down, 1_101, RETRY), None);
        assert_eq!(breaker.admission(9_999), Admission::Trial);
        assert_eq!(breaker.succeeded(trial, 9_999), Some(Transition::Up));
    }

    #[test]
    fn second_answer_timeout_in_a_row_blocks() {
        let mut breaker = Breaker::new(0, false);
        let ticket = Ticket::ordinary(0);
        assert_eq!(breaker.failed(ticket, Harm::Slow, 1, RETRY), None);
        assert!(breaker.wants_good_news());
        assert_eq!(breaker.succeeded(ticket, 2), None);
        assert_eq!(breaker.failed(ticket, Harm::Slow, 3, RETRY), None);
        assert_eq!(
            breaker.failed(ticket, Harm::Slow, 4, RETRY),
            Some(Transition::Down)
        );
    }

    #[test]
    fn third_garbled_answer_in_a_row_blocks_and_slight_harm_never_does() {
        let mut breaker = Breaker::new(0, false);
        let ticket = Ticket::ordinary(0);
        for _ in 0..100 {
            assert_eq!(breaker.failed(ticket, Harm::Slight, 1, RETRY), None);
        }
        assert_eq!(breaker.failed(ticket, Harm::Garbled, 1, RETRY), None);
        assert_eq!(breaker.failed(ticket, Harm::Garbled, 1, RETRY), None);
        assert_eq!(
            breaker.failed(ticket, Harm::Garbled, 1, RETRY),
            Some(Transition::Down)
        );
    }

    #[test]
    fn checks_count_consecutively() {
        let mut breaker = Breaker::new(0, false);
        // httpd would trip on the third failure in all; the word is "in a row".
        for pass in [false, true, false, true, false] {
            assert_eq!(breaker.checked(pass, 2, 3, 1), None);
        }
        assert_eq!(breaker.checked(false, 2, 3, 2), None);
        assert_eq!(breaker.checked(false, 2, 3, 3), Some(Transition::Down));
        assert_eq!(breaker.admission(3), Admission::Unhealthy);
        assert_eq!(breaker.checked(true, 2, 3, 4), None);
        assert_eq!(breaker.checked(true, 2, 3, 5), Some(Transition::Up));
        assert_eq!(breaker.admission(5), Admission::Admitting);
    }

    #[test]
    fn passing_checks_shorten_retry_but_only_those_after_the_block() {
        let mut breaker = Breaker::new(0, false);
        assert_eq!(breaker.checked(true, 2, 1, 1), None);
        let ticket = Ticket::ordinary(0);
        assert!(breaker.failed(ticket, Harm::Down, 2, RETRY).is_some());
        assert_eq!(breaker.checked(true, 2, 1, 3), None);
        assert_eq!(breaker.checked(true, 2, 1, 4), Some(Transition::Up));
    }

    #[test]
    fn switching_checks_off_forgets_their_verdict() {
        let mut breaker = Breaker::new(0, false);
        assert!(breaker.checked(false, 1, 1, 1).is_some());
        breaker.unchecked(2);
        assert_eq!(breaker.admission(2), Admission::Admitting);
    }

    #[test]
    fn name_that_resolves_at_last_ends_the_block_that_its_absence_caused() {
        let (mut breaker, _) = blocked_at(100);
        breaker.located(200);
        assert_eq!(breaker.admission(200), Admission::Admitting);
        assert!(breaker.checked(false, 1, 1, 300).is_some());
        breaker.located(400);
        assert_eq!(
            breaker.admission(400),
            Admission::Unhealthy,
            "checks know better"
        );
    }
}
