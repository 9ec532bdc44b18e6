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

use super::{PolicyFacts, VersionFacts, VersionOutcome};
use crate::policy::{Digest, Entry, Event};

/// Within `state_dir`.
const FILE: &str = "policies.json";

/// Histories are bounded, so a file that is larger is none of ours.
const LARGEST: u64 = 4 << 20;

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

    /// Keeps them as they are now.
    pub fn keep(&mut self, folder: Option<&Path>, policies: &[PolicyFacts]) {
        let Some(folder) = folder else { return };
        let histories = Histories {
            policies: policies
                .iter()
                .map(|policy| {
                    let name = policy.tenant.qualify(&policy.name);
                    (name, policy.history.clone())
                })
                .collect(),
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
        return Err(io::Error::other("it is larger than 4 MiB"));
    }
    serde_json::from_slice(&text).map_err(io::Error::other)
}

fn entry(facts: VersionFacts) -> Option<Entry> {
    let digest = match facts.digest {
        Some(hex) => Some(digest(&hex)?),
        None => None,
    };
    Some(Entry {
        at_ms: facts.at_ms,
        digest,
        event: match facts.outcome {
            VersionOutcome::InService { cause } => Event::Entered { cause },
            VersionOutcome::Refused { why } => Event::Refused { why },
            VersionOutcome::Undone { why } => Event::Undone { why },
            VersionOutcome::Promoted { why } => Event::Promoted { why },
            VersionOutcome::Withdrawn { why } => Event::Withdrawn { why },
        },
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
                outcome: VersionOutcome::InService {
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
        Archive::default().keep(Some(&folder), &[policy(&hex)]);
        let read = Archive::read(&folder);
        assert_eq!(read["own"].len(), 1);
        assert_eq!(read["own"][0].digest.unwrap().to_string(), hex);
        assert_eq!(read["own"][0].at_ms, 7);
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
        Archive::default().keep(Some(folder.path()), &[policy("not a digest")]);
        assert!(Archive::read(folder.path())["own"].is_empty());
    }
}
