//! Which interfaces a component exports, and typed handles on one instance's.
//!
//! Probed one by one: the world's own bindings would refuse a component that
//! exports fewer, and a policy exports what it needs.

use wasmtime::{
    Store,
    component::{Component, Instance, InstancePre},
};

use super::{bindings::guest, host::CONTRACT, state::State};
use crate::policy::Exports;

/// Each interface a policy may export: its field, its module, its name.
macro_rules! interfaces {
    ($each:ident) => {
        $each! {
            membership "membership",
            balancer "balancer",
            affinity "affinity",
            rewriter "rewriter",
            observer "observer",
            transformer "transformer",
            ticker "ticker",
            handoff "handoff",
        }
    };
}

macro_rules! define {
    ($($field:ident $name:literal,)*) => {
        /// Where a component's interfaces are.
        #[derive(Clone)]
        pub(super) struct Probed {
            lifecycle: guest::lifecycle::GuestIndices,
            $($field: Option<guest::$field::GuestIndices>,)*
        }

        /// One instance's interfaces.
        pub(super) struct Guests {
            pub(super) lifecycle: guest::lifecycle::Guest,
            $(pub(super) $field: Option<guest::$field::Guest>,)*
        }

        /// All interfaces of the contract that a policy may export.
        pub(super) const EXPORTS: &[&str] = &["lifecycle", $($name,)*];

        impl Probed {
            /// Looks each interface up; the error names one that is incomplete or missing.
            pub(super) fn new(component: &Component, pre: &InstancePre<State>) -> wasmtime::Result<Self> {
                let has = |name: &str| component.get_export_index(None, &qualified(name)).is_some();
                Ok(Self {
                    lifecycle: guest::lifecycle::GuestIndices::new(pre)?,
                    $($field: has($name).then(|| guest::$field::GuestIndices::new(pre)).transpose()?,)*
                })
            }

            /// As flags.
            pub(super) fn exports(&self) -> Exports {
                Exports { $($field: self.$field.is_some(),)* }
            }

            /// The error names an interface whose functions' types are not the contract's.
            pub(super) fn load(&self, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<Guests> {
                let named = |name| move |error: wasmtime::Error| error.context(qualified(name));
                Ok(Guests {
                    lifecycle: self.lifecycle.load(&mut *store, instance).map_err(named("lifecycle"))?,
                    $($field: match &self.$field {
                        Some(at) => Some(at.load(&mut *store, instance).map_err(named($name))?),
                        None => None,
                    },)*
                })
            }
        }
    };
}

interfaces!(define);

/// `balancer` -> `switchyard:policy/balancer@0.1.0`
pub(super) fn qualified(interface: &str) -> String {
    let (package, version) = CONTRACT;
    format!("{package}{interface}{version}")
}
