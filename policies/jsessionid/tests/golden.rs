//! Every case measured on httpd, with the differences that are on purpose.
//!
//! What is compared is the route that a request names; which member carries it, and
//! what happens where that is down, is the gateway's part.

#![allow(
    clippy::unwrap_used,
    reason = "what cannot be unwrapped fails the test"
)]

use policy_jsessionid::JSessionId;
use serde_json::Value;
use switchyard_policy::{
    Affinity, Hold, Membership, Pin,
    testing::{self, Host},
};

/// A case where httpd does something else, on purpose.
struct Difference {
    path: &'static str,
    cookie: &'static str,
    /// The route this policy finds.
    ours: Option<&'static str>,
    /// What httpd finds.
    httpd: Option<&'static str>,
    reason: &'static str,
}

const DIFFERENCES: [Difference; 12] = [
    Difference {
        path: "/app?xJSESSIONID=abc.node2",
        cookie: "",
        ours: None,
        httpd: Some("node2"),
        reason: "a parameter's name is matched whole: xJSESSIONID is another one",
    },
    Difference {
        path: "/app/JSESSIONID=abc.node2",
        cookie: "",
        ours: None,
        httpd: Some("node2"),
        reason: "a path segment is no parameter",
    },
    Difference {
        path: "/app/JSESSIONID=abc.node2/more",
        cookie: "",
        ours: None,
        httpd: Some("node2/more"),
        reason: "a path segment is no parameter",
    },
    Difference {
        path: "/app;JSESSIONID=abc.node2/more",
        cookie: "",
        ours: Some("node2"),
        httpd: Some("node2/more"),
        reason: "a path parameter ends with its segment (RFC 3986 section 3.3)",
    },
    Difference {
        path: "/a;jsessionid=abc.node2/b",
        cookie: "",
        ours: Some("node2"),
        httpd: Some("node2/b"),
        reason: "a path parameter ends with its segment (RFC 3986 section 3.3)",
    },
    Difference {
        path: "/app%3BJSESSIONID=abc.node2",
        cookie: "",
        ours: None,
        httpd: Some("node2"),
        reason: "an encoded semicolon is data, and Tomcat sees it so",
    },
    Difference {
        path: "/app?JSESSIONID=abc%2Enode2",
        cookie: "",
        ours: Some("node2"),
        httpd: None,
        reason: "query values are decoded, as the application reads them",
    },
    Difference {
        path: "/app?JSESSIONID=abc",
        cookie: "JSESSIONID=abc.node1",
        ours: Some("node1"),
        httpd: None,
        reason: "a URL value without a route does not hide the cookie's",
    },
    Difference {
        path: "/app?JSESSIONID=&x=1",
        cookie: "JSESSIONID=abc.node1",
        ours: Some("node1"),
        httpd: None,
        reason: "an empty value does not hide the cookie's, wherever it stands",
    },
    Difference {
        path: "/app?JSESSIONID=abc.unknown",
        cookie: "JSESSIONID=abc.node1",
        ours: Some("node1"),
        httpd: Some("unknown"),
        reason: "a route that a member carries beats one that none carries",
    },
    Difference {
        path: "/app/x",
        cookie: "JSESSIONID=\"abc.node2\"",
        ours: Some("node2"),
        httpd: Some("node2\""),
        reason: "quotes around a cookie's value are not part of the route",
    },
    Difference {
        path: "/app/x",
        cookie: "foo=1,JSESSIONID=abc.node2,bar=2",
        ours: None,
        httpd: Some("node2"),
        reason: "only a semicolon separates cookies (RFC 6265); the comma form is RFC 2109's",
    },
];

fn config(options: &str) -> String {
    let mut cookie = "JSESSIONID";
    let mut parameter = "JSESSIONID";
    let (mut separator, mut failover, mut semicolon) = (".", true, false);
    for option in options.split(' ') {
        match option.split_once('=').unwrap() {
            ("stickysession", names) => {
                (cookie, parameter) = names.split_once('|').unwrap_or((names, names));
            }
            ("stickysessionsep", "Off") => separator = "",
            ("stickysessionsep", other) => separator = other,
            ("nofailover", on) => failover = on != "On",
            ("scolonpathdelim", on) => semicolon = on == "On",
            other => panic!("{other:?}"),
        }
    }
    serde_json::json!({
        "cookie": cookie,
        "parameter": parameter,
        "separator": separator,
        "failover": failover,
        "semicolon_delimits": semicolon,
    })
    .to_string()
}

fn start(group: &Value) -> JSessionId {
    let mut policy: JSessionId =
        testing::start(&config(group["balancer_options"].as_str().unwrap())).unwrap();
    let members = group["members"].as_array().unwrap().iter().map(|member| {
        let mut words = member.as_str().unwrap().split(' ');
        let id = words.next().unwrap();
        let route = words.find_map(|word| word.strip_prefix("route="));
        testing::member(id, route.unwrap_or_default())
    });
    policy.members_changed(1, members.collect());
    policy
}

fn cookies(case: &Value) -> Vec<String> {
    let one = case["cookie"].as_str().map(str::to_owned);
    let many = case["cookies"].as_array().into_iter().flatten();
    one.into_iter()
        .chain(many.map(|line| line.as_str().unwrap().to_owned()))
        .collect()
}

#[test]
fn the_routes_of_httpd_are_found_but_for_the_named_differences() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/golden/sticky.json"
    );
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut cases = 0;
    let mut met = vec![false; DIFFERENCES.len()];
    for group in golden["groups"].as_array().unwrap() {
        let mut policy = start(group);
        let strict = group["balancer_options"]
            .as_str()
            .unwrap()
            .contains("nofailover=On");
        for case in group["cases"].as_array().unwrap() {
            cases += 1;
            let host = Host::new();
            let path = case["path"].as_str().unwrap();
            let lines = cookies(case);
            host.path(path);
            for line in &lines {
                host.header("cookie", line);
            }
            // A refused request exports no variables; its cookie says the route.
            let httpd = match case["stuck_to"].as_str() {
                Some("status 503") => Some("node1"),
                _ => case["env_first"]["SESSION_ROUTE"].as_str(),
            };
            let line = lines.first().map_or("", String::as_str);
            let difference = DIFFERENCES.iter().position(|difference| {
                difference.path == path && difference.cookie == line && difference.httpd == httpd
            });
            let wanted = match difference {
                Some(index) => {
                    met[index] = true;
                    DIFFERENCES[index].ours
                }
                None => httpd,
            };
            let wanted = wanted.map(|route| Hold::route(route).strictly(strict));
            let got = host.run(|| policy.locate());
            assert_eq!(got, wanted, "{} {path} {lines:?}", group["group"]);
        }
    }
    assert_eq!(cases, 80);
    for (difference, met) in DIFFERENCES.iter().zip(met) {
        assert!(
            met,
            "no case for: {} {}",
            difference.path, difference.reason
        );
    }
}

#[test]
fn the_member_that_httpd_stuck_to_carries_the_route_found() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/golden/sticky.json"
    );
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let group = &golden["groups"][0];
    let mut policy = start(group);
    let routes = ["node1", "node2", "node2.x"];
    let mut stuck = 0;
    for case in group["cases"].as_array().unwrap() {
        let Some(number) = case["stuck_to"]
            .as_str()
            .and_then(|m| m.strip_prefix("member"))
        else {
            continue;
        };
        let host = Host::new();
        host.path(case["path"].as_str().unwrap());
        for line in cookies(case) {
            host.header("cookie", line);
        }
        if let Some(Hold {
            pin: Pin::Route(route),
            ..
        }) = host.run(|| policy.locate())
        {
            let number: usize = number.parse().unwrap();
            assert_eq!(route, routes[number - 1], "{case}");
            stuck += 1;
        }
    }
    assert!(stuck >= 10, "{stuck}");
}
