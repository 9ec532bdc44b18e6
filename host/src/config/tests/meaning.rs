//! What keys mean, and what stands for those that are left out.

use std::{path::Path, sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::{super::load, LEAST, said, taken};
use crate::snapshot::{
    AccessFormat, Action, Balancer, HostPattern, OnError, PathPattern, PolicyRef, Proxy, Route,
    RouteOrder, Snapshot, Status, StatusRange,
};

fn balancer(keys: &str) -> Arc<Balancer> {
    let text = format!("{LEAST}[balancer.app]\n{keys}\n");
    Arc::clone(&taken(&text).snapshot.balancers["app"])
}

const TWO: &str = "members = [{ url = \"http://a/\", route = \"w1\" }, { url = \"http://b:81/x\", route = \"w2\" }]";

fn routes(text: &str) -> (Snapshot, Vec<Route>) {
    let app = format!("[balancer.app]\n{TWO}\n[policy.own]\nsource = \"own.wasm\"\n");
    let snapshot = taken(&format!("{LEAST}{text}{app}")).snapshot;
    let routes = snapshot.vhosts[0].routes.clone();
    (snapshot, routes)
}

fn proxy(keys: &str) -> Proxy {
    let (_, routes) = routes(&format!("[[vhost.route]]\n{keys}\n"));
    match &routes[0].action {
        Action::Proxy(proxy) => (**proxy).clone(),
        other => panic!("{other:?}"),
    }
}

/// The configuration made for a built-in policy.
fn made(policy: &PolicyRef) -> (&'static str, Value) {
    match policy {
        PolicyRef::BuiltIn { name, config } => (name, config.clone()),
        PolicyRef::Named(name) => panic!("policy:{name}"),
    }
}

#[test]
fn the_example_is_taken_without_a_warning() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace");
    let loaded =
        load(&root.join("examples/switchyard.toml")).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(loaded.lines(), "");
    assert_eq!(
        loaded.snapshot.balancers["mycluster"].members[1].weight,
        200
    );
    assert!(
        loaded
            .snapshot
            .balancers
            .contains_key("www.example.com/boxroom")
    );
}

#[test]
fn defaults_are_what_the_schema_says() {
    let every_default = super::schema::with_every_default();
    let spelled_out = taken(&every_default).snapshot;
    let left_out = taken(&super::schema::with_no_default()).snapshot;
    assert_eq!(spelled_out, left_out);
}

#[test]
fn one_member_more_or_less_changes_the_number_of_tries() {
    assert_eq!(balancer(TWO).max_attempts, 1);
    assert_eq!(
        balancer("members = [{ url = \"http://a\" }]").max_attempts,
        0
    );
    assert_eq!(balancer(&format!("{TWO}\nmaxattempts = 5")).max_attempts, 5);
}

#[test]
fn members_are_normalised_and_inherit() {
    let app = balancer(
        "retry = \"5s\"\nmax_connections = 9\nstatus = \"standby\"\nmembers = [{ url = \"http://A/\", retry = \"0s\", \
         loadfactor = 2.345, max_connections = 0, status = \"ok\", labels = { zone = \"x\", a = \"y\" } }]\n\
         [[balancer.app.member]]\nurl = \"http://[::1]:81/x/\"\n",
    );
    let [first, second] = &app.members[..] else {
        panic!("{app:?}")
    };
    assert_eq!(
        (&*first.id.0, first.port, &*first.base_path),
        ("http://a:80", 80, "")
    );
    assert_eq!(
        (first.retry, first.weight, first.max_connections),
        (Duration::ZERO, 234, None)
    );
    assert_eq!(
        first.labels,
        [
            ("zone".to_owned(), "x".to_owned()),
            ("a".to_owned(), "y".to_owned())
        ]
    );
    assert_eq!(
        (&*second.id.0, &*second.host, &*second.base_path),
        ("http://[::1]:81/x", "::1", "/x")
    );
    assert_eq!(
        (second.retry, second.weight, second.max_connections),
        (Duration::from_secs(5), 100, Some(9))
    );
    assert_eq!((first.status, second.status), (Status::Ok, Status::Standby));
}

#[test]
fn decimals_are_cut_off_not_rounded_and_not_lost() {
    for (written, weight) in [
        ("1", 100),
        ("2.3", 230),
        ("1.15", 115),
        ("99.999", 9999),
        ("100", 10_000),
    ] {
        let app = balancer(&format!(
            "loadfactor = {written}\nmembers = [{{ url = \"http://a\" }}]"
        ));
        assert_eq!(app.members[0].weight, weight, "{written}");
    }
}

#[test]
fn stickiness_becomes_the_configuration_of_jsessionid() {
    let config = |keys: &str| {
        made(
            balancer(&format!("{keys}\n{TWO}"))
                .affinity
                .as_ref()
                .expect("sticky"),
        )
    };
    let standard = json!({
        "cookie": "JSESSIONID", "parameter": "jsessionid", "separator": ".", "failover": true,
        "route_cookie": null, "semicolon_delimits": true,
    });
    assert_eq!(
        config("stickysession = \"JSESSIONID|jsessionid\""),
        ("jsessionid", standard.clone())
    );
    assert_eq!(
        config("affinity = \"jsessionid\""),
        ("jsessionid", standard)
    );
    let (_, one_name) =
        config("stickysession = \"SID\"\nstickysessionsep = \"Off\"\nfailover = false");
    assert_eq!(
        (&one_name["cookie"], &one_name["parameter"]),
        (&json!("SID"), &json!("SID"))
    );
    assert_eq!(
        (&one_name["separator"], &one_name["failover"]),
        (&json!(""), &json!(false))
    );
    let (_, own) = config("route_cookie = \"ROUTEID\"");
    assert_eq!(
        (&own["cookie"], &own["route_cookie"]),
        (
            &json!("ROUTEID"),
            &json!({ "name": "ROUTEID", "path": "/" })
        )
    );
    let (_, both) = config("stickysession = \"S\"\nroute_cookie = { path = \"/app\" }");
    assert_eq!(
        both["route_cookie"],
        json!({ "name": "ROUTEID", "path": "/app" })
    );
    assert_eq!(balancer(TWO).affinity, None);
}

#[test]
fn affinity_of_ones_own_takes_no_settings_of_jsessionid() {
    let text = format!(
        "{LEAST}[policy.own]\nsource = \"own.wasm\"\n[balancer.app]\naffinity = \"policy:own\"\nfailover = true\n{TWO}\n"
    );
    assert!(
        said(&text).contains("balancer.app.failover: failover is a setting of jsessionid"),
        "{}",
        said(&text)
    );
    let app = taken(&text.replace("failover = true\n", "")).snapshot;
    assert_eq!(
        app.balancers["app"].affinity,
        Some(PolicyRef::Named("own".to_owned()))
    );
}

#[test]
fn reverse_becomes_a_configuration_in_the_order_of_the_file() {
    let config = |keys: &str| {
        made(&proxy(&format!("path = \"/app\"\nbalancer = \"app\"\n{keys}")).rewrite[0])
    };
    let all = json!({
        "front": "/app", "location": true, "cookie_path": true, "cookie_domain": true,
        "html": false, "events": false, "map": [],
    });
    assert_eq!(config("reverse = true"), ("reverse", all.clone()));
    assert_eq!(config("reverse = {}"), ("reverse", all));
    let (_, tables) = config(
        "reverse = { cookie_path = { \"/z\" = \"/1\", \"/a\" = \"/2\" }, cookie_domain = false, html = true, events = true, \
         map = { \"http://old/\" = \"/new/\" } }",
    );
    assert_eq!(tables["cookie_path"], json!([["/z", "/1"], ["/a", "/2"]]));
    assert_eq!(
        (&tables["cookie_domain"], &tables["location"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(
        (&tables["html"], &tables["events"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(tables["map"], json!([["http://old/", "/new/"]]));
    assert_eq!(
        proxy("path = \"/app\"\nbalancer = \"app\"\nreverse = false").rewrite,
        []
    );
}

#[test]
fn rewriters_follow_reverse() {
    let rewrite =
        proxy("path = \"/\"\nbalancer = \"app\"\nreverse = true\nrewrite = [\"policy:own\"]")
            .rewrite;
    assert_eq!(made(&rewrite[0]).0, "reverse");
    assert_eq!(rewrite[1], PolicyRef::Named("own".to_owned()));
}

#[test]
fn fronts_and_prefixes_suit_what_is_cut_off() {
    for (pattern, prefix, front) in [
        ("path = \"/\"", "", "/"),
        ("path = \"/app\"", "/app", "/app"),
        ("path = \"/app/\"", "/app/", "/app"),
        ("regex = \"^/app\"", "", ""),
    ] {
        let proxy = proxy(&format!("{pattern}\nbalancer = \"APP\"\nreverse = true"));
        assert_eq!(proxy.prefix, prefix);
        assert_eq!(made(&proxy.rewrite[0]).1["front"], front);
        assert_eq!(proxy.balancer, "app");
    }
}

#[test]
fn upgrades_default_to_websocket() {
    let upgrade = |keys: &str| proxy(&format!("path = \"/\"\nbalancer = \"app\"\n{keys}")).upgrade;
    assert_eq!(upgrade(""), ["websocket"]);
    assert_eq!(upgrade("upgrade = true"), ["websocket"]);
    assert_eq!(upgrade("upgrade = false"), [""; 0]);
    assert_eq!(
        upgrade("upgrade = [\"WebSocket\", \"h2c\"]"),
        ["websocket", "h2c"]
    );
}

#[test]
fn a_url_makes_a_balancer_of_its_own() {
    let text = "[[vhost.route]]\npath = \"/x\"\nproxy = \"http://One:3002/\"\n\
                [[vhost.route]]\npath = \"/x/\"\nproxy = \"http://two\"\n\
                [[vhost.route]]\npath = \"/x\"\nproxy = \"http://three\"\n";
    let (snapshot, routes) = routes(text);
    let of = |route: &Route| match &route.action {
        Action::Proxy(proxy) => snapshot.balancers[&proxy.balancer].members[0]
            .id
            .to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        routes.iter().map(of).collect::<Vec<_>>(),
        ["http://one:3002", "http://two:80", "http://three:80"]
    );
    assert_eq!(snapshot.balancers["a.example/x"].max_attempts, 0);
}

#[test]
fn each_action_is_understood() {
    let text = "[[vhost.route]]\npath = \"/i\"\nstatic = \"htdocs\"\nindex = [\"a.html\"]\n\
                [[vhost.route]]\nregex = \"^/(a)(b)\"\nredirect = { to = \"/$2/$1\", status = 308 }\n\
                [[vhost.route]]\npath = \"/r\"\nredirect = \"https://b.example/\"\nname = \"away\"\n\
                [[vhost.route]]\npath = \"/e\"\nexclude = true\n\
                [[vhost.route]]\npath = \"/d\"\ndeny = true\n\
                [[vhost.route]]\npath = \"/n\"\nallow_from = [\"10.0.0.0/8\", \"::1\"]\ndeny_from = [\"10.1.0.0/16\"]\n";
    let (_, routes) = routes(text);
    let [files, regex, redirect, exclude, deny, networks] = &routes[..] else {
        panic!("{routes:?}")
    };
    assert!(
        matches!(&files.action, Action::Static(f) if f.index == ["a.html"] && f.prefix == "/i" && f.root.is_absolute())
    );
    assert!(matches!(&regex.path, PathPattern::Regex(r) if r == "^/(a)(b)"));
    assert!(
        matches!(&regex.action, Action::Redirect(r) if r.status == 308 && r.to == "/$2/$1" && r.prefix.is_empty())
    );
    assert!(matches!(&redirect.action, Action::Redirect(r) if r.status == 302 && r.prefix == "/r"));
    assert_eq!(
        (redirect.name.as_str(), exclude.name.as_str()),
        ("away", "/e")
    );
    assert_eq!(exclude.action, Action::Exclude);
    assert_eq!((&deny.action, deny.access.deny), (&Action::Continue, true));
    assert_eq!(networks.access.allow_from.len(), 2);
    assert_eq!(
        (
            networks.access.deny_from[0].to_string().as_str(),
            &networks.action
        ),
        ("10.1.0.0/16", &Action::Continue)
    );
}

#[test]
fn groups_that_a_regex_lacks_are_refused() {
    let text = format!("{LEAST}[[vhost.route]]\nregex = \"^/(a)\"\nredirect = \"/$2\"\n");
    assert!(
        said(&text).contains("$2 stands for a group"),
        "{}",
        said(&text)
    );
}

#[test]
fn the_first_vhost_is_the_default_unless_one_says_so() {
    let second = "[[vhost]]\nname = \"B.example.\"\naliases = [\"*.b.example\", \"c?.example\"]\norder = \"file\"\n";
    let first = taken(&format!("{LEAST}{second}")).snapshot.vhosts;
    assert_eq!((first[0].default, first[1].default), (true, false));
    assert_eq!(
        (first[0].order, first[1].order),
        (RouteOrder::Longest, RouteOrder::File)
    );
    let exact = HostPattern::Exact("b.example".to_owned());
    let others = [
        HostPattern::Suffix(".b.example".to_owned()),
        HostPattern::Glob("c?.example".to_owned()),
    ];
    assert_eq!(first[1].hosts, [&[exact][..], &others[..]].concat());
    let second = taken(&format!("{LEAST}{second}default = true\n"))
        .snapshot
        .vhosts;
    assert_eq!((second[0].default, second[1].default), (false, true));
}

#[test]
fn names_belong_to_one_vhost_and_one_is_the_default() {
    let text = format!(
        "{LEAST}default = true\n[[vhost]]\nname = \"b.example\"\naliases = [\"A.example\"]\ndefault = true\n"
    );
    let said = said(&text);
    assert!(
        said.contains("vhost[1].aliases[0]: \"A.example\" belongs to the vhost a.example already"),
        "{said}"
    );
    assert!(
        said.contains("vhost[1].default: a.example is the default already"),
        "{said}"
    );
}

#[test]
fn logs_of_a_vhost_fall_back_to_those_of_the_process() {
    let text = format!(
        "{LEAST}[vhost.log]\naccess = {{ path = \"own.log\", format = \"%h %D\" }}\n[log]\nerror = {{ level = \"debug\" }}\n"
    );
    let snapshot = taken(&text).snapshot;
    let own = snapshot.vhosts[0].log.as_ref().expect("logs");
    assert_eq!(own.error, snapshot.log.error);
    assert_eq!(snapshot.log.access, None);
    let access = own.access.as_ref().expect("an access log");
    assert_eq!(access.format, AccessFormat::Custom("%h %D".to_owned()));
    assert!(access.path.as_ref().is_some_and(|path| path.is_absolute()));
}

#[test]
fn error_pages_are_read_and_the_narrowest_wins() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["404.html", "4xx.html", "5xx.txt", "bad.bin"] {
        std::fs::write(folder.path().join(name), name).expect("written");
    }
    std::fs::write(
        folder.path().join("large.html"),
        vec![b'x'; (256 << 10) + 1],
    )
    .expect("written");
    let file = folder.path().join("switchyard.toml");
    let pages = "error_page = { \"4xx\" = \"4xx.html\", \"404\" = \"404.html\", \"502-504\" = \"5xx.txt\", \"500\" = \"bad.bin\" }";
    std::fs::write(&file, format!("{LEAST}{pages}\n")).expect("written");
    let snapshot = load(&file)
        .unwrap_or_else(|report| panic!("{report}"))
        .snapshot;
    let page = |status: u16| {
        snapshot.vhosts[0]
            .error_pages
            .iter()
            .find(|p| p.statuses.contains(&status))
    };
    let body = |status| page(status).map(|p| String::from_utf8_lossy(&p.body).into_owned());
    assert_eq!(body(404).as_deref(), Some("404.html"));
    assert_eq!(body(403).as_deref(), Some("4xx.html"));
    assert_eq!((body(503).as_deref(), body(501)), (Some("5xx.txt"), None));
    assert_eq!(
        page(404).map(|p| &*p.content_type),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(
        page(503).map(|p| &*p.content_type),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(
        page(500).map(|p| &*p.content_type),
        Some("application/octet-stream")
    );
    let all: Vec<u16> = snapshot.vhosts[0]
        .error_pages
        .iter()
        .flat_map(|p| p.statuses.clone())
        .collect();
    assert_eq!(all.iter().filter(|s| **s == 404).count(), 1);
    assert_eq!(snapshot.files.len(), 5);
    std::fs::write(
        &file,
        format!("{LEAST}error_page = {{ \"500\" = \"large.html\" }}\n"),
    )
    .expect("written");
    assert!(
        load(&file)
            .expect_err("too large")
            .lines()
            .contains("256 KiB")
    );
}

#[test]
fn policies_inherit_limits_and_on_error() {
    let text = format!(
        "{LEAST}[limits.policy]\ndeadline = \"7ms\"\non_error = \"refuse\"\n[policy.a]\nsource = \"a.wasm\"\n\
         config = {{ percent = 5, at = 1979-05-27, deep = [{{ x = 1.5 }}] }}\nlimits = {{ memory = \"1MiB\" }}\n\
         [policy.b]\nsource = \"b.wasm\"\non_error = \"previous\"\n"
    );
    let snapshot = taken(&text).snapshot;
    let (a, b) = (&snapshot.policies["a"], &snapshot.policies["b"]);
    assert_eq!(
        (a.on_error, b.on_error),
        (OnError::Refuse, OnError::Previous)
    );
    assert_eq!((a.limits.memory, b.limits.memory), (1 << 20, 32 << 20));
    assert_eq!(a.limits.deadline, Duration::from_millis(7));
    assert_eq!(
        a.config,
        json!({ "percent": 5, "at": "1979-05-27", "deep": [{ "x": 1.5 }] })
    );
    assert_eq!(b.config, json!({}));
}

#[test]
fn statuses_may_be_one_or_many() {
    let fail = |list: &str| {
        balancer(&format!("{TWO}\nfailonstatus = {list}"))
            .fail_on_status
            .clone()
    };
    let range = |first, last| StatusRange { first, last };
    assert_eq!(fail("500"), [range(500, 500)]);
    assert_eq!(
        fail("[500, \"502-504\"]"),
        [range(500, 500), range(502, 504)]
    );
    assert_eq!(fail("\"5xx\""), [range(500, 599)]);
}

#[test]
fn chains_keep_their_order() {
    let text = format!(
        "{LEAST}[policy.own]\nsource = \"own.wasm\"\n[balancer.app]\nlbmethod = [\"policy:own\", \"bybusyness\"]\n{TWO}\n"
    );
    let chain = &taken(&text).snapshot.balancers["app"].lbmethod;
    assert_eq!(chain[0], PolicyRef::Named("own".to_owned()));
    assert_eq!(made(&chain[1]), ("bybusyness", json!({})));
}

#[test]
fn balancers_that_cannot_serve_are_refused() {
    for (keys, part) in [
        ("", "`members` is missing"),
        ("members = []", "can serve nothing"),
        (
            "members = [{ url = \"http://a\" }, { url = \"http://A:80/\" }]",
            "already a member",
        ),
        (
            "members = [{ url = \"http://a\", route = \"x\", redirect = \"x\" }]",
            "its own sessions",
        ),
    ] {
        let said = said(&format!("{LEAST}[balancer.app]\n{keys}\n"));
        assert!(said.contains(part), "{keys}: {said}");
    }
    let twice = format!("{LEAST}[balancer.app]\n{TWO}\n[balancer.APP]\n{TWO}\n");
    assert!(
        said(&twice).contains("balancer.APP: another balancer has this name"),
        "{}",
        said(&twice)
    );
    let slash = format!("{LEAST}[balancer.\"a/b\"]\n{TWO}\n");
    assert!(
        said(&slash).contains("not a balancer's name"),
        "{}",
        said(&slash)
    );
}

#[test]
fn two_texts_that_mean_the_same_are_equal() {
    let one = taken(&format!("{LEAST}[balancer.app]\n{TWO}\n")).snapshot;
    let other = taken(&format!(
        "# a comment\n{LEAST}[balancer.app]\nretry = \"1m\"\n{TWO}\n"
    ))
    .snapshot;
    assert_eq!(one, other);
}
