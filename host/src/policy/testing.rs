//! Native policies for tests of `policy`.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use super::{Digest, Environment, Exports, Fault, Instance, Module, Refusal};
pub(super) use super::{
    testing_service::{Later, asleep, bound, in_service, limits, parts, post},
    testing_views::{Request, Response},
};
use crate::{
    decision::{
        Call, Concurrency, Context, Descriptor, Edit, Hold, Hook, Member, Outcome, RequestPlan,
        ResponsePlan, Trigger, Verdict,
    },
    members::locked,
};

type Pick = dyn Fn(&Call<'_>, u32, u64) -> Result<Verdict, Fault> + Send + Sync;
type Locate = dyn Fn(&Call<'_>) -> Result<Option<Hold>, Fault> + Send + Sync;
type Rewrite = dyn Fn() -> Result<(), Fault> + Send + Sync;

/// A native policy. Made with `Native::…`, put into service with [`bound`].
#[derive(Clone)]
pub(super) struct Native {
    pub name: &'static str,
    pub digest: u8,
    pub concurrency: Concurrency,
    pub triggers: Vec<(Hook, Trigger)>,
    pub exports: Exports,
    pub tick_ms: u32,
    /// `None` picks as byrequests does.
    pub pick: Option<Arc<Pick>>,
    pub locate: Arc<Locate>,
    pub rewrite: Arc<Rewrite>,
    /// Lifecycle calls of all instances, in order.
    pub log: Arc<Mutex<Vec<String>>>,
    /// So many instantiations succeed.
    pub instances: Arc<AtomicU32>,
    /// Shows itself when it is tried; else a trial finds nothing and leaves no trace, so that
    /// what fails in service gets there.
    pub frank: bool,
    /// Traps when it is told of what was finished.
    pub deaf: bool,
    /// Traps when it is to save its state.
    pub mute: bool,
}

impl Native {
    /// A balancer that picks as byrequests does.
    pub fn byrequests() -> Self {
        Self {
            name: "byrequests",
            digest: 1,
            concurrency: Concurrency::Exclusive,
            triggers: Vec::new(),
            tick_ms: 0,
            exports: Exports {
                balancer: true,
                membership: true,
                ..Exports::default()
            },
            pick: None,
            locate: Arc::new(|_| Ok(None)),
            rewrite: Arc::new(|| Ok(())),
            log: Arc::default(),
            instances: Arc::new(AtomicU32::new(u32::MAX)),
            frank: false,
            deaf: false,
            mute: false,
        }
    }

    /// A balancer that picks like this.
    pub fn picking(
        name: &'static str,
        pick: impl Fn(&Call<'_>, u32, u64) -> Result<Verdict, Fault> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            digest: 2,
            pick: Some(Arc::new(pick)),
            ..Self::byrequests()
        }
    }

    /// An affinity that locates like this.
    pub fn locating(
        locate: impl Fn(&Call<'_>) -> Result<Option<Hold>, Fault> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: "affinity",
            digest: 3,
            exports: Exports {
                affinity: true,
                ..Exports::default()
            },
            locate: Arc::new(locate),
            ..Self::byrequests()
        }
    }

    /// A rewriter whose calls end like this.
    pub fn rewriting(rewrite: impl Fn() -> Result<(), Fault> + Send + Sync + 'static) -> Self {
        Self {
            name: "rewriter",
            digest: 4,
            concurrency: Concurrency::Replicated,
            exports: Exports {
                rewriter: true,
                ..Exports::default()
            },
            rewrite: Arc::new(rewrite),
            ..Self::byrequests()
        }
    }

    pub fn logged(&self) -> Vec<String> {
        locked(&self.log).clone()
    }
}

impl fmt::Debug for Native {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Module for Native {
    fn digest(&self) -> Digest {
        Digest([self.digest; 32])
    }
    fn size(&self) -> usize {
        0
    }
    fn exports(&self) -> Exports {
        self.exports
    }
    fn apart(&self) -> Arc<dyn Module> {
        Arc::new(self.clone())
    }
    fn describe(&self, _: &str, _: &Environment) -> Result<Descriptor, Refusal> {
        Ok(Descriptor {
            concurrency: self.concurrency,
            triggers: self.triggers.clone(),
            tick_ms: self.tick_ms,
        })
    }
    fn instantiate(
        &self,
        _: &str,
        context: &Context,
        _: &Environment,
    ) -> Result<Box<dyn Instance>, Refusal> {
        let may = |left: u32| left.checked_sub(1);
        if self
            .instances
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, may)
            .is_err()
        {
            return Err(Refusal::Faulted {
                during: "init",
                fault: trap(),
            });
        }
        locked(&self.log).push(format!("init {}/{}", context.replica, context.replicas));
        Ok(Box::new(Running::new(self, false)))
    }
    fn instantiate_apart(
        &self,
        _: &str,
        _: &Context,
        _: &Environment,
    ) -> Result<Box<dyn Instance>, Refusal> {
        let harmless = Self {
            pick: None,
            locate: Arc::new(|_| Ok(None)),
            rewrite: Arc::new(|| Ok(())),
            log: Arc::default(),
            ..self.clone()
        };
        Ok(Box::new(match self.frank {
            true => Running::new(self, true),
            false => Running::new(&harmless, true),
        }))
    }
}

pub(super) fn trap() -> Fault {
    Fault::Trap("unreachable".into())
}

/// An instance. Its accounts are byrequests' `lbstatus`, by member id.
struct Running {
    native: Native,
    apart: bool,
    ids: Vec<String>,
    accounts: HashMap<String, i64>,
}

impl Running {
    fn new(native: &Native, apart: bool) -> Self {
        Self {
            native: native.clone(),
            apart,
            ids: Vec::new(),
            accounts: HashMap::new(),
        }
    }

    fn byrequests(&mut self, call: &Call<'_>) -> Verdict {
        let Some(pool) = call.pool else {
            return Verdict::Abstain;
        };
        assert_eq!(
            pool.usable().len(),
            self.ids.len(),
            "columns are aligned with the members"
        );
        let (mut total, mut best) = (0, None::<(usize, i64)>);
        for (index, id) in self.ids.iter().enumerate() {
            if pool.usable()[index] == 0 {
                continue;
            }
            let weight = i64::from(pool.weights()[index]);
            total += weight;
            let account = self.accounts.entry(id.clone()).or_default();
            *account += weight;
            if best.is_none_or(|(_, most)| *account > most) {
                best = Some((index, *account));
            }
        }
        let Some((index, _)) = best else {
            return Verdict::Abstain;
        };
        *self.accounts.entry(self.ids[index].clone()).or_default() -= total;
        Verdict::Member(index as u32)
    }

    fn note(&self, what: impl Into<String>) {
        let what = what.into();
        locked(&self.native.log).push(match self.apart {
            true => format!("apart: {what}"),
            false => what,
        });
    }
}

impl Instance for Running {
    fn members_changed(&mut self, revision: u64, members: &[Member]) -> Result<(), Fault> {
        self.note(format!("members {revision}"));
        self.ids = members.iter().map(|m| m.id.clone()).collect();
        Ok(())
    }
    fn pick(&mut self, call: &Call<'_>, attempt: u32, state: u64) -> Result<Verdict, Fault> {
        match self.native.pick.clone() {
            Some(pick) => pick(call, attempt, state),
            None => Ok(self.byrequests(call)),
        }
    }
    fn locate(&mut self, call: &Call<'_>) -> Result<Option<Hold>, Fault> {
        (self.native.locate)(call)
    }
    fn bind(&mut self, _: &Call<'_>) -> Result<Vec<Edit>, Fault> {
        Ok(vec![Edit::Remove("bound".into())])
    }
    fn on_request(&mut self, _: &Call<'_>) -> Result<RequestPlan, Fault> {
        (self.native.rewrite)().map(|()| RequestPlan::default())
    }
    fn on_response(&mut self, _: &Call<'_>) -> Result<ResponsePlan, Fault> {
        (self.native.rewrite)().map(|()| ResponsePlan::default())
    }
    fn completed(&mut self, batch: &[Outcome]) -> Result<(), Fault> {
        self.note(format!("completed {}", batch.len()));
        match self.native.deaf {
            true => Err(trap()),
            false => Ok(()),
        }
    }
    fn tick(&mut self) -> Result<(), Fault> {
        self.note("tick");
        Ok(())
    }
    fn save(&mut self) -> Result<Vec<u8>, Fault> {
        self.note("save");
        match self.native.mute {
            true => Err(trap()),
            false => Ok(b"state".to_vec()),
        }
    }
    fn restore(&mut self, _: &Digest, states: &[Vec<u8>]) -> Result<Result<(), String>, Fault> {
        self.note(format!("restore {}", states.len()));
        Ok(Ok(()))
    }
    fn open_body(&mut self, _: &[u8]) -> Result<(), Fault> {
        self.note("body");
        Ok(())
    }
    fn write_body(&mut self, chunk: &[u8]) -> Result<Vec<u8>, Fault> {
        Ok(chunk.to_vec())
    }
    fn finish_body(&mut self) -> Result<Vec<u8>, Fault> {
        Ok(Vec::new())
    }
}
