//! Builds the built-in policies from source and writes the table that `src/builtin.rs` includes.

use std::{env, error::Error, fmt::Write as _, fs, path::PathBuf, process::ExitCode};

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

    // A build must not change the machine: installing is left to `cargo xtask`.
    let toolchain = Toolchain::find(Permission::LookOnly)?;
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
