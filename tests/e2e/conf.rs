//! Pieces of configuration text, and the smallest gateway with them.

use switchyard_tests::{After, Exchange, Gateway, Member, ReservedPort};

/// What has a URL to put into a configuration.
pub trait Origin {
    /// `http://127.0.0.1:port`
    fn origin(&self) -> String;
}

impl Origin for Member {
    fn origin(&self) -> String {
        self.url()
    }
}

impl Origin for ReservedPort {
    fn origin(&self) -> String {
        self.url()
    }
}

/// One entry of `members`: `keys` as in `route = "a", loadfactor = 2`.
pub fn entry(member: &impl Origin, keys: &str) -> String {
    entry_below(member, "", keys)
}

/// The same with a base path.
pub fn entry_below(member: &impl Origin, base: &str, keys: &str) -> String {
    let comma = if keys.is_empty() { "" } else { ", " };
    format!("{{ url = \"{}{base}\"{comma}{keys} }}", member.origin())
}

/// `[balancer.NAME]` with keys, one a line, and members.
pub fn balancer(name: &str, keys: &str, members: &[String]) -> String {
    let members: String = members.iter().map(|m| format!("  {m},\n")).collect();
    format!("[balancer.{name}]\n{keys}\nmembers = [\n{members}]\n")
}

/// A vhost that takes every host, with routes of `(path, keys)`.
pub fn site(routes: &[(&str, &str)]) -> String {
    let mut text = String::from("[[vhost]]\nname = \"front.example.com\"\ndefault = true\n");
    for (path, keys) in routes {
        text.push_str(&format!("[[vhost.route]]\npath = \"{path}\"\n{keys}\n"));
    }
    text
}

/// Everything to balancer `cl` of these members, each with its name as route.
pub fn everything_to(members: &[&Member], keys: &str) -> String {
    let members: Vec<_> = members
        .iter()
        .map(|m| entry(*m, &format!("route = \"{}\"", m.name())))
        .collect();
    site(&[("/", "balancer = \"cl\"")]) + &balancer("cl", keys, &members)
}

/// One member that does so, and a gateway before it.
pub fn one(
    script: impl Fn(&mut Exchange<'_>) -> After + Send + Sync + 'static,
) -> (Member, Gateway) {
    let member = Member::start("a", script);
    let gateway = Gateway::start(everything_to(&[&member], ""));
    (member, gateway)
}
