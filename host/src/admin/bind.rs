//! The admin listener's socket.

use std::{
    fs::{self, File, Permissions},
    io,
    net::SocketAddr,
    os::{
        fd::OwnedFd,
        unix::{
            fs::{FileTypeExt, PermissionsExt},
            net::UnixStream,
        },
    },
    path::{Path, PathBuf},
};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener};

use super::orders::Peer;
use crate::snapshot::AdminBind;

/// Nobody asks more often than a few times a second.
const BACKLOG: i32 = 32;

/// Only the user that runs the gateway.
const MODE: u32 = 0o600;

/// A bound socket, not yet registered with a runtime.
#[derive(Debug)]
pub(super) enum Bound {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener, SocketFile),
}

/// Accepts, within a runtime.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(
        UnixListener,
        #[allow(dead_code, reason = "removes the file when it is dropped")] SocketFile,
    ),
}

/// Either kind of connection.
pub(super) enum Connection {
    Tcp(TcpStream),
    Unix(tokio::net::UnixStream),
}

/// Removes the socket's file when it is no longer used, unless somebody put another one in its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: Option<(u64, u64)>,
}

impl Connection {
    /// Who is there, for the log.
    pub fn peer(&self) -> Peer {
        Peer(match self {
            Self::Tcp(stream) => stream
                .peer_addr()
                .map_or_else(|_| "unknown".into(), |peer| peer.to_string().into()),
            Self::Unix(stream) => stream.peer_cred().map_or_else(
                |_| "unknown".into(),
                |who| format!("user {}", who.uid()).into(),
            ),
        })
    }
}

impl Bound {
    /// Listens on `at`; `beside` this process listens already, and will stop.
    pub fn new(at: &AdminBind, beside: Option<&AdminBind>) -> io::Result<Self> {
        match at {
            AdminBind::Tcp(address) => {
                let own = |other: &AdminBind| matches!(other, AdminBind::Tcp(other) if other.port() == address.port());
                // `127.0.0.1` and `0.0.0.0` overlap. Sockets that share a port (SO_REUSEPORT) would
                // share it with a stranger's too; one that does not share finds out.
                if address.port() != 0 && !beside.is_some_and(own) {
                    tcp(*address, false)?;
                }
                tcp(*address, true).map(Self::Tcp)
            }
            AdminBind::Unix(path) => unix(path),
        }
    }

    /// The address, with the real port.
    pub fn address(&self) -> io::Result<AdminBind> {
        Ok(match self {
            Self::Tcp(listener) => AdminBind::Tcp(listener.local_addr()?),
            Self::Unix(_, file) => AdminBind::Unix(file.path.clone()),
        })
    }

    /// Registers with the current runtime.
    pub fn listen(self) -> io::Result<Listener> {
        Ok(match self {
            Self::Tcp(listener) => Listener::Tcp(TcpListener::from_std(listener)?),
            Self::Unix(listener, file) => Listener::Unix(UnixListener::from_std(listener)?, file),
        })
    }
}

impl Listener {
    /// The next connection.
    pub async fn accept(&self) -> io::Result<Connection> {
        Ok(match self {
            Self::Tcp(listener) => Connection::Tcp(listener.accept().await?.0),
            Self::Unix(listener, _) => Connection::Unix(listener.accept().await?.0),
        })
    }
}

fn tcp(address: SocketAddr, share: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(share)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn unix(path: &Path) -> io::Result<Bound> {
    remove_stale(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    // Linux creates the file with the socket's own mode, so there is no moment in which others may connect.
    let file = File::from(OwnedFd::from(socket));
    file.set_permissions(Permissions::from_mode(MODE))?;
    let socket = Socket::from(OwnedFd::from(file));
    socket.bind(&SockAddr::unix(path)?)?;
    fs::set_permissions(path, Permissions::from_mode(MODE))?;
    socket.listen(BACKLOG)?;
    let file = SocketFile {
        path: path.to_owned(),
        identity: identity(path),
    };
    Ok(Bound::Unix(socket.into(), file))
}

/// Removes what a process that is gone left behind; what somebody listens on stays.
fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        let says = "there is something that is no socket; remove it, or configure another path";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, says));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let found = fs::symlink_metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // It is gone already, or its folder is no longer ours.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_socket_is_for_its_user_alone_and_goes_with_the_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let bound = Bound::new(&AdminBind::Unix(path.clone()), None).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(bound);
        assert!(!path.exists());
    }

    #[test]
    fn port_is_shared_with_the_one_before_and_with_nobody_else() {
        let first = Bound::new(&AdminBind::Tcp(([127, 0, 0, 1], 0).into()), None).unwrap();
        let before = first.address().unwrap();
        let AdminBind::Tcp(address) = &before else {
            panic!("{before:?}")
        };
        let wider = AdminBind::Tcp(([0, 0, 0, 0], address.port()).into());
        let error = Bound::new(&wider, None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        Bound::new(&wider, Some(&before)).unwrap();
    }

    #[test]
    fn stale_socket_is_replaced_but_one_in_use_and_other_files_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let at = AdminBind::Unix(path.clone());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "left behind");
        let bound = Bound::new(&at, None).unwrap();
        assert_eq!(
            Bound::new(&at, None).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
        assert!(UnixStream::connect(&path).is_ok(), "the first goes on");
        drop(bound);
        fs::write(&path, "precious").unwrap();
        let error = Bound::new(&at, None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn socket_of_a_successor_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let first = Bound::new(&AdminBind::Unix(path.clone()), None).unwrap();
        fs::rename(&path, folder.path().join("old")).unwrap();
        let second = Bound::new(&AdminBind::Unix(path.clone()), None).unwrap();
        drop(first);
        assert!(UnixStream::connect(&path).is_ok());
        drop(second);
    }
}
