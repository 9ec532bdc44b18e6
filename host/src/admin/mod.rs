//! The endpoint that `switchyard status` and Prometheus ask.
//!
//! JSON on a listener of its own, loopback or a Unix socket by default, and on a
//! thread of its own: looking on must neither wait for traffic nor slow it down. It
//! changes nothing and holds no secret, but it names every member; so the `Host`
//! field is checked, lest a web page reads it through the administrator's browser.

mod bind;
mod candidates;
mod collect;
mod metrics;
mod server;
mod status;

pub use collect::Sources;
pub(crate) use server::shown;
pub use server::{AdminError, Prepared, Server, bind};
pub use status::{
    BalancerStatus, ConfigStatus, ConnectionsStatus, HistoryStatus, ListenerStatus, MemberStatus,
    PolicyStatus, Status, TenantStatus, TenantUsage, TroubleStatus,
};
