//! Links in HTML.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use encoding_rs::X_USER_DEFINED;
use lol_html::errors::RewritingError;
use lol_html::html_content::TextType;
use lol_html::send::{Element, HtmlRewriter, Settings};
use lol_html::{AsciiCompatibleEncoding, MemorySettings, element, text};

use super::super::charset::Charset;
use super::super::error::BodyError;
use super::super::splice::{Edit, Splicer};
use super::finder::{Finder, TextKind};
use super::prefixes::Links;

/// 8 MiB for an unfinished tag, its attributes and the stack of open elements: images of a few megabytes stand
/// in `data:` URLs, and old pages leave tens of thousands of cells open.
const PARSER_LIMIT: usize = 8 * 1024 * 1024;

/// An HTML document as a response's body.
pub(in super::super) struct HtmlBody {
    /// `None` once the document has ended.
    parser: Option<HtmlRewriter<'static, Sink>>,
    shared: Arc<Mutex<Shared>>,
}

type Sink = Box<dyn FnMut(&[u8]) + Send>;

/// What the parser's handlers and its output write to.
struct Shared {
    finder: Finder,
    /// The document's bytes, as far as the parser is done with them.
    parsed: Vec<u8>,
}

impl HtmlBody {
    /// `charset` is `None` where the head names none: the document itself may then.
    pub(in super::super) fn new(links: Arc<Links>, charset: Option<Charset>) -> Self {
        Self::with_finder(Finder::new(links, charset, nested))
    }

    fn with_finder(finder: Finder) -> Self {
        let scripts = finder.wants_scripts();
        let shared = Arc::new(Mutex::new(Shared {
            finder,
            parsed: Vec::new(),
        }));
        // Every byte is a character of its own in this encoding, so that texts and
        // values give back the document's bytes; see `bytes_of`.
        let encoding = AsciiCompatibleEncoding::new(X_USER_DEFINED)
            .expect("the encoding standard gives x-user-defined the ASCII characters");
        let mut settings = Settings::new_send()
            .with_encoding(encoding)
            .with_strict(false)
            .with_memory_settings(
                MemorySettings::new().with_max_allowed_memory_usage(PARSER_LIMIT),
            );
        let state = Arc::clone(&shared);
        settings =
            settings.append_element_content_handler(element!("*", move |element: &mut Element<
                '_,
                '_,
            >| {
                lock(&state).element(element);
                Ok(())
            }));
        let mut kinds = vec![("style", TextKind::Style), ("noscript", TextKind::Noscript)];
        if scripts {
            kinds.push(("script", TextKind::Script));
        }
        for (selector, kind) in kinds {
            let state = Arc::clone(&shared);
            settings = settings.append_element_content_handler(text!(selector, move |chunk| {
                // Where scripting is on, noscript holds bare text; in SVG it is an element like all others.
                if kind != TextKind::Noscript || chunk.text_type() == TextType::RawText {
                    let (bytes, at) = (bytes_of(chunk.as_str()), chunk.source_location().bytes());
                    lock(&state)
                        .finder
                        .text(kind, &bytes, at, chunk.last_in_text_node());
                }
                Ok(())
            }));
        }
        let state = Arc::clone(&shared);
        let sink: Sink = Box::new(move |bytes| lock(&state).parsed.extend_from_slice(bytes));
        Self {
            parser: Some(HtmlRewriter::new(settings, sink)),
            shared,
        }
    }

    pub(in super::super) fn scan(
        &mut self,
        bytes: &[u8],
        out: &mut Splicer,
        last: bool,
    ) -> Result<(), BodyError> {
        let Some(mut parser) = self.parser.take() else {
            return Ok(());
        };
        if !bytes.is_empty() {
            parser.write(bytes).map_err(too_complex)?;
        }
        if last {
            parser.end().map_err(too_complex)?;
        } else {
            self.parser = Some(parser);
        }
        let mut shared = lock(&self.shared);
        if last {
            shared.finder.end();
        }
        for edit in shared.finder.take_edits() {
            out.edit(edit);
        }
        out.push(&shared.parsed);
        shared.parsed.clear();
        out.hold(shared.finder.hold());
        Ok(())
    }
}

/// Finds the links of a document inside a document; offsets are those of `html`.
fn nested(finder: Finder, html: &[u8]) -> Vec<Edit> {
    let mut body = HtmlBody::with_finder(finder);
    let (Some(mut parser), shared) = (body.parser.take(), body.shared) else {
        return Vec::new();
    };
    // A document too complex for the parser keeps the links that come after that point.
    let _ = parser.write(html).and_then(|()| parser.end());
    let mut shared = lock(&shared);
    shared.finder.end();
    shared.finder.take_edits()
}

impl Shared {
    fn element(&mut self, element: &Element<'_, '_>) {
        let attributes = element.attributes();
        if attributes.is_empty() {
            return;
        }
        let tag = element.tag_name();
        let mut values = Vec::with_capacity(attributes.len());
        for attribute in attributes {
            let Some(at) = attribute.value_source_location() else {
                continue;
            };
            let name = attribute.name();
            if self.finder.wants(&tag, &name) {
                values.push((name, bytes_of(&attribute.value()), at.bytes().start));
            }
        }
        self.finder.element(&tag, &values);
    }
}

/// Memory is all that can run out: strictness is off, and no handler of ours fails.
fn too_complex(_: RewritingError) -> BodyError {
    BodyError::TooComplex {
        limit: PARSER_LIMIT,
    }
}

/// The document's bytes behind a text that was decoded as x-user-defined, which puts 0x80 to 0xFF at
/// U+F780 to U+F7FF (Encoding standard, section 14.5).
fn bytes_of(text: &str) -> Vec<u8> {
    if text.is_ascii() {
        return text.as_bytes().to_vec();
    }
    // The low byte of either is what was there.
    text.chars()
        .map(|character| (u32::from(character) & 0xff) as u8)
        .collect()
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // A panic elsewhere left plain data behind, and the parser is gone with it.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
