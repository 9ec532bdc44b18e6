//! Which programs there are, whether they are installed, and how they are called.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use super::{apache, caddy, envoy, haproxy, nginx, pingora, traefik, venv};
use crate::bench::{
    front::{Front, Site},
    variant::Variant,
};

/// More members than this would each need a router of their own, which are tried one after the other.
const MOST_ROUTERS: usize = 100;

/// A program that ours is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Debian's.
    Nginx,
    /// Debian's.
    HaProxy,
    /// Debian's, with the event module.
    Apache,
    /// A small balancer, built from crates.io.
    Pingora,
    /// From PyPI; rewrites in Lua.
    Envoy,
    /// The same; rewrites in WebAssembly.
    EnvoyWasm,
    /// From PyPI.
    Caddy,
    /// From PyPI.
    Traefik,
}

/// How a program is had.
enum Source {
    /// The path of a Debian package's program, and the package.
    Debian(&'static str, &'static str),
    /// A path in the folder of Python's packages, and the package.
    Python(&'static str),
    /// Built from this repository.
    Cargo,
}

impl Peer {
    /// In the order of the report.
    pub const ALL: [Self; 8] = [
        Self::Nginx,
        Self::HaProxy,
        Self::Apache,
        Self::Pingora,
        Self::Envoy,
        Self::EnvoyWasm,
        Self::Caddy,
        Self::Traefik,
    ];

    /// For the command line and the report's JSON.
    pub fn key(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::HaProxy => "haproxy",
            Self::Apache => "apache",
            Self::Pingora => "pingora",
            Self::Envoy => "envoy",
            Self::EnvoyWasm => "envoy-wasm",
            Self::Caddy => "caddy",
            Self::Traefik => "traefik",
        }
    }

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::HaProxy => "HAProxy",
            Self::Apache => "Apache httpd",
            Self::Pingora => "Pingora",
            Self::Envoy => "Envoy",
            Self::EnvoyWasm => "Envoy with Wasm",
            Self::Caddy => "Caddy",
            Self::Traefik => "Traefik",
        }
    }

    fn source(self) -> Source {
        match self {
            Self::Nginx => Source::Debian("/usr/sbin/nginx", "nginx-light"),
            Self::HaProxy => Source::Debian("/usr/sbin/haproxy", "haproxy"),
            Self::Apache => Source::Debian("/usr/sbin/apache2", "apache2-bin"),
            Self::Pingora => Source::Cargo,
            Self::Envoy | Self::EnvoyWasm => Source::Python("envoy"),
            Self::Caddy => Source::Python("caddy"),
            Self::Traefik => Source::Python("traefik"),
        }
    }

    /// Where it is, or would be.
    fn program(self) -> Option<PathBuf> {
        match self.source() {
            Source::Debian(program, _) => Some(PathBuf::from(program)),
            Source::Python(name) => venv::program(name),
            Source::Cargo => pingora::program(),
        }
    }

    /// Whether it can be measured.
    pub fn is_installed(self) -> bool {
        self.program().is_some_and(|program| program.is_file())
    }

    /// Whether naming it is enough to get it.
    pub fn is_built(self) -> bool {
        matches!(self.source(), Source::Cargo)
    }

    /// A command that installs it.
    pub fn remedy(self) -> String {
        match self.source() {
            Source::Debian(_, package) => {
                format!("apt-get install --no-install-recommends {package}")
            }
            Source::Python(_) | Source::Cargo => "cargo xtask bench --install".to_owned(),
        }
    }

    /// Why it cannot take part in a variant, where that is so.
    pub fn objection(self, variant: &Variant) -> Option<&'static str> {
        let is_many = variant.members > MOST_ROUTERS;
        (self == Self::Traefik && is_many).then_some("each member's sessions need a router")
    }

    /// Starts it.
    pub fn start(self, site: &Site) -> Result<Front> {
        let program = self.program();
        let program = program.with_context(|| format!("{} is not installed", self.name()))?;
        match self {
            Self::Nginx => nginx::start(site, &program),
            Self::HaProxy => haproxy::start(site, &program),
            Self::Apache => apache::start(site, &program),
            Self::Pingora => pingora::start(site, &program),
            Self::Envoy | Self::EnvoyWasm => envoy::start(site, self, &program),
            Self::Caddy => caddy::start(site, &program),
            Self::Traefik => traefik::start(site, &program),
        }
    }

    /// What it says of its version.
    pub fn version(self) -> String {
        let argument = match self {
            Self::Nginx | Self::HaProxy | Self::Apache => "-v",
            Self::Pingora | Self::Envoy | Self::EnvoyWasm => "--version",
            Self::Caddy | Self::Traefik => "version",
        };
        let said = self.program().map(|program| version(&program, argument));
        let said = said.unwrap_or_else(|| "unknown".to_owned());
        // The path that it was called by.
        said.rsplit_once("  version: ")
            .map_or(said.clone(), |(_, version)| version.to_owned())
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

/// Installs what needs no administrator, and says how to get the rest.
pub fn install() -> Result<()> {
    venv::install()?;
    pingora::build()?;
    for peer in Peer::ALL {
        match peer.program().filter(|_| peer.is_installed()) {
            Some(program) => println!("{:<16} {}", peer.name(), program.display()),
            None => println!("{:<16} missing; to get it: {}", peer.name(), peer.remedy()),
        }
    }
    Ok(())
}

/// Builds those that are missing and built from this repository. One that cannot be built is left out.
pub fn build(mut peers: Vec<Peer>, tell: impl FnMut(String)) -> Result<Vec<Peer>> {
    let missing = |peer: &Peer| peer.is_built() && !peer.is_installed();
    if peers.iter().any(missing) {
        let built = pingora::build();
        drop_unbuilt(&mut peers, missing, built, tell)?;
    }
    Ok(peers)
}

fn drop_unbuilt(
    peers: &mut Vec<Peer>,
    missing: impl Fn(&Peer) -> bool,
    built: Result<()>,
    mut tell: impl FnMut(String),
) -> Result<()> {
    let Err(why) = built else { return Ok(()) };
    let is_alone = peers.iter().all(&missing);
    if is_alone {
        return Err(why);
    }
    for peer in peers.extract_if(.., |peer| missing(peer)) {
        tell(format!("{} is left out: {why:#}", peer.name()));
    }
    Ok(())
}

/// Those that take part: all that are installed, or those of them that are named. What is left out is told to `tell`.
pub fn chosen(
    names: Option<&[String]>,
    is_installed: impl Fn(Peer) -> bool,
    mut tell: impl FnMut(String),
) -> Result<Vec<Peer>> {
    let wanted = match names {
        Some(names) => named(names)?,
        None => Peer::ALL.to_vec(),
    };
    // Who asks for Pingora by its name waits for it to be built.
    let is_there = |peer: Peer| is_installed(peer) || names.is_some() && peer.is_built();
    let mut there = Vec::new();
    let mut missing = Vec::new();
    for peer in wanted {
        match is_there(peer) {
            true => there.push(peer),
            false => missing.push(peer),
        }
    }
    if names.is_some() && there.is_empty() {
        let remedies: Vec<_> = missing
            .iter()
            .map(|peer| format!("{}: {}", peer.name(), peer.remedy()))
            .collect();
        bail!(
            "of those that are named none is installed; to get them:\n  {}",
            remedies.join("\n  ")
        );
    }
    for peer in missing {
        tell(format!(
            "{} is left out; to get it: {}",
            peer.name(),
            peer.remedy()
        ));
    }
    Ok(there)
}

/// Each once.
fn named(names: &[String]) -> Result<Vec<Peer>> {
    let mut named = Vec::new();
    for name in names {
        let Some(peer) = Peer::ALL.into_iter().find(|peer| peer.key() == name) else {
            let all: Vec<_> = Peer::ALL.iter().map(|peer| peer.key()).collect();
            bail!("there is no peer `{name}`; there are: {}", all.join(", "));
        };
        if !named.contains(&peer) {
            named.push(peer);
        }
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
    fn whoever_is_named_and_missing_is_left_out_with_that_line_too_unless_it_is_built() {
        let found = chosen(Some(&names(&["apache", "nginx", "apache"])), |_| true, drop);
        assert_eq!(found.unwrap(), [Peer::Apache, Peer::Nginx]);
        let mut lines = Vec::new();
        let named = names(&["nginx", "caddy", "pingora"]);
        let found = chosen(
            Some(&named),
            |peer| peer == Peer::Nginx,
            |line| {
                lines.push(line);
            },
        );
        assert_eq!(found.unwrap(), [Peer::Nginx, Peer::Pingora]);
        assert_eq!(
            lines,
            ["Caddy is left out; to get it: cargo xtask bench --install"]
        );
    }

    #[test]
    fn a_name_that_nobody_has_and_names_of_missing_ones_alone_are_errors() {
        let unknown = chosen(Some(&names(&["nginx", "ngnix"])), |_| true, drop).unwrap_err();
        assert!(unknown.to_string().contains("ngnix"), "{unknown}");
        let missing = chosen(Some(&names(&["nginx", "caddy"])), |_| false, drop).unwrap_err();
        let missing = missing.to_string();
        assert!(
            missing.contains("nginx-light") && missing.contains("--install"),
            "{missing}"
        );
    }

    #[test]
    fn who_cannot_be_built_is_left_out_beside_others_and_an_error_alone() {
        let failed = || Err(anyhow::anyhow!("Pingora is built with cmake"));
        let missing = |peer: &Peer| *peer == Peer::Pingora;
        let mut lines = Vec::new();
        let mut peers = vec![Peer::Nginx, Peer::Pingora];
        drop_unbuilt(&mut peers, missing, failed(), |line| lines.push(line)).unwrap();
        assert_eq!(peers, [Peer::Nginx]);
        assert_eq!(lines, ["Pingora is left out: Pingora is built with cmake"]);
        let mut alone = vec![Peer::Pingora];
        assert!(drop_unbuilt(&mut alone, missing, failed(), drop).is_err());
    }
}
