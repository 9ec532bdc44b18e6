//! One variant from its members to its outcome.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::{
    calls::{self, Calls, Sent},
    evidence,
    front::{Front, Site},
    measure::{self, Load, Turn},
    options::Options,
    outcome::{BESIDE, Discipline, Measured, OURS, Outcome, Pace},
    peers::Peer,
    switchyard,
    variant::{Setup, Variant},
    work,
};
use crate::load::Origin;

/// The peer at whose half rate all are measured.
pub const PACEMAKER: &str = "nginx";
/// Idle connections that are opened to see what one costs, where the variant has none.
const IDLE: usize = 1_000;

/// What all variants share.
pub struct Stage<'a> {
    /// As asked for.
    pub options: &'a Options,
    /// The other programs that take part.
    pub peers: &'a [Peer],
    /// Our gateway, and further builds of it.
    pub gateways: &'a [PathBuf],
    /// The built-in policies as files.
    pub policies: &'a Path,
    /// Cores of the fronts with one worker, with more, and of the members.
    pub cores: Cores,
    /// For everything that goes away.
    pub folder: &'a Path,
    /// For what fronts said that failed.
    pub failed: &'a Path,
}

/// Who works where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cores {
    /// A front with one worker.
    pub one: Vec<usize>,
    /// A front with two.
    pub two: Vec<usize>,
    /// The client.
    pub client: Vec<usize>,
    /// The members.
    pub origin: Vec<usize>,
}

impl Cores {
    /// Shares those that there are: with fewer than four, whoever comes later shares with the client.
    pub fn share(all: &[usize]) -> Result<Self> {
        let [first, rest @ ..] = all else {
            bail!("this process may use no core")
        };
        // With one core all share it, and the turns are still comparable.
        let last = rest.last().unwrap_or(first);
        let second = rest.first().unwrap_or(first);
        let before_last = match rest {
            [_, .., origin, _] => origin,
            _ => last,
        };
        let mut two = vec![*first, *second];
        two.dedup();
        Ok(Self {
            one: vec![*first],
            two,
            client: vec![*last],
            origin: vec![*before_last],
        })
    }
}

impl Cores {
    /// Whether a front with so many workers has a core for each, and shares none.
    fn are_free(&self, workers: usize) -> bool {
        let shared = |core| self.client.contains(core) || self.origin.contains(core);
        match workers {
            1 => !self.one.iter().any(shared),
            _ => self.two.len() == workers && !self.two.iter().any(shared),
        }
    }
}

struct Running {
    /// Its key.
    variant: &'static str,
    front: Front,
    load: Load,
    measured: Measured,
    before: Option<Calls>,
}

impl Running {
    fn turn(&mut self, stage: &Stage<'_>, time: Duration, rate: Option<u32>) -> Result<Turn> {
        let turn = measure::turn(&self.front, &mut self.load, time, rate);
        self.kept(stage, turn)
    }

    /// Keeps what the front said, where it failed.
    fn kept<T>(&mut self, stage: &Stage<'_>, result: Result<T>) -> Result<T> {
        evidence::kept(&mut self.front, stage.failed, self.variant, result)
    }
}

/// Measures one variant.
pub fn play(stage: &Stage<'_>, variant: &'static Variant) -> Result<Outcome> {
    println!("\n{}: {}", variant.key, variant.says);
    let origin = Origin::with(variant.members, variant.answer, &stage.cores.origin)?;
    let folder = stage.folder.join(variant.key);
    make(&folder)?;
    let mut running = Vec::new();
    for front in fronts(stage, variant, &origin, &folder)? {
        running.push(prepare(stage, front, variant)?);
    }
    let reference = reference(stage.options, variant, &running)?;
    let pace = warm_up(stage, &mut running, reference)?;
    rounds(stage, &mut running, pace.rate)?;
    for one in &mut running {
        let proved = prove(one);
        one.measured.calls = one.kept(stage, proved)?;
    }
    Ok(Outcome {
        variant,
        pace,
        fronts: running.into_iter().map(|one| one.measured).collect(),
        reference,
        cores_are_free: stage.cores.are_free(variant.workers),
    })
}

/// That its policies did the work, in words; `None` where it tells nothing of them.
fn prove(one: &mut Running) -> Result<Option<String>> {
    one.measured.memory_after = measure::memory(&one.front)?;
    let (Some(setup), Some(admin), Some(before)) = (one.front.setup, one.front.admin, &one.before)
    else {
        return Ok(None);
    };
    let calls = calls::read(&one.front, admin)?.since(before);
    calls::prove(setup, &calls, &one.load.requests, &one.load.sent)
        .map(Some)
        .with_context(|| format!("{}'s policies did not do the work", one.front.name))
}

/// A folder that programs which give up root still reach.
fn make(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn fronts(
    stage: &Stage<'_>,
    variant: &Variant,
    origin: &Origin,
    folder: &Path,
) -> Result<Vec<Front>> {
    let site = |name: &str, workers: usize| -> Result<Site> {
        let folder = folder.join(name);
        make(&folder)?;
        Ok(Site {
            folder,
            members: origin.addresses.clone(),
            cores: match workers {
                1 => stage.cores.one.clone(),
                _ => stage.cores.two.clone(),
            },
            workers,
            access_log: variant.access_log,
        })
    };
    let own = |key: &str, name: &str, program: &Path, setup: Setup, workers: usize| {
        let site = site(key, workers)?;
        switchyard::start(&site, key, name, program, setup, stage.policies)
    };
    let mut fronts = Vec::new();
    for (number, program) in stage.gateways.iter().enumerate() {
        let (key, name) = match number {
            0 => (OURS.to_owned(), "Switchyard".to_owned()),
            _ => (format!("build-{number}"), format!("Build {number}")),
        };
        fronts.push(own(&key, &name, program, variant.setup, variant.workers)?);
        if let (0, Some(beside)) = (number, variant.beside) {
            let name = format!("Switchyard, {}", beside.says);
            fronts.push(own(BESIDE, &name, program, beside.setup, beside.workers)?);
        }
    }
    for peer in stage.peers.iter().filter(|_| variant.peers) {
        match peer.objection(variant) {
            Some(why) => println!("{} is left out of {}: {why}", peer.name(), variant.key),
            None => fronts.push(peer.start(&site(peer.key(), variant.workers)?)?),
        }
    }
    Ok(fronts)
}

/// Checks what a front answers and looks at what it takes before the load.
fn prepare(stage: &Stage<'_>, mut front: Front, variant: &'static Variant) -> Result<Running> {
    let looked = look(&front, variant);
    let (load, measured, before) = evidence::kept(&mut front, stage.failed, variant.key, looked)?;
    Ok(Running {
        variant: variant.key,
        front,
        load,
        measured,
        before,
    })
}

fn look(front: &Front, variant: &Variant) -> Result<(Load, Measured, Option<Calls>)> {
    let memory = measure::memory(front)?;
    work::check(front, variant)?;
    let mut load = Load {
        requests: work::requests(variant, front.address),
        idle: variant.idle,
        workers: match front.key.as_str() {
            BESIDE => variant.beside.map_or(1, |beside| beside.workers),
            _ => variant.workers,
        },
        sent: Sent::default(),
    };
    let before = front
        .admin
        .map(|admin| calls::read(front, admin))
        .transpose()?;
    // Before the load, whose freed memory would hide what connections take.
    let idle_connection = match (variant.key, variant.idle) {
        ("200b", _) => Some(IDLE),
        (_, 0) => None,
        (_, idle) => Some(idle),
    };
    let idle_connection = idle_connection
        .map(|count| measure::idle_connection(front, &mut load, count))
        .transpose()?;
    let measured = Measured {
        key: front.key.clone(),
        name: front.name.clone(),
        version: front.version.clone(),
        lacks: front.lacks,
        saturated: Vec::new(),
        paced: Vec::new(),
        memory,
        memory_after: memory,
        idle_connection,
        calls: None,
    };
    Ok((load, measured, before))
}

/// The number of the front that the others are divided by.
fn reference(options: &Options, variant: &Variant, running: &[Running]) -> Result<usize> {
    let of = |key: &str| running.iter().position(|one| one.front.key == key);
    let key = match variant.peers {
        true => options.reference.as_str(),
        false => BESIDE,
    };
    if let Some(found) = of(key) {
        return Ok(found);
    }
    if key != PACEMAKER {
        let all: Vec<_> = running.iter().map(|one| one.front.key.as_str()).collect();
        bail!(
            "there is no front `{key}` to divide by; there are: {}",
            all.join(", ")
        );
    }
    println!("{PACEMAKER} is not there: the others are divided by Switchyard");
    Ok(0)
}

/// Lets every front work once, and finds the pace of the rounds.
fn warm_up(stage: &Stage<'_>, running: &mut [Running], reference: usize) -> Result<Pace> {
    for one in running.iter_mut() {
        one.turn(stage, Duration::from_secs(1), None)?;
    }
    if let Some(rate) = stage.options.rate {
        return Ok(Pace {
            rate,
            half_of: None,
        });
    }
    let leader = running
        .iter()
        .position(|one| one.front.key == PACEMAKER)
        .unwrap_or(reference);
    let one = &mut running[leader];
    let time = Duration::from_secs(stage.options.seconds);
    let mut most: f64 = 0.0;
    // The better of two: what disturbs it can only slow it.
    for _ in 0..2 {
        let turn = one.turn(stage, time, None)?;
        most = most.max(turn.rate);
    }
    let pace = Pace {
        rate: ((most / 2.0) as u32).max(1),
        half_of: Some(one.front.key.clone()),
    };
    println!(
        "All answers checked; {} rounds of twice {} s for each front: as many as it answers, then {} a second, half of {}'s {most:.0}",
        stage.options.rounds, stage.options.seconds, pace.rate, one.front.name
    );
    Ok(pace)
}

fn rounds(stage: &Stage<'_>, running: &mut [Running], rate: u32) -> Result<()> {
    let Options {
        rounds, seconds, ..
    } = stage.options;
    let time = Duration::from_secs(*seconds);
    for round in 1..=*rounds {
        let mut line = format!("round {round}/{rounds}:");
        for discipline in [Discipline::Saturated, Discipline::Paced] {
            for one in running.iter_mut() {
                let rate = match discipline {
                    Discipline::Saturated => None,
                    Discipline::Paced => Some(rate),
                };
                let turn = one.turn(stage, time, rate)?;
                line.push_str(&format!("  {} {:.1} us", one.front.key, turn.total()));
                if turn.failed > 0 {
                    line.push_str(&format!(" ({} failed)", turn.failed));
                }
                match discipline {
                    Discipline::Saturated => one.measured.saturated.push(turn),
                    Discipline::Paced => one.measured.paced.push(turn),
                }
            }
            if discipline == Discipline::Saturated {
                line.push_str("  |");
            }
        }
        println!("{line}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_shared_where_there_are_few() {
        let share = |count: usize| Cores::share(&(0..count).collect::<Vec<_>>()).unwrap();
        let cores = |one, two: &[usize], client, origin| Cores {
            one: vec![one],
            two: two.to_vec(),
            client: vec![client],
            origin: vec![origin],
        };
        assert_eq!(share(1), cores(0, &[0], 0, 0));
        assert_eq!(share(2), cores(0, &[0, 1], 1, 1));
        assert_eq!(share(3), cores(0, &[0, 1], 2, 2));
        assert_eq!(share(4), cores(0, &[0, 1], 3, 2));
        assert!(share(2).are_free(1) && !share(2).are_free(2));
        assert!(share(3).are_free(2) && !share(1).are_free(1));
        assert!(Cores::share(&[]).is_err());
    }
}
