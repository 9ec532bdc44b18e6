//! Whether an exchange is worth a call, without asking the policy.

use crate::decision::{Hook, Trigger};

/// The triggers of one hook. Without any, every exchange is worth a call.
#[derive(Debug, Clone, Default)]
pub(super) struct Triggers(Box<[Trigger]>);

impl std::ops::Deref for Triggers {
    type Target = [Trigger];

    fn deref(&self) -> &[Trigger] {
        &self.0
    }
}

impl Triggers {
    /// Those of `hook` among a descriptor's.
    pub fn of(hook: Hook, all: &[(Hook, Trigger)]) -> Self {
        let own = all.iter().filter(|(of, _)| *of == hook);
        Self(own.map(|(_, trigger)| trigger.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{Request, Response},
        *,
    };

    #[test]
    fn each_trigger_is_tested_natively() {
        let request = Request {
            headers: vec![("x-a", "1")],
            cookies: vec![("SID", "1")],
            parameters: vec![("jsessionid", "1")],
            ..Request::default()
        };
        let response = Response {
            headers: vec![
                ("location", "/"),
                ("content-type", " Text/HTML ; charset=utf-8"),
            ],
        };
        let cases = [
            (Trigger::RequestHeader("x-a".into()), true, true),
            (Trigger::RequestHeader("x-b".into()), false, false),
            (Trigger::Cookie("SID".into()), true, true),
            (Trigger::Cookie("sid".into()), false, false),
            (Trigger::AbsentCookie("sid".into()), true, true),
            (Trigger::AbsentCookie("SID".into()), false, false),
            (Trigger::PathParameter("jsessionid".into()), true, true),
            (Trigger::PathParameter("v".into()), false, false),
            (Trigger::QueryParameter("page".into()), true, true),
            (Trigger::QueryParameter("Page".into()), false, false),
            (Trigger::ResponseHeader("location".into()), false, true),
            (Trigger::ResponseHeader("uri".into()), false, false),
            (Trigger::ContentType("text/html".into()), false, true),
            (Trigger::ContentType("text/".into()), false, true),
            (
                Trigger::ContentType("text/html; charset".into()),
                false,
                false,
            ),
            (Trigger::ContentType("application/".into()), false, false),
        ];
        for (trigger, before, after) in cases {
            let triggers = Triggers::of(Hook::Bind, &[(Hook::Bind, trigger.clone())]);
            assert_eq!(
                Trigger::look(&triggers, &request, None).is_some(),
                before,
                "{trigger:?} without a response"
            );
            assert_eq!(
                Trigger::look(&triggers, &request, Some(&response)).is_some(),
                after,
                "{trigger:?}"
            );
        }
    }

    #[test]
    fn hook_without_triggers_is_always_called() {
        let all = [(Hook::Bind, Trigger::Cookie("SID".into()))];
        let request = Request::default();
        let hit = |hook| Trigger::look(&Triggers::of(hook, &all), &request, None);
        assert_eq!((hit(Hook::Locate), hit(Hook::Bind)), (Some(u64::MAX), None));
    }

    #[test]
    fn a_policy_is_told_which_of_its_triggers_the_exchange_lacks() {
        let request = Request {
            headers: vec![("x-a", "1")],
            ..Request::default()
        };
        let response = Response {
            headers: vec![("location", "/")],
        };
        let triggers = [
            Trigger::ResponseHeader("location".into()),
            Trigger::Cookie("SID".into()),
            Trigger::RequestHeader("x-a".into()),
        ];
        let hit = |response, triggers: &[Trigger]| Trigger::look(triggers, &request, response);
        assert_eq!(hit(Some(&response as _), &triggers), Some(!0b010));
        assert_eq!(hit(None, &triggers), Some(!0b011));
        assert_eq!(hit(None, &triggers[..2]), None);
        assert_eq!(hit(None, &[]), Some(u64::MAX));
        let mut many = vec![Trigger::Cookie("SID".into()); 64];
        assert_eq!(hit(None, &many), None);
        // Those beyond the last bit count too.
        many.push(Trigger::RequestHeader("x-a".into()));
        assert_eq!(hit(None, &many), Some(0));
    }
}
