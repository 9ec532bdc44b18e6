//! One request, from its head to the end of its answer.
//!
//! The gateway's own functions read it, find its route, ask rewriters, affinity and
//! balancers, and check what these say. In place of a connection there is what the
//! scenario has the member answer.

use std::{collections::BTreeMap, fmt::Write as _, net::SocketAddr, sync::Arc};

use http::Method;

use super::{
    play::{End, Sent, Try},
    scenario::{Answer, Ask},
    scene::Scene,
};
use crate::{
    decision::{Failure, Outcome},
    generation::Forward,
    http1::{Bounds, Fields, Framing, Malformed, RequestHead, Version},
    policy::{Attempt, Chosen},
    proxy::{self, Addressed, Ends, Exchange, Filter, Given, ProxyError},
    routing::Target,
    snapshot::{Member, MemberId},
};

/// As a gateway's by default.
const BOUNDS: Bounds = Bounds {
    head_size: 32 << 10,
    field_count: 100,
};

/// A client's cookies by name.
pub(super) type Jar = BTreeMap<String, String>;

/// What is asked, and by whom.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// Index into the scenario's steps.
    pub step: usize,
    pub ask: Arc<Ask>,
    /// Who keeps cookies.
    pub session: Option<Arc<str>>,
}

/// The head of a request with these cookies besides its own.
pub(super) fn head_of(ask: &Ask, jar: &Jar) -> Result<RequestHead, Malformed> {
    let mut head = format!(
        "{} {} HTTP/1.1\r\nhost: {}\r\n",
        ask.method, ask.path, ask.host
    );
    let own = ask.cookies.iter().map(|(name, value)| (name, value));
    let kept = jar
        .iter()
        .filter(|(name, _)| !ask.cookies.iter().any(|(own, _)| own == *name));
    let cookies: Vec<_> = own
        .chain(kept)
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    // Writing to a string cannot fail.
    if !cookies.is_empty() {
        let _ = write!(head, "cookie: {}\r\n", cookies.join("; "));
    }
    for (name, value) in &ask.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head.push_str("\r\n");
    RequestHead::parse(head.as_bytes(), BOUNDS)
}

/// Plays the request of this number to its end.
pub(super) async fn exchange(scene: &Scene<'_>, number: usize, asked: Asked) {
    if let Err(error) = answered(scene, number, &asked).await {
        let status = error.status();
        let why = error.to_string();
        scene.ends(number, End::Refused { status, why });
    }
}

async fn answered(scene: &Scene<'_>, number: usize, asked: &Asked) -> Result<(), ProxyError> {
    let live = &scene.stage.generation;
    let jar = scene.jar(asked.session.as_ref());
    let head = head_of(&asked.ask, &jar)?;
    let peer = SocketAddr::new(asked.ask.client, 0);
    let ends = Ends {
        peer,
        client: peer,
        local: peer,
    };
    let addressed = Addressed::of(&head, ends, &live.snapshot)?;
    let path = addressed.path.as_ref().ok_or(ProxyError::NotFound)?;
    let found = addressed.find(live, path)?;
    let (index, route) = match found.target {
        Target::Route { index, route, .. } => (index, route),
        Target::Denied { .. } => return Err(ProxyError::Denied),
        Target::Ambiguous => return Err(ProxyError::AmbiguousPath),
        Target::DocumentRoot | Target::NotFound => return Err(ProxyError::NotFound),
    };
    let forward = live
        .forward(found.vhost_index, index)
        .ok_or(ProxyError::NotFound)?;
    let mut exchange = addressed.rehearsed(live, &head, path, found.vhost, route);
    proxy::plan(0, forward, &mut exchange).await?;
    let session = forward.selector.locate(0, &exchange).await;
    let mut tried: Vec<MemberId> = Vec::new();
    let mut last = None;
    loop {
        let attempt = Attempt {
            worker: 0,
            request: &exchange,
            number: tried.len() as u32,
            tried: &tried,
            trial_ok: exchange.is_idempotent() && exchange.framing == Framing::None,
        };
        let chosen = match forward.selector.select(attempt, &session).await {
            Ok(chosen) => chosen,
            Err(refused) => return Err(proxy::nobody_else(last, refused)),
        };
        let member = Arc::clone(chosen.in_flight.settings());
        scene.tries(number, Try::of(&chosen));
        scene.sends(number, sent(&exchange, forward, &member));
        let answer = scene.answer(asked.step, &member.id);
        let Some(failure) = answer.fails else {
            return deliver(
                scene,
                (number, asked),
                (forward, &exchange),
                chosen,
                &answer,
            )
            .await;
        };
        let error = fail(scene, number, (forward, &exchange), &chosen, failure).await;
        let begun = !matches!(failure, Failure::Refused | Failure::ConnectTimeout);
        let most = chosen.in_flight.members().balancer.max_attempts;
        if begun && !exchange.is_idempotent() || tried.len() as u32 >= most {
            return Err(error);
        }
        tried.push(member.id.clone());
        last = Some(error);
    }
}

fn sent(exchange: &Exchange<'_>, forward: &Forward, member: &Member) -> Sent {
    Sent {
        path: exchange.target_at(&forward.proxy, member),
        host: exchange.host_at(&forward.proxy, member),
        fields: exchange.fields.clone(),
    }
}

/// A member gives no answer, in the time that this takes.
async fn fail(
    scene: &Scene<'_>,
    number: usize,
    (forward, exchange): (&Forward, &Exchange<'_>),
    chosen: &Chosen,
    failure: Failure,
) -> ProxyError {
    let member = chosen.in_flight.settings();
    let time = match failure {
        Failure::ConnectTimeout => member.connect_timeout,
        Failure::ResponseTimeout => member.answer_timeout,
        _ => std::time::Duration::ZERO,
    };
    scene.stage.agenda.sleep(number, time).await;
    chosen.in_flight.failed(failure, true);
    let outcome = Outcome {
        status: 0,
        failure,
        total_us: micros(time),
        ..outcome(chosen)
    };
    forward.completed(exchange, outcome);
    let what = format!("{} fails: {}", member.id, failure.word());
    ProxyError::Member { failure, what }
}

/// A member's answer goes to the client.
async fn deliver(
    scene: &Scene<'_>,
    (number, asked): (usize, &Asked),
    (forward, exchange): (&Forward, &Exchange<'_>),
    chosen: Chosen,
    answer: &Answer,
) -> Result<(), ProxyError> {
    let agenda = &scene.stage.agenda;
    agenda.sleep(number, answer.after).await;
    chosen.in_flight.answered(answer.status, answer.after);
    chosen.in_flight.sent(answer.sent);
    let member = chosen.in_flight.settings();
    let words = Words {
        member,
        session: asked.session.as_deref().unwrap_or("-"),
    };
    let mut fields = Fields::new();
    for (name, value) in &answer.headers {
        fields.push(name, words.fill(value).as_bytes());
    }
    let via = scene.stage.generation.snapshot.via.as_deref();
    proxy::to_client(&mut fields, via, Version::Http11);
    let given = Given {
        worker: 0,
        forward,
        exchange,
        member,
        status: answer.status,
        moved: chosen.moved,
    };
    let planned = proxy::plan_response(given, &mut fields).await?;
    let head_only = exchange.method == Method::HEAD;
    let filter = proxy::filter(head_only, &planned, &mut fields).await?;
    let body = words.fill(&answer.body);
    let body = through(filter, body.as_bytes())
        .await
        .map_err(ProxyError::Plan)?;
    scene.keeps(asked.session.as_ref(), &fields);
    scene.ends(
        number,
        End::Answered {
            status: planned.status,
            fields,
            body,
        },
    );
    agenda.sleep(number, answer.then).await;
    chosen.in_flight.received(answer.bytes);
    let outcome = Outcome {
        status: answer.status,
        first_byte_us: micros(answer.after),
        total_us: micros(answer.after + answer.then),
        bytes_in: answer.bytes,
        bytes_out: answer.sent,
        ..outcome(&chosen)
    };
    forward.completed(exchange, outcome);
    Ok(())
}

fn outcome(chosen: &Chosen) -> Outcome {
    Outcome {
        revision: chosen.in_flight.members().revision,
        member: chosen.in_flight.index(),
        status: 0,
        failure: Failure::None,
        connect_us: 0,
        first_byte_us: 0,
        total_us: 0,
        bytes_in: 0,
        bytes_out: 0,
    }
}

fn micros(time: std::time::Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

/// A body as the client gets it.
async fn through(filter: Filter, body: &[u8]) -> Result<Vec<u8>, String> {
    match filter {
        Filter::None => Ok(body.to_vec()),
        Filter::Native(mut rewriter) => {
            let (mut out, mut rest) = (Vec::new(), body);
            while !rest.is_empty() {
                let taken = rewriter.feed(rest, &mut out).map_err(|e| e.to_string())?;
                rest = &rest[taken..];
            }
            while !rewriter.finish(&mut out).map_err(|e| e.to_string())? {}
            Ok(out)
        }
        Filter::Guest(mut guest) => {
            let mut out = guest.write(body).await.map_err(|fault| fault.to_string())?;
            out.extend(guest.finish().await.map_err(|fault| fault.to_string())?);
            Ok(out)
        }
    }
}

/// What stands for something in a member's answer.
struct Words<'a> {
    member: &'a Member,
    session: &'a str,
}

impl Words<'_> {
    fn fill(&self, text: &str) -> String {
        text.replace("{route}", &self.member.route)
            .replace("{id}", &self.member.id.0)
            .replace("{session}", self.session)
    }
}
