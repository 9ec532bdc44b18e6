//! The contract's records under short names, with what makes them handy.

pub use crate::bindings::{
    affinity::exports::switchyard::policy::affinity::{Hold, Pin},
    balancer::exports::switchyard::policy::balancer::Verdict,
    host::switchyard::policy::types::{Edit, Failure, Line, Member, Outcome},
    lifecycle::exports::switchyard::policy::lifecycle::{
        Concurrency, Context, Descriptor, Hook, Problem, Trigger,
    },
    rewriter::exports::switchyard::policy::rewriter::{
        BodyPlan, LinkPlan, RequestPlan, ResponsePlan, Substitution,
    },
};

/// A header that nobody sends: what is triggered by it alone never runs.
const NEVER: &str = "switchyard-never";

impl Descriptor {
    /// One instance, calls serialised: for balancers that keep state.
    pub fn exclusive() -> Self {
        Descriptor {
            concurrency: Concurrency::Exclusive,
            triggers: Vec::new(),
            tick_ms: 0,
        }
    }

    /// One instance a worker: for policies that keep no state, or keep it in `shared`.
    pub fn replicated() -> Self {
        Descriptor {
            concurrency: Concurrency::Replicated,
            ..Descriptor::exclusive()
        }
    }

    /// Calls `hook` only where this trigger, or another one of it, applies.
    #[must_use]
    pub fn when(mut self, hook: Hook, trigger: Trigger) -> Self {
        self.triggers.push((hook, trigger));
        self
    }

    /// Never calls `hook` under this configuration.
    #[must_use]
    pub fn never(self, hook: Hook) -> Self {
        self.when(hook, Trigger::RequestHeader(NEVER.into()))
    }

    /// Calls `tick` this often.
    #[must_use]
    pub fn every_ms(mut self, milliseconds: u32) -> Self {
        self.tick_ms = milliseconds;
        self
    }
}

impl Problem {
    /// A problem with the value at this JSON pointer; empty = the whole.
    pub fn new(at: impl Into<String>, message: impl Into<String>) -> Self {
        Problem {
            at: at.into(),
            message: message.into(),
        }
    }
}

impl Edit {
    /// Leaves exactly one line of that name.
    pub fn set(name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Edit::Set((name.into(), value.into()))
    }

    /// Adds a line.
    pub fn append(name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Edit::Append((name.into(), value.into()))
    }

    /// Removes all lines of that name.
    pub fn remove(name: impl Into<String>) -> Self {
        Edit::Remove(name.into())
    }

    /// Replaces one of several lines, numbered as this call sees them.
    pub fn replace_line(name: impl Into<String>, index: u32, value: impl Into<Vec<u8>>) -> Self {
        let name = name.into();
        Edit::ReplaceLine((Line { name, index }, value.into()))
    }

    /// Removes one of several lines, numbered as this call sees them.
    pub fn remove_line(name: impl Into<String>, index: u32) -> Self {
        let name = name.into();
        Edit::RemoveLine(Line { name, index })
    }
}

impl Hold {
    /// Stay with the member of this route; move where it is unusable.
    pub fn route(route: impl Into<String>) -> Self {
        Hold {
            pin: Pin::Route(route.into()),
            strict: false,
        }
    }

    /// Stay with the member of this id; move where it is unusable.
    pub fn member(id: impl Into<String>) -> Self {
        Hold {
            pin: Pin::Member(id.into()),
            strict: false,
        }
    }

    /// The same key leads to the same member while the pool stays as it is.
    pub fn key(key: u64) -> Self {
        Hold {
            pin: Pin::Key(key),
            strict: false,
        }
    }

    /// Refuse (503) rather than move.
    #[must_use]
    pub fn strictly(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }
}

impl Default for RequestPlan {
    /// Changes nothing.
    fn default() -> Self {
        RequestPlan {
            path: None,
            authority: None,
            headers: Vec::new(),
        }
    }
}

impl Default for ResponsePlan {
    /// Changes nothing.
    fn default() -> Self {
        ResponsePlan {
            status: None,
            headers: Vec::new(),
            body: BodyPlan::Pass,
        }
    }
}

impl Substitution {
    /// `from` becomes `to`.
    pub fn new(from: impl Into<Vec<u8>>, to: impl Into<Vec<u8>>) -> Self {
        Substitution {
            from: from.into(),
            to: to.into(),
        }
    }
}
