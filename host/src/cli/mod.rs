//! The commands.

mod check;
mod command;
mod run;
mod schema;
mod status;
mod status_table;

pub use check::check;
pub use command::main;
pub use run::run;
pub use schema::schema;
pub use status::{AdminAddress, status};
