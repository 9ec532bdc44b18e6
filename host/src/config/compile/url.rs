//! URLs of members.

use ::url::{Host, Url};

use super::{super::read::Node, context::Context};
use crate::snapshot::MemberId;

/// Where a member is, normalised.
pub struct Target {
    /// The whole, port given, without trailing slash.
    pub id: MemberId,
    /// Lower case; IPv6 without brackets.
    pub host: String,
    /// Not 0.
    pub port: u16,
    /// Empty, or like `/Test`.
    pub base_path: String,
}

/// The target of a URL; `None`, and noted, where members cannot be there.
pub fn target(node: &Node<String>, context: &mut Context<'_>) -> Option<Target> {
    match parse(&node.value) {
        Ok(target) => Some(target),
        Err((message, remedy)) => {
            context.out.error(&node.place, message, remedy);
            None
        }
    }
}

const EXAMPLE: &str = "write http://host:port/path";

fn parse(text: &str) -> Result<Target, (String, String)> {
    let refuse =
        |message: &str, remedy: &str| Err((format!("{text:?}: {message}"), remedy.to_owned()));
    let Some((scheme, rest)) = text.split_once("://") else {
        return refuse("not a URL", EXAMPLE);
    };
    match scheme.to_ascii_lowercase().as_str() {
        "http" => {}
        "https" => {
            return refuse(
                "members are not spoken to over TLS yet",
                "use the member's http connector",
            );
        }
        "ajp" => {
            return refuse(
                "AJP is not spoken",
                "use Tomcat's HTTP connector: http://host:8080",
            );
        }
        "balancer" => return refuse("that is a balancer", "write balancer = \"NAME\" instead"),
        "ws" => {
            return refuse(
                "not a scheme of members",
                "write http://; upgrades to websocket are tunnelled",
            );
        }
        _ => return refuse("not a scheme of members", EXAMPLE),
    }
    // The URL parser repairs what follows; an operator should see it instead.
    if rest.starts_with('/')
        || text
            .chars()
            .any(|c| c.is_control() || c.is_whitespace() || c == '\\')
    {
        return refuse("not a URL", EXAMPLE);
    }
    let url = Url::parse(text).map_err(|e| (format!("{text:?}: {e}"), EXAMPLE.to_owned()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("a member's URL carries no user", "remove the part before @");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return refuse(
            "a member's URL has no query and no fragment",
            "remove what follows ? or #",
        );
    }
    let host = match url.host() {
        Some(Host::Domain(name)) => name.trim_end_matches('.').to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        None => return refuse("it has no host", EXAMPLE),
    };
    let Some(port) = url.port_or_known_default().filter(|port| *port > 0) else {
        return refuse("port 0 cannot be connected to", EXAMPLE);
    };
    let base_path = url.path().trim_end_matches('/').to_owned();
    let shown = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.clone()
    };
    let id = MemberId(format!("http://{shown}:{port}{base_path}").into());
    Ok(Target {
        id,
        host,
        port,
        base_path,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_is_the_normalised_url() {
        let cases = [
            (
                "http://10.0.0.3:8080/Test",
                "http://10.0.0.3:8080/Test",
                "/Test",
            ),
            (
                "http://10.0.0.3:8080/Test/",
                "http://10.0.0.3:8080/Test",
                "/Test",
            ),
            (
                "HTTP://Tomcat.Example.COM",
                "http://tomcat.example.com:80",
                "",
            ),
            ("http://[2001:DB8::1]:81/", "http://[2001:db8::1]:81", ""),
            ("http://host.:8080/a/../b", "http://host:8080/b", "/b"),
        ];
        for (text, id, base_path) in cases {
            let target = parse(text).unwrap_or_else(|e| panic!("{e:?}"));
            assert_eq!(&*target.id.0, id);
            assert_eq!(target.base_path, base_path);
        }
    }

    #[test]
    fn ipv6_hosts_lose_their_brackets() {
        assert_eq!(
            parse("http://[::1]:8080")
                .unwrap_or_else(|e| panic!("{e:?}"))
                .host,
            "::1"
        );
    }

    #[test]
    fn what_is_no_http_url_is_refused() {
        for text in [
            "",
            "host:8080",
            "https://h",
            "ajp://h:8009",
            "balancer://b",
            "http://",
            "http:///x",
            "http://h:0",
            "http://h:99999",
            "http://u:p@h",
            "http://h/?q",
            "http://h/#f",
            "http://a b",
            "http:\\\\h",
            "http://h\t",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
