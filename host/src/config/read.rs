//! Reads a parsed TOML document into the source types, collecting every problem.
//!
//! One serde call would stop at the first mistake. Here each value is read by
//! itself: a bad one is noted with its place and left out, and reading goes on.

use toml::{
    Spanned,
    de::{DeString, DeValue},
};

use super::problems::{Place, Problems};

/// A parsed value with its place in the text.
pub type Value<'a> = Spanned<DeValue<'a>>;

/// A value that was read, with its place.
#[derive(Debug, Clone)]
pub struct Node<T> {
    /// What was read.
    pub value: T,
    /// Where.
    pub place: Place,
}

impl<T> Node<T> {
    /// Something else in the same place.
    pub fn with<U>(&self, value: U) -> Node<U> {
        Node {
            value,
            place: self.place.clone(),
        }
    }
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

/// A table whose keys can be taken over one by one.
pub trait Overlay {
    /// Takes every key that is written in `other`.
    fn overlay(&mut self, other: &Self);
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

impl Read for f64 {
    const WHAT: &'static str = "a number";

    fn fits(value: &DeValue<'_>) -> bool {
        value.is_integer() || value.is_float()
    }

    fn read(value: &Value<'_>, at: &Place, out: &mut Problems) -> Option<Self> {
        let number = match value.get_ref() {
            DeValue::Integer(integer) => integer_of(integer).map(|n| n as Self),
            DeValue::Float(float) => float.as_str().parse().ok(),
            other => {
                out.mismatch(at, Self::WHAT, other);
                return None;
            }
        };
        let number = number.filter(|n: &Self| n.is_finite());
        if number.is_none() {
            out.error(at, "not a finite number", "write a decimal number");
        }
        number
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
        for entry in entries(value, at, out)? {
            let node = Node::read(entry.value, &entry.place, out);
            list.extend(node.map(|node| (entry.key.to_owned(), node)));
        }
        Some(Self(list))
    }
}

/// One entry of a table.
pub struct Entry<'v, 'a> {
    /// As written, without quotes.
    pub key: &'v str,
    /// Where the key itself is.
    pub key_place: Place,
    /// Where to point for what is wrong with the value.
    pub place: Place,
    /// The value.
    pub value: &'v Value<'a>,
}

/// The entries of a table in the order of the file.
pub fn entries<'v, 'a>(
    value: &'v Value<'a>,
    at: &Place,
    out: &mut Problems,
) -> Option<Vec<Entry<'v, 'a>>> {
    let DeValue::Table(table) = value.get_ref() else {
        out.mismatch(at, "a table", value.get_ref());
        return None;
    };
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| entry(at, key, value))
        .collect();
    entries.sort_by_key(|entry| entry.key_place.span.start);
    Some(entries)
}

fn entry<'v, 'a>(
    at: &Place,
    key: &'v Spanned<DeString<'a>>,
    value: &'v Value<'a>,
) -> Entry<'v, 'a> {
    let name: &str = key.get_ref();
    let key_place = at.child(name, key.span());
    let place = match value.get_ref() {
        // Their spans may run over many lines; the key is the better place to point at.
        DeValue::Table(_) | DeValue::Array(_) => key_place.clone(),
        _ => at.child(name, value.span()),
    };
    Entry {
        key: name,
        key_place,
        place,
        value,
    }
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
                for entry in entries(value, at, out)? {
                    let value = Self::read(entry.value, &entry.place, out);
                    object.extend(value.map(|value| (entry.key.to_owned(), value)));
                }
                Some(Self::Object(object))
            }
        }
    }
}
