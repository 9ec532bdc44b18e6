//! The access log and the error log.
//!
//! Whoever writes a line formats it and puts it into a bounded buffer; a thread of
//! its own carries the buffers to their files. So no disk, however slow or full,
//! holds up traffic: what does not fit is dropped and counted. Files belong to
//! [`Logs`], not to a generation: a reload neither closes nor reopens one that it
//! goes on using, and SIGUSR1 reopens all of them ([`Logs::reopen`]) for logrotate.

mod access;
mod errors;
mod escape;
mod format;
mod json;
mod letters;
mod logs;
mod output;
mod record;
mod sink;
#[cfg(test)]
mod tests;
mod time;
mod writer;

pub use access::AccessLog;
pub use errors::{ErrorLogs, Journal};
pub use escape::harmless;
pub use format::{FormatError, check_format};
pub use logs::Logs;
pub use record::{Header, Record};
pub use time::timestamp;
