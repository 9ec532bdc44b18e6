//! From a command line to the request that a client would send.

use std::net::{IpAddr, SocketAddr};

use super::explain::ExplainArgs;
use crate::http1::is_token;

/// A request, as text that is still to be parsed like any other.
#[derive(Debug)]
pub(super) struct Asked {
    /// Its head, the empty line included.
    pub head: Vec<u8>,
    /// For the first line of the explanation.
    pub method: String,
    /// As given.
    pub url: String,
    /// Who connects.
    pub client: IpAddr,
}

impl Asked {
    /// Only what no client could mean is refused here; the rest is the gateway's to judge.
    pub fn of(args: &ExplainArgs) -> Result<Self, String> {
        let url = args.url.as_str();
        let all = args.headers.iter().chain(&args.cookies);
        if let Some(bad) = all
            .chain([&args.url])
            .find(|text| text.contains(['\r', '\n', '\0']))
        {
            return Err(format!("{bad:?} holds a line break or NUL; leave it out"));
        }
        if !is_token(args.method.as_bytes()) {
            return Err(format!("{:?} is no method; try GET", args.method));
        }
        let rest = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => {
                return Err(format!(
                    "{url}: the gateway speaks http; for a client behind a TLS proxy, use http:// and --header 'X-Forwarded-Proto: https' with --client of that proxy"
                ));
            }
            _ => {
                return Err(format!(
                    "{url}: not a URL; write http://host/path, as a client would"
                ));
            }
        };
        // Clients keep a fragment to themselves.
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(end);
        let slash = if path.starts_with('/') { "" } else { "/" };
        let target = if args.absolute {
            format!("http://{host}{slash}{path}")
        } else {
            format!("{slash}{path}")
        };
        let mut head = format!("{} {target} HTTP/1.1\r\n", args.method);
        let mut named = false;
        for header in &args.headers {
            let (name, value) = header
                .split_once(':')
                .ok_or_else(|| format!("--header {header:?} has no colon; write NAME:VALUE"))?;
            named |= name.eq_ignore_ascii_case("host");
            head.push_str(&format!("{name}: {}\r\n", value.trim()));
        }
        if !named {
            head.push_str(&format!("Host: {host}\r\n"));
        }
        if let Some(bad) = args.cookies.iter().find(|cookie| !cookie.contains('=')) {
            return Err(format!("--cookie {bad:?} has no value; write NAME=VALUE"));
        }
        if !args.cookies.is_empty() {
            head.push_str(&format!("Cookie: {}\r\n", args.cookies.join("; ")));
        }
        head.push_str("\r\n");
        Ok(Self {
            head: head.into_bytes(),
            method: args.method.clone(),
            url: url.to_owned(),
            client: args.client,
        })
    }

    /// The client's end; its port says nothing.
    pub fn peer(&self) -> SocketAddr {
        SocketAddr::new(self.client, 0)
    }
}
