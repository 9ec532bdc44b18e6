//! Access log formats, compiled once.
//!
//! The letters are httpd's (mod_log_config and mod_logio), so a `LogFormat` can be
//! taken over as it is; `%{…}x` is ours. `docs/logs.md` lists them all. A letter that
//! we cannot serve is an error when the configuration is read, not a dash in every line.

use crate::snapshot::AccessFormat;

use super::{
    json,
    letters::{self, Letter},
    record::Record,
};

const COMMON: &str = r#"%h %l %u %t "%r" %>s %b"#;
const COMBINED: &str = r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i""#;

/// Most letters and texts in one format.
const LONGEST: usize = 256;

/// How a line is made.
pub(super) enum Format {
    /// One JSON object.
    Json,
    /// Letters and texts in turn.
    Pieces(Vec<Piece>),
}

/// A part of a line.
#[derive(Debug, PartialEq)]
pub(super) enum Piece {
    /// As written.
    Text(Vec<u8>),
    /// A fact; a dash where the status is not among those asked for.
    Fact(Letter, Option<Statuses>),
}

/// `%400,501{…}i` or `%!200{…}i`.
#[derive(Debug, PartialEq)]
pub(super) struct Statuses {
    listed: Vec<u16>,
    negated: bool,
}

/// Why a format string cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// A letter that httpd may know, but we do not.
    #[error("%{0} is not a letter that can be logged; docs/logs.md lists them")]
    Letter(char),
    /// `%{name}` before a letter that does not know the name.
    #[error("%{{{name}}}{letter} is not known; {letter} takes {known}")]
    Name {
        /// What stands in the braces.
        name: String,
        /// The letter after them.
        letter: char,
        /// What could stand there.
        known: &'static str,
    },
    /// A letter that needs `{name}`.
    #[error("%{0} needs a name: %{{Name}}{0}")]
    Nameless(char),
    /// No `}`.
    #[error("%{{ without a closing brace")]
    Unclosed,
    /// Nothing after the last `%`.
    #[error("it ends in %; a per cent sign is written %%")]
    Ends,
    /// `%400,{…}` or a number that is no status.
    #[error("after % stand statuses (100 to 599, with commas between), braces or a letter")]
    Statuses,
    /// Somebody would read one exchange as two.
    #[error("a log line has no line breaks")]
    LineBreak,
    /// A word instead of a format, most likely.
    #[error("it has no % letters, so every line would be the same")]
    Constant,
    /// Nobody reads such a line.
    #[error("it has more than 256 letters and texts")]
    TooLong,
}

/// Whether a format string can be used; the error says what is wrong with it.
pub fn check_format(text: &str) -> Result<(), FormatError> {
    parse(text).map(drop)
}

impl Format {
    /// Compiles what the configuration says.
    pub fn compile(format: &AccessFormat) -> Result<Self, FormatError> {
        let text = match format {
            AccessFormat::Json => return Ok(Self::Json),
            AccessFormat::Common => COMMON,
            AccessFormat::Combined => COMBINED,
            AccessFormat::Custom(text) => text,
        };
        Ok(Self::Pieces(parse(text)?))
    }

    /// Appends a line, without its line feed.
    pub fn render(&self, record: &Record<'_>, out: &mut Vec<u8>) {
        let pieces = match self {
            Self::Json => return json::render(record, out),
            Self::Pieces(pieces) => pieces,
        };
        for piece in pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Fact(letter, None) => letters::render(letter, record, out),
                Piece::Fact(letter, Some(statuses)) if statuses.include(record.status) => {
                    letters::render(letter, record, out);
                }
                Piece::Fact(..) => out.push(b'-'),
            }
        }
    }
}

impl Statuses {
    fn include(&self, status: u16) -> bool {
        self.listed.contains(&status) != self.negated
    }
}

fn parse(text: &str) -> Result<Vec<Piece>, FormatError> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text.chars();
    let mut facts = 0;
    while let Some(character) = rest.next() {
        match character {
            '\n' | '\r' => return Err(FormatError::LineBreak),
            // As in httpd's file, where the whole string is quoted.
            '\\' => match rest.clone().next() {
                Some('n' | 'r') => return Err(FormatError::LineBreak),
                Some(next @ ('"' | '\\' | 't')) => {
                    rest.next();
                    literal.push(if next == 't' { '\t' } else { next });
                }
                _ => literal.push('\\'),
            },
            '%' if rest.as_str().starts_with('%') => {
                rest.next();
                literal.push('%');
            }
            '%' => {
                let (fact, behind) = directive(rest.as_str())?;
                if !literal.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut literal).into_bytes()));
                }
                pieces.push(fact);
                facts += 1;
                rest = behind.chars();
            }
            other => literal.push(other),
        }
    }
    if facts == 0 {
        return Err(FormatError::Constant);
    }
    if !literal.is_empty() {
        pieces.push(Piece::Text(literal.into_bytes()));
    }
    if pieces.len() > LONGEST {
        return Err(FormatError::TooLong);
    }
    Ok(pieces)
}

/// What follows a `%`: statuses, `<` or `>`, `{name}` in any order as httpd allows, then the letter.
fn directive(mut text: &str) -> Result<(Piece, &str), FormatError> {
    let mut name = None;
    let mut statuses = None;
    loop {
        let Some(first) = text.chars().next() else {
            return Err(FormatError::Ends);
        };
        match first {
            // Original or final request after internal redirects: we have none.
            '<' | '>' => text = &text[1..],
            '{' => {
                let end = text.find('}').ok_or(FormatError::Unclosed)?;
                name = Some(&text[1..end]);
                text = &text[end + 1..];
            }
            '!' | '0'..='9' => {
                let negated = first == '!';
                let list = &text[usize::from(negated)..];
                let end = list
                    .find(|c: char| !c.is_ascii_digit() && c != ',')
                    .ok_or(FormatError::Ends)?;
                statuses = Some(Statuses {
                    listed: listed(&list[..end])?,
                    negated,
                });
                text = &list[end..];
            }
            letter => {
                let fact = Piece::Fact(Letter::parse(letter, name)?, statuses);
                return Ok((fact, &text[letter.len_utf8()..]));
            }
        }
    }
}

fn listed(text: &str) -> Result<Vec<u16>, FormatError> {
    let status = |word: &str| word.parse().ok().filter(|s| (100..600).contains(s));
    let listed: Option<Vec<u16>> = text.split(',').map(status).collect();
    listed.ok_or(FormatError::Statuses)
}
