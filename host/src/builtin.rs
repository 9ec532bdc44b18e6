//! The built-in policies, as components in the binary.
//!
//! The build script compiles them from `policies/`. They are policies like any
//! other: the host knows their names and their bytes, and none of their logic.

/// A policy that comes with the binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuiltIn {
    /// As operators write it.
    pub name: &'static str,
    /// The component.
    pub wasm: &'static [u8],
}

static ALL: &[BuiltIn] = include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

/// Every built-in policy.
pub fn all() -> &'static [BuiltIn] {
    ALL
}

/// The built-in policy of that name.
pub fn find(name: &str) -> Option<&'static BuiltIn> {
    ALL.iter().find(|policy| policy.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_five_are_there_and_are_components() {
        let mut names: Vec<_> = all().iter().map(|policy| policy.name).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "bybusyness",
                "byrequests",
                "bytraffic",
                "jsessionid",
                "reverse"
            ]
        );
        for policy in all() {
            // The preamble of a component: version 13, layer 1.
            assert!(
                policy.wasm.starts_with(b"\0asm\x0d\0\x01\0"),
                "{}",
                policy.name
            );
        }
    }

    #[test]
    fn a_policy_is_found_by_its_whole_name() {
        assert_eq!(find("reverse").map(|policy| policy.name), Some("reverse"));
        assert_eq!(find("rev"), None);
    }
}
