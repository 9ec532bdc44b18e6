//! The endpoint of `switchyard status`, across reloads.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use tracing::{error, info};

use crate::{
    admin::{self, AdminError, Server, Sources},
    members::locked,
    snapshot::{Admin, AdminBind, Snapshot},
};

/// The endpoint in service, if one is configured, and the one that a reload makes ready.
#[derive(Default)]
pub(super) struct Endpoint {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Once there is something to tell.
    sources: Option<Arc<Sources>>,
    serving: Option<(AdminBind, Server)>,
    /// For the next generation.
    prepared: Option<(AdminBind, admin::Prepared)>,
}

impl Endpoint {
    /// Binds what `next` needs and is not bound yet. It answers once it is published.
    pub fn bind(&self, next: &Snapshot) -> Result<(), AdminError> {
        let mut state = locked(&self.state);
        let Some(wanted) = &next.admin else {
            state.prepared = None;
            return Ok(());
        };
        if state.serves(wanted) || state.has_prepared(wanted) {
            return Ok(());
        }
        state.prepared = None;
        let beside = state.serving.as_ref().map(|(_, server)| server.address());
        let prepared = admin::bind(wanted, beside)?;
        state.prepared = Some((wanted.bind.clone(), prepared));
        Ok(())
    }

    /// Answers where `next` wants it, and nowhere else.
    pub fn publish(&self, next: &Snapshot) {
        let mut state = locked(&self.state);
        let Some(wanted) = &next.admin else {
            state.prepared = None;
            told_gone(state.serving.take());
            return;
        };
        if let Some(prepared) = &state.prepared {
            prepared.1.set_rules(wanted);
        }
        if state.serves(wanted) {
            state.prepared = None;
            if let Some((_, server)) = &state.serving {
                server.set_rules(wanted);
            }
        } else if state.sources.is_some() && state.prepared.is_some() {
            match state.enter() {
                Ok(Some(address)) => info!(
                    address = admin::shown(&address),
                    "Answers `switchyard status`"
                ),
                Ok(None) => {}
                Err(error) => match &state.serving {
                    Some((_, server)) => error!(
                        address = admin::shown(server.address()),
                        "{error}; `switchyard status` is answered where it was"
                    ),
                    None => error!("{error}; `switchyard status` gets no answer"),
                },
            }
        }
    }

    /// Closes what was bound and is not used.
    pub fn abandon(&self) {
        locked(&self.state).prepared = None;
    }

    /// There is something to tell: answers from now on, where it was bound.
    pub fn start(&self, sources: Arc<Sources>) -> Result<(), AdminError> {
        let mut state = locked(&self.state);
        state.sources = Some(sources);
        state.enter().map(drop)
    }

    /// Answers no longer; the process ends.
    pub fn close(&self) {
        locked(&self.state).serving = None;
    }

    /// Where it answers, with the real port.
    pub fn address(&self) -> Option<AdminBind> {
        let state = locked(&self.state);
        let (_, server) = state.serving.as_ref()?;
        Some(server.address().clone())
    }
}

impl State {
    fn serves(&self, wanted: &Admin) -> bool {
        self.serving
            .as_ref()
            .is_some_and(|(at, _)| *at == wanted.bind)
    }

    fn has_prepared(&self, wanted: &Admin) -> bool {
        self.prepared
            .as_ref()
            .is_some_and(|(at, _)| *at == wanted.bind)
    }

    /// Answers where that was made ready, and no longer where it did before.
    fn enter(&mut self) -> Result<Option<AdminBind>, AdminError> {
        let (Some(sources), Some((at, prepared))) = (&self.sources, self.prepared.take()) else {
            return Ok(None);
        };
        let start = || Ok((at, prepared.serve(Arc::clone(sources))?));
        told_gone(succeed(&mut self.serving, start)?);
        let server = self.serving.as_ref().map(|(_, server)| server);
        Ok(server.map(|server| server.address().clone()))
    }
}

/// Puts in place what `start` makes and returns its predecessor, which stays where that fails.
fn succeed<T, E>(
    place: &mut Option<T>,
    start: impl FnOnce() -> Result<T, E>,
) -> Result<Option<T>, E> {
    start().map(|next| place.replace(next))
}

/// Ends it.
fn told_gone(gone: Option<(AdminBind, Server)>) {
    if let Some((_, server)) = gone {
        let address = admin::shown(server.address());
        info!(address, "Answers `switchyard status` no longer");
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predecessor_stays_until_its_successor_works() {
        let mut place = Some("old");
        assert_eq!(succeed(&mut place, || Err("no thread")), Err("no thread"));
        assert_eq!(place, Some("old"));
        let gone = succeed(&mut place, || Ok::<_, &str>("new"));
        assert_eq!((gone, place), (Ok(Some("old")), Some("new")));
    }
}
