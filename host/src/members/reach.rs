//! Where a tenant's members may be, and how many sockets lead to them.
//!
//! One for each tenant; it outlives reloads. The address that is asked about is the one that is
//! connected to, so a name that led elsewhere when somebody looked gains nothing.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwap;

use super::{MemberLive, signal::locked};
use crate::snapshot::{Egress, TenantName};

/// The addresses that this process itself listens on, with their real ports.
#[derive(Debug, Default)]
pub struct OwnAddresses(ArcSwap<Vec<SocketAddr>>);

impl OwnAddresses {
    /// These, from now on.
    pub fn set(&self, addresses: Vec<SocketAddr>) {
        self.0.store(Arc::new(addresses));
    }

    /// Also these, until they are set anew.
    pub fn add(&self, addresses: impl IntoIterator<Item = SocketAddr>) {
        let mut all = Vec::clone(&self.0.load());
        all.extend(addresses);
        self.set(all);
    }

    /// Whether connecting there ends at this process.
    fn contains(&self, address: SocketAddr) -> bool {
        let mut same_port = false;
        for own in self.0.load().iter() {
            if own.port() == address.port() {
                if own.ip().to_canonical() == address.ip() {
                    return true;
                }
                same_port |= own.ip().is_unspecified();
            }
        }
        same_port && is_here(address.ip())
    }
}

/// Whether the address is one of this machine's: the system would send to it from itself. Nothing
/// is sent.
fn is_here(ip: IpAddr) -> bool {
    let any: IpAddr = match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let from = UdpSocket::bind((any, 0)).and_then(|socket| {
        // Any port will do.
        socket.connect((ip, 9))?;
        socket.local_addr()
    });
    ip.is_loopback() || ip.is_unspecified() || from.is_ok_and(|from| from.ip() == ip)
}

/// Where one tenant's members may be.
pub struct Reach {
    tenant: TenantName,
    own: Arc<OwnAddresses>,
    egress: ArcSwap<Egress>,
    limit: AtomicU32,
    open: AtomicU32,
    refused: AtomicU64,
    full: AtomicU64,
    members: Mutex<Vec<Weak<MemberLive>>>,
}

/// Why nobody is connected to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// The operator did not allow it.
    #[error("{address} is outside of where the members of tenant `{tenant}` may be (its `egress`)")]
    Egress {
        /// Where the member's name led.
        address: SocketAddr,
        /// Whose member.
        tenant: TenantName,
    },
    /// A listener or the admin endpoint.
    #[error("{address} is this gateway itself, which no tenant's members may be")]
    Ourselves {
        /// Where the member's name led.
        address: SocketAddr,
    },
}

/// All connections that the tenant may have are busy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("all {limit} connections that tenant `{tenant}` may have to its members are busy")]
pub struct NoSocket {
    /// Whose.
    pub tenant: TenantName,
    /// The quota.
    pub limit: u32,
}

/// A limit that nobody reaches.
const UNLIMITED: u32 = u32::MAX;

impl Reach {
    fn new(tenant: TenantName, own: Arc<OwnAddresses>) -> Self {
        Self {
            tenant,
            own,
            // Nothing, until the operator's word is known.
            egress: ArcSwap::from_pointee(Egress::Only(Vec::new())),
            limit: AtomicU32::new(UNLIMITED),
            open: AtomicU32::new(0),
            refused: AtomicU64::new(0),
            full: AtomicU64::new(0),
            members: Mutex::default(),
        }
    }

    /// What the operator says from now on. Idle connections that it forbids are closed; those in
    /// use end with their requests.
    pub fn set(&self, egress: &Egress, connections: Option<u32>) {
        self.limit.store(connections.unwrap_or(UNLIMITED), Relaxed);
        if **self.egress.load() == *egress {
            return;
        }
        self.egress.store(Arc::new(egress.clone()));
        for member in self.members() {
            let allowed = |address| self.judge(address).is_ok();
            member.connections().retain(|kept| allowed(kept.address));
        }
    }

    /// Whether a member may be there; a refusal is counted.
    pub fn check(&self, address: SocketAddr) -> Result<(), Unreachable> {
        self.judge(address).inspect_err(|_| {
            self.refused.fetch_add(1, Relaxed);
        })
    }

    /// Likewise, without counting.
    pub fn judge(&self, address: SocketAddr) -> Result<(), Unreachable> {
        let canonical = SocketAddr::new(address.ip().to_canonical(), address.port());
        if self.own.contains(canonical) {
            return Err(Unreachable::Ourselves { address });
        }
        match self.egress.load().allows(canonical) {
            true => Ok(()),
            false => Err(Unreachable::Egress {
                address,
                tenant: self.tenant.clone(),
            }),
        }
    }

    /// One of the tenant's connections; an idle one is closed for it where none is left.
    pub fn open(self: &Arc<Self>) -> Result<Socket, NoSocket> {
        loop {
            let limit = self.limit.load(Relaxed);
            let below = |open: u32| (open < limit).then_some(open + 1);
            if self.open.fetch_update(Relaxed, Relaxed, below).is_ok() {
                return Ok(Socket(Arc::clone(self)));
            }
            let idle = self.members().into_iter();
            if !idle.rev().any(|member| member.connections().close_one()) {
                self.full.fetch_add(1, Relaxed);
                let tenant = self.tenant.clone();
                return Err(NoSocket { tenant, limit });
            }
        }
    }

    /// Connections to its members that are open or being opened.
    pub fn sockets(&self) -> u32 {
        self.open.load(Relaxed)
    }

    /// How often an address was refused, and how often there was no connection left.
    pub fn refusals(&self) -> (u64, u64) {
        (self.refused.load(Relaxed), self.full.load(Relaxed))
    }

    pub(super) fn joined(&self, member: &Arc<MemberLive>) {
        let mut members = locked(&self.members);
        members.retain(|member| member.strong_count() > 0);
        members.push(Arc::downgrade(member));
    }

    fn members(&self) -> Vec<Arc<MemberLive>> {
        let members = locked(&self.members);
        members.iter().filter_map(Weak::upgrade).collect()
    }
}

/// One of a tenant's `connections`. Given back when dropped.
#[derive(Debug)]
pub struct Socket(Arc<Reach>);

impl Drop for Socket {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// Every tenant's.
#[derive(Debug, Default)]
pub(super) struct Reaches {
    own: Arc<OwnAddresses>,
    all: Mutex<BTreeMap<TenantName, Weak<Reach>>>,
}

impl Reaches {
    /// The tenant's; `None`: the operator's members may be anywhere.
    pub fn of(&self, tenant: &TenantName) -> Option<Arc<Reach>> {
        if tenant.is_operator() {
            return None;
        }
        let mut all = locked(&self.all);
        if let Some(known) = all.get(tenant).and_then(Weak::upgrade) {
            return Some(known);
        }
        all.retain(|_, reach| reach.strong_count() > 0);
        let made = Arc::new(Reach::new(tenant.clone(), Arc::clone(&self.own)));
        all.insert(tenant.clone(), Arc::downgrade(&made));
        Some(made)
    }

    pub fn own(&self) -> &OwnAddresses {
        &self.own
    }
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reach")
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Reachable;

    fn reach() -> Arc<Reach> {
        Reaches::default().of(&TenantName::new("acme")).unwrap()
    }

    fn local(ports: (u16, u16)) -> Egress {
        let network = "127.0.0.0/8".parse().unwrap();
        Egress::Only(vec![Reachable { network, ports }])
    }

    #[test]
    fn nobody_is_reached_before_the_operator_has_spoken() {
        let address = "8.8.8.8:80".parse().unwrap();
        assert!(reach().check(address).is_err());
    }

    #[test]
    fn this_gateway_is_never_reached_whatever_is_allowed() {
        let reach = reach();
        reach.set(&local((1, u16::MAX)), None);
        for own in [
            "127.0.0.1:9191",
            "[::ffff:127.0.0.1]:9191",
            "0.0.0.0:9191",
            "[::]:9191",
        ] {
            reach.own.set(vec![own.parse().unwrap()]);
            for address in ["127.0.0.1:9191", "[::ffff:127.0.0.1]:9191"] {
                let address = address.parse().unwrap();
                let error = reach.check(address).unwrap_err();
                assert_eq!(error, Unreachable::Ourselves { address }, "{own}");
            }
            reach.check("127.0.0.1:9192".parse().unwrap()).unwrap();
        }
        assert_eq!(reach.refusals(), (8, 0));
    }

    #[test]
    fn connections_are_counted_until_they_are_closed() {
        let reach = reach();
        reach.set(&Egress::Public, Some(2));
        let (one, _two) = (reach.open().unwrap(), reach.open().unwrap());
        assert_eq!(reach.open().unwrap_err().limit, 2);
        drop(one);
        assert_eq!(reach.sockets(), 1);
        reach.open().unwrap();
        assert_eq!(reach.refusals(), (0, 1));
    }
}
