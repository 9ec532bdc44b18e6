//! What is wrong with a configuration, where, and what to do about it.

use std::{borrow::Cow, fmt, ops::Range, path::PathBuf};

use codespan_reporting::{
    diagnostic::{Diagnostic as Labelled, Label},
    files::SimpleFile,
    term::{self, termcolor},
};

use crate::telemetry::harmless;

/// Whether the configuration can be used all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but does something that was hardly meant.
    Warning,
}

/// One finding. `Display` gives the one-line form `file:line:column: key: message; remedy`,
/// with `warning:` before the key of a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// The file as the operator named it.
    pub file: PathBuf,
    /// From 1; 0 where the whole file is meant.
    pub line: usize,
    /// From 1, in characters; 0 where the whole file is meant.
    pub column: usize,
    /// Path of the key, such as `balancer.app.members[1].url`; empty for the whole file.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
    /// Bytes of the file, for the picture.
    pub(super) span: Range<usize>,
}

impl fmt::Display for Diagnostic {
    /// One line, whatever is in the file: it may be a tenant's, and the terminal the operator's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", harmless(&self.file.to_string_lossy()))?;
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        if self.severity == Severity::Warning {
            f.write_str(" warning:")?;
        }
        if !self.key.is_empty() {
            write!(f, " {}:", harmless(&self.key))?;
        }
        let (message, remedy) = (harmless(&self.message), harmless(&self.remedy));
        write!(f, " {message}; {remedy}")
    }
}

/// Why a configuration was not taken: every problem of it, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// At least one error; warnings too.
    pub problems: Vec<Diagnostic>,
    pub(super) texts: Texts,
}

/// The files that were read, as the operator named them, with what is in them.
pub(super) type Texts = Vec<(PathBuf, String)>;

impl Report {
    /// The problems with the lines they are about, coloured for a terminal if asked to.
    pub fn render(&self, colour: bool) -> String {
        render(&self.problems, &self.texts, colour)
    }

    /// One line a problem, for logs and editors.
    pub fn lines(&self) -> String {
        lines(&self.problems)
    }

    /// Likewise, those that forbid using the configuration first.
    pub fn worst_first(&self) -> String {
        let (errors, warnings): (Vec<_>, Vec<_>) = self
            .problems
            .iter()
            .cloned()
            .partition(|problem| problem.severity == Severity::Error);
        lines(&errors) + &lines(&warnings)
    }

    /// How many of the problems forbid using the configuration.
    pub fn errors(&self) -> usize {
        self.problems
            .iter()
            .filter(|p| p.severity == Severity::Error)
            .count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}

/// The one-line form of each problem.
pub(super) fn lines(problems: &[Diagnostic]) -> String {
    problems
        .iter()
        .map(|problem| format!("{problem}\n"))
        .collect()
}

/// Draws each problem with the line that it is about.
pub(super) fn render(problems: &[Diagnostic], texts: &Texts, colour: bool) -> String {
    if colour {
        draw(
            problems,
            texts,
            termcolor::Ansi::new(Vec::new()),
            termcolor::Ansi::into_inner,
        )
    } else {
        draw(
            problems,
            texts,
            termcolor::NoColor::new(Vec::new()),
            termcolor::NoColor::into_inner,
        )
    }
}

fn draw<W: termcolor::WriteColor>(
    problems: &[Diagnostic],
    texts: &Texts,
    mut writer: W,
    into_bytes: impl FnOnce(W) -> Vec<u8>,
) -> String {
    let config = term::Config::default();
    for problem in problems {
        let text = texts.iter().find(|(file, _)| *file == problem.file);
        let text = drawable(text.map_or("", |(_, text)| text));
        let name = harmless(&problem.file.to_string_lossy()).into_owned();
        let file = SimpleFile::new(name.as_str(), text);
        let [key, message, remedy] =
            [&problem.key, &problem.message, &problem.remedy].map(|text| harmless(text));
        let labelled = match problem.severity {
            Severity::Error => Labelled::error(),
            Severity::Warning => Labelled::warning(),
        };
        let labelled = match &*key {
            "" if problem.line == 0 => labelled.with_message(&name),
            "" => labelled.with_message("the file itself"),
            key => labelled.with_message(key),
        };
        let labelled = if problem.line == 0 {
            labelled.with_note(message)
        } else {
            labelled.with_label(Label::primary((), problem.span.clone()).with_message(message))
        };
        let labelled = labelled.with_note(remedy);
        // Writing to memory fails only for a span outside the text; the plain line says as much.
        if term::emit_to_write_style(&mut writer, &config, &file, &labelled).is_err() {
            let _ = writeln!(writer, "{problem}");
        }
    }
    String::from_utf8_lossy(&into_bytes(writer)).into_owned()
}

/// The text with its lines, and every byte in its place, but nothing that talks to a terminal.
fn drawable(text: &str) -> Cow<'_, str> {
    let speaks = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(speaks) {
        return Cow::Borrowed(text);
    }
    let plain = text.chars().map(|c| match c.len_utf8() {
        _ if !speaks(c) => c,
        // It may end a line.
        1 if c == '\r' => ' ',
        1 => '?',
        // Of two bytes, as all other controls are.
        _ => '\u{bf}',
    });
    Cow::Owned(plain.collect())
}
