//! Calls whose failure leaves an exchange as it is: rewrites, and cookies for sessions.
//!
//! Each is a question to one binding. Running several in order, each seeing its
//! predecessor's result, is the caller's part: it alone can apply a plan.

use super::{Binding, Fault, Instance, Refusal, Refused, binding::Unanswered, trigger::Triggers};
use crate::{
    decision::{Call, Edit, Hold, RequestPlan, RequestView, ResponsePlan, ResponseView, Trigger},
    snapshot::OnError,
};

impl Binding {
    /// Decision 3, request. `None`: no trigger, or it failed and the request passes unchanged.
    pub async fn on_request<R: RequestView>(
        &self,
        worker: usize,
        request: &R,
    ) -> Result<Option<RequestPlan>, Refused> {
        if !self.exports().rewriter || !self.triggers.on_request.hit(request, None) {
            return Ok(None);
        }
        let moment = Moment::now(self);
        self.decide(worker, "on-request", |instance| {
            instance.on_request(&moment.call(request, None, &self.triggers.on_request))
        })
        .await
    }

    /// Decision 3, response. `None`: no trigger, or it failed and the answer passes unchanged.
    pub async fn on_response<R: RequestView, S: ResponseView>(
        &self,
        worker: usize,
        request: &R,
        response: &S,
    ) -> Result<Option<ResponsePlan>, Refused> {
        if !self.exports().rewriter || !hit(&self.triggers.on_response, request, response) {
            return Ok(None);
        }
        let moment = Moment::now(self);
        self.decide(worker, "on-response", |instance| {
            instance.on_response(&moment.call(request, Some(response), &self.triggers.on_response))
        })
        .await
    }

    /// Decision 2, response to cookies. `None`: no trigger, or it failed and no cookie is set.
    pub async fn bind<R: RequestView, S: ResponseView>(
        &self,
        worker: usize,
        request: &R,
        response: &S,
    ) -> Result<Option<Vec<Edit>>, Refused> {
        if !self.exports().affinity || !hit(&self.triggers.bind, request, response) {
            return Ok(None);
        }
        let moment = Moment::now(self);
        self.decide(worker, "bind", |instance| {
            instance.bind(&moment.call(request, Some(response), &self.triggers.bind))
        })
        .await
    }

    /// Decision 2, request to route. `None` within: no session, no trigger, or it failed.
    pub(super) async fn locate<R: RequestView>(
        &self,
        worker: usize,
        request: &R,
    ) -> Result<Option<Hold>, Refused> {
        if !self.exports().affinity || !self.triggers.locate.hit(request, None) {
            return Ok(None);
        }
        let moment = Moment::now(self);
        let located = self.decide(worker, "locate", |instance| {
            instance.locate(&moment.call(request, None, &self.triggers.locate))
        });
        Ok(located.await?.flatten())
    }

    /// An instance of its own with a body stream open. It instantiates, so call it only for an
    /// answer whose body plan asks for it.
    pub fn open_body(&self, seed: &[u8]) -> Result<Box<dyn Instance>, Refusal> {
        let mut instance = self.extra_instance()?;
        let opened = instance.open_body(seed);
        opened.map_err(|fault| Refusal::Faulted {
            during: "body",
            fault,
        })?;
        Ok(instance)
    }

    /// Asks, and where that fails does what the operator wants done then.
    async fn decide<T>(
        &self,
        worker: usize,
        during: &'static str,
        ask: impl Fn(&mut dyn Instance) -> Result<T, Fault>,
    ) -> Result<Option<T>, Refused> {
        if let Ok(value) = self.ask(worker, during, &ask).await {
            return Ok(Some(value));
        }
        match self.on_error() {
            OnError::BuiltIn => Ok(None),
            OnError::Refuse => Err(Refused::PolicyRefused),
            OnError::Previous => match self.previous() {
                Some(previous) => Ok(previous.ask(worker, during, &ask).await.ok()),
                None => Ok(None),
            },
        }
    }

    async fn ask<T>(
        &self,
        worker: usize,
        during: &'static str,
        ask: &impl Fn(&mut dyn Instance) -> Result<T, Fault>,
    ) -> Result<T, Unanswered> {
        self.call(worker, during, |turn| {
            self.inform(turn)?;
            ask(turn.instance)
        })
        .await
    }
}

/// The time of one call, frozen.
struct Moment {
    now_us: u64,
    wall_ms: u64,
}

impl Moment {
    fn now(binding: &Binding) -> Self {
        Self {
            now_us: binding.clock().now(),
            wall_ms: binding.clock().calendar_ms(),
        }
    }

    fn call<'a>(
        &self,
        request: &'a dyn RequestView,
        response: Option<&'a dyn ResponseView>,
        triggers: &'a [Trigger],
    ) -> Call<'a> {
        Call {
            request: Some(request),
            response,
            pool: None,
            triggers,
            now_us: self.now_us,
            wall_ms: self.wall_ms,
        }
    }
}

fn hit<R: RequestView, S: ResponseView>(triggers: &Triggers, request: &R, response: &S) -> bool {
    triggers.hit(request, Some(response))
}
