//! A host for `cargo test`: policies run natively, without Wasm.
//!
//! On any target but wasm32 the functions of [`request`](crate::request),
//! [`pool`](crate::pool) and the others read the [`Host`] that is set for the
//! current thread. Set one up, run the policy's calls within it, look at what it
//! logged and stored.
//!
//! ```
//! use switchyard_policy::{request, testing::Host};
//!
//! let host = Host::new().path("/app;jsessionid=1.a?x=1").cookie("c", "2").clone();
//! host.run(|| {
//!     assert_eq!(request::path_parameter("jsessionid").as_deref(), Some("1.a"));
//!     assert_eq!(request::cookie("c").as_deref(), Some(&b"2"[..]));
//! });
//! ```

mod host;
pub mod imports;
mod message;

pub use host::{Host, member, start};
