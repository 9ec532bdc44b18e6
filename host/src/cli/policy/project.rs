//! The files of a new project.

use clap::ValueEnum;

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

/// The SDK's own sources, by their path in its crate.
static SDK: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/sdk.rs"));

const CONTRACT: &str = include_str!("../../../../wit/policy.wit");

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
}

/// A file of the examples in other languages, which are tested as they are.
macro_rules! polyglot {
    ($path:literal) => {
        include_str!(concat!("../../../../examples/polyglot/", $path))
    };
}

/// Paths and texts of a project of that name; else why there is none.
pub fn files(
    name: &str,
    kind: Kind,
    language: Language,
) -> Result<Vec<(String, String)>, &'static str> {
    match language {
        Language::Rust => Ok(rust(name, kind)),
        _ if kind != Kind::Balancer => {
            Err("other languages begin with a balancer; leave --kind out, or --lang for Rust")
        }
        Language::C => Ok(other(name, &[("weighted.c", polyglot!("c/weighted.c"))], C)),
        Language::Js => {
            let own = [
                ("weighted.js", polyglot!("js/weighted.js")),
                ("package.json", polyglot!("js/package.json")),
            ];
            Ok(other(name, &own, JS))
        }
        Language::Python => {
            let own = [
                ("weighted.py", polyglot!("python/weighted.py")),
                ("requirements.txt", polyglot!("python/requirements.txt")),
            ];
            Ok(other(name, &own, PYTHON))
        }
    }
}

/// What a language's project has besides its sources.
struct Tools {
    script: &'static str,
    /// How its tools get there.
    install: &'static str,
    /// Of the policy in scenarios and gateways.
    limits: &'static str,
}

const C: Tools = Tools {
    script: polyglot!("c/build.sh"),
    install: "apt-get install clang lld wasi-libc         # once",
    limits: "",
};

const JS: Tools = Tools {
    script: polyglot!("js/build.sh"),
    install: "npm install                                 # once",
    limits: "",
};

const PYTHON: Tools = Tools {
    script: polyglot!("python/build.sh"),
    install: "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt",
    limits: "limits = { module_size = \"64MiB\", compile_time = \"120s\", compile_memory = \"2GiB\", memory = \"128MiB\" }\n",
};

fn other(name: &str, own: &[(&str, &str)], tools: Tools) -> Vec<(String, String)> {
    let readme = include_str!("../../../templates/other/README.md");
    let scenario = include_str!("../../../templates/other/first.toml");
    let readme = readme
        .replace("{{name}}", name)
        .replace("{{install}}", tools.install);
    // Only the repository has that command.
    let script = tools
        .script
        .replace(", or \\`cargo xtask toolchains\\`", "");
    let common = [
        ("README.md", readme),
        (
            ".gitignore",
            include_str!("../../../templates/other/gitignore").to_owned(),
        ),
        ("build.sh", script),
        (
            "scenarios/first.toml",
            scenario.replace("{{limits}}\n", tools.limits),
        ),
        ("wit/policy.wit", CONTRACT.to_owned()),
    ];
    let own = own.iter().map(|(path, text)| (*path, (*text).to_owned()));
    let all = own.chain(common);
    all.map(|(path, text)| (path.to_owned(), text)).collect()
}

fn rust(name: &str, kind: Kind) -> Vec<(String, String)> {
    let fill = |text: &str| {
        text.replace("{{name}}", name)
            .replace("{{kind}}", kind.word())
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
        let files = files("it", Kind::Balancer, Language::Rust).unwrap();
        let find = |path: &str| &files.iter().find(|(p, _)| p == path).unwrap().1;
        let written: toml::Table = find("vendor/switchyard-policy/Cargo.toml").parse().unwrap();
        assert_eq!(written["dependencies"], here["dependencies"]);
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
