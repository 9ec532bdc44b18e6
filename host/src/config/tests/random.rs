//! No text makes reading panic or contradicts itself.

use proptest::prelude::*;

use super::{LEAST, read};

/// Values of all types, half of them such as some key takes.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("true".to_owned()),
        Just("1979-05-27T07:32:00Z".to_owned()),
        Just("nan".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f32>()
            .prop_filter("TOML has no exponents of f32", |n| n.is_finite())
            .prop_map(|n| format!("{n:?}")),
        ".{0,8}".prop_map(|s| format!("{s:?}")
            .replace("\\u{", "u{")
            .replace("\\0", "0")
            .replace("\\'", "'")),
        prop::sample::select(vec![
            "5s",
            "64KiB",
            "policy:p",
            "byrequests",
            "http://h:1/x",
            "/app",
            "^/(a)$",
            "502-504",
            "10.0.0.0/8",
            "*.b.c",
            "https://h",
            "/$1",
            "A|b",
            "127.0.0.1:0",
            "unix:/x",
            "%h",
            "ok",
            "file",
            "builtin",
            "w1",
            "",
        ])
        .prop_map(|s| format!("{s:?}")),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3)
                .prop_map(|all| format!("[{}]", all.join(", "))),
            prop::collection::btree_map(key(), inner, 0..3).prop_map(|all| {
                let pairs: Vec<_> = all
                    .into_iter()
                    .map(|(key, value)| format!("{key} = {value}"))
                    .collect();
                format!("{{ {} }}", pairs.join(", "))
            }),
        ]
    })
}

/// Keys, most of them of the format.
fn key() -> impl Strategy<Value = String> {
    let known: Vec<String> = include_str!("twins.rs")
        .split('"')
        .filter_map(|text| text.split_once(" ="))
        .map(|(key, _)| key.to_owned())
        .filter(|key| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        .collect();
    prop_oneof![9 => prop::sample::select(known), 1 => "[a-z]{1,6}"]
}

fn table() -> impl Strategy<Value = String> {
    let headers = vec![
        "[admin]",
        "[log]",
        "[[listener]]",
        "[limits]",
        "[limits.policy]",
        "[[vhost]]",
        "[[vhost.route]]",
        "[balancer.a]",
        "[balancer.b.health]",
        "[[balancer.c.member]]",
        "[policy.p]",
        "[policy.\"q r\".config]",
    ];
    let keys = prop::collection::btree_map(key(), value(), 0..6);
    (prop::sample::select(headers), keys).prop_map(|(header, keys)| {
        let lines: String = keys
            .into_iter()
            .map(|(key, value)| format!("{key} = {value}\n"))
            .collect();
        format!("{header}\n{lines}")
    })
}

/// Whatever was said stands somewhere in the text and says what to do.
fn check(text: &str) -> Result<(), TestCaseError> {
    let problems = match read(text) {
        Ok(loaded) => loaded.warnings,
        Err(report) => {
            prop_assert!(report.errors() > 0);
            prop_assert!(!report.render(true).is_empty());
            report.problems
        }
    };
    let lines = text.split('\n').count();
    for problem in problems {
        prop_assert!((1..=lines).contains(&problem.line), "{}", problem);
        prop_assert!(problem.column >= 1, "{}", problem);
        prop_assert!(
            !problem.message.is_empty() && !problem.remedy.is_empty(),
            "{}",
            problem
        );
        prop_assert_eq!(problem.to_string().lines().count(), 1, "{}", problem);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_taken_or_reported(text in "(?s).{0,200}") {
        check(&text)?;
    }

    #[test]
    fn any_tables_are_taken_or_reported(tables in prop::collection::vec(table(), 0..5)) {
        check(&format!("{LEAST}{}", tables.concat()))?;
    }

    #[test]
    fn a_file_cut_short_is_taken_or_reported(end in 0usize..5_000) {
        let text = include_str!("../../../../examples/switchyard.toml");
        check(&text[..text.floor_char_boundary(end)])?;
    }
}
