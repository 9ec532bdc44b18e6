//! What all compile steps share.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::super::{
    problems::{Place, Problems, nearest},
    read::{Either, Node},
    source::OneOrMany,
    units::Time,
};
use crate::snapshot::{Balancer, Log, OnError, PolicyLimits, TenantName};

/// What all compile steps share: where relative paths start, which names exist, what was used.
pub struct Context<'o> {
    /// To whom all that is compiled belongs.
    pub tenant: TenantName,
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
    /// What vhosts' own logs fall back to.
    pub log: Log,
    /// What policies' own limits fall back to.
    pub policy_limits: PolicyLimits,
    /// What policies' own `on_error` falls back to.
    pub on_error: OnError,
}

impl Context<'_> {
    /// An absolute path for one written in the file.
    pub fn path(&mut self, node: &Node<String>) -> PathBuf {
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
