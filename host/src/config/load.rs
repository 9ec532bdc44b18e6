//! From a file to a `Snapshot` or a `Report`.

use std::{fs::File, io::Read as _, net::SocketAddr, ops::Range, path::Path};

use toml::de::DeTable;

use super::{
    compile,
    diagnostic::{Diagnostic, Report, Severity, Texts, lines, render},
    problems::{Place, Problem, Problems},
    read::{Read, Value},
    source::Config,
};
use crate::{beneath, snapshot::Snapshot};

/// A configuration is typed by people; what is larger is another kind of file.
const LARGEST: u64 = 4 << 20;

/// A configuration that can be used.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it says, complete.
    pub snapshot: Snapshot,
    /// What was hardly meant, in the order of the file.
    pub warnings: Vec<Diagnostic>,
    texts: Texts,
    listeners: Vec<(SocketAddr, Place)>,
}

impl Loaded {
    /// The warnings with the lines they are about, coloured for a terminal if asked to.
    pub fn render(&self, colour: bool) -> String {
        render(&self.warnings, &self.texts, colour)
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
        let found = located(problems, &self.texts);
        self.warnings.extend(found);
        self.warnings.sort_by_key(|w| w.span.start);
    }
}

/// Reads and checks a file.
pub fn load(path: &Path) -> Result<Loaded, Report> {
    parse(&typed(path)?, path)
}

/// The text of a file that somebody typed.
pub(crate) fn typed(path: &Path) -> Result<String, Report> {
    read(path).map_err(|error| {
        let remedy = match error.kind() {
            std::io::ErrorKind::NotFound => "name an existing file",
            std::io::ErrorKind::PermissionDenied => "let the user that runs switchyard read it",
            _ => "name a TOML file in UTF-8, of 4 MiB at most",
        };
        let problem = unreadable(path, format!("cannot be read: {error}"), remedy);
        Report {
            problems: vec![problem],
            texts: Vec::new(),
        }
    })
}

fn read(path: &Path) -> std::io::Result<String> {
    text_of(beneath::regular(None, path)?)
}

/// What is in a file, of which nobody knows how long it is.
pub(super) fn text_of(file: File) -> std::io::Result<String> {
    let mut text = String::new();
    file.take(LARGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(std::io::Error::other("larger than 4 MiB"));
    }
    Ok(text)
}

/// Something about a file as a whole.
pub(super) fn unreadable(path: &Path, message: String, remedy: &str) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        file: path.to_owned(),
        line: 0,
        column: 0,
        key: String::new(),
        message,
        remedy: remedy.to_owned(),
        span: 0..0,
    }
}

/// Checks a text as if it stood in `path`; files that it names are looked at.
pub fn parse(text: &str, path: &Path) -> Result<Loaded, Report> {
    let mean = |config: &Config, problems: &mut Problems| {
        let (snapshot, listeners) = compile::compile(config, path, problems);
        if !problems.has_errors() {
            compile::routable(&snapshot.vhosts, config, problems);
        }
        (snapshot, listeners)
    };
    let ((snapshot, listeners), warnings) = checked(text, path, mean)?;
    Ok(Loaded {
        snapshot,
        warnings,
        texts: vec![(path.to_owned(), text.to_owned())],
        listeners,
    })
}

/// What a configuration means that was not read as a whole file.
pub(crate) fn snapshot(config: &Config, path: &Path, out: &mut Problems) -> Snapshot {
    compile::compile(config, path, out).0
}

/// Reads a text into `T` and has `mean` say what that means, unless it is not even TOML. With the
/// meaning come the warnings; errors of either come all at once.
pub(crate) fn checked<T: Read + Default, R>(
    text: &str,
    path: &Path,
    mean: impl FnOnce(&T, &mut Problems) -> R,
) -> Result<(R, Vec<Diagnostic>), Report> {
    let mut problems = Problems::default();
    let texts = vec![(path.to_owned(), text.to_owned())];
    let Some(document) = document(text, 0, &mut problems) else {
        return Err(refusal(problems, texts));
    };
    let read = T::read(&document, &Place::default(), &mut problems).unwrap_or_default();
    let meaning = mean(&read, &mut problems);
    match problems.has_errors() {
        true => Err(refusal(problems, texts)),
        false => Ok((meaning, located(problems, &texts))),
    }
}

/// Parses the text of the file with this number; `None`, and noted, where it is no TOML. What a
/// broken line hides would be reported as missing: syntax comes first.
pub(super) fn document<'t>(
    text: &'t str,
    file: usize,
    problems: &mut Problems,
) -> Option<Value<'t>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let place = Place {
            file,
            key: String::new(),
            span: error.span().unwrap_or(0..0),
        };
        problems.error(
            &place,
            error.message().trim().replace('\n', ", "),
            "correct the TOML (toml.io/en/v1.0.0)",
        );
    }
    let span = document.span();
    errors
        .is_empty()
        .then(|| toml::Spanned::new(span, toml::de::DeValue::Table(document.into_inner())))
}

/// What is said of files that are not taken.
pub(super) fn refusal(problems: Problems, texts: Texts) -> Report {
    Report {
        problems: located(problems, &texts),
        texts,
    }
}

/// Gives each problem its line.
pub(crate) fn located(problems: Problems, texts: &Texts) -> Vec<Diagnostic> {
    let starts = |text: &str| -> Vec<usize> {
        let lines = text.match_indices('\n').map(|(at, _)| at + 1);
        std::iter::once(0).chain(lines).collect()
    };
    let starts: Vec<_> = texts.iter().map(|(_, text)| starts(text)).collect();
    let problems = problems.into_sorted().into_iter();
    problems
        .filter_map(|problem| {
            let (path, text) = texts.get(problem.place.file)?;
            Some(locate(problem, text, &starts[..], path))
        })
        .collect()
}

fn locate(problem: Problem, text: &str, starts: &[Vec<usize>], path: &Path) -> Diagnostic {
    let starts = &starts[problem.place.file];
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
