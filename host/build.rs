//! Builds the built-in policies from source, and writes the tables that `src/builtin.rs` and the
//! command `policy new` include: those policies, and the SDK's own sources.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use switchyard_guest_build::{Order, Permission, Toolchain, componentize, target_dir};

/// Folders of `policies`, and the names operators write.
const BUILT_IN: [&str; 5] = [
    "byrequests",
    "bytraffic",
    "bybusyness",
    "jsessionid",
    "reverse",
];

fn main() -> ExitCode {
    match embed() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Cargo shows this below the compiler's own messages; a panic's backtrace would bury both.
            eprintln!("\n{error}\n");
            ExitCode::FAILURE
        }
    }
}

fn embed() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR for build scripts")?);
    // Asked for now, not at compile time: checkouts that share a target folder share this program as well.
    let own = env::var_os("CARGO_MANIFEST_DIR")
        .ok_or("cargo sets CARGO_MANIFEST_DIR for build scripts")?;
    let workspace = PathBuf::from(own).join("..");
    for source in ["guest-sdk", "policies", "wit", "Cargo.toml", "Cargo.lock"] {
        println!(
            "cargo::rerun-if-changed={}",
            workspace.join(source).display()
        );
    }

    embed_sdk(&workspace, &out)?;

    // A build must not change the machine: installing is left to `cargo xtask`.
    let toolchain = Toolchain::find(Permission::LookOnly).map_err(|missing| {
        format!(
            "{missing}\n`cargo xtask guests` does the second or the third by itself where it may."
        )
    })?;
    let order = Order {
        workspace,
        target_dir: target_dir(&out),
        packages: BUILT_IN
            .iter()
            .map(|name| format!("policy-{name}"))
            .collect(),
        examples_of: Vec::new(),
    };

    let mut table = String::from("&[\n");
    let guests = toolchain.build(&order)?;
    // In the order of the names, not the one in which cargo happened to finish them.
    for (name, package) in BUILT_IN.iter().zip(&order.packages) {
        let Some(guest) = guests.iter().find(|guest| guest.name == *package) else {
            return Err(format!("package {package} was not built").into());
        };
        let component = componentize(&fs::read(&guest.module)?)
            .map_err(|error| format!("policy {name}: {error}"))?;
        let file = out.join(format!("{name}.wasm"));
        fs::write(&file, component)?;
        writeln!(
            table,
            "    BuiltIn {{ name: {name:?}, wasm: include_bytes!({:?}) }},",
            file.display().to_string()
        )?;
    }
    table.push_str("]\n");
    fs::write(out.join("builtin.rs"), table)?;
    Ok(())
}

/// A table of paths and texts: what a project outside of this repository needs to be a policy.
fn embed_sdk(workspace: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    let sdk = workspace.join("guest-sdk");
    let mut files = Vec::new();
    walk(&sdk.join("src"), &mut files)?;
    // The crate's documentation shows it.
    files.push(sdk.join("examples/canary.rs"));
    let mut table = String::from("&[\n");
    for file in &files {
        let name = file.strip_prefix(&sdk)?.display().to_string();
        let path = file.display().to_string();
        writeln!(table, "    ({name:?}, include_str!({path:?})),")?;
    }
    table.push_str("]\n");
    fs::write(out.join("sdk.rs"), table)?;
    Ok(())
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries: io::Result<Vec<_>> = fs::read_dir(folder)?.collect();
    let mut entries: Vec<_> = entries?.into_iter().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            walk(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
