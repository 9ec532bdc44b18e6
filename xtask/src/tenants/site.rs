//! A gateway's folder with many tenants in it.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// The policies of each tenant: two that choose and one that keeps sessions.
pub const POLICIES: [(&str, &str); 3] = [
    ("choose", "byrequests"),
    ("least", "least_latency"),
    ("pin", "pin_by_header"),
];

/// Where everything lies.
#[derive(Debug)]
pub struct Site {
    folder: PathBuf,
    member: SocketAddr,
}

impl Site {
    /// An empty folder, with whatever an earlier run compiled.
    pub fn new(folder: &Path, member: SocketAddr) -> io::Result<Self> {
        if folder.join("tenants").exists() {
            fs::remove_dir_all(folder.join("tenants"))?;
        }
        fs::create_dir_all(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            member,
        })
    }

    /// The operator's file.
    pub fn config(&self) -> PathBuf {
        self.folder.join("switchyard.toml")
    }

    /// Writes it.
    pub fn write_operator(&self) -> io::Result<()> {
        let Self { folder, member } = self;
        let text = format!(
            "version = 1\ncache_dir = {:?}\n[[listener]]\nbind = \"127.0.0.1:0\"\n\
             [each_tenant]\nrequests = 0\negress = [\"127.0.0.1\"]\n\
             [[vhost]]\nname = \"operator.example\"\n\
             [[vhost.route]]\npath = \"/\"\nbalancer = \"own\"\n\
             [balancer.own]\nstickysession = \"JSESSIONID\"\n\
             members = [{{ url = \"http://{member}\", route = \"a\" }}]\n",
            folder.join("cache")
        );
        fs::write(self.config(), text)
    }

    /// Writes one tenant with its policies, which `guests` holds by name.
    pub fn write_tenant(&self, tenant: usize, guests: &Path, version: u64) -> io::Result<()> {
        let folder = self.folder.join("tenants").join(name(tenant));
        fs::create_dir_all(&folder)?;
        for (policy, guest) in POLICIES {
            let from = guests.join(guest).with_extension("wasm");
            fs::copy(from, folder.join(policy).with_extension("wasm"))?;
        }
        self.write_site(tenant, version)
    }

    /// Replaces a tenant's configuration in one step; `/version` tells which it is.
    pub fn write_site(&self, tenant: usize, version: u64) -> io::Result<()> {
        let (host, member) = (host(tenant), self.member);
        // With every version another policy goes first: what was there before is compiled already.
        let chain = match version % 2 {
            0 => "\"policy:choose\", \"policy:least\"",
            _ => "\"policy:least\", \"policy:choose\"",
        };
        let policies: String = POLICIES
            .iter()
            .map(|(policy, _)| {
                let config = match *policy {
                    "pin" => "config = { header = \"x-customer\" }\n",
                    _ => "",
                };
                format!("[policy.{policy}]\nsource = \"{policy}.wasm\"\n{config}")
            })
            .collect();
        let text = format!(
            "[[vhost]]\nname = \"{host}\"\n\
             [[vhost.route]]\npath = \"/\"\nbalancer = \"app\"\n\
             [[vhost.route]]\npath = \"/version\"\nredirect = \"/{version}\"\n\
             [balancer.app]\nlbmethod = [{chain}]\naffinity = \"policy:pin\"\n\
             members = [{{ url = \"http://{member}\", route = \"a\" }}]\n{policies}"
        );
        let folder = self.folder.join("tenants").join(name(tenant));
        let beside = folder.join(".site.toml.new");
        fs::write(&beside, text)?;
        fs::rename(beside, folder.join("site.toml"))
    }
}

fn name(tenant: usize) -> String {
    format!("tenant{tenant:04}")
}

/// The host that the tenant claims.
pub fn host(tenant: usize) -> String {
    format!("{}.example", name(tenant))
}
