//! What a scenario calls its members.

use crate::snapshot::{Member, MemberId};

/// Every member that is ever part of the pool, in order of appearance, with its shortest name.
#[derive(Debug, Default)]
pub struct Names {
    known: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    id: MemberId,
    name: String,
    /// Everything it could be called, the shortest first.
    also: [String; 4],
}

impl Names {
    /// A member is called by its route, its host, its host and port or its URL: the first of
    /// these that is no other's.
    pub fn of<'a>(members: impl IntoIterator<Item = &'a Member>) -> Self {
        let mut known: Vec<Known> = Vec::new();
        for member in members {
            if known.iter().any(|k| k.id == member.id) {
                continue;
            }
            let also = [
                member.route.clone(),
                member.host.clone(),
                format!("{}:{}", member.host, member.port),
                member.id.to_string(),
            ];
            known.push(Known {
                id: member.id.clone(),
                name: String::new(),
                also,
            });
        }
        for index in 0..known.len() {
            let mut words = known[index].also.iter();
            let own = words.find(|word| !word.is_empty() && owners(&known, word) == 1);
            // The last is the identity, and so nobody else's.
            known[index].name = own.cloned().unwrap_or_else(|| known[index].id.to_string());
        }
        Self { known }
    }

    /// As shown.
    pub fn name<'a>(&'a self, id: &'a MemberId) -> &'a str {
        let known = self.known.iter().find(|known| known.id == *id);
        known.map_or(&id.0, |known| &known.name)
    }

    /// Who is meant; `None` where it is nobody or not clear.
    pub fn find(&self, word: &str) -> Option<&MemberId> {
        let mut meant = self
            .known
            .iter()
            .filter(|k| k.also.iter().any(|w| w == word));
        let first = meant.next()?;
        meant.next().is_none().then_some(&first.id)
    }

    /// Every member with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&MemberId, &str)> {
        self.known
            .iter()
            .map(|known| (&known.id, known.name.as_str()))
    }

    /// The names, for suggestions.
    pub fn words(&self) -> Vec<&str> {
        self.iter().map(|(_, name)| name).collect()
    }

    /// Whether letters can stand for members without blanks in between.
    pub fn are_letters(&self) -> bool {
        self.iter().all(|(_, name)| name.chars().count() == 1)
    }
}

fn owners(known: &[Known], word: &str) -> usize {
    let has = |k: &&Known| k.also.iter().any(|w| w == word);
    known.iter().filter(has).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::members::testing::member;

    #[test]
    fn members_have_the_shortest_name_that_is_no_others() {
        let mut members = ["a:1", "a:80", "c"].map(member);
        for (member, (host, port)) in members.iter_mut().zip([("a", 1), ("a", 80), ("c", 80)]) {
            (member.host, member.port) = (host.into(), port);
            member.route.clear();
        }
        members[2].route = "w3".into();
        let names = Names::of(&members);
        assert_eq!(names.words(), ["a:1", "a:80", "w3"]);
        assert_eq!(names.find("a"), None, "two are called so");
        assert_eq!(names.find("c"), names.find("w3"));
        assert_eq!(names.name(&members[0].id), "a:1");
    }
}
