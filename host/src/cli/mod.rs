//! The commands.

mod check;
mod schema;

pub use check::check;
pub use schema::schema;
