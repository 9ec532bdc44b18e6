//! The gateway's folder: config, policy, files.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::member::Member;
use crate::stamp::{Stamped, replace};

/// What `/images/logo.txt` holds.
pub const LOGO: &str = "a file of the gateway's own\n";

/// A folder with everything the gateway is given. It goes away with this.
#[derive(Debug)]
pub struct Site {
    folder: tempfile::TempDir,
    stamped: Stamped,
}

impl Site {
    /// Writes it, with version 1 of the policy.
    pub fn new(members: &[Member], stamped: Stamped) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("switchyard-demo-")
            .tempdir()
            .context("cannot make a folder")?;
        let site = Self { folder, stamped };
        for sub in ["htdocs/images", "policies"] {
            fs::create_dir_all(site.path().join(sub))?;
        }
        fs::write(site.path().join("htdocs/images/logo.txt"), LOGO)?;
        site.version(1)?;
        fs::write(site.config(), text(members))?;
        Ok(site)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The config file.
    pub fn config(&self) -> PathBuf {
        self.path().join("switchyard.toml")
    }

    /// The policy file.
    pub fn policy(&self) -> PathBuf {
        self.path().join("policies/stamp.wasm")
    }

    /// Replaces the policy file by version `number`.
    pub fn version(&self, number: u32) -> Result<()> {
        self.stamped.install(number, &self.policy())
    }

    /// Replaces the policy file by something that is no policy.
    pub fn damage(&self) -> Result<()> {
        replace(&self.policy(), b"\0asm half a file")
    }
}

/// The config: one balancer with sessions, and one for each way to choose a member.
fn text(members: &[Member]) -> String {
    let mut text = String::from(
        r#"version = 1
cache_dir = "cache"

[admin]
listen = "127.0.0.1:0"

[[listener]]
bind = "127.0.0.1:0"

[[vhost]]
name = "localhost"
default = true

  [[vhost.route]]
  path = "/images"
  static = "htdocs/images"

  [[vhost.route]]
  path = "/shop"
  balancer = "shop"
  reverse = { location = true, cookie_path = true, cookie_domain = true, html = true }
  rewrite = ["policy:stamp"]

  [[vhost.route]]
  path = "/byrequests"
  balancer = "byrequests"

  [[vhost.route]]
  path = "/bytraffic"
  balancer = "bytraffic"

  [[vhost.route]]
  path = "/bybusyness"
  balancer = "bybusyness"

[policy.stamp]
source = "policies/stamp.wasm"

[balancer.shop]
stickysession = "JSESSIONID|jsessionid"
retry = "1s"
health = { path = "/Test/ready", interval = "200ms", rise = 1, fall = 2 }
"#,
    );
    list(&mut text, members, |_| 1);
    for method in ["byrequests", "bytraffic", "bybusyness"] {
        let _ = write!(text, "\n[balancer.{method}]\nlbmethod = \"{method}\"\n");
        list(&mut text, members, |number| {
            if method == "byrequests" { number } else { 1 }
        });
    }
    text
}

fn list(text: &mut String, members: &[Member], load_factor: impl Fn(usize) -> usize) {
    text.push_str("members = [\n");
    for (index, Member { name, address, .. }) in members.iter().enumerate() {
        let factor = load_factor(index + 1);
        let _ = writeln!(
            text,
            "  {{ url = \"http://{address}/Test\", route = \"{name}\", loadfactor = {factor} }},"
        );
    }
    text.push_str("]\n");
}
