//! Listening sockets: one a worker for each address.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Connections that wait to be accepted, for each socket; the system may have a lower bound (`net.core.somaxconn`).
const BACKLOG: i32 = 1024;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {cause}; {}", remedy(.cause))]
pub struct BindError {
    /// As configured.
    pub address: SocketAddr,
    /// The system's word.
    #[source]
    pub cause: io::Error,
}

fn remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::AddrInUse => "stop what listens there, or configure another port",
        io::ErrorKind::PermissionDenied => {
            "use a port from 1024, or grant CAP_NET_BIND_SERVICE (setcap, or AmbientCapabilities in systemd)"
        }
        io::ErrorKind::AddrNotAvailable => "configure an address of this machine",
        _ => "see the system's message",
    }
}

/// How an address is to be bound.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// Port 0: a free one, the same for all workers.
    pub address: SocketAddr,
    /// This process listens there already, and goes on or will stop.
    pub shared: bool,
    /// An IPv4 listener has the port as well.
    pub only_v6: bool,
}

/// One socket for each worker. The kernel spreads connections over them.
pub(super) fn bind(wanted: Wanted, workers: usize) -> Result<Vec<TcpListener>, BindError> {
    let failed = |cause| BindError {
        address: wanted.address,
        cause,
    };
    // Sockets that share a port (SO_REUSEPORT) would also share it with another gateway that was
    // left running, unseen by both. One that does not share finds out.
    if wanted.address.port() != 0 && !wanted.shared {
        listen(wanted.address, wanted.only_v6, false).map_err(failed)?;
    }
    let mut address = wanted.address;
    let mut sockets = Vec::with_capacity(workers);
    for _ in 0..workers {
        let socket = listen(address, wanted.only_v6, true).map_err(failed)?;
        address = socket.local_addr().map_err(failed)?;
        sockets.push(socket);
    }
    Ok(sockets)
}

fn listen(address: SocketAddr, only_v6: bool, share: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Connections of an earlier run that are still closing must not keep us from the port.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(share)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(port: u16, shared: bool) -> Wanted {
        Wanted {
            address: ([127, 0, 0, 1], port).into(),
            shared,
            only_v6: false,
        }
    }

    #[test]
    fn all_workers_share_the_port_that_the_first_was_given() {
        let sockets = bind(wanted(0, false), 3).unwrap();
        let ports: Vec<_> = sockets
            .iter()
            .map(|socket| socket.local_addr().unwrap().port())
            .collect();
        assert_ne!(ports[0], 0);
        assert!(ports.iter().all(|port| *port == ports[0]));
    }

    #[test]
    fn port_of_another_is_refused_with_address_and_remedy_even_if_it_shares() {
        let other = bind(wanted(0, false), 1).unwrap();
        let port = other[0].local_addr().unwrap().port();
        let error = bind(wanted(port, false), 1).unwrap_err().to_string();
        assert!(error.contains(&format!("127.0.0.1:{port}")), "{error}");
        assert!(error.contains("another port"), "{error}");
        bind(wanted(port, true), 1).unwrap();
    }
}
