//! Between the generated exports and the traits of [`policy`](crate::policy).
//!
//! The macros make a type that is a [`Slot`]; everything else is generic here, so
//! that what they expand to stays short. Public for the macros alone.

use std::cell::RefCell;

use crate::{
    Affinity, Balancer, Context, Descriptor, Edit, Hold, Member, Observer, Outcome, Policy,
    Problem, RequestPlan, ResponsePlan, Rewriter, Ticker, Transformer, Verdict,
    bindings::{
        affinity::exports::switchyard::policy::affinity,
        balancer::exports::switchyard::policy::balancer,
        handoff::exports::switchyard::policy::handoff,
        lifecycle::exports::switchyard::policy::lifecycle,
        membership::exports::switchyard::policy::membership,
        observer::exports::switchyard::policy::observer,
        rewriter::exports::switchyard::policy::rewriter,
        ticker::exports::switchyard::policy::ticker,
        transformer::exports::switchyard::policy::transformer,
    },
    config,
    policy::{BodyStream, Handoff},
};

/// Where a component keeps its only policy.
pub trait Slot: 'static {
    /// What the author wrote.
    type Policy: Policy;
    /// Empty until `init`; the host calls one function at a time.
    fn with<R>(run: impl FnOnce(&RefCell<Option<Self::Policy>>) -> R) -> R;
}

fn call<S: Slot, R>(run: impl FnOnce(&mut S::Policy) -> R) -> R {
    S::with(|cell| match &mut *cell.borrow_mut() {
        Some(policy) => run(policy),
        // The contract's order of calls: a host that breaks it gets a trap.
        None => panic!("called before init"),
    })
}

impl<S: Slot> lifecycle::Guest for S {
    fn describe(config: String) -> Result<Descriptor, Vec<Problem>> {
        Ok(S::Policy::describe(&config::read(&config)?))
    }

    fn init(config: String, context: Context) -> Result<(), Vec<Problem>> {
        let policy = S::Policy::init(config::read(&config)?, &context)?;
        S::with(|cell| *cell.borrow_mut() = Some(policy));
        Ok(())
    }
}

/// Who takes `members-changed`: a balancer itself, others through
/// [`Membership`](crate::Membership). The macros implement it.
pub trait TakesMembers {
    /// As [`Membership::members_changed`](crate::Membership::members_changed).
    fn take_members(&mut self, revision: u64, members: Vec<Member>);
}

impl<S: Slot<Policy: TakesMembers>> membership::Guest for S {
    fn members_changed(revision: u64, members: Vec<Member>) {
        call::<S, _>(|policy| policy.take_members(revision, members));
    }
}

impl<S: Slot<Policy: Balancer>> balancer::Guest for S {
    fn pick(attempt: u32, state: u64) -> Verdict {
        call::<S, _>(|policy| policy.pick(attempt, state))
    }
}

impl<S: Slot<Policy: Affinity>> affinity::Guest for S {
    fn locate() -> Option<Hold> {
        call::<S, _>(Affinity::locate)
    }

    fn bind() -> Vec<Edit> {
        call::<S, _>(Affinity::bind)
    }
}

impl<S: Slot<Policy: Rewriter>> rewriter::Guest for S {
    fn on_request() -> RequestPlan {
        call::<S, _>(Rewriter::on_request)
    }

    fn on_response() -> ResponsePlan {
        call::<S, _>(Rewriter::on_response)
    }
}

impl<S: Slot<Policy: Observer>> observer::Guest for S {
    fn completed(batch: Vec<Outcome>) {
        call::<S, _>(|policy| policy.completed(batch));
    }
}

impl<S: Slot<Policy: Ticker>> ticker::Guest for S {
    fn tick() {
        call::<S, _>(Ticker::tick);
    }
}

impl<S: Slot<Policy: Handoff>> handoff::Guest for S {
    fn save() -> Vec<u8> {
        call::<S, _>(Handoff::save)
    }

    fn restore(previous: String, states: Vec<Vec<u8>>) -> Result<(), String> {
        call::<S, _>(|policy| policy.restore(&previous, states))
    }
}

/// An open body stream as the bindings want it.
pub struct Stream<P: Transformer>(RefCell<P::Body>);

impl<S: Slot<Policy: Transformer>> transformer::Guest for S {
    type Body = Stream<S::Policy>;
}

impl<P: Transformer + 'static> transformer::GuestBody for Stream<P> {
    fn new(seed: Vec<u8>) -> Self {
        Stream(RefCell::new(P::open(seed)))
    }

    fn write(&self, chunk: Vec<u8>) -> Vec<u8> {
        self.0.borrow_mut().write(chunk)
    }

    fn finish(&self) -> Vec<u8> {
        self.0.borrow_mut().finish()
    }
}
