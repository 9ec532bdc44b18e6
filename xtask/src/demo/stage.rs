//! What every scene works with.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{
    member::Member,
    screen::Screen,
    site::Site,
    traffic::{Count, User},
};
use crate::{http::Client, interrupt};

/// The longest that anything shown here takes; what takes longer does not happen.
const PATIENCE: Duration = Duration::from_secs(15);

/// The gateway with its surroundings, and what did not hold so far.
pub struct Stage {
    /// Where it is shown.
    pub screen: Screen,
    /// Before the gateway's address.
    pub gateway: SocketAddr,
    /// Behind it.
    pub members: Vec<Member>,
    /// Its folder.
    pub site: Site,
    /// All requests.
    pub count: Arc<Count>,
    /// What did not hold.
    pub broken: Vec<String>,
}

impl Stage {
    /// Shows and notes whether something held.
    pub fn check(&mut self, held: bool, text: &str) {
        self.screen.verdict(held, text);
        if !held {
            self.broken.push(text.to_owned());
        }
    }

    /// A user without a session.
    pub fn user(&self) -> User {
        User::new(self.gateway)
    }

    /// Waits until `what` is true; whether it came true in time.
    pub fn wait(&self, mut what: impl FnMut() -> Result<bool>) -> Result<bool> {
        let end = Instant::now() + PATIENCE;
        while !what()? {
            if interrupt::asked() {
                bail!("interrupted");
            }
            if Instant::now() > end {
                return Ok(false);
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(true)
    }

    /// Sends `requests` for `path` from so many clients at once: how many each member answered, and with how many bytes.
    pub fn shares(&self, path: &str, clients: u32, requests: u32) -> Result<Shares> {
        let shares = Mutex::new(Shares::default());
        for member in &self.members {
            shares
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .by_member
                .insert(member.name.clone(), (0, 0));
        }
        thread::scope(|scope| {
            let clients: Vec<_> = (0..clients)
                .map(|_| scope.spawn(|| self.ask(path, requests / clients, &shares)))
                .collect();
            clients
                .into_iter()
                .try_for_each(|client| match client.join() {
                    Ok(result) => result,
                    Err(_) => bail!("a client broke off"),
                })
        })?;
        Ok(shares.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn ask(&self, path: &str, requests: u32, shares: &Mutex<Shares>) -> Result<()> {
        let mut client = Client::new(self.gateway);
        for _ in 0..requests {
            let answer = self.count.get(&mut client, path, &[])?;
            let worker = answer
                .header("x-worker")
                .with_context(|| format!("{path} was not answered by a member"))?;
            let mut shares = shares.lock().unwrap_or_else(PoisonError::into_inner);
            let share = shares.by_member.entry(worker.to_owned()).or_default();
            share.0 += 1;
            share.1 += answer.body.len() as u64;
        }
        Ok(())
    }
}

/// Who answered how much.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Shares {
    /// Requests and bytes.
    by_member: BTreeMap<String, (u64, u64)>,
}

impl Shares {
    /// Requests of each member, by name.
    pub fn requests(&self) -> Vec<(String, u64)> {
        self.by_member
            .iter()
            .map(|(name, share)| (name.clone(), share.0))
            .collect()
    }

    /// Bytes of each member, by name.
    pub fn bytes(&self) -> Vec<(String, u64)> {
        self.by_member
            .iter()
            .map(|(name, share)| (name.clone(), share.1))
            .collect()
    }
}
