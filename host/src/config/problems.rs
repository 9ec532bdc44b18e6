//! Findings on their way to a report: places by key and byte, not yet by line.

use std::{
    collections::HashSet,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    ops::Range,
};

use toml::de::DeValue;

use super::diagnostic::Severity;

/// Where something stands: its key and its bytes in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Which of the files that are read together.
    pub file: usize,
    /// `balancer.app.members[1].url`
    pub key: String,
    /// Bytes of the value, or of the key where the value spans lines.
    pub span: Range<usize>,
}

impl Place {
    /// The place of a key below this one.
    pub fn child(&self, key: &str, span: Range<usize>) -> Self {
        let bare = !key.is_empty()
            && key
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        let key = if bare {
            key.to_owned()
        } else {
            format!("{key:?}")
        };
        let key = if self.key.is_empty() {
            key
        } else {
            format!("{}.{key}", self.key)
        };
        let file = self.file;
        Self { file, key, span }
    }

    /// The place of an element of the array here.
    pub fn element(&self, index: usize, span: Range<usize>) -> Self {
        Self {
            file: self.file,
            key: format!("{}[{index}]", self.key),
            span,
        }
    }
}

/// A finding whose line is not looked up yet.
#[derive(Debug, Clone)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// Problems of each severity that are noted. A file has room for tens of thousands, and nobody
/// reads beyond the first of them.
const MOST: usize = 500;

/// All that was found so far.
#[derive(Debug, Default)]
pub struct Problems {
    list: Vec<Problem>,
    /// Hashes of what is in the list.
    noted: HashSet<u64>,
    errors: usize,
    warnings: usize,
}

impl Problems {
    /// Notes what forbids using the configuration.
    pub fn error(&mut self, place: &Place, message: impl Into<String>, remedy: impl Into<String>) {
        self.push(Severity::Error, place, message.into(), remedy.into());
    }

    /// Notes what was hardly meant.
    pub fn warn(&mut self, place: &Place, message: impl Into<String>, remedy: impl Into<String>) {
        self.push(Severity::Warning, place, message.into(), remedy.into());
    }

    fn push(&mut self, severity: Severity, place: &Place, message: String, remedy: String) {
        let count = match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        let finding = (place.file, place.span.start, &place.key, &message);
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(finding);
        if *count > MOST || self.noted.contains(&hash) {
            return;
        }
        *count += 1;
        if *count > MOST {
            return;
        }
        self.noted.insert(hash);
        self.list.push(Problem {
            severity,
            place: place.clone(),
            message,
            remedy,
        });
    }

    /// Whether anything forbids using the configuration.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// In the order of the file, each once: a default is looked at for each member.
    pub fn into_sorted(mut self) -> Vec<Problem> {
        let rank = |p: &Problem| {
            let place = &p.place;
            (
                place.file,
                place.span.start,
                place.key.clone(),
                p.message.clone(),
            )
        };
        self.list.sort_by_cached_key(rank);
        self.list.dedup_by(|a, b| rank(a) == rank(b));
        self.list
    }

    /// Whether something was already said about this very key or what is below it.
    pub fn mentions(&self, key: &str) -> bool {
        self.list.iter().any(|p| {
            p.place
                .key
                .strip_prefix(key)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// Notes a key that `known` does not list.
    pub fn unknown_key(&mut self, place: &Place, key: &str, known: &[&str]) {
        self.error(place, format!("unknown key `{key}`"), suggest(key, known));
    }

    /// Notes a value of another type than the key takes.
    pub fn mismatch(&mut self, place: &Place, expected: &str, found: &DeValue<'_>) {
        self.error(
            place,
            format!("expected {expected}, found {}", kind(found)),
            format!("write {expected}"),
        );
    }

    /// Notes a key that must be there and is not, unless it was there and could not be read.
    pub fn missing(&mut self, place: &Place, key: &str, remedy: &str) {
        if !self.mentions(&place.child(key, 0..0).key) {
            self.error(place, format!("`{key}` is missing"), remedy);
        }
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// `did you mean …` where something known is close, else the list of what is known.
pub fn suggest(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "remove it".to_owned(),
        None => format!("use one of {}", listed(known)),
    }
}

/// The word nearest to `word`, if a typo can explain the difference.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Long keys are not typos; the comparison is quadratic in their length.
    if word.len() > 64 {
        return None;
    }
    let plain = |s: &str| s.to_ascii_lowercase().replace('-', "_");
    let word = plain(word);
    let distance = |candidate: &str| {
        let candidate = plain(candidate);
        // `warning` for `warn`, `timeout` for `timeouts`: at least three letters in common.
        let shorter = word.len().min(candidate.len());
        let begins = shorter > 2 && (word.starts_with(&candidate) || candidate.starts_with(&word));
        if begins {
            1
        } else {
            strsim::damerau_levenshtein(&word, &candidate)
        }
    };
    known
        .into_iter()
        .map(|candidate| (distance(candidate), candidate))
        // A third of the letters, at least one: `mebmers` and `stikysession`, but not `timeout` for `route`.
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn listed(words: &[&str]) -> String {
    words
        .iter()
        .map(|w| format!("`{w}`"))
        .collect::<Vec<_>>()
        .join(", ")
}
