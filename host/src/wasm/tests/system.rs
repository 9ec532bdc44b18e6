//! What guests find that call a system: C's standard library does it as here, through preview 1.

use super::guests::{Guest, NOTHING, load, start};
use crate::{
    decision::Verdict,
    policy::{Fault, Refusal},
};

/// What `pick` answers: the number that it stored at 1028, which is part of the verdict at 1024.
fn asks(imports: &'static str, pick: &'static str) -> Result<u32, Fault> {
    let guest = Guest {
        fields: imports,
        // The adapter takes a page for itself.
        pages: 8,
        pick,
        ..Guest::default()
    };
    start(&guest)
        .pick(&NOTHING, 0, 0)
        .map(|verdict| match verdict {
            Verdict::Member(number) => number,
            other => panic!("{other:?}"),
        })
}

/// Fields that import `name` with this type.
macro_rules! import {
    ($name:literal, $type:literal) => {
        concat!(
            "(import \"wasi_snapshot_preview1\" \"",
            $name,
            "\" (func $f ",
            $type,
            "))"
        )
    };
}

#[test]
fn environment_and_arguments_are_empty() {
    for imports in [
        import!("environ_sizes_get", "(param i32 i32) (result i32)"),
        import!("args_sizes_get", "(param i32 i32) (result i32)"),
    ] {
        let count = asks(
            imports,
            "(i32.store (i32.const 2048) (i32.const 77))
             (if (call $f (i32.const 2048) (i32.const 2052)) (then unreachable))
             (i32.store (i32.const 1028) (i32.load (i32.const 2048)))
             (i32.const 1024)",
        );
        assert_eq!(count, Ok(0), "{imports}");
    }
}

#[test]
fn clocks_are_the_calls_own_and_stand_still() {
    let imports = import!("clock_time_get", "(param i32 i64 i32) (result i32)");
    let monotonic = asks(
        imports,
        "(if (call $f (i32.const 1) (i64.const 0) (i32.const 2048)) (then unreachable))
         (i32.store (i32.const 1028) (i32.wrap_i64 (i64.load (i32.const 2048))))
         (i32.const 1024)",
    );
    assert_eq!(monotonic, Ok(1_000), "a microsecond in nanoseconds");
    let wall = asks(
        imports,
        "(if (call $f (i32.const 0) (i64.const 0) (i32.const 2048)) (then unreachable))
         (i32.store (i32.const 1028) (i32.wrap_i64 (i64.load (i32.const 2048))))
         (i32.const 1024)",
    );
    assert_eq!(wall, Ok(2_000_000), "two milliseconds in nanoseconds");
}

#[test]
fn chance_comes_from_the_seed() {
    let ask = || {
        asks(
            import!("random_get", "(param i32 i32) (result i32)"),
            "(if (call $f (i32.const 1028) (i32.const 4)) (then unreachable)) (i32.const 1024)",
        )
        .unwrap()
    };
    let first = ask();
    assert_ne!(first, 0);
    assert_eq!(ask(), first, "the same for the same seed");
}

#[test]
fn exit_ends_the_instance_and_is_named() {
    let Err(Fault::Trap(text)) = asks(
        import!("proc_exit", "(param i32)"),
        "(call $f (i32.const 3)) (i32.const 1024)",
    ) else {
        panic!("it went on")
    };
    assert!(text.contains("exited with status 1"), "{text}");
}

#[test]
fn sleep_is_over_at_once() {
    // One subscription: clock 1 (monotonic), an hour from now.
    let errno = asks(
        import!("poll_oneoff", "(param i32 i32 i32 i32) (result i32)"),
        "(i64.store (i32.const 2048) (i64.const 7))
         (i32.store8 (i32.const 2056) (i32.const 0))
         (i32.store (i32.const 2064) (i32.const 1))
         (i64.store (i32.const 2072) (i64.const 3600000000000))
         (i32.store (i32.const 1028)
            (call $f (i32.const 2048) (i32.const 4096) (i32.const 1) (i32.const 2040)))
         (i32.const 1024)",
    );
    assert_eq!(errno, Ok(0));
}

#[test]
fn no_folder_is_open() {
    const BADF: u32 = 8;
    let first = asks(
        import!("fd_prestat_get", "(param i32 i32) (result i32)"),
        "(i32.store (i32.const 1028) (call $f (i32.const 3) (i32.const 2048))) (i32.const 1024)",
    );
    assert_eq!(first, Ok(BADF));
}

#[test]
fn what_is_printed_is_taken_and_charged() {
    // One vector of four bytes to standard output, then 5 MiB of them.
    let imports = concat!(
        "(import \"wasi_snapshot_preview1\" \"fd_write\"
            (func $f (param i32 i32 i32 i32) (result i32)))",
        "(data (i32.const 2100) \"hi!\\n\")"
    );
    let errno = asks(
        imports,
        "(i32.store (i32.const 2048) (i32.const 2100))
         (i32.store (i32.const 2052) (i32.const 4))
         (i32.store (i32.const 1028)
            (call $f (i32.const 1) (i32.const 2048) (i32.const 1) (i32.const 2056)))
         (i32.const 1024)",
    );
    assert_eq!(errno, Ok(0));
    let fault = asks(
        imports,
        "(i32.store (i32.const 2048) (i32.const 2100))
         (i32.store (i32.const 2052) (i32.const 4))
         (loop $again
            (drop (call $f (i32.const 1) (i32.const 2048) (i32.const 1) (i32.const 2056)))
            (br $again))
         (i32.const 1024)",
    );
    assert!(
        matches!(
            fault,
            Err(Fault::HostLimit("log lines" | "host calls") | Fault::Deadline(_))
        ),
        "{fault:?}"
    );
}

#[test]
fn an_import_of_anything_else_is_refused_by_name() {
    let guest = Guest {
        fields: r#"(import "env" "system" (func (param i32)))"#,
        ..Guest::default()
    };
    let refused = load(&guest.wasm());
    assert!(
        matches!(&refused, Err(Refusal::NotAPolicy(text)) if text.contains("env")),
        "{refused:?}"
    );
}
