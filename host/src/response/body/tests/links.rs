//! Every place a link can stand.

use super::*;

const FROM: &str = "http://10.0.0.1:8080/test/x";

/// Each `@` is a link that must be mapped.
fn check(events: bool, template: &str) {
    for (from, to) in [
        (FROM, "/shop/x"),
        ("/test/x?a=1&amp;b=2", "/shop/x?a=1&amp;b=2"),
        ("/tests/x", "/tests/x"),
    ] {
        assert_eq!(
            rewrite(events, &template.replace('@', from)),
            template.replace('@', to)
        );
    }
}

#[test]
fn url_attributes_of_all_elements_are_mapped() {
    let table = [
        "<a href=\"@\">",
        "<a href='@'>",
        "<a href=@>",
        "<A HREF = \"@\" >",
        "<a href=\" \n@\t \">",
        "<a href=\"@\" ping=\"@ @\">",
        "<area href=\"@\">",
        "<base href=\"@\">",
        "<link href=\"@\" imagesrcset=\"@ 1x, @ 2x\">",
        "<img src=\"@\" longdesc=\"@\" usemap=\"@\" lowsrc=\"@\">",
        "<img srcset=\"@ 1x, @ 2x\">",
        "<img srcset=\"@ 100w,@ 200w , @\">",
        "<source src=\"@\" srcset='@'>",
        "<script src=\"@\"></script>",
        "<iframe src=\"@\" longdesc=\"@\"></iframe>",
        "<frame src=\"@\">",
        "<embed src=\"@\">",
        "<object data=\"@\" classid=\"@\" codebase=\"@\" usemap=\"@\" archive=\"@ @\"></object>",
        "<applet codebase=\"@\" archive=\"@, @\"></applet>",
        "<form action=\"@\"><button formaction=\"@\"></button><input type=image src=\"@\" formaction=\"@\"></form>",
        "<video src=\"@\" poster=\"@\"></video><audio src=\"@\"></audio><track src=\"@\">",
        "<blockquote cite=\"@\"></blockquote><q cite=\"@\"></q><ins cite=\"@\"></ins><del cite=\"@\"></del>",
        "<body background=\"@\"><table background=\"@\"><tr><td background=\"@\">",
        "<html manifest=\"@\"><head profile=\"@ @\">",
        "<menuitem icon=\"@\">",
        "<svg viewBox=\"0 0 1 1\"><image xlink:href=\"@\"/><use href=\"@\"/><a xml:base='@'/></svg>",
        "<meta http-equiv=\"refresh\" content=\"5; url=@\">",
        "<meta content=\"0;URL='@'\" http-equiv=Refresh>",
        "<template><a href=\"@\"></template>",
        "<noscript><img src=\"@\"><style>b{c:url(@)}</style></noscript>",
        "<custom-el href=\"@\"></custom-el>",
        "<a href=\"@\" href=\"@\">",
    ];
    for template in table {
        check(false, template);
    }
}

#[test]
fn css_in_documents_is_mapped() {
    let table = [
        "<p style=\"background:url(/test/x)\">",
        "<p style='background: URL( \"/test/x\" )'>",
        "<p style=\"background:url(&quot;/test/x&quot;)\">",
        "<p style=\"background:url('/test/x'), url(/test/y)\">",
        "<style>p{background:url(/test/x)} q{background:url( '/test/x' )}</style>",
        "<style>@import \"/test/x\"; @import url(/test/x) print;</style>",
        "<style type=\"text/css\"><!-- @import '/test/x'; --></style>",
        "<svg><style>a{fill:url(/test/x#a)}</style><path fill=\"url(/test/x#b)\" clip-path='url(\"/test/x\")'/></svg>",
        "<style>/* url(/test/x) */</style>"
            .replace("/test", "/kept")
            .leak(),
    ];
    for input in table {
        assert_eq!(rewrite(false, input), input.replace("/test", "/shop"));
    }
}

#[test]
fn scripts_and_events_are_mapped_only_where_asked() {
    let table = [
        "<body onload=\"go('/test/x')\">",
        "<a onclick=\"location = &quot;/test/x&quot;\">",
        "<a href=\"javascript:go('/test/x')\">",
        "<script>var a = \"/test/x\"; if (1 < 2) { b = '<a href=\"/test/y\">'; }</script>",
        "<script type=\"application/json\">{\"u\":\"\\/test\\/x\"}</script>",
    ];
    for input in table {
        assert_eq!(rewrite(false, input), input);
        let mapped = input.replace("/test", "/shop");
        assert_eq!(rewrite(true, input), mapped);
    }
}

#[test]
fn a_text_in_a_style_and_in_a_script_is_mapped_once() {
    let input = "<math><style>url(/test/1)<script>url(/test/2) '/test/3'<a href=\"/test/4\">";
    let expected = input.replace("/test", "/shop").replace("'/shop", "'/test");
    assert_eq!(rewrite(true, input), expected);
}

#[test]
fn what_is_no_link_stays() {
    let table = [
        "<!-- <a href=\"/test/x\"> -->",
        "<!--[if IE]><link href=\"/test/x\"><![endif]-->",
        "<p title=\"/test/x\" data-href=\"/test/x\" alt='/test/x'>/test/x http://10.0.0.1:8080/test/x</p>",
        "<input value=\"/test/x\">",
        "<meta name=\"description\" content=\"/test/x\">",
        "<meta http-equiv=\"refresh\" content=\"5\">",
        "<textarea><a href=\"/test/x\"></textarea>",
        "<title><a href=\"/test/x\"></title>",
        "<xmp><a href=\"/test/x\"></xmp>",
        "<plaintext><a href=\"/test/x\">",
        "<svg><![CDATA[<a href=\"/test/x\">]]></svg>",
        "<a href=\"test/x\"><a href=\"./test\"><a href=\"?/test\"><a href=\"#/test\">",
        "<a href=\"http://www.example.org/test/x\">",
        "<a href=\"http://10.0.0.1:80801/test\">",
        "<a href=\"https://10.0.0.1:8080/test\">",
        "<a href=\"mailto:a@b\"><a href=\"data:,/test\"><a href=\"\"><a href>",
        "<style>p::before{content:\"url(/test/x)\"}</style>",
        "<a href=\"/test/x",
        "<style>p{background:url(",
    ];
    for input in table {
        assert_eq!(rewrite(false, input), input);
    }
}

#[test]
fn bytes_around_a_link_are_kept() {
    let table = [
        (
            "<a\n  class = x\tHREF='/test/&eacute;?a=1&b=2&amp;c'   id=y / >",
            "/test",
            "/shop",
        ),
        ("<IMG SRC=/test/x ALT=\"a'b\"  >", "/test", "/shop"),
        ("<a href=\"/test\" href='x'\r\n>", "/test", "/shop"),
        ("<a href=\"&#47;test&sol;x\">", "&#47;test", "/shop"),
        (
            "<a href=\"http&colon;//10.0.0.1&#58;8080/test/&amp;\">",
            "http&colon;//10.0.0.1&#58;8080/test",
            "/shop",
        ),
        ("<p style=\"a:url(\\2f test/x\\29)\">", "\\2f test", "/shop"),
    ];
    for (input, from, to) in table {
        assert_eq!(rewrite(false, input), input.replace(from, to));
    }
}

#[test]
fn documents_in_documents_are_mapped() {
    let input = "<iframe srcdoc=\"<a href='/test/x'>&lt;a href=&quot;/test/y&quot;&gt;<p style=&quot;a:url(/test/z)&quot;>\">";
    assert_eq!(rewrite(false, input), input.replace("/test", "/shop"));
}

#[test]
fn ampersands_of_the_replacement_are_escaped_where_html_wants_it() {
    let rules = [("/a", "/b?x=1&y=2#")];
    let rewriter = plan(&link_plan(&rules, true), &html_facts())
        .unwrap()
        .unwrap();
    let input = b"<a href=/a><p style='c:url(/a)'><style>c{d:url(/a)}</style><script>'/a'</script>\
        <iframe srcdoc='<a href=/a>'>";
    let out = String::from_utf8(run(rewriter, input, 1000).unwrap()).unwrap();
    assert_eq!(
        out,
        "<a href=/b?x=1&amp;y=2#><p style='c:url(/b?x=1&amp;y=2#)'><style>c{d:url(/b?x=1&y=2#)}</style>\
         <script>'/b?x=1&y=2#'</script><iframe srcdoc='<a href=/b?x=1&amp;amp;y=2#>'>"
    );
}

#[test]
fn stylesheets_are_mapped() {
    let table: &[(&str, &str)] = &[
        ("a{b:url(/test/x)}", "a{b:url(/shop/x)}"),
        ("a{b:URL(\n'/test'\n)}", "a{b:URL(\n'/shop'\n)}"),
        ("a{b:u\\72l(/test)}", "a{b:u\\72l(/shop)}"),
        ("a{b:url(\\/\\74 est/x)}", "a{b:url(/shop/x)}"),
        ("a{b:url(\"/te\\\nst/x\")}", "a{b:url(\"/shop/x\")}"),
        ("@import '/test/a.css';", "@import '/shop/a.css';"),
        (
            "@IMPORT/**/\"/test/a.css\" print;",
            "@IMPORT/**/\"/shop/a.css\" print;",
        ),
        ("@import url(\"/test\")", "@import url(\"/shop\")"),
        (
            "@charset \"/test\"; @namespace \"/test\";",
            "@charset \"/test\"; @namespace \"/test\";",
        ),
        ("a{content:'/test'}", "a{content:'/test'}"),
        (
            "a{b:image-set('/test/1' 1x, url('/test/2') 2x, \"/test/3\" 3x)} c{d:'/test'}",
            "a{b:image-set('/shop/1' 1x, url('/shop/2') 2x, \"/shop/3\" 3x)} c{d:'/test'}",
        ),
        ("a{b:src('/test/x')}", "a{b:src('/shop/x')}"),
        (
            "/* \\*/ a{b:url(/test)} /**/",
            "/* \\*/ a{b:url(/shop)} /**/",
        ),
        (
            "/*url(/test)**/a{b:url(/test)}",
            "/*url(/test)**/a{b:url(/shop)}",
        ),
        (
            "a{b:curl(/test) c:url-x(/test)}",
            "a{b:curl(/test) c:url-x(/test)}",
        ),
        ("a{b:'x\nurl(/test)", "a{b:'x\nurl(/shop)"),
        ("a{b:'\\'url(/test)'}", "a{b:'\\'url(/test)'}"),
        (
            "a{b:url(/testing) url(/test;x)}",
            "a{b:url(/testing) url(/shop;x)}",
        ),
        ("a{b:url()}c{d:url(/test)}", "a{b:url()}c{d:url(/shop)}"),
        ("a{b:url(/test", "a{b:url(/shop"),
    ];
    for (input, expected) in table {
        let out = rewrite_as("text/css", false, input.as_bytes());
        assert_eq!(String::from_utf8_lossy(&out), *expected);
    }
}

#[test]
fn second_bytes_of_double_byte_characters_are_no_backslashes() {
    // 0x83 0x5C is one character in Shift_JIS, and 0x5C would escape the quote elsewhere.
    let input = b"<style>a{b:\"\x83\x5c\";c:url(/test)}</style><p style=\"a:'\x83\x5c';b:url(/test)\">\x83\x5c";
    let output = b"<style>a{b:\"\x83\x5c\";c:url(/shop)}</style><p style=\"a:'\x83\x5c';b:url(/shop)\">\x83\x5c";
    assert_eq!(
        rewrite_as("text/html; charset=Shift_JIS", false, input),
        output
    );
    let declared = [b"<meta charset=shift_jis>".as_slice(), input].concat();
    assert_eq!(
        rewrite_as("text/html", false, &declared),
        [b"<meta charset=shift_jis>".as_slice(), output].concat()
    );
}

#[test]
fn every_byte_of_every_charset_is_kept() {
    let all: Vec<u8> = (0x80..=0xff).collect();
    let around = |link: &str| {
        [
            b"<p title='",
            &all[..],
            b"'><style>/*",
            &all,
            b"*/",
            link.as_bytes(),
            b"</style><a href='/q",
            &all,
            b"'>",
            &all,
        ]
        .concat()
    };
    for content_type in [
        "text/html",
        "text/html; charset=iso-8859-1",
        "text/html; charset=euc-jp",
    ] {
        assert_eq!(
            rewrite_as(content_type, true, &around("a{b:url(/test)}")),
            around("a{b:url(/shop)}")
        );
    }
}

#[test]
fn documents_that_declare_a_stateful_charset_pass() {
    let input = "<meta charset=iso-2022-jp><a href=/test>";
    assert_eq!(
        rewrite_as("text/html", true, input.as_bytes()),
        input.as_bytes()
    );
    let input = "<meta http-equiv=content-type content='text/html; charset=utf-16'><a href=/test>";
    assert_eq!(
        rewrite_as("text/html", true, input.as_bytes()),
        input.replace("/test", "/shop").as_bytes()
    );
}
