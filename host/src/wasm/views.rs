//! Where the views of the call under way lie while the guest runs.
//!
//! wasmtime's store owns its state and wants it to be `'static`, yet a
//! [`Call`] is borrowed for one call. This module is the one place that erases
//! that lifetime, and gives it back.
//!
//! Why it is sound:
//! - [`with`] is the only way to put a call in. It borrows the call for the whole
//!   length of its closure, and its guard takes the views out before `with`
//!   returns, also when the closure panics. The guard is a local of `with`, so no
//!   caller can leak it.
//! - [`Views::call`] gives the views back with the lifetime of `&self`, which lies
//!   within the closure, since `Views` is reachable through the store only and the
//!   store is borrowed by the closure's caller.
//! - Outside `with` there is nothing in the slot, so moving it to another thread
//!   (`Send`) moves no view. Inside `with` nobody can move it: the store is
//!   mutably borrowed.

use wasmtime::{AsContextMut, Store};

use super::state::State;
use crate::decision::Call;

/// The slot within the store's state.
#[derive(Default)]
pub(super) struct Views(Option<Call<'static>>);

// SAFETY: see the module's doc, third point.
unsafe impl Send for Views {}

impl Views {
    /// The call under way; `None` in lifecycle calls.
    pub(super) fn call(&self) -> Option<&Call<'_>> {
        self.0.as_ref().map(shorten)
    }
}

/// Runs `enter` with the views of `call` in the store.
pub(super) fn with<R>(
    store: &mut Store<State>,
    call: &Call<'_>,
    enter: impl FnOnce(&mut Store<State>) -> R,
) -> R {
    struct Clear<'a>(&'a mut Store<State>);
    impl Drop for Clear<'_> {
        fn drop(&mut self) {
            self.0.as_context_mut().data_mut().views.0 = None;
        }
    }
    let guard = Clear(store);
    // SAFETY: only the lifetime changes. The value is taken out by `guard` before
    // this function returns or unwinds, while `call` is still borrowed.
    let erased = unsafe { std::mem::transmute::<Call<'_>, Call<'static>>(*call) };
    guard.0.data_mut().views.0 = Some(erased);
    enter(&mut *guard.0)
}

/// `Call` is covariant: the compiler itself shortens the lifetime.
fn shorten<'a>(call: &'a Call<'static>) -> &'a Call<'a> {
    call
}
