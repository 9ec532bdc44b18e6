//! Which bodies are touched at all.

use super::*;

fn is_rewritten(facts: &BodyFacts<'_>) -> bool {
    let links = plan(&link_plan(RULES, false), facts).unwrap().is_some();
    let substitute = plan(&BodyPlan::Substitute(substitutions(RULES)), facts)
        .unwrap()
        .is_some();
    assert_eq!(links, substitute);
    links
}

#[test]
fn bodies_that_must_not_be_touched_pass() {
    let html = html_facts();
    assert!(is_rewritten(&html));
    assert!(is_rewritten(&BodyFacts {
        status: 404,
        ..html
    }));
    for status in [101, 204, 205, 206, 304] {
        assert!(!is_rewritten(&BodyFacts { status, ..html }), "{status}");
    }
    assert!(!is_rewritten(&BodyFacts {
        head_request: true,
        ..html
    }));
    assert!(!is_rewritten(&BodyFacts {
        no_transform: true,
        ..html
    }));
    assert!(!is_rewritten(&BodyFacts {
        content_range: true,
        ..html
    }));
    for coding in ["zstd", "gzip, br", "compress", "aes128gcm"] {
        assert!(
            !is_rewritten(&BodyFacts {
                content_encoding: Some(coding),
                ..html
            }),
            "{coding}"
        );
    }
    for coding in ["gzip", "x-gzip", "deflate", "br", "identity", ""] {
        assert!(
            is_rewritten(&BodyFacts {
                content_encoding: Some(coding),
                ..html
            }),
            "{coding}"
        );
    }
}

#[test]
fn charsets_without_ascii_pass() {
    let table: &[(&str, bool)] = &[
        ("text/html", true),
        ("text/html; charset=utf-8", true),
        ("text/html;charset=\"ISO-8859-1\"", true),
        ("text/html; charset=Shift_JIS", true),
        ("text/html; charset=windows-1252", true),
        ("text/html; charset=GBK", true),
        ("text/html; charset=UTF-16", false),
        ("text/html; charset=utf-16be", false),
        ("text/html; charset=UTF-32", false),
        ("text/html; charset=UTF-7", false),
        ("text/html; charset=ISO-2022-JP", false),
        ("text/html; charset=ISO-2022-KR", false),
        ("text/html; charset=hz-gb-2312", false),
        ("text/html; charset=ibm1047", false),
    ];
    for (content_type, expected) in table {
        let facts = BodyFacts {
            content_type: Some(content_type),
            ..html_facts()
        };
        assert_eq!(is_rewritten(&facts), *expected, "{content_type}");
    }
}

#[test]
fn links_are_looked_for_in_html_and_css_only() {
    let table: &[(Option<&str>, bool)] = &[
        (Some("text/html"), true),
        (Some("TEXT/HTML ; charset=utf-8"), true),
        (Some("application/xhtml+xml"), true),
        (Some("text/css"), true),
        (Some("text/htmlx"), false),
        (Some("text/plain"), false),
        (Some("application/json"), false),
        (Some("image/png"), false),
        (Some(""), false),
        (None, false),
    ];
    for (content_type, expected) in table {
        let facts = BodyFacts {
            content_type: *content_type,
            ..html_facts()
        };
        assert_eq!(
            plan(&link_plan(RULES, false), &facts).unwrap().is_some(),
            *expected,
            "{content_type:?}"
        );
        assert!(
            plan(&BodyPlan::Substitute(substitutions(RULES)), &facts)
                .unwrap()
                .is_some()
        );
    }
}

#[test]
fn plans_without_work_pass() {
    for idle in [
        BodyPlan::Pass,
        BodyPlan::Transform(Vec::new()),
        BodyPlan::Substitute(Vec::new()),
        link_plan(&[], true),
    ] {
        assert!(plan(&idle, &html_facts()).unwrap().is_none(), "{idle:?}");
    }
    assert!(
        plan(&link_plan(&[("", "/x")], false), &html_facts())
            .unwrap()
            .is_none()
    );
}

#[test]
fn oversized_plans_are_refused() {
    let long = "x".repeat(1 << 20);
    let result = plan(&link_plan(&[(&long, "")], true), &html_facts());
    assert!(matches!(result, Err(BodyError::PlanTooLarge { .. })));
}
