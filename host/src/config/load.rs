//! From a file to a `Snapshot` or a `Report`.

use std::{fs::File, io::Read as _, net::SocketAddr, ops::Range, path::Path};

use toml::de::DeTable;

use super::{
    compile,
    diagnostic::{Diagnostic, Report, Severity, lines, render},
    problems::{Place, Problem, Problems},
    read::Read,
    source::Config,
};
use crate::snapshot::Snapshot;

/// A configuration is typed by people; what is larger is another kind of file.
const LARGEST: u64 = 4 << 20;

/// A configuration that can be used.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it says, complete.
    pub snapshot: Snapshot,
    /// What was hardly meant, in the order of the file.
    pub warnings: Vec<Diagnostic>,
    text: String,
    listeners: Vec<(SocketAddr, Place)>,
}

impl Loaded {
    /// The warnings with the lines they are about, coloured for a terminal if asked to.
    pub fn render(&self, colour: bool) -> String {
        render(&self.warnings, &self.text, colour)
    }

    /// One line a warning, for logs and editors.
    pub fn lines(&self) -> String {
        lines(&self.warnings)
    }

    /// Tries every listener's address and releases it; a warning for each that is taken or not ours.
    pub fn try_binding(&mut self) {
        let mut problems = Problems::default();
        for (address, place) in &self.listeners {
            if let Err(error) = std::net::TcpListener::bind(address) {
                let remedy = match error.kind() {
                    std::io::ErrorKind::AddrInUse => "stop what listens there, or use another port",
                    std::io::ErrorKind::PermissionDenied => {
                        "use a port from 1024, or grant CAP_NET_BIND_SERVICE"
                    }
                    _ => "use an address of this machine",
                };
                problems.warn(place, format!("{address} cannot be bound: {error}"), remedy);
            }
        }
        let found = located(problems, &self.text, &self.snapshot.source);
        self.warnings.extend(found);
        self.warnings.sort_by_key(|w| w.span.start);
    }
}

/// Reads and checks a file.
pub fn load(path: &Path) -> Result<Loaded, Report> {
    parse(&text_of(path)?, path)
}

/// The text of a file that somebody typed.
pub(crate) fn text_of(path: &Path) -> Result<String, Report> {
    read(path).map_err(|error| {
        let remedy = match error.kind() {
            std::io::ErrorKind::NotFound => "name an existing file",
            std::io::ErrorKind::PermissionDenied => "let the user that runs switchyard read it",
            _ => "name a TOML file in UTF-8, of 4 MiB at most",
        };
        unreadable(path, format!("cannot be read: {error}"), remedy)
    })
}

fn read(path: &Path) -> std::io::Result<String> {
    // Opening a FIFO would block, reading a device never end.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("not a file"));
    }
    let mut text = String::new();
    File::open(path)?
        .take(LARGEST + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(std::io::Error::other("larger than 4 MiB"));
    }
    Ok(text)
}

fn unreadable(path: &Path, message: String, remedy: &str) -> Report {
    let problem = Diagnostic {
        severity: Severity::Error,
        file: path.to_owned(),
        line: 0,
        column: 0,
        key: String::new(),
        message,
        remedy: remedy.to_owned(),
        span: 0..0,
    };
    Report {
        problems: vec![problem],
        text: String::new(),
    }
}

/// Checks a text as if it stood in `path`; files that it names are looked at.
pub fn parse(text: &str, path: &Path) -> Result<Loaded, Report> {
    let mean = |config: &Config, problems: &mut Problems| {
        let (snapshot, listeners) = compile::compile(config, path, problems);
        if !problems.has_errors() {
            compile::routable(&snapshot, config, problems);
        }
        (snapshot, listeners)
    };
    let ((snapshot, listeners), warnings) = document(text, path, mean)?;
    Ok(Loaded {
        snapshot,
        warnings,
        text: text.to_owned(),
        listeners,
    })
}

/// What a configuration means that was not read as a whole file.
pub(crate) fn snapshot(config: &Config, path: &Path, out: &mut Problems) -> Snapshot {
    compile::compile(config, path, out).0
}

/// Reads a text into `T` and has `mean` say what that means, unless it is not even TOML. With the
/// meaning come the warnings; errors of either come all at once.
pub(crate) fn document<T: Read + Default, R>(
    text: &str,
    path: &Path,
    mean: impl FnOnce(&T, &mut Problems) -> R,
) -> Result<(R, Vec<Diagnostic>), Report> {
    let mut problems = Problems::default();
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        let place = Place {
            key: String::new(),
            span,
        };
        problems.error(
            &place,
            error.message().trim().replace('\n', ", "),
            "correct the TOML (toml.io/en/v1.0.0)",
        );
    }
    // What a broken line hides would be reported as missing: syntax comes first.
    let mut meaning = None;
    if !problems.has_errors() {
        let span = document.span();
        let document = toml::Spanned::new(span, toml::de::DeValue::Table(document.into_inner()));
        let read = T::read(&document, &Place::default(), &mut problems).unwrap_or_default();
        meaning = Some(mean(&read, &mut problems));
    }
    let refused = problems.has_errors();
    let problems = located(problems, text, path);
    match meaning {
        Some(meaning) if !refused => Ok((meaning, problems)),
        _ => Err(Report {
            problems,
            text: text.to_owned(),
        }),
    }
}

/// Looks up the lines of what was found.
pub(crate) fn located(problems: Problems, text: &str, path: &Path) -> Vec<Diagnostic> {
    let starts: Vec<usize> = std::iter::once(0)
        .chain(text.match_indices('\n').map(|(at, _)| at + 1))
        .collect();
    problems
        .into_sorted()
        .into_iter()
        .map(|problem| locate(problem, text, &starts, path))
        .collect()
}

fn locate(problem: Problem, text: &str, starts: &[usize], path: &Path) -> Diagnostic {
    let span = within(problem.place.span, text);
    let row = starts
        .partition_point(|start| *start <= span.start)
        .saturating_sub(1);
    Diagnostic {
        severity: problem.severity,
        file: path.to_owned(),
        line: row + 1,
        column: text[starts[row]..span.start].chars().count() + 1,
        key: problem.place.key,
        message: problem.message,
        remedy: problem.remedy,
        span,
    }
}

/// A span that may be cut out of `text`, whatever the parser said.
fn within(span: Range<usize>, text: &str) -> Range<usize> {
    let start = text.floor_char_boundary(span.start);
    let end = text.floor_char_boundary(span.end.max(start));
    start..end
}
