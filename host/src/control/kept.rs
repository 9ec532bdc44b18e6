//! What each tenant served last, on disk: for a start that finds its files broken.
//!
//! A page for each tenant with the text of its files and the digests of its policies; the policies
//! themselves lie among the versions that `shelf` keeps. A page that is not what was written is
//! refused, never guessed at.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::stock;
use crate::{beneath, snapshot::TenantName};

/// Within `state_dir`, with a folder for each tenant.
const FOLDER: &str = "tenants";
/// Within a tenant's.
const FILE: &str = "last-good.json";
/// A tenant's files have 256 KiB at most, and JSON makes six bytes of one at worst.
const LARGEST: u64 = 2 << 20;
/// Of the page's own format.
const FORMAT: u32 = 1;

/// What a tenant served last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Page {
    format: u32,
    /// When it was kept, milliseconds since 1970.
    pub at_ms: u64,
    /// Its files in their order: name within the tenant's folder, and text.
    pub files: Vec<(String, String)>,
    /// Digests in hexadecimal, by the policy's name within the tenant.
    pub policies: BTreeMap<String, String>,
}

/// Why a page cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Damage {
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("it is larger than 2 MiB")]
    TooLarge,
    #[error("it is not what was written: its checksum does not fit")]
    Checksum,
    #[error("it is of another format: {0}")]
    Format(String),
}

impl Page {
    pub fn new(
        at_ms: u64,
        files: Vec<(String, String)>,
        policies: BTreeMap<String, String>,
    ) -> Self {
        Self {
            format: FORMAT,
            at_ms,
            files,
            policies,
        }
    }

    fn says_the_same(&self, other: &Self) -> bool {
        self.files == other.files && self.policies == other.policies
    }

    /// A checksum's line, then JSON.
    fn bytes(&self) -> io::Result<Vec<u8>> {
        let json = serde_json::to_vec(self)?;
        let mut bytes = format!("{}\n", stock::digest(&json)).into_bytes();
        bytes.extend(json);
        Ok(bytes)
    }

    fn of(bytes: &[u8]) -> Result<Self, Damage> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (sum, json) = bytes.split_at(end.ok_or(Damage::Checksum)?);
        let json = &json[1..];
        if stock::digest(json).to_string().as_bytes() != sum {
            return Err(Damage::Checksum);
        }
        let foreign = |why: String| Damage::Format(why);
        let page: Self = serde_json::from_slice(json).map_err(|e| foreign(e.to_string()))?;
        if page.format != FORMAT {
            return Err(foreign(format!("{} instead of {FORMAT}", page.format)));
        }
        let plain = |name: &str| !name.contains('/') && !name.starts_with('.');
        match page.files.iter().find(|(name, _)| !plain(name)) {
            Some((name, _)) => Err(foreign(format!("{name:?} is not a file's name"))),
            None => Ok(page),
        }
    }
}

/// The pages of all tenants.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// What is known to be written, so that nothing is written twice, and whose versions stay.
    pages: BTreeMap<TenantName, (PathBuf, Page)>,
}

pub(super) fn path(state_dir: &Path, tenant: &TenantName) -> PathBuf {
    state_dir.join(FOLDER).join(tenant.as_str()).join(FILE)
}

/// A tenant's page; `None`: nothing was kept.
pub(super) fn read(state_dir: &Path, tenant: &TenantName) -> Result<Option<Page>, Damage> {
    let file = match beneath::regular(Some(state_dir), &path(state_dir, tenant)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > LARGEST {
        true => Err(Damage::TooLarge),
        false => Page::of(&bytes).map(Some),
    }
}

impl Kept {
    /// The pages of an earlier run, as far as they can be used; who has none is told when it needs it.
    pub fn open(state_dir: &Path) -> Self {
        let mut pages = BTreeMap::new();
        for tenant in tenants(state_dir) {
            if let Ok(Some(page)) = read(state_dir, &tenant) {
                let path = path(state_dir, &tenant);
                pages.insert(tenant, (path, page));
            }
        }
        Self { pages }
    }

    /// Keeps what a tenant serves now.
    pub fn keep(&mut self, state_dir: &Path, tenant: &TenantName, page: Page) {
        let path = path(state_dir, tenant);
        let same = |(at, kept): &(PathBuf, Page)| *at == path && kept.says_the_same(&page);
        if self.pages.get(tenant).is_some_and(same) {
            return;
        }
        match write(state_dir, &path, &page) {
            Ok(()) => drop(self.pages.insert(tenant.clone(), (path, page))),
            Err(error) => {
                warn!(%tenant, file = %path.display(), %error, "The tenant's configuration cannot be kept; a start with broken files cannot go back to it");
            }
        }
    }

    /// The tenant was removed, and so is what it served.
    pub fn forget(&mut self, state_dir: &Path, tenant: &TenantName) {
        self.pages.remove(tenant);
        let path = path(state_dir, tenant);
        // What cannot be removed now will be at the next start.
        let _ = fs::remove_file(&path);
        let _ = path.parent().map(fs::remove_dir);
    }

    /// Likewise of everybody but these.
    pub fn retain(&mut self, state_dir: &Path, names: &[TenantName]) {
        for tenant in tenants(state_dir) {
            if !names.contains(&tenant) {
                self.forget(state_dir, &tenant);
            }
        }
    }

    /// Whose pages there are.
    pub fn tenants(&self) -> impl Iterator<Item = &TenantName> {
        self.pages.keys()
    }

    /// The versions that pages name.
    pub fn digests(&self) -> BTreeSet<String> {
        let policies = self
            .pages
            .values()
            .flat_map(|(_, page)| page.policies.values());
        policies.cloned().collect()
    }
}

fn tenants(state_dir: &Path) -> Vec<TenantName> {
    let entries = fs::read_dir(state_dir.join(FOLDER));
    let entries = entries.into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| Some(TenantName::new(entry.file_name().to_str()?)));
    names.collect()
}

fn write(state_dir: &Path, path: &Path, page: &Page) -> io::Result<()> {
    let folders = path.ancestors().skip(1).take(3).collect::<Vec<_>>();
    for folder in folders.into_iter().rev() {
        // Only these: a mistyped path must not grow a tree.
        if !folder.exists() && folder.starts_with(state_dir) {
            DirBuilder::new().mode(0o700).create(folder)?;
        }
    }
    // Whoever reads meanwhile sees the old page or the new one. It is not waited for until it is on
    // the disk itself: a page that a power cut tears is known by its checksum.
    let beside = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.custom_flags(libc::O_NOFOLLOW);
    options.open(&beside)?.write_all(&page.bytes()?)?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Page {
        let files = vec![("site.toml".to_owned(), text.to_owned())];
        Page::new(7, files, BTreeMap::from([("p".into(), "00ff".into())]))
    }

    fn acme() -> TenantName {
        TenantName::new("acme")
    }

    #[test]
    fn what_is_kept_is_read_again_until_its_tenant_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let mut kept = Kept::open(&state);
        assert!(read(&state, &acme()).unwrap().is_none());
        kept.keep(&state, &acme(), page("a"));
        assert_eq!(read(&state, &acme()).unwrap(), Some(page("a")));
        assert_eq!(
            Kept::open(&state).digests(),
            BTreeSet::from(["00ff".into()])
        );
        kept.keep(&state, &acme(), page("b"));
        assert_eq!(read(&state, &acme()).unwrap(), Some(page("b")));
        kept.retain(&state, &[acme()]);
        assert!(read(&state, &acme()).unwrap().is_some());
        kept.retain(&state, &[]);
        assert!(read(&state, &acme()).unwrap().is_none());
        assert!(kept.digests().is_empty());
        assert_eq!(fs::read_dir(state.join(FOLDER)).unwrap().count(), 0);
    }

    #[test]
    fn page_that_is_not_what_was_written_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path();
        Kept::default().keep(state, &acme(), page("a"));
        let path = path(state, &acme());
        let written = fs::read(&path).unwrap();
        let signed = |json: &str| format!("{}\n{json}", stock::digest(json.as_bytes()));
        let text = String::from_utf8(written.clone()).unwrap();
        let json = text.split_once('\n').unwrap().1;
        let cases: [(Vec<u8>, &str); 7] = [
            (Vec::new(), "checksum"),
            (written[..written.len() - 1].to_vec(), "checksum"),
            (text.replace("\"a\"", "\"b\"").into(), "checksum"),
            (signed("{}").into(), "format"),
            (signed(&json.replace(":1,", ":2,")).into(), "2 instead of 1"),
            (
                signed(&json.replace("site.toml", "../x.toml")).into(),
                "not a file's name",
            ),
            (vec![b'x'; LARGEST as usize + 1], "larger"),
        ];
        for (bytes, due) in cases {
            fs::write(&path, bytes).unwrap();
            let damage = read(state, &acme()).unwrap_err().to_string();
            assert!(damage.contains(due), "{due} in {damage}");
        }
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
        let damage = read(state, &acme()).unwrap_err().to_string();
        assert!(damage.contains("leads out"), "{damage}");
    }
}
