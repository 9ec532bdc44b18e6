//! The folders in which a change can lead a path somewhere else.

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    ffi::OsString,
    fs,
    path::{Component, Path, PathBuf},
};

/// The kernel's own bound on links in one path.
const LINKS: u32 = 40;

/// Where to look for changes that concern some paths.
///
/// A path is followed name by name: each folder on the way is to be watched, for in
/// it a folder may be swapped, a link redirected, a file replaced; links are
/// followed, so that what they lead to is watched as well. Where a name is missing,
/// the way ends in the nearest folder that is there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Trail {
    /// Existing folders, without links in their paths.
    pub folders: BTreeSet<PathBuf>,
    /// The names of interest in them.
    pub names: HashSet<PathBuf>,
}

impl Trail {
    /// Of several absolute paths.
    pub fn of<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        let mut trail = Self::default();
        for path in paths {
            trail.follow(path);
        }
        // The root changes with every mount and is watched only for want of anything nearer.
        if trail.folders.len() > 1 {
            trail.folders.remove(Path::new("/"));
        }
        trail
    }

    fn follow(&mut self, path: &Path) {
        let mut at = PathBuf::from("/");
        let mut left: VecDeque<OsString> = names(path);
        let mut links = 0;
        while let Some(name) = left.pop_front() {
            if name == ".." {
                at.pop();
                continue;
            }
            let next = at.join(name);
            let kind = fs::symlink_metadata(&next).map(|m| m.file_type());
            self.folders.insert(at.clone());
            self.names.insert(next.clone());
            let Ok(kind) = kind else { return };
            if kind.is_dir() {
                at = next;
            } else if kind.is_symlink() {
                links += 1;
                let Ok(target) = fs::read_link(&next) else {
                    return;
                };
                if links > LINKS {
                    return;
                }
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                let mut way = names(&target);
                way.append(&mut left);
                left = way;
            }
        }
    }
}

fn names(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn within(trail: &Trail, root: &Path) -> (Vec<String>, Vec<String>) {
        let short = |path: &PathBuf| {
            let path = path.strip_prefix(root).ok()?;
            Some(path.display().to_string())
        };
        let mut names: Vec<_> = trail.names.iter().filter_map(short).collect();
        names.sort();
        (trail.folders.iter().filter_map(short).collect(), names)
    }

    #[test]
    fn every_folder_and_link_on_the_way_is_part_of_the_trail() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir(root.join("..v1")).unwrap();
        fs::write(root.join("..v1/a.toml"), "").unwrap();
        symlink("..v1", root.join("..data")).unwrap();
        symlink("..data/a.toml", root.join("a.toml")).unwrap();
        let trail = Trail::of([&root.join("a.toml")]);
        let (folders, names) = within(&trail, &root);
        assert_eq!(folders, ["", "..v1"]);
        assert_eq!(names, ["", "..data", "..v1", "..v1/a.toml", "a.toml"]);
    }

    #[test]
    fn missing_folder_leads_to_the_nearest_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let trail = Trail::of([&root.join("policies/deep/a.wasm")]);
        let (folders, names) = within(&trail, &root);
        assert_eq!(folders, [""]);
        assert_eq!(names, ["", "policies"]);
    }

    #[test]
    fn links_in_a_circle_end() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
        let trail = Trail::of([&root.join("a")]);
        assert!(trail.names.contains(&root.join("b")));
    }
}
