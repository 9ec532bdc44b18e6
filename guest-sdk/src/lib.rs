//! Write Switchyard policies in Rust.
