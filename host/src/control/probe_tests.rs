use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use proptest::prelude::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};
use tracing::{Level, subscriber::set_default};
use tracing_subscriber::{Layer, layer::SubscriberExt, registry};

use super::probe::{CheckError, Checks, Target, authority, check, jittered, run};
use crate::{
    http1::ReadError,
    members::{Admission, Clock, Live, MemberLive, Pool, locked, testing},
    snapshot::{Balancer, HealthCheck, Member, Status, StatusRange},
};

/// Long enough for every machine; nothing waits for it unless a test fails.
const DEADLINE: Duration = Duration::from_secs(20);

fn health() -> HealthCheck {
    HealthCheck {
        path: "/health?x=1".into(),
        interval: Duration::from_millis(5),
        rise: 2,
        fall: 3,
        expect: vec![StatusRange {
            first: 200,
            last: 399,
        }],
        timeout: DEADLINE,
    }
}

fn at(address: SocketAddr) -> Member {
    Member {
        host: address.ip().to_string(),
        port: address.port(),
        ..testing::member("a")
    }
}

fn checked(member: Member) -> Balancer {
    Balancer {
        health: Some(health()),
        ..testing::balancer([member])
    }
}

fn live(balancer: Balancer) -> (Arc<Live>, Arc<Pool>) {
    let live = Arc::new(Live::new(Clock::start(), 1));
    let pool = live.prepare(&Arc::new(balancer));
    (live, pool)
}

fn member(pool: &Pool) -> Arc<MemberLive> {
    Arc::clone(&pool.current().endpoints[0].live)
}

/// Waits until the member is so.
async fn until(pool: &Pool, wanted: Admission) {
    let clock = pool.clock();
    let wait = async {
        loop {
            let changed = pool.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if member(pool).admission(clock.now()) == wanted {
                return;
            }
            changed.await;
        }
    };
    let waited = timeout(DEADLINE, wait).await;
    waited.unwrap_or_else(|_| panic!("never {wanted:?}"));
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// What one check says of a member that answers so; `None` = it says nothing and keeps the connection.
async fn verdict(answer: Option<&str>, check_with: HealthCheck) -> Result<u16, CheckError> {
    let (listener, address) = listener().await;
    let (_live, pool) = live(checked(at(address)));
    let target = Target {
        member: member(&pool),
        authority: "member.example:8080".into(),
        check: check_with,
    };
    let served = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = read_head(&mut stream).await;
        match answer {
            Some(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
            None => std::future::pending().await,
        }
        head
    };
    let (verdict, head) = tokio::join!(check(&target), async {
        tokio::select! {
            head = served => Some(head),
            () = tokio::time::sleep(target.check.timeout * 2) => None,
        }
    });
    if let Some(head) = head {
        let mut lines = head.lines();
        assert_eq!(lines.next(), Some("GET /health?x=1 HTTP/1.1"));
        assert_eq!(lines.next(), Some("Host: member.example:8080"));
        assert!(head.contains("\r\nConnection: close\r\n"), "{head}");
    }
    verdict
}

#[tokio::test]
async fn status_decides_and_everything_that_is_no_answer_fails() {
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "200"),
        ("HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", "302"),
        (
            "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
            "204",
        ),
        ("HTTP/1.0 200 OK\r\n\r\nuntil close", "200"),
        // The status is known; that the body is cut short is another matter.
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "200"),
        (
            "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
            "status 500 is not expected",
        ),
        (
            "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
            "status 404 is not expected",
        ),
        ("", "the connection was closed"),
        ("HTTP/1.1 200", "the connection was closed"),
    ] {
        let said = match verdict(Some(answer), health()).await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(said, expected, "{answer:?}");
    }
    for answer in [
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ] {
        let error = verdict(Some(answer), health()).await.unwrap_err();
        let malformed = matches!(
            error,
            CheckError::Malformed(_) | CheckError::Read(ReadError::Malformed(_))
        );
        assert!(malformed, "{answer:?}: {error}");
    }
    let endless = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(20);
    let error = verdict(Some(&endless), health()).await.unwrap_err();
    assert!(matches!(error, CheckError::Interim), "{error}");
}

#[tokio::test]
async fn expected_statuses_are_the_operators() {
    let teapot = HealthCheck {
        expect: vec![StatusRange {
            first: 418,
            last: 418,
        }],
        ..health()
    };
    let answer = "HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(verdict(Some(answer), teapot.clone()).await.unwrap(), 418);
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let error = verdict(Some(answer), teapot).await.unwrap_err();
    assert!(matches!(error, CheckError::Status(200)));
}

#[tokio::test]
async fn hanging_member_fails_after_the_timeout() {
    let hurried = HealthCheck {
        timeout: Duration::from_millis(20),
        ..health()
    };
    let error = verdict(None, hurried).await.unwrap_err();
    assert!(
        matches!(
            error,
            CheckError::TimedOut(_) | CheckError::Read(ReadError::TimedOut)
        ),
        "{error}"
    );
}

#[tokio::test]
async fn member_goes_after_fall_failures_and_is_back_after_rise_passes() {
    let (listener, address) = listener().await;
    let (live, pool) = live(checked(at(address)));
    let (healthy, checks) = (AtomicBool::new(false), AtomicU64::new(0));
    let serve = async {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            checks.fetch_add(1, Ordering::Relaxed);
            let _ = read_head(&mut stream).await;
            let status = if healthy.load(Ordering::Relaxed) {
                200
            } else {
                503
            };
            let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    };
    let events = Events::default();
    let _guard = set_default(registry().with(events.clone()));
    let (_changed, told) = watch::channel(0);
    tokio::select! {
        () = run(live, told) => unreachable!("its sender lives"),
        () = serve => unreachable!(),
        () = async {
            until(&pool, Admission::Unhealthy).await;
            assert!(checks.load(Ordering::Relaxed) >= 3);
            let before = checks.swap(0, Ordering::Relaxed);
            healthy.store(true, Ordering::Relaxed);
            until(&pool, Admission::Admitting).await;
            assert!(checks.load(Ordering::Relaxed) >= 2, "after {before}");
        } => {}
    }
    let events = locked(&events.0).clone();
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(
        events[0].contains("cause=status 503 is not expected"),
        "{events:?}"
    );
    assert!(events[1].contains("passes its checks"), "{events:?}");
}

/// Events from `info` on, as text.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> Layer<S> for Events {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        struct Text(String);
        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 += &format!("{field}={value:?} ");
            }
        }
        if *event.metadata().level() <= Level::INFO {
            let mut text = Text(String::new());
            event.record(&mut text);
            locked(&self.0).push(text.0);
        }
    }
}

#[tokio::test]
async fn reload_keeps_tasks_that_stay_and_ends_those_of_stopped_members() {
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let (live, _) = live(checked(at(nobody)));
    let mut checks = Checks::default();
    let task = |checks: &Checks| {
        let (target, task) = checks.running.values().next().unwrap();
        (Arc::as_ptr(target), task.id())
    };
    checks.follow(&live);
    let first = task(&checks);
    live.publish(&[Arc::new(checked(at(nobody)))]);
    checks.follow(&live);
    assert_eq!(task(&checks), first, "nothing has changed");

    let mut other = checked(at(nobody));
    other.health.as_mut().unwrap().path = "/other".into();
    live.publish(&[Arc::new(other)]);
    checks.follow(&live);
    assert_ne!(task(&checks), first);

    for (status, running) in [
        (Status::Stopped, 0),
        (Status::Disabled, 1),
        (Status::Draining, 1),
        (Status::Standby, 1),
    ] {
        let member = Member {
            status,
            ..at(nobody)
        };
        live.publish(&[Arc::new(checked(member))]);
        checks.follow(&live);
        assert_eq!(checks.running.len(), running, "{status:?}");
    }
    live.publish(&[Arc::new(testing::balancer([at(nobody)]))]);
    checks.follow(&live);
    assert_eq!(checks.running.len(), 0, "checks were switched off");
}

#[tokio::test]
async fn run_ends_with_the_gateway() {
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let (live, _) = live(checked(at(nobody)));
    let (changed, told) = watch::channel(0);
    drop(changed);
    timeout(DEADLINE, run(live, told)).await.unwrap();
}

#[test]
fn host_names_the_member_with_its_port_unless_it_is_the_default_one() {
    for (host, port, expected) in [
        ("app.example", 80, "app.example"),
        ("app.example", 8080, "app.example:8080"),
        ("10.0.0.1", 8080, "10.0.0.1:8080"),
        ("::1", 80, "[::1]"),
        ("::1", 8080, "[::1]:8080"),
    ] {
        let member = Member {
            host: host.into(),
            port,
            ..testing::member("a")
        };
        assert_eq!(authority(&member), expected);
    }
}

proptest! {
    #[test]
    fn jitter_stays_within_a_tenth(round: u64, ms in 1_u64..100_000) {
        let interval = Duration::from_millis(ms);
        let jittered = jittered(interval, round);
        prop_assert!(jittered >= interval.mul_f64(0.899) && jittered <= interval.mul_f64(1.101));
    }
}
