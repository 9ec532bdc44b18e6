//! Whose policy is compiled next.
//!
//! Built-in policies go first: without them there is no gateway. After them the
//! tenants take turns, each with its oldest wish: one that replaces its policies
//! all the time waits for itself and not before the others.
//!
//!     waiting: a1 a2 a3 b1, built-in x | order: x a1 b1 a2 a3
//!
//! A turn is at most as long as the bounds of the one who has it (the compile
//! process is ended then), so nobody holds the others up for longer than that.

use std::{
    collections::HashMap,
    num::NonZero,
    sync::{Condvar, Mutex, PoisonError},
    thread,
};

use crate::policy::Client;

/// The queue before the compiler.
#[derive(Debug)]
pub(super) struct Queue {
    line: Mutex<Line>,
    moved: Condvar,
}

/// Who waits and who is served.
#[derive(Debug, Default)]
struct Line {
    /// Compile processes at one time.
    places: usize,
    served: Vec<Lane>,
    waiting: Vec<(u64, Lane)>,
    /// Next number to hand out.
    next: u64,
    /// The turn in which each tenant was served last; empty whenever nobody waits.
    turns: HashMap<Lane, u64>,
    turn: u64,
}

/// Where one waits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Lane {
    BuiltIn,
    Tenant(String),
}

impl Lane {
    fn of(client: &Client<'_>) -> Self {
        match client.built_in {
            true => Self::BuiltIn,
            false => Self::Tenant(client.tenant.to_owned()),
        }
    }
}

impl Default for Queue {
    /// Two places where there are more than two processors, so that one tenant's slow module
    /// is not in the way of another's quick one; never two for the same tenant. On fewer
    /// the second process would only take from the workers.
    fn default() -> Self {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        Self::with(if processors > 2 { 2 } else { 1 })
    }
}

impl Queue {
    /// With so many places.
    fn with(places: usize) -> Self {
        Self {
            line: Mutex::new(Line {
                places,
                ..Line::default()
            }),
            moved: Condvar::new(),
        }
    }

    /// Runs `work` when it is the client's turn.
    pub(super) fn run<R>(&self, client: &Client<'_>, work: impl FnOnce() -> R) -> R {
        struct Served<'a>(&'a Queue, Lane);
        impl Drop for Served<'_> {
            fn drop(&mut self) {
                let mut line = self.0.line.lock().unwrap_or_else(PoisonError::into_inner);
                line.leave(&self.1);
                drop(line);
                self.0.moved.notify_all();
            }
        }
        let lane = Lane::of(client);
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let number = line.join(lane.clone());
        while !line.enter(number) {
            line = self
                .moved
                .wait(line)
                .unwrap_or_else(PoisonError::into_inner);
        }
        drop(line);
        // Another place may be free for who is next now.
        self.moved.notify_all();
        let _served = Served(self, lane);
        work()
    }
}

impl Line {
    fn join(&mut self, lane: Lane) -> u64 {
        let number = self.next;
        self.next += 1;
        self.waiting.push((number, lane));
        number
    }

    /// Whether `number` is served from now on.
    fn enter(&mut self, number: u64) -> bool {
        if self.first() != Some(number) {
            return false;
        }
        let at = self.waiting.iter().position(|(other, _)| *other == number);
        let Some(at) = at else { return false };
        let (_, lane) = self.waiting.remove(at);
        self.turn += 1;
        self.turns.insert(lane.clone(), self.turn);
        if self.waiting.is_empty() {
            // With nobody to compare, who was served when means nothing any more.
            self.turns.retain(|other, _| *other == lane);
        }
        self.served.push(lane);
        true
    }

    /// Who may be served now.
    fn first(&self) -> Option<u64> {
        if self.served.len() >= self.places {
            return None;
        }
        let free = |lane: &Lane| *lane == Lane::BuiltIn || !self.served.contains(lane);
        let waiting = self.waiting.iter().filter(|(_, lane)| free(lane));
        let first = waiting.min_by_key(|(number, lane)| {
            let turn = self.turns.get(lane).copied().unwrap_or(0);
            (*lane != Lane::BuiltIn, turn, *number)
        });
        first.map(|(number, _)| *number)
    }

    fn leave(&mut self, lane: &Lane) {
        if let Some(at) = self.served.iter().position(|served| served == lane) {
            self.served.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn tenant(name: &str) -> Lane {
        Lane::Tenant(name.to_owned())
    }

    /// The order in which all are served who are in line now, one after the other.
    fn order(line: &mut Line) -> Vec<u64> {
        let mut order = Vec::new();
        while let Some(number) = line.first() {
            let lane = line.waiting.iter().find(|(n, _)| *n == number).unwrap();
            let lane = lane.1.clone();
            assert!(line.enter(number));
            line.leave(&lane);
            order.push(number);
        }
        order
    }

    fn line(places: usize) -> Line {
        Line {
            places,
            ..Line::default()
        }
    }

    #[test]
    fn built_ins_go_first_and_tenants_take_turns() {
        let mut line = line(1);
        for lane in [tenant("a"), tenant("a"), tenant("a"), tenant("b")] {
            line.join(lane);
        }
        line.join(Lane::BuiltIn);
        line.join(tenant("c"));
        assert_eq!(order(&mut line), [4, 0, 3, 5, 1, 2]);
        assert!(line.turns.len() <= 1, "{:?}", line.turns);
    }

    #[test]
    fn who_was_served_waits_for_who_was_not() {
        let mut line = line(1);
        let first = line.join(tenant("busy"));
        assert!(line.enter(first));
        // While that is compiled, it comes with more, and somebody else comes at last.
        let more = [line.join(tenant("busy")), line.join(tenant("busy"))];
        let other = line.join(tenant("other"));
        assert_eq!(line.first(), None, "one place");
        line.leave(&tenant("busy"));
        assert_eq!(order(&mut line), [other, more[0], more[1]]);
    }

    #[test]
    fn a_second_place_is_for_another_tenant() {
        let mut line = line(2);
        let numbers: Vec<u64> = ["a", "a", "b"].map(|n| line.join(tenant(n))).into();
        assert!(line.enter(numbers[0]));
        assert!(!line.enter(numbers[1]), "the same tenant's");
        assert!(line.enter(numbers[2]));
        line.leave(&tenant("a"));
        assert!(line.enter(numbers[1]));
    }

    #[test]
    fn everybody_is_served_in_the_end() {
        let queue = Queue::with(2);
        let (done, results) = mpsc::channel();
        thread::scope(|scope| {
            for at in 0..30_u32 {
                let (queue, done) = (&queue, done.clone());
                scope.spawn(move || {
                    let tenant = format!("tenant-{}", at % 3);
                    let client = Client {
                        tenant: &tenant,
                        name: "p",
                        built_in: at % 5 == 0,
                    };
                    queue.run(&client, || done.send(at).unwrap());
                });
            }
        });
        drop(done);
        let mut all: Vec<u32> = results.iter().collect();
        all.sort_unstable();
        assert_eq!(all, (0..30).collect::<Vec<_>>());
    }
}
