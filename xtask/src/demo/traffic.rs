//! Users who ask all the time, and the count of everything that fails.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::http::{Answer, Client};

/// How long a user looks at a page: some hundred requests a second in all, which leaves the terminal readable
/// and the machine free.
const PAUSE: Duration = Duration::from_millis(5);

/// What all requests of the demo came to.
#[derive(Debug, Default)]
pub struct Count {
    /// Requests.
    pub sent: AtomicU64,
    /// Requests with a status from 400, or without an answer.
    pub failed: AtomicU64,
    first_failure: Mutex<Option<String>>,
}

impl Count {
    /// Sends a GET and counts it.
    pub fn get(
        &self,
        client: &mut Client,
        path: &str,
        headers: &[(&str, &str)],
    ) -> io::Result<Answer> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        let result = client.get(path, headers);
        let failure = match &result {
            Ok(answer) if answer.status < 400 => return result,
            Ok(answer) => format!("GET {path}: status {}", answer.status),
            Err(cause) => format!("GET {path}: {cause}"),
        };
        self.failed.fetch_add(1, Ordering::Relaxed);
        self.first_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(failure);
        result
    }

    /// What went wrong first.
    pub fn first_failure(&self) -> Option<String> {
        self.first_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// A user with a session, as a browser holds one.
#[derive(Debug)]
pub struct User {
    client: Client,
    cookie: Option<String>,
}

impl User {
    /// Without a session yet.
    pub fn new(gateway: SocketAddr) -> Self {
        Self {
            client: Client::new(gateway),
            cookie: None,
        }
    }

    /// Asks for a page, with the session if there is one.
    pub fn get(&mut self, count: &Count, path: &str) -> io::Result<Answer> {
        let cookie = self.cookie.clone();
        let headers: Vec<_> = cookie
            .iter()
            .map(|cookie| ("Cookie", cookie.as_str()))
            .collect();
        let answer = count.get(&mut self.client, path, &headers)?;
        let set = answer
            .header("set-cookie")
            .and_then(|set| set.split(';').next());
        if let Some(session) = set.filter(|pair| pair.starts_with("JSESSIONID=")) {
            self.cookie = Some(session.to_owned());
        }
        Ok(answer)
    }

    /// `JSESSIONID=…`, as it is sent.
    pub fn session(&self) -> &str {
        self.cookie.as_deref().unwrap_or("none")
    }
}

/// Users in the background. Dropping them ends them.
#[derive(Debug)]
pub struct Traffic {
    is_over: Arc<AtomicBool>,
    users: Vec<JoinHandle<()>>,
}

impl Traffic {
    /// So many users, each with a session under `path`.
    pub fn start(
        users: usize,
        gateway: SocketAddr,
        path: &'static str,
        count: &Arc<Count>,
    ) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let user = |_| {
            let (is_over, count) = (Arc::clone(&is_over), Arc::clone(count));
            thread::spawn(move || {
                let mut user = User::new(gateway);
                while !is_over.load(Ordering::Relaxed) {
                    // What fails was counted, and a user asks again.
                    let _ = user.get(&count, path);
                    thread::sleep(PAUSE);
                }
            })
        };
        let users = (0..users).map(user).collect();
        Self { is_over, users }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for user in self.users.drain(..) {
            let _ = user.join();
        }
    }
}
