//! Vectors measured on Apache httpd, see `tests/golden/README.md`.

use std::fs;

use serde_json::Value;

use crate::target::tests_dir;

/// One file of `tests/golden`.
#[track_caller]
pub fn load(name: &str) -> Value {
    let path = tests_dir().join("golden").join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The array under `key`.
#[track_caller]
pub fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key]
        .as_array()
        .unwrap_or_else(|| panic!("no list {key:?} in {value}"))
}

/// The text under `key`.
#[track_caller]
pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("no text {key:?} in {value}"))
}
