//! What a file says of itself, without being compiled.

use std::panic::{AssertUnwindSafe, catch_unwind};

use wit_component::{ComponentEncoder, DecodedWasm, decode};
use wit_parser::{Resolve, WorldId, WorldKey};

use super::{
    check::{Format, format},
    sections::sections,
};

/// The custom section that holds the configuration's JSON schema, as the SDK writes it.
const SCHEMA: &[u8] = b"switchyard:config-schema";

/// A schema is help for people; what is larger is something else.
const SCHEMA_SIZE: usize = 64 << 10;

/// A component holds modules and components that hold modules; no toolchain goes further.
const DEPTH: u32 = 4;

/// Interfaces and schema of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Anatomy {
    /// As `package/interface@version`, sorted.
    pub imports: Vec<String>,
    /// Likewise.
    pub exports: Vec<String>,
    /// JSON text as the author wrote it: unchecked.
    pub schema: Option<String>,
}

/// Looks into a component, or a core module with the contract's metadata. The error says what the
/// file is instead.
pub fn anatomy(wasm: &[u8]) -> Result<Anatomy, String> {
    let format = format(wasm)?;
    // Both libraries are meant to return errors for any input; a panic in one must still be an answer.
    let decoded = catch_unwind(AssertUnwindSafe(|| match format {
        Format::Component => decode(wasm),
        Format::Core => {
            let mut encoder = ComponentEncoder::default();
            decode(&encoder.module(wasm)?.encode()?)
        }
    }));
    let decoded = match decoded {
        Ok(Ok(DecodedWasm::Component(resolve, world))) => Some((resolve, world)),
        Ok(Ok(DecodedWasm::WitPackage(..))) => return Err("is a package of WIT, no policy".into()),
        Ok(Err(error)) => return Err(format!("is not valid WebAssembly: {error:#}")),
        Err(_) => None,
    };
    let (resolve, world) = decoded.ok_or("cannot be looked into")?;
    let (imports, exports) = interfaces(&resolve, world);
    Ok(Anatomy {
        imports,
        exports,
        schema: schema(wasm, DEPTH),
    })
}

fn interfaces(resolve: &Resolve, world: WorldId) -> (Vec<String>, Vec<String>) {
    let world = &resolve.worlds[world];
    let name = |key: &WorldKey| resolve.name_world_key(key);
    // A component lists them in no order that would mean something.
    let mut imports: Vec<_> = world.imports.keys().map(name).collect();
    let mut exports: Vec<_> = world.exports.keys().map(name).collect();
    imports.sort_unstable();
    exports.sort_unstable();
    (imports, exports)
}

/// The first schema in the file, whichever of its modules has it.
fn schema(wasm: &[u8], depth: u32) -> Option<String> {
    if depth == 0 {
        return None;
    }
    let is_component = wasm.get(4..8) == Some(&[0x0d, 0, 1, 0]);
    sections(wasm).find_map(|section| match section.custom() {
        Some((SCHEMA, text)) if (1..=SCHEMA_SIZE).contains(&text.len()) => {
            String::from_utf8(text.to_vec()).ok()
        }
        Some(_) => None,
        None if is_component && matches!(section.id, 1 | 4) => schema(section.body, depth - 1),
        None => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(id: u8, body: &[u8]) -> Vec<u8> {
        assert!(body.len() < 128);
        [&[id, body.len() as u8], body].concat()
    }

    fn custom(text: &[u8]) -> Vec<u8> {
        section(0, &[&[SCHEMA.len() as u8], SCHEMA, text].concat())
    }

    const CORE: &[u8] = b"\0asm\x01\0\0\0";
    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    #[test]
    fn a_schema_is_found_in_a_module_and_in_a_component_around_it() {
        let core = [CORE, &custom(b"{}")].concat();
        assert_eq!(schema(&core, DEPTH).as_deref(), Some("{}"));
        let component = [COMPONENT, &section(1, &core)].concat();
        assert_eq!(schema(&component, DEPTH).as_deref(), Some("{}"));
        let nested = [COMPONENT, &section(4, &component)].concat();
        assert_eq!(schema(&nested, DEPTH).as_deref(), Some("{}"));
        assert_eq!(schema(&nested, 2), None, "not deeper than allowed");
    }

    #[test]
    fn what_is_no_text_or_nothing_is_no_schema() {
        for text in [&b""[..], b"\xff\xfe"] {
            assert_eq!(schema(&[CORE, &custom(text)].concat(), DEPTH), None);
        }
        // In a module, section 1 holds types.
        let core = [CORE, &section(1, &[CORE, &custom(b"{}")].concat())].concat();
        assert_eq!(schema(&core, DEPTH), None);
    }

    #[test]
    fn interfaces_of_a_built_in_policy_are_named() {
        let policy = crate::builtin::find("byrequests").unwrap();
        let anatomy = anatomy(policy.wasm).unwrap();
        let balancer = "switchyard:policy/balancer@0.1.0";
        assert!(anatomy.exports.iter().any(|name| name == balancer));
        let pool = "switchyard:policy/pool@0.1.0";
        assert!(anatomy.imports.iter().any(|name| name == pool));
        let none = r#"{"type":"object","additionalProperties":false,"properties":{}}"#;
        assert_eq!(anatomy.schema.as_deref(), Some(none));
    }

    #[test]
    fn what_is_no_policy_is_an_error() {
        for wasm in [&b"#!/bin/sh"[..], CORE, COMPONENT.split_at(7).0] {
            assert!(anatomy(wasm).is_err());
        }
    }
}
