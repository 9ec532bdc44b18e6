//! A configuration, its bounds and its schema in one declaration.

/// Declares a policy's configuration: a struct that reads itself and knows its JSON schema.
///
/// A key is a `u64` (with bounds, if it has any), `bool`, `String`, `f64` or a list of strings,
/// `[String]`. What stands behind `=` counts where the key is left out; a key without that is
/// required, but for lists, which are empty then.
///
/// ```
/// use switchyard_policy::config;
///
/// switchyard_policy::config! {
///     /// `{"percent": 5}`
///     pub struct Settings {
///         /// Percent of the requests that canaries get.
///         percent: u64 in 0..=100 = 5,
///         /// Who is a canary.
///         labels: [String],
///     }
/// }
///
/// let settings = config::read::<Settings>("{}").ok().unwrap();
/// assert_eq!((settings.percent, settings.labels.len()), (5, 0));
/// let problems = config::read::<Settings>(r#"{"percent": 101}"#).err().unwrap();
/// assert_eq!(problems[0].at, "/percent");
/// ```
#[macro_export]
macro_rules! config {
    ($(#[$meta:meta])* $visible:vis struct $name:ident {
        $($(#[doc = $help:literal])* $key:ident: $type:tt
            $(in $least:literal..=$most:literal)? $(= $default:literal)?),* $(,)?
    }) => {
        $(#[$meta])*
        $visible struct $name {
            $($(#[doc = $help])* $key: $crate::__config!(@type $type),)*
        }

        impl $crate::config::Config for $name {
            const SCHEMA: $crate::schema::Schema = $crate::schema::Schema::Keys(&[
                $($crate::schema::Key {
                    name: ::std::stringify!($key),
                    help: &[$($help),*],
                    kind: $crate::__config!(@kind $type $([$least, $most])?),
                    absent: $crate::__config!(@absent $type $($default)?),
                }),*
            ]);

            fn read(fields: &mut $crate::config::Fields<'_>) -> Self {
                $name {
                    $($key: $crate::__config!(
                        @read fields, ::std::stringify!($key), $type [$($least..=$most)?] [$($default)?]
                    ),)*
                }
            }
        }
    };
}

/// What each type means.
#[doc(hidden)]
#[macro_export]
macro_rules! __config {
    (@type [String]) => { ::std::vec::Vec<::std::string::String> };
    (@type $type:tt) => { $type };

    (@kind u64) => { $crate::schema::Kind::Integer { least: 0, most: ::std::primitive::u64::MAX } };
    (@kind u64 [$least:literal, $most:literal]) => {
        $crate::schema::Kind::Integer { least: $least, most: $most }
    };
    (@kind bool) => { $crate::schema::Kind::Bool };
    (@kind String) => { $crate::schema::Kind::Text };
    (@kind f64) => { $crate::schema::Kind::Number };
    (@kind [String]) => { $crate::schema::Kind::Texts };
    (@kind $($other:tt)*) => {
        ::std::compile_error!("a key is a u64 (in LEAST..=MOST), bool, String, f64 or [String]")
    };

    (@absent [String]) => { $crate::schema::Absent::Unsaid };
    (@absent $type:tt) => { $crate::schema::Absent::Required };
    (@absent u64 $default:literal) => { $crate::schema::Absent::Integer($default) };
    (@absent bool $default:literal) => { $crate::schema::Absent::Bool($default) };
    (@absent String $default:literal) => { $crate::schema::Absent::Text($default) };
    (@absent f64 $default:literal) => { $crate::schema::Absent::Number(::std::stringify!($default)) };
    (@absent $($other:tt)*) => { ::std::compile_error!("a list has no default: it is empty") };

    (@read $fields:ident, $key:expr, [String] [] []) => {
        $fields
            .take($key)
            .and_then(|node| node.list())
            .into_iter()
            .flatten()
            .filter_map(|node| node.text().map(::std::string::String::from))
            .collect()
    };
    (@read $fields:ident, $key:expr, $type:tt [$($range:expr)?] [$default:literal]) => {
        $fields
            .take($key)
            .and_then(|node| $crate::__config!(@value node, $type $([$range])?))
            .unwrap_or_else(|| $crate::__config!(@default $type $default))
    };
    (@read $fields:ident, $key:expr, $type:tt [$($range:expr)?] []) => {
        $fields
            .require($key)
            .and_then(|node| $crate::__config!(@value node, $type $([$range])?))
            .unwrap_or_default()
    };

    (@value $node:ident, u64) => { $node.integer(0..=::std::primitive::u64::MAX) };
    (@value $node:ident, u64 [$range:expr]) => { $node.integer($range) };
    (@value $node:ident, bool) => { $node.bool() };
    (@value $node:ident, f64) => { $node.float() };
    (@value $node:ident, String) => { $node.text().map(::std::string::String::from) };

    (@default String $default:literal) => { ::std::string::String::from($default) };
    (@default $type:tt $default:literal) => { $default };
}

#[cfg(test)]
mod tests {
    use crate::{config, schema};

    crate::config! {
        /// Every type there is.
        #[derive(Debug, PartialEq)]
        struct All {
            /// Bounded.
            percent: u64 in 0..=100 = 5,
            any: u64 = 7,
            must: u64 in 1..=9,
            on: bool = true,
            name: String = "x",
            owner: String,
            ratio: f64 = 0.5,
            labels: [String],
        }
    }

    #[test]
    fn what_is_left_out_has_its_default_and_what_must_not_be_is_a_problem() {
        let least = r#"{"must": 3, "owner": "me"}"#;
        let due = All {
            percent: 5,
            any: 7,
            must: 3,
            on: true,
            name: "x".into(),
            owner: "me".into(),
            ratio: 0.5,
            labels: vec![],
        };
        assert_eq!(config::read::<All>(least), Ok(due));
        let problems = config::read::<All>("{}").unwrap_err();
        let at: Vec<_> = problems.iter().map(|p| p.at.as_str()).collect();
        assert_eq!(at, ["/must", "/owner"]);
    }

    #[test]
    fn every_mistake_is_a_problem() {
        let text = r#"{"percent": 101, "any": -1, "must": 10, "on": 1, "name": 2, "owner": "",
            "ratio": "x", "labels": [1], "more": 0}"#;
        let problems = config::read::<All>(text).unwrap_err();
        let at: Vec<_> = problems.iter().map(|p| p.at.as_str()).collect();
        let due = [
            "/percent",
            "/any",
            "/must",
            "/on",
            "/name",
            "/ratio",
            "/labels/0",
            "/more",
        ];
        assert_eq!(at, due);
    }

    #[test]
    fn the_schema_says_the_same() {
        const SCHEMA: schema::Schema = <All as config::Config>::SCHEMA;
        static TEXT: [u8; schema::length(&SCHEMA)] = schema::render(&SCHEMA);
        let schema: serde_json::Value = serde_json::from_slice(&TEXT).unwrap();
        assert_eq!(schema["required"], serde_json::json!(["must", "owner"]));
        let percent = serde_json::json!({
            "type": "integer", "minimum": 0, "maximum": 100, "default": 5, "description": "Bounded.",
        });
        assert_eq!(schema["properties"]["percent"], percent);
        assert_eq!(schema["properties"]["ratio"]["default"], 0.5);
        assert_eq!(
            schema["properties"]["any"]["maximum"],
            serde_json::Value::Null
        );
    }
}
