//! `/metrics`: what is counted anyway, in the text formats of Prometheus.
//!
//! Nothing is gathered before somebody asks. Labels come from configured names
//! alone (tenants, virtual hosts, balancers, members, policies), so whoever sends requests
//! makes no series. What policies count themselves stands under `switchyard_guest_`, with the host's
//! labels in front of theirs.

mod families;
mod gateway;
mod guests;
mod page;
mod policies;
mod process;
mod tenants;
#[cfg(test)]
mod tests;

pub(super) use page::{Format, Page};

use super::Sources;

/// The whole page.
pub(super) fn render(sources: &Sources, format: Format) -> String {
    let mut page = Page::new(format);
    process::write(&mut page, sources);
    gateway::write(&mut page, sources);
    policies::write(&mut page, sources);
    tenants::write(&mut page, sources);
    guests::write(&mut page, sources);
    page.finish()
}
