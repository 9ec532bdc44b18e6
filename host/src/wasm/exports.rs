//! The contract's exports, as calls of one instance.

use std::time::Duration;

use super::{
    convert,
    fault::{Stop, cut},
    instance::WasmInstance,
};
use crate::{
    decision::{Call, Edit, Hold, Member, Outcome, RequestPlan, ResponsePlan, Verdict},
    policy::{Digest, Fault, Instance},
    recording::Asked,
};

/// Bytes of the reason for which a state is not taken over, which is logged.
const WHY: usize = 1024;

/// What `save` may use: whoever wants a decision meanwhile waits.
const SAVING: Duration = Duration::from_millis(10);

/// An interface that `policy` has seen in `Exports`; asking without is a fault of
/// the instance and not a panic.
fn exported<'a, G>(guest: &'a Option<G>, interface: &'static str) -> Result<&'a G, Stop> {
    guest.as_ref().ok_or(Stop::Absent {
        interface,
        why: "the policy does not export it",
    })
}

impl Instance for WasmInstance {
    fn memory(&self) -> usize {
        self.memory_taken()
    }

    fn members_changed(&mut self, revision: u64, members: &[Member]) -> Result<(), Fault> {
        self.taped(
            || Asked::MembersChanged {
                revision,
                members: members.to_vec(),
            },
            None,
            |me| {
                let members: Vec<_> = members.iter().map(convert::member).collect();
                me.lifecycle(|guests, store| {
                    exported(&guests.membership, "membership")?
                        .call_members_changed(store, revision, &members)
                })
            },
        )
    }

    fn pick(&mut self, call: &Call<'_>, attempt: u32, state: u64) -> Result<Verdict, Fault> {
        self.taped(
            || Asked::Pick { attempt, state },
            Some(call),
            |me| {
                me.decide(call, |guests, store| {
                    Ok(exported(&guests.balancer, "balancer")?
                        .call_pick(store, attempt, state)?
                        .into())
                })
            },
        )
    }

    fn locate(&mut self, call: &Call<'_>) -> Result<Option<Hold>, Fault> {
        self.taped(
            || Asked::Locate,
            Some(call),
            |me| {
                me.decide(call, |guests, store| {
                    Ok(exported(&guests.affinity, "affinity")?
                        .call_locate(store)?
                        .map(Hold::from))
                })
            },
        )
    }

    fn bind(&mut self, call: &Call<'_>) -> Result<Vec<Edit>, Fault> {
        self.taped(
            || Asked::Bind,
            Some(call),
            |me| {
                me.decide(call, |guests, store| {
                    Ok(convert::edits(
                        exported(&guests.affinity, "affinity")?.call_bind(store)?,
                    )?)
                })
            },
        )
    }

    fn on_request(&mut self, call: &Call<'_>) -> Result<RequestPlan, Fault> {
        self.taped(
            || Asked::OnRequest,
            Some(call),
            |me| {
                me.decide(call, |guests, store| {
                    Ok(convert::request_plan(
                        exported(&guests.rewriter, "rewriter")?.call_on_request(store)?,
                    )?)
                })
            },
        )
    }

    fn on_response(&mut self, call: &Call<'_>) -> Result<ResponsePlan, Fault> {
        self.taped(
            || Asked::OnResponse,
            Some(call),
            |me| {
                me.decide(call, |guests, store| {
                    Ok(convert::response_plan(
                        exported(&guests.rewriter, "rewriter")?.call_on_response(store)?,
                    )?)
                })
            },
        )
    }

    fn completed(&mut self, batch: &[Outcome]) -> Result<(), Fault> {
        self.taped(
            || Asked::Completed(batch.to_vec()),
            None,
            |me| {
                let batch: Vec<_> = batch.iter().map(convert::outcome).collect();
                me.timed(me.deadline, |guests, store| {
                    exported(&guests.observer, "observer")?.call_completed(store, &batch)
                })
            },
        )
    }

    fn tick(&mut self) -> Result<(), Fault> {
        self.taped(
            || Asked::Tick,
            None,
            |me| {
                me.timed(me.deadline, |guests, store| {
                    exported(&guests.ticker, "ticker")?.call_tick(store)
                })
            },
        )
    }

    fn save(&mut self) -> Result<Vec<u8>, Fault> {
        self.taped(
            || Asked::Save,
            None,
            |me| {
                me.timed(me.init_deadline.min(SAVING), |guests, store| {
                    exported(&guests.handoff, "handoff")?.call_save(store)
                })
            },
        )
    }

    fn restore(
        &mut self,
        previous: &Digest,
        states: &[Vec<u8>],
    ) -> Result<Result<(), String>, Fault> {
        self.taped(
            || Asked::Restore {
                previous: previous.to_string(),
                states: states.to_vec(),
            },
            None,
            |me| {
                let previous = previous.to_string();
                me.lifecycle(|guests, store| {
                    let handoff = exported(&guests.handoff, "handoff")?;
                    let restored = handoff.call_restore(store, &previous, states)?;
                    Ok(restored.map_err(|why| cut(why, WHY)))
                })
            },
        )
    }

    fn open_body(&mut self, seed: &[u8]) -> Result<(), Fault> {
        let body = self.timed(self.deadline, |guests, store| {
            exported(&guests.transformer, "transformer")?
                .body()
                .call_constructor(store, seed)
        })?;
        self.body = Some(body);
        Ok(())
    }

    fn write_body(&mut self, chunk: &[u8]) -> Result<Vec<u8>, Fault> {
        let body = self.body;
        self.timed(self.deadline, |guests, store| {
            let body = *exported(&body, "transformer.body")?;
            exported(&guests.transformer, "transformer")?
                .body()
                .call_write(store, body, chunk)
        })
    }

    fn finish_body(&mut self) -> Result<Vec<u8>, Fault> {
        let body = self.body.take();
        self.timed(self.deadline, |guests, store| {
            let body = *exported(&body, "transformer.body")?;
            let rest = exported(&guests.transformer, "transformer")?
                .body()
                .call_finish(&mut *store, body)?;
            // Runs the guest's destructor.
            body.resource_drop(store)?;
            Ok(rest)
        })
    }
}
