//! Bytes from and to one member.
//!
//! Two readings: totals for the operator, and columns for policies such as
//! `bytraffic`. The columns equal the totals, as in httpd, unless the balancer
//! has a half-life (then old bytes fade) or the member joined late (then it is
//! put level with the least loaded of the others instead of being given every
//! request until it has caught up).

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use super::{Micros, signal::locked};

/// Byte counters of one member.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    total_in: AtomicU64,
    total_out: AtomicU64,
    /// Microseconds; 0 = bytes never fade.
    half_life: AtomicU64,
    /// What the columns are ahead of the totals by, where bytes never fade.
    ahead_in: AtomicU64,
    ahead_out: AtomicU64,
    fading: Mutex<Fading>,
}

/// Exact up to rounding: `value * 2^(-elapsed / half_life)`, applied when somebody looks.
#[derive(Debug, Default)]
struct Fading {
    bytes_in: f64,
    bytes_out: f64,
    at: Micros,
}

impl Fading {
    fn age(&mut self, half_life: Micros, now: Micros) {
        let elapsed = now.saturating_sub(self.at);
        if elapsed == 0 {
            return;
        }
        let left = (-(elapsed as f64) / half_life as f64).exp2();
        self.bytes_in *= left;
        self.bytes_out *= left;
        self.at = now;
    }
}

impl Traffic {
    /// Bytes from the member.
    pub fn received(&self, bytes: u64, now: impl FnOnce() -> Micros) {
        self.total_in.fetch_add(bytes, Relaxed);
        let half_life = self.half_life.load(Relaxed);
        if half_life > 0 {
            let mut fading = locked(&self.fading);
            fading.age(half_life, now());
            fading.bytes_in += bytes as f64;
        }
    }

    /// Bytes to the member.
    pub fn sent(&self, bytes: u64, now: impl FnOnce() -> Micros) {
        self.total_out.fetch_add(bytes, Relaxed);
        let half_life = self.half_life.load(Relaxed);
        if half_life > 0 {
            let mut fading = locked(&self.fading);
            fading.age(half_life, now());
            fading.bytes_out += bytes as f64;
        }
    }

    /// From and to the member since it is known.
    pub fn totals(&self) -> (u64, u64) {
        (self.total_in.load(Relaxed), self.total_out.load(Relaxed))
    }

    /// From and to the member, as policies compare them.
    pub fn columns(&self, now: Micros) -> (u64, u64) {
        let half_life = self.half_life.load(Relaxed);
        if half_life == 0 {
            let (total_in, total_out) = self.totals();
            return (
                total_in.saturating_add(self.ahead_in.load(Relaxed)),
                total_out.saturating_add(self.ahead_out.load(Relaxed)),
            );
        }
        let mut fading = locked(&self.fading);
        fading.age(half_life, now);
        (fading.bytes_in as u64, fading.bytes_out as u64)
    }

    /// Sets the half-life; 0 = bytes never fade.
    pub fn set_half_life(&self, half_life: Micros, now: Micros) {
        let (bytes_in, bytes_out) = self.columns(now);
        let mut fading = locked(&self.fading);
        if self.half_life.swap(half_life, Relaxed) == 0 && half_life > 0 {
            *fading = Fading {
                bytes_in: bytes_in as f64,
                bytes_out: bytes_out as f64,
                at: now,
            };
        }
    }

    /// Raises the columns to at least these values.
    pub fn raise_to(&self, bytes_in: u64, bytes_out: u64, now: Micros) {
        let half_life = self.half_life.load(Relaxed);
        if half_life == 0 {
            let (now_in, now_out) = self.columns(now);
            self.ahead_in
                .fetch_add(bytes_in.saturating_sub(now_in), Relaxed);
            self.ahead_out
                .fetch_add(bytes_out.saturating_sub(now_out), Relaxed);
            return;
        }
        let mut fading = locked(&self.fading);
        fading.age(half_life, now);
        fading.bytes_in = fading.bytes_in.max(bytes_in as f64);
        fading.bytes_out = fading.bytes_out.max(bytes_out as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_totals_without_half_life() {
        let traffic = Traffic::default();
        traffic.received(10, || 1);
        traffic.sent(3, || 1);
        assert_eq!(traffic.columns(1_000_000), (10, 3));
        assert_eq!(traffic.totals(), (10, 3));
    }

    #[test]
    fn bytes_fade_by_half_each_half_life_but_totals_stay() {
        let traffic = Traffic::default();
        traffic.set_half_life(1_000, 1);
        traffic.received(800, || 1);
        assert_eq!(traffic.columns(1_001), (400, 0));
        traffic.received(100, || 1_001);
        assert_eq!(traffic.columns(2_001), (250, 0));
        assert_eq!(traffic.totals(), (900, 0));
    }

    #[test]
    fn switching_fading_on_starts_from_the_totals() {
        let traffic = Traffic::default();
        traffic.sent(800, || 1);
        traffic.set_half_life(1_000, 5_000);
        assert_eq!(traffic.columns(6_000), (0, 400));
    }

    #[test]
    fn raised_columns_leave_totals_alone_and_never_sink() {
        for half_life in [0, 1_000_000_000] {
            let traffic = Traffic::default();
            traffic.set_half_life(half_life, 1);
            traffic.received(50, || 1);
            traffic.raise_to(40, 70, 1);
            assert_eq!(traffic.columns(1), (50, 70), "half-life {half_life}");
            assert_eq!(traffic.totals(), (50, 0));
        }
    }
}
