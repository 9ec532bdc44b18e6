//! A rewriter that names its own version in every answer.
//!
//! `cargo xtask demo` and `soak` replace policies while requests flow and must know
//! which one served each of them. Compiling twenty policies would take minutes, so
//! this one is compiled once and its stamp is overwritten in the module's bytes.

use std::hint::black_box;

use switchyard_policy::{Context, Edit, Problem, ResponsePlan, Rewriter};

/// The answer's header that carries the stamp.
pub const HEADER: &str = "switchyard-stamp";

/// What the module's bytes hold once, and what is overwritten there.
pub static STAMP: [u8; 16] = *b"stamp-0000000000";

/// The policy; it has no state and no configuration.
pub struct Stamp;

impl Rewriter for Stamp {
    type Config = ();

    fn init((): (), _: &Context) -> Result<Self, Vec<Problem>> {
        Ok(Stamp)
    }

    fn on_response(&mut self) -> ResponsePlan {
        // Opaque to the optimiser, which would otherwise spread the bytes over instructions.
        let stamp: &[u8; 16] = black_box(&STAMP);
        ResponsePlan {
            headers: vec![Edit::set(HEADER, stamp.to_vec())],
            ..ResponsePlan::default()
        }
    }
}

switchyard_policy::rewriter!(Stamp);
