//! Plays a scenario from its first step to its last.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use super::{
    agenda::Due,
    compile::{POOL, TESTED},
    exchange::{Asked, Jar, exchange},
    report::{self, Told},
    scenario::{Answer, Clients, Scenario, Step},
    stage::{Stage, Tested, Trouble},
};
use crate::{
    decision::Failure,
    http1::Fields,
    members::Micros,
    policy::{Chosen, Decider},
    snapshot::{Balancer, MemberId},
};

/// What became of a scenario.
#[derive(Debug)]
pub struct Outcome {
    /// For the terminal.
    pub text: String,
    /// Everything that must hold did.
    pub held: bool,
}

/// One request.
#[derive(Debug)]
pub(super) struct Played {
    pub session: Option<Arc<str>>,
    pub tries: Vec<Try>,
    /// As the last member got it; kept only where somebody looks at it.
    pub sent: Option<Sent>,
    pub end: End,
}

/// A member that was asked.
#[derive(Debug)]
pub(super) struct Try {
    pub member: MemberId,
    /// Who decided.
    pub by: String,
}

/// A request as a member gets it.
#[derive(Debug)]
pub(super) struct Sent {
    pub path: String,
    pub host: String,
    pub fields: Fields,
}

/// How a request ended.
#[derive(Debug)]
pub(super) enum End {
    /// It did not yet.
    Open,
    /// A member answered; fields and body are kept only where somebody looks at them.
    Answered {
        status: u16,
        fields: Fields,
        body: Vec<u8>,
    },
    /// The gateway did.
    Refused { status: u16, why: String },
}

impl Try {
    pub fn of(chosen: &Chosen) -> Self {
        let by = match &chosen.decided_by {
            Decider::Policy { name, .. } if **name == *TESTED => "policy",
            other => other.name(),
        };
        Self {
            member: chosen.in_flight.settings().id.clone(),
            by: by.to_owned(),
        }
    }
}

impl Played {
    /// Who answered, or is about to.
    pub fn served(&self) -> Option<&MemberId> {
        match self.end {
            End::Refused { .. } => None,
            _ => self.tries.last().map(|last| &last.member),
        }
    }
}

impl End {
    /// What the client got; 0 = nothing yet.
    pub fn status(&self) -> u16 {
        match self {
            Self::Open => 0,
            Self::Answered { status, .. } | Self::Refused { status, .. } => *status,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("no answer"),
            Self::Answered { status, .. } => write!(f, "{status}"),
            Self::Refused { status, why } => write!(f, "{status} ({why})"),
        }
    }
}

/// Plays a scenario to a policy. Whatever the policy does, this ends and says what it did.
pub fn play(tested: &Tested, scenario: &Scenario) -> Result<Outcome, Trouble> {
    let stage = Stage::link(tested, scenario)?;
    let scene = Scene::new(&stage, scenario);
    let tallies = {
        let mut player = Player {
            scene: &scene,
            open: BTreeMap::new(),
            balancer: Arc::clone(&scenario.snapshot.balancers[POOL]),
        };
        let mut tallies = vec![player.tally()];
        for (index, step) in scenario.steps.iter().enumerate() {
            player.step(index, step);
            tallies.push(player.tally());
        }
        player.finish()?;
        // What became of requests that were still open belongs to the last step.
        tallies.pop();
        tallies.push(player.tally());
        tallies
    };
    let played = scene.played.into_inner();
    let told = Told {
        tested,
        scenario,
        played: &played,
        ledger: &stage.ledger,
        tallies: &tallies,
        time: Duration::from_micros(stage.agenda.clock().now().saturating_sub(1)),
    };
    Ok(report::tell(&told))
}

/// What had happened at some moment.
#[derive(Debug)]
pub(super) struct Tally {
    pub requests: usize,
    pub faults: usize,
    pub overruled: u64,
    pub marks: BTreeMap<&'static str, usize>,
    pub balancer: Arc<Balancer>,
}

/// What requests see and write down.
pub(super) struct Scene<'a> {
    pub stage: &'a Stage,
    scenario: &'a Scenario,
    /// Somebody looks at messages.
    keeps_messages: bool,
    played: RefCell<Vec<Played>>,
    jars: RefCell<BTreeMap<Arc<str>, Jar>>,
    dead: RefCell<BTreeSet<MemberId>>,
}

impl<'a> Scene<'a> {
    fn new(stage: &'a Stage, scenario: &'a Scenario) -> Self {
        let steps = scenario.steps.iter().flat_map(|step| &step.expect);
        let mut all = steps.chain(&scenario.expect);
        Self {
            stage,
            scenario,
            keeps_messages: all.any(|expected| expected.what.reads_messages()),
            played: RefCell::default(),
            jars: RefCell::default(),
            dead: RefCell::default(),
        }
    }

    /// A client's cookies.
    pub fn jar(&self, session: Option<&Arc<str>>) -> Jar {
        let jars = self.jars.borrow();
        session
            .and_then(|session| jars.get(session))
            .cloned()
            .unwrap_or_default()
    }

    /// Keeps what an answer gives its client (RFC 6265 5.3, but for paths, domains and ages).
    pub fn keeps(&self, session: Option<&Arc<str>>, fields: &Fields) {
        let Some(session) = session else { return };
        let mut jars = self.jars.borrow_mut();
        let jar = jars.entry(Arc::clone(session)).or_default();
        for line in fields.all("set-cookie") {
            let line = String::from_utf8_lossy(line);
            let mut parts = line.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
                continue;
            };
            let gone = parts.any(|part| part.eq_ignore_ascii_case("max-age=0"));
            match gone {
                true => jar.remove(name.trim()),
                false => jar.insert(name.trim().to_owned(), value.trim().to_owned()),
            };
        }
    }

    /// What a member answers in a step.
    pub fn answer(&self, step: usize, id: &MemberId) -> Arc<Answer> {
        let answer = &self.scenario.steps[step].answers[id];
        if !self.dead.borrow().contains(id) {
            return Arc::clone(answer);
        }
        Arc::new(Answer {
            fails: Some(Failure::Refused),
            ..Answer::clone(answer)
        })
    }

    /// Notes whom a request is sent to.
    pub fn tries(&self, number: usize, one: Try) {
        self.played.borrow_mut()[number].tries.push(one);
    }

    /// Notes what it is by then.
    pub fn sends(&self, number: usize, sent: Sent) {
        if self.keeps_messages {
            self.played.borrow_mut()[number].sent = Some(sent);
        }
    }

    /// Notes how it ended. What came first counts: an answer whose body goes wrong has been given.
    pub fn ends(&self, number: usize, end: End) {
        let played = &mut self.played.borrow_mut()[number];
        if !matches!(played.end, End::Open) {
            return;
        }
        played.end = match end {
            End::Answered { status, .. } if !self.keeps_messages => End::Answered {
                status,
                fields: Fields::new(),
                body: Vec::new(),
            },
            end => end,
        };
    }
}

/// A request under way.
type Open<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Sends the requests and lets time pass.
struct Player<'a> {
    scene: &'a Scene<'a>,
    open: BTreeMap<usize, Open<'a>>,
    balancer: Arc<Balancer>,
}

impl Player<'_> {
    fn step(&mut self, index: usize, step: &Step) {
        if let Some(balancer) = &step.balancer {
            self.scene.stage.live.publish([balancer]);
            self.balancer = Arc::clone(balancer);
        }
        for (id, accepts) in &step.accepts {
            let mut dead = self.scene.dead.borrow_mut();
            match accepts {
                true => dead.remove(id),
                false => dead.insert(id.clone()),
            };
        }
        self.pass(step.wait);
        for turn in 0..step.traffic.requests {
            let session = match &step.traffic.clients {
                Clients::Strangers => None,
                Clients::One(name) => Some(Arc::clone(name)),
                Clients::Turns(count) => Some((turn % count + 1).to_string().into()),
            };
            self.send(Asked {
                step: index,
                ask: Arc::clone(&step.traffic.ask),
                session,
            });
            self.pass(step.traffic.every);
        }
    }

    fn send(&mut self, asked: Asked) {
        let number = {
            let mut played = self.scene.played.borrow_mut();
            played.push(Played {
                session: asked.session.clone(),
                tries: Vec::new(),
                sent: None,
                end: End::Open,
            });
            played.len() - 1
        };
        self.open
            .insert(number, Box::pin(exchange(self.scene, number, asked)));
        self.go_on(number);
    }

    /// Carries a request on until it sleeps or ends. What else it waits for, such as an instance
    /// that is made for it, is due at once.
    fn go_on(&mut self, number: usize) {
        let agenda = &self.scene.stage.agenda;
        let mut context = Context::from_waker(Waker::noop());
        while let Some(mut request) = self.open.remove(&number) {
            if request.as_mut().poll(&mut context).is_ready() {
                return;
            }
            self.open.insert(number, request);
            if agenda.is_asleep(number) {
                return;
            }
            match agenda.next(agenda.clock().now()) {
                Some(due) => self.happen(due),
                // Noticed in the end.
                None => return,
            }
        }
    }

    /// Lets time pass, and happen what is due by then.
    fn pass(&mut self, time: Duration) {
        let agenda = &self.scene.stage.agenda;
        let time = Micros::try_from(time.as_micros()).unwrap_or(Micros::MAX);
        let until = agenda.clock().now().saturating_add(time);
        while let Some(due) = agenda.next(until) {
            self.happen(due);
        }
        agenda.reach(until);
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Job(job) => job(),
            Due::Wake(number) => self.go_on(number),
        }
    }

    /// Lets time pass until every request has ended.
    fn finish(&mut self) -> Result<(), Trouble> {
        while !self.open.is_empty() {
            let agenda = &self.scene.stage.agenda;
            let due = agenda
                .is_awaited()
                .then(|| agenda.next(Micros::MAX))
                .flatten();
            let Some(due) = due else {
                let message = "a request waits for something that never happens; this is a defect of the simulator";
                return Err(Trouble::Internal(message.into()));
            };
            self.happen(due);
        }
        Ok(())
    }

    fn tally(&self) -> Tally {
        let bindings = self.scene.stage.generation.bindings();
        let tested = bindings.filter(|binding| **binding.policy() == *TESTED);
        Tally {
            requests: self.scene.played.borrow().len(),
            faults: self.scene.stage.ledger.faults(),
            overruled: tested.map(|binding| binding.status().overruled).sum(),
            marks: self.scene.stage.ledger.marks(),
            balancer: Arc::clone(&self.balancer),
        }
    }
}
