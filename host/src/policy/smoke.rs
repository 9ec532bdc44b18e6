//! The smoke call: a policy is tried before it decides for anybody.
//!
//! On an instance of its own, which nothing it does there outlives, every decision
//! is asked for once as the description says: with the pool's real columns, and
//! with canned messages that have its triggers. What it decides does not matter; a
//! fault, or an answer that the contract does not have, refuses it.

use super::{
    Binding, Digest, Instance, Refusal,
    binding::refused,
    canned::{CannedRequest, CannedResponse},
    columns::Columns,
    slot::Turn,
};
use crate::decision::{
    BodyPlan, Call, Context, Edit, Failure, Hook, Outcome, PoolView, Trigger, Verdict,
};

/// Triggers of one hook that are tried; a list without end shall not hold up a reload.
const TRIGGERS: usize = 32;

/// Where there is no pool whose member could have answered.
const NOBODY: (&str, &str) = ("http://192.0.2.2:8080", "");

/// One piece of a page, for what streams bodies.
const PAGE: &[u8] = b"<!DOCTYPE html><title>-</title><p><a href=\"http://www.example.com/\">-</a>";

/// What the version before handed over: its digest, and one state for each of its instances.
pub(super) type Handed<'a> = (&'a Digest, &'a [Vec<u8>]);

impl Binding {
    /// Tries every decision on a spare instance, which goes on from `handed` if that is given.
    pub(super) fn smoke(&self, handed: Option<Handed<'_>>) -> Result<(), Refusal> {
        let mut spare = self.spare()?;
        let instance = spare.as_mut();
        if let Some((digest, states)) = handed
            && instance
                .restore(digest, states)
                .map_err(refused("restore"))?
                .is_err()
        {
            // It will start cold, and so it was tried already.
            return Ok(());
        }
        if let Some(members) = self.members() {
            let revision = &mut 0;
            let mut turn = Turn {
                instance,
                revision,
                latest: &mut 0,
            };
            turn.know(&members).map_err(refused("members-changed"))?;
        }
        let exports = self.exports();
        if exports.affinity {
            self.try_affinity(instance)?;
        }
        if exports.rewriter {
            self.try_rewriter(instance)?;
        }
        if exports.balancer {
            self.try_pick(instance)?;
        }
        if exports.observer {
            let told = instance.completed(&[self.outcome()]);
            told.map_err(refused("smoke call, completed"))?;
        }
        if exports.ticker && self.descriptor().tick_ms > 0 {
            instance.tick().map_err(refused("smoke call, tick"))?;
        }
        Ok(())
    }

    fn try_pick(&self, instance: &mut dyn Instance) -> Result<(), Refusal> {
        let Some(pool) = &self.parts.pool else {
            return Ok(());
        };
        let now_us = pool.clock().now();
        let facts = pool.facts(now_us);
        // No policy is asked where it has nobody to choose. It is tried all the same, for its
        // members may be back when it is asked.
        let columns = Columns::new(pool, &facts, now_us);
        let hopeful = Hopeful {
            usable: match facts.usable_count {
                0 => vec![1; facts.usable.len()],
                _ => facts.usable.clone(),
            },
            columns,
        };
        if hopeful.usable.is_empty() {
            return Ok(());
        }
        let request = CannedRequest::new(None);
        let call = Call {
            pool: Some(&hopeful),
            ..self.call_of(&request)
        };
        let during = "smoke call, pick";
        let verdict = instance.pick(&call, 0, facts.state);
        match verdict.map_err(refused(during))? {
            Verdict::Member(index) if index as usize >= hopeful.usable.len() => {
                Err(Refusal::Invalid {
                    during,
                    what: format!(
                        "it chose member {index} of {}, counted from 0",
                        hopeful.usable.len()
                    ),
                })
            }
            Verdict::Member(_) | Verdict::Abstain | Verdict::Shed => Ok(()),
        }
    }

    fn try_affinity(&self, instance: &mut dyn Instance) -> Result<(), Refusal> {
        self.each(Hook::Locate, |call| {
            let located = instance.locate(&call);
            located.map(drop).map_err(refused("smoke call, locate"))
        })?;
        self.each(Hook::Bind, |call| {
            let during = "smoke call, bind";
            let bound = instance.bind(&call).map_err(refused(during))?;
            legal(&bound, during)
        })
    }

    fn try_rewriter(&self, instance: &mut dyn Instance) -> Result<(), Refusal> {
        self.each(Hook::OnRequest, |call| {
            let during = "smoke call, on-request";
            let plan = instance.on_request(&call).map_err(refused(during))?;
            legal(&plan.headers, during)
        })?;
        let mut seeds = Vec::new();
        self.each(Hook::OnResponse, |call| {
            let during = "smoke call, on-response";
            let plan = instance.on_response(&call).map_err(refused(during))?;
            legal(&plan.headers, during)?;
            if let BodyPlan::Transform(seed) = plan.body
                && !seeds.contains(&seed)
            {
                seeds.push(seed);
            }
            Ok(())
        })?;
        seeds.iter().try_for_each(|seed| self.try_body(seed))
    }

    fn try_body(&self, seed: &[u8]) -> Result<(), Refusal> {
        if !self.exports().transformer {
            return Err(Refusal::Invalid {
                during: "smoke call, on-response",
                what: "it plans to transform a body, but exports no `transformer`".to_owned(),
            });
        }
        let mut stream = self.spare()?;
        let streamed = stream
            .open_body(seed)
            .and_then(|()| stream.write_body(PAGE))
            .and_then(|_| stream.finish_body());
        streamed.map(drop).map_err(refused("smoke call, body"))
    }

    /// Asks once for each trigger of a hook, with an exchange that has it.
    fn each(
        &self,
        hook: Hook,
        mut ask: impl FnMut(Call<'_>) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let member = self.parts.pool.as_ref().map(|pool| pool.current());
        let first = member.as_ref().and_then(|members| members.records.first());
        let member = first.map_or(NOBODY, |member| (member.id.as_str(), member.route.as_str()));
        let (triggers, after) = match hook {
            Hook::Locate => (&self.triggers.locate, false),
            Hook::Bind => (&self.triggers.bind, true),
            Hook::OnRequest => (&self.triggers.on_request, false),
            Hook::OnResponse => (&self.triggers.on_response, true),
        };
        let each: Vec<Option<&Trigger>> = match triggers.is_empty() {
            true => vec![None],
            false => triggers.iter().map(Some).collect(),
        };
        for trigger in each.into_iter().take(TRIGGERS) {
            let request = CannedRequest::new(trigger);
            let response = CannedResponse::new(trigger, member);
            let response = after.then_some(&response as _);
            // A trigger on the response never calls what comes before there is one.
            if let Some(triggered) = triggers.look(&request, response) {
                ask(Call {
                    response,
                    triggered,
                    ..self.call_of(&request)
                })?;
            }
        }
        Ok(())
    }

    fn call_of<'a>(&self, request: &'a CannedRequest) -> Call<'a> {
        Call {
            request: Some(request),
            response: None,
            pool: None,
            triggered: u64::MAX,
            now_us: self.clock().now(),
            wall_ms: self.clock().calendar_ms(),
        }
    }

    fn outcome(&self) -> Outcome {
        Outcome {
            revision: self.members().map_or(0, |members| members.revision),
            member: 0,
            status: 200,
            failure: Failure::None,
            connect_us: 0,
            first_byte_us: 1_000,
            total_us: 2_000,
            bytes_in: 1_000,
            bytes_out: 500,
        }
    }

    /// An instance that shares nothing with those in service.
    fn spare(&self) -> Result<Box<dyn Instance>, Refusal> {
        let context = Context {
            binding: self.parts.binding.clone(),
            replica: 0,
            replicas: self.slots.len() as u32,
        };
        let (module, environment) = (&self.parts.module, &self.parts.environment);
        module.instantiate_apart(&self.parts.config, &context, environment)
    }
}

/// Refuses an edit that no head can take; what the canned one lacks, a real one may have.
fn legal(edits: &[Edit], during: &'static str) -> Result<(), Refusal> {
    let illegal = edits.iter().find_map(|edit| edit.check().err());
    illegal.map_or(Ok(()), |illegal| {
        Err(Refusal::Invalid {
            during,
            what: format!("it edits what it may not: {illegal}"),
        })
    })
}

/// The pool's columns; where nobody is usable, as if everybody were.
struct Hopeful<'a> {
    usable: Vec<u8>,
    columns: Columns<'a>,
}

impl PoolView for Hopeful<'_> {
    fn name(&self) -> &str {
        self.columns.name()
    }

    fn usable(&self) -> &[u8] {
        &self.usable
    }

    fn weights(&self) -> &[u32] {
        self.columns.weights()
    }

    fn in_flight(&self, out: &mut Vec<u32>) {
        self.columns.in_flight(out);
    }

    fn elected(&self, out: &mut Vec<u64>) {
        self.columns.elected(out);
    }

    fn bytes_in(&self, out: &mut Vec<u64>) {
        self.columns.bytes_in(out);
    }

    fn bytes_out(&self, out: &mut Vec<u64>) {
        self.columns.bytes_out(out);
    }

    fn latency_us(&self, out: &mut Vec<u32>) {
        self.columns.latency_us(out);
    }

    fn consecutive_failures(&self, out: &mut Vec<u32>) {
        self.columns.consecutive_failures(out);
    }
}
