//! Vectors measured on Apache httpd, see `tests/golden/README.md`.

use std::{
    fmt::{Debug, Display},
    fs,
};

use serde_json::Value;

use crate::target::tests_dir;

/// One file of `tests/golden`.
#[track_caller]
pub fn load(name: &str) -> Value {
    let path = tests_dir().join("golden").join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Rows that were compared, so that all that differ are shown at once.
#[derive(Debug, Default)]
pub struct Compared {
    rows: usize,
    wrong: Vec<String>,
}

impl Compared {
    /// Compares what is found here with what is due.
    pub fn row<T: Debug + PartialEq>(&mut self, what: impl Display, here: T, expected: T) {
        self.rows += 1;
        if here != expected {
            let wrong = format!("{what}\n  here {here:?}, expected {expected:?}");
            self.wrong.push(wrong);
        }
    }

    /// # Panics
    /// Where a row differs, or there were fewer than `least`: then the table was not read as it is.
    #[track_caller]
    pub fn end(self, least: usize) {
        let Self { rows, wrong } = self;
        assert!(rows >= least, "only {rows} rows were compared");
        let (number, wrong) = (wrong.len(), wrong.join("\n"));
        assert!(wrong.is_empty(), "{number} rows differ:\n{wrong}");
    }
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
