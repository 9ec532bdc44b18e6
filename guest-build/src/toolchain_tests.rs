//! The search, on machines made of shell scripts in a folder.

use std::{os::unix::fs::PermissionsExt, path::Path};

use super::*;

/// A machine without anything.
struct Fake {
    folder: tempfile::TempDir,
    machine: Machine,
}

impl Fake {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        // `sh` and the few tools that the fake programs use come from the real folders,
        // which hold neither rustup nor wasm-ld-22 under these names in any test.
        let machine = Machine {
            path: vec![root.join("bin")],
            root: root.clone(),
            rustc: "rustc".into(),
            superuser: false,
        };
        Self { folder, machine }
    }

    fn root(mut self) -> Self {
        self.machine.superuser = true;
        self
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    fn file(self, relative: &str, text: &str) -> Self {
        write(&self.path(relative), text);
        self
    }

    /// An executable whose body runs with `$ROOT` set; everything it calls is named by its path.
    fn program(self, relative: &str, body: &str) -> Self {
        let path = self.path(relative);
        write(
            &path,
            &format!("#!/bin/sh\nROOT={}\n{body}\n", self.folder.path().display()),
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// A compiler whose target library is `$ROOT/wasm`.
    fn rustc(self) -> Self {
        self.program("bin/rustc", r#"echo "$ROOT/wasm""#)
    }

    fn debian(self, version: &str) -> Self {
        self.program("usr/bin/rustc", &format!("echo '{version}'"))
            .program("bin/wasm-ld-22", "")
            .file("usr/lib/rustlib/src/rust/library/Cargo.lock", "")
    }

    fn find(&self, permission: Permission) -> Result<Toolchain, NotFound> {
        Toolchain::find_on(&self.machine, permission)
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.path("calls")).unwrap_or_default()
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

const ADD_TARGET: &str = r#"echo "rustup $*" >>"$ROOT/calls"; /bin/mkdir -p "$ROOT/wasm"; : >"$ROOT/wasm/libstd-1.rlib""#;
const OFFLINE: &str = r#"echo "$0 $*" >>"$ROOT/calls"; exit 1"#;

#[test]
fn the_active_toolchain_comes_first() {
    let fake = Fake::new()
        .rustc()
        .file("wasm/libstd-0123.rlib", "")
        .program("bin/rustup", OFFLINE)
        .debian("rustc 1.96.0 (built from a source tarball)");
    let found = fake.find(Permission::Install).unwrap();
    assert_eq!(
        found.route,
        Route::Active {
            rustc: fake.path("bin/rustc")
        }
    );
    assert_eq!(fake.calls(), "");
}

#[test]
fn rustup_adds_the_target_where_it_may() {
    let fake = Fake::new().rustc().program("bin/rustup", ADD_TARGET);
    let found = fake.find(Permission::Install).unwrap();
    assert_eq!(
        found.route,
        Route::Active {
            rustc: fake.path("bin/rustc")
        }
    );
    assert_eq!(fake.calls(), "rustup target add wasm32-unknown-unknown\n");
}

#[test]
fn looking_changes_nothing_and_names_the_three_ways() {
    let fake = Fake::new()
        .root()
        .rustc()
        .program("bin/rustup", ADD_TARGET)
        .program("bin/apt-get", OFFLINE);
    let message = fake.find(Permission::LookOnly).unwrap_err().to_string();
    assert_eq!(fake.calls(), "");
    for part in [
        "1. ",
        "2. `rustup target add wasm32-unknown-unknown`: not done yet",
        "3. ",
        "rustc-web rust-web-src lld-22",
    ] {
        assert!(message.contains(part), "`{part}` in {message}");
    }
}

#[test]
fn debian_serves_where_rustup_is_offline() {
    let fake = Fake::new()
        .rustc()
        .program("bin/rustup", OFFLINE)
        .debian("rustc 1.96.0 (x)");
    let found = fake.find(Permission::Install).unwrap();
    let expected = Route::Debian {
        rustc: fake.path("usr/bin/rustc"),
        linker: fake.path("bin/wasm-ld-22"),
    };
    assert_eq!(found.route, expected);
}

#[test]
fn debian_serves_where_there_is_no_rustup_and_nothing_may_be_installed() {
    let fake = Fake::new().debian("rustc 1.96.0 (x)");
    assert!(matches!(
        fake.find(Permission::LookOnly).unwrap().route,
        Route::Debian { .. }
    ));
}

#[test]
fn a_compiler_that_is_too_old_is_named() {
    let fake = Fake::new().debian("rustc 1.63.0 (4b91a6ea7 2022-08-08)");
    let reason = fake.find(Permission::LookOnly).unwrap_err().debian;
    assert!(
        reason.contains("rustc 1.63.0") && reason.contains("1.95 is needed"),
        "{reason}"
    );
}

#[test]
fn root_installs_packages_after_refreshing_stale_lists() {
    let apt = r#"
        echo "$*" >>"$ROOT/calls"
        case "$*" in
          *update*) : >"$ROOT/fresh" ;;
          *install*)
            [ -f "$ROOT/fresh" ] || exit 100
            /bin/mkdir -p "$ROOT/usr/bin" "$ROOT/usr/lib/rustlib/src/rust/library"
            printf '#!/bin/sh\necho rustc 1.96.0\n' >"$ROOT/usr/bin/rustc"; /bin/chmod 755 "$ROOT/usr/bin/rustc"
            printf '#!/bin/sh\n' >"$ROOT/bin/wasm-ld-22"; /bin/chmod 755 "$ROOT/bin/wasm-ld-22"
            : >"$ROOT/usr/lib/rustlib/src/rust/library/Cargo.lock" ;;
        esac"#;
    let fake = Fake::new().root().program("bin/apt-get", apt);
    assert!(matches!(
        fake.find(Permission::Install).unwrap().route,
        Route::Debian { .. }
    ));
    let calls = fake.calls();
    assert_eq!(
        calls.lines().count(),
        3,
        "install, update, install: {calls}"
    );
    assert!(
        calls.contains(
            "install --yes --quiet --no-install-recommends rustc-web rust-web-src lld-22"
        ),
        "{calls}"
    );
}

#[test]
fn who_is_not_root_is_told_so_and_no_package_is_touched() {
    let fake = Fake::new().program("bin/apt-get", OFFLINE);
    let reason = fake.find(Permission::Install).unwrap_err().debian;
    assert!(reason.contains("only root"), "{reason}");
    assert_eq!(fake.calls(), "");
}

#[test]
fn everything_failing_says_what_failed() {
    let fake = Fake::new()
        .root()
        .rustc()
        .program("bin/rustup", OFFLINE)
        .program("bin/apt-get", OFFLINE);
    let error = fake.find(Permission::Install).unwrap_err();
    assert!(error.active.contains("no standard library"), "{error}");
    assert!(
        error
            .rustup
            .contains("`rustup target add wasm32-unknown-unknown` failed"),
        "{error}"
    );
    assert!(
        error.debian.contains("`apt-get --quiet update` failed"),
        "{error}"
    );
}

#[test]
fn versions_are_read_from_what_compilers_print() {
    for (text, minor) in [
        ("rustc 1.95.0 (59807616e 2026-04-14)", Some(95)),
        ("rustc 1.97.0-nightly (0123456 2026-05-01)", Some(97)),
        ("rustc 2.0.0", None),
        ("", None),
    ] {
        assert_eq!(minor_version(text), minor, "{text}");
    }
}
