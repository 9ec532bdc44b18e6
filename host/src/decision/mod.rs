//! What a policy may see, and what it may say.
//!
//! These are the host's own words for the records of `wit/policy.wit`. Views are
//! borrowed for one call; decisions are values that the host checks and applies.
//! Nothing here knows how a policy runs (`wasm`) or where bytes come from (`proxy`).

mod captured;
mod edit;
mod names;
mod plan;
mod view;

/// For whoever shows fields: see [`FieldsView::seen`].
pub use crate::http1::name_bit;
pub use captured::{CapturedRequest, CapturedResponse};
pub use edit::IllegalEdit;
pub use names::{ATTRIBUTES, cookies, path_parameter, query_parameter};
pub use plan::{
    BodyPlan, Concurrency, Context, Descriptor, Edit, Failure, Hold, Hook, LinkPlan, Member,
    Outcome, Pin, Problem, RequestPlan, ResponsePlan, Substitution, Trigger, Verdict,
};
pub use view::{Call, FieldsView, PoolView, RequestView, ResponseView};
