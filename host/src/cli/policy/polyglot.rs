//! The files of a new project in another language than Rust: examples/polyglot, which is tested
//! as it is, with one of its three policies.

use super::project::{CONTRACT, Kind, option};

/// A file of the examples.
macro_rules! example {
    ($($path:literal),+) => {
        include_str!(concat!("../../../../examples/polyglot/", $($path),+))
    };
}

/// A language's three policies.
macro_rules! sources {
    ($folder:literal, $ending:literal) => {
        |kind| match kind {
            Kind::Balancer => example!($folder, "/weighted", $ending),
            Kind::Affinity => example!($folder, "/sticky", $ending),
            Kind::Rewriter => example!($folder, "/brand", $ending),
        }
    };
}

/// What a language makes of a project.
pub(super) struct Toolbox {
    source: fn(Kind) -> &'static str,
    ending: &'static str,
    script: &'static str,
    /// What lists the packages that the script runs, and its name.
    packages: Option<(&'static str, &'static str)>,
    /// How the tools get there, once.
    pub install: &'static str,
    /// Of the policy in scenarios and gateways.
    limits: &'static str,
    /// Whether the rewriter reads its names from the configuration.
    reads_config: bool,
}

pub(super) const C: Toolbox = Toolbox {
    source: sources!("c", ".c"),
    ending: ".c",
    script: example!("c/build.sh"),
    packages: None,
    install: "apt-get install clang lld wasi-libc",
    limits: "",
    reads_config: false,
};

pub(super) const JS: Toolbox = Toolbox {
    source: sources!("js", ".js"),
    ending: ".js",
    script: example!("js/build.sh"),
    packages: Some(("package.json", example!("js/package.json"))),
    install: "npm install",
    limits: "",
    reads_config: true,
};

pub(super) const PYTHON: Toolbox = Toolbox {
    source: sources!("python", ".py"),
    ending: ".py",
    script: example!("python/build.sh"),
    packages: Some(("requirements.txt", example!("python/requirements.txt"))),
    install: "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt",
    limits: "limits = { module_size = \"64MiB\", compile_time = \"120s\", compile_memory = \"2GiB\", memory = \"128MiB\" }\n",
    reads_config: true,
};

/// The source's name, what it is in a sentence, and what it must do.
fn example_of(kind: Kind) -> (&'static str, &'static str, &'static str) {
    match kind {
        Kind::Balancer => (
            "weighted",
            "a smooth weighted round robin over the members that can serve",
            include_str!("../../../templates/other/weighted.toml"),
        ),
        Kind::Affinity => (
            "sticky",
            "sessions stay with their member, by a cookie of the gateway's own",
            include_str!("../../../templates/other/sticky.toml"),
        ),
        Kind::Rewriter => (
            "brand",
            "answers say who served them, and pages show a new name in place of an old one",
            // What the SDK's example must do.
            include_str!("../../../../guest-sdk/examples/brand.toml"),
        ),
    }
}

/// Paths and texts of a project of that name.
pub(super) fn files(name: &str, kind: Kind, tools: &Toolbox) -> Vec<(String, String)> {
    let (source, what, scenario) = example_of(kind);
    let world = kind.world();
    let config = match (kind, tools.reads_config) {
        (Kind::Rewriter, true) => kind.config(),
        _ => None,
    };
    let fill = |text: &str| {
        text.replace("{{name}}", name)
            .replace("{{kind}}", kind.word())
            .replace("{{what}}", what)
            .replace("{{install}}", &format!("{:43} # once", tools.install))
            .replace("{{source}}", &format!("{source}{}", tools.ending))
            .replace("{{world}}", world)
            .replace("{{config}}", &option(config))
    };
    let script = tools
        .script
        .replace("weighted", source)
        .replace(Kind::Balancer.world(), world)
        // Only the repository has that command.
        .replace(", or \\`cargo xtask toolchains\\`", "");
    let scenario = scenario.replacen("[policy]\n", &format!("[policy]\n{}", tools.limits), 1);
    let scenario = match tools.reads_config {
        true => scenario,
        false => without_config(&scenario),
    };
    let own = [
        (
            format!("{source}{}", tools.ending),
            (tools.source)(kind).to_owned(),
        ),
        (
            "README.md".to_owned(),
            fill(include_str!("../../../templates/other/README.md")),
        ),
        (
            ".gitignore".to_owned(),
            include_str!("../../../templates/other/gitignore").to_owned(),
        ),
        ("build.sh".to_owned(), script),
        ("scenarios/first.toml".to_owned(), scenario),
        ("wit/policy.wit".to_owned(), CONTRACT.to_owned()),
    ];
    let packages = tools.packages.iter();
    let packages = packages.map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
    own.into_iter().chain(packages).collect()
}

fn without_config(scenario: &str) -> String {
    let lines = scenario.split_inclusive('\n');
    lines
        .filter(|line| !line.starts_with("config = "))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(kind: Kind, tools: &Toolbox) -> impl Fn(&str) -> String {
        let files = files("mine", kind, tools);
        move |path| {
            let found = files.iter().find(|(file, _)| file == path);
            found.unwrap_or_else(|| panic!("no {path}")).1.clone()
        }
    }

    #[test]
    fn each_kind_has_its_source_and_its_world_in_every_language() {
        for tools in [C, JS, PYTHON] {
            for (kind, source, world) in [
                (Kind::Balancer, "weighted", "balancer-policy"),
                (Kind::Affinity, "sticky", "affinity-policy"),
                (Kind::Rewriter, "brand", "rewriter-policy"),
            ] {
                let file = project(kind, &tools);
                assert!(!file(&format!("{source}{}", tools.ending)).is_empty());
                let script = file("build.sh");
                assert!(
                    script.contains(&format!("source=${{2:-{source}}}\nworld=${{3:-{world}}}\n")),
                    "{script}"
                );
                for other in ["weighted", "balancer-policy", "cargo xtask toolchains"] {
                    let is_own = other == source || other == world;
                    assert_eq!(script.contains(other), is_own, "{other} in {script}");
                }
                for path in ["README.md", "scenarios/first.toml"] {
                    assert!(
                        !file(path).contains("{{"),
                        "a word was not filled in {path}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_scenario_gives_what_the_language_needs_and_can_read() {
        let policy = |kind, tools: &Toolbox| {
            let scenario: toml::Table = project(kind, tools)("scenarios/first.toml")
                .parse()
                .unwrap();
            scenario["policy"].clone()
        };
        for kind in [Kind::Balancer, Kind::Affinity, Kind::Rewriter] {
            assert!(policy(kind, &PYTHON).get("limits").is_some(), "{kind:?}");
            assert!(policy(kind, &C).as_table().unwrap().is_empty(), "{kind:?}");
        }
        let given: serde_json::Value =
            serde_json::from_str(Kind::Rewriter.config().unwrap()).unwrap();
        let config = policy(Kind::Rewriter, &JS)["config"].clone();
        assert_eq!(serde_json::to_value(config).unwrap(), given);
        let readme = project(Kind::Rewriter, &JS)("README.md");
        assert!(readme.contains("bench mine.wasm --config '{"), "{readme}");
        let readme = project(Kind::Rewriter, &C)("README.md");
        assert!(readme.contains("bench mine.wasm\n"), "{readme}");
    }
}
