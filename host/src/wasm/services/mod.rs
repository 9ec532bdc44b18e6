//! What instances share and what outlives them: cells, the tenant's store, metrics.
//!
//! Everything here has a quota, lives in this process and is keyed by tenant first.

mod cells;
mod registry;
mod series;
mod store;

pub(super) use cells::{Cells, SharedCells};
pub(super) use registry::{Binding, Seat, Services};
pub(super) use series::{Group, Kind, LABELS, Series};
pub use series::{Histogram, Sample, SampleValue};
pub(super) use store::{Quota, TenantStore};
