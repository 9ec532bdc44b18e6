//! `[compile]`: what single files may take of the compiler.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    super::{
        problems::Problems,
        read::{Named, Node},
        source::CompileTable,
    },
    bounds,
};
use crate::snapshot::CompileRaise;

/// By the SHA-256 of the file, in lower-case hexadecimal digits.
pub fn raises(
    tables: Option<&Node<Named<CompileTable>>>,
    out: &mut Problems,
) -> Arc<BTreeMap<String, CompileRaise>> {
    let tables = tables.iter().flat_map(|node| &node.value.0);
    let mut raises = BTreeMap::new();
    for (name, Node { value, place }) in tables {
        let digest = name.to_ascii_lowercase();
        if digest.len() != 64 || !digest.bytes().all(|b| b.is_ascii_hexdigit()) {
            out.error(
                place,
                format!("{name:?} is not the SHA-256 of a file"),
                "write its 64 hexadecimal digits, as `sha256sum FILE.wasm` prints them",
            );
            continue;
        }
        let time = value.time.as_ref();
        let raise = CompileRaise {
            time: time.map(|node| bounds::positive_time(Some(node), node.value.0, out)),
            memory: value
                .memory
                .as_ref()
                .map(|node| bounds::size(Some(node), 0, (64 << 20, 64 << 30), out) as usize),
            module_size: value
                .module_size
                .as_ref()
                .map(|node| bounds::size(Some(node), 0, (1 << 10, 1 << 30), out) as usize),
        };
        if raises.insert(digest, raise).is_some() {
            out.error(
                place,
                format!("{name:?} is there twice, in capital and in small letters"),
                "keep one of the two tables",
            );
        }
    }
    Arc::new(raises)
}
