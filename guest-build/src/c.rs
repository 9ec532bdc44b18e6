//! What C needs of the contract: a header, a source and an object file.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use wit_bindgen_core::{Files, wit_parser::Resolve};

/// Bindings that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BindingsError {
    /// The contract cannot be read, or has no such world.
    #[error("no bindings for world `{world}` of {}: {cause}", .wit.display())]
    Contract {
        /// The file or folder.
        wit: PathBuf,
        /// The world's name.
        world: String,
        /// The generator's chain of causes in one line.
        cause: String,
    },
    /// They cannot be written.
    #[error("cannot write {}: {cause}", .path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        cause: io::Error,
    },
}

/// Writes `<world>.h`, `<world>.c` and `<world>_component_type.o` for `world` of the contract
/// in `wit` into the folder `out`, with `_` for each `-` of the name. The object file, linked
/// in, is what makes the module a policy.
pub fn c_bindings(wit: &Path, world: &str, out: &Path) -> Result<(), BindingsError> {
    let contract = |cause: String| BindingsError::Contract {
        wit: wit.to_owned(),
        world: world.to_owned(),
        cause,
    };
    let mut resolve = Resolve::default();
    let (package, _) = resolve
        .push_path(wit)
        .map_err(|cause| contract(format!("{cause:#}")))?;
    let world = resolve
        .select_world(&[package], Some(world))
        .map_err(|cause| contract(format!("{cause:#}")))?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default()
        .build()
        .generate(&mut resolve, world, &mut files)
        .map_err(|cause| contract(format!("{cause:#}")))?;
    fs::create_dir_all(out).map_err(write(out))?;
    for (name, bytes) in files.iter() {
        let path = out.join(name);
        fs::write(&path, bytes).map_err(write(&path))?;
    }
    Ok(())
}

fn write(path: &Path) -> impl Fn(io::Error) -> BindingsError + '_ {
    |cause| BindingsError::Write {
        path: path.to_owned(),
        cause,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../wit");

    #[test]
    fn a_world_becomes_three_files() {
        let out = tempfile::tempdir().unwrap();
        c_bindings(Path::new(WIT), "balancer-policy", out.path()).unwrap();
        let header = fs::read_to_string(out.path().join("balancer_policy.h")).unwrap();
        assert!(
            header.contains("exports_switchyard_policy_balancer_pick"),
            "{header}"
        );
        let object = fs::read(out.path().join("balancer_policy_component_type.o")).unwrap();
        assert_eq!(object[..4], *b"\0asm");
        assert!(out.path().join("balancer_policy.c").is_file());
    }

    #[test]
    fn a_world_that_is_not_there_is_named() {
        let out = tempfile::tempdir().unwrap();
        let error = c_bindings(Path::new(WIT), "teapot", out.path()).unwrap_err();
        assert!(error.to_string().contains("teapot"), "{error}");
    }
}
