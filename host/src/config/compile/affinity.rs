//! Stickiness, and the configuration of the built-in `jsessionid`.

use serde_json::{Value, json};

use super::{
    super::{
        problems::Place,
        read::{Either, Node},
        source::{BalancerTable, RouteCookieTable},
    },
    context::{Context, each, or},
    policy,
};
use crate::snapshot::PolicyRef;

/// The servlet specification's name of the session's cookie.
const COOKIE: &str = "JSESSIONID";
/// And of the path parameter. httpd's `stickysession=JSESSIONID` means one name for both, but
/// containers write this one, so it is looked for as well.
const PARAMETER: &str = "jsessionid";

/// Which policies tie sessions to members, in order; none where the file asks for none.
pub fn affinity(table: &BalancerTable, context: &mut Context<'_>) -> Vec<PolicyRef> {
    let Some(chain) = &table.affinity else {
        return implied(table, context).into_iter().collect();
    };
    let chain = each(chain);
    let built_in = |node: &Node<String>| node.value == "jsessionid";
    if !chain.iter().any(built_in) {
        for (key, place) in settings(table) {
            let message = format!("{key} is a setting of jsessionid, which affinity does not name");
            let remedy = "put it into the policy's config, or remove one of the two";
            context.out.error(place, message, remedy);
        }
    }
    let mut held = Vec::new();
    for node in &chain {
        if built_in(node) {
            held.push(jsessionid(table, context));
        } else if let Some(named) = policy::named(node, context) {
            held.push(named);
        } else {
            policy::not_a_policy(node, &["jsessionid"], context);
        }
    }
    held
}

/// What other keys ask for.
fn implied(table: &BalancerTable, context: &mut Context<'_>) -> Option<PolicyRef> {
    if table.stickysession.is_some() || table.route_cookie.is_some() {
        return Some(jsessionid(table, context));
    }
    for (key, place) in settings(table) {
        let message = format!("{key} has no effect without stickysession");
        context
            .out
            .warn(place, message, "add stickysession, or remove it");
    }
    // For what it checks.
    jsessionid(table, context);
    None
}

/// The keys that only `jsessionid` understands, as far as they were written.
fn settings(table: &BalancerTable) -> impl Iterator<Item = (&'static str, &Place)> {
    [
        (
            "stickysession",
            table.stickysession.as_ref().map(|n| &n.place),
        ),
        (
            "stickysessionsep",
            table.stickysessionsep.as_ref().map(|n| &n.place),
        ),
        ("failover", table.failover.as_ref().map(|n| &n.place)),
        (
            "route_cookie",
            table.route_cookie.as_ref().map(|n| &n.place),
        ),
    ]
    .into_iter()
    .filter_map(|(key, place)| Some((key, place?)))
}

fn jsessionid(table: &BalancerTable, context: &mut Context<'_>) -> PolicyRef {
    let route_cookie = table
        .route_cookie
        .as_ref()
        .map(|node| route_cookie(node, context));
    let (cookie, parameter) = match (&table.stickysession, &route_cookie) {
        (Some(node), _) => names(node, context),
        // httpd's idiom stickysession=ROUTEID: the gateway's own cookie is all there is.
        (None, Some((name, _))) => (name.clone(), name.clone()),
        (None, None) => (COOKIE.to_owned(), PARAMETER.to_owned()),
    };
    let config = json!({
        "cookie": cookie,
        "parameter": parameter,
        "other_parameter": if parameter == COOKIE { PARAMETER } else { "" },
        "separator": table.stickysessionsep.as_ref().map_or_else(|| ".".to_owned(), |n| separator(n, context)),
        "failover": or(&table.failover, true),
        "route_cookie": route_cookie.map_or(Value::Null, |(name, path)| json!({ "name": name, "path": path })),
        "semicolon_delimits": true,
    });
    PolicyRef::BuiltIn {
        name: "jsessionid",
        config,
    }
}

/// `NAME` for both, or `COOKIE|parameter`.
fn names(node: &Node<String>, context: &mut Context<'_>) -> (String, String) {
    let (cookie, parameter) = node
        .value
        .split_once('|')
        .unwrap_or((&node.value, &node.value));
    if !is_token(cookie) || !is_token(parameter) {
        let message = format!("{:?} is not a session's name", node.value);
        context.out.error(
            &node.place,
            message,
            "write NAME, or COOKIE|parameter, such as \"JSESSIONID|jsessionid\"",
        );
    }
    (cookie.to_owned(), parameter.to_owned())
}

/// The characters of a token (RFC 9110, 5.6.2), of which cookie names are made.
fn is_token(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`~".contains(&b);
    !name.is_empty() && name.bytes().all(legal)
}

fn separator(node: &Node<String>, context: &mut Context<'_>) -> String {
    if node.value.eq_ignore_ascii_case("off") {
        return String::new();
    }
    let legal = |c: char| c.is_ascii_graphic() && !";,=\"\\".contains(c);
    let mut chars = node.value.chars();
    if !matches!((chars.next(), chars.next()), (Some(c), None) if legal(c)) {
        let message = format!("{:?} is not a separator", node.value);
        context.out.error(
            &node.place,
            message,
            "write one character such as \".\" or \"!\", or \"off\"",
        );
    }
    node.value.clone()
}

fn route_cookie(
    node: &Node<Either<String, RouteCookieTable>>,
    context: &mut Context<'_>,
) -> (String, String) {
    let plain = |text: &str| Node {
        value: text.to_owned(),
        place: node.place.clone(),
    };
    let (name, path) = match &node.value {
        Either::Left(name) => (plain(name), plain("/")),
        Either::Right(table) => (
            table.name.clone().unwrap_or_else(|| plain("ROUTEID")),
            table.path.clone().unwrap_or_else(|| plain("/")),
        ),
    };
    if !is_token(&name.value) {
        let message = format!("{:?} is not a cookie's name", name.value);
        context
            .out
            .error(&name.place, message, "use letters, digits, - and _");
    }
    let legal = |c: char| c.is_ascii_graphic() && c != ';' && c != ',';
    if !path.value.starts_with('/') || !path.value.chars().all(legal) {
        let message = format!("{:?} is not a cookie's path", path.value);
        context.out.error(
            &path.place,
            message,
            "start it with /, without blanks, ; and ,",
        );
    }
    (name.value, path.value)
}
