//! What the host gives a guest, and how much of it.

use std::{
    io,
    sync::{Arc, Mutex},
};

use super::guests::{
    Guest, NOTHING, Pool, Request, context, environment, limits, loader, start, start_unhurried,
};
use crate::{
    decision::{Call, Context, Verdict},
    policy::{Environment, Fault, Instance, Loader},
    wasm::{SampleValue, WasmLoader},
};

fn start_as(
    loader: &WasmLoader,
    guest: &Guest,
    context: &Context,
    environment: &Environment,
) -> Box<dyn Instance> {
    let module = loader.load("test", &guest.wasm(), &limits()).unwrap();
    module.instantiate("{}", context, environment).unwrap()
}

fn member(instance: &mut Box<dyn Instance>, call: &Call<'_>) -> u32 {
    match instance.pick(call, 0, 0) {
        Ok(Verdict::Member(at)) => at,
        other => panic!("{other:?}"),
    }
}

#[test]
fn columns_and_texts_arrive_whole() {
    // in-flight[2] + elected[2] + tried[0] + usable[2] + the length of the method
    let guest = Guest {
        fields: r#"(import "switchyard:policy/pool@0.1.0" "in-flight" (func $in_flight (param i32)))
            (import "switchyard:policy/pool@0.1.0" "elected" (func $elected (param i32)))
            (import "switchyard:policy/pool@0.1.0" "usable" (func $usable (param i32)))
            (import "switchyard:policy/request@0.1.0" "tried" (func $tried (param i32)))
            (import "switchyard:policy/request@0.1.0" "method" (func $method (param i32)))"#,
        pick: "(call $in_flight (i32.const 2048)) (call $elected (i32.const 2056)) (call $tried (i32.const 2064))
            (call $usable (i32.const 2072)) (call $method (i32.const 2080))
            (i32.store (i32.const 1028)
                (i32.add (i32.load offset=8 (i32.load (i32.const 2048)))
                (i32.add (i32.load offset=16 (i32.load (i32.const 2056)))
                (i32.add (i32.load (i32.load (i32.const 2064)))
                (i32.add (i32.load8_u offset=2 (i32.load (i32.const 2072)))
                         (i32.load (i32.const 2084)))))))
            (i32.const 1024)",
        ..Guest::default()
    };
    let call = Call {
        request: Some(&Request),
        pool: Some(&Pool),
        ..NOTHING
    };
    let mut instance = start(&guest);
    for _ in 0..3 {
        assert_eq!(member(&mut instance, &call), 9 + 90 + 2 + 1 + 3);
    }
}

#[test]
fn lines_of_several_headers_come_with_the_places_of_their_names() {
    // A digit each: how many lines, the places of both, whether each is whole; then the length of the base.
    let guest = Guest {
        fields: r#"(import "switchyard:policy/request@0.1.0" "lines" (func $lines (param i32 i32 i32)))
            (import "switchyard:policy/request@0.1.0" "original-base" (func $base (param i32)))
            (data (i32.const 512) "a,x-large,,x-large")
            (func $entry (param i32) (result i32) (i32.add (i32.load (i32.const 2048)) (local.get 0)))"#,
        pages: 2,
        pick: "(call $lines (i32.const 512) (i32.const 18) (i32.const 2048))
            (call $base (i32.const 2056))
            (i32.store (i32.const 1028)
                (i32.add (i32.mul (i32.load (i32.const 2052)) (i32.const 1000000))
                (i32.add (i32.mul (i32.load (call $entry (i32.const 0))) (i32.const 100000))
                (i32.add (i32.mul (i32.load (call $entry (i32.const 12))) (i32.const 10000))
                (i32.add (i32.mul (i32.eq (i32.load (call $entry (i32.const 8))) (i32.const 1024)) (i32.const 1000))
                (i32.add (i32.mul (i32.eq (i32.load (call $entry (i32.const 20))) (i32.const 1024)) (i32.const 100))
                         (i32.load (i32.const 2060))))))))
            (i32.const 1024)",
        ..Guest::default()
    };
    let call = Call {
        request: Some(&Request),
        ..NOTHING
    };
    let base = "http://example.org".len() as u32;
    assert_eq!(member(&mut start(&guest), &call), 2_131_100 + base);
}

#[test]
fn time_is_the_calls_and_chance_is_the_seeds() {
    let guest = Guest {
        fields: r#"(import "switchyard:policy/clock@0.1.0" "now-us" (func $now (result i64)))
            (import "switchyard:policy/clock@0.1.0" "wall-ms" (func $wall (result i64)))
            (import "switchyard:policy/entropy@0.1.0" "next" (func $next_word (result i64)))"#,
        pick: "(if (i32.eqz (local.get 0))
                (then (i32.store (i32.const 1028) (i32.wrap_i64 (i64.add (call $now) (call $wall)))))
                (else (i32.store (i32.const 1028) (i32.wrap_i64 (call $next_word)))))
            (i32.const 1024)",
        ..Guest::default()
    };
    let (mut first, mut again) = (start(&guest), start(&guest));
    assert_eq!(
        member(
            &mut first,
            &Call {
                now_us: 40,
                wall_ms: 2,
                ..NOTHING
            }
        ),
        42
    );
    let words =
        |instance: &mut Box<dyn Instance>| [0; 3].map(|_| instance.pick(&NOTHING, 1, 0).unwrap());
    let sequence = words(&mut first);
    assert_eq!(sequence, words(&mut again));
    assert_ne!(sequence[0], sequence[1]);
    let other = Context {
        replica: 1,
        replicas: 2,
        ..context()
    };
    assert_ne!(
        sequence,
        words(&mut start_as(&loader(), &guest, &other, &environment()))
    );
}

/// Counts its picks in a cell.
const COUNTING: Guest = Guest {
    fields: r#"(import "switchyard:policy/shared@0.1.0" "[static]cells.open" (func $open (param i32 i32 i32 i32)))
        (import "switchyard:policy/shared@0.1.0" "[method]cells.fetch-add" (func $add (param i32 i32 i64) (result i64)))
        (data (i32.const 512) "tickets")"#,
    pages: 2,
    // The error that `open` must give here: a descriptor is zeroes, so returning its
    // result as the descriptor's would make an error of it.
    describe: "(call $open (i32.const 512) (i32.const 7) (i32.const 1) (i32.const 2048))
        (if (i32.eqz (i32.load8_u (i32.const 2048))) (then unreachable)) (i32.const 1024)",
    init: "(call $open (i32.const 512) (i32.const 7) (i32.const 1) (i32.const 2048))
        (if (i32.load8_u (i32.const 2048)) (then unreachable)) (i32.const 1024)",
    members_changed: "(drop (call $add (i32.load (i32.const 2052)) (i32.const 1) (i64.const 0)))",
    pick: "(i32.store (i32.const 1028)
            (i32.wrap_i64 (call $add (i32.load (i32.const 2052)) (i32.const 0) (i64.const 1)))) (i32.const 1024)",
};

#[test]
fn cells_belong_to_a_binding_and_outlive_its_instances() {
    let loader = loader();
    let (here, there) = (
        context(),
        Context {
            binding: "default/other".into(),
            ..context()
        },
    );
    let mut a = start_as(&loader, &COUNTING, &here, &environment());
    let mut b = start_as(&loader, &COUNTING, &here, &environment());
    assert_eq!(
        [
            member(&mut a, &NOTHING),
            member(&mut b, &NOTHING),
            member(&mut a, &NOTHING)
        ],
        [0, 1, 2]
    );
    drop((a, b));
    let module = loader.load("test", &COUNTING.wasm(), &limits()).unwrap();
    let apart = module.instantiate_apart("{}", &here, &environment());
    assert_eq!(
        member(&mut apart.unwrap(), &NOTHING),
        3,
        "a trial goes on from a copy"
    );
    assert_eq!(
        member(
            &mut start_as(&loader, &COUNTING, &here, &environment()),
            &NOTHING
        ),
        3
    );
    assert_eq!(
        member(
            &mut start_as(&loader, &COUNTING, &there, &environment()),
            &NOTHING
        ),
        0
    );
    let stranger = Environment {
        tenant: "acme".into(),
        ..environment()
    };
    assert_eq!(
        member(
            &mut start_as(&loader, &COUNTING, &here, &stranger),
            &NOTHING
        ),
        0
    );
}

#[test]
fn a_bad_cell_index_traps_and_describe_has_no_cells() {
    let loader = loader();
    let module = loader.load("test", &COUNTING.wasm(), &limits()).unwrap();
    module.describe("{}", &environment()).unwrap();
    let Err(Fault::Trap(text)) =
        start_as(&loader, &COUNTING, &context(), &environment()).members_changed(1, &[])
    else {
        panic!("no trap")
    };
    assert!(text.contains("index 1 of 1"), "{text}");
}

#[test]
fn the_store_is_the_tenants() {
    // Answers the length of the value found, then adds one byte to it.
    let guest = Guest {
        fields: r#"(import "switchyard:policy/store@0.1.0" "get" (func $get (param i32 i32 i32)))
            (import "switchyard:policy/store@0.1.0" "put" (func $put (param i32 i32 i32 i32 i32)))
            (data (i32.const 512) "key")"#,
        pick: "(call $get (i32.const 512) (i32.const 3) (i32.const 2048))
            (if (i32.load8_u (i32.const 2048)) (then (local.set $i (i32.load (i32.const 2056)))))
            (call $put (i32.const 512) (i32.const 3) (i32.const 4096) (i32.add (local.get $i) (i32.const 1)) (i32.const 0))
            (i32.store (i32.const 1028) (local.get $i)) (i32.const 1024)",
        ..Guest::default()
    };
    let loader = loader();
    let other_policy = Environment {
        policy: "other".into(),
        ..environment()
    };
    let other_tenant = Environment {
        tenant: "acme".into(),
        ..environment()
    };
    let mut first = start_as(&loader, &guest, &context(), &environment());
    let mut second = start_as(&loader, &guest, &context(), &other_policy);
    assert_eq!(
        [member(&mut first, &NOTHING), member(&mut second, &NOTHING)],
        [0, 1]
    );
    assert_eq!(
        member(
            &mut start_as(&loader, &guest, &context(), &other_tenant),
            &NOTHING
        ),
        0
    );
}

/// Everything that was logged while `work` ran.
fn logged(work: impl FnOnce()) -> String {
    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let buffer = Buffer::default();
    let writer = buffer.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, work);
    let bytes = buffer.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

const LOG: &str = r#"(import "switchyard:policy/log@0.1.0" "log" (func $log (param i32 i32 i32)))
    (func $lines (param i32 i32)
        (loop $again
            (call $log (i32.const 3) (i32.const 4096) (local.get 1))
            (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
            (br_if $again (local.get 0))))
    (data (i32.const 4096) "line one\nline two\1b[2J")"#;

#[test]
fn a_line_carries_its_policy_and_nothing_a_terminal_obeys() {
    let guest = Guest {
        fields: LOG,
        pick: "(call $lines (i32.const 1) (i32.const 21)) (i32.const 1024)",
        ..Guest::default()
    };
    let mut instance = start(&guest);
    let log = logged(|| assert_eq!(member(&mut instance, &NOTHING), 0));
    assert!(
        log.contains("WARN") && log.contains("tenant=\"default\" policy=\"test\""),
        "{log}"
    );
    assert!(log.contains(r"line one\nline two\u{1b}[2J"), "{log}");
}

#[test]
fn a_flood_of_lines_is_rationed_and_the_policy_goes_on() {
    // A megabyte: nine hundred lines of more than a kilobyte.
    let guest = Guest {
        fields: LOG,
        pick: "(memory.fill (i32.const 4096) (i32.const 120) (i32.const 1200))
            (call $lines (i32.const 900) (i32.const 1200)) (i32.const 1024)",
        ..Guest::default()
    };
    let mut instance = start_unhurried(&guest);
    let log = logged(|| {
        assert_eq!(instance.pick(&NOTHING, 0, 0), Ok(Verdict::Member(0)));
        assert_eq!(instance.pick(&NOTHING, 0, 0), Ok(Verdict::Member(0)));
    });
    // Three fit in the second's 4096 bytes; a slow machine earns some more meanwhile.
    let lines = log.lines().filter(|line| line.contains("xxx")).count();
    assert!((3..100).contains(&lines), "{lines} lines");
}

#[test]
fn a_megabyte_in_one_message_is_cut() {
    let guest = Guest {
        fields: LOG,
        pages: 20,
        pick: "(call $lines (i32.const 1) (i32.const 1048576)) (i32.const 1024)",
        ..Guest::default()
    };
    let mut instance = start_unhurried(&guest);
    let log = logged(|| {
        assert_eq!(instance.pick(&NOTHING, 0, 0), Ok(Verdict::Member(0)));
    });
    assert!(log.len() < 20_000, "{} bytes", log.len());
}

#[test]
fn lines_without_end_are_a_fault() {
    let guest = Guest {
        fields: LOG,
        pick: "(call $lines (i32.const 0) (i32.const 1)) (i32.const 1024)",
        ..Guest::default()
    };
    assert_eq!(
        start_unhurried(&guest).pick(&NOTHING, 0, 0),
        Err(Fault::HostLimit("log lines"))
    );
}

#[test]
fn what_a_guest_hands_over_is_bounded_before_it_is_copied() {
    let guest = Guest {
        fields: r#"(import "switchyard:policy/store@0.1.0" "put" (func $put (param i32 i32 i32 i32 i32)))"#,
        pages: 64,
        pick: "(call $put (i32.const 0) (i32.const 4194304) (i32.const 0) (i32.const 4194304) (i32.const 0)) (i32.const 1024)",
        ..Guest::default()
    };
    assert_eq!(
        start(&guest).pick(&NOTHING, 0, 0),
        Err(Fault::HostLimit("bytes handed over"))
    );
}

const COUNTER: &str = r#"(import "switchyard:policy/metrics@0.1.0" "[constructor]counter" (func $counter (param i32 i32 i32 i32) (result i32)))
    (import "switchyard:policy/metrics@0.1.0" "[method]counter.add" (func $add (param i32 i64)))
    (import "switchyard:policy/metrics@0.1.0" "[resource-drop]counter" (func $drop (param i32)))
    (data (i32.const 512) "picks_totalmemberworker1")
    (data (i32.const 640) "\0b\02\00\00\06\00\00\00\11\02\00\00\07\00\00\00")"#;

#[test]
fn series_can_be_read_by_tenant_policy_and_digest() {
    let guest = Guest {
        fields: COUNTER,
        init: "(global.set $next (call $counter (i32.const 512) (i32.const 11) (i32.const 640) (i32.const 1)))
            (i32.store (i32.const 2048) (global.get $next)) (i32.const 1024)",
        pick: "(call $add (i32.load (i32.const 2048)) (i64.const 3)) (i32.const 1024)",
        ..Guest::default()
    };
    let loader = loader();
    let mut instance = start_as(&loader, &guest, &context(), &environment());
    member(&mut instance, &NOTHING);
    member(&mut instance, &NOTHING);
    let all = loader.metrics();
    let [sample] = &all[..] else {
        panic!("{all:?}")
    };
    assert_eq!(
        (&*sample.tenant, &*sample.policy, &*sample.name),
        ("default", "test", "picks_total")
    );
    assert_eq!(sample.labels, [("member".into(), "worker1".into())]);
    assert_eq!(sample.value, SampleValue::Counter(6));
}

#[test]
fn handles_are_bounded_and_can_be_given_back() {
    let open = "(call $counter (i32.const 512) (i32.const 11) (i32.const 640) (i32.const 0))";
    let kept = format!("(loop $again (drop {open}) (br $again)) (i32.const 1024)");
    let guest = Guest {
        fields: COUNTER,
        pick: kept.leak(),
        ..Guest::default()
    };
    assert_eq!(
        start_unhurried(&guest).pick(&NOTHING, 0, 0),
        Err(Fault::HostLimit("handles"))
    );

    let dropped = format!(
        "(loop $again (call $drop {open})
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $i) (i32.const 9000)))) (i32.const 1024)"
    );
    let guest = Guest {
        fields: COUNTER,
        pick: dropped.leak(),
        ..Guest::default()
    };
    assert_eq!(
        start_unhurried(&guest).pick(&NOTHING, 0, 0),
        Ok(Verdict::Member(0))
    );
}
