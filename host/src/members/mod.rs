//! Live state of members: counters, breakers, connections, addresses. Outlives every reload.
//!
//! A [`Pool`] belongs to a balancer's name, a [`MemberLive`] to (balancer, member
//! id). A reload gives a pool new settings ([`Pool::adopt`]); the live state stays.
//! `policy` chooses among [`Facts`], `upstream` uses [`Connections`] and reports to
//! [`InFlight`], `control` resolves names and reports checks. Nothing here opens a
//! socket or knows a policy.
//!
//! The rules are httpd's, except where those are defects:
//!
//! | matter | httpd | here |
//! |---|---|---|
//! | end of `retry` | every request tries the member | one request does: the trial |
//! | connect refused or timed out, name without address | error | error |
//! | closed or reset without an answer, new connection | nothing, or error by chance | error |
//! | the same on a kept connection | nothing | counted, no error: members close idle connections |
//! | no answer in time | error only with `failontimeout` | error then, and the second time in a row |
//! | answer that is not HTTP | nothing | error the third time in a row |
//! | `failonstatus` | error, the answer is delivered | the same |
//! | all connections busy | healthy member in error | no error: others are preferred, else the request waits |
//! | late answers from before the error | refresh the error | neither refresh nor clear it |
//! | forced recovery | clears every error once all have one | members in error are tried while nobody else is left; whoever answers is back |
//! | forced recovery with a disabled, stopped or draining member | never | as if that member were not there |
//! | members that fail active checks | never force-recovered | the same: the checks know better |
//! | health counters | not reset by the opposite outcome | consecutive |
//! | passing checks | clear error too | the same, counted from the error on |
//! | joiner or returner | all at once; under `bytraffic` gets every request | ramps up over `slow_start`, its byte columns put level |
//! | reload | all counters lost | kept |

mod breaker;
mod clock;
mod connections;
#[cfg(test)]
mod connections_tests;
mod exchanges;
mod facts;
mod idle;
mod in_flight;
mod live;
mod member;
pub(crate) mod moment;
mod names;
mod pool;
#[cfg(test)]
mod pool_tests;
mod reach;
mod signal;
#[cfg(test)]
pub(crate) mod testing;
mod traffic;

pub use breaker::{Admission, Transition};
pub(crate) use clock::micros;
pub use clock::{Clock, HeldClock, Micros};
pub use connections::{Connections, Full, IdleConnection, Kept, Lease, Permit};
pub use exchanges::{CLASSES, ExchangeBook, ExchangeCounts, Exchanges, Finished};
pub use facts::Facts;
pub use idle::IdleSlots;
pub use in_flight::InFlight;
pub use live::Live;
pub use member::{MemberLive, MemberStatus};
pub use moment::in_moments;
pub use names::KnownNames;
pub use pool::{Endpoint, Follower, Pool, PoolMembers};
pub use reach::{NoSocket, OwnAddresses, Reach, Socket, Unreachable};
pub(crate) use signal::locked;
