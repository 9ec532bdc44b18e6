//! Typed calls into a policy, generated from `wit/policy.wit`.
//!
//! Only the exports are generated: imports are written by hand in `host`, where
//! arguments stay in the guest's memory until they have been charged for.

#![allow(
    missing_docs,
    reason = "generated; the contract itself is documented in wit/policy.wit"
)]

wasmtime::component::bindgen!({
    path: "../wit",
    inline: "
        package switchyard:host;

        world policy-exports {
            export switchyard:policy/lifecycle@0.1.0;
            export switchyard:policy/membership@0.1.0;
            export switchyard:policy/balancer@0.1.0;
            export switchyard:policy/affinity@0.1.0;
            export switchyard:policy/rewriter@0.1.0;
            export switchyard:policy/observer@0.1.0;
            export switchyard:policy/transformer@0.1.0;
            export switchyard:policy/ticker@0.1.0;
            export switchyard:policy/handoff@0.1.0;
        }
    ",
});

pub(super) use exports::switchyard::policy as guest;
pub(super) use switchyard::policy::types;
