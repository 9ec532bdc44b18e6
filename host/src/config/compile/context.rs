//! What all compile steps share.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::super::{
    problems::{Place, Problems, nearest},
    read::{Either, Named, Node},
    source::{BalancerTable, OneOrMany, PolicyTable},
    units::Time,
};
use crate::{
    beneath::{self, Purpose},
    snapshot::{
        Balancer, CompileRaise, HostPattern, Log, OnError, PolicyLimits, Quota, TenantName,
    },
};

/// What all compile steps share: where relative paths start, which names exist, what was used.
pub struct Context<'o> {
    /// To whom all that is compiled belongs.
    pub tenant: TenantName,
    /// What a tenant is held to; `None` = the operator's own file.
    pub bounds: Option<Bounds>,
    /// Every finding.
    pub out: &'o mut Problems,
    /// Folder of the main file; relative paths start here.
    pub base: PathBuf,
    /// Files that were read besides the main one.
    pub files: Vec<PathBuf>,
    /// Defined balancers, lower case, whether or not they compiled.
    pub balancer_names: Vec<String>,
    /// Defined policies.
    pub policy_names: Vec<String>,
    /// Balancers some route names.
    pub used_balancers: BTreeSet<String>,
    /// Policies something names.
    pub used_policies: BTreeSet<String>,
    /// Balancers of routes with `proxy = "http://…"`.
    pub anonymous: BTreeMap<String, Arc<Balancer>>,
    /// Every host that a vhost claims, with its place.
    pub claims: Vec<(HostPattern, Place)>,
    /// Regular expressions so far.
    pub regexes: usize,
    /// What vhosts' own logs fall back to.
    pub log: Log,
    /// That is a tenant's, which its vhosts have without saying so.
    pub own_log: bool,
    /// What policies' own limits fall back to.
    pub policy_limits: PolicyLimits,
    /// What the operator allows single files to take of the compiler.
    pub raises: Arc<BTreeMap<String, CompileRaise>>,
    /// What policies' own `on_error` falls back to.
    pub on_error: OnError,
}

/// What a tenant is held to.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Nothing that it names may lie outside.
    pub folder: Arc<Path>,
    /// As the operator set it.
    pub quota: Arc<Quota>,
    /// No policy of its own may have more than this.
    pub limits: PolicyLimits,
}

/// What a file's own settings fall back to.
pub struct Fallback {
    /// What vhosts' own logs fall back to.
    pub log: Log,
    /// What policies' own limits fall back to.
    pub policy_limits: PolicyLimits,
    /// What the operator allows single files to take of the compiler.
    pub raises: Arc<BTreeMap<String, CompileRaise>>,
    /// What policies' own `on_error` falls back to.
    pub on_error: OnError,
}

impl<'o> Context<'o> {
    /// Of the files in `base`, which define these balancers and policies. Nothing was compiled yet.
    pub fn new(
        (tenant, bounds): (TenantName, Option<Bounds>),
        base: PathBuf,
        (balancers, policies): (&Named<BalancerTable>, &Named<PolicyTable>),
        fallback: Fallback,
        out: &'o mut Problems,
    ) -> Self {
        let balancers = balancers.0.iter();
        let policies = policies.0.iter();
        Self {
            tenant,
            bounds,
            out,
            base,
            files: Vec::new(),
            balancer_names: balancers
                .map(|(name, _)| name.to_ascii_lowercase())
                .collect(),
            policy_names: policies.map(|(name, _)| name.clone()).collect(),
            used_balancers: BTreeSet::new(),
            used_policies: BTreeSet::new(),
            anonymous: BTreeMap::new(),
            claims: Vec::new(),
            regexes: 0,
            log: fallback.log,
            own_log: false,
            policy_limits: fallback.policy_limits,
            raises: fallback.raises,
            on_error: fallback.on_error,
        }
    }
}

impl Context<'_> {
    /// The folder that nothing may lead out of; `None` = anywhere.
    pub fn beneath(&self) -> Option<Arc<Path>> {
        self.bounds.as_ref().map(|b| Arc::clone(&b.folder))
    }

    /// Checks the name of a table, which is a `what`'s.
    pub fn name(&mut self, name: &str, what: &str, place: &Place) {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || !name.bytes().all(plain) {
            let message = format!("{name:?} is not a {what}'s name");
            self.out
                .error(place, message, "use letters, digits, -, _ and .");
        }
    }

    /// An absolute path for one written in the file.
    pub fn path(&mut self, node: &Node<String>) -> PathBuf {
        let path = self.plain_path(node);
        if let Some(bounds) = &self.bounds
            && let Err(error) = held(&bounds.folder, &node.value, &path)
        {
            self.out.error(
                &node.place,
                format!("{:?} cannot be used: {error}", node.value),
                "name a file or folder within the tenant's own folder, without .. and without links that lead out",
            );
        }
        path
    }

    fn plain_path(&mut self, node: &Node<String>) -> PathBuf {
        if node.value.is_empty() || node.value.contains('\0') {
            self.out.error(
                &node.place,
                "not a path",
                "write the path of a file or folder",
            );
        }
        self.base.join(&node.value)
    }
}

/// Whether a name stays beneath the folder, as far as can be seen now. It is looked at again
/// whenever the file is opened.
fn held(folder: &Path, name: &str, path: &Path) -> io::Result<()> {
    if Path::new(name).is_absolute() {
        return Err(io::Error::other("it does not begin at the tenant's folder"));
    }
    match beneath::open(folder, path, Purpose::Read) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        // What is not there yet, or cannot be read, is told where it is used.
        _ => Ok(()),
    }
}

/// The value that was written, or what stands for it.
pub fn or<T: Copy>(node: &Option<Node<T>>, default: T) -> T {
    node.as_ref().map_or(default, |n| n.value)
}

/// The duration that was written, or what stands for it; zero means something.
pub fn time(node: &Option<Node<Time>>, default: Duration) -> Duration {
    node.as_ref().map_or(default, |n| n.value.0)
}

/// The elements of a key that takes one value or an array of them.
pub fn each<T: Clone>(node: &Node<OneOrMany<T>>) -> Vec<Node<T>> {
    match &node.value {
        Either::Left(list) => list.clone(),
        Either::Right(one) => vec![Node {
            value: one.clone(),
            place: node.place.clone(),
        }],
    }
}

/// The file's own folder, absolute.
pub fn folder_of(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.parent().map(Path::to_owned).unwrap_or(absolute)
}

/// Notes a name that nothing defines.
pub fn unknown_name(
    out: &mut Problems,
    place: &Place,
    what: &str,
    name: &str,
    known: &[String],
    define: &str,
) {
    let remedy = match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`? Otherwise {define}"),
        None => define.to_owned(),
    };
    out.error(place, format!("there is no {what} `{name}`"), remedy);
}
