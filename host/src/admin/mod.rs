//! The endpoint that `switchyard status` and Prometheus ask.
//!
//! JSON on a listener of its own, loopback or a Unix socket by default, and on a
//! thread of its own: looking on must neither wait for traffic nor slow it down. What it
//! shows holds no secret, but it names every member; so the `Host` field is checked, lest a web
//! page reads it through the administrator's browser. Orders about policies need a token besides.

mod bind;
mod candidates;
mod collect;
mod door;
mod metrics;
mod orders;
mod server;
mod status;

pub use candidates::{CanaryReport, CandidateStatus, ShadowReport};
pub use collect::Sources;
pub(crate) use door::token;
pub use orders::{Order, OrderAnswer, Orders};
pub(crate) use server::shown;
pub use server::{AdminError, Prepared, Server, bind};
pub use status::{
    BalancerStatus, ConfigStatus, ConnectionsStatus, HistoryStatus, ListenerStatus, MemberStatus,
    PolicyStatus, Status, TenantStatus, TenantUsage, TroubleStatus,
};
