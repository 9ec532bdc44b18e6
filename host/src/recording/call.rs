//! One call of an instance, as it is recorded.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Function, Value};
use crate::decision::{
    BodyPlan, Context, Edit, Hold, Hook, Member, Outcome, Pin, Problem, RequestPlan, ResponsePlan,
    Verdict,
};

/// One call, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// What was asked.
    pub asked: Asked,
    /// The clock during the call.
    pub now_us: u64,
    /// Milliseconds since 1970 during the call.
    pub wall_ms: u64,
    /// The state of `entropy` as the call began.
    pub entropy: u64,
    /// Which of the hook's triggers the exchange had, as `request.triggered` would have said.
    pub triggered: u64,
    /// What the policy got from the host, in order.
    pub reads: Vec<Read>,
    /// What it said.
    pub answer: Answer,
}

/// What was asked, with its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Asked {
    /// Start functions.
    Instantiate,
    /// `lifecycle.init`
    Init {
        /// JSON text.
        config: String,
        /// Which instance.
        context: Context,
    },
    /// `membership.members-changed`
    MembersChanged {
        /// Of the members.
        revision: u64,
        /// All of them.
        members: Vec<Member>,
    },
    /// `handoff.restore`
    Restore {
        /// Digest of the version that saved them.
        previous: String,
        /// One for each instance that saved.
        states: Vec<Vec<u8>>,
    },
    /// `balancer.pick`
    Pick {
        /// 0, then 1, 2 … for retries.
        attempt: u32,
        /// Changes with the pool's columns.
        state: u64,
    },
    /// `affinity.locate`
    Locate,
    /// `affinity.bind`
    Bind,
    /// `rewriter.on-request`
    OnRequest,
    /// `rewriter.on-response`
    OnResponse,
    /// `observer.completed`
    Completed(Vec<Outcome>),
    /// `ticker.tick`
    Tick,
    /// `handoff.save`
    Save,
}

impl Asked {
    /// As the contract names it.
    #[must_use]
    pub fn hook(&self) -> &'static str {
        match self {
            Self::Instantiate => "instantiate",
            Self::Init { .. } => "init",
            Self::MembersChanged { .. } => "members-changed",
            Self::Restore { .. } => "restore",
            Self::Pick { .. } => "pick",
            Self::Locate => "locate",
            Self::Bind => "bind",
            Self::OnRequest => "on-request",
            Self::OnResponse => "on-response",
            Self::Completed(_) => "completed",
            Self::Tick => "tick",
            Self::Save => "save",
        }
    }

    /// The hook as triggers name it, for one that has any.
    #[must_use]
    pub fn triggered_hook(&self) -> Option<Hook> {
        Some(match self {
            Self::Locate => Hook::Locate,
            Self::Bind => Hook::Bind,
            Self::OnRequest => Hook::OnRequest,
            Self::OnResponse => Hook::OnResponse,
            _ => return None,
        })
    }

    /// Whether the contract lets this hook call the function.
    #[must_use]
    pub fn offers(&self, function: Function) -> bool {
        match function.interface() {
            "request" => self.is_decision(),
            "response" => matches!(self, Self::Bind | Self::OnResponse),
            "pool" => matches!(self, Self::Pick { .. }),
            _ => true,
        }
    }

    /// Whether an exchange is decided by it.
    #[must_use]
    pub fn is_decision(&self) -> bool {
        matches!(
            self,
            Self::Pick { .. } | Self::Locate | Self::Bind | Self::OnRequest | Self::OnResponse
        )
    }
}

/// One import and its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// Which one.
    pub function: Function,
    /// Names and numbers it was given; cells by the name of their array.
    pub arguments: Vec<Value>,
    /// What it gave.
    pub result: Value,
    /// Part of the result stands for what the operator lists under `redact`.
    pub redacted: bool,
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_read(f, self.function, &self.arguments)
    }
}

/// `request.header("x-group")`
pub(super) fn write_read(
    f: &mut impl fmt::Write,
    function: Function,
    arguments: &[Value],
) -> fmt::Result {
    write!(f, "{}(", function.name())?;
    for (at, argument) in arguments.iter().enumerate() {
        if at > 0 {
            f.write_str(", ")?;
        }
        match argument {
            Value::Text(text) => write!(f, "{text:?}")?,
            Value::Number(number) => write!(f, "{number}")?,
            Value::Signed(number) => write!(f, "{number}")?,
            // Values to be stored: their content says nothing here.
            _ => f.write_str("…")?,
        }
    }
    f.write_str(")")
}

/// What kind of failure a call was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FaultKind {
    /// It trapped.
    Trap,
    /// It ran longer than it may.
    Deadline,
    /// It asked for more memory than it may have.
    Memory,
    /// It cost the host more than it may.
    HostLimit,
    /// An earlier fault had ended it.
    Ended,
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// The call has no result.
    Done,
    /// Of `init`.
    Initialised(Result<(), Vec<Problem>>),
    /// Of `pick`.
    Verdict(Verdict),
    /// Of `locate`.
    Hold(Option<Hold>),
    /// Of `bind`.
    Edits(Vec<Edit>),
    /// Of `on-request`.
    Request(RequestPlan),
    /// Of `on-response`.
    Response(ResponsePlan),
    /// Of `save`.
    State(Vec<u8>),
    /// Of `restore`.
    Restored(Result<(), String>),
    /// The call failed, and the instance ended with it.
    Fault {
        /// What is compared.
        kind: FaultKind,
        /// For people.
        text: String,
    },
}

macro_rules! answers {
    ($($said:ty: $name:ident => $answer:expr;)*) => {
        $(impl From<&$said> for Answer {
            fn from($name: &$said) -> Self {
                $answer
            }
        })*
    };
}

answers! {
    (): _nothing => Self::Done;
    Verdict: verdict => Self::Verdict(*verdict);
    Option<Hold>: hold => Self::Hold(hold.clone());
    Vec<Edit>: edits => Self::Edits(edits.clone());
    RequestPlan: plan => Self::Request(plan.clone());
    ResponsePlan: plan => Self::Response(plan.clone());
    Vec<u8>: state => Self::State(state.clone());
    Result<(), String>: restored => Self::Restored(restored.clone());
    Result<(), Vec<Problem>>: initialised => Self::Initialised(initialised.clone());
}

impl Answer {
    /// Whether both say the same; of faults the kind counts, not the text.
    #[must_use]
    pub fn agrees(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Fault { kind, .. }, Self::Fault { kind: other, .. }) => kind == other,
            _ => self == other,
        }
    }

    /// Lets `change` at every text and byte string that a policy may have taken from what it read.
    pub(super) fn each_text(&mut self, change: &mut dyn FnMut(&mut Vec<u8>)) {
        match self {
            Self::Hold(Some(hold)) => match &mut hold.pin {
                Pin::Route(text) | Pin::Member(text) => in_text(text, change),
                Pin::Key(_) => {}
            },
            Self::Edits(edits) => in_edits(edits, change),
            Self::Request(plan) => {
                let texts = plan.path.iter_mut().chain(&mut plan.authority);
                texts.for_each(|text| in_text(text, change));
                in_edits(&mut plan.headers, change);
            }
            Self::Response(plan) => {
                in_edits(&mut plan.headers, change);
                match &mut plan.body {
                    BodyPlan::Pass => {}
                    BodyPlan::Transform(seed) => change(seed),
                    BodyPlan::Substitute(list) => list.iter_mut().for_each(|one| {
                        change(&mut one.from);
                        change(&mut one.to);
                    }),
                    BodyPlan::Links(links) => links.urls.iter_mut().for_each(|one| {
                        change(&mut one.from);
                        change(&mut one.to);
                    }),
                }
            }
            Self::Fault { text, .. } => in_text(text, change),
            Self::Done
            | Self::Initialised(_)
            | Self::Verdict(_)
            | Self::Hold(None)
            | Self::State(_)
            | Self::Restored(_) => {}
        }
    }
}

fn in_edits(edits: &mut [Edit], change: &mut dyn FnMut(&mut Vec<u8>)) {
    for edit in edits {
        match edit {
            Edit::Set(_, value) | Edit::Append(_, value) | Edit::ReplaceLine(_, _, value) => {
                change(value);
            }
            Edit::Remove(_) | Edit::RemoveLine(..) => {}
        }
    }
}

pub(super) fn in_text(text: &mut String, change: &mut dyn FnMut(&mut Vec<u8>)) {
    let mut bytes = std::mem::take(text).into_bytes();
    change(&mut bytes);
    *text = String::from_utf8_lossy(&bytes).into_owned();
}
