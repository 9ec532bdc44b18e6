//! Where members' names lead, for members that are still to come.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
};

use super::signal::locked;

/// Names and the addresses they had when they were resolved last. A member that joins has its
/// addresses from here before its first request.
#[derive(Debug, Default)]
pub struct KnownNames(Mutex<HashMap<Arc<str>, Vec<IpAddr>>>);

impl KnownNames {
    /// That name leads there from now on.
    pub fn learn(&self, name: &Arc<str>, addresses: &[IpAddr]) {
        locked(&self.0).insert(Arc::clone(name), addresses.to_vec());
    }

    /// Forgets all names but these.
    pub fn retain(&self, keep: impl Fn(&str) -> bool) {
        locked(&self.0).retain(|name, _| keep(name));
    }

    /// Where `host`, an address or a name, leads; empty while that is not known.
    pub(super) fn find(&self, host: &str, port: u16) -> Arc<[SocketAddr]> {
        if let Ok(ip) = host.parse() {
            return Arc::new([SocketAddr::new(ip, port)]);
        }
        let known = locked(&self.0);
        let addresses = known.get(host).into_iter().flatten();
        addresses.map(|ip| SocketAddr::new(*ip, port)).collect()
    }
}
