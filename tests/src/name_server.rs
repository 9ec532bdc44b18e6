//! A DNS server that says what the test tells it to.

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Where every name leads and for how many seconds; `None` = the server fails.
type Says = Option<(Ipv4Addr, u32)>;

/// Answers every question on a loopback port, until dropped.
#[derive(Debug)]
pub struct NameServer {
    addr: SocketAddr,
    shared: Arc<Shared>,
    serving: Option<thread::JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    says: Mutex<Says>,
    asked: AtomicUsize,
}

impl NameServer {
    /// Starts one that says this.
    pub fn start(says: Says) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = socket.local_addr().unwrap();
        let shared = Arc::new(Shared {
            says: Mutex::new(says),
            asked: AtomicUsize::new(0),
        });
        let serves = Arc::clone(&shared);
        let serving = thread::spawn(move || serve(&socket, &serves));
        Self {
            addr,
            shared,
            serving: Some(serving),
        }
    }

    /// Where it is.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on.
    pub fn says(&self, says: Says) {
        *self.shared.says.lock().unwrap() = says;
    }

    /// Questions for an IPv4 address so far.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        // An empty datagram ends it.
        let sent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|socket| socket.send_to(&[], self.addr));
        if let (Ok(_), Some(serving)) = (sent, self.serving.take()) {
            let _ = serving.join();
        }
    }
}

fn serve(socket: &UdpSocket, shared: &Shared) {
    let mut room = [0; 1500];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut room) else {
            continue;
        };
        if length == 0 {
            return;
        }
        let says = *shared.says.lock().unwrap();
        if let Some((reply, is_ipv4)) = reply(&room[..length], says) {
            shared
                .asked
                .fetch_add(usize::from(is_ipv4), Ordering::SeqCst);
            let _ = socket.send_to(&reply, from);
        }
    }
}

/// RFC 1035 section 4.1: the query's id and question, and an A record for a question that asks for one,
/// which the second part tells.
fn reply(query: &[u8], says: Says) -> Option<(Vec<u8>, bool)> {
    let name = query.get(12..)?.iter().position(|byte| *byte == 0)?;
    let question = query.get(12..12 + name + 5)?;
    let is_ipv4 = question[name + 1..name + 3] == [0, 1];
    // 2 = the server failed.
    let code = if says.is_some() { 0 } else { 2 };
    let record = says.filter(|_| is_ipv4);
    let mut reply = query[..2].to_vec();
    reply.extend([0x81, 0x80 | code, 0, 1, 0, u8::from(record.is_some())]);
    reply.extend([0; 4]);
    reply.extend(question);
    if let Some((address, ttl)) = record {
        // The name is that of the question, at offset 12.
        reply.extend([0xc0, 12, 0, 1, 0, 1]);
        reply.extend(ttl.to_be_bytes());
        reply.extend([0, 4]);
        reply.extend(address.octets());
    }
    Some((reply, is_ipv4))
}
