//! What must hold, as it was written.

use super::{
    compile::{each, meant},
    names::Names,
    source::ExpectTable,
};
use crate::{
    config::{
        problems::{Place, Problems, suggest},
        read::{Either, Named, Node},
        source::OneOrMany,
    },
    snapshot::{MemberId, StatusRange},
};

/// Something that must hold, and where that is written.
#[derive(Debug)]
pub(super) struct Expected {
    pub place: Place,
    pub what: Expectation,
}

/// What must hold.
#[derive(Debug, PartialEq)]
pub(super) enum Expectation {
    /// Who serves each request; `None` = nobody. Begun again at its end where it `repeats`.
    Sequence {
        members: Vec<Option<MemberId>>,
        repeats: bool,
    },
    /// Percent of the requests, `within` some percent of all.
    Shares {
        of: Shares,
        within: f64,
    },
    Never(Vec<MemberId>),
    Only(Vec<MemberId>),
    Sticky,
    DecidedBy(String),
    Status(Vec<StatusRange>),
    /// All lines of each name, in the answer.
    Headers(Vec<(String, Vec<String>)>),
    Body(String),
    Path(String),
    Host(String),
    /// All lines of each name, in the request.
    Sent(Vec<(String, Vec<String>)>),
    Faults(u32),
    Overruled(u32),
    Fuel(u64),
}

/// How requests are to be shared.
#[derive(Debug, PartialEq)]
pub(super) enum Shares {
    /// As the weights of those who can serve are.
    Weights,
    Percent(Vec<(MemberId, f64)>),
}

impl Expectation {
    /// Whether it is about what stands in messages.
    pub fn reads_messages(&self) -> bool {
        matches!(
            self,
            Self::Headers(_) | Self::Body(_) | Self::Path(_) | Self::Host(_) | Self::Sent(_)
        )
    }
}

/// The expectations of a table, in the order in which they are judged.
pub(super) fn expected(
    table: Option<&Node<ExpectTable>>,
    names: &Names,
    out: &mut Problems,
) -> Vec<Expected> {
    let Some(Node { value: table, .. }) = table else {
        return Vec::new();
    };
    let mut list = List(Vec::new());
    list.number(&table.faults, Expectation::Faults);
    for (node, repeats) in [(&table.sequence, false), (&table.cycle, true)] {
        if let Some(node) = node {
            let members = sequence(node, names, out);
            list.add(&node.place, Expectation::Sequence { members, repeats });
        }
    }
    if let Some(node) = &table.shares {
        let within = table.within.as_ref().map_or(1.0, |n| n.value);
        let of = shares(node, names, out);
        list.add(&node.place, Expectation::Shares { of, within });
    } else if let Some(node) = &table.within {
        let remedy = "write shares = \"weights\", or leave it out";
        out.error(&node.place, "there are no shares that it bounds", remedy);
    }
    let mut members = |node: &Option<Node<OneOrMany<String>>>| {
        let words = each(node.as_ref());
        let ids = words
            .iter()
            .filter_map(|word| meant(word, names, out).cloned());
        (node.as_ref().map(|n| n.place.clone()), ids.collect())
    };
    if let (Some(place), ids) = members(&table.never) {
        list.add(&place, Expectation::Never(ids));
    }
    if let (Some(place), ids) = members(&table.only) {
        list.add(&place, Expectation::Only(ids));
    }
    if let Some(node) = table.sticky.as_ref().filter(|n| n.value) {
        list.add(&node.place, Expectation::Sticky);
    }
    list.text(&table.decided_by, Expectation::DecidedBy);
    if let Some(node) = &table.status {
        let ranges = each(Some(node)).into_iter().map(|n| n.value.0).collect();
        list.add(&node.place, Expectation::Status(ranges));
    }
    list.lines(&table.headers, Expectation::Headers);
    list.text(&table.body, Expectation::Body);
    list.text(&table.path, Expectation::Path);
    list.text(&table.host, Expectation::Host);
    list.lines(&table.sent, Expectation::Sent);
    list.number(&table.overruled, Expectation::Overruled);
    list.number(&table.fuel, |n| Expectation::Fuel(n.into()));
    list.0
}

/// A policy that fails, or is not followed, does so unnoticed where nobody expects anything. So
/// every step expects that it does not.
pub(super) fn never_fails(list: &mut Vec<Expected>, place: &Place) {
    let has = |list: &[Expected], like: fn(&Expectation) -> bool| {
        list.iter().any(|expected| like(&expected.what))
    };
    let expected = |what| Expected {
        place: place.clone(),
        what,
    };
    if !has(list, |what| matches!(what, Expectation::Overruled(_))) {
        list.insert(0, expected(Expectation::Overruled(0)));
    }
    if !has(list, |what| matches!(what, Expectation::Faults(_))) {
        list.insert(0, expected(Expectation::Faults(0)));
    }
}

struct List(Vec<Expected>);

impl List {
    fn add(&mut self, place: &Place, what: Expectation) {
        self.0.push(Expected {
            place: place.clone(),
            what,
        });
    }

    fn text(&mut self, node: &Option<Node<String>>, what: fn(String) -> Expectation) {
        if let Some(node) = node {
            self.add(&node.place, what(node.value.clone()));
        }
    }

    fn number(&mut self, node: &Option<Node<u32>>, what: fn(u32) -> Expectation) {
        if let Some(node) = node {
            self.add(&node.place, what(node.value));
        }
    }

    fn lines(
        &mut self,
        node: &Option<Node<Named<OneOrMany<String>>>>,
        what: fn(Vec<(String, Vec<String>)>) -> Expectation,
    ) {
        let Some(node) = node else { return };
        let line = |(name, values): &(String, Node<OneOrMany<String>>)| {
            let values = each(Some(values)).into_iter().map(|n| n.value).collect();
            (name.to_ascii_lowercase(), values)
        };
        let lines = node.value.0.iter().map(line).collect();
        self.add(&node.place, what(lines));
    }
}

/// Nobody, in a sequence.
const NOBODY: &str = "-";

fn sequence(
    node: &Node<OneOrMany<String>>,
    names: &Names,
    out: &mut Problems,
) -> Vec<Option<MemberId>> {
    let words: Vec<String> = match &node.value {
        Either::Left(list) => list.iter().map(|n| n.value.clone()).collect(),
        Either::Right(text) if names.are_letters() => {
            let letters = text.chars().filter(|c| !c.is_whitespace());
            letters.map(String::from).collect()
        }
        Either::Right(text) => text.split_whitespace().map(str::to_owned).collect(),
    };
    if words.is_empty() {
        let remedy = "name the members in the order in which they serve";
        out.error(&node.place, "no sequence", remedy);
    }
    let mut unknown: Vec<&String> = Vec::new();
    let mut members = Vec::with_capacity(words.len());
    for word in &words {
        let id = names.find(word);
        if id.is_none() && word != NOBODY && !unknown.contains(&word) {
            unknown.push(word);
            let message = format!("there is no member `{word}`");
            out.error(&node.place, message, suggest(word, &names.words()));
        }
        members.push(id.cloned());
    }
    members
}

fn shares(node: &Node<Either<String, Named<f64>>>, names: &Names, out: &mut Problems) -> Shares {
    let table = match &node.value {
        Either::Left(word) => {
            if word != "weights" {
                let remedy = "write \"weights\", or a = 50, b = 50";
                out.error(&node.place, format!("{word:?} is no share"), remedy);
            }
            return Shares::Weights;
        }
        Either::Right(table) => table,
    };
    if table.0.is_empty() {
        let remedy = "write a = 50, b = 50, or leave it out";
        out.error(&node.place, "nobody's share is given", remedy);
    }
    let mut percent = Vec::new();
    for (name, node) in &table.0 {
        if !(0.0..=100.0).contains(&node.value) {
            let message = format!("{} percent is no share", node.value);
            out.error(&node.place, message, "use 0 to 100");
        }
        let word = Node {
            value: name.clone(),
            place: node.place.clone(),
        };
        let id = meant(&word, names, out);
        percent.extend(id.map(|id| (id.clone(), node.value)));
    }
    Shares::Percent(percent)
}
