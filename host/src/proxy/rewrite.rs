//! What policies make of an answer: its head changed, its body to be rewritten.

use std::sync::Arc;

use tracing::warn;

use super::{
    download::Filter,
    edits,
    error::ProxyError,
    exchange::{Answered, Exchange},
};
use crate::{
    decision::BodyPlan,
    generation::Forward,
    http1::Fields,
    policy::Binding,
    response::body::{self, BodyError, BodyFacts, BodyRewriter},
    snapshot::Member,
};

/// An answer that policies are to see, but for its fields.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// Index of this worker.
    pub worker: usize,
    /// The request's route.
    pub forward: &'a Forward,
    /// The request.
    pub exchange: &'a Exchange<'a>,
    /// Who answered.
    pub member: &'a Member,
    /// With what.
    pub status: u16,
    /// The session could not stay where it was.
    pub moved: bool,
}

/// What rewriters made of an answer's head.
pub struct Planned {
    /// Of the answer to the client.
    pub status: u16,
    /// What is to happen to the body.
    pub body: BodyPlan,
    /// Who planned the body.
    by: Option<Arc<Binding>>,
}

/// Asks the rewriters, each seeing its predecessor's result, then affinity for its cookies.
pub async fn plan_response(given: Given<'_>, fields: &mut Fields) -> Result<Planned, ProxyError> {
    let Given {
        worker,
        forward,
        exchange,
        member,
        moved,
        ..
    } = given;
    let mut planned = Planned {
        status: given.status,
        body: BodyPlan::Pass,
        by: None,
    };
    let refuse =
        |binding: &Binding, what: String| ProxyError::Plan(format!("{}: {what}", binding.policy()));
    for rewriter in &forward.rewriters {
        let view = answered(planned.status, fields, member, moved);
        let Some((plan, by)) = rewriter
            .on_response(worker, exchange, &view)
            .await
            .map_err(|refused| refuse(rewriter, refused.to_string()))?
        else {
            continue;
        };
        if let Some(status) = plan.status {
            planned.status =
                checked_status(given.status, status).map_err(|what| refuse(rewriter, what))?;
        }
        edits::apply(fields, &plan.headers)
            .map_err(|illegal| refuse(rewriter, illegal.to_string()))?;
        if plan.body != BodyPlan::Pass {
            if planned.by.is_some() {
                // Of every answer it would be a flood.
                if by.overrule() == 0 {
                    warn!(policy = %by.policy(), route = %exchange.route, "A second policy planned the body; the first one's plan holds, here and from now on");
                }
            } else {
                (planned.body, planned.by) = (plan.body, Some(Arc::clone(by)));
            }
        }
    }
    for affinity in &forward.selector.affinity {
        let view = answered(planned.status, fields, member, moved);
        if let Some(cookies) = affinity.bind(worker, exchange, &view).await? {
            edits::apply(fields, &cookies)
                .map_err(|illegal| refuse(affinity, illegal.to_string()))?;
        }
    }
    Ok(planned)
}

fn answered<'a>(status: u16, fields: &'a Fields, member: &'a Member, moved: bool) -> Answered<'a> {
    Answered {
        status,
        fields,
        member_id: &member.id.0,
        member_route: &member.route,
        moved,
    }
}

/// A policy may change a status, but not whether a body follows.
fn checked_status(was: u16, wanted: u16) -> Result<u16, String> {
    let bodiless = |status| matches!(status, 204 | 304);
    if !(200..600).contains(&wanted) {
        return Err(format!("{wanted} is no final status"));
    }
    if bodiless(was) != bodiless(wanted) {
        return Err(format!(
            "{was} cannot become {wanted}: one of them has no body"
        ));
    }
    Ok(wanted)
}

/// What rewrites a body that was planned, the head changed to suit. `head_only` = none follows.
pub async fn filter(
    head_only: bool,
    planned: &Planned,
    fields: &mut Fields,
) -> Result<Filter, ProxyError> {
    let codings = fields.joined("content-encoding").unwrap_or_default();
    let codings = String::from_utf8_lossy(&codings);
    let facts = BodyFacts {
        head_request: head_only,
        status: planned.status,
        content_type: fields.text("content-type"),
        content_encoding: (!codings.is_empty()).then_some(codings.as_ref()),
        no_transform: fields.has_token("cache-control", "no-transform"),
        content_range: fields.contains("content-range"),
    };
    let bodiless = facts.head_request || matches!(facts.status, 204 | 206 | 304);
    let filter = match (&planned.body, &planned.by) {
        (BodyPlan::Transform(seed), Some(by)) if !bodiless && !facts.no_transform => {
            let guest = by.open_body(seed).await;
            let guest = guest.map_err(|refusal| ProxyError::Plan(refusal.to_string()))?;
            Filter::Guest(Box::new(guest))
        }
        (plan, by) => {
            let rewriter = match by {
                Some(by) if body::is_heavy(plan) => apart(by, plan, facts).await?,
                _ => body::plan(plan, &facts),
            };
            match rewriter.map_err(|error| ProxyError::Plan(error.to_string()))? {
                Some(rewriter) => Filter::Native(Box::new(rewriter)),
                None => return Ok(Filter::None),
            }
        }
    };
    let changes = body::head_changes();
    changes.drop.iter().for_each(|name| fields.remove(name));
    if let Some(weak) = fields.get(changes.weaken).and_then(body::weak_etag) {
        fields.set(changes.weaken, &weak);
    }
    Ok(filter)
}

/// Carries out a large plan at the expense of the tenant whose policy made it.
async fn apart(
    by: &Binding,
    plan: &BodyPlan,
    facts: BodyFacts<'_>,
) -> Result<Result<Option<BodyRewriter>, BodyError>, ProxyError> {
    let plan = plan.clone();
    let content_type = facts.content_type.map(str::to_owned);
    let codings = facts.content_encoding.map(str::to_owned);
    let BodyFacts {
        head_request,
        status,
        no_transform,
        content_range,
        ..
    } = facts;
    let made = by.apart(move || {
        let facts = BodyFacts {
            head_request,
            status,
            content_type: content_type.as_deref(),
            content_encoding: codings.as_deref(),
            no_transform,
            content_range,
        };
        body::plan(&plan, &facts)
    });
    let gone = || ProxyError::Plan("the policy that planned the body is gone".to_owned());
    made.await.ok_or_else(gone)
}
