//! Replaces values that an operator wants in no file.
//!
//! A value becomes `~` and 64 bits of a hash under a key that is never written, so equal values
//! stay equal and nobody can try candidates. The suffix of a session (`.worker1`) says
//! which member it belongs to and no more; it stays, or no affinity could be replayed.

use std::hash::{BuildHasher, RandomState};

use super::{Answer, Function, Read, Value, call::in_text};

/// Bytes of a suffix that is taken for a route. Longer ones may be a signature.
const ROUTE: usize = 24;

/// A shorter value may stand anywhere by chance, so it is replaced only where it is the whole.
const RECOGNISABLE: usize = 4;

/// Which values of one policy's recording are replaced, and by what.
#[derive(Debug)]
pub(super) struct Redactor {
    /// Lower case.
    names: Vec<String>,
    key: RandomState,
}

/// Values of one call and what stands for them.
type Replaced = Vec<(Vec<u8>, Vec<u8>)>;

impl Redactor {
    /// For headers, cookies and parameters of these names.
    pub(super) fn new(names: &[String]) -> Self {
        Self {
            names: names.iter().map(|name| name.to_ascii_lowercase()).collect(),
            key: RandomState::new(),
        }
    }

    /// Whether anything is replaced at all.
    pub(super) fn is_idle(&self) -> bool {
        self.names.is_empty()
    }

    fn lists(&self, name: &[u8]) -> bool {
        self.names
            .iter()
            .any(|listed| listed.as_bytes().eq_ignore_ascii_case(name))
    }

    /// Replaces what is listed in all that a call read, and wherever else in the call it returns.
    pub(super) fn call(&self, reads: &mut [Read], answer: &mut Answer) {
        let mut replaced = Replaced::new();
        for read in &mut *reads {
            let before = replaced.len();
            let name = match read.arguments.first() {
                Some(Value::Text(name)) => name.clone().into_bytes(),
                _ => Vec::new(),
            };
            let function = read.function;
            each_text(&mut read.result, &mut |value| {
                self.value(function, &name, value, &mut replaced);
            });
            read.redacted = replaced.len() > before;
        }
        if replaced.is_empty() {
            return;
        }
        // The longest first: one may be part of another.
        replaced.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        let mut again = |text: &mut Vec<u8>| substitute(text, &replaced);
        for read in reads {
            let result = read.result.clone();
            each_text(&mut read.result, &mut again);
            read.redacted |= read.result != result;
            for argument in &mut read.arguments {
                each_text(argument, &mut again);
            }
        }
        answer.each_text(&mut again);
    }

    fn value(&self, function: Function, name: &[u8], value: &mut Vec<u8>, out: &mut Replaced) {
        use Function::{
            Attribute, Cookie, Cookies, PathParameter, Query, RequestHeader, RequestHeaders,
            ResponseHeader, ResponseHeaders,
        };
        match function {
            RequestHeader | RequestHeaders | ResponseHeader | ResponseHeaders => {
                if name.eq_ignore_ascii_case(b"cookie") {
                    self.pairs(value, usize::MAX, self.lists(name), out);
                } else if name.eq_ignore_ascii_case(b"set-cookie") {
                    self.pairs(value, 1, self.lists(name), out);
                } else if self.lists(name) {
                    *value = self.replace(value, false, out);
                } else {
                    self.parameters(value, out);
                }
            }
            Cookie | Cookies if self.lists(b"cookie") || self.lists(name) => {
                *value = self.replace(value, true, out);
            }
            Query | PathParameter | Attribute if self.lists(name) => {
                *value = self.replace(value, true, out);
            }
            _ => self.parameters(value, out),
        }
    }

    fn replace(&self, value: &[u8], session: bool, out: &mut Replaced) -> Vec<u8> {
        let route = if session { route(value) } else { &[] };
        let secret = value
            .get(..value.len() - route.len())
            .unwrap_or(value)
            .to_vec();
        if secret.is_empty() {
            return value.to_vec();
        }
        let stand_in = format!("~{:016x}", self.key.hash_one(&secret)).into_bytes();
        let whole = [&stand_in, route].concat();
        out.push((secret, stand_in));
        whole
    }

    /// `name=value; name=value`: the first `most` pairs; what follows are a cookie's attributes.
    fn pairs(&self, value: &mut Vec<u8>, most: usize, all: bool, out: &mut Replaced) {
        let mut whole = Vec::with_capacity(value.len());
        for (at, part) in value.split(|byte| *byte == b';').enumerate() {
            if at > 0 {
                whole.push(b';');
            }
            let split = part.iter().position(|byte| *byte == b'=');
            match split.and_then(|split| part.split_at_checked(split + 1)) {
                Some((name, content)) if at < most && (all || self.lists(bare(name))) => {
                    whole.extend_from_slice(name);
                    whole.extend_from_slice(&self.replace(content, true, out));
                }
                _ => whole.extend_from_slice(part),
            }
        }
        *value = whole;
    }

    /// `;name=value`, `?name=value` and `&name=value` within a URL.
    fn parameters(&self, value: &mut Vec<u8>, out: &mut Replaced) {
        if !value.contains(&b'=') {
            return;
        }
        let is_start = |byte: &u8| matches!(byte, b';' | b'?' | b'&');
        let is_end = |byte: &u8| matches!(byte, b';' | b'?' | b'&' | b'/' | b'#');
        let mut whole = Vec::with_capacity(value.len());
        let mut rest = value.as_slice();
        while let Some(start) = rest.iter().position(is_start) {
            let (before, after) = rest.split_at(start + 1);
            whole.extend_from_slice(before);
            rest = after;
            let end = rest.iter().position(is_end);
            let (parameter, after) = rest.split_at(end.unwrap_or(rest.len()));
            let split = parameter.iter().position(|byte| *byte == b'=');
            if let Some((name, content)) = split.and_then(|at| parameter.split_at_checked(at + 1))
                && self.lists(bare(name))
            {
                whole.extend_from_slice(name);
                whole.extend_from_slice(&self.replace(content, true, out));
                rest = after;
            }
        }
        whole.extend_from_slice(rest);
        *value = whole;
    }
}

/// A name without the `=` that ends it.
fn bare(name: &[u8]) -> &[u8] {
    name.strip_suffix(b"=").unwrap_or(name).trim_ascii()
}

/// `.worker1` of `A1B2.worker1`; empty where there is none. Where there are more dots it is a token and not a session.
fn route(value: &[u8]) -> &[u8] {
    let mut dots = value
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'.')
        .map(|(at, _)| at);
    let (Some(dot), None) = (dots.next(), dots.next()) else {
        return &[];
    };
    let suffix = value.get(dot..).unwrap_or_default();
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_route = (2..=ROUTE + 1).contains(&suffix.len()) && suffix.iter().skip(1).all(word);
    if is_route { suffix } else { &[] }
}

fn each_text(value: &mut Value, change: &mut dyn FnMut(&mut Vec<u8>)) {
    match value {
        Value::Text(text) => in_text(text, change),
        Value::Bytes(bytes) => change(bytes),
        Value::Lines(lines) => lines.iter_mut().for_each(change),
        Value::Texts(texts) => texts.iter_mut().for_each(|text| in_text(text, change)),
        Value::Nothing
        | Value::Absent
        | Value::Flag(_)
        | Value::Number(_)
        | Value::Signed(_)
        | Value::Numbers(_)
        | Value::SignedNumbers(_) => {}
    }
}

fn substitute(text: &mut Vec<u8>, replaced: &Replaced) {
    for (secret, stand_in) in replaced {
        if text == secret {
            text.clone_from(stand_in);
        } else if secret.len() >= RECOGNISABLE && memchr::memmem::find(text, secret).is_some() {
            let mut whole = Vec::with_capacity(text.len());
            let mut rest = text.as_slice();
            while let Some(at) = memchr::memmem::find(rest, secret) {
                let (before, after) = rest.split_at(at);
                whole.extend_from_slice(before);
                whole.extend_from_slice(stand_in);
                rest = after.get(secret.len()..).unwrap_or_default();
            }
            whole.extend_from_slice(rest);
            *text = whole;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::{Hold, Pin};

    fn read(function: Function, name: &str, result: Value) -> Read {
        Read {
            function,
            arguments: vec![name.into()],
            result,
            redacted: false,
        }
    }

    fn bytes(value: &str) -> Value {
        Value::Bytes(value.into())
    }

    fn text_of(value: &Value) -> String {
        match value {
            Value::Bytes(bytes) => String::from_utf8(bytes.clone()).unwrap(),
            Value::Text(text) => text.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// What stands for `value` read by `function`, under `names`.
    fn redacted(names: &[&str], function: Function, name: &str, value: &str) -> String {
        let redactor = Redactor::new(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
        let mut reads = [read(function, name, bytes(value))];
        redactor.call(&mut reads, &mut Answer::Done);
        text_of(&reads[0].result)
    }

    #[test]
    fn listed_values_go_and_what_is_around_them_stays() {
        use Function::{Cookie, OriginalPath, RequestHeader, ResponseHeader};
        for (names, function, name, value, kept) in [
            (
                &["cookie"][..],
                Cookie,
                "JSESSIONID",
                "SECRET.worker1",
                ".worker1",
            ),
            (
                &["jsessionid"],
                Cookie,
                "JSESSIONID",
                "SECRET.worker1",
                ".worker1",
            ),
            (&["cookie"], Cookie, "jwt", "SECRET.SECRET.SECRET", ""),
            (
                &["cookie"],
                Cookie,
                "signed",
                "SECRET.SECRETSECRETSECRETSECRETSECRET",
                "",
            ),
            (
                &["authorization"],
                RequestHeader,
                "authorization",
                "Basic SECRET",
                "",
            ),
            (
                &["cookie"],
                RequestHeader,
                "cookie",
                "a=SECRET; b=SECRET",
                "b=",
            ),
            (
                &["b"],
                RequestHeader,
                "cookie",
                "a=1; b=SECRET.w1",
                "a=1; b=",
            ),
            (
                &["set-cookie"],
                ResponseHeader,
                "set-cookie",
                "S=SECRET.w1; Path=/app",
                ".w1; Path=/app",
            ),
            (
                &["jsessionid"],
                OriginalPath,
                "",
                "/app;jsessionid=SECRET.w1/x?q=1",
                ".w1/x?q=1",
            ),
            (
                &["token"],
                OriginalPath,
                "",
                "/app?a=1&token=SECRET&b=2",
                "&b=2",
            ),
            (
                &["jsessionid"],
                ResponseHeader,
                "location",
                "http://h/app;jsessionid=SECRET.w1",
                ".w1",
            ),
        ] {
            let got = redacted(names, function, name, value);
            assert!(!got.contains("SECRET"), "{name} {value}: {got}");
            assert!(
                got.contains('~') && got.contains(kept),
                "{name} {value}: {got}"
            );
        }
    }

    #[test]
    fn what_is_not_listed_is_as_it_was() {
        for (function, name, value) in [
            (Function::Cookie, "other", "A.worker1"),
            (Function::RequestHeader, "x-session", "abc"),
            (Function::RequestHeader, "cookie", "a=1;; b; =c"),
            (Function::OriginalPath, "", "/app;x=1?y=2&z"),
        ] {
            assert_eq!(redacted(&["jsessionid"], function, name, value), value);
        }
    }

    #[test]
    fn equal_values_stay_equal_and_the_answer_follows() {
        let redactor = Redactor::new(&["cookie".to_owned()]);
        let cookie = |value| read(Function::Cookie, "S", bytes(value));
        let mut reads = [
            read(Function::Path, "", Value::Text("/x/SECRET/y".into())),
            cookie("SECRET.w1"),
            cookie("SECRET.w2"),
            cookie("OTHERS"),
        ];
        let mut answer = Answer::Hold(Some(Hold {
            pin: Pin::Member("SECRET".into()),
            strict: true,
        }));
        redactor.call(&mut reads, &mut answer);
        let stand_in = text_of(&reads[1].result);
        let stand_in = stand_in.strip_suffix(".w1").unwrap();
        assert_eq!(text_of(&reads[2].result), format!("{stand_in}.w2"));
        assert_eq!(text_of(&reads[0].result), format!("/x/{stand_in}/y"));
        assert!(reads.iter().all(|read| read.redacted));
        assert_ne!(text_of(&reads[3].result), stand_in);
        assert!(
            matches!(answer, Answer::Hold(Some(Hold { pin: Pin::Member(id), .. })) if id == stand_in)
        );
    }
}
