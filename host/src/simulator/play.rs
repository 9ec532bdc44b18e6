//! Plays a scenario from its first step to its last.

use std::{
    collections::BTreeMap,
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
    exchange::{Asked, exchange},
    report::{self, Told},
    scenario::{Ask, Clients, Scenario, Step},
    scene::Scene,
    stage::{Stage, Tested, Trouble},
};
use crate::{
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
            happened: 0,
        };
        let mut tallies = vec![player.tally()];
        for (index, step) in scenario.steps.iter().enumerate() {
            player.step(index, step)?;
            tallies.push(player.tally());
        }
        player.finish()?;
        // What became of requests that were still open belongs to the last step.
        tallies.pop();
        tallies.push(player.tally());
        tallies
    };
    let played = scene.into_played();
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

/// Requests under way at once: each takes some kilobytes.
const OPEN: usize = 20_000;
/// Jobs and awakenings of one scenario: ticks every 10 ms for a day are 8 million.
const HAPPENINGS: u64 = 10_000_000;

/// A request under way.
type Open<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Sends the requests and lets time pass.
struct Player<'a> {
    scene: &'a Scene<'a>,
    open: BTreeMap<usize, Open<'a>>,
    balancer: Arc<Balancer>,
    /// Jobs and awakenings so far.
    happened: u64,
}

impl Player<'_> {
    fn step(&mut self, index: usize, step: &Step) -> Result<(), Trouble> {
        if let Some(balancer) = &step.balancer {
            self.scene.stage.live.publish([balancer]);
            self.balancer = Arc::clone(balancer);
        }
        for (id, accepts) in &step.accepts {
            self.scene.accepts(id, *accepts);
        }
        self.pass(step.wait)?;
        for recorded in &step.traffic.recorded {
            self.pass(recorded.after)?;
            let ask = &step.traffic.ask;
            self.send(Asked {
                step: index,
                ask: Arc::new(Ask {
                    method: recorded.method.clone(),
                    path: recorded.path.clone(),
                    client: recorded.address.unwrap_or(ask.client),
                    ..Ask::clone(ask)
                }),
                session: Some(Arc::clone(&recorded.client)),
            });
        }
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
            self.pass(step.traffic.every)?;
        }
        Ok(())
    }

    fn send(&mut self, asked: Asked) {
        let number = self.scene.begins(asked.session.clone());
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
    fn pass(&mut self, time: Duration) -> Result<(), Trouble> {
        let agenda = &self.scene.stage.agenda;
        let time = Micros::try_from(time.as_micros()).unwrap_or(Micros::MAX);
        let until = agenda.clock().now().saturating_add(time);
        while let Some(due) = agenda.next(until) {
            self.happen(due);
            self.is_bounded()?;
        }
        agenda.reach(until);
        self.is_bounded()
    }

    /// A policy that ticks, or requests that never end, must not make this one endless.
    fn is_bounded(&self) -> Result<(), Trouble> {
        if self.open.len() > OPEN {
            let why = format!(
                "more than {OPEN} requests are under way at once; let them end, or send fewer"
            );
            return Err(Trouble::Input(why));
        }
        if self.happened > HAPPENINGS {
            let why = "too much happens in that time; wait less, or tick less often";
            return Err(Trouble::Input(why.into()));
        }
        Ok(())
    }

    fn happen(&mut self, due: Due) {
        self.happened += 1;
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
            self.is_bounded()?;
        }
        Ok(())
    }

    fn tally(&self) -> Tally {
        let bindings = self.scene.stage.generation.bindings();
        let tested = bindings.filter(|binding| **binding.policy() == *TESTED);
        Tally {
            requests: self.scene.begun(),
            faults: self.scene.stage.ledger.faults(),
            overruled: tested.map(|binding| binding.status().overruled).sum(),
            marks: self.scene.stage.ledger.marks(),
            balancer: Arc::clone(&self.balancer),
        }
    }
}
