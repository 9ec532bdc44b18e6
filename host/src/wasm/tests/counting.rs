//! Calls that are counted instead of timed, and the time that they see.

use std::{sync::Arc, time::Duration};

use super::guests::{Guest, NOTHING, context, environment, limits};
use crate::{
    members::HeldClock,
    policy::{Environment, Fault, Instance, Loader},
    wasm::{Compiler, Fuel, WasmLoader, WasmOptions, fuel_of},
};

fn start(guest: &Guest, environment: &Environment) -> (Box<dyn Instance>, Arc<Fuel>) {
    let fuel = Arc::new(Fuel::default());
    let options = WasmOptions {
        compiler: Compiler::InProcess,
        fuel: Some(Arc::clone(&fuel)),
        ..WasmOptions::default()
    };
    let loader = WasmLoader::new(options).unwrap();
    let module = loader.load("test", &guest.wasm(), &limits()).unwrap();
    let instance = module.instantiate("{}", &context(), environment).unwrap();
    (instance, fuel)
}

#[test]
fn a_call_costs_the_same_every_time_and_more_work_costs_more() {
    let counted = |rounds: &'static str| {
        let guest = Guest {
            pick: rounds,
            ..Guest::default()
        };
        let (mut instance, fuel) = start(&guest, &environment());
        let costs = [(); 3].map(|()| {
            instance.pick(&NOTHING, 0, 0).unwrap();
            fuel.last()
        });
        assert!(costs.iter().all(|cost| *cost == costs[0]), "{costs:?}");
        costs[0]
    };
    let few = "(local.set $i (i32.const 10)) (loop $again
        (br_if $again (local.tee $i (i32.sub (local.get $i) (i32.const 1))))) (i32.const 1024)";
    let many = "(local.set $i (i32.const 20)) (loop $again
        (br_if $again (local.tee $i (i32.sub (local.get $i) (i32.const 1))))) (i32.const 1024)";
    let (few, many) = (counted(few), counted(many));
    assert!(few > 0 && many > few, "{few} {many}");
}

#[test]
fn a_loop_without_end_is_stopped_after_the_instructions_of_its_deadline() {
    let guest = Guest {
        pick: "(loop $again (br $again)) (i32.const 1024)",
        ..Guest::default()
    };
    let (mut instance, fuel) = start(&guest, &environment());
    let deadline = limits().deadline;
    assert_eq!(
        instance.pick(&NOTHING, 0, 0),
        Err(Fault::Deadline(deadline))
    );
    assert_eq!(fuel.last(), fuel_of(deadline));
    assert_eq!(instance.pick(&NOTHING, 0, 0), Err(Fault::Ended));
}

#[test]
fn what_is_no_decision_sees_the_same_clock_as_decisions() {
    // members-changed keeps the time that it sees; pick chooses by what has passed since, in seconds.
    let guest = Guest {
        fields: r#"(import "switchyard:policy/clock@0.1.0" "now-us" (func $now (result i64)))
            (global $then (mut i64) (i64.const 0))"#,
        members_changed: "(global.set $then (call $now))",
        pick: "(i32.store (i32.const 1028) (i32.wrap_i64
                (i64.div_u (i64.sub (call $now) (global.get $then)) (i64.const 1000000))))
            (i32.const 1024)",
        ..Guest::default()
    };
    let held = HeldClock::new();
    let clock = held.clock();
    let environment = Environment {
        clock,
        ..environment()
    };
    let (mut instance, _) = start(&guest, &environment);
    held.advance(Duration::from_secs(100));
    instance.members_changed(1, &[]).unwrap();
    held.advance(Duration::from_secs(3));
    let call = crate::decision::Call {
        now_us: clock.now(),
        ..NOTHING
    };
    let chosen = instance.pick(&call, 0, 0).unwrap();
    assert_eq!(chosen, crate::decision::Verdict::Member(3));
}
