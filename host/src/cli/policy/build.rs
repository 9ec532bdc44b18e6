//! `switchyard policy build [DIR]`: makes a project's `.wasm` file.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use sha2::{Digest as _, Sha256};
use switchyard_guest_build::{Order, Permission, Toolchain, componentize};

use super::fail;
use crate::{cli::command::print, policy::Digest, simulator::Trouble};

/// What a build script ends with where a tool is missing; it has said which.
const NO_TOOLCHAIN: i32 = 3;

/// Builds the project in `folder` and prints where the file is, its size and its digest.
pub fn build(folder: &Path, install: bool) -> ExitCode {
    match built(folder, install) {
        Ok((file, wasm)) => {
            let digest = Digest(Sha256::digest(&wasm).into());
            let (file, size) = (file.display(), wasm.len());
            print(&format!("{file}: {size} bytes, sha256 {digest}\n"))
        }
        Err(trouble) => fail(&trouble),
    }
}

fn built(folder: &Path, install: bool) -> Result<(PathBuf, Vec<u8>), Trouble> {
    let folder = fs::canonicalize(folder)
        .map_err(|error| Trouble::Input(format!("{}: {error}", folder.display())))?;
    if folder.join("Cargo.toml").is_file() {
        rust(&folder, install)
    } else if folder.join("build.sh").is_file() {
        script(&folder)
    } else {
        Err(Trouble::Input(format!(
            "{} holds no policy: there is neither Cargo.toml nor build.sh; `switchyard policy new NAME` makes one",
            folder.display()
        )))
    }
}

fn rust(folder: &Path, install: bool) -> Result<(PathBuf, Vec<u8>), Trouble> {
    let package = package(&folder.join("Cargo.toml"))?;
    let permission = match install {
        true => Permission::Install,
        false => Permission::LookOnly,
    };
    let toolchain = Toolchain::find(permission).map_err(|missing| {
        let hint = match install {
            true => "",
            false => "\n`switchyard policy build --install` does the second or the third by itself where it may.",
        };
        Trouble::Input(format!("{missing}{hint}"))
    })?;
    let order = Order {
        workspace: folder.to_owned(),
        target_dir: folder.join("target"),
        packages: vec![package.clone()],
        examples_of: Vec::new(),
    };
    let input = |error: &dyn std::error::Error| Trouble::Input(error.to_string());
    let guests = toolchain.build(&order).map_err(|error| input(&error))?;
    let module = guests.first().map(|guest| guest.module.clone());
    let module = module.ok_or_else(|| Trouble::Internal("cargo built nothing".into()))?;
    let core = fs::read(&module).map_err(unusable(&module))?;
    let wasm = componentize(&core).map_err(|error| input(&error))?;
    let (new, file) = names(folder, package.as_ref());
    fs::write(&new, &wasm).map_err(unusable(&new))?;
    fs::rename(&new, &file).map_err(unusable(&file))?;
    Ok((file, wasm))
}

/// The name that the manifest gives the package.
fn package(manifest: &Path) -> Result<String, Trouble> {
    let text = fs::read_to_string(manifest).map_err(unusable(manifest))?;
    let wrong = |why: String| Trouble::Input(format!("{}: {why}", manifest.display()));
    let table: toml::Table = text.parse().map_err(|error| wrong(format!("{error}")))?;
    let name = table.get("package").and_then(|package| package.get("name"));
    let name = name.and_then(toml::Value::as_str);
    name.map(str::to_owned)
        .ok_or_else(|| wrong("has no package.name; name the folder of one package".into()))
}

/// Other languages: the project's own script knows the tools, and says what is missing.
fn script(folder: &Path) -> Result<(PathBuf, Vec<u8>), Trouble> {
    let (new, file) = names(folder, folder.file_name().unwrap_or("policy".as_ref()));
    let mut command = Command::new("sh");
    command.arg("build.sh").arg(&new).current_dir(folder);
    // What tools say is for people; only where the file is goes to standard output.
    command.stdin(Stdio::null()).stdout(io::stderr());
    let status = command.status();
    let status = status.map_err(|error| Trouble::Internal(format!("cannot run sh: {error}")))?;
    if !status.success() {
        // Half of it, or nothing.
        let _ = fs::remove_file(&new);
        let why = match status.code() {
            Some(NO_TOOLCHAIN) => "a tool is missing, see above".to_owned(),
            _ => format!("it ended with {status}, see above"),
        };
        return Err(Trouble::Input(format!(
            "{}: {why}",
            folder.join("build.sh").display()
        )));
    }
    let wasm = fs::read(&new).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Trouble::Input(format!(
            "{}: it ended well and made no {}: it is to write the policy where its first argument says",
            folder.join("build.sh").display(),
            new.display()
        )),
        _ => unusable(&new)(error),
    })?;
    fs::rename(&new, &file).map_err(unusable(&file))?;
    Ok((file, wasm))
}

/// Where a policy is written, and where it is put then: a gateway may watch that, and sees the old one or
/// the new one.
fn names(folder: &Path, name: &OsStr) -> (PathBuf, PathBuf) {
    // What follows a dot of the name's is part of it. Some tools go by the ending.
    let [new, file] = [".new.wasm", ".wasm"].map(|ending| {
        let mut name = name.to_owned();
        name.push(ending);
        folder.join(name)
    });
    (new, file)
}

fn unusable(path: &Path) -> impl Fn(io::Error) -> Trouble {
    move |error| Trouble::Input(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn what_holds_no_project_is_refused_with_a_remedy() {
        let cases = [
            (&[][..], "switchyard policy new"),
            (&[("Cargo.toml", "[workspace]\n")], "has no package.name"),
            (&[("Cargo.toml", "[package\n")], "Cargo.toml"),
        ];
        for (files, due) in cases {
            let folder = project(files);
            let error = built(folder.path(), false).unwrap_err().to_string();
            assert!(error.contains(due), "{error}");
        }
        assert!(built(Path::new("no/such/folder"), false).is_err());
    }

    #[test]
    fn a_script_makes_the_file_or_says_why_not() {
        let good = project(&[("build.sh", "echo talk; printf made >\"$1\"\n")]);
        let (file, wasm) = built(good.path(), false).unwrap();
        assert_eq!(wasm, b"made");
        assert_eq!(
            file.parent().unwrap(),
            fs::canonicalize(good.path()).unwrap()
        );
        let dotted = good.path().join("v1.2");
        fs::create_dir(&dotted).unwrap();
        fs::copy(good.path().join("build.sh"), dotted.join("build.sh")).unwrap();
        let (file, _) = built(&dotted, false).unwrap();
        assert!(file.ends_with("v1.2.wasm"), "{}", file.display());
        for (script, due) in [
            ("exit 3", "a tool is missing"),
            ("exit 1", "exit status: 1"),
            ("printf made >own.wasm", "where its first argument says"),
        ] {
            let bad = project(&[("build.sh", script)]);
            let error = built(bad.path(), false).unwrap_err().to_string();
            assert!(error.contains(due), "{error}");
        }
    }
    #[test]
    fn a_file_is_replaced_when_the_new_one_is_whole() {
        let folder = project(&[]);
        let there = fs::canonicalize(folder.path()).unwrap();
        let (new, file) = names(&there, there.file_name().unwrap());
        fs::write(&file, "old").unwrap();
        let script = |ends: &str| {
            let script =
                format!("printf half >\"$1\"; cp {file:?} seen; printf whole >\"$1\"; {ends}");
            fs::write(there.join("build.sh"), script).unwrap();
            let built = built(&there, false);
            assert_eq!(fs::read(there.join("seen")).unwrap(), b"old");
            assert!(!new.exists());
            built.map(|(file, _)| fs::read(file).unwrap())
        };
        assert!(script("printf half >\"$1\"; exit 1").is_err());
        assert_eq!(fs::read(&file).unwrap(), b"old");
        assert_eq!(script("exit 0").unwrap(), b"whole");
    }
}
