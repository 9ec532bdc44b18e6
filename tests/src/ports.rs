//! Ports that stay ours while nobody listens on them.
//!
//! Linux lets two sockets with `SO_REUSEADDR` bind one port while neither listens. A
//! bound socket that never listens therefore keeps the system from handing the port
//! to anybody else, while connecting to it is refused and a member (or a program
//! started by the test) can still listen there later.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// A loopback port on which connections are refused until somebody of the test listens there.
#[derive(Debug)]
pub struct ReservedPort {
    addr: SocketAddr,
    _keeps: Socket,
}

impl ReservedPort {
    /// A port of the system's choice.
    pub fn new() -> Self {
        Self::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// Of another loopback address, such as 127.0.0.2; port 0 is one of the system's choice.
    pub fn at(addr: SocketAddr) -> Self {
        let keeps = bound(addr);
        let addr = keeps
            .local_addr()
            .unwrap()
            .as_socket()
            .expect("an internet socket");
        Self {
            addr,
            _keeps: keeps,
        }
    }

    /// Where it is.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:port`
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Starts listening. Dropping the listener makes connections refused again.
    pub fn listen(&self) -> TcpListener {
        let socket = bound(self.addr);
        socket.listen(256).unwrap();
        socket.into()
    }
}

impl Default for ReservedPort {
    fn default() -> Self {
        Self::new()
    }
}

fn bound(addr: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&addr.into()).unwrap();
    socket
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_reserved_port_refuses_until_somebody_listens_and_again_afterwards() {
        let port = ReservedPort::new();
        assert!(TcpStream::connect(port.addr()).is_err());
        let listener = port.listen();
        assert!(TcpStream::connect(port.addr()).is_ok());
        drop(listener);
        assert!(TcpStream::connect(port.addr()).is_err());
        let _again = port.listen();
        assert!(TcpStream::connect(port.addr()).is_ok());
    }
}
