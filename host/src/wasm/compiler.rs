//! Has policies compiled, each in a child process of its own that cannot outlive its
//! bounds. Who goes first is decided in `queue`.
//!
//! Built-in policies take the same way. Compiled in this process, five of them
//! left 35 MB of the compiler's heap behind (50 MB resident in all, against
//! 18 MB with the child), and a gateway is to start within 40.

use std::{
    ffi::OsString,
    fs::File,
    io,
    os::{fd::AsRawFd, unix::process::ExitStatusExt},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use super::{
    check,
    compile::{CompileError, compile},
    compile_child::{self, FAILED, INVALID, page_size},
    engine::PolicyEngine,
    fault::cut,
    memfd,
};
use crate::{
    policy::{Digest, Refusal},
    snapshot::PolicyLimits,
};

/// How often the child's memory is looked at: it can fill some 10 MB meanwhile.
const LOOK: Duration = Duration::from_millis(10);

/// Bytes of what the child has to say.
const MESSAGE: u64 = 2048;

/// Who compiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compiler {
    /// A child process: this program with these arguments, see
    /// [`compile_child::main`](super::compile_child::main).
    Child {
        /// What to run.
        program: PathBuf,
        /// Its first arguments.
        arguments: Vec<OsString>,
    },
    /// This process, without any bound on time and memory, and the compiler's
    /// memory stays with it. For tests and for policies that are trusted.
    InProcess,
}

impl Default for Compiler {
    /// The running program itself, also after its file was replaced on disk.
    fn default() -> Self {
        Self::Child {
            program: "/proc/self/exe".into(),
            arguments: vec![compile_child::COMMAND.into()],
        }
    }
}

impl Compiler {
    /// The code of `wasm` in a sealed file, or why there is none.
    pub(super) fn code(
        &self,
        engine: &PolicyEngine,
        wasm: &[u8],
        digest: Digest,
        limits: &PolicyLimits,
    ) -> Result<File, Refusal> {
        let code = match self {
            Self::InProcess => compile(&engine.engine, wasm).and_then(|code| {
                let sealed = memfd::sealed(c"code", &code);
                sealed.map_err(|error| {
                    CompileError::Failed(format!("no place for the code: {error}"))
                })
            }),
            Self::Child { program, arguments } => {
                let mut command = Command::new(program);
                command.args(arguments);
                supervise(command, engine.compatibility, wasm, limits)
            }
        };
        code.map_err(|error| match error {
            CompileError::Invalid(why) => check::not_a_policy(why),
            CompileError::Failed(why) => Refusal::Compile(why),
            CompileError::Bound(key, why) => Refusal::Compile(format!(
                "{why}; make the policy smaller or, if you trust it, raise `compile_{key}`, for this \
                 file alone with [compile.{digest}] {key} = …"
            )),
        })
    }
}

/// Runs the child to its end, whichever that is.
fn supervise(
    mut command: Command,
    compatibility: u64,
    wasm: &[u8],
    limits: &PolicyLimits,
) -> Result<File, CompileError> {
    let failed = |error: io::Error| {
        CompileError::Failed(format!(
            "the compile process cannot be started: {error}. It needs memory, a free process slot and /proc"
        ))
    };
    let input = memfd::sealed(c"policy", wasm).map_err(failed)?;
    let output = memfd::create(c"code").map_err(failed)?;
    let message = memfd::create(c"message").map_err(failed)?;
    // Whole seconds, since that is what the system counts; the gateway counts finer.
    let cpu = limits.compile_time.as_secs() + u64::from(limits.compile_time.subsec_nanos() > 0);
    command
        .args([compatibility, cpu, limits.compile_memory as u64].map(|number| number.to_string()))
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(input))
        .stdout(Stdio::from(output.try_clone().map_err(failed)?))
        .stderr(Stdio::from(message.try_clone().map_err(failed)?));
    let mut child = Reaped(command.spawn().map_err(failed)?);
    let status = child.watch(limits)?;
    judge(status, &message, limits)?;
    if memfd::is_sealed(&output) {
        Ok(output)
    } else {
        Err(CompileError::Failed(
            "the compile process ended without code".into(),
        ))
    }
}

/// A child that is killed and reaped whatever happens.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // An error means that it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Reaped {
    /// Waits for its end, or ends it when it goes over a bound.
    fn watch(&mut self, limits: &PolicyLimits) -> Result<ExitStatus, CompileError> {
        // Twice the CPU time: the child runs behind the workers. A second for its start.
        let wall = limits.compile_time * 2 + Duration::from_secs(1);
        let until = Instant::now() + wall;
        let ended = Exited::of(&self.0);
        loop {
            let status = self.0.try_wait();
            let status = status.map_err(|error| {
                CompileError::Failed(format!("the compile process is lost: {error}"))
            })?;
            if let Some(status) = status {
                return Ok(status);
            }
            if self
                .resident()
                .is_some_and(|bytes| bytes > limits.compile_memory as u64)
            {
                return Err(over_memory(limits));
            }
            if Instant::now() >= until {
                return Err(CompileError::Bound(
                    "time",
                    format!("compiling did not end within {wall:?} (the machine is busy)"),
                ));
            }
            ended.wait(LOOK);
        }
    }

    /// Bytes of memory that are the child's alone; `None` once it has ended.
    fn resident(&self) -> Option<u64> {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.0.id())).ok()?;
        let mut pages = statm
            .split(' ')
            .skip(1)
            .map(|pages| pages.parse::<u64>().ok());
        let (resident, shared) = (pages.next()??, pages.next()??);
        Some(resident.saturating_sub(shared) * page_size())
    }
}

/// Tells when a process has ended, without a poll where the kernel can (5.3).
struct Exited(Option<File>);

impl Exited {
    fn of(child: &Child) -> Self {
        // SAFETY: no pointers; the child has not been reaped, so the number is its own.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) };
        let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0);
        // SAFETY: a new descriptor that nobody else owns.
        Self(fd.map(|fd| unsafe { std::os::fd::FromRawFd::from_raw_fd(fd) }))
    }

    fn wait(&self, most: Duration) {
        let Some(file) = &self.0 else {
            return std::thread::sleep(most);
        };
        let mut poll = libc::pollfd {
            fd: file.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let milliseconds = i32::try_from(most.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: one valid entry. An error means a signal: the caller looks again anyway.
        unsafe { libc::poll(&raw mut poll, 1, milliseconds) };
    }
}

/// What its end says.
fn judge(status: ExitStatus, message: &File, limits: &PolicyLimits) -> Result<(), CompileError> {
    let said = || {
        let bytes = memfd::read(message, MESSAGE).unwrap_or_default();
        let text: String = String::from_utf8_lossy(&bytes)
            .chars()
            .filter(|c| !c.is_control() || *c == '\n')
            .collect();
        cut(text, MESSAGE as usize)
    };
    if status.success() {
        return Ok(());
    }
    Err(match (status.code(), status.signal()) {
        (Some(code), _) if code == i32::from(INVALID) => CompileError::Invalid(said()),
        (Some(code), _) if code == i32::from(FAILED) => {
            CompileError::Failed(format!("the compile process {}", said()))
        }
        (_, Some(libc::SIGXCPU)) => CompileError::Bound(
            "time",
            format!(
                "compiling took more than {:?} of CPU time",
                limits.compile_time
            ),
        ),
        // How an allocation that failed ends.
        (_, Some(libc::SIGABRT)) if said().contains("memory allocation") => over_memory(limits),
        (_, Some(signal)) => CompileError::Failed(format!(
            "the compile process died of signal {signal}, as when the system is out of memory"
        )),
        (code, None) => CompileError::Failed(format!(
            "the compile process ended with {code:?}: {}",
            said()
        )),
    })
}

fn over_memory(limits: &PolicyLimits) -> CompileError {
    CompileError::Bound(
        "memory",
        format!(
            "compiling took more than {} bytes of memory",
            limits.compile_memory
        ),
    )
}
