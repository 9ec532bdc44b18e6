//! The only loop that asks members: choose one, send, and another one where that is safe.

use std::{sync::atomic::AtomicU64, time::Duration};

use bytes::Buf as _;
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, sleep_until, timeout},
};
use tracing::debug;

use super::{
    broken::{Broken, client_failed, garbled, nobody_else, unanswered, unconnected},
    burst,
    downstream::Downstream,
    error::ProxyError,
    exchange::Exchange,
    forwarded,
    record::Trace,
    tunnel,
    upload::{Patience, Step, Upload, UploadError},
};
use crate::{
    decision::{Failure, Outcome},
    generation::Forward,
    http1::{
        self, Bounds, Fields, Framing, Inlet, Malformed, ReadError, RequestLine, ResponseHead,
        Version,
    },
    members::{InFlight, moment},
    policy::{Attempt, Chosen, Session},
    snapshot::{HttpLimits, MemberId},
    upstream::{self, ConnectError, Connection},
};

/// Interim answers passed on for one request; httpd stops at as many.
const INTERIM: u32 = 10;
/// How long a member may think about `Expect: 100-continue` before the body is sent anyway, as curl does.
const CONTINUE: Duration = Duration::from_secs(1);
/// What an idle connection takes without waiting.
const SMALL: u64 = 16 * 1024;
/// Of the answer, before there is one.
static NOTHING: AtomicU64 = AtomicU64::new(0);
/// A wait that some other deadline ends first.
const FAR: Duration = Duration::from_secs(86_400);

/// A member's answer, its body still to come.
#[derive(Debug)]
pub struct Reply {
    /// Final: not 1xx but 101.
    pub head: ResponseHead,
    /// Positioned at the body.
    pub connection: Connection,
    /// Busy until this is dropped.
    pub in_flight: InFlight,
    /// The session had to move.
    pub moved: bool,
    /// When the request's first byte went out.
    pub sent_at: Instant,
    /// Until the head was there.
    pub first_byte: Duration,
}

/// What an attempt needs beside the request.
pub struct Sender<'a> {
    /// Index of this worker.
    pub worker: usize,
    /// Where to.
    pub forward: &'a Forward,
    /// Bounds and patience.
    pub limits: &'a HttpLimits,
    /// The client asked for a 100 before it sends its body.
    pub expects: bool,
    /// Protocols to switch to, where that is allowed.
    pub upgrade: Option<&'a str>,
}

impl Sender<'_> {
    /// Sends the request until a member answers, within the balancer's attempts.
    pub async fn send(
        &self,
        exchange: &Exchange<'_>,
        session: &Session,
        down: &mut Downstream<'_>,
        upload: &mut Upload,
        trace: &mut Trace<'_>,
    ) -> Result<Reply, ProxyError> {
        let mut tried: Vec<MemberId> = Vec::new();
        let mut last = None;
        loop {
            let attempt = Attempt {
                worker: self.worker,
                request: exchange,
                number: tried.len() as u32,
                tried: &tried,
                trial_ok: exchange.is_idempotent() && exchange.framing == Framing::None,
            };
            let asked = trace.clock();
            let selected = self.forward.selector.select(attempt, session).await;
            trace.decided(asked);
            let chosen = match selected {
                Ok(chosen) => chosen,
                Err(refused) => return Err(nobody_else(last, refused)),
            };
            trace.chose(&chosen);
            let max_attempts = chosen.in_flight.members().balancer.max_attempts;
            let broken = match self.ask(exchange, chosen, down, upload).await {
                Ok(reply) => return Ok(reply),
                Err(broken) => broken,
            };
            let Some(member) = &trace.member else {
                return Err(broken.error);
            };
            debug!(member = %member.id, error = %broken.error, "An attempt failed");
            let may_repeat = upload.can_repeat() && (!broken.sent || exchange.is_idempotent());
            let is_members = broken.failure.is_some()
                || matches!(broken.error, ProxyError::Full(_) | ProxyError::NoSocket(_));
            if !is_members || !may_repeat || tried.len() as u32 >= max_attempts {
                return Err(broken.error);
            }
            tried.push(member.id.clone());
            last = Some(broken.error);
        }
    }

    /// Asks one member. A kept connection that proves dead is replaced by a new one where repeating is
    /// safe: that says nothing about the member.
    async fn ask(
        &self,
        exchange: &Exchange<'_>,
        chosen: Chosen,
        down: &mut Downstream<'_>,
        upload: &mut Upload,
    ) -> Result<Reply, Broken> {
        let (in_flight, moved) = (chosen.in_flight, chosen.moved);
        burst::gather().await;
        let begun = moment::now();
        let mut must_be_fresh = false;
        let may_be_repeated = exchange.is_idempotent() && exchange.framing == Framing::None;
        loop {
            let connected = tokio::select! {
                biased;
                connected = self.connect(&in_flight, must_be_fresh, may_be_repeated) => {
                    connected.map_err(|error| unconnected(&error))
                }
                () = down.presence.left(down.reader.as_ref(), &NOTHING) => {
                    Err(Broken::ours(ProxyError::ClientLeft))
                }
            };
            down.presence.look_again();
            let connection = match connected {
                Ok(connection) => connection,
                Err(broken) => {
                    self.conclude(exchange, &in_flight, &broken, begun);
                    return Err(broken);
                }
            };
            let fresh = connection.fresh;
            match self
                .exchange(exchange, connection, &in_flight, down, upload)
                .await
            {
                Ok((head, connection, sent_at)) => {
                    let first_byte = moment::now() - sent_at;
                    in_flight.answered(head.status, first_byte);
                    in_flight.sent(upload.sent());
                    return Ok(Reply {
                        head,
                        connection,
                        in_flight,
                        moved,
                        sent_at,
                        first_byte,
                    });
                }
                Err(broken) => {
                    in_flight.sent(upload.sent());
                    let stale = !fresh && broken.failure == Some(Failure::Reset);
                    if stale && upload.can_repeat() && (!broken.sent || exchange.is_idempotent()) {
                        must_be_fresh = true;
                        continue;
                    }
                    self.conclude(exchange, &in_flight, &broken, begun);
                    return Err(broken);
                }
            }
        }
    }

    async fn connect(
        &self,
        in_flight: &InFlight,
        must_be_fresh: bool,
        may_be_repeated: bool,
    ) -> Result<Connection, ConnectError> {
        if !must_be_fresh && in_flight.settings().keepalive {
            return upstream::open(self.worker, in_flight, may_be_repeated).await;
        }
        let connections = in_flight.live().connections();
        let permit = connections
            .acquire_fresh(self.worker, in_flight.settings())
            .await?;
        upstream::connect(in_flight, permit).await
    }

    fn conclude(
        &self,
        exchange: &Exchange<'_>,
        in_flight: &InFlight,
        broken: &Broken,
        begun: Instant,
    ) {
        let failure = match broken.failure {
            Some(failure) => failure,
            None if broken.sent => Failure::Cancelled,
            None => return,
        };
        in_flight.failed(failure, broken.fresh);
        let at = (in_flight.members().revision, in_flight.index());
        let outcome = Outcome::unanswered(at, failure, moment::now() - begun);
        self.forward.completed(exchange, outcome);
    }

    /// Sends the request over one connection and reads the head of the final answer.
    async fn exchange(
        &self,
        exchange: &Exchange<'_>,
        mut connection: Connection,
        in_flight: &InFlight,
        down: &mut Downstream<'_>,
        upload: &mut Upload,
    ) -> Result<(ResponseHead, Connection, Instant), Broken> {
        let settings = in_flight.settings();
        let target = exchange.target_at(&self.forward.proxy, settings);
        let host = exchange.host_at(&self.forward.proxy, settings);
        // Who has begun to send, or was told to, waits for no 100 any more (RFC 9110 10.1.1).
        let mut awaiting =
            self.expects && !upload.is_received() && !upload.invited && down.buffer.is_empty();
        let line = RequestLine {
            method: exchange.method.as_str(),
            target: &target,
            host: &host,
            framing: exchange.framing,
            expect_continue: awaiting,
            upgrade: self.upgrade,
        };
        upload.begin(|out| http1::request_head(out, line, &exchange.fields));

        let fresh = connection.fresh;
        let patience = Patience {
            client: self.limits.body_timeout,
            member: settings.answer_timeout,
        };
        let bounds = Bounds {
            head_size: self.limits.head_size,
            field_count: self.limits.field_count,
        };
        let sent_at = moment::now();
        let mut interims = 0;
        // The member may have stopped reading because it has answered: listen on for that answer.
        let mut deaf = false;
        let mut answer_by = sent_at + FAR;
        let mut steps = 0;
        let continue_by = sent_at + CONTINUE;
        let (mut reader, mut writer) = connection.stream.split();
        let mut answer = Inlet::of_answer(&mut reader, &mut connection.buffer, None);
        let mut client = Inlet::new(&mut down.reader, &mut down.buffer);
        if awaiting {
            // Only the head may go yet.
            let mut nothing = tokio::io::empty();
            let mut none = bytes::BytesMut::new();
            let mut no_body = Inlet::new(&mut nothing, &mut none);
            while !deaf && !upload.is_flushed() {
                deaf = upload
                    .step(&mut no_body, &mut writer, patience)
                    .await
                    .is_err();
            }
        }
        let head = loop {
            let uploading = !upload.is_done() && !deaf;
            if !uploading && answer_by > sent_at + FAR / 2 {
                // A small request went into the socket's buffer at once: no need to look at the clock again.
                let at_once = steps == 1 && upload.sent() <= SMALL;
                let done_at = if at_once { sent_at } else { moment::now() };
                answer_by = done_at + settings.answer_timeout;
            }
            // The request goes first; only then is there an answer to look for.
            steps += 1;
            if uploading && !awaiting && upload.sent() == 0 {
                match upload.step(&mut client, &mut writer, patience).await {
                    Ok(_) => {}
                    Err(UploadError::Member) => deaf = true,
                    Err(error) => return Err(client_failed(error)),
                }
                continue;
            }
            tokio::select! {
                biased;
                read = answer.head_whenever(bounds.head_size) => {
                    let length = read.map_err(|error| unanswered(&error, upload.sent() > 0, fresh))?;
                    let head = ResponseHead::parse(&answer.buffer[..length], &exchange.method, bounds);
                    answer.buffer.advance(length);
                    let head = head.map_err(|malformed| garbled(malformed, fresh))?;
                    if !head.is_interim() {
                        break head;
                    }
                    interims += 1;
                    if interims > INTERIM {
                        return Err(garbled(Malformed::TooManyInterim, fresh));
                    }
                    if head.status != 100 || awaiting {
                        awaiting &= head.status != 100;
                        upload.invited |= head.status == 100;
                        self.pass_on(&head, exchange.version, &mut down.writer).await?;
                    }
                }
                // Made only where it is polled: `select` makes all that it is given.
                () = async { sleep_until(continue_by).await }, if awaiting => {
                    awaiting = false;
                    upload.invited = true;
                    let go_on = ResponseHead { status: 100, version: Version::Http11, fields: Fields::new(), framing: Framing::None };
                    self.pass_on(&go_on, exchange.version, &mut down.writer).await?;
                }
                step = upload.step(&mut client, &mut writer, patience), if uploading && !awaiting => match step {
                    Ok(Step::Progress | Step::Done) => {}
                    Err(UploadError::Member) => deaf = true,
                    Err(error) => return Err(client_failed(error)),
                },
                () = down.presence.left(down.writer.as_ref(), &NOTHING), if upload.is_received() => {
                    in_flight.given_up(sent_at.elapsed());
                    return Err(Broken::ours(ProxyError::ClientLeft));
                }
                () = down.alarm.at(answer_by) => {
                    return Err(unanswered(&ReadError::TimedOut, upload.sent() > 0, fresh));
                }
            }
        };
        if head.status == 101 && !tunnel::switched(&head, self.upgrade) {
            return Err(garbled(Malformed::UnaskedUpgrade, fresh));
        }
        Ok((head, connection, sent_at))
    }

    async fn pass_on(
        &self,
        head: &ResponseHead,
        version: Version,
        client: &mut tokio::net::tcp::WriteHalf<'_>,
    ) -> Result<(), Broken> {
        if version == Version::Http10 {
            return Ok(()); // RFC 9110 15.2: never to a 1.0 client
        }
        let mut fields = head.fields.clone();
        forwarded::strip_hop_by_hop(&mut fields);
        let mut out = Vec::new();
        http1::interim(&mut out, head.status, &fields);
        match timeout(self.limits.write_timeout, client.write_all(&out)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Broken::ours(ProxyError::ClientLeft)),
        }
    }
}
