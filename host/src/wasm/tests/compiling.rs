//! The compile child: this test binary plays it, in the test `child`.

use std::{
    fmt::Write,
    fs,
    os::fd::AsRawFd,
    time::{Duration, Instant},
};

use super::{
    Directory,
    guests::{Guest, limits},
};
use crate::{
    policy::{Loader, Refusal},
    snapshot::PolicyLimits,
    wasm::{CacheDir, Compiler, WasmLoader, WasmOptions, compile_child},
};

#[test]
#[ignore = "no test: the program that the tests of this file start"]
fn child() {
    // Without the three numbers somebody merely runs ignored tests.
    if std::env::args()
        .next_back()
        .is_some_and(|last| last.parse::<u64>().is_ok())
    {
        let status = compile_child::status();
        // Nothing was inherited beside the three; one is the listing itself.
        let descriptors = fs::read_dir("/proc/self/fd").unwrap().count();
        std::process::exit(if descriptors == 4 { status.into() } else { 100 });
    }
}

fn ourselves() -> Compiler {
    let arguments = [
        "--ignored",
        "--exact",
        "--nocapture",
        "wasm::tests::compiling::child",
    ];
    Compiler::Child {
        program: "/proc/self/exe".into(),
        arguments: arguments.map(Into::into).to_vec(),
    }
}

fn shell(script: &str) -> Compiler {
    Compiler::Child {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
    }
}

fn load(compiler: Compiler, wasm: &[u8], limits: &PolicyLimits) -> Result<(), Refusal> {
    let loader = WasmLoader::new(WasmOptions {
        compiler,
        ..WasmOptions::default()
    })
    .unwrap();
    loader.load("test", wasm, limits).map(drop)
}

/// Straight-line code costs memory by its length, loops by each local that is alive in them.
fn bomb(loops: usize, locals: usize) -> Vec<u8> {
    let mut text = String::from("(func $bomb (param i32) (result i32) (local");
    text.push_str(&" i32".repeat(locals));
    text.push(')');
    for at in 0..loops {
        let local = at % locals + 1;
        write!(text, "(loop (local.set {local} (i32.add (local.get {local}) (local.get 0))) (br_if 0 (local.get {local})))")
            .unwrap();
    }
    for local in 1..=locals {
        write!(
            text,
            "(local.set 0 (i32.add (local.get 0) (local.get {local})))"
        )
        .unwrap();
    }
    text.push_str("(local.get 0))");
    Guest {
        fields: text.leak(),
        ..Guest::default()
    }
    .wasm()
}

#[test]
fn a_child_compiles_what_this_process_can_run() {
    // A descriptor that a library forgot to mark as close-on-exec.
    let forgotten = fs::File::open("/proc/self/exe").unwrap();
    // SAFETY: no pointers.
    assert_eq!(
        unsafe { libc::fcntl(forgotten.as_raw_fd(), libc::F_SETFD, 0) },
        0
    );
    load(ourselves(), &Guest::default().wasm(), &limits()).unwrap();
}

#[test]
fn what_is_wrong_with_a_file_comes_back_from_the_child() {
    let mut wasm = Guest::default().wasm();
    let length = wasm.len();
    wasm.truncate(length - 1);
    wasm.extend_from_slice(b"\x0b\x0b");
    let refused = load(ourselves(), &wasm, &limits()).unwrap_err();
    assert!(
        matches!(&refused, Refusal::NotAPolicy(text) if text.starts_with("`test` ")),
        "{refused:?}"
    );
}

#[test]
fn a_module_that_takes_too_long_is_refused_within_its_limits() {
    let limits = PolicyLimits {
        compile_time: Duration::from_secs(1),
        module_size: 64 << 20,
        ..limits()
    };
    let began = Instant::now();
    let refused = load(ourselves(), &bomb(20_000, 800), &limits).unwrap_err();
    assert!(
        matches!(&refused, Refusal::Compile(text) if text.contains("compile_time")),
        "{refused:?}"
    );
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "took {:?}",
        began.elapsed()
    );
}

#[test]
fn a_module_that_takes_too_much_memory_is_refused_within_its_limits() {
    let limits = PolicyLimits {
        compile_memory: 48 << 20,
        module_size: 64 << 20,
        ..limits()
    };
    let refused = load(ourselves(), &bomb(20_000, 800), &limits).unwrap_err();
    assert!(
        matches!(&refused, Refusal::Compile(text) if text.contains("compile_memory")),
        "{refused:?}"
    );
}

#[test]
fn a_child_that_hangs_or_dies_or_lies_is_an_error_and_leaves_nothing_behind() {
    let wasm = Guest::default().wasm();
    let short = PolicyLimits {
        compile_time: Duration::from_millis(100),
        ..limits()
    };
    let cases = [
        (shell("sleep 60"), "did not end within"),
        (shell("kill -SEGV $$"), "died of signal 11"),
        (shell("kill -9 $$"), "died of signal 9"),
        (
            shell("echo 'memory allocation of 9 bytes failed' >&2; kill -ABRT $$"),
            "compile_memory",
        ),
        (shell("exit 0"), "without code"),
        (shell("echo code; exit 0"), "without code"),
        (shell("exit 7"), "ended with Some(7)"),
        (
            Compiler::Child {
                program: "/no/such/program".into(),
                arguments: vec![],
            },
            "cannot be started",
        ),
    ];
    for (compiler, expected) in cases {
        let refused = load(compiler, &wasm, &short).unwrap_err();
        assert!(
            matches!(&refused, Refusal::Compile(text) if text.contains(expected)),
            "{refused:?}"
        );
    }
}

#[test]
fn the_child_inherits_no_environment() {
    // Exit code 3 makes what it says the refusal's text.
    let refused = load(
        shell("echo \"[$CARGO_PKG_NAME$HOME]\" >&2; exit 3"),
        &Guest::default().wasm(),
        &limits(),
    );
    assert!(
        matches!(&refused, Err(Refusal::Compile(text)) if text.contains("[]")),
        "{refused:?}"
    );
}

#[test]
fn the_cache_spares_the_compiler() {
    let dir = Directory::new();
    let wasm = Guest::default().wasm();
    let load = |compiler| {
        let options = WasmOptions {
            compiler,
            cache: Some(CacheDir::open(dir.join("cache")).unwrap()),
            ..WasmOptions::default()
        };
        WasmLoader::new(options)
            .unwrap()
            .load("test", &wasm, &limits())
            .map(drop)
    };
    load(Compiler::InProcess).unwrap();
    load(shell("exit 1")).unwrap();
    // Damaged, it is compiled again and replaced.
    let file = fs::read_dir(dir.join("cache"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    fs::write(&file, b"SWYCODE1 and rubbish").unwrap();
    load(shell("exit 1")).unwrap_err();
    load(Compiler::InProcess).unwrap();
    load(shell("exit 1")).unwrap();
}
