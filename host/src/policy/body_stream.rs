//! A body on its way through a policy.
//!
//! It runs on the tenant's thread, in an instance of its own: chunks are large, so a worker
//! would be held up by each, and a fault ends this one stream.

use std::{fmt, sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::sleep};

use super::{Allowance, Binding, Fault, Instance, Refusal, cpu};

/// A body on its way through a policy.
pub struct BodyStream {
    binding: Arc<Binding>,
    /// Gone while a call is under way, and after a fault.
    instance: Option<Box<dyn Instance>>,
    /// The call under way.
    pending: Option<oneshot::Receiver<Answer>>,
}

/// What came of a call, and the instance back.
type Answer = Result<(Vec<u8>, Box<dyn Instance>), Fault>;

impl Binding {
    /// A stream opened with `seed`. It makes an instance, so call it only for an answer whose
    /// body plan asks for it.
    pub async fn open_body(self: &Arc<Self>, seed: &[u8]) -> Result<BodyStream, Refusal> {
        self.solvent().await;
        let (reply, opened) = oneshot::channel();
        let seed = seed.to_vec();
        self.later(Duration::ZERO, move |binding| {
            let _ = reply.send(binding.opened(&seed));
        });
        let gone = Refusal::Faulted {
            during: "body",
            fault: Fault::Ended,
        };
        Ok(BodyStream {
            binding: Arc::clone(self),
            instance: Some(opened.await.unwrap_or(Err(gone))?),
            pending: None,
        })
    }

    /// Does what a policy's answer costs beside its calls, where that takes long: on the tenant's
    /// thread and out of its CPU time. `None`: the policy is gone.
    pub async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        self.solvent().await;
        let (reply, done) = oneshot::channel();
        self.later(Duration::ZERO, move |binding| {
            let before = cpu::thread_time();
            let made = work();
            binding.charge(cpu::thread_time().saturating_sub(before));
            // Whoever waited may have left.
            let _ = reply.send(made);
        });
        done.await.ok()
    }

    /// Waits until the tenant has CPU time left, where there is no going on without it.
    async fn solvent(&self) {
        if let Some(allowance) = self.allowance() {
            while let Some(wait) = Allowance::wait(allowance) {
                sleep(wait).await;
            }
        }
    }

    fn opened(&self, seed: &[u8]) -> Result<Box<dyn Instance>, Refusal> {
        let before = cpu::thread_time();
        let made = self.extra_instance().map(|mut instance| {
            let opened = instance.open_body(seed);
            (instance, opened)
        });
        self.charge(cpu::thread_time().saturating_sub(before));
        let (instance, opened) = made?;
        opened.map_err(|fault| {
            self.body_failed(&fault);
            Refusal::Faulted {
                during: "body",
                fault,
            }
        })?;
        Ok(instance)
    }
}

impl BodyStream {
    /// One chunk; returns what comes out so far. Where this is cancelled, call it again with the
    /// same chunk, which will not be asked twice.
    pub async fn write(&mut self, chunk: &[u8]) -> Result<Vec<u8>, Fault> {
        let chunk = chunk.to_vec();
        self.call(move |instance| instance.write_body(&chunk)).await
    }

    /// What is left at the end.
    pub async fn finish(&mut self) -> Result<Vec<u8>, Fault> {
        self.call(|instance| instance.finish_body()).await
    }

    async fn call(
        &mut self,
        ask: impl FnOnce(&mut dyn Instance) -> Result<Vec<u8>, Fault> + Send + 'static,
    ) -> Result<Vec<u8>, Fault> {
        self.binding.solvent().await;
        let pending = match self.pending.take() {
            Some(pending) => pending,
            None => self.ask(ask)?,
        };
        let (made, instance) = self
            .pending
            .insert(pending)
            .await
            .unwrap_or(Err(Fault::Ended))
            .inspect_err(|_| self.pending = None)?;
        self.pending = None;
        self.instance = Some(instance);
        Ok(made)
    }

    fn ask(
        &mut self,
        ask: impl FnOnce(&mut dyn Instance) -> Result<Vec<u8>, Fault> + Send + 'static,
    ) -> Result<oneshot::Receiver<Answer>, Fault> {
        let mut instance = self.instance.take().ok_or(Fault::Ended)?;
        let (reply, answer) = oneshot::channel();
        self.binding.later(Duration::ZERO, move |binding| {
            let before = cpu::thread_time();
            let made = ask(instance.as_mut());
            binding.charge(cpu::thread_time().saturating_sub(before));
            if let Err(fault) = &made {
                binding.body_failed(fault);
            }
            let _ = reply.send(made.map(|made| (made, instance)));
        });
        Ok(answer)
    }
}

impl fmt::Debug for BodyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyStream")
            .field("binding", &self.binding)
            .finish_non_exhaustive()
    }
}
