//! The compiled policies that a snapshot is linked with.

use std::{collections::BTreeMap, fmt, sync::Arc};

use crate::policy::{Module, Refusal};

/// Compiled policies by name.
///
/// The operator's own are given; built-in ones are asked for when a place needs
/// them, since most configurations use two or three of the five.
pub struct Modules<'a> {
    /// The version of each named policy that shall be in service.
    pub named: &'a BTreeMap<String, Arc<dyn Module>>,
    /// Loads a built-in policy, or gives the one loaded before; `None`: there is none of that name.
    pub built_in: &'a BuiltIn<'a>,
}

/// Gives a built-in policy by its name.
pub type BuiltIn<'a> = dyn Fn(&str) -> Option<Result<Arc<dyn Module>, Refusal>> + 'a;

impl fmt::Debug for Modules<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Modules")
            .field("named", &self.named)
            .finish_non_exhaustive()
    }
}
