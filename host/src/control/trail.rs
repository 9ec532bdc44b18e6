//! The folders in which a change can lead a path somewhere else.

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    ffi::OsString,
    fs,
    path::{Component, Path, PathBuf},
};

/// The kernel's own bound on links in one path.
const LINKS: u32 = 40;

/// What counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Watched {
    /// Absolute paths.
    pub files: Vec<PathBuf>,
    /// In which every folder is a tenant's.
    pub all_tenants: Option<PathBuf>,
    /// In which every `.toml` file counts.
    pub tenants: Vec<PathBuf>,
}

impl Watched {
    /// In the order in which two are compared.
    pub fn sort(&mut self) {
        self.files.sort();
        self.files.dedup();
        self.tenants.sort();
        self.tenants.dedup();
    }
}

/// Which names count, of those that events tell.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Interest {
    /// These paths.
    pub names: HashSet<PathBuf>,
    /// Whatever is in these folders.
    pub folders: HashSet<PathBuf>,
    /// Whatever ends in `.toml` in these.
    pub tenants: HashSet<PathBuf>,
}

impl Interest {
    /// Whether a change of this path counts.
    pub fn contains(&self, path: &PathBuf) -> bool {
        let within = |folders: &HashSet<PathBuf>| {
            path.parent().is_some_and(|folder| folders.contains(folder))
        };
        // A tenant's logs may lie beside its files, and change with every request.
        self.names.contains(path)
            || within(&self.folders)
            || within(&self.tenants) && path.extension().is_some_and(|end| end == "toml")
    }
}

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
    /// What counts in them.
    pub names: Interest,
}

impl Trail {
    /// Of all that counts.
    pub fn of(watched: &Watched) -> Self {
        let mut trail = Self::default();
        for path in &watched.files {
            trail.follow(path);
        }
        if let Some(folder) = watched
            .all_tenants
            .as_deref()
            .and_then(|dir| trail.follow(dir))
        {
            trail.folders.insert(folder.clone());
            trail.names.folders.insert(folder);
        }
        for tenant in &watched.tenants {
            if let Some(folder) = trail.follow(tenant) {
                trail.folders.insert(folder.clone());
                trail.names.tenants.insert(folder);
            }
        }
        // The root changes with every mount and is watched only for want of anything nearer.
        if trail.folders.len() > 1 {
            trail.folders.remove(Path::new("/"));
        }
        trail
    }

    /// Where it leads, if that is a folder.
    fn follow(&mut self, path: &Path) -> Option<PathBuf> {
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
            self.names.names.insert(next.clone());
            let kind = kind.ok()?;
            if kind.is_dir() {
                at = next;
            } else if kind.is_symlink() {
                links += 1;
                let target = fs::read_link(&next).ok()?;
                if links > LINKS {
                    return None;
                }
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                let mut way = names(&target);
                way.append(&mut left);
                left = way;
            } else {
                return None;
            }
        }
        Some(at)
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

    fn of(path: PathBuf) -> Trail {
        Trail::of(&Watched {
            files: vec![path],
            ..Watched::default()
        })
    }

    fn within(trail: &Trail, root: &Path) -> (Vec<String>, Vec<String>) {
        let short = |path: &PathBuf| {
            let path = path.strip_prefix(root).ok()?;
            Some(path.display().to_string())
        };
        let mut names: Vec<_> = trail.names.names.iter().filter_map(short).collect();
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
        let trail = of(root.join("a.toml"));
        let (folders, names) = within(&trail, &root);
        assert_eq!(folders, ["", "..v1"]);
        assert_eq!(names, ["", "..data", "..v1", "..v1/a.toml", "a.toml"]);
    }

    #[test]
    fn missing_folder_leads_to_the_nearest_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let trail = of(root.join("policies/deep/a.wasm"));
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
        let trail = of(root.join("a"));
        assert!(trail.names.names.contains(&root.join("b")));
    }
}
