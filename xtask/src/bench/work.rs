//! What is asked of every front, and whether it does it.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};

use super::front::Front;
use crate::http::Client;

const SESSION: &str = "JSESSIONID=0123456789ABCDEF0123456789ABCDEF";

/// Requests as a browser sends them, in turn: every other one with a session.
pub fn requests(front: SocketAddr) -> Vec<Vec<u8>> {
    let request = |cookie: &str| {
        format!(
            "GET /app/orders?page=2 HTTP/1.1\r\nHost: {front}\r\nUser-Agent: bench\r\n\
             Accept: application/json, text/plain, */*\r\nAccept-Encoding: gzip, deflate\r\n{cookie}\r\n"
        )
        .into_bytes()
    };
    let with = |worker: &str| request(&format!("Cookie: theme=dark; {SESSION}.{worker}\r\n"));
    vec![request(""), with("worker1"), request(""), with("worker2")]
}

/// Fails where the front's answers are not what the others' are: a fast wrong answer is worth nothing.
pub fn check(front: &Front) -> Result<()> {
    checked(front).with_context(|| format!("{} does not do the work that is measured", front.name))
}

fn checked(front: &Front) -> Result<()> {
    let mut client = Client::new(front.address);
    let mut workers = Vec::new();
    for _ in 0..4 {
        workers.push(answer(&mut client, front.address, &[])?);
    }
    for worker in ["worker1", "worker2"] {
        ensure!(
            workers.iter().any(|found| found == worker),
            "{worker} got none of 4 requests without a session"
        );
        let cookie = format!("theme=dark; {SESSION}.{worker}");
        for _ in 0..4 {
            let found = answer(&mut client, front.address, &[("Cookie", &cookie)])?;
            ensure!(found == worker, "{found} got a session of {worker}");
        }
    }
    ensure!(client.closed == 0, "it closed a kept-alive connection");
    Ok(())
}

/// The member that answered, once all else is as it must be.
fn answer(client: &mut Client, front: SocketAddr, headers: &[(&str, &str)]) -> Result<String> {
    let answer = client.get("/app/orders?page=2", headers)?;
    ensure!(
        answer.status == 201 && answer.body.len() == 200,
        "it answered {} with {} bytes",
        answer.status,
        answer.body.len()
    );
    let location = answer.header("location").unwrap_or("none");
    let mapped = [
        format!("http://{front}/app/orders/4711"),
        "/app/orders/4711".to_owned(),
    ];
    ensure!(
        mapped.iter().any(|mapped| mapped == location),
        "Location is {location}"
    );
    let cookie = answer.header("set-cookie").unwrap_or("none");
    let path = cookie
        .split(';')
        .find_map(|part| part.trim().strip_prefix("Path="));
    ensure!(
        matches!(path, Some("/app" | "/app/")),
        "Set-Cookie is {cookie}"
    );
    Ok(answer
        .header("x-worker")
        .context("no member answered")?
        .to_owned())
}
