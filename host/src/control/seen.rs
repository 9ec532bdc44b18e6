//! Whether a file may have changed since it was read.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// File systems keep times as coarsely as 10 ms, networked ones a second: two writes within that
/// cannot be told apart, so a file that is this young is always read again.
const COARSE: Duration = Duration::from_secs(2);

/// How a file looked just before it was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    stat: Option<Stat>,
    /// Old enough for a later write to show.
    settled: bool,
}

/// Everything that a write, a rename or a new link changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Seen {
    /// It was read before anybody looked: whatever it looks like is new.
    pub fn never() -> Self {
        Self {
            stat: None,
            settled: false,
        }
    }

    /// Looks now. Call it before reading.
    pub fn look(path: &Path) -> Self {
        let stat = fs::metadata(path).ok().map(|m| Stat {
            device: m.dev(),
            inode: m.ino(),
            size: m.size(),
            modified: (m.mtime(), m.mtime_nsec()),
            changed: (m.ctime(), m.ctime_nsec()),
        });
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default();
        let settled = stat.is_none_or(|stat| {
            let changed = Duration::from_secs(u64::try_from(stat.changed.0).unwrap_or(0));
            now.checked_sub(changed).is_some_and(|age| age > COARSE)
        });
        Self { stat, settled }
    }

    /// Whether the file is surely what it was.
    pub fn is_same(&self, path: &Path) -> bool {
        self.settled && Self::look(path).stat == self.stat
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn young_file_is_never_taken_for_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.wasm");
        assert!(Seen::look(&path).is_same(&path), "still missing");
        let missing = Seen::look(&path);
        fs::write(&path, "a").unwrap();
        assert!(!missing.is_same(&path), "it appeared");
        assert!(!Seen::look(&path).is_same(&path), "too young");
    }
}
