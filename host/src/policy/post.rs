//! A policy at work in one place, with the candidates that are tried beside it.

use std::{ops::Deref, sync::Arc, time::Duration};

use super::{
    Binding, Canary, InWords, Refused, Shadow,
    rewriter::{BIND, LOCATE, NO_RESPONSE, ON_REQUEST, ON_RESPONSE, Question},
};
use crate::decision::{
    CapturedRequest, CapturedResponse, Edit, Hold, RequestPlan, RequestView, ResponsePlan,
    ResponseView,
};

/// A policy at work in one place.
#[derive(Debug, Clone)]
pub struct Post {
    /// The one that is obeyed, but for the canary's share.
    pub binding: Arc<Binding>,
    /// Sees the same and is never obeyed.
    pub shadow: Option<Shadow>,
    /// Obeyed for its share.
    pub canary: Option<Canary>,
}

impl From<Arc<Binding>> for Post {
    fn from(binding: Arc<Binding>) -> Self {
        Self {
            binding,
            shadow: None,
            canary: None,
        }
    }
}

impl Deref for Post {
    type Target = Arc<Binding>;

    fn deref(&self) -> &Arc<Binding> {
        &self.binding
    }
}

impl Post {
    /// Decision 3, request. `None`: no trigger, or it failed and the request passes unchanged.
    pub async fn on_request<R: RequestView>(
        &self,
        worker: usize,
        request: &R,
    ) -> Result<Option<RequestPlan>, Refused> {
        let planned = self.decide(worker, ON_REQUEST, request, NO_RESPONSE);
        Ok(planned.await?.map(|(plan, _)| plan))
    }

    /// Decision 3, response, and who made it. `None`: no trigger, or it failed and the answer passes unchanged.
    pub async fn on_response<R: RequestView, S: ResponseView>(
        &self,
        worker: usize,
        request: &R,
        response: &S,
    ) -> Result<Option<(ResponsePlan, &Arc<Binding>)>, Refused> {
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
        let bound = self.decide(worker, BIND, request, Some(response));
        Ok(bound.await?.map(|(edits, _)| edits))
    }

    /// Decision 2, request to route. `None`: no session, no trigger, or it failed.
    pub(super) async fn locate<R: RequestView>(
        &self,
        worker: usize,
        request: &R,
    ) -> Result<Option<Hold>, Refused> {
        let located = self.decide(worker, LOCATE, request, NO_RESPONSE);
        Ok(located.await?.and_then(|(hold, _)| hold))
    }

    /// The canary, where it decides for this request.
    pub(super) fn canary_for<R: RequestView>(&self, request: &R) -> Option<&Arc<Binding>> {
        let canary = self.canary.as_ref()?;
        canary.takes(request).then_some(&canary.binding)
    }

    /// How a request ended that went by here.
    pub fn note<R: RequestView>(&self, request: &R, failed: bool) {
        if let Some(canary) = &self.canary {
            canary.note(request, failed);
        }
    }

    async fn decide<R: RequestView, S: ResponseView, T>(
        &self,
        worker: usize,
        question: Question<T>,
        request: &R,
        response: Option<&S>,
    ) -> Result<Option<(T, &Arc<Binding>)>, Refused>
    where
        T: Default + Clone + PartialEq + InWords + Send + 'static,
    {
        let decided = self.obeyed(worker, question, request, response).await;
        if let Some(shadow) = &self.shadow
            && (question.exported)(shadow.binding.exports())
            && shadow.is_due(worker)
        {
            // What is not done and what changes nothing is the same.
            let done = match &decided {
                Ok(Some((value, _))) => value.clone(),
                _ => T::default(),
            };
            Box::pin(shadow.watch(worker, question, (request, response), done)).await;
        }
        decided
    }

    async fn obeyed<R: RequestView, S: ResponseView, T: Send + 'static>(
        &self,
        worker: usize,
        question: Question<T>,
        request: &R,
        response: Option<&S>,
    ) -> Result<Option<(T, &Arc<Binding>)>, Refused> {
        // Where the canary fails, the one it would replace is its fallback.
        if let Some(canary) = self.canary_for(request)
            && (question.exported)(canary.exports())
            && let Ok(value) = canary.put(worker, question, request, response).await
        {
            return Ok(value.map(|value| (value, canary)));
        }
        let decided = self.binding.decide(worker, question, request, response);
        Ok(decided.await?.map(|value| (value, &self.binding)))
    }
}

impl Shadow {
    async fn watch<R: RequestView, S: ResponseView, T>(
        &self,
        worker: usize,
        question: Question<T>,
        (request, response): (&R, Option<&S>),
        done: T,
    ) where
        T: Default + PartialEq + InWords + Send + 'static,
    {
        let comparison = self.binding.comparison();
        if !self.binding.is_slow(worker) {
            let said = self.binding.put(worker, question, request, response).await;
            let said = said.ok().map(Option::unwrap_or_default);
            comparison.note(self.binding.clock(), request, &done, said.as_ref());
            return;
        }
        if !comparison.may_wait() {
            return;
        }
        let request = CapturedRequest::of(request);
        let response = response.map(|response| CapturedResponse::of(response));
        self.binding.later(Duration::ZERO, move |binding| {
            let response = response.as_ref().map(|response| response as _);
            let said = binding.put_blocking(worker, question, &request, response);
            let said = said.ok().map(Option::unwrap_or_default);
            let comparison = binding.comparison();
            comparison.note(binding.clock(), &request, &done, said.as_ref());
            comparison.answered();
        });
    }
}
