//! What wit-bindgen makes of `wit/policy.wit`, and nothing else.
//!
//! One world an interface, so that a component exports exactly the interfaces its
//! macro names: the metadata of the worlds it uses is united when the component is
//! made. This is the only module with `unsafe` in it, all of it generated.

// The contract documents its items; fields that speak for themselves have no text there.
#![allow(missing_docs, unsafe_code, clippy::all)]

// The macro does not tell cargo which files it reads.
const _: &str = include_str!("../../wit/policy.wit");

/// Everything a policy may ask of the host.
pub mod host {
    wit_bindgen::generate!({
        inline: "
            package switchyard:sdk;
            world host {
                import switchyard:policy/types@0.1.0;
                import switchyard:policy/request@0.1.0;
                import switchyard:policy/response@0.1.0;
                import switchyard:policy/pool@0.1.0;
                import switchyard:policy/shared@0.1.0;
                import switchyard:policy/store@0.1.0;
                import switchyard:policy/clock@0.1.0;
                import switchyard:policy/entropy@0.1.0;
                import switchyard:policy/log@0.1.0;
                import switchyard:policy/metrics@0.1.0;
            }
        ",
        path: "../wit",
        generate_all,
        generate_unused_types: true,
        additional_derives: [PartialEq, Eq],
        pub_export_macro: true,
    });
}

macro_rules! world {
    ($(#[$doc:meta])* $module:ident, $wit:literal, $export:literal $(, $types:literal)?) => {
        $(#[$doc])*
        pub mod $module {
            wit_bindgen::generate!({
                inline: $wit,
                path: "../wit",
                $(with: { $types: crate::bindings::host::switchyard::policy::types },)?
                generate_unused_types: true,
                additional_derives: [PartialEq, Eq],
                pub_export_macro: true,
                export_macro_name: $export,
            });
        }
    };
}

/// Required of every policy. Its world has the imports too: the `export!` macro puts
/// that world's description into the policy's own crate, where no linker drops it.
pub mod lifecycle {
    wit_bindgen::generate!({
        inline: "
            package switchyard:sdk;
            world lifecycle {
                import switchyard:policy/request@0.1.0;
                import switchyard:policy/response@0.1.0;
                import switchyard:policy/pool@0.1.0;
                import switchyard:policy/shared@0.1.0;
                import switchyard:policy/store@0.1.0;
                import switchyard:policy/clock@0.1.0;
                import switchyard:policy/entropy@0.1.0;
                import switchyard:policy/log@0.1.0;
                import switchyard:policy/metrics@0.1.0;
                export switchyard:policy/lifecycle@0.1.0;
            }
        ",
        path: "../wit",
        with: {
            "switchyard:policy/request@0.1.0": crate::bindings::host::switchyard::policy::request,
            "switchyard:policy/response@0.1.0": crate::bindings::host::switchyard::policy::response,
            "switchyard:policy/pool@0.1.0": crate::bindings::host::switchyard::policy::pool,
            "switchyard:policy/shared@0.1.0": crate::bindings::host::switchyard::policy::shared,
            "switchyard:policy/store@0.1.0": crate::bindings::host::switchyard::policy::store,
            "switchyard:policy/clock@0.1.0": crate::bindings::host::switchyard::policy::clock,
            "switchyard:policy/entropy@0.1.0": crate::bindings::host::switchyard::policy::entropy,
            "switchyard:policy/log@0.1.0": crate::bindings::host::switchyard::policy::log,
            "switchyard:policy/metrics@0.1.0": crate::bindings::host::switchyard::policy::metrics,
        },
        generate_unused_types: true,
        additional_derives: [PartialEq, Eq],
        pub_export_macro: true,
        export_macro_name: "export_lifecycle",
    });
}

world!(
    /// Who is in the pool.
    membership,
    "package switchyard:sdk; world membership { export switchyard:policy/membership@0.1.0; }",
    "export_membership",
    "switchyard:policy/types@0.1.0"
);
world!(
    /// Decision 1.
    balancer,
    "package switchyard:sdk; world balancer { export switchyard:policy/balancer@0.1.0; }",
    "export_balancer"
);
world!(
    /// Decision 2.
    affinity,
    "package switchyard:sdk; world affinity { export switchyard:policy/affinity@0.1.0; }",
    "export_affinity",
    "switchyard:policy/types@0.1.0"
);
world!(
    /// Decision 3.
    rewriter,
    "package switchyard:sdk; world rewriter { export switchyard:policy/rewriter@0.1.0; }",
    "export_rewriter",
    "switchyard:policy/types@0.1.0"
);
world!(
    /// Feedback.
    observer,
    "package switchyard:sdk; world observer { export switchyard:policy/observer@0.1.0; }",
    "export_observer",
    "switchyard:policy/types@0.1.0"
);
world!(
    /// Body streaming.
    transformer,
    "package switchyard:sdk; world transformer { export switchyard:policy/transformer@0.1.0; }",
    "export_transformer"
);
world!(
    /// The clock's strokes.
    ticker,
    "package switchyard:sdk; world ticker { export switchyard:policy/ticker@0.1.0; }",
    "export_ticker"
);
world!(
    /// State across reloads.
    handoff,
    "package switchyard:sdk; world handoff { export switchyard:policy/handoff@0.1.0; }",
    "export_handoff"
);
