//! Decisions in words.

pub(super) use crate::policy::plain as text;
use crate::{
    decision::{Member, Verdict},
    policy::InWords,
    recording::{Answer, Call, Function, Value},
};

/// The answer in a few words.
pub(super) fn answer(answer: &Answer, members: &[Member]) -> String {
    match answer {
        Answer::Done => "done".to_owned(),
        Answer::Initialised(Ok(())) => "initialised".to_owned(),
        Answer::Initialised(Err(problems)) => {
            let first = problems.first().map_or("", |problem| &problem.message);
            format!("refuses the configuration: {}", text(first))
        }
        Answer::Verdict(Verdict::Member(index)) => match members.get(*index as usize) {
            Some(member) => format!("member {index} ({})", text(&member.id)),
            None => format!("member {index}"),
        },
        Answer::Verdict(Verdict::Abstain) => "abstain".to_owned(),
        Answer::Verdict(Verdict::Shed) => "shed".to_owned(),
        Answer::Hold(hold) => hold.in_words(),
        Answer::Edits(list) => list.in_words(),
        Answer::Request(plan) => plan.in_words(),
        Answer::Response(plan) => plan.in_words(),
        Answer::State(state) => format!("{} bytes of state", state.len()),
        Answer::Restored(Ok(())) => "restored".to_owned(),
        Answer::Restored(Err(why)) => format!("starts cold: {}", text(why)),
        Answer::Fault { text: what, .. } => text(what.lines().next().unwrap_or_default()),
    }
}

/// Method and path, as far as the call read them.
pub(super) fn request_line(call: &Call) -> Option<String> {
    let read = |function: Function| {
        let read = call.reads.iter().find(|read| read.function == function)?;
        match &read.result {
            Value::Text(found) => Some(text(found)),
            _ => None,
        }
    };
    let path = read(Function::Path).or_else(|| read(Function::OriginalPath));
    match (read(Function::Method), path) {
        (None, None) => None,
        (method, path) => Some(format!(
            "{} {}",
            method.as_deref().unwrap_or("?"),
            path.as_deref().unwrap_or("?")
        )),
    }
}
