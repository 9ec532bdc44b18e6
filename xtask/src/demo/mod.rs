//! `cargo xtask demo`: what the gateway does, shown on three sample members.
//!
//! `member` behaves like Tomcat as far as a gateway can tell; `site` writes the
//! config; `traffic` asks all the time and counts what fails; `scenes` shows one
//! thing each and says whether it held; `stage` is what they share and `screen` how it looks.

mod interrupted;
mod member;
mod run;
mod scenes;
mod screen;
mod site;
mod stage;
mod traffic;

pub use interrupted::interrupted;
pub use run::{Options, run};
