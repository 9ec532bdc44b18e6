//! One request at a member, while its script runs.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use crate::{
    member::Shared,
    wait::DEADLINE,
    wire::{Head, Stop, Wire},
};

/// How a connection goes on after a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It waits for the next request.
    Keep,
    /// FIN.
    Close,
    /// RST.
    Reset,
}

/// A request as the member saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The exact bytes are in `head.raw`.
    pub head: Head,
    /// What was read of the body: all of it, where the script asked.
    pub body: Vec<u8>,
    /// Trailers of a chunked body.
    pub trailers: Vec<(String, String)>,
    /// Number of the connection, from 0.
    pub connection: usize,
}

impl Seen {
    /// `GET`
    pub fn method(&self) -> &str {
        self.head.word(0)
    }

    /// `/path?query`
    pub fn target(&self) -> &str {
        self.head.word(1)
    }

    /// First value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.field(name)
    }
}

/// A script: what to do with one request.
pub type Script = dyn Fn(&mut Exchange<'_>) -> After + Send + Sync;

/// One request at a member, while its script runs.
pub struct Exchange<'a> {
    /// The member, for its address, route or recordings.
    pub member: &'a Shared,
    /// The request's head.
    pub head: Head,
    /// Requests on this connection before this one.
    pub nth_on_connection: usize,
    /// Requests at this member before this one.
    pub nth: usize,
    pub(crate) wire: &'a mut Wire,
    pub(crate) body_read: bool,
}

impl Exchange<'_> {
    /// `/path?query`
    pub fn target(&self) -> &str {
        self.head.word(1)
    }

    /// `/path`
    pub fn path(&self) -> &str {
        self.target().split('?').next().unwrap_or_default()
    }

    /// Reads the rest of the request. `Err` where the gateway leaves first.
    pub fn read_body(&mut self) -> Result<Vec<u8>, Stop> {
        let mut body = Vec::new();
        let mut trailers = Vec::new();
        self.body_read = true;
        let read = if self.head.is_chunked() {
            self.wire.chunked(&mut body).map(|t| trailers = t)
        } else {
            let length = self
                .head
                .length()
                .expect("the gateway sends one length")
                .unwrap_or(0);
            self.wire.exactly(length, &mut body)
        };
        let mut seen = self.member.seen.lock().unwrap();
        seen[self.nth].body.clone_from(&body);
        seen[self.nth].trailers = trailers;
        drop(seen);
        self.member.changed.notify_all();
        read.map(|()| body)
    }

    /// Sends bytes; false where the gateway has left.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.wire.send(bytes.as_ref()).is_ok()
    }

    /// Ends the sending direction.
    pub fn finish_sending(&self) {
        self.wire.finish_sending();
    }

    /// Waits until the gateway closes its side; the bytes before that.
    pub fn until_closed(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.wire.to_end(&mut rest);
        rest
    }

    /// What the gateway sends next; empty at its end.
    pub fn some(&mut self) -> Vec<u8> {
        self.wire.some().unwrap_or_default()
    }

    /// Notes a fact for the test to wait for, see [`Member::wait_for_note`].
    pub fn note(&self, note: &str) {
        self.member.take_note(note);
    }

    /// Holds the request until this was noted, by a script or by [`Member::note`](crate::Member::note).
    pub fn wait_for_note(&self, note: &str) {
        let end = Instant::now() + 4 * DEADLINE;
        let mut notes = self.member.notes.lock().unwrap();
        while !notes.iter().any(|n| n == note)
            && !self.member.stopping.load(Ordering::SeqCst)
            && Instant::now() < end
        {
            notes = self
                .member
                .changed
                .wait_timeout(notes, Duration::from_millis(20))
                .unwrap()
                .0;
        }
    }

    /// Holds the request until the test opens the gate, or the member ends.
    pub fn wait_at_gate(&self) {
        let end = Instant::now() + 4 * DEADLINE;
        let mut gate = self.member.gate.lock().unwrap();
        while gate.passes == 0 && !gate.open && !self.member.stopping.load(Ordering::SeqCst) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            gate = self
                .member
                .changed
                .wait_timeout(gate, left.min(Duration::from_millis(50)))
                .unwrap()
                .0;
        }
        gate.passes = gate.passes.saturating_sub(1);
    }
}
