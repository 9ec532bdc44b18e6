//! Stickiness against what httpd was seen to do, end to end.

use serde_json::Value;
use switchyard_tests::{
    Gateway, Member, Request,
    golden::{self, Compared},
    scripts,
};

use crate::conf::{balancer, entry};

/// Where we do better than httpd on purpose: target, cookie, what four requests give here, and why.
const DIFFERENCES: &[(&str, &str, &str, &str)] = &[
    (
        "/app;jsessionid=abc.node2",
        "",
        "2222",
        "Tomcat writes the parameter in lower case, whatever the cookie's case",
    ),
    (
        "/app?xJSESSIONID=abc.node2",
        "",
        "1231",
        "a parameter's name is matched whole",
    ),
    (
        "/app/JSESSIONID=abc.node2",
        "",
        "1231",
        "a path segment is no parameter",
    ),
    (
        "/app;JSESSIONID=abc.node2/more",
        "",
        "2222",
        "a path parameter ends with its segment (RFC 3986 section 3.3)",
    ),
    (
        "/app;jsessionid=abc.node2",
        "",
        "2222",
        "containers write the parameter in lower case, whatever the cookie's name",
    ),
    (
        "/a;jsessionid=abc.node2/b",
        "",
        "2222",
        "a path parameter ends with its segment (RFC 3986 section 3.3)",
    ),
    (
        "/app%3BJSESSIONID=abc.node2",
        "",
        "1231",
        "an encoded semicolon is data, and Tomcat sees it so",
    ),
    (
        "/app?JSESSIONID=abc%2Enode2",
        "",
        "2222",
        "query values are decoded, as the application reads them",
    ),
    (
        "/app?JSESSIONID=abc",
        "JSESSIONID=abc.node1",
        "1111",
        "a URL value without a route does not hide the cookie's",
    ),
    (
        "/app?JSESSIONID=&x=1",
        "JSESSIONID=abc.node1",
        "1111",
        "an empty value does not hide the cookie's",
    ),
    (
        "/app?JSESSIONID=abc.unknown",
        "JSESSIONID=abc.node1",
        "1111",
        "a route that a member carries beats one that none carries",
    ),
    (
        "/app/x",
        "JSESSIONID=\"abc.node2\"",
        "2222",
        "quotes around a cookie's value are not part of the route",
    ),
    (
        "/app/x",
        "foo=1,JSESSIONID=abc.node2,bar=2",
        "1231",
        "only a semicolon separates cookies (RFC 6265)",
    ),
];

/// What four requests of a case give: as in the vectors, but for the rows above.
fn expected(case: &Value) -> String {
    let (path, cookie) = (
        golden::text(case, "path"),
        case["cookie"].as_str().unwrap_or_default(),
    );
    let difference = DIFFERENCES
        .iter()
        .find(|(p, c, _, _)| *p == path && *c == cookie);
    if let Some((_, _, ours, _)) = difference {
        return (*ours).to_owned();
    }
    match &case["members_4_requests"] {
        Value::String(text) => text.clone(),
        Value::Array(list) => list
            .iter()
            .map(|v| v.as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
            .join(" "),
        other => panic!("{other}"),
    }
}

/// httpd's parameters as our keys.
fn options(text: &str) -> String {
    let mut keys = String::new();
    for word in text.split_whitespace() {
        let (name, value) = word.split_once('=').expect("name=value");
        match name {
            "stickysession" => keys.push_str(&format!("stickysession = \"{value}\"\n")),
            "stickysessionsep" => keys.push_str(&format!(
                "stickysessionsep = \"{}\"\n",
                value.to_lowercase()
            )),
            "nofailover" => keys.push_str(&format!("failover = {}\n", value == "Off")),
            // Ours always ends a path parameter's value at the next semicolon.
            "scolonpathdelim" => {}
            other => panic!("no key for {other}"),
        }
    }
    keys
}

/// `http://127.0.0.1:21001 route=node1 status=+D redirect=node3`
fn member(text: &str, member: &Member) -> String {
    let mut keys = Vec::new();
    for word in text.split_whitespace().skip(1) {
        let (name, value) = word.split_once('=').expect("name=value");
        match name {
            "route" | "redirect" => keys.push(format!("{name} = \"{value}\"")),
            "status" => {
                let word = match value {
                    "+D" => "disabled",
                    "+N" => "draining",
                    "+H" => "standby",
                    other => panic!("no word for {other}"),
                };
                keys.push(format!("status = \"{word}\""));
            }
            other => panic!("no key for {other}"),
        }
    }
    entry(member, &keys.join(", "))
}

#[test]
fn sessions_stay_where_httpd_keeps_them() {
    let file = golden::load("sticky.json");
    let members: Vec<Member> = (1..=3)
        .map(|i| Member::start(&i.to_string(), scripts::name()))
        .collect();
    let mut text = String::new();
    let mut balancers = String::new();
    let mut cases = Vec::new();
    for group in golden::list(&file, "groups") {
        let name = golden::text(group, "group");
        for case in golden::list(group, "cases") {
            let id = format!("c{}", cases.len());
            text.push_str(&format!(
                "[[vhost]]\nname = \"{id}.example\"\n[[vhost.route]]\npath = \"/\"\nbalancer = \"{id}\"\n"
            ));
            let entries: Vec<String> = golden::list(group, "members")
                .iter()
                .zip(&members)
                .map(|(m, running)| member(m.as_str().expect("text"), running))
                .collect();
            balancers.push_str(&balancer(
                &id,
                &options(golden::text(group, "balancer_options")),
                &entries,
            ));
            cases.push((name, case, id));
        }
    }
    let gateway = Gateway::start(text + &balancers);
    let mut compared = Compared::default();
    for (group, case, id) in cases {
        let mut request = Request::get(golden::text(case, "path")).host(&format!("{id}.example"));
        if let Some(cookie) = case["cookie"].as_str() {
            request = request.cookie(cookie);
        }
        for cookie in case["cookies"].as_array().into_iter().flatten() {
            request = request.cookie(cookie.as_str().expect("text"));
        }
        let mut client = gateway.connect();
        let answers: Vec<String> = (0..4)
            .map(|_| {
                let response = client.ask(&request);
                if response.status == 200 {
                    response.text()
                } else {
                    response.status.to_string()
                }
            })
            .collect();
        let joined = if answers[0].len() > 1 {
            answers.join(" ")
        } else {
            answers.concat()
        };
        compared.row(format!("{group}: {case}"), joined, expected(case));
    }
    compared.end(75);
}
