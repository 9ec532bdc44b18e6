//! The listeners in service, across reloads.

use std::{
    collections::VecDeque,
    fmt, mem,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
};

use tokio::sync::{mpsc::UnboundedSender, watch};
use tracing::info;

use super::{
    sockets::{BindError, Wanted, bind},
    worker::{Assignment, Inbox},
};
use crate::{
    listener::Drain,
    members::locked,
    policy::Background,
    snapshot::{Listener, Snapshot},
};

/// The listeners in service. Those that a reload does not change keep their sockets.
pub(super) struct Outlets {
    background: Arc<dyn Background>,
    state: Mutex<State>,
}

struct State {
    workers: Vec<UnboundedSender<Assignment>>,
    serving: Vec<Serving>,
    /// For the next generation.
    prepared: Vec<Prepared>,
}

struct Serving {
    listener: Listener,
    /// With the real port.
    address: SocketAddr,
    drain: watch::Sender<Drain>,
}

struct Prepared {
    listener: Listener,
    sockets: Vec<TcpListener>,
}

impl Outlets {
    /// Nothing listens yet. The inboxes are for the workers.
    pub fn new(workers: usize, background: Arc<dyn Background>) -> (Arc<Self>, Vec<Inbox>) {
        let (workers, inboxes) = (0..workers)
            .map(|_| tokio::sync::mpsc::unbounded_channel())
            .unzip();
        let outlets = Self {
            background,
            state: Mutex::new(State {
                workers,
                serving: Vec::new(),
                prepared: Vec::new(),
            }),
        };
        (Arc::new(outlets), inboxes)
    }

    /// Binds what `next` needs and is not bound yet. Clients are accepted once it is published.
    pub fn bind(&self, next: &Snapshot) -> Result<(), BindError> {
        let mut state = locked(&self.state);
        let (mut serving, mut waiting) = (state.kept(next), mem::take(&mut state.prepared));
        let mut prepared = Vec::new();
        for listener in &next.listeners {
            if let Some(at) = serving.iter().position(|kept| kept == listener) {
                serving.swap_remove(at);
                continue;
            }
            if let Some(at) = waiting.iter().position(|p| p.listener == *listener) {
                prepared.push(waiting.swap_remove(at));
                continue;
            }
            let port = listener.bind.port();
            let beside = |other: &Listener| other.bind.is_ipv4() && other.bind.port() == port;
            let wanted = Wanted {
                address: listener.bind,
                shared: state
                    .serving
                    .iter()
                    .any(|s| s.listener.bind == listener.bind),
                only_v6: port != 0 && next.listeners.iter().any(beside),
            };
            prepared.push(Prepared {
                listener: listener.clone(),
                sockets: bind(wanted, state.workers.len())?,
            });
        }
        state.prepared = prepared;
        Ok(())
    }

    /// Where clients are accepted, in the configuration's order.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let state = locked(&self.state);
        state
            .serving
            .iter()
            .map(|serving| serving.address)
            .collect()
    }

    /// Tells all listeners to stop; no more will follow.
    pub fn drain(&self, drain: Drain) {
        let mut state = locked(&self.state);
        state.workers.clear();
        for serving in &state.serving {
            serving.drain.send_replace(drain);
        }
    }
}

impl State {
    /// The listeners in service that stay.
    fn kept(&self, next: &Snapshot) -> Vec<Listener> {
        let mut wanted: Vec<_> = next.listeners.iter().collect();
        let mut stays = |serving: &&Serving| {
            let at = wanted.iter().position(|w| **w == serving.listener);
            at.map(|at| wanted.swap_remove(at)).is_some()
        };
        let kept = self.serving.iter().filter(|s| stays(s));
        kept.map(|s| s.listener.clone()).collect()
    }

    fn begin(&self, prepared: Prepared) -> Option<Serving> {
        let address = prepared.sockets.first()?.local_addr().ok()?;
        let (drain, told) = watch::channel(Drain::Serving);
        for (worker, socket) in self.workers.iter().zip(prepared.sockets) {
            // A worker that has ended drains already.
            let _ = worker.send(Assignment {
                socket,
                proxy_protocol: prepared.listener.proxy_protocol,
                drain: told.clone(),
            });
        }
        Some(Serving {
            listener: prepared.listener,
            address,
            drain,
        })
    }
}

impl Outlets {
    /// Accepts on what was bound for `next`, and stops accepting on what it does not have.
    pub fn publish(&self, next: &Snapshot, starting: bool) {
        let mut state = locked(&self.state);
        let mut old: VecDeque<_> = mem::take(&mut state.serving).into();
        let mut prepared = mem::take(&mut state.prepared);
        for listener in &next.listeners {
            if let Some(at) = old.iter().position(|s| s.listener == *listener) {
                state.serving.extend(old.remove(at));
            } else if let Some(at) = prepared.iter().position(|p| p.listener == *listener) {
                let begun = state.begin(prepared.swap_remove(at));
                if let Some(serving) = &begun
                    && !starting
                {
                    info!(address = %serving.address, "Listens");
                }
                state.serving.extend(begun);
            }
        }
        for leaver in old {
            info!(address = %leaver.address, "Listens no longer");
            leaver.drain.send_replace(Drain::Draining);
            let end = Box::new(move || {
                leaver.drain.send_replace(Drain::Now);
            });
            self.background.after(next.drain_deadline, end);
        }
    }

    /// Closes what was bound and is not used.
    pub fn abandon(&self) {
        locked(&self.state).prepared.clear();
    }
}

impl fmt::Debug for Outlets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpStream, path::Path};

    use super::*;
    use crate::{config, policy::BackgroundThread};

    fn snapshot(listeners: &[&str]) -> Snapshot {
        let listener = |bind: &&str| format!("[[listener]]\nbind = \"{bind}\"\n");
        let listeners: String = listeners.iter().map(listener).collect();
        let vhost = "[[vhost]]\nname = \"www\"\n[[vhost.route]]\npath = \"/\"\nproxy = \"http://10.0.0.1/\"\n";
        let text = format!("version = 1\n{listeners}{vhost}");
        config::parse(&text, Path::new("/switchyard.toml"))
            .unwrap()
            .snapshot
    }

    fn outlets() -> (Arc<Outlets>, Vec<Inbox>) {
        Outlets::new(2, BackgroundThread::on_demand("test", 0))
    }

    fn put(outlets: &Outlets, next: &Snapshot) {
        outlets.bind(next).unwrap();
        outlets.publish(next, false);
    }

    #[test]
    fn listener_that_stays_keeps_its_sockets_and_one_that_goes_drains() {
        let (outlets, mut inboxes) = outlets();
        put(&outlets, &snapshot(&["127.0.0.1:0"]));
        let first = outlets.addresses()[0];
        put(&outlets, &snapshot(&["[::1]:0", "127.0.0.1:0"]));
        assert_eq!(outlets.addresses().len(), 2);
        assert_eq!(outlets.addresses()[1], first, "in the order of the file");
        let told: Vec<_> = inboxes
            .iter_mut()
            .map(|inbox| inbox.try_recv().unwrap())
            .collect();
        assert!(told.iter().all(|a| a.socket.local_addr().unwrap() == first));
        put(&outlets, &snapshot(&["[::1]:0"]));
        assert!(told.iter().all(|a| *a.drain.borrow() == Drain::Draining));
        let stays = inboxes[0].try_recv().unwrap();
        assert_eq!(*stays.drain.borrow(), Drain::Serving);
        outlets.drain(Drain::Draining);
        assert_eq!(*stays.drain.borrow(), Drain::Draining);
        assert!(inboxes[0].try_recv().is_err());
    }

    #[test]
    fn address_that_is_taken_leaves_the_listeners_as_they_were() {
        let (outlets, _inboxes) = outlets();
        let now = snapshot(&["127.0.0.1:0"]);
        put(&outlets, &now);
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = other.local_addr().unwrap().to_string();
        let next = snapshot(&["127.0.0.1:0", "[::1]:0", &taken]);
        let error = outlets.bind(&next).unwrap_err();
        assert_eq!(error.address.to_string(), taken);
        outlets.abandon();
        let [address] = outlets.addresses()[..] else {
            panic!("one listener")
        };
        TcpStream::connect(address).unwrap();
    }
}
