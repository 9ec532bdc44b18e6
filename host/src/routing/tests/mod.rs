//! What the parts of routing do together.

mod attacks;
mod find;
mod fixture;
mod golden;
mod paths;
mod redirects;
mod refused;
mod scale;
mod vhosts;
