use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::BytesMut;
use hickory_resolver::{
    Resolver as Hickory,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
};
use tokio::{
    net::{TcpListener, TcpStream, UdpSocket},
    sync::watch,
    time::{Instant, interval, timeout},
};

use super::{
    names::{Answer, Names},
    resolve::{Announcer, Resolver, announcer, tell},
};
use crate::{
    config,
    members::{Clock, IdleConnection, Lease, Live, MemberLive, locked, testing},
    snapshot::{Balancer, Member, Snapshot},
};

/// Long enough for every machine; nothing waits for it unless a test fails.
const DEADLINE: Duration = Duration::from_secs(20);

/// A name server with one answer for everything; `None` = it fails.
struct Server {
    address: SocketAddr,
    says: Arc<Mutex<Option<(u8, u32)>>>,
    /// Queries that it failed.
    failed: watch::Receiver<u32>,
}

impl Server {
    async fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let says = Arc::new(Mutex::new(None));
        let ours = Arc::clone(&says);
        let (fails, failed) = watch::channel(0);
        tokio::spawn(async move {
            let mut query = [0; 512];
            loop {
                let (length, from) = socket.recv_from(&mut query).await.unwrap();
                let says = *locked(&ours);
                let reply = reply(&query[..length], says);
                socket.send_to(&reply, from).await.unwrap();
                fails.send_modify(|failed| *failed += u32::from(says.is_none()));
            }
        });
        Self {
            address,
            says,
            failed,
        }
    }

    fn says(&self, answer: Option<(u8, u32)>) {
        *locked(&self.says) = answer;
    }

    fn names(&self) -> Names {
        let mut connection = ConnectionConfig::udp();
        connection.port = self.address.port();
        let mut server = NameServerConfig::udp(self.address.ip());
        server.connections = vec![connection];
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let mut builder = Hickory::builder_with_config(config, TokioRuntimeProvider::default());
        builder.options_mut().cache_size = 0;
        builder.options_mut().attempts = 0;
        Names::with(builder.build().unwrap())
    }
}

/// RFC 1035 section 4.1: the query's id and question, and an A record for questions that ask for one.
fn reply(query: &[u8], says: Option<(u8, u32)>) -> Vec<u8> {
    let name = query[12..].iter().position(|b| *b == 0).unwrap();
    let question = &query[12..12 + name + 5];
    let asks_for_a = question[name + 1..name + 3] == [0, 1];
    // Response, recursion available; 2 = server failure.
    let code = if says.is_some() { 0 } else { 2 };
    let mut reply = [&query[..2], &[0x81, 0x80 | code, 0, 1]].concat();
    let record = says.filter(|_| asks_for_a);
    reply.extend([0, u8::from(record.is_some()), 0, 0, 0, 0]);
    reply.extend(question);
    if let Some((last, ttl)) = record {
        // The name is that of the question, at offset 12.
        reply.extend([0xc0, 12, 0, 1, 0, 1]);
        reply.extend(ttl.to_be_bytes());
        reply.extend([0, 4, 10, 0, 0, last]);
    }
    reply
}

fn balancer() -> Balancer {
    testing::balancer([Member {
        host: "app.example".into(),
        ..testing::member("a")
    }])
}

fn member(live: &Live) -> Arc<MemberLive> {
    Arc::clone(&live.pools()[0].current().endpoints[0].live)
}

async fn until(member: &MemberLive, last: u8) {
    let wanted = SocketAddr::from(([10, 0, 0, last], 8080));
    let wait = async {
        let mut tick = interval(Duration::from_millis(5));
        while *member.addresses() != [wanted] {
            tick.tick().await;
        }
    };
    let waited = timeout(DEADLINE, wait).await;
    waited.unwrap_or_else(|_| panic!("{:?}, not {wanted}", member.addresses()));
}

#[tokio::test]
async fn names_have_addresses_and_a_ttl() {
    let server = Server::start().await;
    server.says(Some((7, 42)));
    let found = server.names().lookup("app.example").await;
    assert_eq!(found, Ok(Answer::of(&[7], 42)));
    server.says(None);
    assert!(server.names().lookup("app.example").await.is_err());
    let found = Names::from_system().lookup("localhost").await.unwrap();
    assert!(found.addresses.iter().all(IpAddr::is_loopback), "{found:?}");
}

#[tokio::test]
async fn only_connections_to_addresses_that_are_gone_are_closed() {
    let live = Live::new(Clock::start(), 1);
    live.publish(&[Arc::new(balancer())]);
    let (member, settings) = (member(&live), testing::member("a"));
    let members = [(Arc::clone(&member), 8080)];
    tell(&members, &Answer::of(&[1, 2, 3], 0).addresses);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    for address in member.addresses().iter() {
        let permit = member.connections().acquire_fresh(0, &settings).await;
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await;
        let kept = IdleConnection {
            stream: stream.unwrap(),
            buffer: BytesMut::new(),
            permit: permit.unwrap(),
            idle_since: Instant::now(),
            address: *address,
            served: 1,
        };
        member.connections().put(0, kept);
    }
    tell(&members, &Answer::of(&[4, 3, 1], 0).addresses);
    assert_eq!(member.connections().open(), 2);
    for last in [3, 1] {
        let lease = member.connections().acquire(0, &settings).await.unwrap();
        let Lease::Kept(kept) = lease else {
            panic!("{lease:?}, not to {last}");
        };
        assert_eq!(kept.address, SocketAddr::from(([10, 0, 0, last], 8080)));
    }
}

#[tokio::test]
async fn member_moves_with_its_name_and_stays_while_the_name_server_fails() {
    let server = Server::start().await;
    server.says(Some((1, 1)));
    let live = Arc::new(Live::new(Clock::start(), 1));
    live.publish(&[Arc::new(balancer())]);
    let member = member(&live);
    assert!(member.addresses().is_empty());
    let (_changed, told) = watch::channel(0);
    let (_announcer, expected) = announcer();
    let resolver = Resolver::new(Arc::clone(&live), server.names());
    let running = tokio::spawn(resolver.run(told, expected));
    until(&member, 1).await;
    server.says(Some((2, 1)));
    until(&member, 2).await;
    server.says(None);
    let mut failed = server.failed.clone();
    // Each lookup asks for both kinds of address, so this is the second one at least.
    let fails = failed.wait_for(|failed| *failed > 2);
    timeout(DEADLINE, fails).await.unwrap().unwrap();
    until(&member, 2).await;
    server.says(Some((3, 3_600)));
    until(&member, 3).await;
    running.abort();
}

#[tokio::test]
async fn member_that_joins_by_a_reload_is_resolved_and_so_is_one_of_a_known_name() {
    let server = Server::start().await;
    server.says(Some((1, 3_600)));
    let live = Arc::new(Live::new(Clock::start(), 1));
    let (changed, told) = watch::channel(0);
    let (_announcer, expected) = announcer();
    let resolver = Resolver::new(Arc::clone(&live), server.names());
    let running = tokio::spawn(resolver.run(told, expected));
    live.publish(&[Arc::new(balancer())]);
    changed.send_replace(1);
    until(&member(&live), 1).await;
    // Not asked again: the TTL is an hour.
    server.says(None);
    let other = Balancer {
        name: "other".into(),
        ..balancer()
    };
    live.publish(&[Arc::new(other)]);
    changed.send_replace(2);
    until(&member(&live), 1).await;
    drop(changed);
    timeout(DEADLINE, running).await.unwrap().unwrap();
}

/// With one member of that name in the balancer `cluster`.
fn snapshot(name: &str) -> Snapshot {
    let text = format!(
        "version = 1\n[[listener]]\nbind = \"127.0.0.1:0\"\n[[vhost]]\nname = \"www\"\n\
         [[vhost.route]]\npath = \"/\"\nbalancer = \"cluster\"\n\
         [balancer.cluster]\nmembers = [{{ url = \"http://{name}:8080\" }}]\n"
    );
    let path = std::path::Path::new("/switchyard.toml");
    config::parse(&text, path).unwrap().snapshot
}

#[tokio::test]
async fn member_that_was_announced_has_its_addresses_from_the_beginning() {
    let server = Server::start().await;
    server.says(Some((1, 3_600)));
    let live = Arc::new(Live::new(Clock::start(), 1));
    let (changed, told) = watch::channel(0);
    let (announcer, expected) = announcer();
    let resolver = Resolver::new(Arc::clone(&live), server.names());
    let running = tokio::spawn(resolver.run(told, expected));
    let wanted = [SocketAddr::from(([10, 0, 0, 1], 8080))];
    for name in ["one.example", "10.0.0.1", "two.example"] {
        let next = snapshot(name);
        let ended = timeout(DEADLINE, announcer.begin(&next)).await;
        assert!(ended.unwrap().is_err(), "nothing more to wait for");
        // The first is in a new pool, the others join it.
        live.publish(next.balancers.values());
        changed.send_modify(|generation| *generation += 1);
        assert_eq!(*member(&live).addresses(), wanted, "{name}");
    }
    // A known name is not asked for again.
    server.says(None);
    let ended = timeout(DEADLINE, announcer.begin(&snapshot("two.example"))).await;
    assert!(ended.unwrap().is_err());
    assert_eq!(*server.failed.borrow(), 0);
    running.abort();
}

#[tokio::test]
async fn name_that_does_not_resolve_is_waited_for_once() {
    let server = Server::start().await;
    let live = Arc::new(Live::new(Clock::start(), 1));
    let (changed, told) = watch::channel(0);
    let (announcer, expected) = announcer();
    let resolver = Resolver::new(Arc::clone(&live), server.names());
    let running = tokio::spawn(resolver.run(told, expected));
    let next = snapshot("app.example");
    let ended = timeout(DEADLINE, announcer.begin(&next)).await;
    assert!(ended.unwrap().is_err());
    assert!(*server.failed.borrow() > 0);
    live.publish(next.balancers.values());
    changed.send_replace(1);
    assert!(member(&live).addresses().is_empty());
    let ended = timeout(DEADLINE, announcer.begin(&next)).await;
    assert!(ended.unwrap().is_err());
    server.says(Some((1, 3_600)));
    until(&member(&live), 1).await;
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn generation_waits_five_seconds_at_most() {
    // Nobody answers there.
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let silent = Server {
        address: socket.local_addr().unwrap(),
        says: Arc::default(),
        failed: watch::channel(0).1,
    };
    let live = Arc::new(Live::new(Clock::start(), 1));
    let (_changed, told) = watch::channel(0);
    let (announcer, expected) = announcer();
    let running = tokio::spawn(Resolver::new(live, silent.names()).run(told, expected));
    let begun = Instant::now();
    let ended = announcer.begin(&snapshot("app.example")).await;
    assert!(ended.is_err());
    assert!(begun.elapsed() <= Duration::from_millis(5_100));
    running.abort();
}

/// The same, to be asked of this server.
fn snapshot_of(server: &Server, name: &str) -> Snapshot {
    let mut next = snapshot(name);
    next.name_servers = vec![server.address];
    next
}

async fn announced(announcer: &Announcer, next: &Snapshot) {
    let ended = timeout(DEADLINE, announcer.begin(next)).await;
    assert!(ended.unwrap().is_err(), "nothing more to wait for");
}

#[tokio::test]
async fn generation_that_is_abandoned_leaves_neither_its_servers_nor_its_names() {
    let (old, new) = (Server::start().await, Server::start().await);
    old.says(Some((1, 1)));
    new.says(Some((2, 3_600)));
    let live = Arc::new(Live::new(Clock::start(), 1));
    let (changed, told) = watch::channel(0);
    let (announcer, expected) = announcer();
    let resolver = Resolver::new(Arc::clone(&live), Names::from_system());
    let running = tokio::spawn(resolver.run(told, expected));
    let first = snapshot_of(&old, "one.example");
    announced(&announcer, &first).await;
    live.publish(first.balancers.values());
    changed.send_replace(1);
    let member = member(&live);
    until(&member, 1).await;
    for name in ["one.example", "two.example"] {
        announced(&announcer, &snapshot_of(&new, name)).await;
        announcer.abandon();
    }
    old.says(Some((3, 1)));
    until(&member, 3).await;
    // The name is asked for again, of whom the generation wants that comes.
    let next = snapshot_of(&old, "two.example");
    announced(&announcer, &next).await;
    live.publish(next.balancers.values());
    let wanted = [SocketAddr::from(([10, 0, 0, 3], 8080))];
    assert_eq!(*self::member(&live).addresses(), wanted);
    running.abort();
}

#[tokio::test]
async fn answer_of_a_server_that_is_no_longer_asked_is_not_believed() {
    let (old, new) = (
        UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap(),
        Server::start().await,
    );
    new.says(Some((2, 1)));
    let silent = Server {
        address: old.local_addr().unwrap(),
        says: Arc::default(),
        failed: watch::channel(0).1,
    };
    let live = Arc::new(Live::new(Clock::start(), 1));
    live.publish(&[Arc::new(balancer())]);
    let (changed, told) = watch::channel(0);
    let (announcer, expected) = announcer();
    let resolver = Resolver::new(Arc::clone(&live), silent.names());
    let running = tokio::spawn(resolver.run(told, expected));
    // For both kinds of address.
    let mut queries = Vec::new();
    for _ in 0..2 {
        let mut query = [0; 512];
        let received = timeout(DEADLINE, old.recv_from(&mut query)).await;
        let (length, from) = received.unwrap().unwrap();
        queries.push((query[..length].to_vec(), from));
    }
    let next = snapshot_of(&new, "app.example");
    announced(&announcer, &next).await;
    live.publish(next.balancers.values());
    changed.send_replace(1);
    // Whoever hears of a generation knows the one before.
    announced(&announcer, &next).await;
    for (query, from) in queries {
        let late = reply(&query, Some((1, 3_600)));
        old.send_to(&late, from).await.unwrap();
    }
    let member = member(&live);
    until(&member, 2).await;
    new.says(Some((3, 1)));
    until(&member, 3).await;
    running.abort();
}
