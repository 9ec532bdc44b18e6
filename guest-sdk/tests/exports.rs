//! What the gateway calls: the generated interfaces, as a macro's component answers
//! them, with every optional hook.

#![allow(
    clippy::unwrap_used,
    reason = "what cannot be unwrapped fails the test"
)]

use std::cell::RefCell;

use switchyard_policy::{
    BodyStream, Context, Descriptor, Edit, Handoff, Member, Membership, Observer, Outcome, Problem,
    ResponsePlan, Rewriter, Ticker, Transformer,
    bindings::{
        handoff::exports::switchyard::policy::handoff,
        lifecycle::exports::switchyard::policy::lifecycle,
        membership::exports::switchyard::policy::membership,
        observer::exports::switchyard::policy::observer,
        rewriter::exports::switchyard::policy::rewriter,
        ticker::exports::switchyard::policy::ticker,
        transformer::exports::switchyard::policy::transformer::{self, GuestBody},
    },
    config::{Config, Fields},
    export::Slot,
    testing,
};

/// Counts what happened to it, and says so in a header.
struct Counting {
    events: Vec<String>,
}

struct Settings {
    first: String,
}

impl Config for Settings {
    fn read(fields: &mut Fields<'_>) -> Self {
        Settings {
            first: fields.text("first").unwrap_or_default(),
        }
    }
}

impl Rewriter for Counting {
    type Config = Settings;

    fn describe(settings: &Settings) -> Descriptor {
        Descriptor::replicated().every_ms(settings.first.len() as u32)
    }

    fn init(settings: Settings, context: &Context) -> Result<Self, Vec<Problem>> {
        match settings.first.as_str() {
            "bad" => Err(vec![Problem::new("/first", "anything but bad is due")]),
            first => Ok(Counting {
                events: vec![format!("{first}@{}", context.binding)],
            }),
        }
    }

    fn on_response(&mut self) -> ResponsePlan {
        ResponsePlan {
            headers: vec![Edit::set("x-events", self.events.join(" "))],
            ..ResponsePlan::default()
        }
    }
}

impl Membership for Counting {
    fn members_changed(&mut self, revision: u64, members: Vec<Member>) {
        self.events.push(format!("{}at{revision}", members.len()));
    }
}

impl Observer for Counting {
    fn completed(&mut self, batch: Vec<Outcome>) {
        self.events.push(format!("{}outcomes", batch.len()));
    }
}

impl Ticker for Counting {
    fn tick(&mut self) {
        self.events.push("tick".into());
    }
}

impl Handoff for Counting {
    fn save(&mut self) -> Vec<u8> {
        self.events.join(" ").into_bytes()
    }

    fn restore(&mut self, previous: &str, states: Vec<Vec<u8>>) -> Result<(), String> {
        if states.is_empty() {
            return Err("nothing to restore".into());
        }
        self.events.push(format!("{}from{previous}", states.len()));
        Ok(())
    }
}

/// Adds its seed to every byte.
struct Adding(u8);

impl Transformer for Counting {
    type Body = Adding;

    fn open(seed: Vec<u8>) -> Adding {
        Adding(seed.first().copied().unwrap_or_default())
    }
}

impl BodyStream for Adding {
    fn write(&mut self, chunk: Vec<u8>) -> Vec<u8> {
        chunk.iter().map(|byte| byte + self.0).collect()
    }

    fn finish(&mut self) -> Vec<u8> {
        vec![self.0]
    }
}

switchyard_policy::rewriter!(Counting, with membership, observer, ticker, handoff, transformer);

/// As the macro makes it on wasm32.
struct Component;

thread_local! {
    static POLICY: RefCell<Option<Counting>> = const { RefCell::new(None) };
}

impl Slot for Component {
    type Policy = Counting;

    fn with<R>(run: impl FnOnce(&RefCell<Option<Counting>>) -> R) -> R {
        POLICY.with(run)
    }
}

fn init(config: &str) -> Result<(), Vec<Problem>> {
    let context = Context {
        binding: "t/b".into(),
        replica: 0,
        replicas: 1,
    };
    <Component as lifecycle::Guest>::init(config.into(), context)
}

#[test]
fn every_call_reaches_the_one_policy() {
    init(r#"{"first": "a"}"#).unwrap();
    <Component as handoff::Guest>::restore("d1".into(), vec![vec![], vec![]]).unwrap();
    <Component as membership::Guest>::members_changed(7, vec![testing::member("m", "")]);
    <Component as observer::Guest>::completed(vec![]);
    <Component as ticker::Guest>::tick();
    let events = "a@t/b 2fromd1 1at7 0outcomes tick";
    let plan = <Component as rewriter::Guest>::on_response();
    assert_eq!(plan.headers, [Edit::set("x-events", events)]);
    assert_eq!(<Component as handoff::Guest>::save(), events.as_bytes());
    assert!(<Component as handoff::Guest>::restore("d".into(), vec![]).is_err());
}

#[test]
fn configurations_are_described_and_refused_with_pointers() {
    let described = <Component as lifecycle::Guest>::describe(r#"{"first": "abc"}"#.into());
    assert_eq!(described.unwrap().tick_ms, 3);
    let unknown = <Component as lifecycle::Guest>::describe(r#"{"frist": "x"}"#.into());
    assert_eq!(unknown.unwrap_err()[0].at, "/frist");
    assert_eq!(init(r#"{"first": 1}"#).unwrap_err()[0].at, "/first");
    assert_eq!(init(r#"{"first": "bad"}"#).unwrap_err()[0].at, "/first");
}

#[test]
fn a_body_stream_needs_no_initialised_policy() {
    type Body = <Component as transformer::Guest>::Body;
    let body = Body::new(vec![1]);
    assert_eq!(body.write(vec![1, 2]), [2, 3]);
    assert_eq!(GuestBody::finish(&body), [1]);
}

#[test]
#[should_panic(expected = "called before init")]
fn a_host_that_breaks_the_order_of_calls_gets_a_trap() {
    <Component as ticker::Guest>::tick();
}
