//! What one instance's store holds to be recorded, or replayed.

use std::{cell::RefCell, fmt, sync::Arc};

use super::{
    Answer, Asked, Call, End, Frame, Function, Read, Recording, Script, Value, recorder::Place,
};

/// Where an instance's tape comes from.
#[derive(Debug, Clone, Default)]
pub enum Source {
    /// Nothing is recorded.
    #[default]
    None,
    /// Recorded when its time has come.
    Record(Arc<Recording>),
    /// Every import is answered by the script.
    Replay(Arc<Script>),
}

/// An instance's tape.
#[derive(Debug, Default)]
pub enum Tape {
    /// Nothing is recorded; every import is answered by the host.
    #[default]
    Off,
    /// Calls and imports are written down.
    Record(Box<Writing>),
    /// Imports are answered from a recording.
    Replay(Arc<Script>),
}

/// The moment a call began, as the policy sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Began {
    /// Its monotonic clock.
    pub now_us: u64,
    /// Its wall clock.
    pub wall_ms: u64,
    /// The state of its entropy.
    pub entropy: u64,
    /// `request.triggered`
    pub triggered: u64,
}

/// What a tape says to an import.
#[derive(Debug, PartialEq, Eq)]
pub enum Recalled {
    /// Ask the host, and [`Tape::note`] what it gives.
    Live,
    /// This was the result.
    Known(Value),
    /// The recording does not tell.
    Missing,
}

/// A window that is being recorded.
pub struct Writing {
    recording: Arc<Recording>,
    place: Place,
    left: u64,
    reads: RefCell<Vec<Read>>,
    ended: bool,
}

impl Tape {
    pub(super) fn record(recording: Arc<Recording>, place: Place, calls: u64) -> Self {
        Self::Record(Box::new(Writing {
            recording,
            place,
            left: calls,
            reads: RefCell::default(),
            ended: false,
        }))
    }

    /// Whether calls pass by without it.
    #[must_use]
    pub fn is_off(&self) -> bool {
        matches!(self, Self::Off)
    }

    /// A call begins. In a replay it begins at the recorded moment, which is returned.
    pub fn begin(&mut self, asked: &Asked) -> Option<Began> {
        match self {
            Self::Off => None,
            Self::Record(writing) => {
                writing.reads.get_mut().clear();
                None
            }
            Self::Replay(script) => script.begin(asked),
        }
    }

    /// An import is called.
    pub fn recall(&self, function: Function, arguments: impl FnOnce() -> Vec<Value>) -> Recalled {
        match self {
            Self::Off | Self::Record(_) => Recalled::Live,
            Self::Replay(script) => script.recall(function, &arguments()),
        }
    }

    /// `request.triggered` is called.
    pub fn triggered(&self) -> Recalled {
        match self {
            Self::Off | Self::Record(_) => Recalled::Live,
            Self::Replay(script) => script.triggered(),
        }
    }

    /// The host has answered an import.
    pub fn note(
        &self,
        function: Function,
        arguments: impl FnOnce() -> Vec<Value>,
        result: impl FnOnce() -> Value,
    ) {
        if let Self::Record(writing) = self {
            writing.reads.borrow_mut().push(Read {
                function,
                arguments: arguments(),
                result: result(),
                redacted: false,
            });
        }
    }

    /// The call is over. A window that is full, or cannot go on, ends here.
    pub fn finish(&mut self, asked: Asked, began: Began, answer: Answer) {
        match self {
            Self::Off => {}
            Self::Record(writing) => {
                if !writing.finish(asked, began, answer) {
                    *self = Self::Off;
                }
            }
            Self::Replay(script) => script.finish(),
        }
    }
}

impl Writing {
    fn finish(&mut self, asked: Asked, began: Began, mut answer: Answer) -> bool {
        let mut reads = std::mem::take(self.reads.get_mut());
        let recorder = self.recording.recorder();
        if !recorder.redactor.is_idle() {
            recorder.redactor.call(&mut reads, &mut answer);
        }
        let (is_decision, failed) = (asked.is_decision(), matches!(answer, Answer::Fault { .. }));
        let call = Call {
            asked,
            now_us: began.now_us,
            wall_ms: began.wall_ms,
            entropy: began.entropy,
            triggered: began.triggered,
            reads,
            answer,
        };
        if !recorder.call(self.place, &Frame::Call(self.place.window, call)) {
            self.end(End::Dropped);
            return false;
        }
        if is_decision {
            self.recording.spend();
            self.left = self.left.saturating_sub(1);
        }
        if failed {
            self.end(End::Fault);
        } else if self.left == 0 {
            self.end(End::Full);
        }
        !self.ended
    }

    fn end(&mut self, why: End) {
        if !self.ended {
            self.ended = true;
            self.recording.close(self.place, why);
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.end(End::Left);
    }
}

impl fmt::Debug for Writing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writing")
            .field("place", &self.place)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
