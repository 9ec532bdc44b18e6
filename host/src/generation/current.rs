//! The generation in service.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;

use super::Generation;

/// The generation in service: the one place a reload changes.
pub struct Current(ArcSwap<Generation>);

impl Current {
    /// Begins with this one.
    pub fn new(first: Generation) -> Self {
        Self(ArcSwap::from_pointee(first))
    }

    /// The generation in service. A request loads it once and keeps it to its end.
    pub fn load(&self) -> Arc<Generation> {
        self.0.load_full()
    }

    /// Puts another one into service; the one before ends with its last request. For
    /// `control::reload` alone, which is the single writer.
    pub(crate) fn publish(&self, next: Arc<Generation>) {
        self.0.store(next);
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Current").field(&self.load()).finish()
    }
}
