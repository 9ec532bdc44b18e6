//! The policies' histories on disk, so that they outlive the process.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File},
    io::{self, Read},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::{PolicyFacts, VersionFacts};
use crate::policy::{Digest, Entry};

/// Within `state_dir`.
const FILE: &str = "policies.json";

/// Histories are bounded, by 50 KB a policy, so a file that is larger is none of ours.
const LARGEST: u64 = 256 << 20;

/// Keeps histories in `state_dir`, where there is one.
#[derive(Debug, Default)]
pub(super) struct Archive {
    kept: Option<(PathBuf, Vec<u8>)>,
    failing: bool,
}

/// What happened in an earlier run, the oldest first, by qualified name.
pub(super) type Earlier = BTreeMap<String, Vec<Entry>>;

/// What the file says.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Histories {
    /// By policy (its qualified name), the newest first.
    policies: BTreeMap<String, Vec<VersionFacts>>,
}

impl Archive {
    /// The histories of an earlier run, oldest first. What cannot be read is told, and begins anew.
    pub fn read(folder: &Path) -> Earlier {
        let path = folder.join(FILE);
        let histories = match read(&path) {
            Ok(histories) => histories,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Histories::default(),
            Err(error) => {
                warn!(file = %path.display(), %error, "The policies' history cannot be read; it begins anew");
                Histories::default()
            }
        };
        let entries =
            |facts: Vec<VersionFacts>| facts.into_iter().rev().filter_map(entry).collect();
        let histories = histories.policies.into_iter();
        histories
            .map(|(name, facts)| (name, entries(facts)))
            .collect()
    }

    /// Keeps them as they are now, and those of policies that are not there at present: what was
    /// undone stays so, also where a tenant was left out for a while.
    pub fn keep(&mut self, folder: Option<&Path>, policies: &[PolicyFacts], absent: &Earlier) {
        let Some(folder) = folder else { return };
        let told = |entries: &Vec<Entry>| entries.iter().rev().cloned().map(facts).collect();
        let absent = absent.iter().map(|(name, all)| (name.clone(), told(all)));
        let present = policies.iter().map(|policy| {
            let name = policy.tenant.qualify(&policy.name);
            (name, policy.history.clone())
        });
        let histories = Histories {
            policies: absent.chain(present).collect(),
        };
        let written = serde_json::to_vec_pretty(&histories)
            .map_err(io::Error::other)
            .and_then(|text| self.write(folder, text));
        match written {
            Ok(()) => self.failing = false,
            Err(error) if !self.failing => {
                self.failing = true;
                warn!(folder = %folder.display(), %error, "The policies' history cannot be kept");
            }
            Err(_) => {}
        }
    }

    fn write(&mut self, folder: &Path, text: Vec<u8>) -> io::Result<()> {
        let path = folder.join(FILE);
        let same = |(at, kept): &(PathBuf, Vec<u8>)| *at == path && *kept == text;
        if self.kept.as_ref().is_some_and(same) {
            return Ok(());
        }
        if !folder.exists() {
            // Only the last folder: a mistyped path must not grow a tree.
            DirBuilder::new().mode(0o700).create(folder)?;
        }
        // Whoever reads meanwhile sees the old file or the new one.
        let beside = folder.join(format!(".{FILE}.new"));
        fs::write(&beside, &text)?;
        fs::rename(&beside, &path)?;
        self.kept = Some((path, text));
        Ok(())
    }
}

fn read(path: &Path) -> io::Result<Histories> {
    let mut text = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LARGEST {
        return Err(io::Error::other("it is larger than 256 MiB"));
    }
    serde_json::from_slice(&text).map_err(io::Error::other)
}

/// Policies of one tenant that are not there at present whose history is kept: four times as many as it
/// may have by default, for it may call them what it likes.
const ABSENT: usize = 64;

/// Keeps the history of a policy that is gone, for when it comes back.
pub(super) fn remember(earlier: &mut Earlier, name: String, entries: Vec<Entry>) {
    let tenant = |name: &str| {
        name.split_once(':')
            .map_or("", |(tenant, _)| tenant)
            .to_owned()
    };
    let own = tenant(&name);
    if earlier.keys().filter(|other| tenant(other) == own).count() < ABSENT {
        earlier.insert(name, entries);
    }
}

/// As it is told and kept.
pub(super) fn facts(entry: Entry) -> VersionFacts {
    VersionFacts {
        digest: entry.digest.map(|digest| digest.to_string()),
        at_ms: entry.at_ms,
        outcome: entry.event,
    }
}

fn entry(facts: VersionFacts) -> Option<Entry> {
    let digest = match facts.digest {
        Some(hex) => Some(digest(&hex)?),
        None => None,
    };
    Some(Entry {
        at_ms: facts.at_ms,
        digest,
        event: facts.outcome,
    })
}

fn digest(hex: &str) -> Option<Digest> {
    let mut bytes = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&hex[at..at + 2], 16).ok()?;
    }
    Some(Digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Event;
    use crate::snapshot::TenantName;

    fn policy(digest: &str) -> PolicyFacts {
        PolicyFacts {
            tenant: TenantName::operator(),
            name: "own".into(),
            source: PathBuf::new(),
            digest: digest.into(),
            size: 1,
            totals: [0; 5],
            last_error: None,
            history: vec![VersionFacts {
                digest: Some(digest.into()),
                at_ms: 7,
                outcome: Event::Entered {
                    cause: "start".into(),
                },
            }],
        }
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("state");
        let hex = "0123456789abcdef".repeat(4);
        let absent = Entry {
            at_ms: 3,
            digest: None,
            event: Event::Undone { why: "so".into() },
        };
        let earlier = Earlier::from([("acme:gone".into(), vec![absent.clone()])]);
        Archive::default().keep(Some(&folder), &[policy(&hex)], &earlier);
        let read = Archive::read(&folder);
        assert_eq!(read["acme:gone"], [absent], "of one that is not there");
        assert_eq!(read["own"].len(), 1);
        assert_eq!(read["own"][0].digest.unwrap().to_string(), hex);
        assert_eq!(read["own"][0].at_ms, 7);
    }

    #[test]
    fn tenant_that_renames_its_policies_for_ever_fills_nothing() {
        let mut earlier = Earlier::new();
        for number in 0..1_000 {
            remember(&mut earlier, format!("acme:p{number}"), Vec::new());
        }
        remember(&mut earlier, "beta:p".into(), Vec::new());
        assert_eq!(earlier.len(), ABSENT + 1);
    }

    #[test]
    fn file_that_is_damaged_is_no_history() {
        let folder = tempfile::tempdir().unwrap();
        for damage in [
            "",
            "{",
            "{\"policies\":{\"own\":[{\"digest\":\"é\"}]}}",
            "[]",
        ] {
            fs::write(folder.path().join(FILE), damage).unwrap();
            assert!(Archive::read(folder.path()).is_empty(), "{damage}");
        }
        Archive::default().keep(
            Some(folder.path()),
            &[policy("not a digest")],
            &Earlier::new(),
        );
        assert!(Archive::read(folder.path())["own"].is_empty());
    }
}
