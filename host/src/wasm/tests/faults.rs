//! What a policy may do wrong in service, and what the host makes of it.

use std::time::{Duration, Instant};

use super::guests::{
    Guest, NOTHING, Pool, Request, context, environment, limits, load, start, start_unhurried,
};
use crate::{
    decision::{Call, Verdict},
    policy::{Fault, Instance, Refusal},
};

/// The fault of the first pick; the second must find the instance ended.
fn fault(guest: &Guest) -> Fault {
    let mut instance = start(guest);
    let fault = instance.pick(&NOTHING, 0, 0).unwrap_err();
    assert_eq!(instance.pick(&NOTHING, 0, 0), Err(Fault::Ended));
    assert_eq!(instance.members_changed(1, &[]), Err(Fault::Ended));
    fault
}

#[test]
fn a_panic_is_a_trap_with_the_names_of_the_guests_functions() {
    let guest = Guest {
        fields: "(func $choose_member unreachable)",
        pick: "(call $choose_member) (i32.const 1024)",
        ..Guest::default()
    };
    let Fault::Trap(text) = fault(&guest) else {
        panic!("no trap")
    };
    assert!(
        text.contains("unreachable")
            && text.contains("choose_member")
            && text.contains("\n  at pick"),
        "{text}"
    );
}

#[test]
fn recursion_without_end_is_a_stack_overflow() {
    let guest = Guest {
        pick: "(call $pick (local.get 0) (local.get 1))",
        ..Guest::default()
    };
    let Fault::Trap(text) = fault(&guest) else {
        panic!("no trap")
    };
    assert!(
        text.starts_with("stack overflow") && text.len() < 5000,
        "{text}"
    );
}

#[test]
fn a_loop_without_end_is_stopped_by_its_cpu_budget() {
    let guest = Guest {
        pick: "(loop $again (br $again)) (i32.const 1024)",
        ..Guest::default()
    };
    let began = crate::policy::thread_time();
    assert_eq!(fault(&guest), Fault::Deadline(limits().deadline));
    let used = crate::policy::thread_time() - began;
    assert!(
        used >= limits().deadline,
        "stopped after {used:?} of CPU time"
    );
}

#[test]
fn init_has_a_longer_deadline_of_its_own() {
    let guest = Guest {
        init: "(loop $again (br $again)) (i32.const 1024)",
        ..Guest::default()
    };
    let refusal = load(&guest.wasm())
        .unwrap()
        .instantiate("{}", &context(), &environment())
        .err()
        .unwrap();
    assert_eq!(
        refusal,
        Refusal::Faulted {
            during: "init",
            fault: Fault::Deadline(limits().init_deadline)
        }
    );
}

/// A view that takes a long time without using the CPU, as a thread does that the
/// system has preempted.
struct Preempted(Duration);

impl crate::decision::PoolView for Preempted {
    fn name(&self) -> &str {
        // Blocks on nothing for a while: the wall clock passes, the thread's does not.
        let nobody = std::sync::Condvar::new();
        let lock = std::sync::Mutex::new(());
        let until = Instant::now() + self.0;
        let mut guard = lock.lock().unwrap();
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            guard = nobody.wait_timeout(guard, left).unwrap().0;
        }
        "cluster"
    }
    fn usable(&self) -> &[u8] {
        Pool.usable()
    }
    fn weights(&self) -> &[u32] {
        Pool.weights()
    }
    fn in_flight(&self, out: &mut Vec<u32>) {
        Pool.in_flight(out);
    }
    fn elected(&self, out: &mut Vec<u64>) {
        Pool.elected(out);
    }
    fn bytes_in(&self, out: &mut Vec<u64>) {
        Pool.bytes_in(out);
    }
    fn bytes_out(&self, out: &mut Vec<u64>) {
        Pool.bytes_out(out);
    }
    fn latency_us(&self, out: &mut Vec<u32>) {
        Pool.latency_us(out);
    }
    fn consecutive_failures(&self, out: &mut Vec<u32>) {
        Pool.consecutive_failures(out);
    }
}

#[test]
fn a_preempted_thread_is_no_fault_of_the_policy() {
    // The pool's name is asked for four times, which takes four deadlines of wall
    // time; each return into the guest meets an epoch that has passed.
    let guest = Guest {
        fields: r#"(import "switchyard:policy/pool@0.1.0" "name" (func $name (param i32)))"#,
        pick: "(loop $again
                 (call $name (i32.const 2048))
                 (local.set $i (i32.add (local.get $i) (i32.const 1)))
                 (br_if $again (i32.lt_u (local.get $i) (i32.const 4))))
               (i32.const 1024)",
        ..Guest::default()
    };
    let mut instance = start(&guest);
    let pool = Preempted(limits().deadline);
    let call = Call {
        pool: Some(&pool),
        ..NOTHING
    };
    assert_eq!(instance.pick(&call, 0, 0), Ok(Verdict::Member(0)));
}

#[test]
fn memory_over_the_limit_is_named_as_such() {
    let guest = Guest {
        pick: "(loop $again (drop (memory.grow (i32.const 16))) (br $again)) (i32.const 1024)",
        ..Guest::default()
    };
    assert_eq!(fault(&guest), Fault::Memory(limits().memory));
}

#[test]
fn a_guest_that_starts_too_large_is_refused() {
    let guest = Guest {
        pages: 65,
        ..Guest::default()
    };
    let refusal = load(&guest.wasm()).err().unwrap();
    assert_eq!(
        refusal,
        Refusal::Faulted {
            during: "instantiation",
            fault: Fault::Memory(limits().memory)
        }
    );
}

#[test]
fn a_verdict_out_of_range_is_passed_up_as_it_is() {
    let guest = Guest {
        pick: "(i32.store (i32.const 1028) (i32.const -1)) (i32.const 1024)",
        ..Guest::default()
    };
    assert_eq!(
        start(&guest).pick(&NOTHING, 0, 0),
        Ok(Verdict::Member(u32::MAX))
    );
}

#[test]
fn a_verdict_that_does_not_exist_is_a_trap() {
    let guest = Guest {
        pick: "(i32.store8 (i32.const 1024) (i32.const 9)) (i32.const 1024)",
        ..Guest::default()
    };
    let Fault::Trap(text) = fault(&guest) else {
        panic!("no trap")
    };
    assert!(text.contains("discriminant"), "{text}");
}

#[test]
fn a_pointer_outside_memory_is_a_trap() {
    let guest = Guest {
        pick: "(i32.const -8)",
        ..Guest::default()
    };
    assert!(matches!(fault(&guest), Fault::Trap(_)));
}

#[test]
fn host_calls_are_counted() {
    let guest = Guest {
        fields: r#"(import "switchyard:policy/entropy@0.1.0" "next" (func $next_word (result i64)))"#,
        pick: "(loop $again (drop (call $next_word)) (br $again)) (i32.const 1024)",
        ..Guest::default()
    };
    let fault = start_unhurried(&guest).pick(&NOTHING, 0, 0);
    assert_eq!(fault, Err(Fault::HostLimit("host calls")));
}

#[test]
fn a_list_of_names_costs_as_many_host_calls_as_it_has_names() {
    let guest = Guest {
        fields: r#"(import "switchyard:policy/request@0.1.0" "lines" (func $lines (param i32 i32 i32)))"#,
        pages: 2,
        pick: "(memory.fill (i32.const 70000) (i32.const 44) (i32.const 20000))
            (call $lines (i32.const 70000) (i32.const 20000) (i32.const 2048)) (i32.const 1024)",
        ..Guest::default()
    };
    let call = Call {
        request: Some(&Request),
        ..NOTHING
    };
    let fault = start_unhurried(&guest).pick(&call, 0, 0);
    assert_eq!(fault, Err(Fault::HostLimit("host calls")));
}

#[test]
fn bytes_pulled_from_the_host_are_counted() {
    let guest = Guest {
        fields: r#"(import "switchyard:policy/request@0.1.0" "header" (func $header (param i32 i32 i32)))
                   (data (i32.const 512) "x-large")"#,
        pick: "(loop $again
                 (global.set $next (i32.const 65536))
                 (call $header (i32.const 512) (i32.const 7) (i32.const 2048))
                 (br $again))
               (i32.const 1024)",
        ..Guest::default()
    };
    let mut instance = start(&guest);
    let call = Call {
        request: Some(&Request),
        ..NOTHING
    };
    let fault = instance.pick(&call, 0, 0).unwrap_err();
    assert!(
        matches!(fault, Fault::HostLimit("bytes copied") | Fault::Deadline(_)),
        "{fault}"
    );
}

#[test]
fn a_view_that_the_call_lacks_traps_with_its_name() {
    let guest = Guest {
        fields: r#"(import "switchyard:policy/request@0.1.0" "method" (func $method (param i32)))"#,
        pick: "(call $method (i32.const 2048)) (i32.const 1024)",
        ..Guest::default()
    };
    let Fault::Trap(text) = fault(&guest) else {
        panic!("no trap")
    };
    assert!(text.contains("`request` is not available here"), "{text}");
}

#[test]
fn views_are_gone_once_the_call_is_over() {
    let guest = Guest {
        fields: r#"(import "switchyard:policy/pool@0.1.0" "usable" (func $usable (param i32)))"#,
        members_changed: "(call $usable (i32.const 2048))",
        pick: "(call $usable (i32.const 2048)) (i32.const 1024)",
        ..Guest::default()
    };
    let mut instance = start(&guest);
    let call = Call {
        pool: Some(&Pool),
        ..NOTHING
    };
    assert_eq!(instance.pick(&call, 0, 0), Ok(Verdict::Member(0)));
    let Err(Fault::Trap(text)) = instance.members_changed(1, &[]) else {
        panic!("a view outlived its call")
    };
    assert!(text.contains("`pool` is not available here"), "{text}");
}

#[test]
fn an_interface_that_is_not_exported_is_a_fault_and_no_panic() {
    let mut instance = start(&Guest::default());
    let Err(Fault::Trap(text)) = instance.tick() else {
        panic!("ticked")
    };
    assert!(text.contains("`ticker`"), "{text}");
}

#[test]
fn a_panic_in_a_view_unwinds_and_ends_the_instance() {
    struct Panicking;
    impl crate::decision::PoolView for Panicking {
        fn name(&self) -> &str {
            "cluster"
        }
        fn usable(&self) -> &[u8] {
            panic!("a defect of the host")
        }
        fn weights(&self) -> &[u32] {
            &[]
        }
        fn in_flight(&self, _: &mut Vec<u32>) {}
        fn elected(&self, _: &mut Vec<u64>) {}
        fn bytes_in(&self, _: &mut Vec<u64>) {}
        fn bytes_out(&self, _: &mut Vec<u64>) {}
        fn latency_us(&self, _: &mut Vec<u32>) {}
        fn consecutive_failures(&self, _: &mut Vec<u32>) {}
    }
    let guest = Guest {
        fields: r#"(import "switchyard:policy/pool@0.1.0" "usable" (func $usable (param i32)))"#,
        pick: "(call $usable (i32.const 2048)) (i32.const 1024)",
        ..Guest::default()
    };
    let mut instance = start(&guest);
    let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = instance.pick(
            &Call {
                pool: Some(&Panicking),
                ..NOTHING
            },
            0,
            0,
        );
    }));
    assert!(unwound.is_err());
    assert_eq!(instance.pick(&NOTHING, 0, 0), Err(Fault::Ended));
}

#[test]
fn instances_fail_alone() {
    let module = load(
        &Guest {
            pick: "(if (i32.eq (local.get 0) (i32.const 9)) (then unreachable)) (i32.const 1024)",
            ..Guest::default()
        }
        .wasm(),
    )
    .unwrap();
    let new = || {
        module
            .instantiate("{}", &context(), &environment())
            .unwrap()
    };
    let (mut bad, mut good): (Box<dyn Instance>, Box<dyn Instance>) = (new(), new());
    assert!(bad.pick(&NOTHING, 9, 0).is_err());
    assert_eq!(good.pick(&NOTHING, 0, 0), Ok(Verdict::Member(0)));
}
