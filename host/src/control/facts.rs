//! What the writer knows, for `switchyard status`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    policy::{EVENTS, Event},
    snapshot::TenantName,
};

/// What the writer knows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ControlFacts {
    /// Number of the generation in service.
    pub generation: u64,
    /// When it was put into service, milliseconds since 1970.
    pub loaded_at_ms: u64,
    /// The main configuration file.
    pub config: PathBuf,
    /// Why the configuration on disk is not the one in service; `None` when it is.
    pub last_error: Option<Trouble>,
    /// What is wrong with the folder that holds the tenants' own.
    pub tenants_error: Option<Trouble>,
    /// Tenants that have a folder, by name.
    pub tenants: Vec<TenantFacts>,
    /// The operator's own policies, by name, and the tenants'.
    pub policies: Vec<PolicyFacts>,
}

/// One tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TenantFacts {
    /// Its name.
    pub name: TenantName,
    /// Where its files are.
    pub folder: PathBuf,
    /// What of it is in service.
    pub state: TenantState,
    /// Why what is on disk of it is not in service; `None` when it is.
    pub last_error: Option<Trouble>,
    /// Why what it served last could not take its place either.
    pub unrecalled: Option<String>,
}

/// What of a tenant is in service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantState {
    /// What is on disk.
    Serving,
    /// What it served last; what is on disk is refused.
    LastGood,
    /// Nothing yet: a policy of it is being compiled.
    Compiling,
    /// Nothing.
    LeftOut,
}

impl TenantState {
    /// One word, for the status.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::LastGood => "last_good",
            Self::Compiling => "compiling",
            Self::LeftOut => "left_out",
        }
    }
}

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// For the operator.
    pub what: String,
}

/// One of the operator's own policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyFacts {
    /// Whose it is.
    pub tenant: TenantName,
    /// Without `policy:`.
    pub name: String,
    /// Its file.
    pub source: PathBuf,
    /// Of the version in service.
    pub digest: String,
    /// Size of its file in bytes.
    pub size: usize,
    /// Why the file's present content is not in service; `None` when it is.
    pub last_error: Option<Trouble>,
    /// What happened lately, the newest first.
    pub history: Vec<VersionFacts>,
    /// How often each of [`EVENTS`] happened since the start.
    pub totals: [u64; EVENTS.len()],
}

/// One entry of a policy's history.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct VersionFacts {
    /// Of the file; `None` where it could not be read.
    pub digest: Option<String>,
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub outcome: Event,
}
