//! How long files are.

use std::{fs, path::Path};

use syn::{Item, spanned::Spanned};

use crate::source;

/// Lines of code of a file without its tests, and with them: about 300 and 400, a tenth more being still "about".
const CODE: usize = 330;
const WITH_TESTS: usize = 440;

/// Files that are longer, and why splitting them would make them worse.
const EXCEPTIONS: [(&str, &str); 0] = [];

/// A line for each file of the workspace that is too long.
pub fn too_long(workspace: &Path) -> Vec<String> {
    let folders = [
        "host/src",
        "host/tests",
        "guest-sdk",
        "guest-build",
        "policies",
        "tests",
        "xtask",
        "fuzz/src",
        "fuzz/targets",
    ];
    // A file may be for tests by the line that names it, which only its parent shows.
    let for_tests = source::read(&workspace.join("host/src"))
        .expect("the host's sources can be read")
        .for_tests;
    let mut found = Vec::new();
    for file in folders
        .iter()
        .flat_map(|folder| source::files(&workspace.join(folder)))
    {
        let name = file
            .strip_prefix(workspace)
            .unwrap_or(&file)
            .display()
            .to_string();
        let text = fs::read_to_string(&file).expect("a listed file can be read");
        let (code, all) = match count(&text) {
            (_, all) if for_tests.contains(&file) => (0, all),
            counted => counted,
        };
        let excepted = EXCEPTIONS.iter().any(|(path, _)| *path == name);
        let long = code > CODE || all > WITH_TESTS;
        if long && !excepted {
            found.push(format!("{name}: {code} lines of code ({CODE} allowed), {all} with tests ({WITH_TESTS} allowed)"));
        }
        if excepted && !long {
            found.push(format!(
                "{name} is short enough again: take it off the list of exceptions"
            ));
        }
    }
    for (path, _) in EXCEPTIONS
        .iter()
        .filter(|(path, _)| !workspace.join(path).is_file())
    {
        found.push(format!(
            "{path} is gone: take it off the list of exceptions"
        ));
    }
    found
}

/// Lines of code without and with tests. Blank lines and comments are free.
fn count(text: &str) -> (usize, usize) {
    let is_code = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    let parsed = syn::parse_file(text).expect("what compiles can be parsed");
    let all = text.lines().filter(|line| is_code(line)).count();
    if source::for_tests(&parsed.attrs) || parsed.items.iter().any(is_test_function) {
        return (0, all);
    }
    let in_tests = parsed.items.iter().filter_map(|item| match item {
        Item::Mod(item) if source::for_tests(&item.attrs) => Some(item.span()),
        _ => None,
    });
    let tests: usize = in_tests
        .map(|span| {
            let (first, last) = (span.start().line, span.end().line);
            text.lines()
                .skip(first - 1)
                .take(last + 1 - first)
                .filter(|line| is_code(line))
                .count()
        })
        .sum();
    (all - tests, all)
}

/// A file with `#[test]` at its top holds nothing but tests.
fn is_test_function(item: &Item) -> bool {
    matches!(item, Item::Fn(item) if item.attrs.iter().any(|attribute| attribute.path().segments.last().is_some_and(|last| last.ident == "test")))
}

#[test]
fn comments_blank_lines_and_tests_are_told_apart() {
    let text = "//! Doc.\n\nfn a() {}\n// why\nfn b() {\n}\n\n#[cfg(test)]\nmod tests {\n    // why\n    fn c() {}\n}\n";
    assert_eq!(count(text), (3, 7));
    assert_eq!(count("use x::y;\n#[test]\nfn a() {}\n"), (0, 3));
}
