//! Live state of members, which outlives every reload.
mod breaker;
mod clock;
mod connections;
mod in_flight;
mod member;
mod pool;

pub use breaker::{Admission, Transition};
pub use clock::{Clock, Micros};
pub use connections::{Connections, Full, IdleConnection, Lease, Permit};
pub use in_flight::InFlight;
pub use member::{MemberLive, MemberStatus};
pub use pool::{Endpoint, Live, Pool, PoolMembers};
