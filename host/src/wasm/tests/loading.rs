//! Which files become policies.

use super::guests::{Guest, dummy, environment, limits, load, loader};
use crate::{
    decision::{Concurrency, Hook, Problem, Trigger},
    policy::{Exports, Fault, Loader, Refusal},
};

fn refusal(wasm: &[u8]) -> String {
    match load(wasm) {
        Err(Refusal::NotAPolicy(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_function_of_the_contract_is_there() {
    let module = load(&dummy("gateway-policy")).unwrap();
    let all = Exports {
        balancer: true,
        affinity: true,
        rewriter: true,
        membership: true,
        observer: true,
        transformer: true,
        ticker: true,
        handoff: true,
    };
    assert_eq!(module.exports(), all);
}

#[test]
fn a_policy_exports_what_it_needs() {
    let balancer = Exports {
        balancer: true,
        membership: true,
        ..Exports::default()
    };
    assert_eq!(load(&Guest::default().wasm()).unwrap().exports(), balancer);
    let affinity = Exports {
        affinity: true,
        ..Exports::default()
    };
    assert_eq!(load(&dummy("affinity-policy")).unwrap().exports(), affinity);
}

#[test]
fn components_are_taken_as_they_are() {
    let core = Guest::default().wasm();
    let component = wit_component::ComponentEncoder::default()
        .module(&core)
        .unwrap()
        .encode()
        .unwrap();
    let module = load(&component).unwrap();
    assert_eq!(module.size(), component.len());
    assert_ne!(module.digest(), load(&core).unwrap().digest());
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let wasm = Guest::default().wasm();
    let component = wit_component::ComponentEncoder::default()
        .module(&wasm)
        .unwrap()
        .encode()
        .unwrap();
    let loader = loader();
    for whole in [wasm, component] {
        for at in (1..whole.len()).step_by(97) {
            match loader.load("half", &whole[..at], &limits()) {
                Err(Refusal::NotAPolicy(why)) => {
                    let told =
                        why.contains("`half` ends in its middle") && why.contains("copy it whole");
                    assert!(told, "{at} of {}: {why}", whole.len());
                }
                other => panic!("{at} of {}: {other:?}", whole.len()),
            }
        }
    }
}

#[test]
fn other_worlds_are_named() {
    let text = refusal(
        &wat::parse_str(r#"(component (import "wasi:cli/exit@0.3.0" (instance)))"#).unwrap(),
    );
    assert!(
        text.contains("wasi:cli/exit@0.3.0") && text.contains("of WASI a policy may import"),
        "{text}"
    );
    let text = refusal(&wat::parse_str("(component)").unwrap());
    assert!(text.contains("switchyard:policy/lifecycle@0.1.0"), "{text}");
    let text = refusal(&wat::parse_str("(module)").unwrap());
    assert!(text.contains("without the contract's metadata"), "{text}");
}

#[test]
fn an_interface_of_another_shape_is_refused() {
    let text = r#"(component
        (core module $m
            (func (export "f") (result i32) (i32.const 0)))
        (core instance $i (instantiate $m))
        (func $f (result u32) (canon lift (core func $i "f")))
        (instance $lifecycle (export "describe" (func $f)) (export "init" (func $f)))
        (instance $balancer (export "pick" (func $f)))
        (instance $membership (export "members-changed" (func $f)))
        (export "switchyard:policy/lifecycle@0.1.0" (instance $lifecycle))
        (export "switchyard:policy/membership@0.1.0" (instance $membership))
        (export "switchyard:policy/balancer@0.1.0" (instance $balancer)))"#;
    let text = refusal(&wat::parse_str(text).unwrap());
    assert!(
        text.contains("does not fit the contract") && text.contains("switchyard:policy/lifecycle"),
        "{text}"
    );
}

#[test]
fn a_file_over_its_size_is_refused_unread() {
    let refused = loader().load("big", &vec![0; limits().module_size + 1], &limits());
    assert!(
        matches!(&refused, Err(Refusal::NotAPolicy(text)) if text.contains("module_size")),
        "{refused:?}"
    );
}

#[test]
fn describe_returns_what_the_policy_says() {
    // replicated, one trigger: (on-response, response-header "Location"), every 250 ms
    let guest = Guest {
        fields: r#"(data (i32.const 2048) "\00\00\00\00\01\00\00\00\20\08\00\00\01\00\00\00\fa\00\00\00")
                   (data (i32.const 2080) "\03\00\00\00\05\00\00\00\40\08\00\00\08\00\00\00")
                   (data (i32.const 2112) "Location")"#,
        describe: "(i32.const 2048)",
        ..Guest::default()
    };
    let descriptor = load(&guest.wasm())
        .unwrap()
        .describe("{}", &environment())
        .unwrap();
    assert_eq!(descriptor.concurrency, Concurrency::Replicated);
    assert_eq!(
        descriptor.triggers,
        [(Hook::OnResponse, Trigger::ResponseHeader("location".into()))]
    );
    assert_eq!(descriptor.tick_ms, 250);
}

#[test]
fn a_trigger_that_does_not_exist_is_refused() {
    let guest = Guest {
        fields: r#"(data (i32.const 2048) "\00\00\00\00\00\00\00\00\20\08\00\00\01\00\00\00")
                   (data (i32.const 2080) "\03\00\00\00\2a\00\00\00")"#,
        describe: "(i32.const 2048)",
        ..Guest::default()
    };
    let refused = load(&guest.wasm()).unwrap().describe("{}", &environment());
    assert!(
        matches!(&refused, Err(Refusal::Faulted { during: "describe", fault: Fault::Trap(text) }) if text.contains("discriminant")),
        "{refused:?}"
    );
}

#[test]
fn a_refused_configuration_comes_with_its_problems() {
    // err([{at: "/percent", message: "no number"}])
    let guest = Guest {
        fields: r#"(data (i32.const 2048) "\01\00\00\00\20\08\00\00\01\00\00\00")
                   (data (i32.const 2080) "\40\08\00\00\08\00\00\00\48\08\00\00\09\00\00\00")
                   (data (i32.const 2112) "/percentno number")"#,
        describe: "(i32.const 2048)",
        init: "(i32.const 2048)",
        ..Guest::default()
    };
    let problem = Problem {
        at: "/percent".into(),
        message: "no number".into(),
    };
    let module = load(&guest.wasm()).unwrap();
    assert_eq!(
        module.describe("{}", &environment()),
        Err(Refusal::Config(vec![problem.clone()]))
    );
    let refused = module
        .instantiate("{}", &super::guests::context(), &environment())
        .err();
    assert_eq!(refused, Some(Refusal::Config(vec![problem])));
}
