//! Policies whose file says in words what they do.
//!
//! `balancer rewriter affinity …` lists what it exports; besides:
//! `unloadable` is refused by the loader, `trap-init` fails in `init`,
//! `needs:KEY` refuses a configuration without that key, `trap-members` fails in
//! `members-changed`, `trap-pick` in `pick`, `burn` takes 120 ms to describe itself. Any other word only makes another version.

use std::{
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use crate::{
    control::stock,
    decision::{
        Call, Concurrency, Context, Descriptor, Edit, Hold, Member, Outcome, Problem, RequestPlan,
        ResponsePlan, Verdict,
    },
    policy::{Digest, Environment, Exports, Fault, Instance, Loader, Module, Refusal, thread_time},
    snapshot::PolicyLimits,
};

/// CPU time.
const BURNT: Duration = Duration::from_millis(120);

#[derive(Debug)]
pub(super) struct Native;

/// Loads what does not say `slow`, and the rest once it is open.
#[derive(Debug, Default)]
pub(super) struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    pub fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let open = self.open.lock().unwrap();
        drop(self.opened.wait_while(open, |open| !*open).unwrap());
    }
}

/// [`Native`] behind a gate.
#[derive(Debug)]
pub(super) struct Gated(pub Arc<Gate>);

impl Loader for Gated {
    fn load(
        &self,
        name: &str,
        wasm: &[u8],
        limits: &PolicyLimits,
    ) -> Result<Arc<dyn Module>, Refusal> {
        if String::from_utf8_lossy(wasm).contains("slow") {
            self.0.pass();
        }
        Native.load(name, wasm, limits)
    }
}

#[derive(Debug, Clone)]
struct Words {
    digest: Digest,
    text: String,
}

impl Words {
    fn has(&self, word: &str) -> bool {
        self.text.split_whitespace().any(|other| other == word)
    }
}

impl Loader for Native {
    fn load(&self, name: &str, wasm: &[u8], _: &PolicyLimits) -> Result<Arc<dyn Module>, Refusal> {
        let words = Words {
            digest: stock::digest(wasm),
            text: String::from_utf8_lossy(wasm).into_owned(),
        };
        match words.has("unloadable") {
            true => Err(Refusal::NotAPolicy(format!("`{name}` is no policy"))),
            false => Ok(Arc::new(words)),
        }
    }
}

impl Module for Words {
    fn digest(&self) -> Digest {
        self.digest
    }

    fn size(&self) -> usize {
        self.text.len()
    }

    fn exports(&self) -> Exports {
        Exports {
            balancer: self.has("balancer"),
            affinity: self.has("affinity"),
            rewriter: self.has("rewriter"),
            membership: self.has("balancer"),
            ..Exports::default()
        }
    }

    fn apart(&self) -> Arc<dyn Module> {
        Arc::new(self.clone())
    }

    fn describe(&self, config: &str, _: &Environment) -> Result<Descriptor, Refusal> {
        if self.has("burn") {
            let began = thread_time();
            while thread_time() < began + BURNT {}
        }
        let mut needs = self
            .text
            .split_whitespace()
            .filter_map(|w| w.strip_prefix("needs:"));
        match needs.find(|key| !config.contains(key)) {
            Some(key) => Err(Refusal::Config(vec![Problem {
                at: format!("/{key}"),
                message: "is missing".into(),
            }])),
            None => Ok(Descriptor {
                concurrency: Concurrency::Exclusive,
                triggers: Vec::new(),
                tick_ms: 0,
            }),
        }
    }

    fn instantiate(
        &self,
        _: &str,
        _: &Context,
        _: &Environment,
    ) -> Result<Box<dyn Instance>, Refusal> {
        match self.has("trap-init") {
            true => Err(Refusal::Faulted {
                during: "init",
                fault: Fault::Trap("unreachable".into()),
            }),
            false => Ok(Box::new(self.clone())),
        }
    }

    fn instantiate_apart(
        &self,
        config: &str,
        context: &Context,
        environment: &Environment,
    ) -> Result<Box<dyn Instance>, Refusal> {
        self.instantiate(config, context, environment)
    }
}

impl Instance for Words {
    fn members_changed(&mut self, _: u64, _: &[Member]) -> Result<(), Fault> {
        match self.has("trap-members") {
            true => Err(Fault::Trap("unreachable".into())),
            false => Ok(()),
        }
    }
    fn pick(&mut self, _: &Call<'_>, _: u32, _: u64) -> Result<Verdict, Fault> {
        match self.has("trap-pick") {
            true => Err(Fault::Trap("unreachable".into())),
            false => Ok(Verdict::Abstain),
        }
    }
    fn locate(&mut self, _: &Call<'_>) -> Result<Option<Hold>, Fault> {
        Ok(None)
    }
    fn bind(&mut self, _: &Call<'_>) -> Result<Vec<Edit>, Fault> {
        Ok(Vec::new())
    }
    fn on_request(&mut self, _: &Call<'_>) -> Result<RequestPlan, Fault> {
        Ok(RequestPlan::default())
    }
    fn on_response(&mut self, _: &Call<'_>) -> Result<ResponsePlan, Fault> {
        Ok(ResponsePlan::default())
    }
    fn completed(&mut self, _: &[Outcome]) -> Result<(), Fault> {
        Ok(())
    }
    fn tick(&mut self) -> Result<(), Fault> {
        Ok(())
    }
    fn save(&mut self) -> Result<Vec<u8>, Fault> {
        Ok(Vec::new())
    }
    fn restore(&mut self, _: &Digest, _: &[Vec<u8>]) -> Result<Result<(), String>, Fault> {
        Ok(Ok(()))
    }
    fn open_body(&mut self, _: &[u8]) -> Result<(), Fault> {
        Ok(())
    }
    fn write_body(&mut self, chunk: &[u8]) -> Result<Vec<u8>, Fault> {
        Ok(chunk.to_vec())
    }
    fn finish_body(&mut self) -> Result<Vec<u8>, Fault> {
        Ok(Vec::new())
    }
}
