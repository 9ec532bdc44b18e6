//! Whether a policy that failed may go on.
//!
//! A state machine without clock or side effect. Each fault costs a rebuild, and
//! each further one a longer wait before it; too many within the window put the
//! policy in quarantine, where the fallback answers. After that it is on
//! probation: one more fault, and it is in quarantine again.

use std::{collections::VecDeque, time::Duration};

use crate::{members::Micros, snapshot::PolicyLimits};

/// The wait before the first rebuild: a rebuild takes 50 us, a policy that fails at once 100 times a second is enough.
const FIRST_BACKOFF: Duration = Duration::from_millis(10);
/// The longest wait before a rebuild.
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// The most faults that are remembered, whatever `failures` says.
const MEMORY: usize = 1_024;

/// What the operator reads of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandingWord {
    /// In service.
    Serving,
    /// Not asked; the fallback answers.
    Quarantined,
    /// In service again after a quarantine; the next fault ends that.
    Probation,
}

/// What follows from a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Consequence {
    /// Replace the instance after a while.
    Rebuild(Duration),
    /// Ask it no more for that long.
    Quarantine(Duration),
    /// It is in quarantine already.
    Nothing,
}

/// The record of one binding.
#[derive(Debug)]
pub(super) struct Standing {
    word: StandingWord,
    recent: VecDeque<Micros>,
    /// Faults without a quiet window in between.
    streak: u32,
    probation_ends: Micros,
}

impl Standing {
    pub fn new() -> Self {
        Self {
            word: StandingWord::Serving,
            recent: VecDeque::new(),
            streak: 0,
            probation_ends: 0,
        }
    }

    /// Where it stands now.
    pub fn word(&self, now: Micros) -> StandingWord {
        match self.word {
            StandingWord::Probation if self.probation_ends <= now => StandingWord::Serving,
            word => word,
        }
    }

    /// It failed.
    pub fn fault(&mut self, now: Micros, limits: &PolicyLimits) -> Consequence {
        let window = crate::members::micros(limits.failure_window);
        self.word = self.word(now);
        if self
            .recent
            .back()
            .is_some_and(|last| now.saturating_sub(*last) > window)
        {
            self.streak = 0;
        }
        while self
            .recent
            .front()
            .is_some_and(|at| now.saturating_sub(*at) > window)
        {
            self.recent.pop_front();
        }
        if self.recent.len() == MEMORY {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        self.streak = self.streak.saturating_add(1);
        let too_many = self.recent.len() >= (limits.failures.max(1) as usize).min(MEMORY);
        match self.word {
            StandingWord::Quarantined => Consequence::Nothing,
            StandingWord::Serving if !too_many => Consequence::Rebuild(self.backoff()),
            StandingWord::Serving | StandingWord::Probation => {
                self.word = StandingWord::Quarantined;
                Consequence::Quarantine(limits.quarantine)
            }
        }
    }

    /// The quarantine is over.
    pub fn released(&mut self, now: Micros, limits: &PolicyLimits) {
        if self.word == StandingWord::Quarantined {
            self.word = StandingWord::Probation;
            self.probation_ends = now.saturating_add(crate::members::micros(limits.failure_window));
            self.recent.clear();
            self.streak = 0;
        }
    }

    fn backoff(&self) -> Duration {
        let doublings = self.streak.saturating_sub(1).min(16);
        (FIRST_BACKOFF * 2_u32.pow(doublings)).min(LONGEST_BACKOFF)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;

    fn limits(failures: u32) -> PolicyLimits {
        PolicyLimits {
            deadline: Duration::from_millis(5),
            init_deadline: Duration::from_secs(1),
            memory: 1 << 20,
            module_size: 1 << 20,
            compile_time: Duration::from_secs(1),
            compile_memory: 1 << 20,
            log_bytes: 1_000,
            failures,
            failure_window: Duration::from_secs(60),
            quarantine: Duration::from_secs(30),
            ..PolicyLimits::default()
        }
    }

    #[test]
    fn backoff_doubles_up_to_ten_seconds_and_starts_anew_after_a_quiet_window() {
        let limits = limits(100);
        let mut standing = Standing::new();
        let mut waits = Vec::new();
        for fault in 0..12 {
            if let Consequence::Rebuild(wait) = standing.fault(fault, &limits) {
                waits.push(wait.as_millis());
            }
        }
        assert_eq!(
            waits,
            [
                10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10_000, 10_000
            ]
        );
        let later = standing.fault(100 * SECOND, &limits);
        assert_eq!(later, Consequence::Rebuild(FIRST_BACKOFF));
    }

    #[test]
    fn too_many_faults_within_the_window_quarantine() {
        let limits = limits(3);
        let mut standing = Standing::new();
        assert!(matches!(
            standing.fault(0, &limits),
            Consequence::Rebuild(_)
        ));
        assert!(matches!(
            standing.fault(30 * SECOND, &limits),
            Consequence::Rebuild(_)
        ));
        // The first one has left the window.
        assert!(matches!(
            standing.fault(61 * SECOND, &limits),
            Consequence::Rebuild(_)
        ));
        assert_eq!(
            standing.fault(62 * SECOND, &limits),
            Consequence::Quarantine(limits.quarantine)
        );
        assert_eq!(standing.word(62 * SECOND), StandingWord::Quarantined);
        assert_eq!(standing.fault(62 * SECOND, &limits), Consequence::Nothing);
    }

    #[test]
    fn probation_ends_with_one_fault_or_a_quiet_window() {
        let limits = limits(2);
        let mut standing = Standing::new();
        standing.fault(0, &limits);
        standing.fault(1, &limits);
        standing.released(30 * SECOND, &limits);
        assert_eq!(standing.word(31 * SECOND), StandingWord::Probation);
        assert!(matches!(
            standing.fault(32 * SECOND, &limits),
            Consequence::Quarantine(_)
        ));
        standing.released(62 * SECOND, &limits);
        assert_eq!(standing.word(122 * SECOND), StandingWord::Serving);
        assert!(matches!(
            standing.fault(123 * SECOND, &limits),
            Consequence::Rebuild(_)
        ));
    }
}
