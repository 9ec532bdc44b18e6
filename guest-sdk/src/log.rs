//! Lines in the gateway's error log, labelled by the host with tenant and policy.
//! Bytes a second are limited; what is more is dropped and counted.

use crate::bindings::host::switchyard::policy::log::Level;
use crate::imports;

/// For the author, in detail.
pub fn trace(message: &str) {
    imports::log::log(Level::Trace, message);
}

/// For the author.
pub fn debug(message: &str) {
    imports::log::log(Level::Debug, message);
}

/// Something the operator asked for worked.
pub fn info(message: &str) {
    imports::log::log(Level::Info, message);
}

/// The policy coped.
pub fn warn(message: &str) {
    imports::log::log(Level::Warn, message);
}

/// Someone must act.
pub fn error(message: &str) {
    imports::log::log(Level::Error, message);
}

pub use crate::bindings::host::switchyard::policy::log::Level as LogLevel;
