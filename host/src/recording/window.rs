//! Which of an instance's calls are recorded.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use super::{End, Frame, Recorder, Start, Tape, recorder::wall_ms};
use crate::decision::{Context, Hook, Trigger};

/// Calls of the first window of an instance's place, and the fewest of a later one: enough for a
/// schedule over a hundred members to go round.
const WINDOW: u64 = 1_000;

/// Decides for one place of an instance (a binding's slot) when its calls are recorded.
///
/// Windows of contiguous calls alternate with pauses, so that on average `sample` of the calls
/// are in a window. The first window begins with the first instance.
#[derive(Debug)]
pub struct Recording {
    recorder: Arc<Recorder>,
    triggers: Vec<(Hook, Trigger)>,
    /// Calls that the next instance may record.
    allowed: AtomicU64,
    /// Calls that were recorded or are allowed in the window that is open.
    spent: AtomicU64,
    open: AtomicBool,
}

/// The recordings of one binding: one for each place of an instance.
#[derive(Debug)]
pub struct Recordings {
    recorder: Arc<Recorder>,
    triggers: OnceLock<Vec<(Hook, Trigger)>>,
    places: Mutex<BTreeMap<usize, Arc<Recording>>>,
}

impl Recordings {
    /// Of a binding that is about to be made.
    pub fn new(recorder: Arc<Recorder>) -> Self {
        Self {
            recorder,
            triggers: OnceLock::new(),
            places: Mutex::default(),
        }
    }

    /// What its policy's hooks are called for, once it has said so.
    pub fn described(&self, triggers: &[(Hook, Trigger)]) {
        self.triggers.get_or_init(|| triggers.to_vec());
    }

    /// That of one place.
    pub fn at(&self, place: usize) -> Arc<Recording> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let triggers = self.triggers.get().cloned().unwrap_or_default();
            Recording::new(Arc::clone(&self.recorder), triggers)
        };
        Arc::clone(places.entry(place).or_insert_with(new))
    }
}

/// What a window's start tells of its instance.
#[derive(Debug)]
pub struct Instance<'a> {
    /// Of the module, hexadecimal.
    pub digest: String,
    /// JSON text.
    pub config: &'a str,
    /// Which instance.
    pub context: &'a Context,
    /// CPU time of a decision, microseconds.
    pub deadline_us: u64,
    /// CPU time of other calls, microseconds.
    pub init_deadline_us: u64,
    /// Bytes of linear memory.
    pub memory: u64,
}

impl Recording {
    /// Of a policy whose hooks are called for `triggers`. The next instance is recorded.
    pub fn new(recorder: Arc<Recorder>, triggers: Vec<(Hook, Trigger)>) -> Arc<Self> {
        let first = match recorder.settings().sample {
            sample if sample >= 1.0 => u64::MAX,
            _ => WINDOW,
        };
        Arc::new(Self {
            recorder,
            triggers,
            allowed: AtomicU64::new(first),
            spent: AtomicU64::new(0),
            open: AtomicBool::new(false),
        })
    }

    /// Whether a new instance should take this place to be recorded, after `calls` of all
    /// instances here.
    pub fn is_due(&self, calls: u64) -> bool {
        if self.open.load(Relaxed) || self.recorder.status().failed {
            return false;
        }
        let sample = self.recorder.settings().sample;
        if sample >= 1.0 {
            self.allowed.store(u64::MAX, Relaxed);
            return true;
        }
        if self.allowed.load(Relaxed) > 0 {
            return true;
        }
        let share = (calls as f64 * sample) as u64;
        let due = share.saturating_sub(self.spent.load(Relaxed));
        // The first window is there before any share of the calls is; the others wait for theirs.
        if due < WINDOW {
            return false;
        }
        self.allowed.store(due, Relaxed);
        true
    }

    /// Begins a window with a new instance; `None` where it is not to be recorded.
    pub fn begin(self: &Arc<Self>, instance: &Instance<'_>) -> Option<Tape> {
        let allowed = self.allowed.swap(0, Relaxed);
        if allowed == 0 {
            return None;
        }
        let start = |window| {
            Frame::Start(Start {
                window,
                at_ms: wall_ms(),
                digest: instance.digest.clone(),
                config: instance.config.to_owned(),
                context: instance.context.clone(),
                deadline_us: instance.deadline_us,
                init_deadline_us: instance.init_deadline_us,
                memory: instance.memory,
                triggers: self.triggers.clone(),
            })
        };
        let place = self.recorder.begin(start)?;
        self.open.store(true, Relaxed);
        Some(Tape::record(Arc::clone(self), place, allowed))
    }

    pub(super) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// One decision was recorded.
    pub(super) fn spend(&self) {
        self.spent.fetch_add(1, Relaxed);
    }

    /// A window of this place ended.
    pub(super) fn close(&self, place: super::recorder::Place, why: End) {
        self.recorder.end(place, &Frame::End(place.window, why));
        self.open.store(false, Relaxed);
    }
}
