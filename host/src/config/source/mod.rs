//! The file as the operator writes it: one struct a table, one field a key.
//!
//! These types know names, types and help texts, from which reading, the JSON
//! schema and did-you-mean follow. What values mean together, and what stands for
//! a key that is left out, is decided in `compile`.

mod balancer;
mod candidates;
mod gateway;
mod tenant;
mod vhost;

pub use balancer::{
    BalancerTable, HealthTable, MemberTable, PolicyTable, RecordTable, RouteCookieTable, StatusWord,
};
pub use candidates::{CanaryTable, RollbackTable, ShadowTable};
pub use gateway::{
    AccessTable, AdminTable, CompileTable, Config, ErrorLogTable, LevelWord, LimitsTable,
    ListenerTable, LogTable, OnErrorWord, PolicyLimitsTable,
};
pub use tenant::{QuotaTable, TenantFile};
pub use vhost::{FilesTable, OrderWord, RedirectTable, ReverseTable, RouteTable, VhostTable};

use super::read::{Either, Node};

/// One value, or an array of them.
pub type OneOrMany<T> = Either<Vec<Node<T>>, T>;
