//! Whether an exchange is worth a call, without asking the policy.

use crate::decision::{Hook, RequestView, ResponseView, Trigger};

/// The triggers of one hook. Without any, every exchange is worth a call.
#[derive(Debug, Clone, Default)]
pub(super) struct Triggers(Box<[Trigger]>);

impl Triggers {
    /// Those of `hook` among a descriptor's.
    pub fn of(hook: Hook, all: &[(Hook, Trigger)]) -> Self {
        let own = all.iter().filter(|(of, _)| *of == hook);
        Self(own.map(|(_, trigger)| trigger.clone()).collect())
    }

    /// Whether the exchange has one of them. A trigger on a response never hits before there is one.
    pub fn hit(&self, request: &dyn RequestView, response: Option<&dyn ResponseView>) -> bool {
        self.0.is_empty()
            || self
                .0
                .iter()
                .any(|trigger| hits(trigger, request, response))
    }
}

fn hits(trigger: &Trigger, request: &dyn RequestView, response: Option<&dyn ResponseView>) -> bool {
    match trigger {
        Trigger::RequestHeader(name) => request.header(name).is_some(),
        Trigger::Cookie(name) => request.cookie(name).is_some(),
        Trigger::AbsentCookie(name) => request.cookie(name).is_none(),
        Trigger::PathParameter(name) => request.path_parameter(name).is_some(),
        Trigger::ResponseHeader(name) => response.is_some_and(|r| r.header(name).is_some()),
        Trigger::ContentType(prefix) => response
            .and_then(|r| r.header("content-type"))
            .is_some_and(|value| is_media_type(value, prefix)),
    }
}

/// The media type is what stands before parameters; it is compared without regard to case (RFC 9110, 8.3.1).
fn is_media_type(value: &[u8], prefix: &str) -> bool {
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
    let essence = essence.trim_ascii();
    essence
        .get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
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
                triggers.hit(&request, None),
                before,
                "{trigger:?} without a response"
            );
            assert_eq!(
                triggers.hit(&request, Some(&response)),
                after,
                "{trigger:?}"
            );
        }
    }

    #[test]
    fn hook_without_triggers_is_always_called() {
        let all = [(Hook::Bind, Trigger::Cookie("SID".into()))];
        let request = Request::default();
        assert!(Triggers::of(Hook::Locate, &all).hit(&request, None));
        assert!(!Triggers::of(Hook::Bind, &all).hit(&request, None));
    }
}
