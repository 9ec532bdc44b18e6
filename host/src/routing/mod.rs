//! Where a request leads: authority, canonical path, vhost, route, access.
//!
//! Pure logic over the snapshot: no I/O, no clock. Everything a client wrote is
//! read exactly once here, into [`Authority`] and [`CanonicalPath`]; routes, access
//! rules, file names and the path that is sent on all come from that one reading,
//! and what could be read in two ways is refused. [`Table`] is compiled when a
//! generation is linked and answers without walking all vhosts or routes.

mod authority;
mod claims;
mod contenders;
mod decode;
mod error;
mod hosts;
mod parse;
mod path;
mod patterns;
mod redirect;
mod routes;
mod table;

pub use authority::Authority;
pub use claims::{covers, overlap};
pub use contenders::contenders;
pub use error::{TableError, TargetError};
pub use hosts::HostMatch;
pub use path::CanonicalPath;
pub use redirect::redirect_location;
pub use table::{Found, Table, Target};

/// Its keys come from the configuration; what clients send is only looked up. So a hash that is quick with short
/// names will do, seeded anew for each map.
type HashMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;

#[cfg(test)]
mod tests;
