//! Which programs there are, whether they are installed, and how they are called.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Result, bail};

use super::{apache, haproxy, nginx};
use crate::bench::{
    front::{Front, Site},
    variant::Variant,
};

/// A program that ours is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Debian's.
    Nginx,
    /// Debian's.
    HaProxy,
    /// Debian's, with the event module.
    Apache,
}

/// How a program is had.
enum Source {
    /// The path of a Debian package's program, and the package.
    Debian(&'static str, &'static str),
}

impl Peer {
    /// In the order of the report.
    pub const ALL: [Self; 3] = [Self::Nginx, Self::HaProxy, Self::Apache];

    /// For the command line and the report's JSON.
    pub fn key(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::HaProxy => "haproxy",
            Self::Apache => "apache",
        }
    }

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::HaProxy => "HAProxy",
            Self::Apache => "Apache httpd",
        }
    }

    fn source(self) -> Source {
        match self {
            Self::Nginx => Source::Debian("/usr/sbin/nginx", "nginx-light"),
            Self::HaProxy => Source::Debian("/usr/sbin/haproxy", "haproxy"),
            Self::Apache => Source::Debian("/usr/sbin/apache2", "apache2-bin"),
        }
    }

    /// Where it is.
    pub fn program(self) -> PathBuf {
        match self.source() {
            Source::Debian(program, _) => PathBuf::from(program),
        }
    }

    /// Whether it can be measured.
    pub fn is_installed(self) -> bool {
        self.program().is_file()
    }

    /// A command that installs it.
    pub fn remedy(self) -> String {
        match self.source() {
            Source::Debian(_, package) => {
                format!("apt-get install --no-install-recommends {package}")
            }
        }
    }

    /// Why it cannot take part in a variant, where that is so.
    pub fn objection(self, _variant: &Variant) -> Option<&'static str> {
        None
    }

    /// Starts it.
    pub fn start(self, site: &Site) -> Result<Front> {
        match self {
            Self::Nginx => nginx::start(site),
            Self::HaProxy => haproxy::start(site),
            Self::Apache => apache::start(site),
        }
    }

    /// What it says of its version: the first line.
    pub fn version(self) -> String {
        version(&self.program(), "-v")
    }
}

/// The first line that a program prints of its version.
pub fn version(program: &Path, argument: &str) -> String {
    let output = Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .output();
    let line = output.ok().and_then(|output| {
        // nginx tells standard error.
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        said.lines()
            .map(str::trim)
            .find(|line| !line.is_empty())
            .map(str::to_owned)
    });
    line.unwrap_or_else(|| "unknown".to_owned())
}

/// Those that take part: all that are installed, or exactly those that are named. What is left out is told to `tell`.
pub fn chosen(
    names: Option<&[String]>,
    is_installed: impl Fn(Peer) -> bool,
    mut tell: impl FnMut(String),
) -> Result<Vec<Peer>> {
    let Some(names) = names else {
        let mut there = Vec::new();
        for peer in Peer::ALL {
            match is_installed(peer) {
                true => there.push(peer),
                false => tell(format!(
                    "{} is left out; to get it: {}",
                    peer.name(),
                    peer.remedy()
                )),
            }
        }
        return Ok(there);
    };
    let mut named = Vec::new();
    let mut missing = Vec::new();
    for name in names {
        let Some(peer) = Peer::ALL.into_iter().find(|peer| peer.key() == name) else {
            let all: Vec<_> = Peer::ALL.iter().map(|peer| peer.key()).collect();
            bail!("there is no peer `{name}`; there are: {}", all.join(", "));
        };
        if named.contains(&peer) {
            continue;
        }
        if !is_installed(peer) {
            missing.push(format!("{}: {}", peer.name(), peer.remedy()));
        }
        named.push(peer);
    }
    if !missing.is_empty() {
        bail!(
            "named and not installed; to get them:\n  {}",
            missing.join("\n  ")
        );
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn whoever_is_missing_is_left_out_with_a_line_that_says_how_to_get_it() {
        let mut lines = Vec::new();
        let found = chosen(None, |peer| peer != Peer::HaProxy, |line| lines.push(line)).unwrap();
        assert_eq!(found.len(), Peer::ALL.len() - 1);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains("apt-get install --no-install-recommends haproxy"));
    }

    #[test]
    fn whoever_is_named_and_missing_is_an_error() {
        let found = chosen(Some(&names(&["apache", "nginx", "apache"])), |_| true, drop);
        assert_eq!(found.unwrap(), [Peer::Apache, Peer::Nginx]);
        let missing = chosen(Some(&names(&["nginx"])), |_| false, drop).unwrap_err();
        assert!(missing.to_string().contains("nginx-light"), "{missing}");
        let unknown = chosen(Some(&names(&["ngnix"])), |_| true, drop).unwrap_err();
        assert!(unknown.to_string().contains("ngnix"), "{unknown}");
    }
}
