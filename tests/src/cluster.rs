//! Members that behave like a Tomcat cluster.
//!
//! Sessions are replicated between the members and named `<hex>.<route>`; redirects
//! and links point to a member's own address, as Tomcat's do.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use crate::{
    exchange::{After, Exchange},
    member::Member,
    scripts::reply,
};

/// `n` members: `worker1`, `worker2`, …
#[derive(Debug)]
pub struct Cluster {
    /// In order.
    pub members: Vec<Member>,
}

type Sessions = Arc<Mutex<HashMap<String, u32>>>;

impl Cluster {
    /// Starts them.
    pub fn start(n: usize) -> Self {
        let sessions = Sessions::default();
        let members = (1..=n)
            .map(|i| Member::start(&format!("worker{i}"), tomcat(Arc::clone(&sessions))))
            .collect();
        Self { members }
    }

    /// The member with this name.
    #[track_caller]
    pub fn member(&self, name: &str) -> &Member {
        self.members
            .iter()
            .find(|m| m.name() == name)
            .expect("a member of that name")
    }

    /// The member with this name, to stop and start it.
    #[track_caller]
    pub fn member_mut(&mut self, name: &str) -> &mut Member {
        self.members
            .iter_mut()
            .find(|m| m.name() == name)
            .expect("a member of that name")
    }

    /// `members = […]` of a balancer, each below `base` and with `more` keys.
    pub fn toml(&self, base: &str, more: &str) -> String {
        let line = |m: &Member| {
            let comma = if more.is_empty() { "" } else { ", " };
            format!(
                "  {{ url = \"{}{base}\", route = \"{}\"{comma}{more} }},\n",
                m.url(),
                m.name()
            )
        };
        format!(
            "members = [\n{}]\n",
            self.members.iter().map(line).collect::<String>()
        )
    }
}

fn tomcat(sessions: Sessions) -> impl Fn(&mut Exchange<'_>) -> After + Send + Sync + 'static {
    move |exchange| {
        if exchange.read_body().is_err() {
            return After::Close;
        }
        let name = exchange.member.name.clone();
        let own = format!("http://{}", exchange.member.addr);
        let base = exchange
            .path()
            .split('/')
            .nth(1)
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default()
            .to_owned();
        let page = exchange
            .path()
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default()
            .to_owned();
        let worker = ("X-Worker", name.as_str());
        let bytes = match page.as_str() {
            "redirect" => reply(
                "302 Found",
                &[
                    worker,
                    ("Location", &format!("{own}/{base}/next?from={name}")),
                ],
                "",
            ),
            "links" => {
                let html = format!(
                    "<!DOCTYPE html><html><head><link href=\"{own}/{base}/style.css\"></head>\
                     <body><a href=\"{own}/{base}/next\">next</a><img src=\"/{base}/logo.png\">\
                     <a href=\"http://elsewhere.example/{base}/\">elsewhere</a></body></html>"
                );
                reply(
                    "200 OK",
                    &[worker, ("Content-Type", "text/html; charset=utf-8")],
                    html,
                )
            }
            "session" => session(exchange, &sessions, &base),
            _ => reply(
                "200 OK",
                &[worker, ("Content-Type", "text/plain")],
                format!("worker={name} target={}", exchange.target()),
            ),
        };
        if exchange.send(bytes) {
            After::Keep
        } else {
            After::Close
        }
    }
}

fn session(exchange: &Exchange<'_>, sessions: &Sessions, base: &str) -> Vec<u8> {
    let name = &exchange.member.name;
    let cookies = exchange.head.field("cookie").unwrap_or_default();
    let sent = cookies
        .split(';')
        .find_map(|c| c.trim().strip_prefix("JSESSIONID="));
    let hex = sent.map(|id| id.split('.').next().unwrap_or_default().to_owned());
    let mut sessions = sessions.lock().unwrap();
    let known = hex.filter(|hex| sessions.contains_key(hex));
    let hex = known.clone().unwrap_or_else(|| {
        format!(
            "{:032X}",
            (sessions.len() as u128 + 1) * 0x9E37_79B9_7F4A_7C15
        )
    });
    let count = sessions.entry(hex.clone()).or_insert(0);
    *count += 1;
    let body = format!("worker={name} session={hex} count={count}");
    // As Tomcat's failover valve does, a member that takes over a session writes its own route into the cookie.
    let id = format!("{hex}.{name}");
    let mut fields = vec![("X-Worker", name.as_str()), ("Content-Type", "text/plain")];
    let cookie = format!("JSESSIONID={id}; Path=/{base}; HttpOnly");
    if known.is_none() || sent != Some(&id) {
        fields.push(("Set-Cookie", &cookie));
    }
    reply("200 OK", &fields, body)
}
