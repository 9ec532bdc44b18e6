//! A policy in service.
use std::{sync::Arc, time::Duration};

use super::{Digest, Environment, Instance, Module, Refusal, Refused};
use crate::{
    decision::{Descriptor, Edit, RequestPlan, RequestView, ResponsePlan, ResponseView},
    members::{Clock, Pool},
    snapshot::OnError,
};

/// Runs slow work off the workers, such as rebuilding an instance after a fault.
pub trait Background: Send + Sync {
    /// Runs `job` on a thread that may block, not before `delay` is over.
    fn after(&self, delay: Duration, job: Box<dyn FnOnce() + Send>);
}

/// What a binding is made of.
#[derive(Clone)]
pub struct BindingParts {
    /// The policy's name.
    pub policy: Arc<str>,
    /// Its code.
    pub module: Arc<dyn Module>,
    /// JSON text.
    pub config: Arc<str>,
    /// `tenant/route-or-pool`.
    pub binding: String,
    /// For its instances.
    pub environment: Environment,
    /// What a failing call becomes.
    pub on_error: OnError,
    /// Whose members it is told of; balancers need one.
    pub pool: Option<Arc<Pool>>,
    /// Worker threads, at least 1.
    pub workers: usize,
    /// Reads time.
    pub clock: Clock,
    /// Rebuilds instances.
    pub background: Arc<dyn Background>,
}

/// A policy, a configuration and (for balancers) a pool, in service.
pub struct Binding {}

impl Binding {
    /// Makes every instance (describe, init). Slow: off the workers. Call [`Self::enter_service`] next.
    pub fn prepare(_parts: BindingParts) -> Result<Arc<Self>, Refusal> {
        todo!()
    }
    /// Takes the predecessor's state over (save, restore), then tells it the members. Off the workers.
    pub fn enter_service(self: &Arc<Self>, _predecessor: Option<&Arc<Self>>) -> Result<(), Refusal> {
        todo!()
    }
    /// The policy's name.
    pub fn policy(&self) -> &Arc<str> {
        todo!()
    }
    /// Of its file.
    pub fn digest(&self) -> Digest {
        todo!()
    }
    /// What it asked for.
    pub fn descriptor(&self) -> &Descriptor {
        todo!()
    }
    /// Decision 3, request. `None`: no trigger, or it failed and the request passes unchanged.
    pub async fn on_request<R: RequestView>(
        &self,
        _worker: usize,
        _request: &R,
    ) -> Result<Option<RequestPlan>, Refused> {
        todo!()
    }
    /// Decision 3, response. `None`: no trigger, or it failed and the answer passes unchanged.
    pub async fn on_response<R: RequestView, S: ResponseView>(
        &self,
        _worker: usize,
        _request: &R,
        _response: &S,
    ) -> Result<Option<ResponsePlan>, Refused> {
        todo!()
    }
    /// Decision 2, response to cookies; nothing where it failed.
    pub async fn bind<R: RequestView, S: ResponseView>(&self, _worker: usize, _request: &R, _response: &S) -> Vec<Edit> {
        todo!()
    }
    /// An instance of its own with a body stream open. Instantiates, so not for every answer.
    pub fn open_body(&self, _seed: &[u8]) -> Result<Box<dyn Instance>, Refused> {
        todo!()
    }
}
