//! From nothing to the last word.

use std::{
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::{
    member::cluster,
    scenes,
    screen::Screen,
    site::Site,
    stage::Stage,
    traffic::{Count, Traffic},
};
use crate::{
    gateway::Gateway,
    guests, interrupt,
    stamp::Stamped,
    workspace::{self, Profile},
};

/// Background users: enough that a killed member and a swap always meet requests under way.
const USERS: usize = 4;
/// Between two versions of the policy once all scenes were shown.
const SWAP_EVERY: Duration = Duration::from_secs(5);

/// How long it lasts.
#[derive(Debug, Args)]
pub struct Options {
    /// Run through once; exit 0 only if all of it held
    #[arg(long)]
    once: bool,
    /// Show an optimised build
    #[arg(long)]
    release: bool,
}

impl Options {
    /// Through once, as a test.
    pub fn once() -> Self {
        Self {
            once: true,
            release: false,
        }
    }
}

/// Builds, starts, shows and puts everything away.
pub fn run(options: &Options) -> Result<()> {
    let screen = Screen::new();
    screen.title("Building guests and gateway");
    let toolchain = guests::find()?;
    let program = workspace::gateway(if options.release {
        Profile::Release
    } else {
        Profile::Dev
    })?;
    let stamped = Stamped::build(&toolchain)?;

    interrupt::catch();
    let members = cluster(3).context("cannot start the sample members")?;
    let site = Site::new(&members, stamped)?;
    let gateway = Gateway::start(&program, &site.config(), None, &[])?;
    screen.title("The gateway runs");
    screen.line(&format!(
        "http://{}/shop/count  (its folder: {})",
        gateway.address,
        site.path().display()
    ));
    for member in &members {
        screen.line(&format!(
            "{} is http://{}/Test",
            member.name, member.address
        ));
    }

    let count = Arc::new(Count::default());
    let mut stage = Stage {
        screen,
        gateway: gateway.address,
        members,
        site,
        count: Arc::clone(&count),
        broken: Vec::new(),
    };
    let traffic = Traffic::start(USERS, gateway.address, "/shop/count", &count);
    show(&mut stage, options.once)?;
    if !options.once && !interrupt::asked() {
        linger(&stage)?;
    }
    drop(traffic);

    screen.title("In all");
    let (sent, failed) = (
        count.sent.load(Ordering::Relaxed),
        count.failed.load(Ordering::Relaxed),
    );
    stage.check(failed == 0, &format!("{sent} requests, {failed} failed"));
    if let Some(failure) = count.first_failure() {
        screen.line(&format!("the first: {failure}"));
    }
    let stopped = gateway.stop();
    let reason = stopped
        .as_ref()
        .err()
        .map(|cause| format!(": {cause}"))
        .unwrap_or_default();
    stage.check(
        stopped.is_ok(),
        &format!("the gateway drained and ended in order{reason}"),
    );
    match stage.broken.len() {
        0 => Ok(()),
        broken => bail!(
            "{broken} of what was shown did not hold:\n  {}",
            stage.broken.join("\n  ")
        ),
    }
}

fn show(stage: &mut Stage, once: bool) -> Result<()> {
    for (number, (title, scene)) in scenes::ALL.iter().enumerate() {
        if interrupt::asked() {
            let left = scenes::ALL.len() - number;
            stage.check(!once, &format!("interrupted, {left} scenes left"));
            break;
        }
        stage.screen.title(&format!("{}. {title}", number + 1));
        // A scene that breaks off does not hide the others.
        if let Err(cause) = scene(stage) {
            stage.check(false, &format!("{title}: broke off: {cause:#}"));
        }
    }
    Ok(())
}

/// Goes on until Ctrl-C, with a new version of the policy now and then.
fn linger(stage: &Stage) -> Result<()> {
    stage
        .screen
        .title("It goes on until Ctrl-C, with a new version of the policy every 5 s");
    let mut version = 6;
    let mut swapped = Instant::now();
    let mut last = stage.count.sent.load(Ordering::Relaxed);
    while !interrupt::asked() {
        let second = Instant::now();
        while second.elapsed() < Duration::from_secs(1) && !interrupt::asked() {
            thread::sleep(Duration::from_millis(50));
        }
        if swapped.elapsed() >= SWAP_EVERY {
            version += 1;
            stage.site.version(version)?;
            swapped = Instant::now();
        }
        let sent = stage.count.sent.load(Ordering::Relaxed);
        let failed = stage.count.failed.load(Ordering::Relaxed);
        stage.screen.status(&format!(
            "{sent} requests ({} a second), {failed} failed, policy version {version}",
            sent - last
        ));
        last = sent;
    }
    Ok(())
}
