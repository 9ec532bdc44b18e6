//! Who serves: pins, trials, chains, fallbacks, and what holds whatever a policy says.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, advance};

use super::{
    Attempt, Decider, Refused, Session,
    scene::{always, attempt, block, fresh, members, name, route, select, selector, sequence},
    testing::{Later, Native, Request, bound, in_service, parts, trap},
};
use crate::{
    decision::{Failure, Hold, Pin, Verdict},
    members::testing::{balancer, id, member, pool},
    snapshot::{Balancer, Member, OnError, Status},
};

#[test]
fn select_may_be_awaited_in_a_spawned_task() {
    fn spawnable<T: Send>(_: T) {}
    let pool = pool(balancer(members("a")));
    let selector = selector(&pool, &[]);
    let (request, session) = (Request::default(), Session::default());
    spawnable(selector.select(attempt(&request, &[]), &session));
    spawnable(selector.locate(0, &request));
}

/// httpd's own schedules: the host's scan with a native byrequests.
#[tokio::test(start_paused = true)]
async fn schedules_are_those_measured_on_httpd() {
    let text = include_str!("../../../tests/golden/byrequests.json");
    let golden: serde_json::Value = serde_json::from_str(text).unwrap();
    for scenario in golden["scenarios"].as_array().unwrap() {
        let members = scenario["members"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| Member {
                weight: (m["loadfactor"].as_f64().unwrap_or(1.0) * 100.0) as u32,
                lb_set: m["lbset"].as_u64().unwrap_or(0) as u32,
                status: match m["status"].as_str() {
                    None => Status::Ok,
                    Some("+D") => Status::Disabled,
                    Some("+N") => Status::Draining,
                    Some("+H") => Status::Standby,
                    Some("+R") => Status::Spare,
                    Some(other) => panic!("unknown status {other}"),
                },
                ..member(m["name"].as_str().unwrap())
            });
        let pool = pool(balancer(members));
        let selector = selector(&pool, &[&Native::byrequests()]);
        let expected = scenario["sequence"].as_str().unwrap();
        assert_eq!(
            sequence(&selector, expected.len()).await,
            expected,
            "{}",
            scenario["scenario"]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn due_trial_goes_to_one_fit_request_and_to_an_unfit_one_only_for_want_of_others() {
    let pool = pool(balancer(members("ab")));
    let selector = selector(&pool, &[&Native::byrequests()]);
    block(&pool, 0);
    advance(Duration::from_secs(60)).await;
    let request = Request::default();
    let post = Attempt {
        trial_ok: false,
        ..attempt(&request, &[])
    };
    let chosen = selector.select(post, &Session::default()).await.unwrap();
    assert_eq!(name(&chosen), "b");
    let trial = fresh(&selector).await.unwrap();
    assert_eq!(
        (name(&trial).as_str(), &trial.decided_by),
        ("a", &Decider::Trial)
    );
    assert!(trial.in_flight.is_trial());
    assert_eq!(sequence(&selector, 4).await, "bbbb");
    trial.in_flight.answered(200, Duration::ZERO);
    assert!(sequence(&selector, 4).await.contains('a'));
}

#[tokio::test(start_paused = true)]
async fn unfit_request_is_the_trial_where_nobody_else_serves() {
    let mut config = balancer(members("a"));
    config.force_recovery = false;
    let pool = pool(config);
    let selector = selector(&pool, &[]);
    block(&pool, 0);
    assert_eq!(fresh(&selector).await.unwrap_err(), Refused::NobodyUsable);
    advance(Duration::from_secs(60)).await;
    let request = Request::default();
    let post = Attempt {
        trial_ok: false,
        ..attempt(&request, &[])
    };
    let trial = selector.select(post, &Session::default()).await.unwrap();
    assert!(trial.in_flight.is_trial());
    assert_eq!(fresh(&selector).await.unwrap_err(), Refused::NobodyUsable);
}

#[tokio::test(start_paused = true)]
async fn wrong_verdicts_are_counted_and_the_next_policy_is_asked() {
    for wrong in [Verdict::Member(9), Verdict::Member(1), Verdict::Abstain] {
        let pool = pool(balancer(members("abc")));
        block(&pool, 1);
        let selector = selector(
            &pool,
            &[
                &always("wrong", wrong),
                &always("right", Verdict::Member(2)),
            ],
        );
        let chosen = fresh(&selector).await.unwrap();
        assert_eq!(
            (name(&chosen).as_str(), chosen.decided_by.name()),
            ("c", "right")
        );
        assert_eq!(chosen.decided_by.digest(), Some(selector.chain[1].digest()));
        let overruled = u64::from(wrong != Verdict::Abstain);
        assert_eq!(selector.chain[0].status().overruled, overruled);
    }
}

#[tokio::test(start_paused = true)]
async fn tried_member_is_not_chosen_again() {
    let pool = pool(balancer(members("ab")));
    let selector = selector(&pool, &[&always("stubborn", Verdict::Member(0))]);
    let (request, tried) = (Request::default(), [id("a")]);
    let chosen = selector
        .select(attempt(&request, &tried), &Session::default())
        .await
        .unwrap();
    assert_eq!(
        (name(&chosen).as_str(), chosen.decided_by.name()),
        ("b", "byrequests")
    );
    let tried = [id("a"), id("b")];
    let refused = selector
        .select(attempt(&request, &tried), &Session::default())
        .await;
    assert_eq!(refused.unwrap_err(), Refused::NobodyUsable);
}

#[tokio::test(start_paused = true)]
async fn policy_sees_attempt_and_tried_members() {
    let native = Native::picking("curious", |call, attempt, _| {
        let tried = call.request.unwrap().tried();
        assert_eq!((attempt, tried), (1, &[1][..]));
        assert_eq!(call.pool.unwrap().usable(), [1, 0]);
        Ok(Verdict::Member(0))
    });
    let pool = pool(balancer(members("ab")));
    let selector = selector(&pool, &[&native]);
    let (request, tried) = (Request::default(), [id("b")]);
    let chosen = selector
        .select(attempt(&request, &tried), &Session::default())
        .await;
    assert_eq!(chosen.unwrap().decided_by.name(), "curious");
}

#[tokio::test(start_paused = true)]
async fn shed_refuses_and_asks_nobody_else() {
    let pool = pool(balancer(members("ab")));
    let selector = selector(
        &pool,
        &[&always("shed", Verdict::Shed), &Native::byrequests()],
    );
    assert_eq!(fresh(&selector).await.unwrap_err(), Refused::Shed);
    assert_eq!(selector.chain[1].status().calls, 0);
}

#[tokio::test(start_paused = true)]
async fn failing_policy_becomes_what_the_operator_wants() {
    let failing = Native::picking("failing", |_, _, _| Err(trap()));
    let previous = always("failing", Verdict::Member(1));
    for (on_error, with_previous, expected) in [
        (OnError::BuiltIn, true, Ok("byrequests")),
        (OnError::Previous, true, Ok("failing")),
        (OnError::Previous, false, Ok("byrequests")),
        (OnError::Refuse, true, Err(Refused::PolicyRefused)),
    ] {
        let pool = pool(balancer(members("ab")));
        let later = Arc::new(Later::default());
        let mut selector = selector(&pool, &[]);
        let before = with_previous.then(|| bound(&previous, &pool));
        let mut parts = parts(&failing, Some(&pool), &later);
        parts.on_error = on_error;
        selector.chain = vec![in_service(parts, before.as_ref()).into()];
        // The second request meets an empty slot instead of a failing instance.
        for _ in 0..2 {
            let chosen = fresh(&selector).await;
            let by = chosen
                .as_ref()
                .map(|c| c.decided_by.name())
                .map_err(|refused| *refused);
            assert_eq!(by, expected, "{on_error:?}");
        }
        assert_eq!(selector.chain[0].status().all_faults(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn host_rotates_when_even_the_built_in_policy_fails() {
    let pool = pool(balancer(members("abc")));
    block(&pool, 1);
    let mut selector = selector(&pool, &[]);
    selector.last_resort = Some(bound(
        &Native::picking("byrequests", |_, _, _| Err(trap())),
        &pool,
    ));
    assert_eq!(sequence(&selector, 4).await, "acac");
    let chosen = fresh(&selector).await.unwrap();
    assert_eq!(chosen.decided_by, Decider::Rotation);
}

#[tokio::test(start_paused = true)]
async fn members_are_told_before_the_pick_that_needs_them() {
    let native = Native::byrequests();
    let pool = pool(balancer(members("ab")));
    let selector = selector(&pool, &[&native]);
    let mut config = Balancer::clone(&pool.current().balancer);
    config.members.push(Arc::new(member("c")));
    // The slot is taken while the pool adopts, so the eager push has to be skipped.
    let seat = selector.chain[0].slots[0].enter().await;
    pool.adopt(Arc::new(config));
    drop(seat);
    assert!(sequence(&selector, 3).await.contains('c'));
    assert_eq!(native.logged(), ["init 0/1", "members 1", "members 2"]);
}

#[tokio::test(start_paused = true)]
async fn request_waits_for_a_member_as_long_as_the_balancer_allows() {
    let mut config = balancer(members("a"));
    config.force_recovery = false;
    config.wait = Duration::from_secs(5);
    let pool = pool(config);
    let selector = selector(&pool, &[]);
    let request = Request::default();
    block(&pool, 0);
    let started = Instant::now();
    assert_eq!(fresh(&selector).await.unwrap_err(), Refused::NobodyUsable);
    assert_eq!(started.elapsed(), Duration::from_secs(5));

    // A trial falls due while it waits.
    advance(Duration::from_secs(52)).await;
    let trial = fresh(&selector).await.unwrap();
    assert!(trial.in_flight.is_trial());
    assert_eq!(started.elapsed().as_secs(), 60);

    // Somebody else's trial ends well while it waits.
    let session = Session::default();
    let waiting = selector.select(attempt(&request, &[]), &session);
    let answer = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        trial.in_flight.answered(200, Duration::ZERO);
    };
    let (chosen, ()) = tokio::join!(waiting, answer);
    assert_eq!(name(&chosen.unwrap()), "a");
    assert_eq!(started.elapsed().as_secs(), 61);
}

#[tokio::test(start_paused = true)]
async fn hold_of_affinity_is_used_and_its_failure_refuses_where_configured() {
    let pool = pool(balancer(members("ab")));
    let pin = |_: &crate::decision::Call<'_>| {
        let pin = Pin::Route("b".into());
        Ok(Some(Hold { pin, strict: true }))
    };
    let mut selector = selector(&pool, &[]);
    selector.affinity = vec![bound(&Native::locating(pin), &pool).into()];
    let session = selector.locate(0, &Request::default()).await;
    assert_eq!(name(&select(&selector, &session).await.unwrap()), "b");

    for (on_error, expected) in [
        (OnError::BuiltIn, Ok(false)),
        (OnError::Refuse, Err(Refused::PolicyRefused)),
    ] {
        let failing = Native::locating(|_| Err(trap()));
        let mut parts = parts(&failing, Some(&pool), &Arc::default());
        parts.on_error = on_error;
        selector.affinity = vec![in_service(parts, None).into()];
        let session = selector.locate(0, &Request::default()).await;
        let pinned = select(&selector, &session)
            .await
            .map(|chosen| chosen.pinned);
        assert_eq!(pinned, expected);
    }
}

/// The facts of `tests/golden/failover.json` about a dead member, as the attempts of a client see them.
#[tokio::test(start_paused = true)]
async fn dead_member_is_met_once_and_its_sessions_move_or_are_refused() {
    for (strict, expected) in [
        (false, Ok("b".to_owned())),
        (true, Err(Refused::StickyUnusable)),
    ] {
        let pool = pool(balancer(members("ab")));
        let selector = selector(&pool, &[&Native::byrequests()]);
        let request = Request::default();
        let first = select(&selector, &route("a", strict)).await.unwrap();
        first.in_flight.failed(Failure::Refused, true);
        let tried = [id("a")];
        let second = selector
            .select(attempt(&request, &tried), &route("a", strict))
            .await;
        assert_eq!(second.map(|c| name(&c)), expected);
        // Later requests do not even try.
        assert_eq!(
            select(&selector, &route("a", strict))
                .await
                .map(|c| name(&c)),
            expected
        );
        assert_eq!(sequence(&selector, 3).await, "bbb");
    }
}
