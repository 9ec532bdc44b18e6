//! Chance as an input: seeded by the host, so that a recorded call replays.

use wasmtime::{StoreContextMut, component::LinkerInstance};

use crate::wasm::state::State;

/// SplitMix64 (Steele, Lea, Flood 2014): one word of state, passes BigCrush. Not
/// for secrets, and the contract does not promise them.
#[derive(Debug)]
pub(in crate::wasm) struct Entropy(u64);

impl Entropy {
    /// Replicas of one seed go different ways.
    pub(in crate::wasm) fn new(seed: u64, replica: u32) -> Self {
        let mut offset = Self(u64::from(replica));
        Self(seed ^ if replica == 0 { 0 } else { offset.next() })
    }

    /// At a point of its sequence that a recording noted.
    pub(in crate::wasm) fn at(state: u64) -> Self {
        Self(state)
    }

    /// Where it stands.
    pub(in crate::wasm) fn state(&self) -> u64 {
        self.0
    }

    /// The next word.
    pub(in crate::wasm) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

/// `entropy`
pub(super) fn link(entropy: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    entropy.func_wrap("next", |mut cx: StoreContextMut<'_, State>, (): ()| {
        Ok((cx.data_mut().chance()?,))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_published_sequence() {
        // The reference implementation's first words for seed 1234567.
        let mut entropy = Entropy::new(1_234_567, 0);
        let words: Vec<u64> = (0..3).map(|_| entropy.next()).collect();
        assert_eq!(
            words,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn replicas_differ_and_repeat_themselves() {
        let word = |replica| Entropy::new(7, replica).next();
        assert_ne!(word(0), word(1));
        assert_eq!(word(1), word(1));
    }
}
