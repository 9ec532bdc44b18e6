//! Sample members: Tomcat's manners in a few threads.
//!
//! Sessions are `JSESSIONID=<hex>.worker1` and replicated, a member that takes over a
//! session puts its own name behind the dot; redirects and pages name the member's own address.

use std::{
    collections::HashMap,
    io::{self, BufRead, BufReader, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// What the members share: how often each session was used.
#[derive(Debug, Default)]
struct Sessions {
    uses: Mutex<HashMap<String, u64>>,
    made: AtomicU64,
}

/// One sample member; it runs until it is killed or dropped.
#[derive(Debug)]
pub struct Member {
    /// `worker1`
    pub name: String,
    /// Stays its own while it is down.
    pub address: SocketAddr,
    sessions: Arc<Sessions>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    is_over: Arc<AtomicBool>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
    acceptor: JoinHandle<()>,
}

/// Starts so many members that replicate sessions among them.
pub fn cluster(size: usize) -> io::Result<Vec<Member>> {
    let sessions = Arc::new(Sessions::default());
    let start = |number: usize| {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let name = format!("worker{}", number + 1);
        let mut member = Member {
            name,
            address: any,
            sessions: Arc::clone(&sessions),
            running: None,
        };
        member.start().map(|()| member)
    };
    (0..size).map(start).collect()
}

impl Member {
    /// Starts it, at the address that it had.
    pub fn start(&mut self) -> io::Result<()> {
        let listener = TcpListener::bind(self.address)?;
        self.address = listener.local_addr()?;
        let is_over = Arc::new(AtomicBool::new(false));
        let connections = Arc::new(Mutex::new(Vec::new()));
        let acceptor = thread::Builder::new().name(self.name.clone()).spawn({
            let (is_over, connections) = (Arc::clone(&is_over), Arc::clone(&connections));
            let served = Served {
                name: self.name.clone(),
                address: self.address,
                sessions: Arc::clone(&self.sessions),
            };
            move || accept(&listener, &is_over, &connections, &Arc::new(served))
        })?;
        self.running = Some(Running {
            is_over,
            connections,
            acceptor,
        });
        Ok(())
    }

    /// Ends it as `kill -9` does: nobody listens any more, and every connection breaks.
    pub fn kill(&mut self) {
        let Some(running) = self.running.take() else {
            return;
        };
        running.is_over.store(true, Ordering::SeqCst);
        // Wakes the acceptor, which then lets go of its listener.
        drop(TcpStream::connect(self.address));
        let _ = running.acceptor.join();
        for connection in locked(&running.connections).drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A thread that panicked left at most a session uncounted.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(
    listener: &TcpListener,
    is_over: &AtomicBool,
    connections: &Mutex<Vec<TcpStream>>,
    served: &Arc<Served>,
) {
    while let Ok((stream, _)) = listener.accept() {
        if is_over.load(Ordering::SeqCst) {
            return;
        }
        let Ok(handle) = stream.try_clone() else {
            continue;
        };
        let mut all = locked(connections);
        // Those that ended meanwhile have no peer any more.
        all.retain(|connection| connection.peer_addr().is_ok());
        all.push(handle);
        drop(all);
        let served = Arc::clone(served);
        thread::spawn(move || served.connection(stream));
    }
}

/// What a member's threads know of it.
struct Served {
    name: String,
    address: SocketAddr,
    sessions: Arc<Sessions>,
}

impl Served {
    fn connection(&self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let Ok(mut writer) = stream.try_clone() else {
            return;
        };
        let mut reader = BufReader::new(stream);
        while let Ok(Some((path, cookie))) = request(&mut reader) {
            if writer
                .write_all(&self.answer(&path, cookie.as_deref()))
                .is_err()
            {
                break;
            }
        }
        // The acceptor holds another handle, which alone would keep the connection half open.
        let _ = writer.shutdown(Shutdown::Both);
    }

    fn answer(&self, path: &str, cookie: Option<&str>) -> Vec<u8> {
        let (name, address) = (&self.name, self.address);
        let is_first = name == "worker1";
        let path = path.split('?').next().unwrap_or_default();
        match path {
            "/Test/count" => {
                let (id, uses) = self.session(cookie);
                // Tomcat sends the cookie for a new session and where it took a session over.
                let is_told = cookie == Some(id.as_str());
                let set = format!("Set-Cookie: JSESSIONID={id}; Path=/Test; HttpOnly\r\n");
                self.reply(
                    "200 OK",
                    if is_told { "" } else { &set },
                    "text/plain",
                    &format!("{uses}"),
                )
            }
            "/Test/plain" | "/Test/ready" => self.reply("200 OK", "", "text/plain", "ok"),
            // Four times as much from one of them, for `bytraffic`.
            "/Test/bytes" => self.reply(
                "200 OK",
                "",
                "text/plain",
                &"x".repeat(if is_first { 40_000 } else { 10_000 }),
            ),
            // Ten times as slow, for `bybusyness`.
            "/Test/slow" => {
                thread::sleep(Duration::from_millis(if is_first { 40 } else { 4 }));
                self.reply("200 OK", "", "text/plain", "ok")
            }
            "/Test/redirect" => {
                let location = format!("Location: http://{address}/Test/plain\r\n");
                self.reply("302 Found", &location, "text/plain", "")
            }
            "/Test/page" => {
                let page = format!(
                    "<html><body><a href=\"http://{address}/Test/plain\">mine</a> \
                     <a href=\"http://example.org/Test/plain\">foreign</a></body></html>"
                );
                self.reply("200 OK", "", "text/html; charset=utf-8", &page)
            }
            _ => self.reply("404 Not Found", "", "text/plain", "no such page"),
        }
    }

    /// The session's id with this member's name behind the dot, and how often it was used.
    fn session(&self, cookie: Option<&str>) -> (String, u64) {
        let mut uses = locked(&self.sessions.uses);
        let known = cookie
            .and_then(|cookie| cookie.split('.').next())
            .filter(|id| uses.contains_key(*id));
        let id = known.map_or_else(|| self.new_id(), str::to_owned);
        let count = uses.entry(id.clone()).or_default();
        *count += 1;
        (format!("{id}.{}", self.name), *count)
    }

    /// 32 hexadecimal digits, as Tomcat's ids have. Nothing is protected by them here.
    fn new_id(&self) -> String {
        let number = self.sessions.made.fetch_add(1, Ordering::Relaxed) + 1;
        // Multiplying by an odd number spreads the count over all digits and repeats none.
        format!(
            "{:032X}",
            u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)
        )
    }

    fn reply(&self, status: &str, fields: &str, kind: &str, body: &str) -> Vec<u8> {
        let name = &self.name;
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\nX-Worker: {name}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{fields}\r\n{body}"
        )
        .into_bytes()
    }
}

/// Path and session of the next request, which has no body; `None` at the connection's end.
fn request(from: &mut impl BufRead) -> io::Result<Option<(String, Option<String>)>> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut session = None;
    loop {
        line.clear();
        if from.read_line(&mut line)? == 0 || line.trim().is_empty() {
            return Ok(Some((path, session)));
        }
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        if name.eq_ignore_ascii_case("cookie") {
            let found = value
                .trim()
                .split("; ")
                .find_map(|pair| pair.strip_prefix("JSESSIONID="));
            session = found.map(str::to_owned).or(session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Client;

    #[test]
    fn a_session_is_counted_and_survives_its_member() {
        let mut members = cluster(2).unwrap();
        let mut first = Client::new(members[0].address);
        let answer = first.get("/Test/count", &[]).unwrap();
        let cookie = answer
            .header("set-cookie")
            .unwrap()
            .split(';')
            .next()
            .unwrap()
            .to_owned();
        assert!(
            cookie.starts_with("JSESSIONID=") && cookie.ends_with(".worker1"),
            "{cookie}"
        );
        let again = first.get("/Test/count", &[("Cookie", &cookie)]).unwrap();
        assert_eq!(
            (again.text().as_str(), again.header("set-cookie")),
            ("2", None)
        );

        members[0].kill();
        assert!(first.get("/Test/count", &[("Cookie", &cookie)]).is_err());
        let taken = Client::new(members[1].address)
            .get("/Test/count", &[("Cookie", &cookie)])
            .unwrap();
        assert_eq!(taken.text(), "3");
        assert!(taken.header("set-cookie").unwrap().contains(".worker2;"));
    }

    #[test]
    fn a_killed_member_returns_at_its_address() {
        let mut members = cluster(1).unwrap();
        let address = members[0].address;
        members[0].kill();
        assert!(TcpStream::connect(address).is_err());
        members[0].start().unwrap();
        assert_eq!(
            Client::new(address).get("/Test/ready", &[]).unwrap().status,
            200
        );
    }

    #[test]
    fn redirects_and_pages_name_the_member_itself() {
        let members = cluster(1).unwrap();
        let own = format!("http://{}/Test/plain", members[0].address);
        let mut client = Client::new(members[0].address);
        assert_eq!(
            client
                .get("/Test/redirect", &[])
                .unwrap()
                .header("location"),
            Some(own.as_str())
        );
        assert!(client.get("/Test/page", &[]).unwrap().text().contains(&own));
    }
}
