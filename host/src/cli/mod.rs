//! The commands.

mod check;
mod command;
mod endpoint;
mod explain;
mod explain_phrases;
mod explain_request;
mod explain_words;
mod policy;
mod rehearsal;
mod run;
mod schema;
mod status;
mod status_candidates;
mod status_table;

pub use check::check;
pub use command::main;
pub use endpoint::AdminAddress;
pub use explain::{ExplainArgs, explain};
pub use policy::{PolicyCommand, policy};
pub use run::run;
pub use schema::schema;
pub use status::status;
