//! Tells the program which Pingora it is.

fn main() {
    let lock = std::fs::read_to_string("Cargo.lock").expect("cargo writes it before it builds");
    let mut lines = lock
        .lines()
        .skip_while(|line| *line != "name = \"pingora\"");
    let version = lines
        .nth(1)
        .and_then(|line| line.split('"').nth(1))
        .unwrap_or("unknown");
    println!("cargo::rerun-if-changed=Cargo.lock");
    println!("cargo::rustc-env=PINGORA_VERSION={version}");
}
