//! Whether a member is let requests through.
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
