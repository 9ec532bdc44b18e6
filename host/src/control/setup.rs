//! What a writer is made of, and what it can fail at.

use std::{path::PathBuf, sync::Arc};

use super::Stock;
use crate::{
    config::{Diagnostic, Report},
    generation::{AccessLogs, Generation, LinkError, Linker},
    snapshot::Snapshot,
};

/// What a generation needs outside of itself, such as sockets; `app` provides it.
pub trait Surroundings: Send {
    /// Gets everything ready for `next` that can fail. Nothing of the present may suffer.
    fn prepare(&mut self, next: &Snapshot) -> Result<AccessLogs, String>;

    /// `next` is in service: use what was prepared, and let go of what it does not need.
    fn publish(&mut self, next: &Arc<Generation>);

    /// What was prepared will not be used.
    fn abandon(&mut self);
}

/// What a writer is made of.
pub struct Setup {
    /// The configuration file.
    pub path: PathBuf,
    /// Links generations.
    pub linker: Linker,
    /// Loads policies.
    pub stock: Stock,
    /// Sockets and logs.
    pub surroundings: Box<dyn Surroundings>,
}

/// Why something was not put into service.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The file.
    #[error("{0}")]
    Config(Box<Report>),
    /// A policy that has no version in service yet.
    #[error("policy `{name}`: {why}")]
    Policy {
        /// Its name.
        name: String,
        /// What is wrong with its file.
        why: String,
    },
    /// A policy is being loaded; there will be another time.
    #[error("policy `{name}` is being loaded")]
    Loading {
        /// Its name.
        name: String,
    },
    /// Policies and places do not go together.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A host that somebody else has, or a folder that cannot be used.
    #[error("{0}")]
    Claim(Box<Diagnostic>),
    /// More folders would have to be watched for a tenant than it may have.
    #[error(
        "its files lie in more folders than the {most} that are watched for a tenant; move them up, or ask the operator to \
         raise the quota `folders`"
    )]
    Folders {
        /// Its quota.
        most: usize,
    },
    /// A socket or a log.
    #[error("{0}")]
    Surroundings(String),
}

impl Failure {
    /// The policy that has no version, if that is it.
    pub(super) fn policy(&self) -> Option<&str> {
        match self {
            Self::Policy { name, .. } | Self::Loading { name } => Some(name),
            _ => None,
        }
    }

    /// One line a problem, for the log.
    pub(super) fn lines(&self) -> String {
        match self {
            Self::Config(report) => report.lines(),
            other => other.to_string(),
        }
    }

    /// Likewise, the worst first, where not all are told.
    pub(super) fn worst_first(&self) -> String {
        match self {
            Self::Config(report) => report.worst_first(),
            other => other.to_string(),
        }
    }
}
