//! Every path in the sources of a crate, with the module it stands in.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{TokenStream, TokenTree};
use syn::Attribute;

use crate::visitor::{self, Child};

/// A path in the sources.
#[derive(Debug)]
pub struct Reference {
    /// Where it stands.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// The top-level module it stands in; empty in `lib.rs` and `main.rs`.
    pub from: String,
    /// What it leads to.
    pub to: Target,
    /// It is compiled for tests only.
    pub in_test: bool,
}

/// The head of a path, once `self` and `super` are resolved.
#[derive(Debug)]
pub enum Target {
    /// A top-level name of this crate; empty for the root itself.
    Ours(String),
    /// A crate, or a name that was imported.
    Foreign(String),
}

/// A crate's sources.
#[derive(Debug, Default)]
pub struct Sources {
    /// Of all files.
    pub references: Vec<Reference>,
    /// Top-level modules.
    pub modules: BTreeSet<String>,
    /// Files whose `mod` line compiles them for tests only.
    pub for_tests: BTreeSet<PathBuf>,
    /// Files that no `mod` line leads to.
    pub orphans: Vec<PathBuf>,
}

/// Follows `mod` lines from `lib.rs` and `main.rs` in `folder`.
pub fn read(folder: &Path) -> Result<Sources, String> {
    let mut sources = Sources::default();
    let mut seen = BTreeSet::new();
    let root = |name| Child {
        file: folder.join(name),
        module: Vec::new(),
        in_test: false,
    };
    let mut open = vec![root("lib.rs"), root("main.rs")];
    open.retain(|root| root.file.is_file());
    while let Some(child) = open.pop() {
        let text = fs::read_to_string(&child.file)
            .map_err(|cause| format!("{}: {cause}", child.file.display()))?;
        seen.insert(child.file.clone());
        if child.in_test {
            sources.for_tests.insert(child.file.clone());
        }
        if let [name] = &child.module[..] {
            sources.modules.insert(name.clone());
        }
        let (mut references, mut children) = visitor::visit(&text, child)?;
        sources.references.append(&mut references);
        open.append(&mut children);
    }
    sources.orphans = files(folder)
        .into_iter()
        .filter(|file| !seen.contains(file))
        .collect();
    Ok(sources)
}

/// The paths of one file whose module is `module`.
pub fn scan(text: &str, file: &Path, module: &[String]) -> Result<Vec<Reference>, String> {
    let child = Child {
        file: file.to_owned(),
        module: module.to_owned(),
        in_test: false,
    };
    Ok(visitor::visit(text, child)?.0)
}

/// All `.rs` files below `folder`.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            found.append(&mut files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Whether these attributes compile their item for tests only.
pub fn for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => {
            let mut words = Vec::new();
            idents(list.tokens.clone(), &mut words);
            words.iter().any(|word| word == "test")
                && words.iter().all(|word| word != "not" && word != "any")
        }
        meta => meta.path().is_ident("test"),
    })
}

fn idents(tokens: TokenStream, words: &mut Vec<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(word) => words.push(word.to_string()),
            TokenTree::Group(group) => idents(group.stream(), words),
            _ => {}
        }
    }
}
