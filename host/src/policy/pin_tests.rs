//! Where pins lead, through the selector.

use std::time::Duration;

use tokio::time::advance;

use super::{
    Decider, Refused, Selector, Session,
    scene::{attempt, block, members, name, route, select, selector},
    testing::{Native, Request},
};
use crate::{
    decision::{Hold, Pin},
    members::testing::{balancer, id, pool},
    snapshot::Status,
};

#[tokio::test(start_paused = true)]
async fn pin_leads_to_its_route_whatever_the_set_and_is_not_charged() {
    let mut list = members("abc");
    list[1].status = Status::Draining;
    list[2].lb_set = 7;
    let pool = pool(balancer(list));
    let selector = selector(&pool, &[&Native::byrequests()]);
    for pinned in ["b", "c"] {
        for _ in 0..5 {
            let chosen = select(&selector, &route(pinned, false)).await.unwrap();
            assert_eq!(name(&chosen), pinned);
            assert!(chosen.pinned && !chosen.moved);
            assert_eq!(chosen.decided_by, Decider::Pin);
        }
    }
    assert_eq!(selector.chain[0].status().calls, 0);
}

#[tokio::test(start_paused = true)]
async fn ordinary_member_of_a_route_goes_before_a_standby() {
    let mut list = members("ab");
    list[0].status = Status::Standby;
    list[0].route = "r".into();
    list[1].route = "r".into();
    let pool = pool(balancer(list));
    let selector = selector(&pool, &[]);
    assert_eq!(
        name(&select(&selector, &route("r", false)).await.unwrap()),
        "b"
    );
    block(&pool, 1);
    assert_eq!(
        name(&select(&selector, &route("r", false)).await.unwrap()),
        "a"
    );
}

#[tokio::test(start_paused = true)]
async fn unusable_pin_follows_redirects_then_strictness_then_moves() {
    let mut list = members("abc");
    list[0].redirect = "b".into();
    list[1].redirect = "a".into();
    let pool = pool(balancer(list));
    let selector = selector(&pool, &[&Native::byrequests()]);
    block(&pool, 0);
    let chosen = select(&selector, &route("a", true)).await.unwrap();
    assert_eq!(
        (name(&chosen).as_str(), chosen.pinned, chosen.moved),
        ("b", true, true)
    );
    block(&pool, 1);
    // The redirects form a cycle now.
    let refused = select(&selector, &route("a", true)).await.unwrap_err();
    assert_eq!(refused, Refused::StickyUnusable);
    let chosen = select(&selector, &route("a", false)).await.unwrap();
    assert_eq!(
        (name(&chosen).as_str(), chosen.pinned, chosen.moved),
        ("c", false, true)
    );
    let chosen = select(&selector, &route("unknown", true)).await.unwrap();
    assert!(
        chosen.moved,
        "nobody carries the route, so nobody can be strict about it"
    );
}

#[tokio::test(start_paused = true)]
async fn retry_leaves_a_strict_session_with_nobody() {
    let pool = pool(balancer(members("ab")));
    let selector = selector(&pool, &[]);
    let (request, tried) = (Request::default(), [id("a")]);
    let refused = selector
        .select(attempt(&request, &tried), &route("a", true))
        .await;
    assert_eq!(refused.unwrap_err(), Refused::StickyUnusable);
    let chosen = selector
        .select(attempt(&request, &tried), &route("a", false))
        .await;
    assert_eq!(name(&chosen.unwrap()), "b");
}

#[tokio::test(start_paused = true)]
async fn pin_by_member_id_leads_there() {
    let pool = pool(balancer(members("abc")));
    let selector = selector(&pool, &[]);
    let pin = Pin::Member("b".into());
    let session = Session::new(Some(Hold { pin, strict: false }));
    assert_eq!(name(&select(&selector, &session).await.unwrap()), "b");
}

async fn keyed(selector: &Selector, keys: u64) -> Vec<String> {
    let mut names = Vec::new();
    for key in 0..keys {
        let pin = Pin::Key(key);
        let session = Session::new(Some(Hold { pin, strict: false }));
        names.push(name(&select(selector, &session).await.unwrap()));
    }
    names
}

#[tokio::test(start_paused = true)]
async fn keys_spread_by_weight_and_only_those_of_a_lost_member_move() {
    const KEYS: u64 = 4_000;
    let mut list = members("abcd");
    list[3].weight = 300;
    let pool = pool(balancer(list));
    let selector = selector(&pool, &[]);
    let before = keyed(&selector, KEYS).await;
    assert_eq!(keyed(&selector, KEYS).await, before);
    let share = |who: &str| before.iter().filter(|n| *n == who).count() as f64 / KEYS as f64;
    assert!((share("a") - 1.0 / 6.0).abs() < 0.03, "{}", share("a"));
    assert!((share("d") - 0.5).abs() < 0.03, "{}", share("d"));
    block(&pool, 0);
    let after = keyed(&selector, KEYS).await;
    for (old, new) in before.iter().zip(&after) {
        assert!(old == new || old == "a");
        assert_ne!(new, "a");
    }
}

#[tokio::test(start_paused = true)]
async fn session_of_a_blocked_member_is_its_trial() {
    let pool = pool(balancer(members("ab")));
    let selector = selector(&pool, &[]);
    block(&pool, 0);
    advance(Duration::from_secs(60)).await;
    let trial = select(&selector, &route("a", false)).await.unwrap();
    assert!(trial.pinned && trial.in_flight.is_trial());
    let other = select(&selector, &route("a", false)).await.unwrap();
    assert!(other.moved && name(&other) == "b");
}
