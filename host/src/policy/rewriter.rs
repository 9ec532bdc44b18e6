//! Calls whose failure leaves an exchange as it is: rewrites, and cookies for sessions.
//!
//! Each is a question to one binding. Running several in order, each seeing its
//! predecessor's result, is the caller's part: it alone can apply a plan.

use super::{
    Binding, Exports, Fault, Instance, Refused, asking::Unanswered, binding::HookTriggers,
    slot::Turn, trigger::Triggers,
};
use crate::{
    decision::{
        Call, CapturedRequest, CapturedResponse, Edit, Hold, RequestPlan, RequestView,
        ResponsePlan, ResponseView,
    },
    snapshot::OnError,
};

/// What is asked of an instance.
pub(super) struct Question<T> {
    /// The hook, for logs.
    pub during: &'static str,
    /// Whether a policy with these can be asked.
    pub exported: fn(Exports) -> bool,
    triggers: fn(&HookTriggers) -> &Triggers,
    ask: fn(&mut dyn Instance, &Call<'_>) -> Result<T, Fault>,
}

impl<T> Clone for Question<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Question<T> {}

pub(super) const ON_REQUEST: Question<RequestPlan> = Question {
    during: "on-request",
    exported: |exports| exports.rewriter,
    triggers: |all| &all.on_request,
    ask: |instance, call| instance.on_request(call),
};

pub(super) const ON_RESPONSE: Question<ResponsePlan> = Question {
    during: "on-response",
    exported: |exports| exports.rewriter,
    triggers: |all| &all.on_response,
    ask: |instance, call| instance.on_response(call),
};

pub(super) const LOCATE: Question<Option<Hold>> = Question {
    during: "locate",
    exported: |exports| exports.affinity,
    triggers: |all| &all.locate,
    ask: |instance, call| instance.locate(call),
};

pub(super) const BIND: Question<Vec<Edit>> = Question {
    during: "bind",
    exported: |exports| exports.affinity,
    triggers: |all| &all.bind,
    ask: |instance, call| instance.bind(call),
};

/// For questions that come before there is a response.
pub(super) const NO_RESPONSE: Option<&CapturedResponse> = None;

impl Binding {
    /// Asks, and where that fails does what the operator wants done then. `None`: no trigger, or
    /// it failed and nothing is done.
    pub(super) async fn decide<R: RequestView, S: ResponseView, T: Send + 'static>(
        &self,
        worker: usize,
        question: Question<T>,
        request: &R,
        response: Option<&S>,
    ) -> Result<Option<T>, Refused> {
        if let Ok(value) = self.put(worker, question, request, response).await {
            return Ok(value);
        }
        match self.on_error() {
            OnError::BuiltIn => Ok(None),
            OnError::Refuse => Err(Refused::PolicyRefused),
            OnError::Previous => match self.previous() {
                Some(previous) => {
                    let answered = previous.put(worker, question, request, response);
                    Ok(answered.await.ok().flatten())
                }
                None => Ok(None),
            },
        }
    }

    /// Asks. `None`: it has no such hook, or nothing that triggers it is there.
    pub(super) async fn put<R: RequestView, S: ResponseView, T: Send + 'static>(
        &self,
        worker: usize,
        question: Question<T>,
        request: &R,
        response: Option<&S>,
    ) -> Result<Option<T>, Unanswered> {
        let (triggered, at_once) = {
            let seen = response.map(|response| response as _);
            let Some(triggered) = self.triggered(question, request, seen) else {
                return Ok(None);
            };
            let at_once = self.call_at_once(worker, question.during, |turn| {
                self.answer_to(question, turn, triggered, request, seen)
            });
            (triggered, at_once)
        };
        let answered = match at_once {
            Some(answered) => answered,
            None => {
                Box::pin(self.put_in_turn(worker, question, triggered, request, response)).await
            }
        };
        answered.map(Some)
    }

    /// Asks once it can be asked, and where it can be asked.
    async fn put_in_turn<R: RequestView, S: ResponseView, T: Send + 'static>(
        &self,
        worker: usize,
        question: Question<T>,
        triggered: u64,
        request: &R,
        response: Option<&S>,
    ) -> Result<T, Unanswered> {
        if self.is_slow(worker) {
            let request = CapturedRequest::of(request);
            let response = response.map(|response| CapturedResponse::of(response));
            let apart = self.call_apart(worker, question.during, move |binding, turn| {
                let response = response.as_ref().map(|response| response as _);
                binding.answer_to(question, turn, triggered, &request, response)
            });
            return apart.await;
        }
        let here = self.call(worker, question.during, |turn| {
            let response = response.map(|response| response as _);
            self.answer_to(question, turn, triggered, request, response)
        });
        here.await
    }

    /// Likewise on the tenant's thread, where this is called.
    pub(super) fn put_blocking<T>(
        &self,
        worker: usize,
        question: Question<T>,
        request: &dyn RequestView,
        response: Option<&dyn ResponseView>,
    ) -> Result<Option<T>, Unanswered> {
        let Some(triggered) = self.triggered(question, request, response) else {
            return Ok(None);
        };
        let answered = self.call_blocking(worker, question.during, |turn| {
            self.answer_to(question, turn, triggered, request, response)
        });
        answered.map(Some)
    }

    /// Which triggers are there; `None` where it is not concerned.
    fn triggered<T>(
        &self,
        question: Question<T>,
        request: &dyn RequestView,
        response: Option<&dyn ResponseView>,
    ) -> Option<u64> {
        match (question.exported)(self.exports()) {
            true => (question.triggers)(&self.triggers).look(request, response),
            false => None,
        }
    }

    fn answer_to<T>(
        &self,
        question: Question<T>,
        turn: &mut Turn<'_>,
        triggered: u64,
        request: &dyn RequestView,
        response: Option<&dyn ResponseView>,
    ) -> Result<T, Fault> {
        self.inform(turn)?;
        let call = Call {
            request: Some(request),
            response,
            pool: None,
            triggered,
            now_us: turn.time(self.clock()),
            wall_ms: self.clock().calendar_ms(),
        };
        (question.ask)(turn.instance, &call)
    }
}
