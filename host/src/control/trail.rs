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
    /// What counts of each tenant.
    pub tenants: Vec<TenantWatched>,
}

/// What counts of one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TenantWatched {
    /// In which every `.toml` file counts.
    pub folder: PathBuf,
    /// Absolute paths.
    pub files: Vec<PathBuf>,
    /// Folders that are watched for it, beside its own and those on the way there: the kernel has so
    /// many watches for everybody.
    pub most: usize,
}

impl Watched {
    /// In the order in which two are compared.
    pub fn sort(&mut self) {
        self.files.sort();
        self.files.dedup();
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
        let (mut trail, mut room) = (Self::default(), usize::MAX);
        for path in &watched.files {
            trail.follow(path, &mut room);
        }
        if let Some(folder) = watched
            .all_tenants
            .as_deref()
            .and_then(|dir| trail.follow(dir, &mut room))
        {
            trail.folders.insert(folder.clone());
            trail.names.folders.insert(folder);
        }
        for tenant in &watched.tenants {
            trail.follow_tenant(tenant);
        }
        // The root changes with every mount and is watched only for want of anything nearer.
        if trail.folders.len() > 1 {
            trail.folders.remove(Path::new("/"));
        }
        trail
    }

    /// All that counts of a tenant, as far as there is room. False: there is more of it.
    pub fn follow_tenant(&mut self, tenant: &TenantWatched) -> bool {
        // Where it lies is the operator's to say, and in there it shows when something is mended.
        let mut room = usize::MAX;
        if let Some(folder) = self.follow(&tenant.folder, &mut room) {
            self.folders.insert(folder.clone());
            self.names.tenants.insert(folder);
        }
        // The last one is never taken: it shows that there are more.
        let mut room = tenant.most.saturating_add(1);
        for path in &tenant.files {
            self.follow(path, &mut room);
        }
        room > 0
    }

    /// Where it leads, if that is a folder. Of folders that were on no way before it takes fewer than
    /// there is room for.
    fn follow(&mut self, path: &Path, room: &mut usize) -> Option<PathBuf> {
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
            if !self.folders.contains(&at) {
                *room = room.saturating_sub(1);
                if *room == 0 {
                    return None;
                }
                self.folders.insert(at.clone());
            }
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
    fn tenant_with_deep_paths_has_its_own_folder_watched_and_so_many_more() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let deep = root.join("acme").join("d/".repeat(100));
        fs::create_dir_all(&deep).unwrap();
        let acme = |most, files: &[PathBuf]| TenantWatched {
            folder: root.join("acme"),
            files: files.to_vec(),
            most,
        };
        let site = root.join("acme/site.toml");
        let files = [deep.join("p.wasm"), site.clone(), deep.join("q.wasm")];
        for (most, files, all, folders) in [
            (100, &files[..], true, 101),
            (99, &files, false, 100),
            (5, &files, false, 6),
            (0, &files, false, 1),
            (0, &files[1..2], true, 1),
        ] {
            let mut trail = Trail::default();
            assert_eq!(trail.follow_tenant(&acme(most, files)), all, "{most}");
            let within = |path: &&PathBuf| path.starts_with(root.join("acme"));
            assert_eq!(trail.folders.iter().filter(within).count(), folders);
            assert!(trail.names.contains(&site), "{most}");
        }
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
