//! The machine, as far as the search for a toolchain looks at it.

use std::{
    env, fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Where programs and files are looked for. Tests make one of fake tools in a folder.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    /// Folders of `PATH`, in order.
    pub(crate) path: Vec<PathBuf>,
    /// What stands for `/`.
    pub(crate) root: PathBuf,
    /// The active compiler: `RUSTC` where cargo named one.
    pub(crate) rustc: PathBuf,
    /// Packages can be installed.
    pub(crate) superuser: bool,
}

impl Machine {
    /// This one.
    pub(crate) fn here() -> Self {
        Self {
            path: env::var_os("PATH")
                .map(|path| env::split_paths(&path).collect())
                .unwrap_or_default(),
            root: PathBuf::from("/"),
            rustc: env::var_os("RUSTC").map_or_else(|| PathBuf::from("rustc"), PathBuf::from),
            // The owner of /proc/self is the process's effective user.
            superuser: fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0),
        }
    }

    /// The program `name`, as a shell would find it.
    pub(crate) fn tool(&self, name: impl AsRef<Path>) -> Option<PathBuf> {
        let name = name.as_ref();
        if name.components().count() > 1 {
            return is_program(name).then(|| name.to_owned());
        }
        self.path
            .iter()
            .map(|folder| folder.join(name))
            .find(|candidate| is_program(candidate))
    }

    /// `/<path>` on this machine.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// A command that sees the same `PATH` as the search.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Ok(path) = env::join_paths(&self.path) {
            command.env("PATH", path);
        }
        command.stdin(Stdio::null());
        command
    }

    /// The first line that `program` prints, where it succeeds.
    pub(crate) fn ask(&self, program: &Path, arguments: &[&str]) -> Option<String> {
        let output = self
            .command(program)
            .args(arguments)
            .stderr(Stdio::null())
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output
            .status
            .success()
            .then(|| text.lines().next().unwrap_or_default().trim().to_owned())
    }
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}
