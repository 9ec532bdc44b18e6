//! The files of a new project; those in Rust are the SDK's own examples.

use clap::ValueEnum;

use super::polyglot::{self, Toolbox};

/// What a policy decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Which member serves a request
    Balancer,
    /// To which member a session belongs
    Affinity,
    /// What changes in requests and responses
    Rewriter,
}

/// What it is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// The SDK comes with the project
    Rust,
    /// Bindings come with the project; clang, lld and wasi-libc make it
    C,
    /// componentize-qjs makes it
    Js,
    /// componentize-py makes it
    Python,
}

impl Language {
    fn toolbox(self) -> Option<Toolbox> {
        match self {
            Self::Rust => None,
            Self::C => Some(polyglot::C),
            Self::Js => Some(polyglot::JS),
            Self::Python => Some(polyglot::PYTHON),
        }
    }

    /// The command that installs what `policy build` runs, where a project of its own needs that.
    pub fn install(self) -> Option<&'static str> {
        self.toolbox().map(|tools| tools.install)
    }
}

/// The SDK's own sources, by their path in its crate.
static SDK: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/sdk.rs"));

pub(super) const CONTRACT: &str = include_str!("../../../../wit/policy.wit");

/// A policy as an author would write it, and what it must do.
struct Example {
    source: &'static str,
    scenario: &'static str,
}

/// One of the SDK's own, which its tests hold.
macro_rules! example {
    ($name:literal) => {
        Example {
            source: include_str!(concat!("../../../../guest-sdk/examples/", $name, ".rs")),
            scenario: include_str!(concat!("../../../../guest-sdk/examples/", $name, ".toml")),
        }
    };
}

impl Kind {
    fn example(self) -> Example {
        match self {
            Self::Balancer => example!("canary"),
            Self::Affinity => example!("pin_by_header"),
            Self::Rewriter => example!("brand"),
        }
    }

    /// As people write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Balancer => "balancer",
            Self::Affinity => "affinity",
            Self::Rewriter => "rewriter",
        }
    }

    /// What a policy of it exports, in the contract.
    pub fn world(self) -> &'static str {
        match self {
            Self::Balancer => "balancer-policy",
            Self::Affinity => "affinity-policy",
            Self::Rewriter => "rewriter-policy",
        }
    }

    /// Of its scenario, where the policy goes without none.
    pub(super) fn config(self) -> Option<&'static str> {
        match self {
            Self::Balancer => None,
            Self::Affinity => Some(r#"{"header": "x-customer"}"#),
            Self::Rewriter => Some(r#"{"old": "Acme", "new": "Apex"}"#),
        }
    }
}

/// Paths and texts of a project of that name.
pub fn files(name: &str, kind: Kind, language: Language) -> Vec<(String, String)> {
    match language.toolbox() {
        None => rust(name, kind),
        Some(tools) => polyglot::files(name, kind, &tools),
    }
}

/// An argument of the commands that ask a policy what it needs.
pub(super) fn option(config: Option<&str>) -> String {
    config.map_or_else(String::new, |config| format!(" --config '{config}'"))
}

fn rust(name: &str, kind: Kind) -> Vec<(String, String)> {
    let fill = |text: &str| {
        text.replace("{{name}}", name)
            .replace("{{kind}}", kind.word())
            .replace("{{config}}", &option(kind.config()))
            .replace("{{version}}", env!("CARGO_PKG_VERSION"))
    };
    let example = kind.example();
    let own = [
        (
            "Cargo.toml",
            fill(include_str!("../../../templates/rust/Cargo.toml.txt")),
        ),
        (
            "README.md",
            fill(include_str!("../../../templates/rust/README.md")),
        ),
        (
            ".gitignore",
            fill(include_str!("../../../templates/rust/gitignore")),
        ),
        ("src/lib.rs", example.source.to_owned()),
        ("scenarios/first.toml", example.scenario.to_owned()),
        // Where the SDK's sources look for it.
        ("vendor/wit/policy.wit", CONTRACT.to_owned()),
        (
            "vendor/switchyard-policy/Cargo.toml",
            fill(include_str!("../../../templates/rust/sdk.toml.txt")),
        ),
    ];
    let own = own.map(|(path, text)| (path.to_owned(), text));
    let sdk = SDK.iter().map(|(path, text)| {
        let path = format!("vendor/switchyard-policy/{path}");
        (path, (*text).to_owned())
    });
    own.into_iter().chain(sdk).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sdk_that_is_written_is_the_one_that_is_here() {
        let text = |folder: &str, file: &str| {
            let path = format!("{}/../{folder}/{file}", env!("CARGO_MANIFEST_DIR"));
            std::fs::read_to_string(path).unwrap()
        };
        let here: toml::Table = text("guest-sdk", "Cargo.toml").parse().unwrap();
        let files = files("it", Kind::Balancer, Language::Rust);
        let find = |path: &str| &files.iter().find(|(p, _)| p == path).unwrap().1;
        let written: toml::Table = find("vendor/switchyard-policy/Cargo.toml").parse().unwrap();
        for table in ["dependencies", "features"] {
            assert_eq!(written[table], here[table], "{table}");
        }
        for file in ["src/lib.rs", "src/json/tests.rs", "examples/canary.rs"] {
            let path = format!("vendor/switchyard-policy/{file}");
            assert_eq!(*find(&path), text("guest-sdk", file));
        }
        let own = files
            .iter()
            .filter(|(path, _)| !path.starts_with("vendor/"));
        for (path, text) in own {
            assert!(!text.contains("{{"), "a word was not filled in {path}");
        }
    }
}
