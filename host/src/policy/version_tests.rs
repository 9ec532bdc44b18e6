//! What is remembered of versions, and for how long.

use std::sync::Arc;

use super::{
    CanaryState, Module,
    testing::Native,
    version::{Event, HISTORY, Versions, worth_keeping},
};

fn module(digest: u8) -> Arc<dyn Module> {
    Arc::new(Native {
        digest,
        ..Native::byrequests()
    })
}

fn in_service(versions: &Versions) -> (Option<u8>, Option<u8>) {
    let first = |m: Arc<dyn Module>| m.digest().0[0];
    (
        versions.current().map(first),
        versions.previous().map(first),
    )
}

#[test]
fn version_before_is_kept_and_one_that_was_undone_does_not_return_by_itself() {
    let versions = Versions::new("canary".into());
    versions.entered(module(1), "start", 1);
    versions.entered(module(2), "file changed", 2);
    assert_eq!(in_service(&versions), (Some(2), Some(1)));
    versions.entered(module(2), "configuration changed", 3);
    assert_eq!(in_service(&versions), (Some(2), Some(1)));
    versions.entered(module(1), "rollback", 4);
    let bad = module(2).digest();
    versions.undone(bad, "it was worse", 4);
    assert_eq!(in_service(&versions), (Some(1), Some(2)));
    assert!(versions.is_undone(&bad));

    let later = Versions::new("canary".into());
    later.recall(versions.history().into_iter().rev().collect());
    assert!(later.is_undone(&bad), "over restarts too");
    assert_eq!(later.last_good(&bad), Some(module(1).digest()));
    assert_eq!(later.worth_keeping(), [module(1).digest()]);
    versions.entered(module(2), "asked for", 5);
    assert!(!versions.is_undone(&bad));
}

#[test]
fn two_versions_are_worth_keeping_however_many_there_were() {
    let versions = Versions::new("own".into());
    for digest in [1, 2, 3, 2] {
        versions.entered(module(digest), "file changed", 1);
    }
    let two = [module(2).digest(), module(3).digest()];
    assert_eq!(versions.worth_keeping(), two);
    let history: Vec<_> = versions.history().into_iter().rev().collect();
    assert_eq!(worth_keeping(&history), two, "of one that is not there");
    let later = Versions::new("own".into());
    later.recall(history);
    assert_eq!(later.worth_keeping(), two, "in a later run");
    later.entered(module(2), "start", 2);
    assert_eq!(later.worth_keeping(), two);
    for number in 0..100 {
        later.refused(None, &format!("refusal {number}"), 3);
    }
    assert_eq!(later.history().len(), HISTORY);
    let last = Versions::new("own".into());
    last.recall(later.history().into_iter().rev().collect());
    assert_eq!(last.worth_keeping(), two, "though much happened since");
}

#[test]
fn last_word_about_a_version_outlives_a_flood_of_refusals_and_a_restart() {
    let versions = Versions::new("own".into());
    let [good, undone, out, all] = [1, 2, 3, 4].map(|digest| module(digest).digest());
    versions.entered(module(1), "start", 1);
    versions.entered(module(2), "file changed", 2);
    versions.entered(module(1), "rollback", 3);
    versions.undone(undone, "it was worse", 3);
    for (digest, state) in [
        (out, CanaryState::Promoted),
        (out, CanaryState::Undone),
        (all, CanaryState::Promoted),
    ] {
        versions.canary(digest, state, "said so", 4);
    }
    let states = |versions: &Versions| {
        let [out, all] = [out, all].map(|digest| versions.canary_state(&digest));
        (versions.is_undone(&undone), out, all)
    };
    let due = (true, CanaryState::Undone, CanaryState::Promoted);
    let later = Versions::new("own".into());
    for number in 0..100 {
        versions.refused(None, &format!("refusal {number}"), 5);
    }
    assert_eq!(states(&versions), due);
    later.recall(versions.history().into_iter().rev().collect());
    assert_eq!(states(&later), due, "over a restart");
    assert_eq!(later.last_good(&undone), Some(good));
    // Nor does going to and fro between two versions push it out.
    for number in 0..100 {
        versions.entered(module(9 - 8 * (number % 2)), "file changed", 6);
    }
    assert_eq!(states(&versions), due);
    for number in 0..100 {
        versions.refused(None, &format!("refusal {number}"), 7);
    }
    let refusals = versions
        .history()
        .into_iter()
        .filter(|e| e.digest.is_none());
    assert_eq!(refusals.count(), HISTORY - 5, "no more is held than needed");
    // The words themselves are bounded, too.
    for digest in 10..200 {
        versions.canary(module(digest).digest(), CanaryState::Undone, "no", 6);
    }
    assert_eq!(versions.history().len(), HISTORY);
    assert_eq!(versions.last_good(&undone), Some(good));
}

#[test]
fn what_became_of_a_canary_is_remembered() {
    let versions = Versions::new("canary".into());
    let digest = module(1).digest();
    versions.entered(module(1), "start", 1);
    assert_eq!(versions.canary_state(&digest), CanaryState::Running);
    for state in [CanaryState::Promoted, CanaryState::Undone] {
        versions.canary(digest, state, "said so", 2);
        assert_eq!(versions.canary_state(&digest), state);
    }
}

#[test]
fn history_is_bounded_newest_first_and_notes_a_repeated_refusal_once() {
    let versions = Versions::new("canary".into());
    for at in 0..3 {
        versions.refused(None, "not a policy", at);
    }
    assert_eq!(versions.history().len(), 1);
    assert_eq!(versions.history()[0].at_ms, 2);
    for at in 0..2 {
        versions.refused(None, &"é".repeat(10_000), at);
    }
    let history = versions.history();
    assert_eq!(history.len(), 2, "the same reason, however long");
    assert!(matches!(&history[0].event, Event::Refused { why } if why.len() < 1_100));
    for digest in 0..100 {
        versions.entered(module(digest), "file changed", 3);
    }
    assert_eq!(versions.history().len(), HISTORY);
    assert_eq!(versions.history()[0].digest, Some(module(99).digest()));
    let later = Versions::new("canary".into());
    later.recall([versions.history(), versions.history()].concat());
    assert_eq!(later.history().len(), HISTORY);
}
