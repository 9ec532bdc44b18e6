//! One window under replay: the instance that stands in for the recorded one.

use std::{sync::Arc, time::Duration};

use crate::{
    decision::{self, Descriptor, Hold, Member, RequestPlan, ResponsePlan},
    members::Clock,
    policy::{Digest, Environment, Fault, Instance, Module, Refusal},
    recording::{Answer, Asked, Call, Script, Source, Start},
    snapshot::PolicyLimits,
};

/// CPU time of a replayed call, at least: this machine may be slower than the gateway's, and a decision
/// that is merely late here is none that would change.
const LEAST: Duration = Duration::from_millis(250);

/// Faults after which the gateway would have taken the version out of service, so the rest of a window is not asked.
const QUARANTINE: u32 = 5;

/// One window under replay.
pub(super) struct Stage {
    pub start: Start,
    pub script: Arc<Script>,
    module: Arc<dyn Module>,
    descriptor: Arc<Descriptor>,
    environment: Environment,
    config: String,
    instance: Option<Box<dyn Instance>>,
    /// `instantiate`, `init` and `restore`: what a new instance is told first.
    opening: Vec<Call>,
    membership: Option<Call>,
    pub members: Vec<Member>,
    pub calls: u64,
    /// Since when and why its state is not the one that the version would have had.
    pub uncertain: Option<String>,
    faults: u32,
}

/// What came of a call.
pub(super) enum Came {
    /// This answer.
    Answer(Answer),
    /// The call would not have been made: no trigger, or no such hook.
    NotAsked,
    /// There is no telling, because …
    Unknown(String),
}

impl Stage {
    pub fn new(
        start: Start,
        module: &Arc<dyn Module>,
        descriptor: &Arc<Descriptor>,
        limits: &PolicyLimits,
        config: Option<&str>,
    ) -> Self {
        let script = Script::new(start.triggers.clone(), descriptor.triggers.clone());
        let script = Arc::new(script);
        let mut limits = limits.clone();
        limits.memory = usize::try_from(start.memory).unwrap_or(limits.memory);
        limits.deadline = Duration::from_micros(start.deadline_us).max(LEAST);
        limits.init_deadline = Duration::from_micros(start.init_deadline_us).max(LEAST);
        let mut environment = Self::bare(&limits);
        environment.tape = Source::Replay(Arc::clone(&script));
        Self {
            script,
            module: Arc::clone(module),
            descriptor: Arc::clone(descriptor),
            environment,
            config: config.unwrap_or(&start.config).to_owned(),
            instance: None,
            opening: Vec::new(),
            membership: None,
            members: Vec::new(),
            calls: 0,
            uncertain: None,
            faults: 0,
            start,
        }
    }

    /// Of a module that belongs to nobody.
    pub fn bare(limits: &PolicyLimits) -> Environment {
        Environment {
            tenant: "".into(),
            policy: "".into(),
            limits: limits.clone(),
            seed: 0,
            clock: Clock::default(),
            tape: Source::None,
        }
    }

    /// Whether the module is the recorded one, under the recorded configuration.
    pub fn is_same_module(&self) -> bool {
        self.start.digest == self.module.digest().to_string() && self.start.config == self.config
    }

    /// Puts a recorded call to the instance.
    pub fn call(&mut self, call: &Call) -> Result<Came, Refusal> {
        self.calls += 1;
        match &call.asked {
            // Comes with `init`.
            Asked::Instantiate => {
                self.opening.push(call.clone());
                return Ok(Came::Answer(call.answer.clone()));
            }
            Asked::Init { .. } => {
                self.opening.push(call.clone());
                self.instance = self.instantiate()?;
                return Ok(match self.script.missing() {
                    Some(missing) => self.ended(format!("init {missing}")),
                    None => Came::Answer(call.answer.clone()),
                });
            }
            Asked::Restore { .. } => self.opening.push(call.clone()),
            Asked::MembersChanged { members, .. } => {
                self.members.clone_from(members);
                self.membership = Some(call.clone());
            }
            _ => {}
        }
        if !self.is_exported(&call.asked) {
            return Ok(Came::NotAsked);
        }
        if self.instance.is_none() && !self.rebuild()? {
            let why = self.uncertain.clone().unwrap_or_default();
            return Ok(Came::Unknown(why));
        }
        self.script.put([call.clone()]);
        match self.selects(&call.asked) {
            Some(true) => {}
            Some(false) => return Ok(Came::NotAsked),
            None => {
                let why = "one of its triggers is not among the recorded version's".to_owned();
                return Ok(Came::Unknown(why));
            }
        }
        Ok(self.ask(call))
    }

    fn ask(&mut self, call: &Call) -> Came {
        let Some(instance) = &mut self.instance else {
            return Came::NotAsked;
        };
        let answer = asked(instance.as_mut(), call);
        if let Some(missing) = self.script.missing() {
            self.instance = None;
            let why = missing.to_string();
            self.uncertain
                .get_or_insert_with(|| format!("an earlier call {why}"));
            return Came::Unknown(why);
        }
        match answer {
            Ok(answer) => Came::Answer(answer),
            Err(fault) => {
                self.instance = None;
                self.faults += 1;
                Came::Answer(fault.answer())
            }
        }
    }

    fn ended(&mut self, why: String) -> Came {
        self.instance = None;
        self.uncertain = Some(why.clone());
        Came::Unknown(why)
    }

    /// A new instance; `None` where the recording lacks what it reads.
    fn instantiate(&mut self) -> Result<Option<Box<dyn Instance>>, Refusal> {
        let starts = |call: &&Call| !matches!(call.asked, Asked::Restore { .. });
        self.script.put(self.opening.iter().filter(starts).cloned());
        let context = &self.start.context;
        let made = self
            .module
            .instantiate_apart(&self.config, context, &self.environment);
        match made {
            Ok(instance) => Ok(Some(instance)),
            Err(Refusal::Faulted { .. }) if self.script.missing().is_some() => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// As the gateway would after a fault: a new instance, told what is known.
    fn rebuild(&mut self) -> Result<bool, Refusal> {
        if self.faults >= QUARANTINE {
            self.uncertain = Some(format!(
                "the gateway would have quarantined it after {QUARANTINE} faults"
            ));
            return Ok(false);
        }
        if self.opening.is_empty() {
            return Ok(false);
        }
        let Some(mut instance) = self.instantiate()? else {
            return Ok(false);
        };
        let restore = self
            .opening
            .iter()
            .filter(|call| matches!(call.asked, Asked::Restore { .. }));
        for call in restore.chain(&self.membership) {
            self.script.put([call.clone()]);
            if asked(instance.as_mut(), call).is_err() {
                return Ok(false);
            }
        }
        self.instance = Some(instance);
        Ok(true)
    }

    fn is_exported(&self, asked: &Asked) -> bool {
        let exports = self.module.exports();
        match asked {
            Asked::MembersChanged { .. } => exports.membership,
            Asked::Completed(_) => exports.observer,
            Asked::Tick => exports.ticker,
            Asked::Save | Asked::Restore { .. } => exports.handoff,
            Asked::Pick { .. } => exports.balancer,
            Asked::Locate | Asked::Bind => exports.affinity,
            Asked::OnRequest | Asked::OnResponse => exports.rewriter,
            Asked::Instantiate | Asked::Init { .. } => true,
        }
    }

    /// Whether the gateway would have called the hook for this exchange.
    fn selects(&self, asked: &Asked) -> Option<bool> {
        let Some(hook) = asked.triggered_hook() else {
            return Some(true);
        };
        let mut own = self
            .descriptor
            .triggers
            .iter()
            .filter(|(of, _)| *of == hook);
        match own.next() {
            None => Some(true),
            Some(_) => self.script.selects(hook),
        }
    }
}

/// Puts one recorded call to an instance.
fn asked(instance: &mut dyn Instance, call: &Call) -> Result<Answer, Fault> {
    let view = decision::Call {
        request: None,
        response: None,
        pool: None,
        triggered: u64::MAX,
        now_us: call.now_us,
        wall_ms: call.wall_ms,
    };
    Ok(match &call.asked {
        Asked::Instantiate | Asked::Init { .. } => Answer::Done,
        Asked::MembersChanged { revision, members } => {
            Answer::from(&instance.members_changed(*revision, members)?)
        }
        Asked::Restore { previous, states } => {
            let previous = digest(previous);
            Answer::from(&instance.restore(&previous, states)?)
        }
        Asked::Pick { attempt, state } => Answer::from(&instance.pick(&view, *attempt, *state)?),
        Asked::Locate => Answer::from(&instance.locate(&view)?),
        Asked::Bind => Answer::from(&instance.bind(&view)?),
        Asked::OnRequest => Answer::from(&instance.on_request(&view)?),
        Asked::OnResponse => Answer::from(&instance.on_response(&view)?),
        Asked::Completed(batch) => Answer::from(&instance.completed(batch)?),
        Asked::Tick => Answer::from(&instance.tick()?),
        Asked::Save => Answer::from(&instance.save()?),
    })
}

/// What an exchange gets for which a hook is not called.
pub(super) fn untouched(asked: &Asked) -> Option<Answer> {
    Some(match asked {
        Asked::Locate => Answer::Hold(None::<Hold>),
        Asked::Bind => Answer::Edits(Vec::new()),
        Asked::OnRequest => Answer::Request(RequestPlan::default()),
        Asked::OnResponse => Answer::Response(ResponsePlan::default()),
        _ => return None,
    })
}

/// Hexadecimal, as in a recording; what is none becomes the digest of nothing.
fn digest(text: &str) -> Digest {
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let pair = str::from_utf8(pair).unwrap_or_default();
        *byte = u8::from_str_radix(pair, 16).unwrap_or(0);
    }
    Digest(bytes)
}
