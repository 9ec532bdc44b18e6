//! Policies that are tried beside those in service.

use super::super::{
    table::table,
    units::{Percent, Time},
};

table! {
    /// A policy that sees what the one in service sees, and is never obeyed.
    pub struct ShadowTable {
        /// Its name: "policy:NAME", or NAME.
        #[schemars(required)]
        policy: String,
        /// Percent of decisions that it sees; balancers with a state see all.
        #[schemars(extend("default" = 10))]
        sample: Percent,
    }
}

table! {
    /// A policy that decides for a share.
    pub struct CanaryTable {
        /// Its name: "policy:NAME", or NAME.
        #[schemars(required)]
        policy: String,
        /// The share.
        #[schemars(extend("default" = 5))]
        percent: Percent,
        /// Who belongs to it: session (else client), client, tenant, or "header:NAME".
        #[schemars(extend("default" = "session"))]
        by: String,
        /// Let it decide for all if it was no worse for so long; left out: when somebody says so.
        promote_after: Time,
    }
}
