//! The user's guide shows the text that is compiled, and nothing older.

/// Fenced Rust blocks of a Markdown page, in order.
fn rust_blocks(page: &str) -> Vec<&str> {
    let blocks = page.split("```rust\n").skip(1);
    blocks
        .filter_map(|rest| rest.split("\n```").next())
        .collect()
}

#[test]
fn the_guide_shows_the_canary_as_it_is_compiled() {
    let guide = include_str!("../../docs/authors.md");
    let canary = include_str!("../examples/canary.rs");
    let shown = rust_blocks(guide);
    assert_eq!(shown.len(), 2, "the policy and its tests");
    assert_eq!(shown.join("\n\n"), canary.trim_end());
}
