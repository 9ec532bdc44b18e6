//! Calls whose failure leaves an exchange as it is: rewrites, and cookies for sessions.
//!
//! Each is a question to one binding. Running several in order, each seeing its
//! predecessor's result, is the caller's part: it alone can apply a plan.

use super::{
    Binding, Fault, Instance, Refused, asking::Unanswered, binding::HookTriggers, slot::Turn,
    trigger::Triggers,
};
use crate::{
    decision::{
        Call, CapturedRequest, CapturedResponse, Edit, Hold, RequestPlan, RequestView,
        ResponsePlan, ResponseView,
    },
    snapshot::OnError,
};

/// What is asked of an instance.
struct Question<T> {
    /// The hook, for logs.
    during: &'static str,
    triggers: fn(&HookTriggers) -> &Triggers,
    ask: fn(&mut dyn Instance, &Call<'_>) -> Result<T, Fault>,
}

impl<T> Clone for Question<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Question<T> {}

const ON_REQUEST: Question<RequestPlan> = Question {
    during: "on-request",
    triggers: |all| &all.on_request,
    ask: |instance, call| instance.on_request(call),
};

const ON_RESPONSE: Question<ResponsePlan> = Question {
    during: "on-response",
    triggers: |all| &all.on_response,
    ask: |instance, call| instance.on_response(call),
};

const LOCATE: Question<Option<Hold>> = Question {
    during: "locate",
    triggers: |all| &all.locate,
    ask: |instance, call| instance.locate(call),
};

const BIND: Question<Vec<Edit>> = Question {
    during: "bind",
    triggers: |all| &all.bind,
    ask: |instance, call| instance.bind(call),
};

/// For questions that come before there is a response.
const NO_RESPONSE: Option<&CapturedResponse> = None;

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
        self.decide(worker, ON_REQUEST, request, NO_RESPONSE).await
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
        self.decide(worker, ON_RESPONSE, request, Some(response))
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
        self.decide(worker, BIND, request, Some(response)).await
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
        let located = self.decide(worker, LOCATE, request, NO_RESPONSE);
        Ok(located.await?.flatten())
    }

    /// Asks, and where that fails does what the operator wants done then.
    async fn decide<R: RequestView, S: ResponseView, T: Send + 'static>(
        &self,
        worker: usize,
        question: Question<T>,
        request: &R,
        response: Option<&S>,
    ) -> Result<Option<T>, Refused> {
        if let Ok(value) = self.put(worker, question, request, response).await {
            return Ok(Some(value));
        }
        match self.on_error() {
            OnError::BuiltIn => Ok(None),
            OnError::Refuse => Err(Refused::PolicyRefused),
            OnError::Previous => match self.previous() {
                Some(previous) => {
                    let answered = previous.put(worker, question, request, response);
                    Ok(answered.await.ok())
                }
                None => Ok(None),
            },
        }
    }

    async fn put<R: RequestView, S: ResponseView, T: Send + 'static>(
        &self,
        worker: usize,
        question: Question<T>,
        request: &R,
        response: Option<&S>,
    ) -> Result<T, Unanswered> {
        if self.is_slow(worker) {
            let request = CapturedRequest::of(request);
            let response = response.map(|response| CapturedResponse::of(response));
            let apart = self.call_apart(worker, question.during, move |binding, turn| {
                let response = response.as_ref().map(|response| response as _);
                binding.answer_to(question, turn, &request, response)
            });
            return apart.await;
        }
        let here = self.call(worker, question.during, |turn| {
            let response = response.map(|response| response as _);
            self.answer_to(question, turn, request, response)
        });
        here.await
    }

    fn answer_to<T>(
        &self,
        question: Question<T>,
        turn: &mut Turn<'_>,
        request: &dyn RequestView,
        response: Option<&dyn ResponseView>,
    ) -> Result<T, Fault> {
        self.inform(turn)?;
        let call = Call {
            request: Some(request),
            response,
            pool: None,
            triggers: (question.triggers)(&self.triggers),
            now_us: self.clock().now(),
            wall_ms: self.clock().calendar_ms(),
        };
        (question.ask)(turn.instance, &call)
    }
}

fn hit<R: RequestView, S: ResponseView>(triggers: &Triggers, request: &R, response: &S) -> bool {
    triggers.hit(request, Some(response))
}
