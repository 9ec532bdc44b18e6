//! The built-in policy `bytraffic`.
