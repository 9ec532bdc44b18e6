//! What a recording tells beyond its words.

use super::{Function, Read, Value};
use crate::decision::Trigger;

/// What a read tells of another: the first of several lines, or that there is none of a name.
pub(super) fn follows(read: &Read, function: Function, arguments: &[Value]) -> Option<Value> {
    use Function::{
        Cookie, Cookies, RequestHeader, RequestHeaderNames, RequestHeaders, ResponseHeader,
        ResponseHeaderNames, ResponseHeaders,
    };
    let same = read.arguments == arguments;
    match (read.function, function, &read.result) {
        (RequestHeaders, RequestHeader, Value::Lines(lines))
        | (ResponseHeaders, ResponseHeader, Value::Lines(lines))
        | (Cookies, Cookie, Value::Lines(lines))
            if same =>
        {
            Some(
                lines
                    .first()
                    .map_or(Value::Absent, |line| Value::Bytes(line.clone())),
            )
        }
        (RequestHeader, RequestHeaders, Value::Absent)
        | (ResponseHeader, ResponseHeaders, Value::Absent)
        | (Cookie, Cookies, Value::Absent)
            if same =>
        {
            Some(Value::Lines(Vec::new()))
        }
        (RequestHeaderNames, RequestHeader | RequestHeaders, Value::Texts(names))
        | (ResponseHeaderNames, ResponseHeader | ResponseHeaders, Value::Texts(names)) => {
            let [Value::Text(name)] = arguments else {
                return None;
            };
            let none = match function {
                RequestHeader | ResponseHeader => Value::Absent,
                _ => Value::Lines(Vec::new()),
            };
            (!names.contains(name)).then_some(none)
        }
        _ => None,
    }
}

/// What a trigger that did not hit tells of what it is about: policies that know by their triggers what is not there
/// need not ask, and another version may.
pub(super) fn lacks(trigger: &Trigger, function: Function, arguments: &[Value]) -> Option<Value> {
    use Function::{
        Cookie, Cookies, RequestHeader, RequestHeaders, ResponseHeader, ResponseHeaders,
    };
    let [Value::Text(name)] = arguments else {
        return None;
    };
    let is_meant = match (trigger, function) {
        (Trigger::RequestHeader(of), RequestHeader | RequestHeaders)
        | (Trigger::ResponseHeader(of), ResponseHeader | ResponseHeaders) => {
            of.eq_ignore_ascii_case(name)
        }
        (Trigger::Cookie(of), Cookie | Cookies) => of == name,
        _ => false,
    };
    let none = match function {
        RequestHeader | ResponseHeader | Cookie => Value::Absent,
        _ => Value::Lines(Vec::new()),
    };
    is_meant.then_some(none)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Answer, Asked, Call, Recalled, Script},
        *,
    };
    use crate::decision::{Hook, ResponsePlan};

    #[test]
    fn what_a_trigger_said_is_not_there_need_not_have_been_read() {
        let trigger = |name: &str| Trigger::ResponseHeader(name.into());
        let recorded = vec![
            // Another hook's bits are others.
            (Hook::OnRequest, trigger("uri")),
            (Hook::OnResponse, trigger("location")),
            (Hook::OnResponse, trigger("Link")),
            (Hook::OnResponse, Trigger::Cookie("sid".into())),
        ];
        let script = Script::new(recorded, Vec::new());
        let asked = Asked::OnResponse;
        script.put([Call {
            asked: asked.clone(),
            now_us: 1,
            wall_ms: 2,
            entropy: 3,
            // A location, neither link nor cookie.
            triggered: !0b110,
            reads: Vec::new(),
            answer: Answer::Response(ResponsePlan::default()),
        }]);
        assert!(script.begin(&asked).is_some());
        let recalled = |function, name: &str| match script.recall(function, &[name.into()]) {
            Recalled::Known(value) => Some(value),
            _ => None,
        };
        let no_lines = || Some(Value::Lines(Vec::new()));
        for (function, name, due) in [
            (Function::ResponseHeaders, "link", no_lines()),
            (Function::ResponseHeader, "link", Some(Value::Absent)),
            (Function::Cookies, "sid", no_lines()),
            (Function::Cookie, "sid", Some(Value::Absent)),
            (Function::Cookie, "SID", None),
            (Function::ResponseHeaders, "location", None),
            (Function::ResponseHeaders, "uri", None),
            (Function::RequestHeaders, "link", None),
        ] {
            assert_eq!(recalled(function, name), due, "{function:?} {name}");
        }
    }
}
