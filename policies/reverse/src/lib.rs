//! The built-in policy `reverse`.
