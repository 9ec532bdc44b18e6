//! The commands.

mod check;
mod command;
mod run;
mod schema;

pub use check::check;
pub use command::main;
pub use run::run;
pub use schema::schema;
