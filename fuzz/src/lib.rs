//! The host's modules that read bytes of others, and what the targets share.
//!
//! They are compiled from the host's sources, not through its crate, which would bring wasmtime
//! and a compiler along. Of `http1`, `routing`, `decision`, `config` and what they import the host's import table says that
//! they need nothing else; of the single files, that all of it compiles.

#![allow(
    missing_docs,
    dead_code,
    unused_imports,
    reason = "the host's build judges its sources"
)]

#[path = "../../host/src/beneath.rs"]
pub mod beneath;
#[path = "../../host/src/config/mod.rs"]
pub mod config;
#[path = "../../host/src/decision/mod.rs"]
pub mod decision;
#[path = "../../host/src/proxy/edits.rs"]
pub mod edits;
#[path = "../../host/src/http1/mod.rs"]
pub mod http1;
#[path = "../../host/src/response/body/mod.rs"]
pub mod page;
#[path = "../../host/src/listener/preface.rs"]
pub mod preface;
#[path = "../../host/src/routing/mod.rs"]
pub mod routing;
#[path = "../../host/src/snapshot/mod.rs"]
pub mod snapshot;
#[path = "../../host/src/telemetry/mod.rs"]
pub mod telemetry;

pub mod wire;
