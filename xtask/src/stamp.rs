//! Policies that name themselves: one module, many stamps.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};
use switchyard_guest_build::{Order, Toolchain, componentize, target_dir};

use crate::workspace;

/// The answer's header that carries the stamp.
pub const HEADER: &str = "switchyard-stamp";

/// What the compiled module holds once.
const MARK: &[u8; 16] = b"stamp-0000000000";

/// A component whose stamp can be overwritten.
#[derive(Debug)]
pub struct Stamped {
    component: Vec<u8>,
    at: usize,
}

impl Stamped {
    /// Builds the guest.
    pub fn build(toolchain: &Toolchain) -> Result<Self> {
        let order = Order {
            workspace: workspace::root(),
            target_dir: target_dir(&std::env::current_exe()?),
            packages: vec!["policy-stamp".to_owned()],
            examples_of: Vec::new(),
        };
        let guests = toolchain.build(&order)?;
        let guest = guests
            .first()
            .context("the stamping policy was not built")?;
        Self::new(componentize(&fs::read(&guest.module)?)?)
    }

    fn new(component: Vec<u8>) -> Result<Self> {
        let mut places = component
            .windows(MARK.len())
            .enumerate()
            .filter(|(_, bytes)| bytes == MARK);
        let (Some((at, _)), None) = (places.next(), places.next()) else {
            bail!(
                "the stamping policy does not hold its mark exactly once: its optimiser saw through it"
            );
        };
        Ok(Self { component, at })
    }

    /// The stamp of version `number`.
    pub fn stamp(number: u32) -> String {
        format!("stamp-{number:010}")
    }

    /// Puts version `number` in the place of `path`, at once.
    pub fn install(&self, number: u32, path: &Path) -> Result<()> {
        let mut component = self.component.clone();
        component[self.at..self.at + MARK.len()].copy_from_slice(Self::stamp(number).as_bytes());
        replace(path, &component)
    }
}

/// Renames new content over `path`, as careful editors and deployments do: nobody sees half a file.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let next = path.with_extension("next");
    fs::write(&next, content).with_context(|| format!("cannot write {}", next.display()))?;
    fs::rename(&next, path).with_context(|| format!("cannot replace {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_differs_from_another_in_its_stamp_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stamp.wasm");
        let stamped = Stamped::new(b"before stamp-0000000000 after".to_vec()).unwrap();
        stamped.install(7, &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"before stamp-0000000007 after");
        stamped.install(20, &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"before stamp-0000000020 after");
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing else is left behind"
        );
    }

    #[test]
    fn the_optimiser_leaves_the_mark_whole() {
        let toolchain = Toolchain::find(switchyard_guest_build::Permission::LookOnly).unwrap();
        Stamped::build(&toolchain).unwrap();
    }

    #[test]
    fn a_module_without_its_mark_is_refused() {
        assert!(Stamped::new(b"no mark".to_vec()).is_err());
        assert!(Stamped::new(b"stamp-0000000000stamp-0000000000".to_vec()).is_err());
    }
}
