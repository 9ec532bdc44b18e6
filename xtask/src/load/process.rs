//! What processes use: processor time, memory; and where they run.

use std::{collections::BTreeMap, fs, io, mem, time::Duration};

/// Processor time of a process and all its descendants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// In user mode, in ticks of 10 ms.
    pub user: Duration,
    /// In the kernel, likewise.
    pub system: Duration,
    /// Both together, to the nanosecond, but without those that ended.
    exact: Duration,
}

/// Two ticks for each of two readings, and as much again: what counting in ticks may add.
const ROUNDING: Duration = Duration::from_millis(80);

impl Usage {
    /// Up to now, of `root`, whoever it started and still runs, and those of them that ended and were waited for.
    pub fn of(root: u32) -> io::Result<Self> {
        let stats = all()?;
        let mut used = Self::default();
        let mut open = vec![root];
        while let Some(pid) = open.pop() {
            let Some(stat) = stats.get(&pid) else {
                continue;
            };
            used.user += ticks(stat.user);
            used.system += ticks(stat.system);
            used.exact += clock(pid).unwrap_or_default();
            open.extend(
                stats
                    .iter()
                    .filter(|(_, other)| other.parent == pid)
                    .map(|(pid, _)| *pid),
            );
        }
        Ok(used)
    }

    /// What was used since.
    pub fn since(self, before: Self) -> Self {
        Self {
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
            exact: self.exact.saturating_sub(before.exact),
        }
    }

    /// User and system, as exactly as the kernel knows.
    pub fn total(self) -> Duration {
        let ticks = self.user + self.system;
        // More than rounding: somebody ended and is known by ticks alone.
        match ticks > self.exact + ROUNDING {
            true => ticks,
            false => self.exact,
        }
    }

    /// The share of user mode, 0 to 1.
    pub fn user_share(self) -> f64 {
        let ticks = (self.user + self.system).as_secs_f64();
        self.user.as_secs_f64() / ticks.max(f64::MIN_POSITIVE)
    }
}

/// `root` and whoever it started and still runs.
pub fn family(root: u32) -> io::Result<Vec<u32>> {
    Ok(descent(root, &all()?))
}

fn descent(root: u32, stats: &BTreeMap<u32, Stat>) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(
            stats
                .iter()
                .filter(|(_, stat)| stat.parent == parent)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    found
}

/// Files that a thousand members and some thousand idle connections need.
const FILES: libc::rlim_t = 100_000;

/// Lets this process and those it starts open as many files as the system permits.
pub fn raise_file_limit() -> io::Result<()> {
    // SAFETY: the kernel fills the structure it is given.
    unsafe {
        let mut limit: libc::rlimit = mem::zeroed();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) != 0 {
            return Err(io::Error::last_os_error());
        }
        // Root may go beyond its limit; for others this fails and changes nothing.
        let beyond = libc::rlimit {
            rlim_cur: limit.rlim_max.max(FILES),
            rlim_max: limit.rlim_max.max(FILES),
        };
        if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const beyond) == 0 {
            return Ok(());
        }
        limit.rlim_cur = limit.rlim_max;
        match libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Resident memory of a process, in bytes.
pub fn resident(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| {
        line.trim()
            .trim_end_matches("kB")
            .trim()
            .parse::<u64>()
            .ok()
    });
    kilobytes
        .map(|kilobytes| kilobytes * 1024)
        .ok_or_else(|| io::Error::other("the process has no memory: it ended"))
}

/// File descriptors that a process has open.
pub fn descriptors(pid: u32) -> io::Result<u64> {
    entries(pid, "fd")
}

/// Its threads.
pub fn threads(pid: u32) -> io::Result<u64> {
    entries(pid, "task")
}

fn entries(pid: u32, folder: &str) -> io::Result<u64> {
    Ok(fs::read_dir(format!("/proc/{pid}/{folder}"))?.count() as u64)
}

/// Cores that this process may use.
pub fn cores() -> io::Result<Vec<usize>> {
    // SAFETY: a set of zero bits is a valid, empty set, and the kernel fills at most its size.
    unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        if libc::sched_getaffinity(0, mem::size_of_val(&set), &raw mut set) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok((0..libc::CPU_SETSIZE.cast_unsigned() as usize)
            .filter(|core| libc::CPU_ISSET(*core, &set))
            .collect())
    }
}

/// Keeps the calling thread, and whoever it starts from now on, on these cores; none = where it is.
pub fn pin(cores: &[usize]) -> io::Result<()> {
    if cores.is_empty() {
        return Ok(());
    }
    // SAFETY: as above; the cores come from `cores`, so they lie within the set.
    unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        for core in cores {
            libc::CPU_SET(*core, &mut set);
        }
        match libc::sched_setaffinity(0, mem::size_of_val(&set), &raw const set) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Processor time of all threads that a process has or had.
fn clock(pid: u32) -> Option<Duration> {
    let mut id = 0;
    // SAFETY: asks for the name of a clock and then for its time; both are written to what lives here.
    let time = unsafe {
        let mut time: libc::timespec = mem::zeroed();
        if libc::clock_getcpuclockid(pid.cast_signed(), &raw mut id) != 0
            || libc::clock_gettime(id, &raw mut time) != 0
        {
            return None;
        }
        time
    };
    let seconds = u64::try_from(time.tv_sec).ok()?;
    Some(Duration::new(seconds, u32::try_from(time.tv_nsec).ok()?))
}

struct Stat {
    parent: u32,
    /// Ticks, with those of children that were waited for.
    user: u64,
    /// Likewise.
    system: u64,
}

fn all() -> io::Result<BTreeMap<u32, Stat>> {
    let mut stats = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // A process may end between the listing and the look.
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        if let Some(stat) = parse(&text) {
            stats.insert(pid, stat);
        }
    }
    Ok(stats)
}

/// proc(5): the name stands in parentheses and may hold any byte, so fields are counted after the last of them.
fn parse(text: &str) -> Option<Stat> {
    let fields: Vec<_> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |field: usize| fields.get(field)?.parse::<u64>().ok();
    Some(Stat {
        parent: u32::try_from(number(1)?).ok()?,
        user: number(11)? + number(13)?,
        system: number(12)? + number(14)?,
    })
}

fn ticks(count: u64) -> Duration {
    // SAFETY: asks for a constant of the system.
    let a_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    Duration::from_secs_f64(count as f64 / a_second.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_parentheses_do_not_shift_fields() {
        let stat = parse("17 (a) b (c)) S 4 17 17 0 -1 4194304 1 0 0 0 250 31 9 8 20 0 1 0 5 0 0")
            .unwrap();
        assert_eq!((stat.parent, stat.user, stat.system), (4, 259, 39));
        assert!(parse("17 (a").is_none());
    }

    #[test]
    fn our_own_use_rises_with_work() {
        let own = std::process::id();
        let before = Usage::of(own).unwrap();
        let mut sum = 0u64;
        while Usage::of(own).unwrap().since(before).total() < Duration::from_millis(20) {
            sum = (0..1_000_000u64).fold(sum, |sum, value| {
                std::hint::black_box(sum.wrapping_mul(31) ^ value)
            });
        }
        let used = Usage::of(own).unwrap().since(before);
        assert!((0.0..=1.0).contains(&used.user_share()), "{used:?}");
        assert!(resident(own).unwrap() > 100 * 1024);
    }

    #[test]
    fn who_ended_is_counted_in_ticks() {
        let ms = Duration::from_millis;
        let used = |ticks, exact| Usage {
            user: ms(ticks),
            system: ms(0),
            exact: ms(exact),
        };
        assert_eq!(used(1_010, 1_003).total(), ms(1_003));
        assert_eq!(used(1_500, 1_003).total(), ms(1_500));
    }

    #[test]
    fn there_is_a_core_to_run_on() {
        let all = cores().unwrap();
        assert!(!all.is_empty());
        let first = all[0];
        std::thread::spawn(move || {
            pin(&[first]).unwrap();
            assert_eq!(cores().unwrap(), [first]);
        })
        .join()
        .unwrap();
    }
}
