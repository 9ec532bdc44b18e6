//! Active health checks: one task a member.
//!
//! A check is a GET over a connection of its own, outside the member's
//! `max_connections`: whether a busy member is healthy must not depend on a request
//! ending. The first one goes out at once; `members` counts passes and failures.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    io,
    sync::Arc,
    time::Duration,
};

use bytes::{Buf, BytesMut};
use http::Method;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until, timeout},
};
use tracing::{debug, info, warn};

use crate::{
    http1::{
        Bounds, Decoder, Fields, Framing, Inlet, Malformed, ReadError, RequestLine, ResponseHead,
        request_head,
    },
    members::{Live, MemberLive, NoSocket, Transition, Unreachable},
    snapshot::{HealthCheck, Member, MemberId, Status},
};

/// Bounds on a check's answer: those of a small answer, since nobody reads it.
const BOUNDS: Bounds = Bounds {
    head_size: 32 << 10,
    field_count: 200,
};

/// Interim answers before the final one.
const INTERIM: usize = 4;

/// Body bytes that are read so that the member can finish its answer.
const BODY: usize = 64 << 10;

/// And how long.
const BODY_TIME: Duration = Duration::from_secs(1);

/// Checks members until the sender of `changed` is gone. A new value there says that a reload was published.
pub async fn run(live: Arc<Live>, mut changed: watch::Receiver<u64>) {
    let mut checks = Checks::default();
    loop {
        checks.follow(&live);
        tokio::select! {
            told = changed.changed() => if told.is_err() {
                return;
            },
            // A task ends only when it is aborted, or by a defect: then it starts anew.
            Some(_) = checks.tasks.join_next() => {}
        }
    }
}

/// The tasks; they end with this.
#[derive(Default)]
pub(super) struct Checks {
    pub(super) tasks: JoinSet<()>,
    pub(super) running: HashMap<(Arc<str>, MemberId), (Arc<Target>, AbortHandle)>,
    pub(super) chance: RandomState,
}

/// Whom to check, and how.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) member: Arc<MemberLive>,
    /// `Host`.
    pub(super) authority: String,
    pub(super) check: HealthCheck,
}

/// Why a check failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CheckError {
    #[error("its name does not resolve")]
    NoAddress,
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    #[error(transparent)]
    NoSocket(#[from] NoSocket),
    #[error("connect: {0}")]
    Connect(#[source] io::Error),
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    #[error("{0}")]
    Read(#[from] ReadError),
    #[error("write: {0}")]
    Write(#[source] io::Error),
    #[error("no HTTP: {0}")]
    Malformed(#[from] Malformed),
    #[error("more interim answers than anybody sends")]
    Interim,
    #[error("status {0} is not expected")]
    Status(u16),
}

impl Checks {
    /// Starts what is missing and stops what is no longer wanted; what stays the same goes on.
    pub(super) fn follow(&mut self, live: &Live) {
        let mut wanted = HashMap::new();
        for pool in live.pools() {
            let members = pool.current();
            let Some(check) = &members.balancer.health else {
                continue;
            };
            for endpoint in &members.endpoints {
                let settings = &endpoint.settings;
                if settings.status != Status::Stopped {
                    let target = Target {
                        member: Arc::clone(&endpoint.live),
                        authority: authority(settings),
                        check: check.clone(),
                    };
                    let key = (Arc::clone(pool.name()), settings.id.clone());
                    wanted.insert(key, target);
                }
            }
        }
        self.running.retain(|key, (running, task)| {
            let stays =
                !task.is_finished() && wanted.get(key).is_some_and(|target| target.is(running));
            if !stays {
                task.abort();
            }
            stays
        });
        for (key, target) in wanted {
            if !self.running.contains_key(&key) {
                let target = Arc::new(target);
                let seed = self.chance.hash_one(&key);
                let task = self.tasks.spawn(check_for_ever(Arc::clone(&target), seed));
                self.running.insert(key, (target, task));
            }
        }
    }
}

impl Target {
    /// The same live state, checked in the same way.
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.member, &other.member)
            && self.authority == other.authority
            && self.check == other.check
    }
}

async fn check_for_ever(target: Arc<Target>, seed: u64) {
    let mut rounds = seed;
    loop {
        rounds = rounds.wrapping_add(1);
        let begun = Instant::now();
        let result = check(&target).await;
        tell(&target, result);
        sleep_until(begun + jittered(target.check.interval, rounds)).await;
    }
}

/// Within a tenth of `interval`, so that members are not all asked in the same moment for ever.
pub(super) fn jittered(interval: Duration, round: u64) -> Duration {
    // The finaliser of SplitMix64 spreads neighbouring numbers over all 64 bits.
    let mut bits = round.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    let unit = (bits >> 11) as f64 / (1_u64 << 53) as f64;
    interval.mul_f64(0.9 + 0.2 * unit)
}

fn tell(target: &Target, result: Result<u16, CheckError>) {
    if let Err(CheckError::NoSocket(cause)) = &result {
        // That says nothing of the member.
        debug!(member = %target.member.id(), %cause, "A check was left out");
        return;
    }
    let transition = target.member.checked(result.is_ok(), &target.check);
    let (tenant, balancer) = target.member.balancer();
    let member = target.member.id();
    match (transition, result) {
        (Some(Transition::Up), _) => info!(%tenant, %balancer, %member, "Member passes its checks"),
        (Some(Transition::Down), Err(cause)) => {
            warn!(%tenant, %balancer, %member, %cause, "Member fails its checks");
        }
        (_, Err(cause)) => debug!(%tenant, %balancer, %member, %cause, "Check failed"),
        (_, Ok(_)) => {}
    }
}

/// One check, from connect to status.
pub(super) async fn check(target: &Target) -> Result<u16, CheckError> {
    let patience = target.check.timeout;
    let deadline = Instant::now() + patience;
    let asked = timeout(patience, ask(target, deadline)).await;
    let (status, mut rest) = asked.unwrap_or(Err(CheckError::TimedOut(patience)))?;
    // Closed at once, it would log a broken connection at every check.
    let _ = timeout(BODY_TIME.min(patience), rest.finish()).await;
    let expected = target.check.expect.iter();
    match expected.clone().any(|range| range.contains(status)) {
        true => Ok(status),
        false => Err(CheckError::Status(status)),
    }
}

/// An answer whose body was not read yet.
struct Rest {
    stream: TcpStream,
    buffer: BytesMut,
    framing: Framing,
}

async fn ask(target: &Target, deadline: Instant) -> Result<(u16, Rest), CheckError> {
    // It counts among the connections of the member's tenant, not of the member.
    let reach = target.member.reach();
    let _socket = reach.map(|reach| reach.open()).transpose()?;
    let mut stream = connect(&target.member).await?;
    let mut fields = Fields::new();
    fields.push(
        "User-Agent",
        concat!("switchyard/", env!("CARGO_PKG_VERSION"), " (health check)").as_bytes(),
    );
    fields.push("Accept", b"*/*");
    fields.push("Connection", b"close");
    let mut head = Vec::with_capacity(256);
    let line = RequestLine {
        method: "GET",
        target: &target.check.path,
        host: &target.authority,
        framing: Framing::None,
        expect_continue: false,
        upgrade: None,
    };
    request_head(&mut head, line, &fields);
    stream.write_all(&head).await.map_err(CheckError::Write)?;
    let mut buffer = BytesMut::new();
    for _ in 0..=INTERIM {
        let mut inlet = Inlet::new(&mut stream, &mut buffer);
        let length = inlet.head(BOUNDS.head_size, deadline).await?;
        let head = ResponseHead::parse(&buffer[..length], &Method::GET, BOUNDS)?;
        buffer.advance(length);
        if !head.is_interim() {
            let rest = Rest {
                stream,
                buffer,
                framing: head.framing,
            };
            return Ok((head.status, rest));
        }
    }
    Err(CheckError::Interim)
}

async fn connect(member: &MemberLive) -> Result<TcpStream, CheckError> {
    let mut error = CheckError::NoAddress;
    for &address in member.addresses().iter() {
        if let Some(Err(unreachable)) = member.reach().map(|reach| reach.check(address)) {
            error = unreachable.into();
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(cause) => error = CheckError::Connect(cause),
        }
    }
    Err(error)
}

impl Rest {
    async fn finish(&mut self) {
        let mut decoder = Decoder::new(self.framing);
        let mut inlet = Inlet::new(&mut self.stream, &mut self.buffer);
        let mut read = 0;
        while read < BODY {
            match inlet.piece(&mut decoder, BODY_TIME).await {
                Ok(Some(length)) => {
                    inlet.buffer.advance(length);
                    read += length;
                }
                Ok(None) | Err(_) => return,
            }
        }
    }
}

pub(super) fn authority(member: &Member) -> String {
    let (host, port) = (&member.host, member.port);
    match (host.contains(':'), port) {
        (true, 80) => format!("[{host}]"),
        (true, _) => format!("[{host}]:{port}"),
        (false, 80) => host.clone(),
        (false, _) => format!("{host}:{port}"),
    }
}
