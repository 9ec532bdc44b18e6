//! What the host does to an answer on its way to the client.
//!
//! Decisions were made before (`decision`); here they are carried out, natively.

pub mod body;
pub mod files;
