//! `switchyard policy new NAME`: a project that builds and tests as it is.

use std::{
    fs,
    io::{self, ErrorKind},
    path::Path,
    process::ExitCode,
};

use switchyard_guest_build::c_bindings;

use super::{
    fail,
    project::{Kind, Language, files},
};
use crate::{cli::command::print, simulator::Trouble};

/// A package of such a name could not be built, or would hide another.
const TAKEN: [&str; 7] = [
    "alloc",
    "core",
    "proc-macro",
    "std",
    "switchyard-policy",
    "test",
    "build",
];

/// Writes a project into a new folder of that name.
pub fn new(name: &str, kind: Kind, language: Language) -> ExitCode {
    match write(Path::new("."), name, kind, language) {
        Ok(text) => print(&text),
        Err(trouble) => fail(&trouble),
    }
}

fn write(base: &Path, name: &str, kind: Kind, language: Language) -> Result<String, Trouble> {
    check(name).map_err(Trouble::Input)?;
    let folder = base.join(name);
    let failed = |error: io::Error| Trouble::Internal(format!("{name}: {error}"));
    match fs::create_dir(&folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let why = format!("`{name}` is there already; choose another name, or remove it");
            return Err(Trouble::Input(why));
        }
        made => made.map_err(failed)?,
    }
    for (path, text) in files(name, kind, language) {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        fs::write(path, text).map_err(failed)?;
    }
    if language == Language::C {
        let bindings = c_bindings(&folder.join("wit"), kind.world(), &folder.join("bindings"));
        bindings.map_err(|error| Trouble::Internal(error.to_string()))?;
    }
    let word = kind.word();
    let install = language.install();
    let install = install.map_or_else(String::new, |line| format!("{line}\n    "));
    Ok(format!(
        "{name}: a project for a policy ({word}). Next:\n\n    \
         cd {name}\n    \
         {install}switchyard policy build\n    \
         switchyard policy test {name}.wasm scenarios/first.toml\n"
    ))
}

/// Whether a package and a file can have the name, and what to do if not.
fn check(name: &str) -> Result<(), String> {
    let letters = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    let begins = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    if !begins || !name.bytes().all(letters) || name.len() > 64 {
        return Err(format!(
            "{name:?} is no name for a policy; use small letters, digits, - and _, a letter first, 64 at most"
        ));
    }
    if TAKEN.contains(&name) || is_keyword(name) {
        return Err(format!(
            "{name:?} means something else in Rust; choose another name"
        ));
    }
    Ok(())
}

/// Of the words that pass as names, those that the language keeps for itself.
fn is_keyword(name: &str) -> bool {
    const WORDS: &str = "abstract as async await become box break const continue crate do dyn else enum extern \
        false final fn for gen if impl in let loop macro match mod move mut override priv pub ref return self \
        static struct super trait true try type typeof unsafe unsized use virtual where while yield";
    WORDS.split_whitespace().any(|word| word == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(base: &Path, name: &str) -> Result<String, Trouble> {
        write(base, name, Kind::Affinity, Language::Rust)
    }

    #[test]
    fn a_project_has_its_policy_its_scenario_and_its_sdk() {
        let base = tempfile::tempdir().unwrap();
        let text = written(base.path(), "pins").unwrap();
        assert!(text.contains("policy test pins.wasm"), "{text}");
        for file in [
            "Cargo.toml",
            "src/lib.rs",
            "scenarios/first.toml",
            "vendor/wit/policy.wit",
        ] {
            assert!(base.path().join("pins").join(file).is_file(), "{file}");
        }
    }

    #[test]
    fn in_other_languages_what_to_install_is_told_and_c_has_the_bindings_of_its_world() {
        let base = tempfile::tempdir().unwrap();
        let text = write(base.path(), "pages", Kind::Rewriter, Language::C).unwrap();
        let due =
            "    cd pages\n    apt-get install clang lld wasi-libc\n    switchyard policy build\n";
        assert!(text.contains(due), "{text}");
        let header = base.path().join("pages/bindings/rewriter_policy.h");
        let header = fs::read_to_string(header).unwrap();
        assert!(
            header.contains("exports_switchyard_policy_rewriter_on_response"),
            "{header}"
        );
    }

    #[test]
    fn what_is_there_is_left_alone() {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join("mine"), "precious").unwrap();
        let error = written(base.path(), "mine").unwrap_err().to_string();
        assert!(error.contains("is there already"), "{error}");
        let text = fs::read_to_string(base.path().join("mine")).unwrap();
        assert_eq!(text, "precious");
    }

    #[test]
    fn names_that_no_package_can_have_are_refused() {
        let base = tempfile::tempdir().unwrap();
        for name in [
            "",
            "../up",
            "Big",
            "1st",
            "a b",
            "fn",
            "test",
            &"x".repeat(65),
        ] {
            assert!(
                matches!(written(base.path(), name), Err(Trouble::Input(_))),
                "{name}"
            );
        }
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0);
    }
}
