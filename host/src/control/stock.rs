//! Compiled policies, kept by digest.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use sha2::{Digest as _, Sha256};

use crate::{
    members::locked,
    policy::{Digest, Loader, Module, Refusal},
    snapshot::PolicyLimits,
};

/// Modules kept beyond those in service, so that going back and forth between versions costs no
/// compiling. Rust policies have 20 KB, so it is the number that counts for them, and for
/// those with an interpreter within, the size.
const KEPT: usize = 32;

/// Bytes of `.wasm` likewise; code takes a few times that.
const KEPT_BYTES: usize = 8 << 20;

/// Gives the bytes of a built-in policy by its name.
pub type BuiltIn = fn(&str) -> Option<&'static [u8]>;

/// Loads policies and remembers them.
pub struct Stock {
    loader: Arc<dyn Loader>,
    built_in: BuiltIn,
    shelves: Mutex<Shelves>,
}

#[derive(Default)]
struct Shelves {
    built_in: Vec<(&'static [u8], Arc<dyn Module>)>,
    /// The latest used last.
    own: VecDeque<Arc<dyn Module>>,
}

impl Stock {
    /// Nothing loaded yet.
    pub fn new(loader: Arc<dyn Loader>, built_in: BuiltIn) -> Self {
        Self {
            loader,
            built_in,
            shelves: Mutex::default(),
        }
    }

    /// The module of a policy of the operator's own.
    pub fn load(
        &self,
        name: &str,
        wasm: &[u8],
        limits: &PolicyLimits,
    ) -> Result<Arc<dyn Module>, Refusal> {
        let digest = digest(wasm);
        let mut shelves = locked(&self.shelves);
        let at = shelves.own.iter().position(|m| m.digest() == digest);
        // One that was let in under other limits may still be too large now.
        let kept = at.filter(|_| wasm.len() <= limits.module_size);
        let module = match kept.and_then(|at| shelves.own.remove(at)) {
            Some(module) => module,
            None => self.loader.load(name, wasm, limits)?,
        };
        shelves.own.push_back(Arc::clone(&module));
        while shelves.own.len() > KEPT
            || shelves.own.len() > 1
                && shelves.own.iter().map(|m| m.size()).sum::<usize>() > KEPT_BYTES
        {
            shelves.own.pop_front();
        }
        Ok(module)
    }

    /// A built-in policy; `None`: there is none of that name.
    pub fn built_in(
        &self,
        name: &str,
        limits: &PolicyLimits,
    ) -> Option<Result<Arc<dyn Module>, Refusal>> {
        let wasm = (self.built_in)(name)?;
        let mut shelves = locked(&self.shelves);
        let same = |(other, _): &&(&[u8], _)| std::ptr::eq(*other, wasm);
        if let Some((_, module)) = shelves.built_in.iter().find(same) {
            return Some(Ok(Arc::clone(module)));
        }
        // The operator's bounds are for what strangers wrote: ours must start under any of them.
        let limits = PolicyLimits {
            module_size: limits.module_size.max(wasm.len()),
            compile_time: limits.compile_time.max(Duration::from_secs(60)),
            compile_memory: limits.compile_memory.max(512 << 20),
            ..limits.clone()
        };
        let loaded = self.loader.load(name, wasm, &limits);
        if let Ok(module) = &loaded {
            shelves.built_in.push((wasm, Arc::clone(module)));
        }
        Some(loaded)
    }
}

/// Of a policy's file.
pub(super) fn digest(wasm: &[u8]) -> Digest {
    Digest(Sha256::digest(wasm).into())
}

impl fmt::Debug for Stock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stock").finish_non_exhaustive()
    }
}
