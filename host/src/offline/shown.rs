//! Decisions in words.

use std::fmt::Write;

use crate::{
    decision::{BodyPlan, Edit, Member, Pin, RequestPlan, ResponsePlan, Verdict},
    recording::{Answer, Call, Function, Value},
};

/// Bytes of a value that are shown.
const SHOWN: usize = 80;

/// The answer in a few words.
pub(super) fn answer(answer: &Answer, members: &[Member]) -> String {
    match answer {
        Answer::Done => "done".to_owned(),
        Answer::Initialised(Ok(())) => "initialised".to_owned(),
        Answer::Initialised(Err(problems)) => {
            let first = problems.first().map_or("", |problem| &problem.message);
            format!("refuses the configuration: {}", text(first))
        }
        Answer::Verdict(Verdict::Member(index)) => match members.get(*index as usize) {
            Some(member) => format!("member {index} ({})", text(&member.id)),
            None => format!("member {index}"),
        },
        Answer::Verdict(Verdict::Abstain) => "abstain".to_owned(),
        Answer::Verdict(Verdict::Shed) => "shed".to_owned(),
        Answer::Hold(None) => "no session".to_owned(),
        Answer::Hold(Some(hold)) => {
            let pin = match &hold.pin {
                Pin::Route(route) => format!("route {}", text(route)),
                Pin::Member(id) => format!("member {}", text(id)),
                Pin::Key(key) => format!("key {key:#018x}"),
            };
            format!("{pin}{}", if hold.strict { ", strict" } else { "" })
        }
        Answer::Edits(list) => edits(list),
        Answer::Request(plan) => request(plan),
        Answer::Response(plan) => response(plan),
        Answer::State(state) => format!("{} bytes of state", state.len()),
        Answer::Restored(Ok(())) => "restored".to_owned(),
        Answer::Restored(Err(why)) => format!("starts cold: {}", text(why)),
        Answer::Fault { text: what, .. } => text(what.lines().next().unwrap_or_default()),
    }
}

fn request(plan: &RequestPlan) -> String {
    let mut parts = Vec::new();
    parts.extend(plan.path.iter().map(|path| format!("path {}", text(path))));
    parts.extend(plan.authority.iter().map(|to| format!("host {}", text(to))));
    parts.extend((!plan.headers.is_empty()).then(|| edits(&plan.headers)));
    or_nothing(parts)
}

fn response(plan: &ResponsePlan) -> String {
    let mut parts = Vec::new();
    parts.extend(plan.status.iter().map(|status| format!("status {status}")));
    parts.extend((!plan.headers.is_empty()).then(|| edits(&plan.headers)));
    match &plan.body {
        BodyPlan::Pass => {}
        BodyPlan::Substitute(list) => parts.push(format!("{} substitutions", list.len())),
        BodyPlan::Links(links) => {
            let events = if links.events { " and events" } else { "" };
            parts.push(format!("{} link prefixes{events}", links.urls.len()));
        }
        BodyPlan::Transform(seed) => parts.push(format!("body through {}", bytes(seed))),
    }
    or_nothing(parts)
}

fn edits(list: &[Edit]) -> String {
    let one = |edit: &Edit| match edit {
        Edit::Set(name, value) => format!("{}: {}", text(name), bytes(value)),
        Edit::Append(name, value) => format!("+{}: {}", text(name), bytes(value)),
        Edit::Remove(name) => format!("-{}", text(name)),
        Edit::ReplaceLine(name, index, value) => {
            format!("{}[{index}]: {}", text(name), bytes(value))
        }
        Edit::RemoveLine(name, index) => format!("-{}[{index}]", text(name)),
    };
    or_nothing(list.iter().map(one).collect())
}

fn or_nothing(parts: Vec<String>) -> String {
    match parts.is_empty() {
        true => "nothing".to_owned(),
        false => parts.join("; "),
    }
}

fn bytes(value: &[u8]) -> String {
    text(&String::from_utf8_lossy(value))
}

/// Cut, and with nothing in it that a terminal would obey.
pub(super) fn text(text: &str) -> String {
    let cut = &text[..text.floor_char_boundary(SHOWN)];
    let mut out = String::with_capacity(cut.len());
    for letter in cut.chars() {
        let plain = !letter.is_control()
            && !matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        // Writing to a string cannot fail.
        let _ = match plain {
            true => write!(out, "{letter}"),
            false => write!(out, "{}", letter.escape_default()),
        };
    }
    if cut.len() < text.len() {
        out.push('…');
    }
    out
}

/// Method and path, as far as the call read them.
pub(super) fn request_line(call: &Call) -> Option<String> {
    let read = |function: Function| {
        let read = call.reads.iter().find(|read| read.function == function)?;
        match &read.result {
            Value::Text(found) => Some(text(found)),
            _ => None,
        }
    };
    let path = read(Function::Path).or_else(|| read(Function::OriginalPath));
    match (read(Function::Method), path) {
        (None, None) => None,
        (method, path) => Some(format!(
            "{} {}",
            method.as_deref().unwrap_or("?"),
            path.as_deref().unwrap_or("?")
        )),
    }
}
