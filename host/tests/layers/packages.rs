//! Which packages of the workspace may depend on which, and the files that every checkout has.

use std::{fs, path::Path};

use toml::{Table, Value};

/// A package's folder and the packages of the workspace that it may depend on.
/// The first row that fits counts.
const ALLOWED: [(&str, &[&str]); 8] = [
    ("host", &["switchyard-guest-build"]),
    ("guest-sdk", &[]),
    ("guest-build", &[]),
    ("policies", &["switchyard-policy"]),
    // Guests, as an author would write them.
    (
        "tests/guests",
        &["switchyard-policy", "test-guest-misdeeds"],
    ),
    ("xtask/stamp", &["switchyard-policy"]),
    // The suite reaches the gateway through config text, sockets and the status endpoint.
    ("tests", &["switchyard-guest-build"]),
    ("xtask", &["switchyard-guest-build"]),
];

/// What a reader of the repository looks for.
const PAGES: [&str; 9] = [
    "README.md",
    "ARCHITECTURE.md",
    "LEXICON.md",
    "CHANGELOG.md",
    "LICENSE",
    ".ci/run",
    "docs/configuration.md",
    "docs/security.md",
    "docs/authors.md",
];

/// A line for each dependency that crosses from one part of the workspace into another it may not know.
pub fn forbidden(workspace: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for member in members(workspace) {
        let Some((_, allowed)) = ALLOWED
            .iter()
            .find(|(folder, _)| member.starts_with(folder))
        else {
            found.push(format!(
                "`{member}` is in no part of the workspace that this test knows"
            ));
            continue;
        };
        for name in own_dependencies(&workspace.join(&member)) {
            if !allowed.contains(&name.as_str()) {
                found.push(format!("`{member}` depends on `{name}`"));
            }
        }
    }
    found
}

/// A line for each page that is missing or empty.
pub fn missing(workspace: &Path) -> Vec<String> {
    let policies = members(workspace)
        .into_iter()
        .filter(|member| member.starts_with("policies/"))
        .map(|member| format!("{member}/README.md"));
    PAGES
        .iter()
        .map(|page| (*page).to_owned())
        .chain(policies)
        .filter(|page| fs::metadata(workspace.join(page)).map_or(0, |file| file.len()) == 0)
        .collect()
}

/// Folders of the workspace's packages, patterns resolved.
fn members(workspace: &Path) -> Vec<String> {
    let root = manifest(workspace);
    let listed = root["workspace"]["members"]
        .as_array()
        .expect("the workspace lists its members");
    let mut members = Vec::new();
    for member in listed.iter().filter_map(Value::as_str) {
        let Some(folder) = member.strip_suffix("/*") else {
            members.push(member.to_owned());
            continue;
        };
        let packages = fs::read_dir(workspace.join(folder)).expect("a folder of packages");
        for package in packages.filter_map(Result::ok) {
            let name = package.file_name().display().to_string();
            members.push(format!("{folder}/{name}"));
        }
    }
    members.sort();
    members
}

/// Names of the workspace's packages that the one in `folder` depends on, for tests and builds as well.
fn own_dependencies(folder: &Path) -> Vec<String> {
    let manifest = manifest(folder);
    ["dependencies", "dev-dependencies", "build-dependencies"]
        .iter()
        .filter_map(|section| manifest.get(*section)?.as_table())
        .flatten()
        .filter(|(_, value)| value.get("path").is_some())
        .map(|(name, _)| name.clone())
        .collect()
}

fn manifest(folder: &Path) -> Table {
    let file = folder.join("Cargo.toml");
    let text =
        fs::read_to_string(&file).unwrap_or_else(|cause| panic!("{}: {cause}", file.display()));
    text.parse()
        .unwrap_or_else(|cause| panic!("{}: {cause}", file.display()))
}
