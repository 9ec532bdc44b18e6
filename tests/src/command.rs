//! Commands of the program that end by themselves.

use std::{
    env,
    io::Read,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    thread,
};

use crate::{
    target,
    wait::{DEADLINE, eventually},
};

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Said {
    /// Its exit status.
    pub status: ExitStatus,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Both streams.
    pub fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

/// Runs `switchyard` with these arguments.
///
/// # Panics
/// Where it does not end in time; it is killed then.
#[track_caller]
pub fn switchyard(arguments: &[&str]) -> Said {
    switchyard_in(Path::new("."), arguments)
}

/// Likewise, in this folder.
#[track_caller]
pub fn switchyard_in(folder: &Path, arguments: &[&str]) -> Said {
    switchyard_with_caches(&target::shared("cache"), folder, arguments)
}

/// Likewise, as a user whose caches are there.
#[track_caller]
pub fn switchyard_with_caches(caches: &Path, folder: &Path, arguments: &[&str]) -> Said {
    let mut command = Command::new(target::switchyard());
    command
        .current_dir(folder)
        .args(arguments)
        .env("XDG_CACHE_HOME", caches)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (out, err) = (
        child.stdout.take().expect("piped"),
        child.stderr.take().expect("piped"),
    );
    let readers = [
        thread::spawn(move || all(out)),
        thread::spawn(move || all(err)),
    ];
    let mut child = Killed(child);
    let status = eventually(
        &format!("switchyard {} ends", arguments.join(" ")),
        DEADLINE,
        || child.0.try_wait().unwrap(),
    );
    let [out, err] = readers.map(|reader| reader.join().unwrap());
    Said { status, out, err }
}

/// Runs a line as a shell would in `folder`, with the program's own folder on `PATH`; its standard output.
pub fn shell(folder: &Path, line: &str) -> String {
    let programs = target::profile_dir();
    let path = env::var("PATH").unwrap_or_default();
    let mut command = Command::new("sh");
    command
        .args(["-c", line])
        .current_dir(folder)
        .stdin(Stdio::null());
    command
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("XDG_CACHE_HOME", target::shared("cache"));
    // What steers the cargo that runs this test is not meant for a cargo of the line's.
    for (name, _) in
        env::vars().filter(|(name, _)| name.starts_with("CARGO_") && name != "CARGO_HOME")
    {
        command.env_remove(name);
    }
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn all(mut stream: impl Read) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
