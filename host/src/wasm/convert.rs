//! Between the contract's generated records and the host's own.

use super::{
    bindings::{guest, types},
    fault::Stop,
};
use crate::decision::{
    BodyPlan, Concurrency, Context, Descriptor, Edit, Failure, Hold, Hook, LinkPlan, Member,
    Outcome, Pin, Problem, RequestPlan, ResponsePlan, Substitution, Trigger, Verdict,
};

/// Header changes of one plan. A rewriter maps a handful of lines.
const EDITS: usize = 512;
/// Bytes of their names and values: twice the largest head that clients may send.
const EDIT_BYTES: usize = 64 << 10;
/// Substitutions or link prefixes of one body: two for each member of a large pool.
const SUBSTITUTIONS: usize = 1024;
/// Bytes of what they replace and of what they put there.
const SUBSTITUTION_BYTES: usize = 256 << 10;
/// Bytes of a path or a host. No head has room for more.
const TARGET: usize = 64 << 10;
/// Triggers of one policy.
const TRIGGERS: usize = 64;
/// Problems shown to the operator; what exceeds them is left out.
const PROBLEMS: usize = 64;
/// Bytes of a problem's text.
const PROBLEM: usize = 1024;

impl From<guest::balancer::Verdict> for Verdict {
    fn from(verdict: guest::balancer::Verdict) -> Self {
        match verdict {
            guest::balancer::Verdict::Member(at) => Self::Member(at),
            guest::balancer::Verdict::Abstain => Self::Abstain,
            guest::balancer::Verdict::Shed => Self::Shed,
        }
    }
}

impl From<guest::affinity::Hold> for Hold {
    fn from(hold: guest::affinity::Hold) -> Self {
        let pin = match hold.pin {
            guest::affinity::Pin::Route(route) => Pin::Route(route),
            guest::affinity::Pin::Member(id) => Pin::Member(id),
            guest::affinity::Pin::Key(key) => Pin::Key(key),
        };
        Self {
            pin,
            strict: hold.strict,
        }
    }
}

impl From<types::Edit> for Edit {
    fn from(edit: types::Edit) -> Self {
        match edit {
            types::Edit::Set((name, value)) => Self::Set(name, value),
            types::Edit::Append((name, value)) => Self::Append(name, value),
            types::Edit::Remove(name) => Self::Remove(name),
            types::Edit::ReplaceLine((line, value)) => {
                Self::ReplaceLine(line.name, line.index, value)
            }
            types::Edit::RemoveLine(line) => Self::RemoveLine(line.name, line.index),
        }
    }
}

/// The header changes of a plan, as many as one may have.
pub(super) fn edits(edits: Vec<types::Edit>) -> Result<Vec<Edit>, Stop> {
    let bytes = edits.iter().map(|edit| match edit {
        types::Edit::Set((name, value)) | types::Edit::Append((name, value)) => {
            name.len() + value.len()
        }
        types::Edit::Remove(name) => name.len(),
        types::Edit::ReplaceLine((line, value)) => line.name.len() + value.len(),
        types::Edit::RemoveLine(line) => line.name.len(),
    });
    if bytes.sum::<usize>() > EDIT_BYTES {
        return Err(Stop::HostLimit("bytes of header edits"));
    }
    bounded(edits, EDITS, "header edits")
}

pub(super) fn request_plan(plan: guest::rewriter::RequestPlan) -> Result<RequestPlan, Stop> {
    let targets = [&plan.path, &plan.authority];
    if targets
        .into_iter()
        .flatten()
        .any(|text| text.len() > TARGET)
    {
        return Err(Stop::HostLimit("bytes of a path or a host"));
    }
    Ok(RequestPlan {
        path: plan.path,
        authority: plan.authority,
        headers: edits(plan.headers)?,
    })
}

pub(super) fn response_plan(plan: guest::rewriter::ResponsePlan) -> Result<ResponsePlan, Stop> {
    let body = match plan.body {
        guest::rewriter::BodyPlan::Pass => BodyPlan::Pass,
        guest::rewriter::BodyPlan::Substitute(list) => BodyPlan::Substitute(substitutions(list)?),
        guest::rewriter::BodyPlan::Links(links) => BodyPlan::Links(LinkPlan {
            urls: substitutions(links.urls)?,
            events: links.events,
        }),
        guest::rewriter::BodyPlan::Transform(seed) => BodyPlan::Transform(seed),
    };
    Ok(ResponsePlan {
        status: plan.status,
        headers: edits(plan.headers)?,
        body,
    })
}

impl From<guest::rewriter::Substitution> for Substitution {
    fn from(substitution: guest::rewriter::Substitution) -> Self {
        Self {
            from: substitution.from,
            to: substitution.to,
        }
    }
}

fn substitutions(list: Vec<guest::rewriter::Substitution>) -> Result<Vec<Substitution>, Stop> {
    let bytes = list.iter().map(|one| one.from.len() + one.to.len());
    if bytes.sum::<usize>() > SUBSTITUTION_BYTES {
        return Err(Stop::HostLimit("bytes of substitutions"));
    }
    bounded(list, SUBSTITUTIONS, "substitutions")
}

fn bounded<G, H: From<G>>(list: Vec<G>, most: usize, what: &'static str) -> Result<Vec<H>, Stop> {
    if list.len() > most {
        Err(Stop::HostLimit(what))
    } else {
        Ok(list.into_iter().map(H::from).collect())
    }
}

/// Names arrive as the author wrote them; the host asks in lower case.
pub(super) fn descriptor(descriptor: guest::lifecycle::Descriptor) -> Result<Descriptor, Stop> {
    let concurrency = match descriptor.concurrency {
        guest::lifecycle::Concurrency::Exclusive => Concurrency::Exclusive,
        guest::lifecycle::Concurrency::Replicated => Concurrency::Replicated,
    };
    if descriptor.triggers.len() > TRIGGERS {
        return Err(Stop::HostLimit("triggers"));
    }
    let triggers = descriptor
        .triggers
        .into_iter()
        .map(|(hook, trigger)| (hook.into(), trigger.into()))
        .collect();
    Ok(Descriptor {
        concurrency,
        triggers,
        tick_ms: descriptor.tick_ms,
    })
}

impl From<guest::lifecycle::Hook> for Hook {
    fn from(hook: guest::lifecycle::Hook) -> Self {
        match hook {
            guest::lifecycle::Hook::Locate => Self::Locate,
            guest::lifecycle::Hook::Bind => Self::Bind,
            guest::lifecycle::Hook::OnRequest => Self::OnRequest,
            guest::lifecycle::Hook::OnResponse => Self::OnResponse,
        }
    }
}

impl From<guest::lifecycle::Trigger> for Trigger {
    fn from(trigger: guest::lifecycle::Trigger) -> Self {
        use guest::lifecycle::Trigger as Guest;
        match trigger {
            Guest::RequestHeader(name) => Self::RequestHeader(name.to_ascii_lowercase()),
            // Cookies and parameters are case-sensitive (RFC 6265 section 5.4).
            Guest::Cookie(name) => Self::Cookie(name),
            Guest::AbsentCookie(name) => Self::AbsentCookie(name),
            Guest::PathParameter(name) => Self::PathParameter(name),
            Guest::QueryParameter(name) => Self::QueryParameter(name),
            Guest::ResponseHeader(name) => Self::ResponseHeader(name.to_ascii_lowercase()),
            Guest::ContentType(prefix) => Self::ContentType(prefix.to_ascii_lowercase()),
        }
    }
}

/// Shown to the operator, so cut to what one reads.
pub(super) fn problems(list: Vec<guest::lifecycle::Problem>) -> Vec<Problem> {
    let cut = |text| super::fault::cut(text, PROBLEM);
    list.into_iter()
        .take(PROBLEMS)
        .map(|one| Problem {
            at: cut(one.at),
            message: cut(one.message),
        })
        .collect()
}

pub(super) fn context(context: &Context) -> guest::lifecycle::Context {
    guest::lifecycle::Context {
        binding: context.binding.clone(),
        replica: context.replica,
        replicas: context.replicas,
    }
}

pub(super) fn member(member: &Member) -> types::Member {
    types::Member {
        id: member.id.clone(),
        route: member.route.clone(),
        weight: member.weight,
        lb_set: member.lb_set,
        labels: member.labels.clone(),
    }
}

pub(super) fn outcome(outcome: &Outcome) -> types::Outcome {
    types::Outcome {
        revision: outcome.revision,
        member: outcome.member,
        status: outcome.status,
        failure: match outcome.failure {
            Failure::None => types::Failure::None,
            Failure::Refused => types::Failure::Refused,
            Failure::ConnectTimeout => types::Failure::ConnectTimeout,
            Failure::Reset => types::Failure::Reset,
            Failure::ResponseTimeout => types::Failure::ResponseTimeout,
            Failure::Protocol => types::Failure::Protocol,
            Failure::Cancelled => types::Failure::Cancelled,
        },
        connect_us: outcome.connect_us,
        first_byte_us: outcome.first_byte_us,
        total_us: outcome.total_us,
        bytes_in: outcome.bytes_in,
        bytes_out: outcome.bytes_out,
    }
}
