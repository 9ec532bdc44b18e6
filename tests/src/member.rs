//! Scriptable members: what a server behind the gateway does, byte by byte.
//!
//! A member listens on a port of its own, records every request it is sent and
//! answers as its script says. A script runs on the connection's thread once a
//! request's head has arrived; it may read the body or not, send anything, wait
//! for a gate, and say how the connection goes on.

use std::{
    collections::HashMap,
    fmt,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    exchange::{After, Exchange, Script, Seen},
    ports::ReservedPort,
    scripts,
    wait::DEADLINE,
    wire::{Broken, Wire},
};

#[derive(Default)]
pub(crate) struct Gate {
    pub(crate) open: bool,
    pub(crate) passes: usize,
}

/// What a member's threads and the test share.
pub struct Shared {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Its name: answers carry it as `X-Member`.
    pub name: String,
    script: Mutex<Arc<Script>>,
    pub(crate) seen: Mutex<Vec<Seen>>,
    pub(crate) notes: Mutex<Vec<String>>,
    pub(crate) gate: Mutex<Gate>,
    pub(crate) changed: Condvar,
    accepted: AtomicUsize,
    live: Mutex<HashMap<usize, TcpStream>>,
    pub(crate) stopping: AtomicBool,
    malformed: Mutex<Vec<String>>,
}

impl Shared {
    pub(crate) fn take_note(&self, note: &str) {
        self.notes.lock().unwrap().push(note.to_owned());
        self.changed.notify_all();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "member {} on {}", self.name, self.addr)
    }
}

/// A running member; it ends when dropped.
#[derive(Debug)]
pub struct Member {
    shared: Arc<Shared>,
    port: ReservedPort,
    accepting: Option<thread::JoinHandle<()>>,
}

impl Member {
    /// Starts one on a free port.
    pub fn start(
        name: &str,
        script: impl Fn(&mut Exchange<'_>) -> After + Send + Sync + 'static,
    ) -> Self {
        Self::at(name, ReservedPort::new(), script)
    }

    /// Starts two, `a` and `b`, which answer with their names.
    pub fn pair() -> (Self, Self) {
        let [a, b] = ["a", "b"].map(|name| Self::start(name, scripts::name()));
        (a, b)
    }

    /// Starts one on this port.
    pub fn at(
        name: &str,
        port: ReservedPort,
        script: impl Fn(&mut Exchange<'_>) -> After + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            addr: port.addr(),
            name: name.to_owned(),
            script: Mutex::new(Arc::new(script)),
            seen: Mutex::default(),
            notes: Mutex::default(),
            gate: Mutex::default(),
            changed: Condvar::new(),
            accepted: AtomicUsize::new(0),
            live: Mutex::default(),
            stopping: AtomicBool::new(false),
            malformed: Mutex::default(),
        });
        let mut member = Self {
            shared,
            port,
            accepting: None,
        };
        member.listen();
        member
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.shared.addr
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// `http://127.0.0.1:port`, for the configuration.
    pub fn url(&self) -> String {
        format!("http://{}", self.shared.addr)
    }

    /// Answers as `script` says from the next request on.
    pub fn becomes(&self, script: impl Fn(&mut Exchange<'_>) -> After + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap() = Arc::new(script);
    }

    /// Stops as a killed process does: nobody listens, every connection is reset.
    pub fn crash(&mut self) {
        self.stop_accepting();
        for (_, stream) in self.shared.live.lock().unwrap().drain() {
            let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Listens again on the same port after [`Member::crash`].
    pub fn restart(&mut self) {
        assert!(self.accepting.is_none(), "it is running");
        self.shared.stopping.store(false, Ordering::SeqCst);
        self.listen();
    }

    /// Closes its connections as a server does with idle ones, and goes on listening.
    pub fn close_connections(&self) {
        for (_, stream) in self.shared.live.lock().unwrap().drain() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Lets `n` held requests (see [`Exchange::wait_at_gate`]) pass.
    pub fn release(&self, n: usize) {
        self.shared.gate.lock().unwrap().passes += n;
        self.shared.changed.notify_all();
    }

    /// Lets every held request pass, now and later.
    pub fn open_gate(&self) {
        self.shared.gate.lock().unwrap().open = true;
        self.shared.changed.notify_all();
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// How many requests so far.
    pub fn hits(&self) -> usize {
        self.shared.seen.lock().unwrap().len()
    }

    /// The last request.
    #[track_caller]
    pub fn last(&self) -> Seen {
        self.seen().pop().expect("the member was sent a request")
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Connections open now. Asks the kernel: one that the gateway has closed counts no more, though
    /// the thread that serves it may not have read so far.
    pub fn open_connections(&self) -> usize {
        let open = |stream: &&TcpStream| {
            let mut byte = [std::mem::MaybeUninit::uninit()];
            let look = libc::MSG_PEEK | libc::MSG_DONTWAIT;
            let looked = socket2::SockRef::from(*stream).recv_with_flags(&mut byte, look);
            match looked {
                Ok(read) => read > 0,
                Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
            }
        };
        self.shared
            .live
            .lock()
            .unwrap()
            .values()
            .filter(open)
            .count()
    }

    /// Waits until `n` requests have arrived.
    #[track_caller]
    pub fn wait_for_hits(&self, n: usize) {
        let arrived = self
            .wait(self.shared.seen.lock().unwrap(), |seen| seen.len() >= n)
            .len();
        assert!(
            arrived >= n,
            "{arrived} of {n} requests arrived at {}",
            self.name()
        );
    }

    /// Notes a fact for scripts to wait for, see [`Exchange::wait_for_note`].
    pub fn note(&self, note: &str) {
        self.shared.take_note(note);
    }

    /// Waits until a script noted `note`.
    #[track_caller]
    pub fn wait_for_note(&self, note: &str) {
        let found = |notes: &Vec<String>| notes.iter().any(|n| n == note);
        let notes = self.wait(self.shared.notes.lock().unwrap(), found).clone();
        assert!(
            notes.iter().any(|n| n == note),
            "{note:?} is not among {notes:?}"
        );
    }

    fn wait<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        done: impl Fn(&T) -> bool,
    ) -> MutexGuard<'a, T> {
        let end = Instant::now() + DEADLINE;
        while !done(&guard) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            // The condition variable serves several locks, so a wake-up may be missed: look again soon.
            guard = self
                .shared
                .changed
                .wait_timeout(guard, left.min(Duration::from_millis(20)))
                .unwrap()
                .0;
        }
        guard
    }

    fn listen(&mut self) {
        let listener = self.port.listen();
        let shared = Arc::clone(&self.shared);
        self.accepting = Some(thread::spawn(move || accept(&listener, &shared)));
    }

    fn stop_accepting(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.changed.notify_all();
        if let Some(accepting) = self.accepting.take() {
            // Wakes the accept call; it looks at `stopping` before anything else.
            let _ = TcpStream::connect(self.shared.addr);
            let _ = accepting.join();
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.stop_accepting();
        self.close_connections();
        let malformed = self.shared.malformed.lock().unwrap();
        // Whatever a test is about: the gateway sends nothing that can be read in two ways.
        if !malformed.is_empty() && !thread::panicking() {
            panic!(
                "the gateway sent {} malformed heads: {malformed:?}",
                self.shared.name
            );
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let number = shared.accepted.fetch_add(1, Ordering::SeqCst);
        if let Ok(copy) = stream.try_clone() {
            shared.live.lock().unwrap().insert(number, copy);
        }
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            serve(&shared, stream, number);
            // Closing needs both handles gone: the copy in `live` would keep the socket open.
            shared.live.lock().unwrap().remove(&number);
        });
    }
}

fn serve(shared: &Shared, stream: TcpStream, connection: usize) {
    // Kept connections may idle for the length of a test.
    let mut wire = Wire::new(stream, 8 * DEADLINE);
    for nth_on_connection in 0.. {
        let head = match wire.head() {
            Ok(head) => head,
            Err(Broken::Malformed(why)) => {
                shared.malformed.lock().unwrap().push(why);
                return;
            }
            Err(_) => return,
        };
        let nth = {
            let mut seen = shared.seen.lock().unwrap();
            seen.push(Seen {
                head: head.clone(),
                body: Vec::new(),
                trailers: Vec::new(),
                connection,
            });
            seen.len() - 1
        };
        shared.changed.notify_all();
        let script = Arc::clone(&shared.script.lock().unwrap());
        let mut exchange = Exchange {
            member: shared,
            head,
            nth_on_connection,
            nth,
            wire: &mut wire,
            body_read: false,
        };
        let mut after = script(&mut exchange);
        if after == After::Keep && !exchange.body_read && exchange.read_body().is_err() {
            after = After::Close;
        }
        match after {
            After::Keep => {}
            After::Close => {
                shared.live.lock().unwrap().remove(&connection);
                return;
            }
            After::Reset => {
                wire.reset_on_close();
                shared.live.lock().unwrap().remove(&connection);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{client::Client, client::Request, scripts};

    #[test]
    fn a_member_records_answers_crashes_and_comes_back() {
        let mut member = Member::start("a", scripts::name());
        let mut client = Client::connect(member.addr());
        assert_eq!(client.ask(&Request::post("/x", "body")).text(), "a");
        assert_eq!(client.get("/y").text(), "a");
        assert_eq!((member.hits(), member.connections()), (2, 1));
        assert_eq!(member.seen()[0].body, b"body");
        assert_eq!(member.last().target(), "/y");
        member.crash();
        assert!(TcpStream::connect(member.addr()).is_err());
        assert!(
            client.try_send(Request::get("/").bytes()).is_err() || client.try_response().is_err()
        );
        member.restart();
        assert_eq!(Client::connect(member.addr()).get("/").text(), "a");
    }

    #[test]
    fn a_held_request_waits_for_its_gate() {
        let member = Member::start("a", scripts::held());
        let mut client = Client::patient(member.addr(), Duration::from_millis(100));
        client.send(Request::get("/").bytes());
        member.wait_for_note("holding");
        assert!(matches!(client.try_response(), Err(Broken::TimedOut(_))));
        member.release(1);
        client.wire().deadline = DEADLINE;
        assert_eq!(client.response().text(), "a");
    }

    #[test]
    fn resets_and_closes_can_be_told_apart() {
        for (after, broken) in [
            (After::Close, Broken::Closed),
            (After::Reset, Broken::Reset),
        ] {
            let member = Member::start("a", scripts::silent(after));
            let mut client = Client::connect(member.addr());
            client.send(Request::get("/").bytes());
            assert_eq!(client.try_response(), Err(broken));
        }
    }

    #[test]
    fn a_kept_connection_serves_the_script_of_the_moment() {
        let member = Member::start("a", scripts::name());
        let mut client = Client::connect(member.addr());
        assert_eq!(client.get("/").text(), "a");
        member.becomes(scripts::answer("404 Not Found", &[], "gone"));
        assert_eq!(client.get("/").status, 404);
    }
}
