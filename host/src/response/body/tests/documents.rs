//! Whole pages, the streaming of them, and their limits.

use proptest::prelude::*;

use super::*;

/// A page in the style of an application server: every kind of link, and much that only looks like one.
fn page(me: &str, root: &str) -> String {
    format!(
        r#"<!DOCTYPE html>
<html lang="en"><head><title>Links – é</title>
<meta charset="utf-8">
<meta http-equiv="refresh" content="600; url={me}/k-metarefresh">
<link rel="stylesheet" href="{me}/k-link.css">
<style>body {{ background: url({me}/k-styleurl.png) }} p {{ background: url('{root}/k-styleroot.png') }}</style>
<script src="{me}/k-scriptsrc.js"></script>
<script>var abs = "{me}/k-jsabs"; var rt = '{root}/k-jsroot'; if (1 < 2 && "a" > "b") {{ abs = "<b>&amp;</b>"; }}</script>
</head><body onload="go('{me}/k-onload')">
<!-- KEEP/k-comment --><b>x</b>
<a href="{me}/k-aabs?x=1&amp;y=2">abs</a> <a href="{root}/k-aroot">root</a> <a href="k-arel">rel</a>
<a href={root}/k-aunquoted>unquoted</a>
<a href="http://www.example.org/Test/k-foreign">foreign</a>
<img src="{me}/k-img.png" srcset="{me}/k-srcset1.png 1x, {root}/k-srcset2.png 2x">
<form action="{me}/k-form" method="post"><input name="q"><input type="image" src="{root}/k-input.png"></form>
<iframe src="{root}/k-iframe"></iframe><object data="{me}/k-object"></object>
<video poster="{me}/k-poster.png"><source src="{root}/k-source.mp4"></video>
<svg viewBox="0 0 10 10"><linearGradient id="g"/></svg>
<div style="background:url({me}/k-styleattr.png)" data-href="KEEP/k-dataattr">in text: KEEP/k-text</div>
<custom-el>kept</custom-el><p>un<br>closed
</body></html>"#
    )
}

#[test]
fn a_page_changes_in_its_links_alone() {
    // Doctype, case (viewBox), entities, comments, unknown elements and text stay, which mod_proxy_html breaks.
    let input =
        page("http://10.0.0.1:8080/test", "/test").replace("KEEP", "http://10.0.0.1:8080/test");
    let expected = page("/shop", "/shop").replace("KEEP", "http://10.0.0.1:8080/test");
    assert_eq!(rewrite(true, &input), expected);
}

#[test]
fn short_and_odd_documents_pass() {
    for input in [
        "",
        "x",
        "<",
        "</",
        "<a",
        "<!",
        "<!-",
        "\u{feff}<!DOCTYPE html PUBLIC \"a\" 'b'>",
        "\0<a\0b=c>",
        "<p",
    ] {
        assert_eq!(rewrite(true, input), input);
    }
}

#[test]
fn what_the_member_sent_comes_out_at_once() {
    let mut rewriter = plan(&link_plan(RULES, true), &html_facts())
        .unwrap()
        .unwrap();
    let mut out = Vec::new();
    feed(
        &mut rewriter,
        b"<p>one <a href='/test/x'>two</a> thr",
        &mut out,
    )
    .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&out),
        "<p>one <a href='/shop/x'>two</a> thr"
    );
    feed(&mut rewriter, b"ee <a href='/te", &mut out).unwrap();
    assert!(out.ends_with(b" three "));
    feed(&mut rewriter, b"st'>", &mut out).unwrap();
    assert!(out.ends_with(b"<a href='/shop'>"));
    feed(&mut rewriter, b"<style>p{background:red;", &mut out).unwrap();
    assert!(out.ends_with(b"background:red;"));
}

#[test]
fn long_attributes_pass_and_endless_ones_are_refused() {
    let data = "A".repeat(3 << 20);
    let input = format!("<img src=\"data:image/png;base64,{data}\"><a href=\"/test\">");
    let out = run(
        plan(&link_plan(RULES, true), &html_facts())
            .unwrap()
            .unwrap(),
        input.as_bytes(),
        1 << 15,
    )
    .unwrap();
    assert_eq!(out, input.replace("/test", "/shop").as_bytes());

    let mut rewriter = plan(&link_plan(RULES, true), &html_facts())
        .unwrap()
        .unwrap();
    let (mut out, chunk) = (Vec::new(), vec![b'A'; 1 << 16]);
    feed(&mut rewriter, b"<img src=\"", &mut out).unwrap();
    let error = (0..1000).find_map(|_| feed(&mut rewriter, &chunk, &mut out).err());
    assert!(matches!(error, Some(BodyError::TooComplex { .. })));
}

#[test]
fn long_attributes_in_small_pieces_take_linear_time() {
    // Parsing the tag anew at every piece would take minutes.
    let input = format!(
        "<img src=\"data:{}\"><a href=\"/test\">",
        "A".repeat(1 << 20)
    );
    let out = run(
        plan(&link_plan(RULES, true), &html_facts())
            .unwrap()
            .unwrap(),
        input.as_bytes(),
        20,
    )
    .unwrap();
    assert_eq!(out, input.replace("/test", "/shop").as_bytes());
}

#[test]
fn attributes_of_a_thousand_references_are_mapped() {
    let input = format!(
        "<a href='&#47;test/{}' style='a:url(&#47;test/{})'>",
        "&amp;".repeat(9999),
        "&amp;".repeat(9999)
    );
    assert_eq!(rewrite(true, &input), input.replace("&#47;test", "/shop"));
}

#[test]
fn deep_documents_are_bounded() {
    let mut rewriter = plan(&link_plan(RULES, true), &html_facts())
        .unwrap()
        .unwrap();
    let chunk = b"<div>".repeat(10_000);
    let error = (0..100).find_map(|_| feed(&mut rewriter, &chunk, &mut Vec::new()).err());
    assert!(matches!(error, Some(BodyError::TooComplex { .. })));
    // A table of the old kind, nothing closed.
    let table = format!("<table>{}", "<tr><td>x<a href=/test>".repeat(5_000));
    let out = run(
        plan(&link_plan(RULES, true), &html_facts())
            .unwrap()
            .unwrap(),
        table.as_bytes(),
        1 << 14,
    )
    .unwrap();
    assert_eq!(out, table.replace("/test", "/shop").as_bytes());
}

#[test]
fn growing_bodies_stay_in_bounds() {
    let long = format!("/{}", "y".repeat(20_000));
    let rewriter = plan(&link_plan(&[("/a", &long)], true), &html_facts())
        .unwrap()
        .unwrap();
    let input = "<a href=/a>".repeat(200);
    let out = run(rewriter, input.as_bytes(), 1 << 14).unwrap();
    assert_eq!(out.len(), input.len() + 200 * (long.len() - 2));
    let growth = BodyPlan::Substitute(substitutions(&[("a", &long)]));
    let rewriter = plan(&growth, &html_facts()).unwrap().unwrap();
    assert_eq!(
        run(rewriter, &[b'a'; 300], 1 << 14).unwrap().len(),
        300 * long.len()
    );
}

#[test]
fn substitutions_span_chunks() {
    let list = BodyPlan::Substitute(substitutions(&[
        ("http://10.0.0.1:8080", "https://www.example.com"),
        ("secret", ""),
    ]));
    for chunk in [1, 3, 1000] {
        let rewriter = plan(&list, &html_facts()).unwrap().unwrap();
        let out = run(rewriter, b"a http://10.0.0.1:8080/x secretsecre", chunk).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&out),
            "a https://www.example.com/x secre"
        );
    }
}

/// Pieces of HTML that, joined at random, make valid and broken documents alike.
fn piece() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "<a href=\"/test/x\">",
        "<a href='",
        "/test",
        "http://10.0.0.1:8080/test/",
        "\"",
        "'",
        ">",
        "<",
        "</style>",
        "<style>",
        "url(",
        ")",
        "@import ",
        "\\",
        "/*",
        "*/",
        "<script>",
        "</script>",
        "<!--",
        "-->",
        "&amp;",
        "&#47;",
        "test",
        " ",
        "\n",
        "é",
        "<noscript>",
        "</noscript>",
        "<svg>",
        "<![CDATA[",
        "]]>",
        "srcset=\"/test 1x, ",
        "<img ",
        "style=\"a:url(/test)\"",
        "onclick=\"'/test'\"",
        "<plaintext>",
        "<textarea>",
        "</textarea>",
        "<iframe srcdoc=\"",
        "<template>",
        "<math>",
        "<select>",
        "<xmp>",
        "\0",
    ])
}

proptest! {
    #[test]
    fn chunks_do_not_matter(
        pieces in proptest::collection::vec(piece(), 0..40),
        cuts in proptest::collection::vec(1usize..9, 1..20),
        css in any::<bool>(),
    ) {
        let input = pieces.concat();
        let facts = BodyFacts { content_type: Some(if css { "text/css" } else { "text/html" }), ..html_facts() };
        let rewriter = || plan(&link_plan(RULES, true), &facts).unwrap().unwrap();
        let whole = run(rewriter(), input.as_bytes(), usize::MAX).unwrap();
        let (mut split, mut out, mut rest) = (rewriter(), Vec::new(), input.as_bytes());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (head, tail) = rest.split_at((*cut).min(rest.len()));
            feed(&mut split, head, &mut out).unwrap();
            rest = tail;
        }
        finish(&mut split, &mut out).unwrap();
        prop_assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&whole));
    }

    #[test]
    fn documents_without_the_prefix_are_kept_byte_for_byte(
        pieces in proptest::collection::vec(piece(), 0..40),
        noise in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let input = [pieces.concat().as_bytes(), &noise].concat();
        let rewriter = plan(&link_plan(&[("/absent", "/other"), ("http://absent", "")], true), &html_facts()).unwrap().unwrap();
        prop_assert_eq!(run(rewriter, &input, 11).unwrap(), input);
    }
}
