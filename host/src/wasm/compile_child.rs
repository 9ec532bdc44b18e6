//! The process that compiles one policy and ends.
//!
//! `switchyard __compile-policy <compatibility> <cpu seconds> <memory bytes>`,
//! started by `compiler`. The module is on descriptor 0, the code goes to 1 and
//! is sealed, what went wrong goes to 2; all three are anonymous files. Nothing
//! hostile has been read before the limits are in place.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix,
    },
    process::ExitCode,
};

use super::{
    compile::{CompileError, compile},
    engine, memfd,
};
use crate::policy::step_back;

/// The hidden command that leads to [`main`].
pub const COMMAND: &str = "__compile-policy";

/// The file is no policy; the reason is on descriptor 2.
pub(super) const INVALID: u8 = 2;
/// The compiler failed; likewise.
pub(super) const FAILED: u8 = 3;

/// The largest code or module that is read whole.
pub(super) const LARGEST: u64 = 1 << 30;

/// Compiles what is on standard input. The bounds are the last three arguments.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::from(status())
}

/// What it ends with.
pub(super) fn status() -> u8 {
    let args: Vec<String> = std::env::args().collect();
    let last = args
        .last_chunk::<3>()
        .map(|args| args.each_ref().map(|arg| arg.parse::<u64>()));
    let Some([Ok(compatibility), Ok(cpu), Ok(memory)]) = last else {
        eprintln!("This is a command of the gateway's own: it compiles a policy within limits.");
        return FAILED;
    };
    match run(compatibility, cpu, memory) {
        Ok(()) => 0,
        Err(CompileError::Invalid(why)) => leave(INVALID, &why),
        Err(CompileError::Failed(why) | CompileError::Bound(_, why)) => leave(FAILED, &why),
    }
}

fn leave(code: u8, why: &str) -> u8 {
    // Where this fails too, the exit code alone has to do.
    let _ = io::stderr().write_all(why.as_bytes());
    code
}

fn run(compatibility: u64, cpu: u64, memory: u64) -> Result<(), CompileError> {
    confine(cpu, memory).map_err(failed("cannot limit itself"))?;
    let engine = engine::compiler_for(compatibility)
        .map_err(|error| CompileError::Failed(format!("cannot set up: {error:#}")))?;
    let engine = engine.ok_or_else(|| {
        CompileError::Failed("is another version than the gateway; restart the gateway".into())
    })?;
    let wasm = memfd::read(&duplicate(io::stdin().as_fd())?, LARGEST)
        .map_err(failed("cannot read the module"))?;
    let code = compile(&engine, &wasm)?;
    let mut out = duplicate(io::stdout().as_fd())?;
    let written = out
        .set_len(0)
        .and_then(|()| io::Seek::rewind(&mut out))
        .and_then(|()| out.write_all(&code));
    written
        .and_then(|()| memfd::seal(&out))
        .map_err(failed("cannot hand over the code"))
}

fn duplicate(fd: BorrowedFd<'_>) -> Result<File, CompileError> {
    fd.try_clone_to_owned()
        .map(File::from)
        .map_err(failed("has no descriptors"))
}

fn failed(what: &'static str) -> impl Fn(io::Error) -> CompileError {
    move |error| CompileError::Failed(format!("{what}: {error}"))
}

/// Takes from this process what compiling does not need.
fn confine(cpu: u64, memory: u64) -> io::Result<()> {
    // The gateway opens everything close-on-exec; this is for what a library forgot.
    // SAFETY: descriptors from 3 on belong to nobody in this fresh process.
    unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32) };
    // Not longer than the thread that waits; not in a debugger's or a core file's reach.
    // SAFETY: no pointers.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    }
    // After the gateway's workers where the processor is scarce, yet with a third of the
    // share that a worker has: at 10, a tenth, a new version took seconds under full load.
    step_back(unix::process::parent_id(), 5);
    limit(libc::RLIMIT_CORE, 0, 0)?;
    limit(libc::RLIMIT_FSIZE, memory, memory)?;
    // The soft limit's signal says why; the hard one kills if that is blocked.
    limit(libc::RLIMIT_CPU, cpu, cpu.saturating_add(1))?;
    // The allocator reserves address space that it does not use, so what is there
    // already is not counted. The gateway watches what is really resident.
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm
        .split(' ')
        .next()
        .and_then(|pages| pages.parse().ok())
        .unwrap_or(0);
    let most = memory.saturating_add(pages.saturating_mul(page_size()));
    limit(libc::RLIMIT_AS, most, most)
}

fn limit(resource: libc::__rlimit_resource_t, soft: u64, hard: u64) -> io::Result<()> {
    let limits = libc::rlimit {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: a valid struct, which is only read.
    let done = unsafe { libc::setrlimit(resource, &raw const limits) };
    let error = io::Error::last_os_error();
    // EPERM: a lower hard limit is in force already.
    if done == 0 || error.raw_os_error() == Some(libc::EPERM) {
        Ok(())
    } else {
        Err(error)
    }
}

/// Bytes.
pub(super) fn page_size() -> u64 {
    // SAFETY: no pointers.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}
