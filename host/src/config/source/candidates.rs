//! Policies that are tried beside those in service.

use super::super::{
    table::table,
    units::{LoadFactor, Percent, Time},
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

table! {
    /// When a new version that is worse than the one before is undone by itself.
    pub struct RollbackTable {
        /// It is watched for so many calls.
        #[schemars(extend("default" = 10000))]
        calls: u32,
        /// Or for so long.
        #[schemars(extend("default" = "60s"))]
        time: Time,
        /// So many more percent of its calls, or of the requests a canary decides for, may fail.
        #[schemars(extend("default" = 1))]
        errors: Percent,
        /// So many times longer may the slowest hundredth of its calls take.
        #[schemars(extend("default" = 4))]
        slower: LoadFactor,
    }
}
