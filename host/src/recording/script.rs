//! Answers imports from a recording.

use std::{
    collections::HashSet,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    Asked, Began, Call, Function, Read, Recalled, Value,
    call::write_read,
    inference::{follows, lacks},
};
use crate::decision::{Hook, Trigger};

/// What a module asked for and the recording lacks. `Display` says so in a sentence's middle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing(String);

impl Missing {
    fn new(function: Function, arguments: &[Value]) -> Self {
        let mut text = "reads ".to_owned();
        // Writing to a string cannot fail.
        let _ = write_read(&mut text, function, arguments);
        text.push_str(if function.has_state() {
            ", which depends on what the recorded version did there"
        } else {
            ", which the recording lacks"
        });
        Self(text)
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The recorded call that an instance is to answer. Shared by whoever replays, who puts calls in and
/// looks at what was missing, and by the instance.
///
/// Results are found by function and arguments, in whatever order they are asked for. Cells and store have
/// state: there the calls on one array or key must come in the recorded order.
#[derive(Debug, Default)]
pub struct Script(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    next: Vec<Call>,
    current: Option<Current>,
    /// Arrays and keys that are not what they were in the recording.
    diverged: HashSet<String>,
    triggers: Triggers,
    missing: Option<Missing>,
    redacted: Option<String>,
}

#[derive(Debug, Default)]
struct Triggers {
    recorded: Vec<(Hook, Trigger)>,
    own: Vec<(Hook, Trigger)>,
}

#[derive(Debug)]
struct Current {
    call: Call,
    /// Of `call.reads`: the ones with state that have been asked for.
    consumed: Vec<bool>,
    /// Where the next one most likely is.
    at: usize,
}

impl Script {
    /// For a module with triggers `own`, of a window whose module had `recorded`.
    #[must_use]
    pub fn new(recorded: Vec<(Hook, Trigger)>, own: Vec<(Hook, Trigger)>) -> Self {
        let state = State {
            triggers: Triggers { recorded, own },
            ..State::default()
        };
        Self(Mutex::new(state))
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The calls that come next; what was missing so far is forgotten.
    pub fn put(&self, calls: impl IntoIterator<Item = Call>) {
        let mut state = self.locked();
        state.missing = None;
        state.redacted = None;
        state.next = calls.into_iter().collect();
        state.next.reverse();
    }

    /// What the call asked for and the recording lacks: the first one.
    pub fn missing(&self) -> Option<Missing> {
        self.locked().missing.clone()
    }

    /// A read of the call whose result is not what it was, since the operator wanted it so.
    pub fn redacted(&self) -> Option<String> {
        self.locked().redacted.clone()
    }

    /// Whether the exchange of the call that comes next has one of the module's own triggers for
    /// the hook; `None` where the recording does not tell.
    pub fn selects(&self, hook: Hook) -> Option<bool> {
        let state = self.locked();
        let bits = state.next.last()?.triggered;
        let own = state.triggers.own.iter().filter(|(of, _)| *of == hook);
        let mut all_known = true;
        for (_, trigger) in own {
            match state.triggers.recorded_bit(hook, trigger) {
                Some(bit) if (bits >> bit) & 1 == 1 => return Some(true),
                Some(_) => {}
                None => all_known = false,
            }
        }
        all_known.then_some(false)
    }

    /// The instance begins a call.
    pub(super) fn begin(&self, asked: &Asked) -> Option<Began> {
        let mut state = self.locked();
        let call = state.next.pop()?;
        // Whoever replays asks what was recorded.
        debug_assert_eq!(call.asked.hook(), asked.hook());
        let began = Began {
            now_us: call.now_us,
            wall_ms: call.wall_ms,
            entropy: call.entropy,
            triggered: call.triggered,
        };
        let consumed = vec![false; call.reads.len()];
        state.current = Some(Current {
            call,
            consumed,
            at: 0,
        });
        Some(began)
    }

    /// The instance has answered.
    pub(super) fn finish(&self) {
        let mut state = self.locked();
        let Some(current) = state.current.take() else {
            return;
        };
        // What the recorded version wrote and this one did not.
        let reads = current.call.reads.iter().zip(&current.consumed);
        let left = reads.filter(|(read, consumed)| read.function.changes_state() && !**consumed);
        let domains: Vec<_> = left
            .map(|(read, _)| domain(read.function, &read.arguments))
            .collect();
        state.diverged.extend(domains);
    }

    pub(super) fn recall(&self, function: Function, arguments: &[Value]) -> Recalled {
        let mut state = self.locked();
        let State {
            current: Some(current),
            diverged,
            missing,
            redacted,
            triggers,
            ..
        } = &mut *state
        else {
            return Recalled::Missing;
        };
        if !current.call.asked.offers(function) {
            return Recalled::Live;
        }
        if !function.has_state() {
            if let Some((value, read)) = current.find(function, arguments) {
                if read.redacted {
                    *redacted = Some(read.to_string());
                }
                return Recalled::Known(value);
            }
            if let Some(none) = triggers.none(&current.call, function, arguments) {
                return Recalled::Known(none);
            }
        } else {
            let domain = domain(function, arguments);
            let known = !diverged.contains(&domain);
            if let Some(read) = known
                .then(|| current.in_order(function, arguments))
                .flatten()
            {
                if read.redacted {
                    *redacted = Some(read.to_string());
                }
                return Recalled::Known(read.result.clone());
            }
            diverged.insert(domain);
            // Nothing comes back from these, so nothing is guessed.
            if matches!(function, Function::StorePut | Function::StoreDelete) {
                return Recalled::Known(Value::Nothing);
            }
        }
        missing.get_or_insert_with(|| Missing::new(function, arguments));
        Recalled::Missing
    }

    /// `request.triggered` for the module's own triggers: from the recorded bits, where the recorded
    /// version had the same ones.
    pub(super) fn triggered(&self) -> Recalled {
        let mut state = self.locked();
        let Some(current) = &state.current else {
            return Recalled::Live;
        };
        if !current.call.asked.offers(Function::Method) {
            return Recalled::Live;
        }
        let mut all = u64::MAX;
        let bits = current.call.triggered;
        if let Some(hook) = current.call.asked.triggered_hook() {
            let own = state.triggers.own.iter().filter(|(of, _)| *of == hook);
            for (bit, (_, trigger)) in own.take(64).enumerate() {
                let Some(was) = state.triggers.recorded_bit(hook, trigger) else {
                    let text = format!(
                        "reads request.triggered() for {trigger:?}, which the recorded version does not have"
                    );
                    state.missing.get_or_insert(Missing(text));
                    return Recalled::Missing;
                };
                if (bits >> was) & 1 == 0 {
                    all &= !(1 << bit);
                }
            }
        }
        Recalled::Known(Value::Number(all))
    }
}

impl Triggers {
    /// Which bit of `request.triggered` the recorded version had for it.
    fn recorded_bit(&self, hook: Hook, trigger: &Trigger) -> Option<usize> {
        let recorded = self.recorded.iter().filter(|(of, _)| *of == hook);
        recorded.take(64).position(|(_, old)| old == trigger)
    }

    /// What is not there, since the recorded version's own trigger for it did not hit.
    fn none(&self, call: &Call, function: Function, arguments: &[Value]) -> Option<Value> {
        let hook = call.asked.triggered_hook()?;
        let recorded = self.recorded.iter().filter(|(of, _)| *of == hook).take(64);
        let lacked = recorded
            .enumerate()
            .filter(|(bit, _)| (call.triggered >> bit) & 1 == 0);
        lacked
            .map(|(_, (_, trigger))| trigger)
            .find_map(|trigger| lacks(trigger, function, arguments))
    }
}

impl Current {
    /// A result without state: recorded, or following from what is.
    fn find(&mut self, function: Function, arguments: &[Value]) -> Option<(Value, &Read)> {
        let is = |read: &Read| read.function == function && read.arguments == arguments;
        let reads = &self.call.reads;
        let here = reads.get(self.at).is_some_and(is).then_some(self.at);
        if let Some(at) = here.or_else(|| reads.iter().position(is)) {
            self.at = at + 1;
            let read = reads.get(at)?;
            return Some((read.result.clone(), read));
        }
        reads
            .iter()
            .find_map(|read| Some((follows(read, function, arguments)?, read)))
    }

    /// The next result on the same array or key, if it is this one.
    fn in_order(&mut self, function: Function, arguments: &[Value]) -> Option<&Read> {
        let about = domain(function, arguments);
        let next = self
            .call
            .reads
            .iter()
            .zip(&mut self.consumed)
            .find(|(read, consumed)| {
                !**consumed
                    && read.function.has_state()
                    && domain(read.function, &read.arguments) == about
            });
        let (read, consumed) = next?;
        let is = read.function == function && read.arguments == arguments;
        *consumed |= is;
        is.then_some(read)
    }
}

/// The array or key that a function with state is about.
fn domain(function: Function, arguments: &[Value]) -> String {
    let kind = match function {
        Function::StoreGet | Function::StorePut | Function::StoreDelete => "store",
        _ => "cells",
    };
    match arguments.first() {
        Some(Value::Text(name)) => format!("{kind} {name}"),
        _ => kind.to_owned(),
    }
}
