//! Policies as the gateway sees them: a trait that `wasm` implements, and what the
//! host does around every call (placement, fallback, quarantine, history).
//!
//! A [`Binding`] is a policy in service. A [`Selector`] asks the bindings of one
//! balancer who serves a request, and checks what they say. Rewriters and session
//! cookies are asked of their bindings one by one.

#[cfg(test)]
mod account_tests;
mod allowance;
mod asking;
mod background;
mod binding;
#[cfg(test)]
mod binding_tests;
mod body_stream;
mod canary;
mod canned;
mod choice;
mod columns;
mod cpu;
mod instance;
mod judge;
mod lanes;
mod lock;
mod observer;
mod picking;
mod pin;
#[cfg(test)]
mod pin_tests;
mod post;
#[cfg(test)]
mod post_tests;
mod recorded;
mod recovery;
mod report;
mod rewriter;
#[cfg(test)]
mod scene;
mod selector;
#[cfg(test)]
mod selector_properties;
#[cfg(test)]
mod selector_tests;
mod shadow;
mod slot;
mod smoke;
#[cfg(test)]
mod smoke_tests;
mod standing;
mod tenure;
#[cfg(test)]
mod tenure_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod testing_service;
#[cfg(test)]
mod testing_views;
mod timing;
mod tried;
mod trigger;
mod version;
#[cfg(test)]
mod version_tests;
mod words;

pub use allowance::Allowance;
pub use background::{Background, BackgroundThread, Job};
pub use binding::{Binding, BindingParts, Role};
pub use body_stream::BodyStream;
pub use canary::{Canary, CanaryState, CanaryStatus, Fates};
pub use canned::{CannedRequest, CannedResponse};
pub use choice::{Attempt, Chosen, Decider, Refused, Session};
pub use cpu::{step_back, thread_time};
pub use instance::{
    Client, Digest, Environment, Exports, Fault, FaultKind, Instance, Loader, Module, Refusal,
};
pub use judge::{Measure, Opinion, judge};
pub use lanes::{Lanes, TenantThreads};
pub use post::Post;
pub use recovery::LastError;
pub use report::BindingStatus;
pub use selector::Selector;
pub use shadow::{Example, Shadow, ShadowStatus, Share};
pub use standing::StandingWord;
pub use timing::{CALL_TIME_BOUNDS, CallTimes, Waits};
pub use version::{EVENTS, Entry, Event, Versions, worth_keeping};
pub use words::{InWords, plain};
