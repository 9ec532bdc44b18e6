//! Recorded calls, put to another module.

use std::{collections::HashMap, io::BufRead, sync::Arc};

use super::{
    report::{Change, Example, Report},
    shown,
    stage::{Came, Stage, untouched},
};
use crate::{
    decision::Descriptor,
    policy::{Exports, Module, Refusal},
    recording::{Answer, Asked, Call, Frame, Frames, ReadError, Start},
    snapshot::PolicyLimits,
};

/// Windows that may be open at once: the gateway has one for each instance in service.
const OPEN: usize = 1024;

/// Reasons that are counted apart; a module may read a thousand names.
const REASONS: usize = 100;

/// How a recording is replayed.
#[derive(Debug, Clone)]
pub struct ReplayOptions {
    /// JSON text in place of the recorded configuration.
    pub config: Option<String>,
    /// Bounds on the module beside the recorded ones.
    pub limits: PolicyLimits,
    /// Decisions that are shown.
    pub examples: usize,
}

/// Why a recording cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The recording.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The module under the recording's configuration, or the one given.
    #[error("the module cannot take the recorded version's place: {0}")]
    Refused(#[from] Refusal),
    /// It decides something else.
    #[error("the recording has calls of `{hook}`, and the module exports no `{interface}`")]
    WrongKind {
        /// `pick`
        hook: &'static str,
        /// `balancer`
        interface: &'static str,
    },
    /// Nothing to compare.
    #[error("the recording holds no decision")]
    Empty,
    /// Of a file made by hand.
    #[error("the recording has more than {OPEN} windows open at once")]
    TooManyWindows,
}

/// Puts every recorded call to `module` and compares.
pub fn replay<R: BufRead>(
    mut frames: Frames<R>,
    module: &Arc<dyn Module>,
    options: &ReplayOptions,
) -> Result<Report, ReplayError> {
    let mut replay = Replay {
        module,
        options,
        descriptor: None,
        stages: HashMap::new(),
        report: Report {
            replayed: module.digest().to_string(),
            ..Report::default()
        },
    };
    for frame in frames.by_ref() {
        replay.frame(frame?)?;
    }
    replay.report.truncated = frames.is_truncated();
    match replay.report.decisions.total() {
        0 => Err(ReplayError::Empty),
        _ => Ok(replay.report),
    }
}

struct Replay<'a> {
    module: &'a Arc<dyn Module>,
    options: &'a ReplayOptions,
    /// By the configuration that it describes itself under.
    descriptor: Option<(String, Arc<Descriptor>)>,
    stages: HashMap<u64, Stage>,
    report: Report,
}

impl Replay<'_> {
    fn frame(&mut self, frame: Frame) -> Result<(), ReplayError> {
        match frame {
            Frame::Opening(opening) => {
                self.report.tenant = opening.tenant;
                self.report.policy = opening.policy;
            }
            Frame::Start(start) => self.begin(start)?,
            Frame::Call(window, call) => {
                if let Some(mut stage) = self.stages.remove(&window) {
                    self.call(&mut stage, &call)?;
                    self.stages.insert(window, stage);
                }
            }
            Frame::End(window, _) => {
                self.stages.remove(&window);
            }
        }
        Ok(())
    }

    fn begin(&mut self, start: Start) -> Result<(), ReplayError> {
        if self.stages.len() >= OPEN {
            return Err(ReplayError::TooManyWindows);
        }
        self.report.windows += 1;
        self.report.recorded.insert(shown::text(&start.digest));
        let config = self.options.config.as_deref();
        let descriptor = self.describe(config.unwrap_or(&start.config))?;
        let limits = &self.options.limits;
        let window = start.window;
        let stage = Stage::new(start, self.module, &descriptor, limits, config);
        self.stages.insert(window, stage);
        Ok(())
    }

    fn describe(&mut self, config: &str) -> Result<Arc<Descriptor>, ReplayError> {
        if let Some((of, descriptor)) = &self.descriptor
            && of == config
        {
            return Ok(Arc::clone(descriptor));
        }
        let environment = Stage::bare(&self.options.limits);
        let descriptor = Arc::new(self.module.describe(config, &environment)?);
        self.descriptor = Some((config.to_owned(), Arc::clone(&descriptor)));
        Ok(descriptor)
    }

    fn call(&mut self, stage: &mut Stage, call: &Call) -> Result<(), ReplayError> {
        self.report.calls += 1;
        wrong_kind(&call.asked, self.module.exports())?;
        let came = stage.call(call)?;
        if call.asked.is_decision() {
            self.decision(stage, call, came);
        } else if let Came::Answer(answer) = came {
            let failed = matches!(answer, Answer::Fault { .. } | Answer::Restored(Err(_)));
            if (failed || stage.is_same_module()) && !answer.agrees(&call.answer) {
                let said = shown::answer(&answer, &stage.members);
                let hook = call.asked.hook();
                self.report.others.entry(hook).or_insert((0, said)).0 += 1;
            }
        }
        Ok(())
    }

    fn decision(&mut self, stage: &Stage, call: &Call, came: Came) {
        let (replayed, mut why) = match came {
            Came::Answer(answer) => (Some(answer), None),
            Came::NotAsked => (untouched(&call.asked), None),
            Came::Unknown(why) => (None, Some(why)),
        };
        let agrees = replayed.as_ref().is_some_and(|r| r.agrees(&call.answer));
        let change = if agrees {
            Change::Unchanged
        } else {
            if why.is_none() {
                let redacted = stage.script.redacted();
                let redacted = redacted
                    .map(|read| format!("reads {read}, which is replaced in the recording"));
                why = redacted.or_else(|| stage.uncertain.clone());
            }
            match why {
                Some(_) => Change::Indeterminate,
                None => Change::Changed,
            }
        };
        let hook = call.asked.hook();
        self.report.decisions.add(change);
        self.report.hooks.entry(hook).or_default().add(change);
        if change == Change::Unchanged {
            return;
        }
        if let Some(why) = &why
            && (self.report.reasons.len() < REASONS || self.report.reasons.contains_key(why))
        {
            *self.report.reasons.entry(why.clone()).or_default() += 1;
        }
        if self.report.examples.len() < self.options.examples {
            self.report.examples.push(Example {
                window: stage.start.window,
                call: stage.calls,
                hook,
                request: shown::request_line(call),
                recorded: shown::answer(&call.answer, &stage.members),
                replayed: replayed.map(|answer| shown::answer(&answer, &stage.members)),
                change,
                why,
            });
        }
    }
}

fn wrong_kind(asked: &Asked, exports: Exports) -> Result<(), ReplayError> {
    let (has, interface) = match asked {
        Asked::Pick { .. } => (exports.balancer, "balancer"),
        Asked::Locate | Asked::Bind => (exports.affinity, "affinity"),
        Asked::OnRequest | Asked::OnResponse => (exports.rewriter, "rewriter"),
        _ => (true, ""),
    };
    let hook = asked.hook();
    match has {
        true => Ok(()),
        false => Err(ReplayError::WrongKind { hook, interface }),
    }
}
