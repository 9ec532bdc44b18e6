//! Reads a parsed TOML document into the source types, collecting every problem.
//!
//! One serde call would stop at the first mistake. Here each value is read by
//! itself: a bad one is noted with its place and left out, and reading goes on.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::diagnostic::Severity;

/// A parsed value with its place in the text.
pub type Value<'a> = Spanned<DeValue<'a>>;

/// Where something stands: its key and its bytes in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
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
        Self { key, span }
    }

    /// The place of an element of the array here.
    pub fn element(&self, index: usize, span: Range<usize>) -> Self {
        Self {
            key: format!("{}[{index}]", self.key),
            span,
        }
    }
}

/// A value that was read, with its place.
#[derive(Debug, Clone)]
pub struct Node<T> {
    /// What was read.
    pub value: T,
    /// Where.
    pub place: Place,
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

/// All that was found so far.
#[derive(Debug, Default)]
pub struct Problems {
    list: Vec<Problem>,
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
        self.list.push(Problem {
            severity,
            place: place.clone(),
            message,
            remedy,
        });
    }

    /// Whether anything forbids using the configuration.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|p| p.severity == Severity::Error)
    }

    /// In the order of the file.
    pub fn into_sorted(mut self) -> Vec<Problem> {
        self.list.sort_by_key(|p| p.place.span.start);
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

    /// Notes a key that must be there and is not.
    pub fn missing(&mut self, place: &Place, key: &str, remedy: impl Into<String>) {
        self.error(place, format!("`{key}` is missing"), remedy);
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
    let lower = word.to_ascii_lowercase().replace('-', "_");
    let plain = |s: &str| s.to_ascii_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&lower, &plain(candidate)),
                candidate,
            )
        })
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

/// A field's name as the operator writes it: `static` is a keyword of Rust alone.
pub fn plain(field: &'static str) -> &'static str {
    field.strip_prefix("r#").unwrap_or(field)
}

/// A type that can be read from one TOML value.
pub trait Read: Sized {
    /// What an operator would call it, with an article: "a string".
    const WHAT: &'static str;

    /// Whether a value of this TOML type may become one.
    fn fits(value: &DeValue<'_>) -> bool;

    /// Reads it; what is wrong goes to `out`, and `None` comes back.
    fn read(value: &Value<'_>, at: &Place, out: &mut Problems) -> Option<Self>;
}

impl<T: Read> Read for Node<T> {
    const WHAT: &'static str = T::WHAT;

    fn fits(value: &DeValue<'_>) -> bool {
        T::fits(value)
    }

    fn read(value: &Value<'_>, at: &Place, out: &mut Problems) -> Option<Self> {
        Some(Self {
            value: T::read(value, at, out)?,
            place: at.clone(),
        })
    }
}

impl Read for String {
    const WHAT: &'static str = "a string";

    fn fits(value: &DeValue<'_>) -> bool {
        value.is_str()
    }

    fn read(value: &Value<'_>, at: &Place, out: &mut Problems) -> Option<Self> {
        match value.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            other => {
                out.mismatch(at, Self::WHAT, other);
                None
            }
        }
    }
}

impl Read for bool {
    const WHAT: &'static str = "true or false";

    fn fits(value: &DeValue<'_>) -> bool {
        value.is_bool()
    }

    fn read(value: &Value<'_>, at: &Place, out: &mut Problems) -> Option<Self> {
        match value.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            other => {
                out.mismatch(at, Self::WHAT, other);
                None
            }
        }
    }
}

impl Read for u32 {
    const WHAT: &'static str = "a whole number";

    fn fits(value: &DeValue<'_>) -> bool {
        value.is_integer()
    }

    fn read(value: &Value<'_>, at: &Place, out: &mut Problems) -> Option<Self> {
        match value.get_ref() {
            DeValue::Integer(integer) => {
                let read = integer_of(integer).and_then(|n| Self::try_from(n).ok());
                if read.is_none() {
                    out.error(
                        at,
                        format!("{integer} is out of range"),
                        format!("use 0 to {}", Self::MAX),
                    );
                }
                read
            }
            other => {
                out.mismatch(at, Self::WHAT, other);
                None
            }
        }
    }
}

/// The number, if it fits TOML's 64 bits.
pub fn integer_of(integer: &toml::de::DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

impl<T: Read> Read for Vec<Node<T>> {
    const WHAT: &'static str = "an array";

    fn fits(value: &DeValue<'_>) -> bool {
        value.is_array()
    }

    fn read(value: &Value<'_>, at: &Place, out: &mut Problems) -> Option<Self> {
        let DeValue::Array(items) = value.get_ref() else {
            out.mismatch(
                at,
                &format!("an array, each element {}", T::WHAT),
                value.get_ref(),
            );
            return None;
        };
        let mut list = Self::new();
        for (index, item) in items.iter().enumerate() {
            list.extend(Node::read(item, &at.element(index, item.span()), out));
        }
        Some(list)
    }
}

/// A table with keys of the operator's choosing, in the order of the file.
#[derive(Debug, Clone)]
pub struct Named<T>(pub Vec<(String, Node<T>)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Read> Read for Named<T> {
    const WHAT: &'static str = "a table";

    fn fits(value: &DeValue<'_>) -> bool {
        value.is_table()
    }

    fn read(value: &Value<'_>, at: &Place, out: &mut Problems) -> Option<Self> {
        let mut list = Vec::new();
        for (key, place, value) in entries(value, at, out)? {
            list.extend(Node::read(value, &place, out).map(|node| (key.to_owned(), node)));
        }
        Some(Self(list))
    }
}

/// The entries of a table in the order of the file, each with its place.
pub fn entries<'v, 'a>(
    value: &'v Value<'a>,
    at: &Place,
    out: &mut Problems,
) -> Option<Vec<(&'v str, Place, &'v Value<'a>)>> {
    let DeValue::Table(table) = value.get_ref() else {
        out.mismatch(at, "a table", value.get_ref());
        return None;
    };
    Some(
        in_order(table)
            .into_iter()
            .map(|(key, value)| place_of(at, key, value))
            .collect(),
    )
}

type Key<'a> = Spanned<toml::de::DeString<'a>>;

fn in_order<'v, 'a>(table: &'v DeTable<'a>) -> Vec<(&'v Key<'a>, &'v Value<'a>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

fn place_of<'v, 'a>(
    at: &Place,
    key: &'v Key<'a>,
    value: &'v Value<'a>,
) -> (&'v str, Place, &'v Value<'a>) {
    // A table's span may run over many lines; its key is the better place to point at.
    let span = match value.get_ref() {
        DeValue::Table(_) | DeValue::Array(_) => key.span(),
        _ => value.span(),
    };
    let name: &str = key.get_ref();
    (name, at.child(name, span), value)
}

/// One of two shapes, told apart by their TOML type.
#[derive(Debug, Clone)]
pub enum Either<A, B> {
    /// The first, which is tried first.
    Left(A),
    /// The second.
    Right(B),
}

impl<A: Read, B: Read> Read for Either<A, B> {
    const WHAT: &'static str = "another type";

    fn fits(value: &DeValue<'_>) -> bool {
        A::fits(value) || B::fits(value)
    }

    fn read(value: &Value<'_>, at: &Place, out: &mut Problems) -> Option<Self> {
        if A::fits(value.get_ref()) {
            return A::read(value, at, out).map(Self::Left);
        }
        if B::fits(value.get_ref()) {
            return B::read(value, at, out).map(Self::Right);
        }
        out.mismatch(at, &format!("{} or {}", A::WHAT, B::WHAT), value.get_ref());
        None
    }
}

/// Free-form TOML, as JSON.
impl Read for serde_json::Value {
    const WHAT: &'static str = "a value";

    fn fits(_: &DeValue<'_>) -> bool {
        true
    }

    fn read(value: &Value<'_>, at: &Place, out: &mut Problems) -> Option<Self> {
        match value.get_ref() {
            DeValue::String(text) => Some(Self::String(text.to_string())),
            DeValue::Boolean(value) => Some(Self::Bool(*value)),
            DeValue::Datetime(date) => Some(Self::String(date.to_string())),
            DeValue::Integer(integer) => {
                let number = integer_of(integer);
                if number.is_none() {
                    out.error(
                        at,
                        format!("{integer} is out of range"),
                        "use a number of 64 bits, or a string",
                    );
                }
                number.map(Self::from)
            }
            DeValue::Float(float) => {
                let number = float
                    .as_str()
                    .parse()
                    .ok()
                    .and_then(serde_json::Number::from_f64);
                if number.is_none() {
                    out.error(
                        at,
                        format!("JSON has no {float}"),
                        "use a finite number, or a string",
                    );
                }
                number.map(Self::Number)
            }
            DeValue::Array(_) => {
                let items = Vec::<Node<Self>>::read(value, at, out)?;
                Some(Self::Array(items.into_iter().map(|n| n.value).collect()))
            }
            DeValue::Table(_) => {
                let mut object = serde_json::Map::new();
                for (key, place, value) in entries(value, at, out)? {
                    object.extend(Self::read(value, &place, out).map(|v| (key.to_owned(), v)));
                }
                Some(Self::Object(object))
            }
        }
    }
}
