//! The one line that makes a component of a policy.
//!
//! Each macro implements [`Policy`](crate::Policy) for the type, natively checks that it
//! has every hook it names, and on wasm32 exports the kind's interfaces and the
//! hooks' and no others. Nothing outside this crate is read.

/// Makes a component of a [`Balancer`](crate::Balancer).
///
/// Optional hooks follow: `balancer!(MyPolicy, with handoff, observer)`. There are
/// `observer`, `ticker`, `handoff` and `transformer`.
#[macro_export]
macro_rules! balancer {
    ($policy:ty $(, with $($hook:ident),+)? $(,)?) => {
        $crate::__lifecycle!($policy, Balancer);
        impl $crate::export::TakesMembers for $policy {
            fn take_members(
                &mut self,
                revision: u64,
                members: ::std::vec::Vec<$crate::Member>,
            ) {
                $crate::Balancer::members_changed(self, revision, members);
            }
        }
        $($($crate::__hook!($hook, $policy);)+)?
        $crate::__component!($policy: lifecycle, membership, balancer $($(, $hook)+)?);
    };
}

/// Makes a component of an [`Affinity`](crate::Affinity).
///
/// Optional hooks follow: `affinity!(MyPolicy, with membership)`. There are
/// `membership`, `observer`, `ticker`, `handoff` and `transformer`.
#[macro_export]
macro_rules! affinity {
    ($policy:ty $(, with $($hook:ident),+)? $(,)?) => {
        $crate::__lifecycle!($policy, Affinity);
        $($($crate::__hook!($hook, $policy);)+)?
        $crate::__component!($policy: lifecycle, affinity $($(, $hook)+)?);
    };
}

/// Makes a component of a [`Rewriter`](crate::Rewriter).
///
/// Optional hooks follow: `rewriter!(MyPolicy, with membership)`. There are
/// `membership`, `observer`, `ticker`, `handoff` and `transformer`.
#[macro_export]
macro_rules! rewriter {
    ($policy:ty $(, with $($hook:ident),+)? $(,)?) => {
        $crate::__lifecycle!($policy, Rewriter);
        $($($crate::__hook!($hook, $policy);)+)?
        $crate::__component!($policy: lifecycle, rewriter $($(, $hook)+)?);
    };
}

/// The lifecycle, taken from the kind's trait.
#[doc(hidden)]
#[macro_export]
macro_rules! __lifecycle {
    ($policy:ty, $kind:ident) => {
        impl $crate::Policy for $policy {
            type Config = <$policy as $crate::$kind>::Config;

            fn describe(config: &Self::Config) -> $crate::Descriptor {
                <$policy as $crate::$kind>::describe(config)
            }

            fn init(
                config: Self::Config,
                context: &$crate::Context,
            ) -> ::std::result::Result<Self, ::std::vec::Vec<$crate::Problem>> {
                <$policy as $crate::$kind>::init(config, context)
            }
        }
    };
}

/// Says natively, where it is read, that a hook's trait is missing or its name wrong.
#[doc(hidden)]
#[macro_export]
macro_rules! __hook {
    (membership, $policy:ty) => {
        impl $crate::export::TakesMembers for $policy {
            fn take_members(
                &mut self,
                revision: u64,
                members: ::std::vec::Vec<$crate::Member>,
            ) {
                $crate::Membership::members_changed(self, revision, members);
            }
        }
    };
    (observer, $policy:ty) => {
        $crate::__hook!(@check Observer, $policy);
    };
    (ticker, $policy:ty) => {
        $crate::__hook!(@check Ticker, $policy);
    };
    (handoff, $policy:ty) => {
        $crate::__hook!(@check Handoff, $policy);
    };
    (transformer, $policy:ty) => {
        $crate::__hook!(@check Transformer, $policy);
    };
    (@check $hook:ident, $policy:ty) => {
        const _: () = {
            const fn implements<T: $crate::$hook>() {}
            implements::<$policy>();
        };
    };
    ($other:ident, $policy:ty) => {
        ::std::compile_error!(::std::concat!(
            "there is no hook `",
            ::std::stringify!($other),
            "`; there are membership (not for balancers), observer, ticker, handoff, transformer"
        ));
    };
}

/// The exports. A component has no threads: the thread's cell is the only one.
#[doc(hidden)]
#[macro_export]
macro_rules! __component {
    ($policy:ty: $($interface:ident),+) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;

            ::std::thread_local! {
                static POLICY: ::std::cell::RefCell<::std::option::Option<$policy>> =
                    const { ::std::cell::RefCell::new(::std::option::Option::None) };
            }

            impl $crate::export::Slot for Component {
                type Policy = $policy;

                fn with<R>(
                    run: impl FnOnce(&::std::cell::RefCell<::std::option::Option<$policy>>) -> R,
                ) -> R {
                    POLICY.with(run)
                }
            }

            $($crate::__interface!($interface);)+

            const SCHEMA: $crate::schema::Schema =
                <<$policy as $crate::Policy>::Config as $crate::config::Config>::SCHEMA;

            // No code reads it: it becomes a custom section, which the linker keeps.
            #[unsafe(link_section = "switchyard:config-schema")]
            static _SCHEMA: [u8; $crate::schema::length(&SCHEMA)] =
                $crate::schema::render(&SCHEMA);
        };
    };
}

/// One interface, exported from `Component`.
#[doc(hidden)]
#[macro_export]
macro_rules! __interface {
    (lifecycle) => {
        $crate::bindings::lifecycle::export_lifecycle!(Component with_types_in $crate::bindings::lifecycle);
    };
    (membership) => {
        $crate::bindings::membership::export_membership!(Component with_types_in $crate::bindings::membership);
    };
    (balancer) => {
        $crate::bindings::balancer::export_balancer!(Component with_types_in $crate::bindings::balancer);
    };
    (affinity) => {
        $crate::bindings::affinity::export_affinity!(Component with_types_in $crate::bindings::affinity);
    };
    (rewriter) => {
        $crate::bindings::rewriter::export_rewriter!(Component with_types_in $crate::bindings::rewriter);
    };
    (observer) => {
        $crate::bindings::observer::export_observer!(Component with_types_in $crate::bindings::observer);
    };
    (transformer) => {
        $crate::bindings::transformer::export_transformer!(Component with_types_in $crate::bindings::transformer);
    };
    (ticker) => {
        $crate::bindings::ticker::export_ticker!(Component with_types_in $crate::bindings::ticker);
    };
    (handoff) => {
        $crate::bindings::handoff::export_handoff!(Component with_types_in $crate::bindings::handoff);
    };
}
