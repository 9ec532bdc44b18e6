//! Orders about policies: who may give them, and what becomes of them.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use switchyard_tests::{
    Client, Gateway, Member, Request, Setup,
    command::{Said, switchyard},
    guests,
};

use crate::policies::{balanced, policy_status, sequence};

const TOKEN: &str = "a-token-of-thirty-two-characters";

/// A gateway whose policy had another version before, which always picks the first member.
fn second_version(admin: &str) -> Gateway {
    let (members, setup) = balanced("count", "", "");
    // They serve as long as the test.
    std::mem::forget(members);
    let setup: Setup = setup.admin(&format!("[admin]\n{admin}\n"));
    let gateway = setup.file("token", TOKEN).start();
    let token = gateway.dir().join("token");
    fs::set_permissions(token, fs::Permissions::from_mode(0o600)).unwrap();
    let first = policy_status(&gateway, "p")["digest"].clone();
    gateway.replace_file("p.wasm", guests::marked("balancer", "first"));
    gateway.wait_for_status("the second version", |status| {
        let policies = status["policies"].as_array().unwrap();
        policies
            .iter()
            .any(|p| p["name"] == "p" && p["digest"] != first)
    });
    gateway
}

/// A gateway that was ended after its policy had two versions, the latter of which always picks the first
/// member, and started anew. `state`: what outlives it.
fn restarted(state: Option<&Path>) -> (Vec<Member>, Gateway) {
    let state = state.map(|state| format!("state_dir = {state:?}"));
    let start = |file: &[u8]| {
        let (members, setup) = balanced("count", "", "");
        let setup = setup.top(state.as_deref().unwrap_or_default());
        let admin = "[admin]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"token\"\n";
        let setup = setup.admin(admin).file("token", TOKEN);
        let token = setup.dir().join("token");
        fs::set_permissions(token, fs::Permissions::from_mode(0o600)).unwrap();
        (members, setup.file("p.wasm", file).start())
    };
    let second = guests::marked("balancer", "first");
    let (_members, gateway) = start(&guests::component("balancer"));
    gateway.replace_file("p.wasm", &second);
    gateway.wait_for_status("the second version", |_| {
        policy_status(&gateway, "p")["digest"] == guests::sha256(&second).as_str()
    });
    gateway.terminate();
    let (members, gateway) = start(&second);
    assert_eq!(sequence(&gateway, 3), "aaa");
    (members, gateway)
}

#[test]
fn a_version_of_before_a_restart_is_gone_back_to() {
    let folder = tempfile::tempdir().unwrap();
    let (_members, gateway) = restarted(Some(&folder.path().join("state")));
    let said = ordered(&gateway, &["rollback", "p"]);
    assert_eq!(said.status.code(), Some(0), "{}", said.all());
    let mut got: Vec<_> = sequence(&gateway, 3).chars().collect();
    got.sort();
    assert_eq!(got, ['a', 'b', 'c'], "the first version decides");
    let first = guests::sha256(&guests::component("balancer"));
    assert_eq!(policy_status(&gateway, "p")["digest"], first.as_str());
    let history = policy_status(&gateway, "p")["history"].clone();
    assert_eq!(history[0]["outcome"], "undone", "{history:#}");
}

#[test]
fn a_version_of_before_a_restart_that_is_damaged_or_was_not_kept_is_named_and_nothing_changes() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let first = guests::sha256(&guests::component("balancer"));
    let file = state.join(format!("versions/{first}.wasm"));
    let (_members, gateway) = restarted(Some(&state));
    let mut bytes = fs::read(&file).unwrap();
    let last = bytes.last_mut().unwrap();
    *last = !*last;
    fs::write(&file, bytes).unwrap();
    let said = ordered(&gateway, &["rollback", "p"]);
    assert_eq!(said.status.code(), Some(1), "{}", said.all());
    let named = format!("{} is damaged", file.display());
    assert!(said.all().contains(&named), "{}", said.all());
    assert_eq!(sequence(&gateway, 3), "aaa");

    let (_members, gateway) = restarted(None);
    let said = ordered(&gateway, &["rollback", "p"]);
    assert_eq!(said.status.code(), Some(1), "{}", said.all());
    assert!(said.all().contains("set `state_dir`"), "{}", said.all());
    assert_eq!(sequence(&gateway, 3), "aaa");
}

fn ordered(gateway: &Gateway, arguments: &[&str]) -> Said {
    let file = gateway.file().display().to_string();
    let admin = gateway.admin_addr().to_string();
    // The file says port 0, so the address has to be named; the token is named too then.
    let token = gateway.dir().join("token").display().to_string();
    let mut all = vec!["policy"];
    all.extend(arguments);
    all.extend(["--admin", &admin, "--token-file", &token]);
    let said = switchyard(&all);
    assert!(fs::metadata(&file).is_ok());
    said
}

fn post(gateway: &Gateway, path: &str, token: Option<&str>) -> switchyard_tests::Response {
    let mut request = Request::post(path, "").host("localhost");
    if let Some(token) = token {
        request = request.field("Authorization", &format!("Bearer {token}"));
    }
    Client::connect(gateway.admin_addr()).ask(&request)
}

#[test]
fn a_version_is_undone_by_who_has_the_token() {
    let gateway = second_version("listen = \"127.0.0.1:0\"\ntoken_file = \"token\"");
    assert_eq!(gateway.get("/").text(), "a");
    assert_eq!(gateway.get("/").text(), "a");
    let said = ordered(&gateway, &["rollback", "p"]);
    assert_eq!(said.status.code(), Some(0), "{}", said.all());
    assert!(said.out.contains("rollback done"), "{}", said.out);
    let got: String = (0..6).map(|_| gateway.get("/").text()).collect();
    assert!(
        ["a", "b", "c"].iter().all(|member| got.contains(member)),
        "{got}"
    );
    let line = gateway.wait_for_log(&["Order received", "order=rollback", "from=127.0.0.1"]);
    assert!(line.contains(" outcome=published generation="), "{line}");
    let said = ordered(&gateway, &["history", "p"]);
    assert_eq!(said.status.code(), Some(0), "{}", said.all());
    assert!(said.out.contains("undone"), "{}", said.out);
    // It is no canary, and nobody knows the other.
    let said = ordered(&gateway, &["promote", "p"]);
    assert_eq!(said.status.code(), Some(1), "{}", said.all());
    let said = ordered(&gateway, &["rollback", "nobody"]);
    assert_eq!(said.status.code(), Some(1), "{}", said.all());
}

#[test]
fn without_the_token_nothing_is_done() {
    let gateway = second_version("listen = \"127.0.0.1:0\"\ntoken_file = \"token\"");
    let path = "/policies/p/rollback";
    for wrong in [None, Some("a-token-of-thirty-two-characterz"), Some("")] {
        let answer = post(&gateway, path, wrong);
        assert_eq!(answer.status, 401, "{wrong:?}");
        assert_eq!(answer.field("www-authenticate"), Some("Bearer"));
    }
    let request = Request::get(path)
        .host("localhost")
        .field("Authorization", &format!("Bearer {TOKEN}"));
    let answer = Client::connect(gateway.admin_addr()).ask(&request);
    assert_eq!(answer.status, 405);
    assert_eq!(
        post(&gateway, "/policies/p/explode", Some(TOKEN)).status,
        404
    );
    let token = gateway.dir().join("token");
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
    let answer = post(&gateway, path, Some(TOKEN));
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("chmod 600"), "{}", answer.text());
    assert_eq!(gateway.get("/").text(), "a", "still the second version");
    gateway.wait_for_log(&["Order refused", "from=127.0.0.1"]);
}

#[test]
fn a_gateway_without_a_token_takes_orders_on_a_unix_socket_only() {
    let gateway = second_version("listen = \"127.0.0.1:0\"");
    let answer = post(&gateway, "/policies/p/rollback", Some(TOKEN));
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("token_file"), "{}", answer.text());

    let (_members, setup) = balanced("count", "", "");
    let setup = setup.admin("[admin]\nlisten = \"unix:admin.sock\"\n");
    let gateway = setup.start();
    let file = gateway.file().display().to_string();
    let said = switchyard(&["policy", "rollback", "p", "-c", &file]);
    // Nothing is there to go back to, and that is the writer's word.
    assert_eq!(said.status.code(), Some(1), "{}", said.all());
    gateway.wait_for_log(&["Order received", "from=\"user "]);
}
