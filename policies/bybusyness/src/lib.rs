//! The built-in policy `bybusyness`.
