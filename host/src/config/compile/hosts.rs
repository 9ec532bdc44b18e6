//! Names of virtual hosts.

use super::{super::read::Node, context::Context};
use crate::snapshot::HostPattern;

/// A vhost's own name: lower case, exact.
pub fn name(node: &Node<String>, context: &mut Context<'_>) -> Option<String> {
    match pattern(node, context)? {
        HostPattern::Exact(name) => Some(name),
        HostPattern::Suffix(_) | HostPattern::Glob(_) => {
            let remedy = "write a plain name here and the pattern into aliases";
            context
                .out
                .error(&node.place, "a vhost's name has no wildcards", remedy);
            None
        }
    }
}

/// What one name or alias matches.
pub fn pattern(node: &Node<String>, context: &mut Context<'_>) -> Option<HostPattern> {
    match parse(&node.value) {
        Ok(pattern) => Some(pattern),
        Err((message, remedy)) => {
            context
                .out
                .error(&node.place, format!("{:?}: {message}", node.value), remedy);
            None
        }
    }
}

/// What a name matches, for those who leave it to others to complain.
pub fn quietly(text: &str) -> Option<HostPattern> {
    parse(text).ok()
}

fn parse(text: &str) -> Result<HostPattern, (&'static str, String)> {
    let refuse = |message, remedy: &str| Err((message, remedy.to_owned()));
    let lower = text.to_ascii_lowercase();
    let name = lower.strip_suffix('.').unwrap_or(&lower);
    if !name.is_ascii() {
        let remedy = match url::Host::parse(name) {
            Ok(ascii) if !name.contains(['*', '?']) => format!("write {:?}", ascii.to_string()),
            _ => "write it in its xn-- form".to_owned(),
        };
        return Err(("clients send names in ASCII", remedy));
    }
    if name.contains("://") {
        return refuse("a URL is not a host name", "write the name alone");
    }
    if let Some(address) = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')) {
        return match address.parse::<std::net::Ipv6Addr>() {
            Ok(address) => Ok(HostPattern::Exact(format!("[{address}]"))),
            Err(_) => refuse("not an IPv6 address", "write it as [2001:db8::1]"),
        };
    }
    if name.contains(':') {
        return refuse(
            "a vhost's name has no port",
            "remove the port; a vhost serves every listener",
        );
    }
    if name.len() > 253 {
        return refuse("longer than a host name can be (253)", "shorten it");
    }
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-_.*?".contains(&b);
    if name.is_empty()
        || !name.bytes().all(legal)
        || (name != "*" && name.split('.').any(str::is_empty))
    {
        return refuse(
            "not a host name",
            "use letters, digits and - between single dots",
        );
    }
    let globs = |part: &str| part.contains(['*', '?']);
    Ok(match name.strip_prefix('*') {
        Some(rest) if rest.starts_with('.') && !globs(rest) => HostPattern::Suffix(rest.to_owned()),
        _ if globs(name) => HostPattern::Glob(name.to_owned()),
        _ => HostPattern::Exact(name.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_the_narrowest_pattern() {
        let exact = |s: &str| Ok(HostPattern::Exact(s.to_owned()));
        assert_eq!(parse("WWW.Example.com."), exact("www.example.com"));
        assert_eq!(parse("localhost"), exact("localhost"));
        assert_eq!(parse("[2001:DB8::0001]"), exact("[2001:db8::1]"));
        assert_eq!(
            parse("*.example.com"),
            Ok(HostPattern::Suffix(".example.com".to_owned()))
        );
        assert_eq!(
            parse("www?.example.*"),
            Ok(HostPattern::Glob("www?.example.*".to_owned()))
        );
        assert_eq!(
            parse("*.*.com"),
            Ok(HostPattern::Glob("*.*.com".to_owned()))
        );
        assert_eq!(parse("*"), Ok(HostPattern::Glob("*".to_owned())));
    }

    #[test]
    fn what_is_no_name_is_refused_with_a_remedy() {
        for text in [
            "",
            ".",
            "a..b",
            ".a",
            "a b",
            "a:80",
            "http://a",
            "[::1",
            "[x]",
            "a/b",
            "müller.de",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(
            parse("münchen.de").map_err(|e| e.1),
            Err("write \"xn--mnchen-3ya.de\"".to_owned())
        );
        assert!(parse(&"a.".repeat(200)).is_err());
    }
}
