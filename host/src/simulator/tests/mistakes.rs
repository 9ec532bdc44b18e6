//! Scenarios with mistakes: all of them at once, each with its line, key and remedy.

use super::{POOL, built_in, read};

fn mistakes(text: &str) -> Vec<String> {
    let tested = built_in("byrequests");
    let report = read(&tested, text).expect_err("the scenario is wrong");
    report.lines().lines().map(str::to_owned).collect()
}

#[test]
fn every_mistake_comes_with_its_line_its_key_and_what_to_do() {
    let text = format!(
        "{POOL}{}",
        r#"[[step]]
requests = "ten"
dies = "x"
[[step]]
requets = 5
requests = 5
client = "nobody"
session = "a"
sessions = 5
headers = { "x y" = "1" }
answer = { status = 99, after = "2s", lasts = "1s" }
expect = { sequence = "abx", shares = "fair", never = "q", within = 2 }
"#
    );
    let found = mistakes(&text);
    let due = [
        (
            "it.toml:8:12: step[0].requests: expected a whole number",
            "write",
        ),
        (
            "it.toml:9:8: step[0].dies: there is no member `x`",
            "did you mean `a`",
        ),
        (
            "it.toml:11:1: step[1].requets: unknown key `requets`",
            "did you mean `requests`",
        ),
        (
            "it.toml:13:10: step[1].client: \"nobody\" is no address",
            "192.0.2.1",
        ),
        (
            "it.toml:15:12: step[1].sessions: session and sessions cannot both be",
            "remove one",
        ),
        (
            "step[1].headers.\"x y\": \"x y\" is no field name",
            "letters",
        ),
        ("step[1].answer.status: 99 is no final status", "200 to 599"),
        (
            "step[1].answer.lasts: its body would end before",
            "at least",
        ),
        (
            "step[1].expect.sequence: there is no member `x`",
            "did you mean",
        ),
        ("step[1].expect.shares: \"fair\" is no share", "weights"),
        (
            "step[1].expect.never: there is no member `q`",
            "did you mean",
        ),
    ];
    for (message, remedy) in due {
        let fits = |line: &&String| line.contains(message) && line.contains(remedy);
        assert!(
            found.iter().any(|line| fits(&line)),
            "{message} … {remedy} in {found:#?}"
        );
    }
}

#[test]
fn mistakes_of_members_are_those_of_a_configuration() {
    let text = "[balancer]\nmembers = [{ url = \"ftp://a\" }, { loadfactor = 0, url = \"http://b\" }]\n[[step]]\nrequests = 1\n";
    let found = mistakes(text);
    assert!(
        found
            .iter()
            .any(|line| line.starts_with("it.toml:2:") && line.contains("balancer.members[0].url")),
        "{found:#?}"
    );
    assert!(
        found
            .iter()
            .any(|line| line.contains("balancer.members[1].loadfactor")),
        "{found:#?}"
    );
}

#[test]
fn what_cannot_be_played_is_refused() {
    let cases = [
        ("", "`step` is missing"),
        ("[[step]]\nexpect = { status = 200 }\n", "nothing is sent"),
        ("[[step]]\nrequests = 2000000\n", "too many"),
        (
            "[balancer]\nwait = \"1s\"\nmembers = [{ url = \"http://a\" }]\n[[step]]\nrequests = 1\n",
            "nobody who waits",
        ),
        (
            "[[step]]\npath = \"no slash\"\nrequests = 1\n",
            "no client can ask this",
        ),
        (
            "[[step]]\nsessions = 0\nrequests = 1\n",
            "cannot take turns",
        ),
        (
            "[[step]]\nrequests = 1\nexpect = { within = 2 }\n",
            "no shares that it bounds",
        ),
        (
            "[[step]]\nrequests = 1\nexpect = { shares = {} }\n",
            "nobody's share is given",
        ),
        (
            "[[step]]\nleaves = \"nobody\"\n",
            "there is no member `nobody`",
        ),
        (
            "[[step]]\njoins = [{ url = \"http://member\" }]\n",
            "already a member",
        ),
        ("[[step]\n", "it.toml:1:"),
    ];
    for (text, due) in cases {
        let found = mistakes(text);
        assert!(
            found.iter().any(|line| line.contains(due)),
            "{due:?} in {found:#?}"
        );
    }
}
