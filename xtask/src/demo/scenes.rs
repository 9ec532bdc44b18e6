//! What is shown, one thing a scene.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{site::LOGO, stage::Stage};
use crate::{
    http::Client,
    stamp::{HEADER, Stamped},
};

/// A scene: its title, and what happens.
pub type Scene = (&'static str, fn(&mut Stage) -> Result<()>);

/// In the order in which they are shown.
pub const ALL: [Scene; 8] = [
    (
        "byrequests: members with load factors 1, 2 and 3",
        by_requests,
    ),
    (
        "bytraffic: worker1's answers are four times as long",
        by_traffic,
    ),
    ("bybusyness: worker1 takes ten times as long", by_busyness),
    ("A session stays with its member", session),
    ("Its member is killed while requests are under way", killed),
    ("A redirect and a page's links come back mapped", mapped),
    ("/images is served from disk", images),
    (
        "The policy's file is replaced while requests flow",
        replaced,
    ),
];

fn by_requests(stage: &mut Stage) -> Result<()> {
    let counts = stage.shares("/byrequests/plain", 1, 60)?.requests();
    stage.screen.bars(&counts);
    let counts: Vec<_> = counts.iter().map(|(_, count)| *count).collect();
    stage.check(
        counts == [10, 20, 30],
        "60 requests were shared 10 : 20 : 30",
    );
    Ok(())
}

fn by_traffic(stage: &mut Stage) -> Result<()> {
    let shares = stage.shares("/bytraffic/bytes", 1, 90)?;
    stage.screen.bars(&shares.requests());
    let bytes: Vec<_> = shares.bytes().iter().map(|(_, bytes)| *bytes).collect();
    let (least, most) = (
        bytes.iter().min().copied().unwrap_or(0),
        bytes.iter().max().copied().unwrap_or(0),
    );
    let kilobytes: Vec<_> = bytes
        .iter()
        .map(|bytes| (bytes / 1000).to_string())
        .collect();
    // One long answer more or less lies between them.
    stage.check(
        most - least <= 50_000,
        &format!(
            "each sent about as many bytes: {} kB",
            kilobytes.join(" : ")
        ),
    );
    Ok(())
}

fn by_busyness(stage: &mut Stage) -> Result<()> {
    let counts = stage.shares("/bybusyness/slow", 6, 180)?.requests();
    stage.screen.bars(&counts);
    let slow = counts.first().map_or(0, |(_, count)| *count);
    stage.check(
        slow > 0 && slow < 45,
        &format!("the slow member got {slow} of 180, not a third"),
    );
    Ok(())
}

fn session(stage: &mut Stage) -> Result<()> {
    let mut user = stage.user();
    let first = user.get(&stage.count, "/shop/count")?;
    let home = first
        .header("x-worker")
        .context("no member answered")?
        .to_owned();
    let cookie = first
        .header("set-cookie")
        .context("there is no session cookie")?
        .to_owned();
    stage.screen.line(&format!("Set-Cookie: {cookie}"));
    stage.check(
        cookie.contains("Path=/shop"),
        "its path was mapped from the members' /Test to /shop",
    );
    let mut strays = 0;
    let mut last = String::new();
    for _ in 0..20 {
        let answer = user.get(&stage.count, "/shop/count")?;
        strays += u32::from(answer.header("x-worker") != Some(home.as_str()));
        last = answer.text();
    }
    stage.check(
        strays == 0 && last == "21",
        &format!("21 requests of the session were answered by {home}"),
    );
    Ok(())
}

fn killed(stage: &mut Stage) -> Result<()> {
    let mut user = stage.user();
    let home = user
        .get(&stage.count, "/shop/count")?
        .header("x-worker")
        .context("no member answered")?
        .to_owned();
    let victim = stage
        .members
        .iter()
        .position(|member| member.name == home)
        .context("an unknown member answered")?;
    stage
        .screen
        .line(&format!("{} lives on {home}", user.session()));
    let failed = stage.count.failed.load(Ordering::Relaxed);
    stage.members[victim].kill();
    let answer = user.get(&stage.count, "/shop/count")?;
    let heir = answer.header("x-worker").unwrap_or("nobody").to_owned();
    stage.screen.line(&format!(
        "{home} killed; {heir} answers, the session is now {}",
        user.session()
    ));
    stage.check(
        heir != home && answer.text() == "2",
        "the session's next request was answered by another member",
    );

    stage.members[victim]
        .start()
        .context("the killed member cannot return to its address")?;
    let started = Instant::now();
    let count = std::sync::Arc::clone(&stage.count);
    let gateway = stage.gateway;
    let is_back = stage.wait(|| {
        let answer = count.get(&mut Client::new(gateway), "/shop/plain", &[])?;
        Ok(answer.header("x-worker") == Some(home.as_str()))
    })?;
    let took = started.elapsed();
    stage.check(
        is_back && took < Duration::from_secs(3),
        &format!(
            "{home} was restarted and serves again after {} ms",
            took.as_millis()
        ),
    );
    let failed = stage.count.failed.load(Ordering::Relaxed) - failed;
    stage.check(failed == 0, &format!("{failed} requests failed meanwhile"));
    Ok(())
}

fn mapped(stage: &mut Stage) -> Result<()> {
    let front = format!("http://{}/shop/plain", stage.gateway);
    let mut client = Client::new(stage.gateway);
    let redirect = stage.count.get(&mut client, "/shop/redirect", &[])?;
    let location = redirect.header("location").unwrap_or("none").to_owned();
    stage.screen.line(&format!("Location: {location}"));
    let is_mapped = location == front || location == "/shop/plain";
    stage.check(
        is_mapped,
        "a redirect to a member's own address leads to the gateway",
    );
    let page = stage.count.get(&mut client, "/shop/page", &[])?.text();
    stage.screen.line(&page);
    let own = page.contains(&format!("href=\"{front}\"")) || page.contains("href=\"/shop/plain\"");
    stage.check(own, "so does a link in a page");
    stage.check(
        page.contains("http://example.org/Test/plain"),
        "a foreign link is left alone",
    );
    Ok(())
}

fn images(stage: &mut Stage) -> Result<()> {
    let mut client = Client::new(stage.gateway);
    let answer = stage.count.get(&mut client, "/images/logo.txt", &[])?;
    stage
        .screen
        .line(&format!("{} {}", answer.status, answer.text().trim_end()));
    stage.check(
        answer.text() == LOGO && answer.header("x-worker").is_none(),
        "no member was asked",
    );
    Ok(())
}

fn replaced(stage: &mut Stage) -> Result<()> {
    let failed = stage.count.failed.load(Ordering::Relaxed);
    for version in 2..=5 {
        let started = Instant::now();
        stage.site.version(version)?;
        let is_seen = stage.wait(|| Ok(served(stage)? == Stamped::stamp(version)))?;
        let took = started.elapsed().as_millis();
        stage.check(
            is_seen,
            &format!("version {version} is in service {took} ms after its file was replaced"),
        );
    }
    stage.site.damage()?;
    let end = Instant::now() + Duration::from_secs(1);
    let mut strays = 0;
    while Instant::now() < end {
        strays += u32::from(served(stage)? != Stamped::stamp(5));
    }
    stage.check(
        strays == 0,
        "half a file does not replace it: version 5 stays in service",
    );
    stage.site.version(6)?;
    let is_seen = stage.wait(|| Ok(served(stage)? == Stamped::stamp(6)))?;
    stage.check(is_seen, "the next whole file does");
    let failed = stage.count.failed.load(Ordering::Relaxed) - failed;
    stage.check(failed == 0, &format!("{failed} requests failed meanwhile"));
    Ok(())
}

/// The stamp of the policy that served a request now.
fn served(stage: &Stage) -> Result<String> {
    let answer = stage
        .count
        .get(&mut Client::new(stage.gateway), "/shop/plain", &[])?;
    Ok(answer.header(HEADER).unwrap_or("none").to_owned())
}
