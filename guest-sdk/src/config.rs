//! From the operator's JSON to a policy's own configuration type.
//!
//! A [`Config`] takes its fields one by one and never stops at the first mistake:
//! a field that is wrong is noted with its JSON pointer and read as its default,
//! so the operator sees every problem at once. What nobody took is a problem too.

use std::{borrow::Cow, cell::RefCell, ops::RangeInclusive};

use crate::{
    Problem,
    json::{self, Value},
    schema::Schema,
};

/// A policy's typed configuration.
///
/// ```
/// use switchyard_policy::config::{self, Config, Fields};
///
/// struct Canary { percent: u64, header: String }
///
/// impl Config for Canary {
///     fn read(fields: &mut Fields<'_>) -> Self {
///         Canary {
///             percent: fields.integer("percent", 0..=100).unwrap_or(5),
///             header: fields.text("header").unwrap_or_else(|| "x-canary".into()),
///         }
///     }
/// }
///
/// let problems = config::read::<Canary>(r#"{"percent": 101, "haeder": "x"}"#).err().unwrap();
/// assert_eq!(problems[0].at, "/percent");
/// assert_eq!(problems[1].at, "/haeder");
/// ```
pub trait Config: Sized {
    /// What it may hold, as far as that is said; [`config!`](crate::config!) says it by itself.
    const SCHEMA: Schema = Schema::Unsaid;

    /// Takes what it knows from `fields`. What it returns is used only where
    /// no problem was noted.
    fn read(fields: &mut Fields<'_>) -> Self;
}

/// No configuration: any key is a problem.
impl Config for () {
    const SCHEMA: Schema = Schema::Keys(&[]);

    fn read(_: &mut Fields<'_>) -> Self {}
}

/// Reads a configuration from its JSON text; empty text counts as `{}`.
pub fn read<C: Config>(text: &str) -> Result<C, Vec<Problem>> {
    let value = match text.trim_ascii() {
        "" => Value::Object(Vec::new()),
        text => json::parse(text).map_err(|error| {
            let offset = json::decimal(error.offset as u64);
            vec![Problem {
                message: [error.reason, " at byte ", &offset].concat(),
                at: error.at,
            }]
        })?,
    };
    let problems = RefCell::new(Vec::new());
    let root = Node {
        value: &value,
        at: String::new(),
        problems: &problems,
    };
    let config = root.object(C::read);
    match (config, problems.into_inner()) {
        (Some(config), problems) if problems.is_empty() => Ok(config),
        (_, problems) => Err(problems),
    }
}

/// One value of the configuration and where it stands.
pub struct Node<'a> {
    value: &'a Value<'a>,
    at: String,
    problems: &'a RefCell<Vec<Problem>>,
}

impl<'a> Node<'a> {
    /// The value as it was read.
    pub fn value(&self) -> &'a Value<'a> {
        self.value
    }

    /// Notes that this value is wrong; say what would be right.
    pub fn problem(&self, message: impl Into<String>) {
        self.problems.borrow_mut().push(Problem {
            at: self.at.clone(),
            message: message.into(),
        });
    }

    /// `true` or `false`; anything else is noted.
    pub fn bool(&self) -> Option<bool> {
        match self.value {
            Value::Bool(value) => Some(*value),
            _ => self.mistaken("true or false"),
        }
    }

    /// A string; anything else is noted.
    pub fn text(&self) -> Option<&'a str> {
        match self.value {
            Value::Text(text) => Some(text),
            _ => self.mistaken("a string"),
        }
    }

    /// A whole number within `range`; anything else is noted.
    pub fn integer(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let number = match self.value {
            Value::Number(digits) => digits.parse().ok(),
            _ => None,
        };
        match number.filter(|number| range.contains(number)) {
            Some(number) => Some(number),
            None => {
                let (least, most) = (range.start(), range.end());
                let found = match self.value {
                    Value::Number(digits) => digits,
                    other => other.kind(),
                };
                let (least, most) = (json::decimal(*least), json::decimal(*most));
                let due = ["a whole number from ", &least, " to ", &most];
                self.problem([&due.concat(), " is due, this is ", found].concat());
                None
            }
        }
    }

    /// A number, fractions and exponents allowed. Links Rust's float parser,
    /// about 12 KB: prefer [`Node::integer`] with a smaller unit.
    pub fn float(&self) -> Option<f64> {
        match self.value {
            Value::Number(digits) => digits
                .parse()
                .ok()
                .filter(|number: &f64| number.is_finite()),
            _ => None,
        }
        .or_else(|| self.mistaken("a number"))
    }

    /// The items of a list; anything else is noted.
    pub fn list(&self) -> Option<impl Iterator<Item = Node<'a>> + use<'a>> {
        match self.value {
            Value::List(items) => {
                let (at, problems) = (self.at.clone(), self.problems);
                Some(items.iter().enumerate().map(move |(i, value)| {
                    let mut at = at.clone();
                    json::push_token(&mut at, &json::decimal(i as u64));
                    Node {
                        value,
                        at,
                        problems,
                    }
                }))
            }
            _ => self.mistaken("a list"),
        }
    }

    /// Reads an object's fields; keys that `read` did not take are noted, and
    /// so is a value that is no object.
    pub fn object<T>(&self, read: impl FnOnce(&mut Fields<'a>) -> T) -> Option<T> {
        let Value::Object(members) = self.value else {
            return self.mistaken("an object");
        };
        let mut fields = Fields {
            members,
            taken: vec![false; members.len()],
            at: self.at.clone(),
            problems: self.problems,
        };
        let value = read(&mut fields);
        let taken = fields.taken;
        for ((key, value), _) in members.iter().zip(taken).filter(|(_, taken)| !taken) {
            let mut at = self.at.clone();
            json::push_token(&mut at, key);
            let unknown = Node {
                value,
                at,
                problems: self.problems,
            };
            unknown.problem("there is no such key; remove it or mend its spelling");
        }
        Some(value)
    }

    fn mistaken<T>(&self, due: &str) -> Option<T> {
        self.problem([due, " is due, this is ", self.value.kind()].concat());
        None
    }
}

/// The fields of an object, taken by name. A field that is absent, `null` or
/// wrong is `None`: put the default there.
pub struct Fields<'a> {
    members: &'a [(Cow<'a, str>, Value<'a>)],
    taken: Vec<bool>,
    at: String,
    problems: &'a RefCell<Vec<Problem>>,
}

impl<'a> Fields<'a> {
    /// The value under `key`, for what the methods below do not cover.
    pub fn take(&mut self, key: &str) -> Option<Node<'a>> {
        let index = self.members.iter().position(|(name, _)| name == key)?;
        self.taken[index] = true;
        let value = &self.members[index].1;
        let mut at = self.at.clone();
        json::push_token(&mut at, key);
        let problems = self.problems;
        (*value != Value::Null).then_some(Node {
            value,
            at,
            problems,
        })
    }

    /// Like [`Fields::take`]; its absence is noted.
    pub fn require(&mut self, key: &str) -> Option<Node<'a>> {
        let node = self.take(key);
        if node.is_none() {
            self.problem(key, "this key is required");
        }
        node
    }

    /// `true` or `false`.
    pub fn bool(&mut self, key: &str) -> Option<bool> {
        self.take(key)?.bool()
    }

    /// A string.
    pub fn text(&mut self, key: &str) -> Option<String> {
        Some(self.take(key)?.text()?.to_owned())
    }

    /// A whole number within `range`.
    pub fn integer(&mut self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        self.take(key)?.integer(range)
    }

    /// Notes that the value under `key` is wrong; say what would be right. For
    /// rules that concern several fields.
    pub fn problem(&self, key: &str, message: impl Into<String>) {
        let mut at = self.at.clone();
        json::push_token(&mut at, key);
        self.problems.borrow_mut().push(Problem {
            at,
            message: message.into(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Sample {
        percent: u64,
        names: Vec<String>,
        nested: Option<bool>,
    }

    impl Config for Sample {
        fn read(fields: &mut Fields<'_>) -> Self {
            let names = fields.take("names").and_then(|node| node.list());
            Sample {
                percent: fields.integer("percent", 0..=100).unwrap_or(5),
                names: names
                    .into_iter()
                    .flatten()
                    .filter_map(|node| Some(node.text()?.to_owned()))
                    .collect(),
                nested: fields
                    .take("nested")
                    .and_then(|node| node.object(|fields| fields.bool("on")))
                    .flatten(),
            }
        }
    }

    fn problems(text: &str) -> Vec<(String, String)> {
        let problems = read::<Sample>(text).expect_err("the text is wrong");
        problems.into_iter().map(|p| (p.at, p.message)).collect()
    }

    #[test]
    fn absent_and_null_fields_take_their_defaults() {
        let bare = Sample {
            percent: 5,
            names: vec![],
            nested: None,
        };
        for text in ["", "  ", "{}", r#"{"percent": null}"#] {
            assert_eq!(read::<Sample>(text).as_ref(), Ok(&bare), "{text:?}");
        }
        let full = r#"{"percent": 0, "names": ["a", "b"], "nested": {"on": true}}"#;
        let full = read::<Sample>(full).unwrap();
        assert_eq!(
            (full.percent, full.names.len(), full.nested),
            (0, 2, Some(true))
        );
    }

    #[test]
    fn every_problem_is_reported_with_its_pointer() {
        let text = r#"{"percent": 101, "names": ["a", 2], "nested": {"on": 1, "a/b~": 0}, "x": 1}"#;
        let found = problems(text);
        let at: Vec<_> = found.iter().map(|(at, _)| at.as_str()).collect();
        assert_eq!(
            at,
            ["/percent", "/names/1", "/nested/on", "/nested/a~1b~0", "/x"]
        );
        assert_eq!(
            found[0].1,
            "a whole number from 0 to 100 is due, this is 101"
        );
        assert_eq!(found[1].1, "a string is due, this is a number");
    }

    #[test]
    fn numbers_that_are_not_whole_are_problems() {
        for number in ["-1", "1.0", "1e1", "\"5\"", "99999999999999999999"] {
            let text = format!(r#"{{"percent": {number}}}"#);
            assert_eq!(problems(&text)[0].0, "/percent", "{number}");
        }
    }

    #[test]
    fn what_is_no_object_or_no_json_is_one_problem() {
        assert_eq!(problems("[]")[0].0, "");
        let found = problems(r#"{"nested": {"on": tru}}"#);
        assert_eq!(found[0].0, "/nested/on");
    }

    #[test]
    fn no_configuration_means_no_keys() {
        assert_eq!(read::<()>("{}"), Ok(()));
        assert_eq!(read::<()>(r#"{"a": 1}"#).unwrap_err()[0].at, "/a");
    }
}
