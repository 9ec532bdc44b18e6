//! From a tenant's folder to its part of a `Snapshot`, or a `Report`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    compile,
    diagnostic::{Diagnostic, Report, Texts, lines, render},
    load::{document, located, refusal, text_of, unreadable},
    problems::{Place, Problems},
    read::{Named, Node, Read as _},
    source::{Config, TenantFile},
};
use crate::{
    beneath,
    snapshot::{Snapshot, TenantName},
};
pub use compile::TenantPart;

/// Files of one tenant: who has more has put something else there.
const MOST: usize = 64;

/// Bytes of all of them. A line makes a member, which takes 2 KB while it lives, so this bounds memory too.
const LARGEST: usize = 256 << 10;

/// What became of a tenant's files.
#[derive(Debug, Clone)]
pub struct LoadedTenant {
    /// Every file that was read or should have been, whatever came of it.
    pub files: Vec<PathBuf>,
    /// What they say, or why that cannot be used.
    pub outcome: Result<Arc<TenantPart>, Report>,
    /// What was hardly meant.
    pub warnings: Vec<Diagnostic>,
    texts: Texts,
}

impl LoadedTenant {
    fn nothing() -> Self {
        Self {
            files: Vec::new(),
            outcome: Err(Report {
                problems: Vec::new(),
                texts: Vec::new(),
            }),
            warnings: Vec::new(),
            texts: Vec::new(),
        }
    }

    /// The warnings with the lines they are about, coloured for a terminal if asked to.
    pub fn render(&self, colour: bool) -> String {
        render(&self.warnings, &self.texts, colour)
    }

    /// One line a warning, for logs and editors.
    pub fn lines(&self) -> String {
        lines(&self.warnings)
    }
}

/// The tenants that have a folder, by name, and folders that nobody can be called like. `None`:
/// there is no folder for them.
pub fn tenants(operator: &Snapshot) -> Result<Option<Tenants>, Box<Diagnostic>> {
    let Some(dir) = &operator.tenancy.dir else {
        return Ok(None);
    };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let remedy = "let the user that runs switchyard list it";
            let what = format!("cannot be listed: {error}");
            return Err(Box::new(unreadable(dir, what, remedy)));
        }
    };
    let (mut names, mut problems) = (Vec::new(), Vec::new());
    for entry in entries.flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        // What deploy tools put beside (`..data`), and what is no folder.
        if name.as_encoded_bytes().starts_with(b".") || !path.is_dir() {
            continue;
        }
        let name = name.to_string_lossy();
        match compile::unfit(&name) {
            None => names.push(TenantName::new(&name)),
            Some(why) => problems.push(unreadable(&path, why, "rename the folder")),
        }
    }
    names.sort();
    problems.sort_by(|one, other| one.file.cmp(&other.file));
    Ok(Some((names, problems)))
}

/// Names of tenants, and folders that are none's.
pub type Tenants = (Vec<TenantName>, Vec<Diagnostic>);

/// Reads and checks a tenant's files under the quota that the operator gives it.
pub fn load_tenant(name: &TenantName, operator: &Snapshot) -> LoadedTenant {
    let folder = folder(name, operator);
    let mut loaded = LoadedTenant::nothing();
    match texts(&folder, &mut loaded.files) {
        Ok(texts) => loaded.texts = texts,
        Err(problem) => {
            loaded.outcome = Err(Report {
                problems: vec![*problem],
                texts: Vec::new(),
            });
            return loaded;
        }
    }
    check(loaded, name, &folder, operator)
}

/// Checks files as they were once, by their names within the tenant's folder, in the place of those that
/// are there now.
pub fn recall_tenant(
    name: &TenantName,
    operator: &Snapshot,
    files: &[(String, String)],
) -> LoadedTenant {
    let folder = folder(name, operator);
    let texts = files
        .iter()
        .map(|(name, text)| (folder.join(name), text.clone()));
    let mut loaded = LoadedTenant::nothing();
    loaded.texts = texts.collect();
    loaded.files = loaded.texts.iter().map(|(path, _)| path.clone()).collect();
    let total: usize = files.iter().map(|(_, text)| text.len()).sum();
    if files.len() > MOST || total > LARGEST {
        let what = "more than 64 files, or more than 256 KiB in all".to_owned();
        loaded.outcome = Err(Report {
            problems: vec![unreadable(&folder, what, "put fewer there")],
            texts: Vec::new(),
        });
        return loaded;
    }
    check(loaded, name, &folder, operator)
}

fn folder(name: &TenantName, operator: &Snapshot) -> Arc<Path> {
    let dir = operator.tenancy.dir.as_deref().unwrap_or(Path::new("/"));
    dir.join(name.as_str()).into()
}

/// Checks the texts that were read.
fn check(
    mut loaded: LoadedTenant,
    name: &TenantName,
    folder: &Arc<Path>,
    operator: &Snapshot,
) -> LoadedTenant {
    let mut problems = Problems::default();
    let config = put_together(&loaded.texts, &mut problems);
    let (mut part, claims) = compile::tenant(&config, name, folder, operator, &mut problems);
    loaded.files.append(&mut part.files);
    if !problems.has_errors() {
        compile::routable(&part.vhosts, &config, &mut problems);
    }
    if problems.has_errors() {
        loaded.outcome = Err(refusal(problems, loaded.texts.clone()));
        return loaded;
    }
    part.files = loaded.files.clone();
    part.texts = loaded.texts.clone().into();
    part.claims = claims
        .into_iter()
        .filter_map(|(host, place)| Some((host, at(place, &loaded.texts)?)))
        .collect();
    loaded.warnings = located(problems, &loaded.texts);
    loaded.outcome = Ok(Arc::new(part));
    loaded
}

/// A place that something may be said about later.
fn at(place: Place, texts: &Texts) -> Option<Diagnostic> {
    let mut said = Problems::default();
    said.error(&place, "", "");
    located(said, texts).pop()
}

/// The tenant's files in the order of their names.
fn texts(folder: &Arc<Path>, files: &mut Vec<PathBuf>) -> Result<Texts, Box<Diagnostic>> {
    let cannot = |path: &Path, error: io::Error| {
        let remedy = "put TOML files in UTF-8 there, 64 at most and of 256 KiB at most in all";
        Box::new(unreadable(path, format!("cannot be read: {error}"), remedy))
    };
    *files = tenant_files(folder).map_err(|error| cannot(folder, error))?;
    if files.is_empty() {
        let remedy = "put a file such as site.toml there; to remove the tenant, remove its folder";
        let what = "holds no .toml file".to_owned();
        return Err(Box::new(unreadable(folder, what, remedy)));
    }
    if files.len() > MOST {
        return Err(cannot(folder, io::Error::other("more than 64 files")));
    }
    let mut texts = Texts::new();
    let mut total = 0;
    for path in files.iter() {
        let text = beneath::regular(Some(folder), path).and_then(text_of);
        let text = text.map_err(|error| cannot(path, error))?;
        total += text.len();
        if total > LARGEST {
            return Err(cannot(path, io::Error::other("more than 256 KiB in all")));
        }
        texts.push((path.clone(), text));
    }
    Ok(texts)
}

/// The files of a tenant's folder that count, by name.
pub fn tenant_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|end| end == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// All files as if they were one.
fn put_together(texts: &Texts, out: &mut Problems) -> Config {
    let mut config = Config::default();
    for (number, (_, text)) in texts.iter().enumerate() {
        let Some(document) = document(text, number, out) else {
            continue;
        };
        let top = Place {
            file: number,
            ..Place::default()
        };
        let Some(file) = TenantFile::read(&document, &top, out) else {
            continue;
        };
        if let Some(version) = file.version.filter(|node| node.value != 1) {
            let message = format!("version {} of the format is not known", version.value);
            let remedy = "write version = 1, or run a newer Switchyard";
            out.error(&version.place, message, remedy);
        }
        match (&config.log, file.log) {
            (Some(_), Some(second)) => {
                let message = "another of the tenant's files says where its logs go";
                out.error(&second.place, message, "remove one of the two");
            }
            (None, Some(log)) => config.log = Some(log),
            (_, None) => {}
        }
        append(&mut config.vhost, file.vhost, |all, more| all.extend(more));
        let named = |all: &mut Named<_>, more: Named<_>| all.0.extend(more.0);
        append(&mut config.balancer, file.balancer, named);
        append(&mut config.policy, file.policy, |all, more| {
            all.0.extend(more.0);
        });
    }
    config
}

fn append<T>(all: &mut Option<Node<T>>, more: Option<Node<T>>, join: impl FnOnce(&mut T, T)) {
    match (all, more) {
        (Some(all), Some(more)) => join(&mut all.value, more.value),
        (none, Some(more)) => *none = Some(more),
        (_, None) => {}
    }
}
