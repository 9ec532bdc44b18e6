//! Static files: from a route's folder and a canonical path to an answer.
//!
//! Blocking: the caller runs [`serve()`] off the worker thread and streams what it
//! returns. Bytes are never read here, only found, opened and measured. A name can not
//! leave the folder: `..` never gets here, and the kernel refuses links that lead out.

mod answer;
mod conditional;
mod open;
mod range;
mod serve;

pub use answer::{FileAnswer, FileBody, FileRequest, Part};
pub use serve::serve;

#[cfg(test)]
mod tests;
