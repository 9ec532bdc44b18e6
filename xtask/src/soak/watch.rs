//! Which version served what.

use std::collections::{BTreeMap, HashMap};

/// What the answers say about versions.
#[derive(Debug, Default)]
pub struct Watch {
    /// Requests by stamp.
    pub served: BTreeMap<String, u64>,
    /// Answers without a stamp.
    pub unnamed: u64,
    /// Per connection: its last stamp, and how often it changed.
    connections: HashMap<usize, (String, u64)>,
}

impl Watch {
    /// Notes an answer.
    pub fn note(&mut self, connection: usize, stamp: Option<&[u8]>) {
        let Some(stamp) = stamp.and_then(|stamp| std::str::from_utf8(stamp).ok()) else {
            self.unnamed += 1;
            return;
        };
        match self.served.get_mut(stamp) {
            Some(count) => *count += 1,
            None => drop(self.served.insert(stamp.to_owned(), 1)),
        }
        match self.connections.get_mut(&connection) {
            Some((last, _)) if last == stamp => {}
            Some((last, changes)) => {
                stamp.clone_into(last);
                *changes += 1;
            }
            None => drop(self.connections.insert(connection, (stamp.to_owned(), 0))),
        }
    }

    /// Swaps that were seen from outside: how often the version changed on the connection that saw most of
    /// them. One connection belongs to one worker, so no swap is counted twice.
    pub fn swaps(&self) -> u64 {
        self.connections
            .values()
            .map(|(_, changes)| *changes)
            .max()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swap_is_a_change_on_one_connection() {
        let mut watch = Watch::default();
        for (connection, stamp) in [
            (0, "a"),
            (1, "b"),
            (0, "a"),
            (1, "b"),
            (0, "b"),
            (0, "c"),
            (1, "c"),
        ] {
            watch.note(connection, Some(stamp.as_bytes()));
        }
        assert_eq!(watch.swaps(), 2);
        assert_eq!(
            watch.served,
            BTreeMap::from([("a".into(), 2), ("b".into(), 3), ("c".into(), 2)])
        );
    }

    #[test]
    fn answers_without_a_stamp_are_counted() {
        let mut watch = Watch::default();
        watch.note(0, None);
        watch.note(0, Some(b"\xff"));
        assert_eq!((watch.unnamed, watch.swaps()), (2, 0));
    }
}
