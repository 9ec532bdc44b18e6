//! What an operator sees.

use std::path::Path;

use super::{super::load, LEAST, read, taken};

const FIVE: &str = r#"version = 1
drain_deadlin = "30s"

[[listener]]
bind = "0.0.0.0"

[[vhost]]
name = "www.example.com"
  [[vhost.route]]
  path = "/app"
  balancer = "mycluser"

[balancer.mycluster]
retry = 60
members = [
  { url = "http://10.0.0.11:8080", loadfactor = 0 },
]
"#;

#[test]
fn five_mistakes_are_reported_at_once() {
    let report = read(FIVE).expect_err("five mistakes");
    assert_eq!(report.errors(), 5);
    insta::assert_snapshot!(report.lines());
    insta::assert_snapshot!(report.render(false));
}

#[test]
fn several_mistakes_in_one_table_are_reported_at_once() {
    let report = read(
        "version = 1\n[limits]\nhead_size = \"9 parsecs\"\nfield_cont = 1\nbody_timeout = \"0s\"\n",
    );
    let keys: Vec<_> = report
        .expect_err("mistakes")
        .problems
        .into_iter()
        .map(|p| p.key)
        .collect();
    for key in [
        "limits.head_size",
        "limits.field_cont",
        "limits.body_timeout",
        "listener",
        "vhost",
    ] {
        assert!(
            keys.iter()
                .any(|k| k == key || k.is_empty() && ["listener", "vhost"].contains(&key)),
            "{key}"
        );
    }
}

#[test]
fn colours_are_drawn_only_where_they_are_asked_for() {
    let report = read(FIVE).expect_err("five mistakes");
    assert!(report.render(true).contains('\x1b'));
    assert!(!report.to_string().contains('\x1b'));
}

#[test]
fn a_broken_line_is_reported_with_its_place() {
    let report = read("version = 1\n[[listener]\nbind = \"x\"\n").expect_err("not TOML");
    assert_eq!(
        (report.problems[0].line, report.problems[0].column),
        (2, 12)
    );
}

#[test]
fn several_broken_lines_are_reported_at_once() {
    let report = read("version = \n[[listener]\nbind = \"x\"\na = = 1\n").expect_err("not TOML");
    let mut lines: Vec<_> = report.problems.iter().map(|p| p.line).collect();
    lines.dedup();
    assert_eq!(lines, [1, 2, 4]);
}

#[test]
fn a_key_given_twice_is_reported() {
    let report = read("version = 1\nvia = false\nvia = true\n").expect_err("not TOML");
    assert_eq!(report.problems[0].line, 3);
}

#[test]
fn columns_count_characters() {
    let report = read("version = 1 # ü\nvia = [\"ü\", ü]\n").expect_err("not TOML");
    assert_eq!(
        (report.problems[0].line, report.problems[0].column),
        (2, 13)
    );
}

#[test]
fn files_that_cannot_be_read_are_reports_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("missing.toml");
    let report = load(&missing).expect_err("missing");
    assert!(report.to_string().contains("missing.toml"), "{report}");
    assert!(report.lines().contains("cannot be read"), "{report}");

    assert!(
        load(folder.path())
            .expect_err("a folder")
            .lines()
            .contains("not a file")
    );

    let binary = folder.path().join("binary.toml");
    std::fs::write(&binary, [0xff, 0xfe, 0x00]).expect("written");
    assert!(
        load(&binary)
            .expect_err("not UTF-8")
            .lines()
            .contains("UTF-8")
    );

    let large = folder.path().join("large.toml");
    std::fs::write(&large, vec![b'#'; (4 << 20) + 1]).expect("written");
    assert!(
        load(&large)
            .expect_err("too large")
            .lines()
            .contains("4 MiB")
    );

    assert!(load(Path::new("")).is_err());
}

#[test]
fn a_flood_of_mistakes_is_cut_short_and_hides_no_error() {
    let mut text = String::from(LEAST);
    for number in 0..3_000 {
        text += &format!("[[vhost]]\nname = \"v{number}.example\"\n");
    }
    assert_eq!(taken(&text).warnings.len(), 500);
    text += "nonsense = 1\n";
    let report = read(&text).expect_err("an error behind all the warnings");
    assert_eq!((report.errors(), report.problems.len()), (1, 501));
}

#[test]
fn what_the_file_lacks_is_no_mistake_of_its_syntax() {
    for (text, what) in [("", "`version` is missing"), ("version = \n", "^")] {
        let report = read(text).expect_err("not usable").to_string();
        assert!(report.starts_with("error: the file itself\n"), "{report}");
        assert!(report.contains(what), "{report}");
    }
}
