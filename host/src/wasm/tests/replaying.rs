//! What is recorded replays bit for bit, and what another version reads is never guessed.

use std::{path::PathBuf, sync::Arc};

use super::{
    Directory,
    guests::{Guest, context, environment, limits, loader},
    moments::{Answered, Moment, members},
};
use crate::{
    builtin,
    decision::{
        Call, Failure,
        Hook::{self, Bind, Locate, OnRequest, OnResponse},
        Outcome, Trigger,
    },
    offline::{self, Change, ReplayError, ReplayOptions, Report},
    policy::{Exports, Instance, Loader, Module},
    recording::{Frames, Recorder, Recording, Source},
    snapshot::Record,
    wasm::WasmLoader,
};

/// What may be asked of a module.
struct Hooks {
    exports: Exports,
    triggers: Vec<(Hook, Trigger)>,
    by_hook: [Vec<Trigger>; 4],
}

impl Hooks {
    fn of(module: &dyn Module) -> Self {
        let triggers = module.describe(CONFIG, &environment()).unwrap().triggers;
        let of = |hook| {
            let own = triggers.iter().filter(|(of, _)| *of == hook);
            own.map(|(_, trigger)| trigger.clone()).collect()
        };
        Self {
            exports: module.exports(),
            by_hook: [Locate, Bind, OnRequest, OnResponse].map(of),
            triggers,
        }
    }
}

/// Puts all that its module exports to an instance.
fn exercise(hooks: &Hooks, instance: &mut dyn Instance, number: u64) {
    let exports = hooks.exports;
    let moment = Moment::new(number);
    let response = Answered(&moment);
    let call = |response, triggers: &[Trigger]| Call {
        request: Some(&moment),
        response,
        pool: None,
        triggered: Trigger::look(triggers, &moment, response).unwrap_or(0),
        now_us: 1_000 * number,
        wall_ms: 1_700_000_000_000 + number,
    };
    let [locate, bind, on_request, on_response] = &hooks.by_hook;
    if exports.membership && number.is_multiple_of(500) {
        instance
            .members_changed(1 + number / 500, &members(4 - number / 500 % 2))
            .unwrap();
    }
    if exports.balancer {
        let call = Call {
            pool: Some(&moment),
            ..call(None, &[])
        };
        instance.pick(&call, 0, number / 7).unwrap();
    }
    if exports.affinity {
        instance.locate(&call(None, locate)).unwrap();
        instance.bind(&call(Some(&response), bind)).unwrap();
    }
    if exports.rewriter {
        instance.on_request(&call(None, on_request)).unwrap();
        instance
            .on_response(&call(Some(&response), on_response))
            .unwrap();
    }
    if exports.observer && number.is_multiple_of(10) {
        let outcome = Outcome {
            revision: 1,
            member: 0,
            status: 200,
            failure: Failure::None,
            connect_us: 1,
            first_byte_us: 2,
            total_us: number as u32,
            bytes_in: 4,
            bytes_out: 5,
        };
        instance.completed(&[outcome; 3]).unwrap();
    }
    if exports.ticker && number.is_multiple_of(10) {
        instance.tick().unwrap();
    }
    if exports.handoff && number % 100 == 99 {
        instance.save().unwrap();
    }
}

const CONFIG: &str = "{}";

struct Recorded {
    path: PathBuf,
    _folder: Directory,
}

/// Records `calls` rounds of what `exercise` does to two replicas of a policy.
fn record(loader: &WasmLoader, wasm: &[u8], calls: u64, redact: &[&str]) -> Recorded {
    let folder = Directory::new();
    let path = folder.join("test.rec");
    let settings = Record {
        path: path.clone(),
        sample: 1.0,
        redact: redact.iter().map(ToString::to_string).collect(),
        max_size: 1 << 30,
    };
    let module = loader.load("test", wasm, &limits()).unwrap();
    let hooks = Hooks::of(module.as_ref());
    let recorder = Recorder::start("default", "test", settings).unwrap();
    let instance = || {
        let mut environment = environment();
        let recording = Recording::new(Arc::clone(&recorder), hooks.triggers.clone());
        environment.tape = Source::Record(recording);
        module
            .instantiate(CONFIG, &context(), &environment)
            .unwrap()
    };
    let (mut one, mut other) = (instance(), instance());
    for number in 0..calls {
        exercise(&hooks, one.as_mut(), number);
        exercise(&hooks, other.as_mut(), number);
    }
    if module.exports().handoff {
        // As a window begins in the middle of an instance's life.
        let state = one.save().unwrap();
        let mut heir = instance();
        heir.restore(&module.digest(), &[state]).unwrap().unwrap();
        heir.members_changed(9, &members(4)).unwrap();
        (1..500).for_each(|number| exercise(&hooks, heir.as_mut(), number));
    }
    drop((one, other));
    recorder.finish();
    assert_eq!(recorder.status().dropped, 0);
    Recorded {
        path,
        _folder: folder,
    }
}

fn replay(loader: &WasmLoader, recorded: &Recorded, wasm: &[u8]) -> Result<Report, ReplayError> {
    let module = loader.load("test", wasm, &limits()).unwrap();
    let options = ReplayOptions {
        config: None,
        limits: limits(),
        examples: 3,
    };
    offline::replay(Frames::open(&recorded.path).unwrap(), &module, &options)
}

#[test]
fn all_built_in_policies_replay_bit_for_bit() {
    let loader = loader();
    for policy in builtin::all() {
        let recorded = record(&loader, policy.wasm, 2_000, &[]);
        let report = replay(&loader, &recorded, policy.wasm).unwrap();
        assert!(report.is_same(), "{}: {report:#?}", policy.name);
        assert!(report.decisions.unchanged >= 4_000, "{report:#?}");
    }
}

#[test]
fn redacted_recordings_of_sessions_replay_too_and_hold_none() {
    let loader = loader();
    for name in ["jsessionid", "reverse"] {
        let wasm = builtin::find(name).unwrap().wasm;
        let redact = ["cookie", "set-cookie", "jsessionid"];
        let recorded = record(&loader, wasm, 100, &redact);
        let bytes = std::fs::read(&recorded.path).unwrap();
        for secret in [&b"S77"[..], b"P75", b"Q76"] {
            assert!(memchr::memmem::find(&bytes, secret).is_none(), "{name}");
        }
        let report = replay(&loader, &recorded, wasm).unwrap();
        assert!(report.is_same(), "{name}: {report:#?}");
    }
}

/// Picks by chance, by a cell that others write too, and by the store.
const STATEFUL: Guest = Guest {
    fields: r#"(import "switchyard:policy/entropy@0.1.0" "next" (func $chance (result i64)))
        (import "switchyard:policy/clock@0.1.0" "now-us" (func $now (result i64)))
        (import "switchyard:policy/store@0.1.0" "get" (func $get (param i32 i32 i32)))
        (import "switchyard:policy/store@0.1.0" "put" (func $put (param i32 i32 i32 i32 i32)))
        (import "switchyard:policy/shared@0.1.0" "[static]cells.open" (func $open (param i32 i32 i32 i32)))
        (import "switchyard:policy/shared@0.1.0" "[method]cells.fetch-add" (func $add (param i32 i32 i64) (result i64)))
        (data (i32.const 512) "tickets")"#,
    pages: 2,
    describe: "(i32.const 1024)",
    init: "(call $open (i32.const 512) (i32.const 7) (i32.const 1) (i32.const 2048)) (i32.const 1024)",
    members_changed: "",
    pick: "(call $get (i32.const 512) (i32.const 3) (i32.const 3072))
        (if (i32.load8_u (i32.const 3072)) (then (local.set $i (i32.load (i32.const 3080)))))
        (call $put (i32.const 512) (i32.const 3) (i32.const 4096)
            (i32.and (i32.add (local.get $i) (i32.const 1)) (i32.const 63)) (i32.const 0))
        (i32.store (i32.const 1028) (i32.and (i32.const 3)
            (i32.wrap_i64 (i64.add (i64.add (call $chance) (call $now))
                (i64.add (i64.extend_i32_u (local.get $i))
                    (call $add (i32.load (i32.const 2052)) (i32.const 0) (i64.const 1)))))))
        (i32.const 1024)",
};

#[test]
fn chance_cells_and_store_replay_bit_for_bit() {
    let loader = loader();
    let wasm = STATEFUL.wasm();
    let recorded = record(&loader, &wasm, 3_000, &[]);
    let report = replay(&loader, &recorded, &wasm).unwrap();
    assert!(report.is_same(), "{report:#?}");
    assert_eq!(report.decisions.unchanged, 6_000);
}

#[test]
fn what_the_recording_lacks_is_named_and_never_guessed() {
    let loader = loader();
    let recorded = record(&loader, &STATEFUL.wasm(), 10, &[]);
    // Adds two where the recorded version added one.
    let other = Guest {
        pick: "(i32.store (i32.const 1028) (i32.wrap_i64
                (call $add (i32.load (i32.const 2052)) (i32.const 0) (i64.const 2)))) (i32.const 1024)",
        ..STATEFUL
    };
    let report = replay(&loader, &recorded, &other.wasm()).unwrap();
    assert_eq!(report.decisions.indeterminate, 20, "{report:#?}");
    let why = report.examples[0].why.as_deref().unwrap();
    assert!(
        why.contains("shared.cells.fetch-add(\"tickets\", 0, 2)"),
        "{why}"
    );
    // Asks for a method that nobody had asked for.
    let asking = Guest {
        fields: r#"(import "switchyard:policy/request@0.1.0" "method" (func $method (param i32)))"#,
        pick: "(call $method (i32.const 2048)) (i32.const 1024)",
        ..Guest::default()
    };
    let report = replay(&loader, &recorded, &asking.wasm()).unwrap();
    assert_eq!(report.decisions.indeterminate, 20, "{report:#?}");
    assert_eq!(
        report.examples[0].why.as_deref(),
        Some("reads request.method(), which the recording lacks")
    );
}

#[test]
fn decisions_that_change_are_shown_with_both_versions_words() {
    let loader = loader();
    let recorded = record(&loader, &Guest::default().wasm(), 10, &[]);
    let second = Guest {
        pick: "(i32.store (i32.const 1028) (i32.const 1)) (i32.const 1024)",
        ..Guest::default()
    };
    let report = replay(&loader, &recorded, &second.wasm()).unwrap();
    assert_eq!((report.decisions.changed, report.examples.len()), (20, 3));
    let first = &report.examples[0];
    assert_eq!(first.recorded, "member 0 (http://10.0.0.0/webapp)");
    assert_eq!(
        first.replayed.as_deref(),
        Some("member 1 (http://10.0.0.1/webapp)")
    );
    assert_eq!(first.change, Change::Changed);
    let traps = Guest {
        pick: "unreachable",
        ..Guest::default()
    };
    let report = replay(&loader, &recorded, &traps.wasm()).unwrap();
    // Five faults in each window, then the gateway would have asked no more.
    assert_eq!(report.decisions.changed, 10, "{report:#?}");
    assert_eq!(report.decisions.indeterminate, 10, "{report:#?}");
}

#[test]
fn another_kind_of_policy_is_refused() {
    let loader = loader();
    let recorded = record(&loader, &Guest::default().wasm(), 1, &[]);
    let rewriter = builtin::find("reverse").unwrap().wasm;
    assert!(matches!(
        replay(&loader, &recorded, rewriter),
        Err(ReplayError::WrongKind { hook: "pick", .. })
    ));
}

#[test]
fn cut_file_replays_to_its_last_whole_call() {
    let loader = loader();
    let wasm = builtin::find("byrequests").unwrap().wasm;
    let recorded = record(&loader, wasm, 50, &[]);
    let bytes = std::fs::read(&recorded.path).unwrap();
    std::fs::write(&recorded.path, &bytes[..bytes.len() / 2]).unwrap();
    let report = replay(&loader, &recorded, wasm).unwrap();
    assert!(report.is_same() && report.truncated, "{report:#?}");
    assert!(
        (100..599).contains(&report.decisions.unchanged),
        "{report:#?}"
    );
}
