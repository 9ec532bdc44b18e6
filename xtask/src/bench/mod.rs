//! `cargo xtask bench`: processor time a request, beside nginx and Apache httpd.
//!
//! All fronts have the same work, the same members and the same client, a core of
//! their own, and take turns; what counts is each front's processor time a request
//! divided by nginx's of the same round. `front` starts them, `work` says what is
//! asked and checks that it is done, `measure` takes turns, `report` judges.

mod front;
mod measure;
mod report;
mod run;
mod work;

pub use run::{Options, run};
