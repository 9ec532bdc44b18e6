//! Builds guests from source.
