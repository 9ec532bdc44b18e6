//! Held to serde_json: the same verdicts, the same values.

use super::*;
use proptest::prelude::*;

/// serde_json's value, numbers as written.
fn same(ours: &Value<'_>, theirs: &serde_json::Value) -> bool {
    use serde_json::Value as Theirs;
    match (ours, theirs) {
        (Value::Null, Theirs::Null) => true,
        (Value::Bool(a), Theirs::Bool(b)) => a == b,
        (Value::Number(a), Theirs::Number(b)) => {
            // serde_json's own float parser may be one unit off in the last place.
            let (a, b): (f64, f64) = (a.parse().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= b.abs() * 1e-14
        }
        (Value::Text(a), Theirs::String(b)) => a == b,
        (Value::List(a), Theirs::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Theirs::Object(b)) => {
            let found = |(key, value): &(Cow<'_, str>, Value<'_>)| {
                b.get(key.as_ref()).is_some_and(|b| same(value, b))
            };
            a.len() == b.len() && a.iter().all(found)
        }
        _ => false,
    }
}

/// Both accept and agree, or both refuse. Only what is ours alone is excepted:
/// bounds, keys given twice, and that we leave a number's size to who reads it.
fn agree(text: &str) {
    match (parse(text), serde_json::from_str::<serde_json::Value>(text)) {
        (Ok(ours), Ok(theirs)) => assert!(same(&ours, &theirs), "{text:?}"),
        (Err(_), Err(_)) => {}
        (Err(error), Ok(_)) => assert!(
            ["given before", "deeper", "1024"]
                .iter()
                .any(|own| error.reason.contains(own)),
            "{text:?}: {error}"
        ),
        (Ok(_), Err(error)) => {
            assert!(
                error.to_string().contains("number out of range"),
                "{text:?}: {error}"
            );
        }
    }
}

fn document() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn documents_are_read_as_serde_json_reads_them(document in document()) {
        agree(&document.to_string());
        agree(&serde_json::to_string_pretty(&document).unwrap());
    }

    #[test]
    fn damaged_documents_are_refused_where_serde_json_refuses_them(
        document in document(), at in any::<prop::sample::Index>(), with in ".{0,2}", cut in 0_usize..3
    ) {
        let text: Vec<char> = document.to_string().chars().collect();
        let at = at.index(text.len());
        let end = (at + cut).min(text.len());
        let damaged: String = text[..at].iter().copied().chain(with.chars()).chain(text[end..].iter().copied()).collect();
        agree(&damaged);
    }

    #[test]
    fn near_json_is_judged_alike(text in r#"[\[\]{}:,"\\u0-9a-fA-F+\-.eE \ntrulsn/]{0,24}"#) {
        agree(&text);
    }
}

#[test]
fn the_edges_of_the_grammar_are_judged_alike() {
    let texts = [
        "",
        " ",
        "0",
        "-0",
        "00",
        "01",
        "-",
        "+1",
        "1.",
        ".1",
        "1.0",
        "1e",
        "1e+",
        "1E-2",
        "1e400",
        "true",
        "tru",
        "nul",
        "nulll",
        "NaN",
        "Infinity",
        "'a'",
        "\"",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\\u0041\"",
        "\"\\ud83dx\"",
        "\"\\udc00\"",
        "\"\u{1}\"",
        "\"\t\"",
        "\"\u{7f}\"",
        "[1,]",
        "[,]",
        "[1 2]",
        "{,}",
        "{\"a\":1,}",
        "{\"a\"}",
        "{a:1}",
        "{\"a\":1 \"b\":2}",
        "[]]",
        "1 1",
        "\u{feff}1",
        "/**/1",
        " [ 1 , 2 ] ",
        "{ \"a\" : [ ] }",
        "\"\\/\\b\\f\\n\\r\\t\\\"\\\\\"",
    ];
    texts.iter().for_each(|text| agree(text));
}

#[test]
fn errors_point_at_the_value_being_read() {
    let cases = [
        (r#"{"a": {"b/c": [1, 2, x]}}"#, "/a/b~1c/2", 21),
        (r#"{"a": 1, "a": 2}"#, "/a", 9),
        (r#"{"a" 1}"#, "/a", 5),
        ("[1", "", 2),
    ];
    for (text, at, offset) in cases {
        let error = parse(text).unwrap_err();
        assert_eq!((error.at.as_str(), error.offset), (at, offset), "{error}");
    }
}

#[test]
fn bounds_hold() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(parse(&nested(MAX_DEPTH + 1)).is_ok());
    assert!(parse(&nested(MAX_DEPTH + 2)).is_err());
    assert!(parse(&nested(100_000)).is_err());
    let long = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
    assert!(parse(&long(MAX_SIZE)).is_ok());
    assert!(parse(&long(MAX_SIZE + 1)).is_err());
    let keys = |count: usize| {
        let keys: Vec<_> = (0..count).map(|i| format!("\"{i}\":0")).collect();
        format!("{{{}}}", keys.join(","))
    };
    assert!(parse(&keys(MAX_KEYS)).is_ok());
    assert!(parse(&keys(MAX_KEYS + 1)).is_err());
}
