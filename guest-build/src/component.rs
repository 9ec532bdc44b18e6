//! From a core module to a component.

/// A core module that cannot become a component.
#[derive(Debug, thiserror::Error)]
#[error(
    "the module cannot be made a component: {cause}; a policy calls the SDK's macro (or wit-bindgen's) exactly once, \
     and imports nothing but `switchyard:policy`"
)]
pub struct ComponentError {
    /// wit-component's chain of causes in one line.
    cause: String,
}

/// Wraps the core module that the compiler made as a component, which is validated.
///
/// The module names its world in the custom section that wit-bindgen leaves.
pub fn componentize(core: &[u8]) -> Result<Vec<u8>, ComponentError> {
    let mut encoder = wit_component::ComponentEncoder::default();
    encoder.validate(true);
    let component = encoder.module(core).and_then(|encoder| encoder.encode());
    component.map_err(|cause| ComponentError {
        cause: format!("{cause:#}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_module_becomes_a_component() {
        let component = componentize(b"\0asm\x01\0\0\0").unwrap();
        // Version 13, layer 1: a component and not a core module.
        assert_eq!(component[..8], *b"\0asm\x0d\0\x01\0");
    }

    #[test]
    fn what_is_not_wasm_is_refused_with_a_remedy() {
        let message = componentize(b"#!/bin/sh").unwrap_err().to_string();
        assert!(message.contains("cannot be made a component"), "{message}");
    }

    #[test]
    fn an_import_from_elsewhere_is_refused_by_name() {
        // (module (import "env" "f" (func)))
        let module = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x02\x09\x01\x03env\x01f\0\0";
        let message = componentize(module).unwrap_err().to_string();
        assert!(message.contains("env"), "{message}");
    }
}
