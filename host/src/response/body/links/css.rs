//! Links in CSS: `url()`, `src()`, `@import` strings and the strings of `image-set()`.
//!
//! A tokenizer that takes one byte at a time, so that chunks may end anywhere, and
//! knows as much of CSS Syntax level 3 as it takes to tell a URL from all else:
//! comments, strings, escapes, function names. Only the first bytes of a URL are
//! held back, as many as the longest prefix needs.

use std::sync::Arc;

use super::super::charset::Charset;
use super::super::splice::{Edit, Splicer};
use super::prefixes::Links;

/// Bytes beyond which a URL's beginning is not waited for: escaped line ends may stand between its
/// characters without end.
const CAPTURE_LIMIT: usize = 64 * 1024;

/// Longer names than `-webkit-image-set` are of no interest.
const NAME_LIMIT: usize = 20;

/// A stylesheet as a response's body.
pub(in super::super) struct CssBody(Css);

impl CssBody {
    pub(in super::super) fn new(links: Arc<Links>, charset: Charset) -> Self {
        Self(Css::new(links, charset))
    }

    pub(in super::super) fn scan(&mut self, bytes: &[u8], out: &mut Splicer, last: bool) {
        let base = out.end();
        self.0.scan(bytes, base, &mut |edit| out.edit(edit));
        if last {
            self.0.end(&mut |edit| out.edit(edit));
        }
        out.push(bytes);
        out.hold(self.0.hold());
    }
}

/// The tokenizer.
pub(super) struct Css {
    links: Arc<Links>,
    charset: Charset,
    state: State,
    escape: Option<Escape>,
    /// The first half of a two-byte character: its offset.
    lead: Option<usize>,
    name: Vec<u8>,
    /// `@import` awaits its string.
    importing: bool,
    /// Open parentheses since `image-set(`, itself included.
    image_set: usize,
    capture: Option<Capture>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between tokens or in a name.
    Normal,
    /// After a `/`.
    Slash,
    Comment,
    /// In a comment, after a `*`.
    CommentStar,
    Quoted {
        quote: u8,
    },
    /// Behind `url(`, before anything but white space.
    UrlStart,
    /// In a `url()` without quotes.
    Url,
    /// Behind the URL, before the closing parenthesis.
    UrlEnd,
}

struct Escape {
    start: usize,
    value: u32,
    digits: usize,
}

/// The beginning of a URL: its bytes and, for each, where it ends in the document.
struct Capture {
    start: usize,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// One character, or an escape that stands for one.
#[derive(Clone, Copy)]
struct Unit {
    /// Characters beyond ASCII are 0xFF where they came escaped.
    byte: u8,
    escaped: bool,
    start: usize,
    end: usize,
}

type Emit<'a> = &'a mut dyn FnMut(Edit);

impl Css {
    pub(super) fn new(links: Arc<Links>, charset: Charset) -> Self {
        Self {
            links,
            charset,
            state: State::Normal,
            escape: None,
            lead: None,
            name: Vec::new(),
            importing: false,
            image_set: 0,
            capture: None,
        }
    }

    /// Looks at the bytes that start at the absolute offset `base`.
    pub(super) fn scan(&mut self, bytes: &[u8], base: usize, emit: Emit<'_>) {
        for (index, byte) in bytes.iter().enumerate() {
            self.byte(*byte, base + index, emit);
        }
    }

    /// No more bytes: what is open is closed, and the tokenizer is as new.
    pub(super) fn end(&mut self, emit: Emit<'_>) {
        self.decide(emit);
        *self = Self::new(Arc::clone(&self.links), self.charset);
    }

    /// The absolute offset from which bytes must be kept.
    pub(super) fn hold(&self) -> Option<usize> {
        let capture = self.capture.as_ref().map(|capture| capture.start);
        capture
            .or(self.escape.as_ref().map(|escape| escape.start))
            .or(self.lead)
    }

    fn byte(&mut self, byte: u8, at: usize, emit: Emit<'_>) {
        if let Some(start) = self.lead.take() {
            return self.unit(
                Unit {
                    byte: 0xff,
                    escaped: true,
                    start,
                    end: at + 1,
                },
                emit,
            );
        }
        if let Some(mut escape) = self.escape.take() {
            match char::from(byte).to_digit(16) {
                Some(digit) if escape.digits < 6 => {
                    escape.value = escape.value * 16 + digit;
                    escape.digits += 1;
                    self.escape = Some(escape);
                    return;
                }
                _ if escape.digits > 0 => {
                    let value = u8::try_from(escape.value)
                        .ok()
                        .filter(u8::is_ascii)
                        .unwrap_or(0xff);
                    let space = byte.is_ascii_whitespace();
                    let end = at + usize::from(space);
                    self.unit(
                        Unit {
                            byte: value,
                            escaped: true,
                            start: escape.start,
                            end,
                        },
                        emit,
                    );
                    if space {
                        return;
                    }
                }
                // In a string an escaped line end is nothing at all.
                _ if matches!(byte, b'\n' | b'\r' | b'\x0c') => {
                    if matches!(self.state, State::Quoted { .. }) {
                        return;
                    }
                }
                _ => {
                    if self.charset.is_lead(byte) {
                        self.lead = Some(escape.start);
                        return;
                    }
                    return self.unit(
                        Unit {
                            byte,
                            escaped: true,
                            start: escape.start,
                            end: at + 1,
                        },
                        emit,
                    );
                }
            }
        }
        let comment = matches!(self.state, State::Comment | State::CommentStar);
        if self.charset.is_lead(byte) {
            self.lead = Some(at);
        } else if byte == b'\\' && !comment {
            self.escape = Some(Escape {
                start: at,
                value: 0,
                digits: 0,
            });
        } else {
            self.unit(
                Unit {
                    byte,
                    escaped: false,
                    start: at,
                    end: at + 1,
                },
                emit,
            );
        }
    }

    fn unit(&mut self, unit: Unit, emit: Emit<'_>) {
        let plain = (!unit.escaped).then_some(unit.byte);
        let space = plain.is_some_and(|byte| byte.is_ascii_whitespace());
        match self.state {
            State::Comment | State::CommentStar => {
                self.state = match plain {
                    Some(b'/') if self.state == State::CommentStar => State::Normal,
                    Some(b'*') => State::CommentStar,
                    _ => State::Comment,
                };
            }
            State::Slash if plain == Some(b'*') => self.state = State::Comment,
            State::Normal | State::Slash => {
                self.state = State::Normal;
                self.normal(unit, plain, space);
            }
            State::Quoted { quote } => {
                // A bare line end breaks the string off (CSS Syntax section 4.3.5).
                if plain == Some(quote) || matches!(plain, Some(b'\n' | b'\r' | b'\x0c')) {
                    self.decide(emit);
                    self.state = State::Normal;
                } else {
                    self.collect(unit, space, emit);
                }
            }
            State::UrlStart => match plain {
                _ if space => {}
                Some(quote @ (b'"' | b'\'')) => {
                    // Its parenthesis is going to be seen between tokens.
                    self.image_set += usize::from(self.image_set > 0);
                    self.open(State::Quoted { quote }, unit.end);
                }
                Some(b')') => self.state = State::Normal,
                _ => {
                    self.open(State::Url, unit.start);
                    self.collect(unit, space, emit);
                }
            },
            State::Url => match plain {
                Some(b')') => {
                    self.decide(emit);
                    self.state = State::Normal;
                }
                _ if space => {
                    self.decide(emit);
                    self.state = State::UrlEnd;
                }
                _ => self.collect(unit, space, emit),
            },
            State::UrlEnd => {
                if plain == Some(b')') {
                    self.state = State::Normal;
                }
            }
        }
    }

    /// Between tokens: names, and what begins a string, a comment or a function.
    fn normal(&mut self, unit: Unit, plain: Option<u8>, space: bool) {
        if unit.escaped
            || unit.byte >= 0x80
            || unit.byte.is_ascii_alphanumeric()
            || b"-_@".contains(&unit.byte)
        {
            if self.name.len() < NAME_LIMIT {
                self.name.push(unit.byte.to_ascii_lowercase());
            }
            self.importing = false;
            return;
        }
        let name = std::mem::take(&mut self.name);
        if name == b"@import" {
            self.importing = true;
        }
        match plain {
            _ if space => return,
            Some(b'/') => {
                self.state = State::Slash;
                return;
            }
            Some(quote @ (b'"' | b'\'')) => {
                if self.importing || self.image_set > 0 {
                    self.open(State::Quoted { quote }, unit.end);
                } else {
                    self.state = State::Quoted { quote };
                }
            }
            Some(b'(') => match name.as_slice() {
                b"url" | b"src" => self.state = State::UrlStart,
                b"image-set" | b"-webkit-image-set" => self.image_set += 1,
                _ => self.image_set += usize::from(self.image_set > 0),
            },
            Some(b')') => self.image_set = self.image_set.saturating_sub(1),
            // Nothing can stay open beyond a declaration or a block.
            Some(b';' | b'{' | b'}') => self.image_set = 0,
            _ => {}
        }
        self.importing = false;
    }

    /// A URL begins.
    fn open(&mut self, state: State, start: usize) {
        self.state = state;
        self.capture = Some(Capture {
            start,
            bytes: Vec::new(),
            ends: Vec::new(),
        });
    }

    /// One more character of a URL.
    fn collect(&mut self, unit: Unit, space: bool, emit: Emit<'_>) {
        let reach = self.links.reach();
        let Some(capture) = &mut self.capture else {
            return;
        };
        if capture.bytes.is_empty() && space {
            capture.start = unit.end;
            return;
        }
        capture.bytes.push(unit.byte);
        capture.ends.push(unit.end);
        if capture.bytes.len() >= reach || unit.end - capture.start > CAPTURE_LIMIT {
            self.decide(emit);
        }
    }

    /// Enough is known of a URL, or it has ended.
    fn decide(&mut self, emit: Emit<'_>) {
        let Some(capture) = self.capture.take() else {
            return;
        };
        let Some(found) = self.links.find(&capture.bytes, |_| false) else {
            return;
        };
        let end = found
            .len
            .checked_sub(1)
            .and_then(|last| capture.ends.get(last))
            .copied();
        let range = capture.start..end.unwrap_or(capture.start);
        emit(Edit {
            range,
            with: Arc::clone(&found.to.plain),
        });
    }
}
