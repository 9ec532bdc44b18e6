//! The built-in policy `jsessionid`.
