//! What a step sends, and who.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use super::{
    compile::{REQUESTS, VHOST, each},
    exchange::head_of,
    recorded::{self, Recorded},
    scenario::{Ask, Clients, Traffic},
    source::StepTable,
};
use crate::{
    config::{
        problems::Problems,
        read::{Named, Node},
        source::OneOrMany,
    },
    http1::{is_legal_value, is_token},
};

/// Clients that keep cookies.
const SESSIONS: u32 = 100_000;

/// The requests of a step of the scenario in `file`.
pub(super) fn traffic(table: &StepTable, file: &Path, out: &mut Problems) -> Traffic {
    let text = |node: &Option<Node<String>>, default: &str| {
        node.as_ref()
            .map_or_else(|| default.to_owned(), |n| n.value.clone())
    };
    let client = table.client.as_ref().and_then(|node| {
        let address = node.value.parse().ok();
        if address.is_none() {
            let message = format!("{:?} is no address", node.value);
            out.error(&node.place, message, "write one such as \"192.0.2.1\"");
        }
        address
    });
    let headers = lines(table.headers.as_ref(), out);
    let mut cookies = Vec::new();
    for (name, node) in table.cookies.iter().flat_map(|n| &n.value.0) {
        let legal = |c: char| c.is_ascii_graphic() && !";,\"\\".contains(c);
        if !is_token(name.as_bytes()) || !node.value.chars().all(legal) {
            let remedy = "use a token, and a value without blanks, ; and ,";
            out.error(&node.place, "no cookie that a client would send", remedy);
        }
        cookies.push((name.clone(), node.value.clone()));
    }
    let ask = Ask {
        method: text(&table.method, "GET"),
        path: text(&table.path, "/"),
        host: text(&table.host, VHOST),
        headers,
        cookies,
        // For documentation (RFC 5737).
        client: client.unwrap_or_else(|| [192, 0, 2, 1].into()),
    };
    if let Err(why) = head_of(&ask, &BTreeMap::new()) {
        let place = [&table.path, &table.method, &table.host]
            .into_iter()
            .flatten()
            .next();
        let place = place.map_or_else(Default::default, |n| n.place.clone());
        out.error(
            &place,
            format!("no client can ask this: {why}"),
            "correct method, path, host or headers",
        );
    }
    Traffic {
        requests: table.requests.as_ref().map_or(0, |n| n.value),
        every: table.every.as_ref().map(|n| n.value.0).unwrap_or_default(),
        recorded: recorded(table, file, out),
        ask: Arc::new(ask),
        clients: clients(table, out),
    }
}

fn recorded(table: &StepTable, file: &Path, out: &mut Problems) -> Vec<Recorded> {
    let Some(log) = &table.log else {
        return Vec::new();
    };
    for also in [&table.requests, &table.sessions].into_iter().flatten() {
        let message = "a log says itself who sends how many requests";
        out.error(
            &also.place,
            message,
            "leave it out, or write it in another step",
        );
    }
    let beside = file.parent().unwrap_or(Path::new(""));
    let requests = match recorded::read(&beside.join(&log.value)) {
        Ok(requests) => requests,
        Err(why) => {
            let remedy = "name an access log in the common or combined format";
            out.error(&log.place, why, remedy);
            return Vec::new();
        }
    };
    if requests.is_empty() || requests.len() as u64 > REQUESTS {
        let message = format!("the log has {} requests", requests.len());
        out.error(&log.place, message, format!("use one with 1 to {REQUESTS}"));
    }
    requests
}

fn clients(table: &StepTable, out: &mut Problems) -> Clients {
    match (&table.session, &table.sessions) {
        (Some(_), Some(node)) => {
            let remedy = "remove one of the two";
            out.error(&node.place, "session and sessions cannot both be", remedy);
            Clients::Strangers
        }
        (Some(one), None) => Clients::One(one.value.as_str().into()),
        (None, Some(node)) => {
            if !(1..=SESSIONS).contains(&node.value) {
                let message = format!("{} sessions cannot take turns", node.value);
                out.error(&node.place, message, format!("use 1 to {SESSIONS}"));
            }
            Clients::Turns(node.value.max(1))
        }
        (None, None) => Clients::Strangers,
    }
}

/// Field lines in order, names and values checked.
pub(super) fn lines(
    table: Option<&Node<Named<OneOrMany<String>>>>,
    out: &mut Problems,
) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    for (name, node) in table.iter().flat_map(|n| &n.value.0) {
        if !is_token(name.as_bytes()) {
            let remedy = "use letters, digits and -";
            out.error(&node.place, format!("{name:?} is no field name"), remedy);
        }
        for value in each(Some(node)) {
            if !is_legal_value(value.value.as_bytes()) {
                let remedy = "leave control characters out";
                out.error(&value.place, "no value that a field can have", remedy);
            }
            lines.push((name.to_ascii_lowercase(), value.value));
        }
    }
    lines
}
