//! Addresses of members in answers, mapped back: headers, cookies, links in HTML.

use std::io::{Read as _, Write as _};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use switchyard_tests::{After, Cluster, Gateway, Member, Request, Response, scripts};

use crate::conf::{balancer, entry_below, site};

const ALL: &str = "balancer = \"cl\"\nreverse = { location = true, cookie_path = true, cookie_domain = true, html = true, events = true }";

/// A member under `/ctx`, seen by clients under `/app`.
fn mapped(
    script: impl Fn(&mut switchyard_tests::Exchange<'_>) -> After + Send + Sync + 'static,
) -> (Member, Gateway) {
    let a = Member::start("a", script);
    let gateway = Gateway::start(
        site(&[("/app", ALL)]) + &balancer("cl", "", &[entry_below(&a, "/ctx", "route = \"a\"")]),
    );
    (a, gateway)
}

/// What becomes of a page of this type.
fn page(fields: &[(&str, &str)], body: &str) -> (Response, Member) {
    let fields: Vec<(String, String)> = fields
        .iter()
        .map(|(n, v)| ((*n).into(), (*v).into()))
        .collect();
    let body = body.to_owned();
    let (a, gateway) = mapped(move |exchange| {
        let own = exchange.member.addr.to_string();
        let fields: Vec<_> = fields
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        exchange.send(scripts::reply("200 OK", &fields, body.replace("OWN", &own)));
        After::Keep
    });
    let response =
        gateway.ask(&Request::get("/app/page").field("Accept-Encoding", "gzip, br, zstd"));
    (response, a)
}

const HTML: (&str, &str) = ("Content-Type", "text/html; charset=utf-8");

#[test]
fn a_tomcats_redirects_lead_back_to_the_gateway() {
    let cluster = Cluster::start(2);
    let gateway = Gateway::start(
        site(&[("/app", ALL)]) + &format!("[balancer.cl]\n{}", cluster.toml("/Test", "")),
    );
    for _ in 0..4 {
        let response = gateway.ask(&Request::get("/app/redirect").host("www.example.com:8080"));
        let worker = response.field("x-worker").unwrap();
        let expected = format!("http://www.example.com:8080/app/next?from={worker}");
        assert_eq!(response.field("location"), Some(expected.as_str()));
    }
}

#[test]
fn foreign_addresses_are_never_mapped() {
    let (a, gateway) = mapped(scripts::name());
    for location in [
        "http://elsewhere.example/ctx/x".to_owned(),
        format!("http://{}1/ctx/x", a.addr()),
        format!("http://{}.evil.example/ctx/x", a.addr().ip()),
        format!("https://{}/ctx/x", a.addr()),
        format!("http://user@{}/ctx/x", a.addr()),
        format!("{}/ctxs/x", a.url()),
        "mailto:ctx@example.com".to_owned(),
        "relative/ctx".to_owned(),
    ] {
        a.becomes({
            let location = location.clone();
            move |exchange| {
                exchange.send(scripts::reply("302 Found", &[("Location", &location)], ""));
                After::Keep
            }
        });
        assert_eq!(
            gateway.get("/app/x").field("location"),
            Some(location.as_str())
        );
    }
}

#[test]
fn a_path_only_location_is_mapped_by_the_members_base_path() {
    let (_a, gateway) = mapped(scripts::answer(
        "302 Found",
        &[("Location", "/ctx/next?x=/ctx/y")],
        "",
    ));
    let location = gateway.get("/app/x").field("location").unwrap().to_owned();
    assert!(
        matches!(
            location.as_str(),
            "/app/next?x=/ctx/y" | "http://front.example.com/app/next?x=/ctx/y"
        ),
        "{location}"
    );
}

#[test]
fn cookie_paths_keep_what_follows_the_mapped_part() {
    let (a, gateway) = mapped(scripts::name());
    for (said, heard) in [
        ("s=1; Path=/ctx", "s=1; Path=/app"),
        (
            "s=1; Path=/ctx/deep; HttpOnly; SameSite=Lax",
            "s=1; Path=/app/deep; HttpOnly; SameSite=Lax",
        ),
        ("s=1; Path=/ctxs", "s=1; Path=/ctxs"),
        ("s=1; Path=/", "s=1; Path=/"),
        (
            "s=a|b=c; Max-Age=60; path=/ctx",
            "s=a|b=c; Max-Age=60; path=/app",
        ),
        ("s=1", "s=1"),
    ] {
        a.becomes(scripts::answer("200 OK", &[("Set-Cookie", said)], ""));
        assert_eq!(
            gateway.get("/app/x").field("set-cookie"),
            Some(heard),
            "{said}"
        );
    }
}

#[test]
fn links_in_a_page_lead_back_to_the_gateway() {
    let body = "<!DOCTYPE html><html><head><meta http-equiv=\"refresh\" content=\"5; url=http://OWN/ctx/r\">\
        <link rel=stylesheet href='http://OWN/ctx/s.css'><style>body { background: url(http://OWN/ctx/b.png) }</style></head>\
        <body onload=\"go('http://OWN/ctx/e')\"><a href=\"http://OWN/ctx/a?x=1&amp;y=2\">a</a><a href=\"/ctx/b\">b</a>\
        <a href=\"/ctxs/no\">no</a><a href=\"http://other.example/ctx/\">other</a><a href=\"rel/ctx\">rel</a>\
        <img srcset=\"http://OWN/ctx/1.png 1x, /ctx/2.png 2x\" src=\"//OWN/ctx/i.png\"><form action=\"/ctx/f\"></form>\
        <video poster=\"/ctx/p.png\"><source src=\"/ctx/v.mp4\"></video><p style=\"background: url('/ctx/st.png')\">text /ctx/t</p>\
        <svg viewBox=\"0 0 1 1\"></svg><!-- kept --><textarea>/ctx/kept</textarea></body></html>";
    let (response, member) = page(&[HTML], body);
    let text = response.text();
    for mapped in [
        "/app/r",
        "/app/s.css",
        "/app/b.png",
        "/app/e",
        "/app/a?x=1&amp;y=2",
        "\"/app/b\"",
        "/app/1.png 1x",
        "/app/2.png 2x",
        "/app/i.png",
        "/app/f",
        "/app/p.png",
        "/app/v.mp4",
        "/app/st.png",
    ] {
        assert!(text.contains(mapped), "{mapped} in {text}");
    }
    for kept in [
        "<!DOCTYPE html>",
        "/ctxs/no",
        "http://other.example/ctx/",
        "rel/ctx",
        "text /ctx/t",
        "viewBox",
        "<!-- kept -->",
        "<textarea>/ctx/kept",
    ] {
        assert!(text.contains(kept), "{kept} in {text}");
    }
    assert!(
        !text.contains(&member.addr().to_string()),
        "no address of the member is left: {text}"
    );
    assert_eq!(
        response.field("content-type"),
        Some("text/html; charset=utf-8")
    );
}

#[test]
fn the_member_is_offered_only_codings_that_can_be_decoded_and_no_ranges() {
    let (a, gateway) = mapped(scripts::answer(
        "200 OK",
        &[HTML],
        "<a href=\"/ctx/x\">x</a>",
    ));
    gateway.ask(
        &Request::get("/app/x")
            .field("Accept-Encoding", "gzip, zstd;q=0.5, compress")
            .field("Range", "bytes=0-3"),
    );
    let seen = a.last();
    let codings = seen.field("accept-encoding").unwrap_or_default();
    assert!(
        !codings.contains("zstd") && !codings.contains("compress"),
        "{codings}"
    );
    assert_eq!(seen.field("range"), None);
}

#[test]
fn compressed_pages_are_decoded_mapped_and_readable() {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(b"<a href=\"/ctx/x\">x</a>").unwrap();
    let packed = packed.finish().unwrap();
    let (_a, gateway) = mapped(move |exchange| {
        exchange.send(scripts::reply(
            "200 OK",
            &[HTML, ("Content-Encoding", "gzip"), ("ETag", "\"x\"")],
            &packed,
        ));
        After::Keep
    });
    let response = gateway.ask(&Request::get("/app/page").field("Accept-Encoding", "gzip"));
    let mut page = String::new();
    match response.field("content-encoding") {
        Some("gzip") => GzDecoder::new(&response.body[..])
            .read_to_string(&mut page)
            .map(drop)
            .unwrap(),
        None => page = response.text(),
        other => panic!("nobody asked for {other:?}"),
    }
    assert_eq!(page, "<a href=\"/app/x\">x</a>");
    assert_eq!(response.field("etag"), Some("W/\"x\""));
}

#[test]
fn a_changed_body_loses_its_length_and_digests_and_weakens_its_etag() {
    let (response, _member) = page(
        &[
            HTML,
            ("ETag", "\"strong\""),
            ("Digest", "sha-256=x"),
            ("Content-MD5", "x"),
            ("Accept-Ranges", "bytes"),
            ("Repr-Digest", "sha-256=:x:"),
            ("Content-Digest", "sha-256=:x:"),
        ],
        "<a href=\"http://OWN/ctx/x\">x</a>",
    );
    assert_eq!(response.text(), "<a href=\"/app/x\">x</a>");
    assert_eq!(response.field("etag"), Some("W/\"strong\""));
    for name in [
        "digest",
        "content-md5",
        "accept-ranges",
        "repr-digest",
        "content-digest",
    ] {
        assert_eq!(response.field(name), None, "{name} in {response:?}");
    }
}

#[test]
fn what_is_no_html_passes_untouched() {
    let link = "<a href=\"/ctx/x\">x</a>";
    for fields in [
        &[("Content-Type", "application/json")][..],
        &[("Content-Type", "text/plain")],
        &[("Content-Type", "text/html; charset=utf-16")],
        &[HTML, ("Cache-Control", "no-transform")],
    ] {
        let (response, _member) = page(fields, link);
        assert_eq!(response.text(), link, "{fields:?}");
        assert_eq!(
            response.field("content-length"),
            Some(link.len().to_string().as_str()),
            "{fields:?}"
        );
    }
}

#[test]
fn head_204_and_304_pass_untouched() {
    let (a, gateway) = mapped(scripts::bytes(
        "HTTP/1.1 304 Not Modified\r\nContent-Type: text/html\r\nETag: \"x\"\r\n\r\n",
        After::Keep,
    ));
    let mut client = gateway.connect();
    assert_eq!(client.get("/app/x").status, 304);
    a.becomes(scripts::bytes(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9\r\n\r\n",
        After::Keep,
    ));
    assert_eq!(client.ask(&Request::new("HEAD", "/app/x")).status, 200);
    a.becomes(scripts::bytes(
        "HTTP/1.1 204 No Content\r\nContent-Type: text/html\r\n\r\n",
        After::Keep,
    ));
    assert_eq!(client.get("/app/x").status, 204);
}

#[test]
fn a_mapped_page_streams() {
    let (a, gateway) = mapped(|exchange| {
        exchange.send(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
        exchange.send("16\r\n<a href=\"/ctx/1\">1</a>\r\n");
        exchange.wait_at_gate();
        exchange.send("16\r\n<a href=\"/ctx/2\">2</a>\r\n0\r\n\r\n");
        After::Keep
    });
    let mut client = gateway.connect();
    client.send(Request::get("/app/x").bytes());
    client.head();
    let mut first = Vec::new();
    while !String::from_utf8_lossy(&first).contains("/app/1") {
        let more = client.wire().some().unwrap();
        assert!(!more.is_empty(), "{}", first.escape_ascii());
        first.extend(more);
    }
    a.release(1);
    let mut rest = Vec::new();
    while !String::from_utf8_lossy(&rest).contains("0\r\n\r\n") {
        rest.extend(client.wire().some().unwrap());
    }
    assert!(String::from_utf8_lossy(&rest).contains("/app/2"));
}

#[test]
fn a_link_that_two_reads_tear_apart_is_mapped() {
    let (_a, gateway) = mapped(|exchange| {
        let page = format!(
            "<p><a href=\"{}/ctx/torn\">x</a>",
            format_args!("http://{}", exchange.member.addr)
        );
        exchange.send(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
        for byte in page.bytes() {
            exchange.send([b"1\r\n".as_slice(), &[byte], b"\r\n"].concat());
        }
        exchange.send("0\r\n\r\n");
        After::Keep
    });
    assert_eq!(
        gateway.get("/app/x").text(),
        "<p><a href=\"/app/torn\">x</a>"
    );
}
