//! Whether an exchange is worth a call, without asking the policy.

use crate::decision::{Hook, RequestView, ResponseView, Trigger, name_bit};

/// The triggers of one hook. Without any, every exchange is worth a call.
#[derive(Debug, Clone, Default)]
pub(super) struct Triggers {
    all: Box<[Trigger]>,
    /// What each cannot do without.
    needs: Box<[Need]>,
}

/// A header, by the bit of its name; most headers that somebody waits for are not there.
#[derive(Debug, Clone, Copy)]
enum Need {
    Request(u64),
    Response(u64),
    Nothing,
}

impl Need {
    fn of(trigger: &Trigger) -> Self {
        match trigger {
            Trigger::RequestHeader(name) => Self::Request(name_bit(name)),
            Trigger::Cookie(_) => Self::Request(name_bit("cookie")),
            Trigger::ResponseHeader(name) => Self::Response(name_bit(name)),
            Trigger::ContentType(_) => Self::Response(name_bit("content-type")),
            Trigger::AbsentCookie(_) | Trigger::PathParameter(_) | Trigger::QueryParameter(_) => {
                Self::Nothing
            }
        }
    }
}

impl std::ops::Deref for Triggers {
    type Target = [Trigger];

    fn deref(&self) -> &[Trigger] {
        &self.all
    }
}

impl Triggers {
    /// Those of `hook` among a descriptor's.
    pub fn of(hook: Hook, all: &[(Hook, Trigger)]) -> Self {
        let own = all.iter().filter(|(of, _)| *of == hook);
        let all: Box<[_]> = own.map(|(_, trigger)| trigger.clone()).collect();
        let needs = all.iter().map(Need::of).collect();
        Self { all, needs }
    }

    /// As [`Trigger::look`].
    pub fn look(
        &self,
        request: &dyn RequestView,
        response: Option<&dyn ResponseView>,
    ) -> Option<u64> {
        let before = request.seen();
        let after = response.map_or(0, |response| response.seen());
        Trigger::which(self.all.len(), |at| {
            let may_be = match self.needs[at] {
                Need::Request(bit) => before & bit != 0,
                Need::Response(bit) => after & bit != 0,
                Need::Nothing => true,
            };
            may_be && self.all[at].hits(request, response)
        })
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
                triggers.look(&request, None).is_some(),
                before,
                "{trigger:?} without a response"
            );
            assert_eq!(
                triggers.look(&request, Some(&response)).is_some(),
                after,
                "{trigger:?}"
            );
        }
    }

    #[test]
    fn hook_without_triggers_is_always_called() {
        let all = [(Hook::Bind, Trigger::Cookie("SID".into()))];
        let request = Request::default();
        let hit = |hook| Triggers::of(hook, &all).look(&request, None);
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
