//! What members answer, from the four places where that can be written.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    compile::meant,
    names::Names,
    scenario::Answer,
    source::{AnswerTable, FailsWord, ScenarioTable, StepTable},
    traffic::lines,
};
use crate::{
    config::{
        problems::Problems,
        read::{Named, Node, Overlay},
    },
    decision::Failure,
    snapshot::MemberId,
};

/// Bodies above this are but numbers: it is what a test compares.
const BODY: usize = 1 << 20;

/// Every member's answer in a step. What is written for the step goes before what is written for
/// all, and of each what is written for the member.
pub(super) fn answers(
    scenario: &ScenarioTable,
    step: &StepTable,
    names: &Names,
    out: &mut Problems,
) -> BTreeMap<MemberId, Arc<Answer>> {
    let mut own = |table: &Option<Node<Named<AnswerTable>>>| {
        let mut own = BTreeMap::new();
        for (name, node) in table.iter().flat_map(|n| &n.value.0) {
            let word = Node {
                value: name.clone(),
                place: node.place.clone(),
            };
            if let Some(id) = meant(&word, names, out) {
                own.insert(id.clone(), node.value.clone());
            }
        }
        own
    };
    let (always, now) = (own(&scenario.answers), own(&step.answers));
    let mut answers = BTreeMap::new();
    for (id, _) in names.iter() {
        let layers = [
            scenario.answer.as_ref().map(|n| &n.value),
            always.get(id),
            step.answer.as_ref().map(|n| &n.value),
            now.get(id),
        ];
        let mut table = AnswerTable::default();
        for layer in layers.into_iter().flatten() {
            table.overlay(layer);
        }
        answers.insert(id.clone(), Arc::new(answer(&table, out)));
    }
    answers
}

fn answer(table: &AnswerTable, out: &mut Problems) -> Answer {
    let status = table.status.as_ref().map_or(200, |n| n.value);
    if let Some(node) = table
        .status
        .as_ref()
        .filter(|_| !(200..600).contains(&status))
    {
        let message = format!("{status} is no final status");
        out.error(&node.place, message, "use 200 to 599");
    }
    let time = |node: &Option<Node<crate::config::units::Time>>| node.as_ref().map(|n| n.value.0);
    let after = time(&table.after).unwrap_or_default();
    let lasts = time(&table.lasts).unwrap_or(after);
    if let Some(node) = table.lasts.as_ref().filter(|_| lasts < after) {
        let message = "its body would end before its head is there";
        out.error(&node.place, message, "make lasts at least as long as after");
    }
    let body = table
        .body
        .as_ref()
        .map_or_else(String::new, |n| n.value.clone());
    if let Some(node) = table.body.as_ref().filter(|_| body.len() > BODY) {
        let message = format!("{} bytes are too many", body.len());
        out.error(&node.place, message, "write bytes = 2097152 instead");
    }
    let bytes = table
        .bytes
        .as_ref()
        .map_or(body.len() as u64, |n| n.value.0);
    Answer {
        status: status as u16,
        headers: lines(table.headers.as_ref(), out),
        body,
        bytes,
        sent: table.sent.as_ref().map_or(0, |n| n.value.0),
        after,
        then: lasts.saturating_sub(after),
        fails: table.fails.as_ref().map(|n| failure(n.value)),
    }
}

fn failure(word: FailsWord) -> Failure {
    match word {
        FailsWord::Refused => Failure::Refused,
        FailsWord::ConnectTimeout => Failure::ConnectTimeout,
        FailsWord::Reset => Failure::Reset,
        FailsWord::Timeout => Failure::ResponseTimeout,
        FailsWord::Garbage => Failure::Protocol,
    }
}
