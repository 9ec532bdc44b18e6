//! Pools over reloads, and members over failures.

use std::{sync::Arc, time::Duration};

use tokio::time::advance;

use super::{
    Admission, InFlight, Pool, Transition,
    testing::{balancer, member, pool, usable},
};
use crate::{
    decision::Failure,
    snapshot::{Balancer, HealthCheck, Member, Status, StatusRange},
};

fn named(names: &str) -> impl Iterator<Item = Member> {
    names.chars().map(|name| member(&name.to_string()))
}

fn begin(pool: &Pool, index: u32) -> InFlight {
    InFlight::begin(&pool.current(), index)
}

fn admission(pool: &Pool, index: usize) -> Admission {
    pool.current().endpoints[index]
        .live
        .admission(pool.clock().now())
}

fn block(pool: &Pool, index: u32) {
    begin(pool, index).failed(Failure::Refused, true);
}

fn weights(pool: &Pool) -> Vec<u32> {
    pool.facts(pool.clock().now()).weights.clone()
}

fn changed(pool: &Pool, change: impl FnOnce(&mut Balancer)) {
    let mut balancer = Balancer::clone(&pool.current().balancer);
    change(&mut balancer);
    pool.adopt(Arc::new(balancer));
}

fn with_member(balancer: &mut Balancer, index: usize, change: impl FnOnce(&mut Member)) {
    change(Arc::make_mut(&mut balancer.members[index]));
}

#[tokio::test(start_paused = true)]
async fn failures_block_or_do_not() {
    const ERROR: &[(Failure, bool)] = &[
        (Failure::Refused, true),
        (Failure::ConnectTimeout, true),
        (Failure::Reset, true),
    ];
    const NONE: &[(Failure, bool)] = &[
        (Failure::Reset, false),
        (Failure::ResponseTimeout, true),
        (Failure::Protocol, true),
        (Failure::Cancelled, false),
        (Failure::None, false),
    ];
    for (failure, fresh) in ERROR {
        let pool = pool(balancer(named("ab")));
        begin(&pool, 0).failed(*failure, *fresh);
        assert_eq!(usable(&pool), "b", "{failure:?} blocks");
    }
    for (failure, fresh) in NONE {
        let pool = pool(balancer(named("ab")));
        begin(&pool, 0).failed(*failure, *fresh);
        assert_eq!(usable(&pool), "ab", "{failure:?} does not block");
    }
}

#[tokio::test(start_paused = true)]
async fn answer_timeout_blocks_at_once_where_configured_and_else_the_second_time() {
    for (at_once, expected) in [(true, "b"), (false, "ab")] {
        let mut config = balancer(named("ab"));
        config.fail_on_timeout = at_once;
        let pool = pool(config);
        begin(&pool, 0).failed(Failure::ResponseTimeout, true);
        assert_eq!(usable(&pool), expected);
        begin(&pool, 0).failed(Failure::ResponseTimeout, true);
        assert_eq!(usable(&pool), "b");
    }
}

#[tokio::test(start_paused = true)]
async fn listed_status_blocks_and_others_do_not() {
    let mut config = balancer(named("ab"));
    config.fail_on_status = vec![StatusRange {
        first: 500,
        last: 503,
    }];
    let pool = pool(config);
    begin(&pool, 0).answered(404, Duration::ZERO);
    assert_eq!(usable(&pool), "ab");
    begin(&pool, 0).answered(503, Duration::ZERO);
    assert_eq!(usable(&pool), "b");
}

#[tokio::test(start_paused = true)]
async fn trial_that_is_dropped_without_a_verdict_leaves_the_next_one_due() {
    let pool = pool(balancer(named("ab")));
    block(&pool, 0);
    advance(Duration::from_secs(60)).await;
    assert_eq!(pool.facts(pool.clock().now()).trials, [0]);
    assert_eq!(usable(&pool), "b", "a due member is not usable by itself");
    let members = pool.current();
    let trial = InFlight::begin_trial(&members, 0).unwrap();
    assert!(InFlight::begin_trial(&members, 0).is_none());
    assert!(pool.facts(pool.clock().now()).trials.is_empty());
    drop(trial);
    let trial = InFlight::begin_trial(&members, 0).unwrap();
    trial.answered(200, Duration::ZERO);
    assert_eq!(usable(&pool), "ab");
}

#[tokio::test(start_paused = true)]
async fn clients_who_give_up_speak_of_the_member_once_they_have_waited_for_long() {
    let pool = pool(balancer(named("ab")));
    let half = begin(&pool, 0).settings().answer_timeout / 2;
    for _ in 0..3 {
        begin(&pool, 0).given_up(half - Duration::from_millis(1));
    }
    assert_eq!(usable(&pool), "ab");
    begin(&pool, 0).given_up(half);
    assert_eq!(usable(&pool), "ab", "once is chance");
    begin(&pool, 0).given_up(half);
    assert_eq!(usable(&pool), "b");

    // A trial that hung is not handed to the next request at once.
    advance(Duration::from_secs(60)).await;
    let trials = || pool.facts(pool.clock().now()).trials.clone();
    let trial = || InFlight::begin_trial(&pool.current(), 0).unwrap();
    trial().given_up(Duration::from_millis(900));
    assert_eq!(trials(), [0]);
    trial().given_up(Duration::from_secs(1));
    assert!(trials().is_empty());
    advance(Duration::from_secs(60)).await;
    assert_eq!(trials(), [0]);
}

#[tokio::test(start_paused = true)]
async fn busy_and_elected_follow_the_guards() {
    let pool = pool(balancer(named("ab")));
    let live = Arc::clone(&pool.current().endpoints[0].live);
    let guards: Vec<_> = (0..3).map(|_| begin(&pool, 0)).collect();
    assert_eq!((live.busy(), live.elected()), (3, 3));
    drop(guards);
    assert_eq!((live.busy(), live.elected()), (0, 3));
}

#[tokio::test(start_paused = true)]
async fn reload_keeps_live_state_and_raises_the_revision_only_for_records() {
    let pool = pool(balancer(named("ab")));
    let before = pool.current();
    begin(&pool, 1).received(500);
    block(&pool, 0);
    changed(&pool, |b| {
        with_member(b, 0, |m| m.retry = Duration::from_secs(1))
    });
    assert_eq!(
        pool.revision(),
        before.revision,
        "policies do not see `retry`"
    );
    assert_eq!(
        pool.current().endpoints[0].settings.retry,
        Duration::from_secs(1)
    );
    changed(&pool, |b| with_member(b, 0, |m| m.weight = 200));
    assert_eq!(pool.revision(), before.revision + 1);
    assert!(matches!(admission(&pool, 0), Admission::Blocked { .. }));
    assert_eq!(pool.current().endpoints[1].live.status().bytes_in, 500);
    assert!(Arc::ptr_eq(
        &pool.current().endpoints[1].live,
        &before.endpoints[1].live
    ));
}

#[tokio::test(start_paused = true)]
async fn leaver_is_counted_to_its_last_request_and_recognised_when_it_returns_before() {
    let pool = pool(balancer(named("ab")));
    let request = begin(&pool, 1);
    changed(&pool, |b| b.members.truncate(1));
    assert_eq!(usable(&pool), "a");
    assert_eq!(request.live().busy(), 1);
    changed(&pool, |b| b.members.push(Arc::new(member("b"))));
    assert_eq!(pool.current().endpoints[1].live.busy(), 1);
    drop(request);
    assert_eq!(pool.current().endpoints[1].live.busy(), 0);
}

#[tokio::test(start_paused = true)]
async fn state_number_changes_with_the_columns_and_only_then() {
    let pool = pool(balancer(named("ab")));
    let state = || pool.facts(pool.clock().now()).state;
    let first = state();
    begin(&pool, 0).answered(200, Duration::ZERO);
    changed(&pool, |b| {
        with_member(b, 0, |m| m.retry = Duration::from_secs(1))
    });
    assert_eq!(state(), first);
    block(&pool, 0);
    let second = state();
    assert_ne!(second, first);
    let own = pool.facts_without(&[super::testing::id("b")], pool.clock().now());
    assert_eq!(
        (own.usable, own.forced),
        (vec![1, 0], true),
        "a is in error, but there is no other"
    );
    assert!(own.state != first && own.state != second);
}

#[tokio::test(start_paused = true)]
async fn joiner_and_returner_ramp_from_a_tenth_but_founders_do_not() {
    let mut config = balancer(named("ab"));
    config.slow_start = Duration::from_secs(10);
    let pool = pool(config);
    assert_eq!(weights(&pool), [100, 100]);
    changed(&pool, |b| b.members.push(Arc::new(member("c"))));
    block(&pool, 0);
    assert_eq!(weights(&pool), [100, 100, 10]);
    advance(Duration::from_secs(5)).await;
    assert_eq!(weights(&pool), [100, 100, 55]);
    advance(Duration::from_secs(5)).await;
    assert_eq!(weights(&pool), [100, 100, 100]);
    advance(Duration::from_secs(50)).await;
    InFlight::begin_trial(&pool.current(), 0)
        .unwrap()
        .answered(200, Duration::ZERO);
    assert_eq!(weights(&pool), [10, 100, 100]);
}

#[tokio::test(start_paused = true)]
async fn joiners_byte_columns_start_level_with_the_least_loaded() {
    let mut config = balancer(named("ab"));
    config.slow_start = Duration::from_secs(10);
    config.members = config
        .members
        .iter()
        .map(|m| {
            let mut m = Member::clone(m);
            m.weight = if m.route == "a" { 100 } else { 300 };
            Arc::new(m)
        })
        .collect();
    let pool = pool(config);
    begin(&pool, 0).received(1_000);
    begin(&pool, 1).received(1_500);
    changed(&pool, |b| b.members.push(Arc::new(member("c"))));
    drop(pool.facts(pool.clock().now()));
    let joiner = &pool.current().endpoints[2].live;
    assert_eq!(
        joiner.traffic(pool.clock().now()),
        (500, 0),
        "b carries 5 a weight, a 10"
    );
    assert_eq!(joiner.status().bytes_in, 0);
}

#[tokio::test(start_paused = true)]
async fn forced_recovery_tries_members_in_error_and_ends_with_the_first_answer() {
    let pool = pool(balancer(named("ab")));
    block(&pool, 0);
    block(&pool, 1);
    assert_eq!(usable(&pool), "ab");
    begin(&pool, 1).answered(200, Duration::ZERO);
    assert_eq!(usable(&pool), "b");
}

#[tokio::test(start_paused = true)]
async fn forced_recovery_passes_over_those_the_operator_or_the_checks_took_out() {
    for status in [Status::Disabled, Status::Stopped, Status::Draining] {
        let mut config = balancer(named("abc"));
        with_member(&mut config, 1, |m| m.status = status);
        let pool = pool(config);
        block(&pool, 0);
        block(&pool, 2);
        assert_eq!(usable(&pool), "ac", "{status:?}");
    }
    let mut config = balancer(named("ab"));
    config.health = Some(check(1, 1));
    let pool = pool(config);
    block(&pool, 0);
    pool.current().endpoints[1]
        .live
        .checked(false, &check(1, 1));
    assert_eq!(usable(&pool), "a");
    pool.current().endpoints[0]
        .live
        .checked(false, &check(1, 1));
    assert_eq!(usable(&pool), "", "the checks know better");
}

#[tokio::test(start_paused = true)]
async fn without_forced_recovery_nobody_is_tried_until_a_trial_is_due() {
    let mut config = balancer(named("ab"));
    config.force_recovery = false;
    let pool = pool(config);
    block(&pool, 0);
    block(&pool, 1);
    assert_eq!(usable(&pool), "");
    advance(Duration::from_secs(60)).await;
    let facts = pool.facts(pool.clock().now());
    assert_eq!((facts.usable_count, &facts.trials[..]), (0, &[0, 1][..]));
}

fn check(rise: u32, fall: u32) -> HealthCheck {
    HealthCheck {
        path: "/".into(),
        interval: Duration::from_secs(1),
        rise,
        fall,
        expect: vec![StatusRange {
            first: 200,
            last: 399,
        }],
        timeout: Duration::from_secs(1),
    }
}

#[tokio::test(start_paused = true)]
async fn passing_checks_end_an_error_before_retry_is_over() {
    let mut config = balancer(named("ab"));
    config.health = Some(check(2, 1));
    let pool = pool(config);
    block(&pool, 0);
    let live = Arc::clone(&pool.current().endpoints[0].live);
    assert_eq!(live.checked(true, &check(2, 1)), None);
    assert_eq!(live.checked(true, &check(2, 1)), Some(Transition::Up));
    assert_eq!(usable(&pool), "ab");
}

#[tokio::test(start_paused = true)]
async fn switching_checks_off_gives_failed_members_back() {
    let mut config = balancer(named("ab"));
    config.health = Some(check(1, 1));
    let pool = pool(config);
    let live = Arc::clone(&pool.current().endpoints[0].live);
    assert_eq!(live.checked(false, &check(1, 1)), Some(Transition::Down));
    assert_eq!(usable(&pool), "b");
    changed(&pool, |b| b.health = None);
    assert_eq!(usable(&pool), "ab");
}

#[tokio::test(start_paused = true)]
async fn spares_standbys_and_sets_serve_as_httpd_has_it() {
    use Status::{Disabled, Draining, Ok, Spare, Standby};
    type Case = (
        &'static str,
        &'static [(Status, u32)],
        &'static [u32],
        &'static str,
    );
    let cases: &[Case] = &[
        (
            "draining takes nobody new",
            &[(Ok, 0), (Draining, 0)],
            &[],
            "a",
        ),
        ("standby waits", &[(Ok, 0), (Standby, 0)], &[], "a"),
        ("standby steps in", &[(Ok, 0), (Standby, 0)], &[0], "b"),
        (
            "all standbys step in",
            &[(Disabled, 0), (Standby, 0), (Standby, 0)],
            &[],
            "bc",
        ),
        ("spare waits", &[(Ok, 0), (Spare, 0)], &[], "a"),
        (
            "one spare for one unusable",
            &[(Ok, 0), (Disabled, 0), (Spare, 0), (Spare, 0)],
            &[],
            "ac",
        ),
        (
            "draining needs a spare too",
            &[(Ok, 0), (Draining, 0), (Spare, 0)],
            &[],
            "ac",
        ),
        (
            "second spare for an unusable first",
            &[(Ok, 0), (Disabled, 0), (Spare, 0), (Spare, 0)],
            &[2],
            "ad",
        ),
        ("lower set first", &[(Ok, 1), (Ok, 0)], &[], "b"),
        (
            "higher set when the lower is down",
            &[(Ok, 7), (Ok, 0)],
            &[1],
            "a",
        ),
        (
            "standby before a higher set",
            &[(Ok, 0), (Standby, 0), (Ok, 1)],
            &[0],
            "b",
        ),
    ];
    for (name, members, blocked, expected) in cases {
        let letters = ('a'..).map(String::from);
        let members = letters.zip(*members).map(|(letter, (status, set))| Member {
            status: *status,
            lb_set: *set,
            ..member(&letter)
        });
        let pool = pool(balancer(members));
        for index in *blocked {
            block(&pool, *index);
        }
        assert_eq!(usable(&pool), *expected, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn full_member_is_passed_over_unless_all_are_full() {
    let mut config = balancer(named("ab"));
    for index in 0..2 {
        with_member(&mut config, index, |m| m.max_connections = Some(1));
    }
    let pool = pool(config);
    let members = pool.current();
    let lease = |index: usize| {
        let endpoint = &members.endpoints[index];
        endpoint.live.connections().acquire(0, &endpoint.settings)
    };
    let a = lease(0).await.unwrap();
    assert_eq!(usable(&pool), "b");
    let b = lease(1).await.unwrap();
    assert_eq!(usable(&pool), "ab", "they wait for a connection then");
    drop(a);
    assert_eq!(usable(&pool), "a");
    drop(b);
    assert_eq!(usable(&pool), "ab");
}
