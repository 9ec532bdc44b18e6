//! Whether a file is a policy, and what to tell its author if it is not.

use wasmtime::{Engine, component::Component};

use super::{
    fault::cut,
    guests::{EXPORTS, qualified},
    host::{CONTRACT, IMPORTS},
    sections::{Section, missing, sections},
    wasi,
};
use crate::policy::Refusal;

/// Bytes of a refusal's text.
const TEXT: usize = 2048;

/// Names shown of a list; a hostile component has thousands.
const SHOWN: usize = 8;

/// What kind of WebAssembly a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Ready to compile.
    Component,
    /// With wit-bindgen's metadata: becomes a component.
    Core,
}

/// Ids of a core module's sections.
const FUNCTIONS: u8 = 3;
const CODE: u8 = 10;

/// Looks at the first bytes, whether the file is whole and, in a core module, for the contract's metadata.
pub(super) fn format(wasm: &[u8]) -> Result<Format, String> {
    if wasm.is_empty() {
        return Err(
            "is empty, not WebAssembly; is it being written, or was building it given up?".into(),
        );
    }
    let text = wasm.trim_ascii_start();
    if text.starts_with(b"(module") || text.starts_with(b"(component") {
        return Err(
            "is WebAssembly text; give the compiled .wasm file (`wat2wasm`, `wasm-tools parse`)"
                .into(),
        );
    }
    if wasm.starts_with(b"\x7fELF") {
        return Err(
            "is compiled native code; give the .wasm file itself, the host compiles it".into(),
        );
    }
    let magic = b"\0asm";
    if !wasm.starts_with(magic) && !magic.starts_with(wasm) {
        let found: String = wasm
            .iter()
            .take(8)
            .map(|byte| byte.escape_ascii().to_string())
            .collect();
        return Err(format!(
            "is not WebAssembly: it begins with \"{found}\", not with \"\\0asm\""
        ));
    }
    let Some(header) = wasm.first_chunk::<8>() else {
        return Err(ends_early(wasm));
    };
    match header[4..] {
        [0x0d, 0, 1, 0] | [1, 0, 0, 0] if missing(wasm).is_some() => Err(ends_early(wasm)),
        [0x0d, 0, 1, 0] => Ok(Format::Component),
        [1, 0, 0, 0] => {
            let has = |id| sections(wasm).any(|section| section.id == id);
            if has(FUNCTIONS) && !has(CODE) {
                Err(ends_early(wasm))
            } else if has_metadata(wasm) {
                Ok(Format::Core)
            } else {
                Err("is a WebAssembly module without the contract's metadata: build it with the crate \
                     `switchyard-policy` (or wit-bindgen on wit/policy.wit), and do not strip custom sections"
                    .into())
            }
        }
        [a, b, c, d] => Err(format!(
            "is WebAssembly of an unknown version ({a:#04x} {b:#04x} {c:#04x} {d:#04x}): \
             modules of version 1 and components are understood"
        )),
        _ => Err("is not WebAssembly".into()),
    }
}

/// A file whose rest is missing.
fn ends_early(wasm: &[u8]) -> String {
    let bytes = wasm.len();
    let more = missing(wasm).unwrap_or(1);
    format!(
        "ends in its middle: of its {bytes} bytes the last section or header lacks {more} more at least, so it is \
         half written or was cut off; copy it whole (to another name beside it, then rename it), or build it again"
    )
}

/// Whether a custom section `component-type…` is among the module's sections.
fn has_metadata(wasm: &[u8]) -> bool {
    sections(wasm)
        .filter_map(Section::custom)
        .any(|(name, _)| name.starts_with(b"component-type"))
}

/// Whether the component's imports and exports are the contract's.
pub(super) fn contract(engine: &Engine, component: &Component) -> Result<(), Refusal> {
    let component = component.component_type();
    let imports: Vec<String> = component
        .imports(engine)
        .map(|(name, _)| name.to_owned())
        .collect();
    let exports: Vec<String> = component
        .exports(engine)
        .map(|(name, _)| name.to_owned())
        .collect();
    if let Some(why) = judge(&imports, &exports) {
        Err(not_a_policy(why))
    } else {
        Ok(())
    }
}

/// What is wrong with a component that has these imports and exports.
fn judge(imports: &[String], exports: &[String]) -> Option<String> {
    let (package, version) = CONTRACT;
    let host = version.trim_start_matches('@');
    // Another version of ours first: everything else follows from it.
    for name in imports.iter().chain(exports) {
        if let Some((_, theirs)) = name
            .strip_prefix(package)
            .and_then(|name| name.split_once('@'))
            && !compatible(theirs, host)
        {
            return Some(format!(
                "is written for version {theirs} of the contract (`{name}`), this host speaks {host}: \
                 build it with the matching `switchyard-policy`"
            ));
        }
    }
    let known = |name: &str, list: &[&str]| {
        let interface = name
            .strip_prefix(package)
            .and_then(|name| name.split('@').next());
        interface.is_some_and(|interface| list.contains(&interface))
    };
    let unknown: Vec<_> = imports
        .iter()
        .filter(|name| !known(name, &IMPORTS) && !wasi::is_known(name))
        .collect();
    if let Some(first) = unknown.first() {
        let remedy = if first.starts_with("wasi:") {
            "of WASI a policy may import version 0.2 of what standard libraries use: cli, clocks, filesystem, \
             io, random and sockets, all of them empty"
        } else {
            "policies may import the interfaces of wit/policy.wit only"
        };
        return Some(format!("imports {}; {remedy}", listed(&unknown)));
    }
    let unknown: Vec<_> = exports
        .iter()
        .filter(|name| name.starts_with(package) && !known(name, EXPORTS))
        .collect();
    if !unknown.is_empty() {
        return Some(format!(
            "exports {}, which this host does not know",
            listed(&unknown)
        ));
    }
    let has = |interface: &str| exports.iter().any(|name| known(name, &[interface]));
    let decisions = ["balancer", "affinity", "rewriter"];
    let mut missing = Vec::new();
    if !has("lifecycle") {
        missing.push(qualified("lifecycle"));
    }
    if !decisions.iter().any(|decision| has(decision)) {
        missing.push(format!("one of {}", decisions.map(qualified).join(", ")));
    }
    if has("balancer") && !has("membership") {
        missing.push(format!(
            "{} (required of balancers)",
            qualified("membership")
        ));
    }
    if missing.is_empty() {
        return None;
    }
    let found = if exports.is_empty() {
        "nothing".to_owned()
    } else {
        listed(&exports.iter().collect::<Vec<_>>())
    };
    Some(format!(
        "is no policy: it does not export {}; it exports {found}",
        missing.join(", nor ")
    ))
}

/// Whether interfaces of version `theirs` link with the host's (semver: before
/// 1.0 the minor version must be the same).
fn compatible(theirs: &str, host: &str) -> bool {
    let minor = |version: &str| version.rsplit_once('.').map(|(minor, _)| minor.to_owned());
    minor(theirs) == minor(host)
}

fn listed(names: &[&String]) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{name}`"))
        .collect();
    let more = names.len().saturating_sub(SHOWN);
    if more > 0 {
        format!("{} and {more} more", shown.join(", "))
    } else {
        shown.join(", ")
    }
}

/// An interface has another shape than the contract's.
pub(super) fn mismatch(error: &wasmtime::Error) -> Refusal {
    not_a_policy(format!("does not fit the contract: {error:#}"))
}

/// With a bounded text.
pub(super) fn not_a_policy(why: impl Into<String>) -> Refusal {
    Refusal::NotAPolicy(cut(why.into(), TEXT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_no_policy_are_told_what_they_are() {
        let cases: [(&[u8], &str); 10] = [
            (b"", "not WebAssembly"),
            (
                b"#!/bin/sh\n",
                "not WebAssembly: it begins with \"#!/bin/s\"",
            ),
            (b"\0as", "ends in its middle"),
            (b"\n (module)", "WebAssembly text"),
            (b"\x7fELF\x02\x01\x01\0", "native code"),
            (b"\0asm\x01\0\0\0", "without the contract's metadata"),
            (b"\0asm\x02\0\0\0", "unknown version"),
            // A section that claims more bytes than there are.
            (
                b"\0asm\x01\0\0\0\0\xff\xff\xff\xff\x0f",
                "ends in its middle",
            ),
            // Functions, and no code for them.
            (b"\0asm\x01\0\0\0\x03\x02\x01\0", "ends in its middle"),
            (b"\0asm\x0d\0\x01\0\x01\x02a", "lacks 1 more"),
        ];
        for (bytes, expected) in cases {
            let error = format(bytes).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert_eq!(format(b"\0asm\x0d\0\x01\0"), Ok(Format::Component));
        assert_eq!(
            format(b"\0asm\x01\0\0\0\0\x10\x0ecomponent-type!"),
            Ok(Format::Core)
        );
    }

    #[test]
    fn worlds_are_judged_by_name() {
        let ours = |names: &[&str]| names.iter().map(|name| qualified(name)).collect::<Vec<_>>();
        let other = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        let balancer = ours(&["lifecycle", "membership", "balancer"]);
        let cases = [
            (
                other(&["wasi:keyvalue/store@0.2.3"]),
                balancer.clone(),
                "`wasi:keyvalue/store@0.2.3`; of WASI",
            ),
            (
                other(&["acme:x/y@1.0.0"]),
                balancer.clone(),
                "`acme:x/y@1.0.0`",
            ),
            (
                ours(&["files"]),
                balancer.clone(),
                "`switchyard:policy/files@0.1.0`",
            ),
            (
                vec![],
                other(&["switchyard:policy/balancer@0.2.0"]),
                "version 0.2.0 of the contract",
            ),
            (
                vec![],
                ours(&["lifecycle"]),
                "one of switchyard:policy/balancer@0.1.0",
            ),
            (
                vec![],
                ours(&["balancer", "membership"]),
                "does not export switchyard:policy/lifecycle@0.1.0",
            ),
            (
                vec![],
                ours(&["lifecycle", "balancer"]),
                "required of balancers",
            ),
            (
                vec![],
                other(&["wasi:http/incoming-handler@0.2.0"]),
                "`wasi:http/incoming-handler@0.2.0`",
            ),
            (vec![], vec![], "exports nothing"),
            (
                vec![],
                ours(&["lifecycle", "membership", "balancer", "hypnosis"]),
                "hypnosis",
            ),
        ];
        for (imports, exports, expected) in cases {
            let why = judge(&imports, &exports).unwrap();
            assert!(why.contains(expected), "{why}");
        }
        assert_eq!(judge(&ours(&["pool", "log", "types"]), &balancer), None);
        for granted in ["switchyard:policy/log@0.1.7", "wasi:cli/stdout@0.2.9"] {
            assert_eq!(judge(&other(&[granted]), &balancer), None);
        }
    }
}
