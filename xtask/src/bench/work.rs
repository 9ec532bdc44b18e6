//! What is asked of every front, and whether it does it.

use std::{collections::BTreeSet, net::SocketAddr};

use anyhow::{Context, Result, ensure};

use super::{
    front::Front,
    switchyard::ROUTES,
    variant::{Asks, Setup, Variant},
};
use crate::http::{Answer, Client};

const SESSION: &str = "JSESSIONID=0123456789ABCDEF0123456789ABCDEF";
/// As scripts send them.
const FEW: &str = "User-Agent: bench\r\nAccept: application/json, text/plain, */*\r\nAccept-Encoding: gzip, deflate\r\n";
/// With `Host` ten, as a browser sends them; a session is one more.
const BROWSER: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Accept-Language: de,en-US;q=0.7,en;q=0.3\r\n\
    Accept-Encoding: gzip, deflate\r\n\
    Referer: http://localhost/app/orders?page=1\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    Sec-Fetch-Dest: document\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-Site: same-origin\r\n";
/// Bytes of a POST's body.
const BODY: usize = 10_000;

/// A whole request and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// As sent.
    pub bytes: Vec<u8>,
    /// The member's number that its session belongs to, from 1.
    pub session: Option<usize>,
    /// Which of the routes it takes.
    pub route: usize,
}

/// The requests of a variant, sent in turn.
pub fn requests(variant: &Variant, front: SocketAddr) -> Vec<Request> {
    let routes = match variant.asks {
        Asks::Routes => ROUTES.len(),
        _ => 1,
    };
    let mut all = Vec::new();
    for member in 1..=variant.members {
        for (route, (path, _)) in ROUTES.iter().enumerate().take(routes) {
            let sessions: &[Option<usize>] = match variant.asks {
                Asks::Sticky => &[Some(member)],
                _ => &[None, Some(member)],
            };
            all.extend(sessions.iter().map(|session| Request {
                bytes: bytes(variant.asks, front, path, *session),
                session: *session,
                route,
            }));
        }
    }
    all
}

fn bytes(asks: Asks, front: SocketAddr, route: &str, session: Option<usize>) -> Vec<u8> {
    let fields = match asks {
        Asks::Browser => BROWSER,
        _ => FEW,
    };
    let cookie = session.map_or_else(String::new, |worker| {
        format!("Cookie: theme=dark; {SESSION}.worker{worker}\r\n")
    });
    let closes = match asks {
        Asks::Fresh => "Connection: close\r\n",
        _ => "",
    };
    let (method, length, body) = match asks {
        Asks::Post => (
            "POST",
            format!("Content-Type: application/octet-stream\r\nContent-Length: {BODY}\r\n"),
            vec![b'y'; BODY],
        ),
        _ => ("GET", String::new(), Vec::new()),
    };
    let head = format!(
        "{method} /{route}/orders?page=2 HTTP/1.1\r\nHost: {front}\r\n{fields}{length}{cookie}{closes}\r\n"
    );
    [head.as_bytes(), &body].concat()
}

/// Fails where the front's answers are not what the others' are: a fast wrong answer is worth nothing.
pub fn check(front: &Front, variant: &Variant) -> Result<()> {
    checked(front, variant)
        .with_context(|| format!("{} does not do the work that is measured", front.name))
}

fn checked(front: &Front, variant: &Variant) -> Result<()> {
    let mut client = Client::new(front.address);
    let requests = requests(variant, front.address);
    let setup = front.setup.unwrap_or(Setup::Base);
    let mut served = BTreeSet::new();
    // Twice: where a rotation stands is not known.
    for request in requests.iter().chain(&requests) {
        let answer = client.send(&request.bytes)?;
        rewritten(front, setup, request, &answer, variant.answer)?;
        let found = answer.header("x-worker").context("no member answered")?;
        match request.session {
            Some(worker) if !matches!(setup, Setup::Nothing | Setup::Balancer) => ensure!(
                found == format!("worker{worker}"),
                "{found} got a session of worker{worker}"
            ),
            _ => drop(served.insert(found.to_owned())),
        }
    }
    let due = match (setup, variant.asks) {
        (Setup::Nothing, _) => 1,
        (_, Asks::Sticky) => 0,
        _ => variant.members,
    };
    ensure!(
        served.len() == due,
        "{} of {due} members got requests without a session",
        served.len()
    );
    ensure!(client.closed == 0, "it closed a kept-alive connection");
    let seen = client.get("/app/echo", &[])?.text().to_ascii_lowercase();
    for field in [
        // Envoy names its own address for clients on the same machine.
        "x-forwarded-for: ".to_owned(),
        format!("x-forwarded-host: {}", front.address),
    ] {
        ensure!(
            seen.contains(&field),
            "members do not see `{field}`:\n{seen}"
        );
    }
    Ok(())
}

/// Status, length, and the addresses that the member wrote.
fn rewritten(
    front: &Front,
    setup: Setup,
    request: &Request,
    answer: &Answer,
    length: usize,
) -> Result<()> {
    ensure!(
        answer.status == 201 && answer.body.len() == length,
        "it answered {} with {} bytes",
        answer.status,
        answer.body.len()
    );
    let location = answer.header("location").unwrap_or("none");
    let cookie = answer.header("set-cookie").unwrap_or("none");
    let path = cookie
        .split(';')
        .find_map(|part| part.trim().strip_prefix("Path="));
    if front.lacks.is_some() || matches!(setup, Setup::Nothing | Setup::Balancer) {
        ensure!(
            location.ends_with("/Test/orders/4711") && path == Some("/Test"),
            "Location is {location} and Set-Cookie {cookie}, though nothing is to be rewritten"
        );
        return Ok(());
    }
    let route = ROUTES[request.route].0;
    let mapped = [
        format!("http://{}/{route}/orders/4711", front.address),
        format!("/{route}/orders/4711"),
    ];
    ensure!(
        mapped.iter().any(|mapped| mapped == location),
        "Location is {location}"
    );
    ensure!(
        path.is_some_and(|path| path.trim_end_matches('/') == format!("/{route}")),
        "Set-Cookie is {cookie}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::variant::VARIANTS;

    fn of(asks: Asks) -> Vec<Request> {
        let variant = VARIANTS
            .iter()
            .find(|variant| variant.asks == asks)
            .unwrap();
        requests(variant, SocketAddr::from(([127, 0, 0, 1], 80)))
    }

    #[test]
    fn half_of_the_requests_have_a_session() {
        for asks in [
            Asks::Mixed,
            Asks::Fresh,
            Asks::Browser,
            Asks::Post,
            Asks::Routes,
        ] {
            let requests = of(asks);
            let sessions = requests.iter().filter(|one| one.session.is_some()).count();
            assert_eq!(2 * sessions, requests.len(), "{asks:?}");
        }
        assert!(of(Asks::Sticky).iter().all(|one| one.session.is_some()));
    }

    #[test]
    fn a_browser_sends_ten_headers_and_a_post_its_body() {
        let first = &of(Asks::Browser)[0];
        let head = String::from_utf8(first.bytes.clone()).unwrap();
        assert_eq!(head.trim_end().lines().count(), 1 + 10);
        let post = &of(Asks::Post)[0].bytes;
        assert!(post.ends_with(&[b'y'; BODY]) && post.starts_with(b"POST /app/"));
    }
}
