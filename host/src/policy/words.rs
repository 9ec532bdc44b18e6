//! Decisions in words, for people.

use std::fmt::Write;

use crate::decision::{BodyPlan, Edit, Hold, Pin, RequestPlan, ResponsePlan};

/// Bytes of a value that are shown.
const SHOWN: usize = 80;

/// A decision that can be told in a few words.
pub trait InWords {
    /// In which nothing is that a terminal would obey.
    fn in_words(&self) -> String;
}

impl InWords for Option<Hold> {
    fn in_words(&self) -> String {
        let Some(hold) = self else {
            return "no session".to_owned();
        };
        let pin = match &hold.pin {
            Pin::Route(route) => format!("route {}", plain(route)),
            Pin::Member(id) => format!("member {}", plain(id)),
            Pin::Key(key) => format!("key {key:#018x}"),
        };
        format!("{pin}{}", if hold.strict { ", strict" } else { "" })
    }
}

impl InWords for RequestPlan {
    fn in_words(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.path.iter().map(|path| format!("path {}", plain(path))));
        parts.extend(
            self.authority
                .iter()
                .map(|to| format!("host {}", plain(to))),
        );
        parts.extend((!self.headers.is_empty()).then(|| self.headers.in_words()));
        or_nothing(parts)
    }
}

impl InWords for ResponsePlan {
    fn in_words(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.status.iter().map(|status| format!("status {status}")));
        parts.extend((!self.headers.is_empty()).then(|| self.headers.in_words()));
        match &self.body {
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
}

impl InWords for Vec<Edit> {
    fn in_words(&self) -> String {
        let one = |edit: &Edit| match edit {
            Edit::Set(name, value) => format!("{}: {}", plain(name), bytes(value)),
            Edit::Append(name, value) => format!("+{}: {}", plain(name), bytes(value)),
            Edit::Remove(name) => format!("-{}", plain(name)),
            Edit::ReplaceLine(name, index, value) => {
                format!("{}[{index}]: {}", plain(name), bytes(value))
            }
            Edit::RemoveLine(name, index) => format!("-{}[{index}]", plain(name)),
        };
        or_nothing(self.iter().map(one).collect())
    }
}

fn or_nothing(parts: Vec<String>) -> String {
    match parts.is_empty() {
        true => "nothing".to_owned(),
        false => parts.join("; "),
    }
}

fn bytes(value: &[u8]) -> String {
    plain(&String::from_utf8_lossy(value))
}

/// Cut, and with nothing in it that a terminal would obey.
pub fn plain(text: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::{LinkPlan, Substitution};

    #[test]
    fn decisions_are_told_without_what_a_programmer_would_write() {
        let hold = |pin, strict| Some(Hold { pin, strict });
        let value = || b"on\x1b[1m".to_vec();
        let edits = vec![
            Edit::Set("x-a".into(), value()),
            Edit::Append("x-b".into(), b"2".to_vec()),
            Edit::Remove("x-c".into()),
            Edit::ReplaceLine("x-d".into(), 1, b"3".to_vec()),
            Edit::RemoveLine("x-e".into(), 2),
        ];
        let all: [(&dyn InWords, &str); 9] = [
            (&None::<Hold>, "no session"),
            (&hold(Pin::Route("w1".into()), false), "route w1"),
            (
                &hold(Pin::Member("http://a:1".into()), true),
                "member http://a:1, strict",
            ),
            (&hold(Pin::Key(255), false), "key 0x00000000000000ff"),
            (
                &edits,
                "x-a: on\\u{1b}[1m; +x-b: 2; -x-c; x-d[1]: 3; -x-e[2]",
            ),
            (&Vec::<Edit>::new(), "nothing"),
            (
                &RequestPlan {
                    path: Some("/new".into()),
                    authority: Some("b.example".into()),
                    headers: vec![Edit::Remove("x-c".into())],
                },
                "path /new; host b.example; -x-c",
            ),
            (
                &ResponsePlan {
                    status: Some(404),
                    body: BodyPlan::Links(LinkPlan {
                        urls: vec![Substitution {
                            from: value(),
                            to: value(),
                        }],
                        events: true,
                    }),
                    ..ResponsePlan::default()
                },
                "status 404; 1 link prefixes and events",
            ),
            (&ResponsePlan::default(), "nothing"),
        ];
        for (decision, words) in all {
            assert_eq!(decision.in_words(), words);
        }
        let long = plain(&"é".repeat(100));
        assert!(long.ends_with("é…") && long.len() < 90, "{long}");
    }
}
