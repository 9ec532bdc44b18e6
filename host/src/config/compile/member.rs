//! Members and their URLs.

use std::time::Duration;

use url::{Host, Url};

use super::{
    super::{
        read::Node,
        source::{BalancerTable, MemberTable, StatusWord},
        units::LoadFactor,
    },
    context::Context,
};
use crate::snapshot::{Member, MemberId, Scheme, Status};

/// One member of a balancer, with the balancer's defaults; `None` where it has no usable URL.
pub fn member(
    node: &Node<MemberTable>,
    defaults: &BalancerTable,
    context: &mut Context<'_>,
) -> Option<Member> {
    let table = &node.value;
    let Some(url) = &table.url else {
        if !context.out.mentions(&node.place.child("url", 0..0).key) {
            context
                .out
                .missing(&node.place, "url", "write url = \"http://host:8080/path\"");
        }
        return None;
    };
    let target = target(url, context);
    let timing = Timing {
        connect: context.positive_time(
            either(&table.connect_timeout, &defaults.connect_timeout),
            CONNECT,
        ),
        answer: context.positive_time(
            either(&table.answer_timeout, &defaults.answer_timeout),
            ANSWER,
        ),
    };
    let route = table
        .route
        .as_ref()
        .map_or(String::new(), |n| affinity_route(n, context));
    let redirect = table
        .redirect
        .as_ref()
        .map_or(String::new(), |n| affinity_route(n, context));
    let mut member = with_defaults(target?, timing);
    let value = |own: &Option<Node<_>>, inherited: &Option<Node<_>>, default| {
        either(own, inherited)
            .as_ref()
            .map_or(default, |n: &Node<super::super::units::Time>| n.value.0)
    };
    member.retry = value(&table.retry, &defaults.retry, member.retry);
    member.acquire_timeout = value(
        &table.acquire_timeout,
        &defaults.acquire_timeout,
        member.acquire_timeout,
    );
    member.idle_timeout = context.positive_time(
        either(&table.idle_timeout, &defaults.idle_timeout),
        member.idle_timeout,
    );
    member.route = route;
    member.redirect = redirect;
    member.weight = copied(
        &table.loadfactor,
        &defaults.loadfactor,
        LoadFactor(member.weight),
    )
    .0;
    member.lb_set = copied(&table.lbset, &defaults.lbset, 0);
    member.status = status(copied(&table.status, &defaults.status, StatusWord::Ok));
    member.max_connections =
        Some(copied(&table.max_connections, &defaults.max_connections, 0)).filter(|n| *n > 0);
    member.keepalive = copied(&table.keepalive, &defaults.keepalive, true);
    member.labels = table
        .labels
        .iter()
        .flat_map(|n| &n.value.0)
        .map(|(key, node)| (key.clone(), node.value.clone()))
        .collect();
    Some(member)
}

/// A member of its own, for a route with `proxy = "http://…"`.
pub fn alone(url: &Node<String>, context: &mut Context<'_>) -> Option<Member> {
    Some(with_defaults(
        target(url, context)?,
        Timing {
            connect: CONNECT,
            answer: ANSWER,
        },
    ))
}

/// On a data centre's network a connect takes a millisecond, or one lost SYN (1 s), or two (3 s).
const CONNECT: Duration = Duration::from_secs(5);

/// As httpd's ProxyTimeout.
const ANSWER: Duration = Duration::from_secs(60);

struct Timing {
    connect: Duration,
    answer: Duration,
}

struct Target {
    id: MemberId,
    host: String,
    port: u16,
    base_path: String,
}

fn with_defaults(target: Target, timing: Timing) -> Member {
    Member {
        id: target.id,
        scheme: Scheme::Http,
        host: target.host,
        port: target.port,
        base_path: target.base_path,
        route: String::new(),
        redirect: String::new(),
        weight: 100,
        lb_set: 0,
        status: Status::Ok,
        retry: Duration::from_secs(60),
        connect_timeout: timing.connect,
        answer_timeout: timing.answer,
        max_connections: None,
        acquire_timeout: Duration::from_secs(1),
        keepalive: true,
        // Below the 20 s after which Tomcat closes an idle connection itself.
        idle_timeout: Duration::from_secs(15),
        labels: vec![],
    }
}

fn either<'a, T>(own: &'a Option<Node<T>>, inherited: &'a Option<Node<T>>) -> &'a Option<Node<T>> {
    if own.is_some() { own } else { inherited }
}

fn copied<T: Copy>(own: &Option<Node<T>>, inherited: &Option<Node<T>>, default: T) -> T {
    either(own, inherited).as_ref().map_or(default, |n| n.value)
}

fn status(word: StatusWord) -> Status {
    match word {
        StatusWord::Ok => Status::Ok,
        StatusWord::Draining => Status::Draining,
        StatusWord::Disabled => Status::Disabled,
        StatusWord::Stopped => Status::Stopped,
        StatusWord::Standby => Status::Standby,
        StatusWord::Spare => Status::Spare,
    }
}

/// A route ends up in session ids, so it may hold nothing that ends a cookie or a path parameter.
fn affinity_route(node: &Node<String>, context: &mut Context<'_>) -> String {
    let legal = |c: char| c.is_ascii_graphic() && !";,\"\\/?#&".contains(c);
    if node.value.is_empty() || !node.value.chars().all(legal) {
        let remedy = "write the member's jvmRoute: letters, digits, -, _ and .";
        context.out.error(
            &node.place,
            format!("{:?} is not a route", node.value),
            remedy,
        );
    }
    node.value.clone()
}

fn target(node: &Node<String>, context: &mut Context<'_>) -> Option<Target> {
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
