//! Who is answered: which names lead here, and who may give orders.

use std::{
    fs::File,
    io::{self, Read},
    net::IpAddr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Mutex,
};

use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};

use crate::{
    members::locked,
    snapshot::{Admin, AdminBind},
};

/// A shorter token could be guessed.
const SHORTEST: usize = 16;

/// Bytes of a token file.
const LONGEST: u64 = 4096;

/// The rules at the endpoint's door; a reload changes them.
#[derive(Debug)]
pub(super) struct Door {
    /// The listener's own address, unless it is a wildcard's.
    own: Option<IpAddr>,
    /// Only the gateway's own user can connect.
    private: bool,
    rules: Mutex<Rules>,
}

#[derive(Debug)]
struct Rules {
    hosts: Vec<String>,
    token_file: Option<PathBuf>,
}

/// Why an order is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Denied {
    /// Nobody can give orders.
    #[error(
        "orders need a token; set [admin] token_file to a file with a secret of at least 16 letters, or listen on a Unix socket"
    )]
    NoToken,
    /// The file is no place for a secret.
    #[error("{}: {why}", .file.display())]
    Unusable {
        /// As configured.
        file: PathBuf,
        /// And what to do.
        why: String,
    },
    /// Who asks does not know it.
    #[error("orders need the token of [admin] token_file, as `Authorization: Bearer …`")]
    WrongToken,
}

impl From<&Admin> for Rules {
    fn from(admin: &Admin) -> Self {
        Self {
            hosts: admin.hosts.clone(),
            token_file: admin.token_file.clone(),
        }
    }
}

impl Door {
    /// Of a listener at `address`.
    pub fn new(address: &AdminBind, admin: &Admin) -> Self {
        let own = match address {
            AdminBind::Tcp(address) => Some(address.ip()),
            AdminBind::Unix(_) => None,
        };
        Self {
            own: own.filter(|ip| !ip.is_unspecified()),
            private: matches!(address, AdminBind::Unix(_)),
            rules: Mutex::new(admin.into()),
        }
    }

    /// The rules from now on.
    pub fn set(&self, admin: &Admin) {
        *locked(&self.rules) = admin.into();
    }

    /// Whether this `Host` is answered.
    pub fn knows(&self, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return false;
        };
        let Some(host) = host.to_str().ok().and_then(without_port) else {
            return false;
        };
        if let Ok(ip) = host.parse::<IpAddr>() {
            return ip.is_loopback() || self.own == Some(ip) || self.lists(host);
        }
        host.eq_ignore_ascii_case("localhost") || self.lists(host)
    }

    fn lists(&self, host: &str) -> bool {
        let rules = locked(&self.rules);
        let listed = |entry: &String| {
            without_port(entry).is_some_and(|entry| entry.eq_ignore_ascii_case(host))
        };
        rules.hosts.iter().any(listed)
    }

    /// Whether whoever sends these fields may give orders. The file is read each time: a new token counts at once.
    pub fn permits(&self, headers: &HeaderMap) -> Result<(), Denied> {
        let Some(file) = locked(&self.rules).token_file.clone() else {
            // The socket's file is for the gateway's own user alone.
            return if self.private {
                Ok(())
            } else {
                Err(Denied::NoToken)
            };
        };
        let token = token(&file).map_err(|why| Denied::Unusable { file, why })?;
        let mut sent = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(sent), None) = (sent.next(), sent.next()) else {
            return Err(Denied::WrongToken);
        };
        let bearer = sent.as_bytes().split_first_chunk::<7>();
        match bearer {
            Some((scheme, sent)) if scheme.eq_ignore_ascii_case(b"bearer ") => {
                match equal(sent.trim_ascii(), token.as_bytes()) {
                    true => Ok(()),
                    false => Err(Denied::WrongToken),
                }
            }
            _ => Err(Denied::WrongToken),
        }
    }
}

/// The secret in a file that nobody else can read.
pub(crate) fn token(file: &Path) -> Result<String, String> {
    let unreadable = |cause: io::Error| format!("cannot be read: {cause}");
    let opened = File::open(file).map_err(unreadable)?;
    // Of what was opened, so that it cannot be another file by now.
    let about = opened.metadata().map_err(unreadable)?;
    if !about.is_file() {
        return Err("is no file".to_owned());
    }
    // SAFETY: it only returns a number.
    let me = unsafe { libc::geteuid() };
    if about.uid() != me && about.uid() != 0 {
        return Err(format!(
            "belongs to user {}, who could change it; it must be yours or root's",
            about.uid()
        ));
    }
    if about.mode() & 0o077 != 0 {
        return Err(format!(
            "can be read by others (mode {:04o}); chmod 600",
            about.mode() & 0o7777
        ));
    }
    let mut text = String::new();
    let read = opened.take(LONGEST + 1).read_to_string(&mut text);
    read.map_err(unreadable)?;
    let token = text.trim();
    if token.len() < SHORTEST || text.len() as u64 > LONGEST {
        return Err(format!(
            "holds {} letters; a token has {SHORTEST} to {LONGEST}, such as `openssl rand -hex 32` makes",
            token.len()
        ));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("holds more than one word, or letters that no header may have".to_owned());
    }
    Ok(token.to_owned())
}

/// In a time that tells nothing: of two hashes, every byte is compared.
fn equal(one: &[u8], other: &[u8]) -> bool {
    let (one, other) = (Sha256::digest(one), Sha256::digest(other));
    let differ = one
        .iter()
        .zip(other.iter())
        .fold(0, |all, (a, b)| all | (a ^ b));
    std::hint::black_box(differ) == 0
}

/// The host of `host:port` or `[v6]:port`; IPv6 without brackets.
fn without_port(text: &str) -> Option<&str> {
    if let Some(v6) = text.strip_prefix('[') {
        let (ip, port) = v6.split_once(']')?;
        return (port.is_empty() || port.starts_with(':')).then_some(ip);
    }
    if text.parse::<IpAddr>().is_ok() {
        return Some(text);
    }
    let (host, port) = text.split_once(':').unwrap_or((text, ""));
    port.bytes().all(|b| b.is_ascii_digit()).then_some(host)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use axum::http::HeaderValue;

    use super::*;

    const SECRET: &str = "correct-horse-battery-staple";

    fn admin(bind: AdminBind, token_file: Option<PathBuf>) -> Admin {
        Admin {
            bind,
            hosts: vec!["gateway.example".into(), "192.0.2.1:9191".into()],
            token_file,
        }
    }

    fn door(listens: &str) -> Door {
        let address = AdminBind::Tcp(listens.parse().unwrap());
        Door::new(&address, &admin(address.clone(), None))
    }

    fn knows(door: &Door, values: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::HOST, HeaderValue::from_str(value).unwrap());
        }
        door.knows(&headers)
    }

    #[test]
    fn loopback_names_own_address_and_configured_hosts_are_answered() {
        let door = door("10.0.0.1:9191");
        for good in [
            "localhost",
            "LocalHost:9191",
            "127.0.0.1",
            "127.8.9.1:80",
            "[::1]:9191",
            "[::1]",
            "10.0.0.1:9191",
            "gateway.example",
            "Gateway.Example:1",
            "192.0.2.1",
        ] {
            assert!(knows(&door, &[good]), "{good}");
        }
    }

    #[test]
    fn all_other_hosts_are_refused() {
        let door = door("10.0.0.1:9191");
        for bad in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.2",
            "[::2]",
            "[::1]evil",
            "localhost:80@evil.example",
            "evil.example:localhost",
        ] {
            assert!(!knows(&door, &[bad]), "{bad}");
        }
        assert!(!knows(&door, &[]), "none");
        assert!(!knows(&door, &["localhost", "localhost"]), "two");
        let everywhere = self::door("0.0.0.0:9191");
        assert!(!knows(&everywhere, &["0.0.0.0"]));
    }

    fn sent(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn orders_need_the_token_or_a_socket_of_ones_own() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        fs::write(&file, format!("{SECRET}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let tcp = AdminBind::Tcp(([127, 0, 0, 1], 1).into());
        let unix = AdminBind::Unix("/run/a.sock".into());
        let denied = |bind: &AdminBind, file: Option<&PathBuf>, values: &[&str]| {
            let door = Door::new(bind, &admin(bind.clone(), file.cloned()));
            door.permits(&sent(values)).err()
        };
        let good = format!("Bearer {SECRET}");
        assert!(matches!(
            denied(&tcp, None, &[&good]),
            Some(Denied::NoToken)
        ));
        assert!(denied(&unix, None, &[]).is_none());
        assert!(denied(&tcp, Some(&file), &[&good]).is_none());
        assert!(denied(&tcp, Some(&file), &[&format!("bearer  {SECRET}")]).is_none());
        for bad in [
            &[][..],
            &["Bearer"],
            &["Bearer "],
            &["Bearer correct-horse-battery-stapl"],
            &["Bearer correct-horse-battery-staplee"],
            &[SECRET],
            &["Basic Y29ycmVjdA=="],
            &[&good, &good],
        ] {
            let why = denied(&unix, Some(&file), bad);
            assert!(matches!(why, Some(Denied::WrongToken)), "{bad:?}: {why:?}");
        }
    }

    #[test]
    fn token_files_that_keep_no_secret_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        for (content, mode, expected) in [
            (SECRET, 0o640, "chmod 600"),
            (SECRET, 0o604, "chmod 600"),
            ("short", 0o600, "16 to 4096"),
            ("two words that are long", 0o600, "more than one word"),
        ] {
            fs::write(&file, content).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let why = token(&file).unwrap_err();
            assert!(why.contains(expected), "{content} {mode:o}: {why}");
        }
        assert!(token(folder.path()).unwrap_err().contains("no file"));
        assert!(
            token(&folder.path().join("none"))
                .unwrap_err()
                .contains("cannot be read")
        );
    }
}
