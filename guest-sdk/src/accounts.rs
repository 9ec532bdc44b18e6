//! Smooth weighted round robin: the schedule of `byrequests` and `bybusyness`.
//!
//! Each round every candidate is paid its weight; the richest serves and pays back
//! the sum of all payments, so the accounts always add up to what they did before.
//!
//! ```text
//! weights a=2 b=1 | round 1: a+2 b+1 -> a serves (-1, 1)
//!                 | round 2: a=1 b=2 -> b serves ( 1,-1)
//!                 | round 3: a=3 b=0 -> a serves ( 0, 0)   schedule: a b a
//! ```
//!
//! Only candidates are paid: a member that is down keeps its account as it was, and
//! neither catches up nor starts over when it returns.

use crate::{Member, json::decimal};

/// First line of a saved state; another number is another format.
const HEADER: &str = "accounts 1";

/// An account for each member, kept by member id over changes of the pool.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    ids: Vec<String>,
    balances: Vec<i64>,
    restored: Vec<(String, i64)>,
}

impl Accounts {
    /// Aligns the accounts with the pool: members that stay keep theirs, new ones
    /// begin at 0.
    pub fn members_changed(&mut self, members: Vec<Member>) {
        let before: Vec<_> = std::mem::take(&mut self.ids)
            .into_iter()
            .zip(std::mem::take(&mut self.balances))
            .chain(std::mem::take(&mut self.restored))
            .collect();
        for member in members {
            let account = before.iter().find(|(id, _)| *id == member.id);
            self.balances
                .push(account.map_or(0, |(_, balance)| *balance));
            self.ids.push(member.id);
        }
    }

    /// Plays one round among `candidates` (index, weight). Among those of the least
    /// `rank` the richest serves, among equals the one offered first.
    pub fn serve(
        &mut self,
        candidates: impl Iterator<Item = (usize, u32)>,
        rank: impl Fn(usize) -> u32,
    ) -> Option<usize> {
        let mut total = 0;
        let mut best: Option<(usize, u32, i64)> = None;
        for (index, weight) in candidates {
            let Some(balance) = self.balances.get_mut(index) else {
                continue;
            };
            let weight = i64::from(weight);
            *balance += weight;
            total += weight;
            let (rank, balance) = (rank(index), *balance);
            let wins = match best {
                None => true,
                Some((_, least, most)) => rank < least || (rank == least && balance > most),
            };
            if wins {
                best = Some((index, rank, balance));
            }
        }
        let (index, ..) = best?;
        *self.balances.get_mut(index)? -= total;
        Some(index)
    }

    /// How member `index` stands, in hundredths of a request.
    pub fn balance(&self, index: usize) -> Option<i64> {
        self.balances.get(index).copied()
    }

    /// For [`Handoff::save`](crate::Handoff::save).
    pub fn save(&self) -> Vec<u8> {
        let mut text = String::from(HEADER);
        let live = self.ids.iter().zip(&self.balances);
        let waiting = self.restored.iter().map(|(id, balance)| (id, balance));
        for (id, balance) in live.chain(waiting) {
            text.push_str(if *balance < 0 { "\n-" } else { "\n" });
            text.push_str(&decimal(balance.unsigned_abs()));
            text.push(' ');
            text.push_str(id);
        }
        text.into_bytes()
    }

    /// For [`Handoff::restore`](crate::Handoff::restore): what several instances
    /// owed is added up. Nothing changes where one state is not ours.
    pub fn restore(&mut self, states: &[Vec<u8>]) -> Result<(), String> {
        let mut restored: Vec<(String, i64)> = Vec::new();
        for state in states {
            for (id, balance) in read(state).ok_or("the state is not one of `accounts 1`")? {
                match restored.iter_mut().find(|(known, _)| known == id) {
                    Some((_, sum)) => *sum = sum.saturating_add(balance),
                    None => restored.push((id.to_owned(), balance)),
                }
            }
        }
        self.restored = restored;
        Ok(())
    }
}

fn read(state: &[u8]) -> Option<Vec<(&str, i64)>> {
    let mut lines = std::str::from_utf8(state).ok()?.split('\n');
    if lines.next() != Some(HEADER) {
        return None;
    }
    // Far beyond any real account, and far from overflow.
    let sane = |balance: &i64| balance.unsigned_abs() < 1 << 48;
    lines
        .map(|line| {
            let (balance, id) = line.split_once(' ')?;
            Some((id, balance.parse().ok().filter(sane)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::member;

    fn pool(ids: &str) -> Vec<Member> {
        ids.chars().map(|id| member(&id.to_string(), "")).collect()
    }

    fn rounds(accounts: &mut Accounts, weights: &[u32], count: usize) -> String {
        let round = |_| {
            let candidates = weights.iter().copied().enumerate();
            let index = accounts.serve(candidates, |_| 0).unwrap();
            char::from(b'a' + index as u8)
        };
        (0..count).map(round).collect()
    }

    #[test]
    fn the_worked_example_holds() {
        let mut accounts = Accounts::default();
        accounts.members_changed(pool("ab"));
        assert_eq!(rounds(&mut accounts, &[200, 100], 6), "abaaba");
        assert_eq!(
            (accounts.balance(0), accounts.balance(1)),
            (Some(0), Some(0))
        );
        assert_eq!(accounts.balance(2), None);
    }

    #[test]
    fn nobody_serves_where_nobody_can() {
        let mut accounts = Accounts::default();
        assert_eq!(accounts.serve([].into_iter(), |_| 0), None);
        // A candidate beyond the pool is a host's mistake, not ours to trap on.
        assert_eq!(accounts.serve([(7, 100)].into_iter(), |_| 0), None);
    }

    #[test]
    fn accounts_follow_their_members_through_a_change() {
        let mut accounts = Accounts::default();
        accounts.members_changed(pool("abc"));
        rounds(&mut accounts, &[100, 100, 100], 1);
        accounts.members_changed(pool("cxa"));
        assert_eq!(accounts.balances, [100, 0, -200]);
    }

    #[test]
    fn a_saved_cycle_goes_on_where_it_was() {
        let weights = [100, 200, 300];
        let mut whole = Accounts::default();
        whole.members_changed(pool("abc"));
        let expected = rounds(&mut whole, &weights, 20);
        for cut in 0..20 {
            let mut old = Accounts::default();
            old.members_changed(pool("abc"));
            let mut got = rounds(&mut old, &weights, cut);
            let mut new = Accounts::default();
            new.restore(&[old.save()]).unwrap();
            // Saved again before the members came: nothing is lost.
            let mut newer = Accounts::default();
            newer.restore(&[new.save()]).unwrap();
            newer.members_changed(pool("abc"));
            got += &rounds(&mut newer, &weights, 20 - cut);
            assert_eq!(got, expected, "cut at {cut}");
        }
    }

    #[test]
    fn states_of_several_instances_are_added_up() {
        let mut accounts = Accounts::default();
        let states = [
            b"accounts 1\n5 a\n-5 b".to_vec(),
            b"accounts 1\n2 a".to_vec(),
        ];
        accounts.restore(&states).unwrap();
        accounts.members_changed(pool("ab"));
        assert_eq!(accounts.balances, [7, -5]);
    }

    #[test]
    fn a_foreign_state_is_refused_and_changes_nothing() {
        let foreign: [&[u8]; 6] = [
            b"",
            b"accounts 2\n1 a",
            b"\xff",
            b"accounts 1\nx a",
            b"accounts 1\n1",
            b"accounts 1\n9223372036854775807 a",
        ];
        for state in foreign {
            let mut accounts = Accounts::default();
            accounts.restore(&[b"accounts 1\n3 a".to_vec()]).unwrap();
            assert!(accounts.restore(&[state.to_vec()]).is_err(), "{state:?}");
            accounts.members_changed(pool("a"));
            assert_eq!(accounts.balances, [3]);
        }
    }
}
