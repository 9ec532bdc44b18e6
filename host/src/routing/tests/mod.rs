//! What the parts of routing do together.

mod paths;
mod refused;
