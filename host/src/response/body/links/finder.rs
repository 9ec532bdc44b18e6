//! Finds what to replace in one document: attributes, styles, scripts.

use std::ops::Range;
use std::sync::Arc;

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};

use super::super::charset::{self, Charset};
use super::super::splice::Edit;
use super::attributes::{Grammar, grammar};
use super::css::Css;
use super::entities::Text;
use super::prefixes::{Links, escape_ampersands};
use super::script::Script;
use super::{refresh, srcset};

/// 64 KiB of text between `<noscript>` and its end: beyond it, that text keeps its links.
const NOSCRIPT_LIMIT: usize = 64 * 1024;

/// 1 MiB of an attribute's value: of a longer one only its beginning is looked at if it is a URL (`data:` most
/// likely), and nothing if it is a list, a style or a document.
const VALUE_LIMIT: usize = 1024 * 1024;

/// Documents in documents (`srcdoc`, `noscript`), the outer one included.
const MAX_DEPTH: u8 = 3;

/// Parses a document in a document.
pub(super) type Nested = fn(Finder, &[u8]) -> Vec<Edit>;

/// An attribute's name, its value's bytes and where they start.
pub(super) type Value = (String, Vec<u8>, usize);

/// Elements whose text is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextKind {
    Style,
    Script,
    Noscript,
}

/// Collects the edits of one document.
pub(super) struct Finder {
    links: Arc<Links>,
    charset: Charset,
    /// The head has named the charset: what the document says does not count.
    charset_is_fixed: bool,
    /// The document's charset is none that can be rewritten.
    inert: bool,
    css: Css,
    script: Script,
    noscript: Option<Noscript>,
    /// Absolute offset behind the last text seen.
    text_end: usize,
    edits: Vec<Edit>,
    nested: Nested,
    depth: u8,
}

/// Text between `<noscript>` and its end.
struct Noscript {
    start: usize,
    html: Vec<u8>,
    /// It grew too long.
    given_up: bool,
}

impl Finder {
    pub(super) fn new(links: Arc<Links>, charset: Option<Charset>, nested: Nested) -> Self {
        let css = Css::new(Arc::clone(&links), charset.unwrap_or_default());
        let script = Script::new(Arc::clone(&links));
        Self {
            links,
            charset: charset.unwrap_or_default(),
            charset_is_fixed: charset.is_some(),
            inert: false,
            css,
            script,
            noscript: None,
            text_end: 0,
            edits: Vec::new(),
            nested,
            depth: 1,
        }
    }

    pub(super) fn wants_scripts(&self) -> bool {
        self.links.finder().is_some()
    }

    /// Whether an attribute's value is of interest.
    pub(super) fn wants(&self, tag: &str, name: &str) -> bool {
        match grammar(tag, name) {
            Some(Grammar::Script) => self.wants_scripts(),
            Some(_) => true,
            None => tag == "meta" && matches!(name, "http-equiv" | "charset"),
        }
    }

    /// The wanted attributes of an element, in order.
    pub(super) fn element(&mut self, tag: &str, values: &[Value]) {
        let pragma = (tag == "meta").then(|| self.meta(values)).flatten();
        if self.inert {
            return;
        }
        for (name, raw, at) in values {
            match grammar(tag, name) {
                Some(Grammar::Meta) if pragma != Some(Pragma::Refresh) => {}
                Some(grammar) => self.attribute(grammar, raw, *at),
                None => {}
            }
        }
    }

    /// A piece of an element's text; `last` where the text ends behind it.
    pub(super) fn text(&mut self, kind: TextKind, bytes: &[u8], at: Range<usize>, last: bool) {
        if self.inert {
            return;
        }
        // In MathML and SVG, where style may hold elements, a text can be in a style and in a script: it is seen once.
        if at.start < self.text_end {
            return;
        }
        if at.start != self.text_end || at.len() != bytes.len() {
            self.end_text();
        }
        self.text_end = at.end;
        if at.len() == bytes.len() {
            let edits = &mut self.edits;
            match kind {
                TextKind::Style => self.css.scan(bytes, at.start, &mut |edit| edits.push(edit)),
                TextKind::Script => self
                    .script
                    .scan(bytes, at.start, &mut |edit| edits.push(edit)),
                TextKind::Noscript => self.noscript(bytes, at.start),
            }
        }
        if last {
            self.end_text();
        }
    }

    /// The document has ended.
    pub(super) fn end(&mut self) {
        self.end_text();
    }

    pub(super) fn take_edits(&mut self) -> Vec<Edit> {
        std::mem::take(&mut self.edits)
    }

    /// The absolute offset from which bytes must be kept.
    pub(super) fn hold(&self) -> Option<usize> {
        let noscript = self
            .noscript
            .as_ref()
            .filter(|noscript| !noscript.given_up)
            .map(|noscript| noscript.start);
        self.css.hold().or(self.script.hold()).or(noscript)
    }

    fn end_text(&mut self) {
        let edits = &mut self.edits;
        self.css.end(&mut |edit| edits.push(edit));
        self.script.end(&mut |edit| edits.push(edit));
        if let Some(noscript) = self.noscript.take().filter(|noscript| !noscript.given_up) {
            for edit in self.inner(&noscript.html) {
                let range = noscript.start + edit.range.start..noscript.start + edit.range.end;
                self.edits.push(Edit { range, ..edit });
            }
        }
    }

    fn noscript(&mut self, bytes: &[u8], start: usize) {
        let noscript = self.noscript.get_or_insert_with(|| Noscript {
            start,
            html: Vec::new(),
            given_up: false,
        });
        noscript.given_up |= noscript.html.len() + bytes.len() > NOSCRIPT_LIMIT;
        if noscript.given_up {
            noscript.html = Vec::new();
        } else {
            noscript.html.extend_from_slice(bytes);
        }
    }

    /// The edits of a document inside this one.
    fn inner(&self, html: &[u8]) -> Vec<Edit> {
        if self.depth >= MAX_DEPTH {
            return Vec::new();
        }
        let mut inner = Self::new(Arc::clone(&self.links), Some(self.charset), self.nested);
        inner.depth = self.depth + 1;
        (self.nested)(inner, html)
    }

    /// Reads what `meta` says about the document.
    fn meta(&mut self, values: &[Value]) -> Option<Pragma> {
        let value = |name: &str| {
            let (_, raw, _) = values.iter().find(|(known, ..)| known == name)?;
            Some(
                String::from_utf8_lossy(&Text::from_attribute(raw).bytes)
                    .trim()
                    .to_ascii_lowercase(),
            )
        };
        let pragma = match value("http-equiv").as_deref() {
            Some("refresh") => Some(Pragma::Refresh),
            Some("content-type") => Some(Pragma::ContentType),
            _ => None,
        };
        let content = || value("content").filter(|_| pragma == Some(Pragma::ContentType));
        let label = value("charset").or_else(|| charset::parameter(&content()?).map(str::to_owned));
        if let Some(label) = label.filter(|_| !self.charset_is_fixed) {
            self.declared(&label);
        }
        pragma
    }

    /// The document names its charset. UTF-16 there means UTF-8 (HTML living standard, section 13.2.3.3).
    fn declared(&mut self, label: &str) {
        match Charset::from_label(label) {
            Some(charset) => {
                self.charset = charset;
                self.css = Css::new(Arc::clone(&self.links), charset);
                self.charset_is_fixed = true;
            }
            None => {
                let encoding = Encoding::for_label(label.as_bytes());
                self.inert =
                    encoding.is_some_and(|encoding| encoding != UTF_16LE && encoding != UTF_16BE);
            }
        }
    }

    fn attribute(&mut self, grammar: Grammar, raw: &[u8], at: usize) {
        if raw.len() > VALUE_LIMIT && grammar != Grammar::Url {
            return;
        }
        let text = Text::from_attribute(&raw[..raw.len().min(VALUE_LIMIT)]);
        let value = text.bytes.as_ref();
        match grammar {
            Grammar::Url => {
                let url = trimmed(value);
                let is_script = value[url.clone()]
                    .get(..11)
                    .is_some_and(|s| s.eq_ignore_ascii_case(b"javascript:"));
                if is_script {
                    self.script_value(&text, at);
                } else {
                    self.url(&text, url, at);
                }
            }
            Grammar::Words => self.urls(&text, srcset::words(value, None), at),
            Grammar::CommaList => self.urls(&text, srcset::words(value, Some(b',')), at),
            Grammar::Srcset => self.urls(&text, srcset::candidates(value), at),
            Grammar::Meta => self.urls(&text, refresh::url(value).into_iter().collect(), at),
            Grammar::Css if value.contains(&b'(') => {
                let mut css = Css::new(Arc::clone(&self.links), self.charset);
                let mut edits = Vec::new();
                css.scan(value, 0, &mut |edit| edits.push(edit));
                css.end(&mut |edit| edits.push(edit));
                self.in_attribute(&text, edits, at);
            }
            Grammar::Css => {}
            Grammar::Script => self.script_value(&text, at),
            Grammar::Document => {
                let edits = self.inner(value);
                self.in_attribute(&text, edits, at);
            }
        }
    }

    fn script_value(&mut self, text: &Text<'_>, at: usize) {
        let mut script = Script::new(Arc::clone(&self.links));
        let mut edits = Vec::new();
        script.scan(&text.bytes, 0, &mut |edit| edits.push(edit));
        script.end(&mut |edit| edits.push(edit));
        self.in_attribute(text, edits, at);
    }

    /// Edits of a value become edits of the document.
    fn in_attribute(&mut self, text: &Text<'_>, edits: Vec<Edit>, at: usize) {
        for edit in edits {
            let source = text.source(edit.range);
            let with = if edit.with.contains(&b'&') {
                escape_ampersands(&edit.with).into()
            } else {
                edit.with
            };
            self.edits.push(Edit {
                range: at + source.start..at + source.end,
                with,
            });
        }
    }

    fn urls(&mut self, text: &Text<'_>, urls: Vec<Range<usize>>, at: usize) {
        for url in urls {
            self.url(text, url, at);
        }
    }

    fn url(&mut self, text: &Text<'_>, url: Range<usize>, at: usize) {
        let inner = trimmed(&text.bytes[url.clone()]);
        let url = url.start + inner.start..url.start + inner.end;
        if let Some(found) = self.links.find(&text.bytes[url.clone()], |_| false) {
            let source = text.source(url.start..url.start + found.len);
            let range = at + source.start..at + source.end;
            self.edits.push(Edit {
                range,
                with: Arc::clone(&found.to.attribute),
            });
        }
    }
}

/// What a `meta` with `http-equiv` declares.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pragma {
    Refresh,
    ContentType,
}

/// Where a value stands without the white space and control characters that URL parsers strip (URL standard, section 4.4).
fn trimmed(value: &[u8]) -> Range<usize> {
    let start = value.iter().take_while(|byte| **byte <= b' ').count();
    let end = value
        .iter()
        .rposition(|byte| *byte > b' ')
        .map_or(start, |last| last + 1);
    start..end
}
