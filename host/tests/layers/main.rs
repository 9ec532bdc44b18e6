//! Holds the import table of ARCHITECTURE.md, what packages depend on, and the length of files.
//!
//! The table is read from the page, so page and test cannot drift apart: a module that
//! the page does not list, and a path that it does not allow, fail alike.

mod lengths;
mod packages;
mod source;
mod table;
mod visitor;

use std::path::{Path, PathBuf};

use source::{Reference, Target};
use table::Table;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn architecture() -> Table {
    let page = std::fs::read_to_string(workspace().join("ARCHITECTURE.md"))
        .expect("the workspace has ARCHITECTURE.md");
    Table::read(&page).expect("ARCHITECTURE.md has the import table")
}

/// Why `reference` is not allowed; `None` where it is.
fn offence(table: &Table, reference: &Reference) -> Option<String> {
    let from = reference.from.as_str();
    match &reference.to {
        // Only `wasm/` knows the engine, so that another one, or another version, is one module's business.
        Target::Foreign(name) => {
            let engine = name == "wasmtime" || name.starts_with("wasmtime_");
            (engine && from != "wasm")
                .then(|| format!("`{from}` uses `{name}`, which only `wasm/` may"))
        }
        // A unit test may borrow what it needs to set its scene from any module.
        Target::Ours(_) if reference.in_test => None,
        // The two roots, which declare modules and start the program.
        Target::Ours(_) if from.is_empty() => None,
        Target::Ours(to) if to == from => None,
        Target::Ours(to) => table.offence(from, to),
    }
}

fn offences(table: &Table, references: &[Reference]) -> Vec<String> {
    let found = references.iter().filter_map(|reference| {
        let reason = offence(table, reference)?;
        Some(format!(
            "{}:{}: {reason}",
            reference.file.display(),
            reference.line
        ))
    });
    let mut found: Vec<_> = found.collect();
    found.sort();
    found.dedup();
    found
}

#[test]
fn modules_import_only_what_the_table_allows() {
    let table = architecture();
    let sources = source::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let found = offences(&table, &sources.references);
    assert!(
        found.is_empty(),
        "ARCHITECTURE.md's table does not allow:\n{}",
        found.join("\n")
    );
    let unlisted: Vec<_> = sources
        .modules
        .iter()
        .filter(|name| !table.lists(name))
        .collect();
    assert!(
        unlisted.is_empty(),
        "ARCHITECTURE.md's table lacks a row for: {unlisted:?}"
    );
    assert!(
        sources.orphans.is_empty(),
        "no `mod` line leads to: {:?}",
        sources.orphans
    );
}

#[test]
fn files_are_short_enough_to_be_read_at_once() {
    let found = lengths::too_long(&workspace());
    assert!(
        found.is_empty(),
        "split these, or list them with the reason in host/tests/layers/lengths.rs:\n{}",
        found.join("\n")
    );
}

/// What the checks say about `text`, were it the file of module `from`.
fn judge(from: &str, text: &str) -> Vec<String> {
    let page = "The data plane (proxy, wasm) never imports config or cli.\n\n\
        | module | owns | may import |\n|---|---|---|\n\
        | `proxy/` | x | everything in the data plane, snapshot |\n| `wasm/` | x | snapshot |\n\
        | `snapshot/` | x | nothing of ours |\n| `config/` | x | everything but proxy and cli |\n| `cli/` | x | everything |\n";
    let references = source::scan(text, Path::new("it.rs"), &[from.to_owned()])
        .expect("what tests give is Rust");
    let table = Table::read(page).expect("the table above is one");
    offences(&table, &references)
}

#[test]
fn every_way_to_write_a_path_is_seen() {
    for text in [
        "use crate::config::Source;",
        "use crate::{snapshot::Vhost, config::Source};",
        "pub use crate::{snapshot::{self, Vhost}, config};",
        "use super::config::Source;",
        "fn f() { crate::config::load(); }",
        "fn f(x: &crate::config::Source) {}",
        "impl crate::config::Load for X {}",
        "mod inner { use super::super::config::Source; }",
        "fn f() { println!(\"{}\", crate::config::NAME); }",
        "fn f() { select! { x = { crate::config::load() } => {} } }",
        "macro_rules! m { () => { $crate::config::load() } }",
        "macro_rules! m { () => { use crate::{snapshot, config::Source}; } }",
        "#[derive(X)] struct A<T: crate::config::Load>(T);",
    ] {
        let found = judge("snapshot", text);
        assert!(
            found.iter().any(|line| line.contains("`config`")),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn lines_and_rules_are_named() {
    let found = judge("snapshot", "use std::fmt;\n\nuse crate::wasm::Engine;\n");
    assert_eq!(
        found,
        ["it.rs:3: `snapshot` may not import `wasm` (the table allows it nothing of ours)"]
    );
}

#[test]
fn what_the_table_allows_passes() {
    for (from, text) in [
        ("proxy", "use crate::{snapshot::Vhost, wasm::Engine};"),
        (
            "proxy",
            "use super::wasm::Engine; use self::attempt::X; use crate::proxy::attempt::Y;",
        ),
        ("config", "use crate::wasm::Engine;"),
        ("cli", "use crate::config::load;"),
        (
            "snapshot",
            "pub(crate) struct A; pub(in crate::config) struct B; impl A { fn f(&self) { self.g(); } }",
        ),
        (
            "snapshot",
            "use config::Source; fn f() { serde::config::x(); }",
        ),
        ("wasm", "use wasmtime::Engine;"),
    ] {
        assert_eq!(judge(from, text), [""; 0], "{from}: {text}");
    }
}

#[test]
fn the_data_plane_never_imports_the_control_plane() {
    assert_eq!(judge("proxy", "use crate::config::X;").len(), 1);
    assert_eq!(judge("config", "use crate::proxy::X;").len(), 1);
    assert_eq!(judge("config", "use crate::cli::X;").len(), 1);
}

#[test]
fn the_engine_stays_in_its_module_even_in_tests() {
    for text in [
        "use wasmtime::Engine;",
        "fn f() -> wasmtime::Result<()> { todo() }",
        "fn f() { debug!(x = ?wasmtime::VERSION); }",
        "#[cfg(test)] mod tests { use wasmtime::component::Component; }",
    ] {
        assert!(
            judge("proxy", text)
                .iter()
                .any(|line| line.contains("only `wasm/` may")),
            "{text}"
        );
    }
}

#[test]
fn unit_tests_may_set_their_scene_with_any_module() {
    assert_eq!(
        judge(
            "snapshot",
            "#[cfg(test)] mod tests { use crate::config::load; }"
        ),
        [""; 0]
    );
    assert_eq!(
        judge(
            "snapshot",
            "#[cfg(not(test))] mod real { use crate::config::load; }"
        )
        .len(),
        1
    );
}

#[test]
fn names_that_hide_a_module_are_refused() {
    for text in [
        "use crate::*;",
        "use super::*;",
        "use crate as root;",
        "use crate::load;",
    ] {
        assert_eq!(judge("snapshot", text).len(), 1, "{text}");
    }
}

#[test]
fn parts_of_the_workspace_know_only_those_they_may() {
    let found = packages::forbidden(&workspace());
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_page_and_every_policys_page_is_there() {
    let missing = packages::missing(&workspace());
    assert!(missing.is_empty(), "missing or empty: {missing:?}");
}
