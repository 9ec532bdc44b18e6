//! `switchyard policy rollback`, `promote`, `undo` and `history`, asked of the running gateway.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use super::super::{
    AdminAddress,
    command::{BAD_INPUT, print},
    endpoint::{EndpointError, Question, address, ask},
    status::asked,
};
use crate::{
    admin::{Order, OrderAnswer, PolicyStatus, token},
    snapshot::TenantName,
};

/// The gateway did not do it.
const REFUSED: u8 = 1;

/// Which policy, of which gateway.
#[derive(Debug, Args)]
pub struct OrderArgs {
    /// The policy's name, without `policy:`
    name: String,
    /// Whose it is; left out, the operator's own
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// The gateway's configuration file, which tells where it listens and where the token is
    #[arg(short, long, value_name = "FILE", conflicts_with = "admin")]
    config: Option<PathBuf>,
    /// Its admin listener: HOST:PORT or unix:PATH [default: 127.0.0.1:9191]
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<AdminAddress>,
    /// The file with the token, where the configuration does not tell
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl OrderArgs {
    fn tenant(&self) -> TenantName {
        self.tenant
            .as_deref()
            .map_or_else(TenantName::operator, TenantName::new)
    }
}

/// Gives an order to the running gateway.
pub fn order(order: Order, args: &OrderArgs) -> ExitCode {
    let (at, admin) = match address(args.config.as_deref(), args.admin.clone()) {
        Ok(found) => found,
        Err(error) => return error.fail(),
    };
    let file = args.token_file.clone();
    let file = file.or_else(|| admin.and_then(|admin| admin.token_file));
    let secret = match file.as_deref().map(read_token).transpose() {
        Ok(secret) => secret,
        Err(what) => {
            eprintln!("switchyard: {what}");
            return ExitCode::from(BAD_INPUT);
        }
    };
    let name = args.tenant().qualify(&args.name);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    if name.is_empty() || !name.bytes().all(plain) {
        eprintln!("switchyard: {name:?} is not a policy's name");
        return ExitCode::from(BAD_INPUT);
    }
    let question = Question {
        method: "POST",
        target: &format!("/policies/{name}/{}", order.word()),
        token: secret.as_deref(),
    };
    let reply = match ask(&at, &question) {
        Ok(reply) => reply,
        Err(error) => return error.fail(),
    };
    match serde_json::from_slice(&reply.body) {
        Ok(OrderAnswer::Done { generation }) => print(&format!(
            "{name}: {} done; generation {generation} is in service\n",
            order.word()
        )),
        Ok(OrderAnswer::Unchanged) => print(&format!("{name}: nothing to {}\n", order.word())),
        Ok(OrderAnswer::Refused { why }) => {
            eprintln!("switchyard: {name}: {why}");
            ExitCode::from(REFUSED)
        }
        Err(error) => EndpointError::Stranger {
            at,
            what: format!("it says {} to an order: {error}", reply.status),
        }
        .fail(),
    }
}

fn read_token(file: &Path) -> Result<String, String> {
    token(file).map_err(|why| format!("{}: {why}", file.display()))
}

/// Shows what happened to a policy's versions.
pub fn history(args: &OrderArgs) -> ExitCode {
    let status = match asked(args.config.as_deref(), args.admin.clone()) {
        Ok((_, status)) => status,
        Err(error) => return error.fail(),
    };
    let tenant = args.tenant();
    let is = |policy: &&PolicyStatus| policy.tenant == tenant.as_str() && policy.name == args.name;
    match status.policies.iter().find(is) {
        Some(policy) => print(&render(policy)),
        None => {
            let name = tenant.qualify(&args.name);
            eprintln!("switchyard: there is no policy {name:?} in service");
            ExitCode::from(REFUSED)
        }
    }
}

fn render(policy: &PolicyStatus) -> String {
    let mut out = String::new();
    let short = |digest: &str| digest.get(..12).unwrap_or(digest).to_owned();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{} is at {}", policy.name, short(&policy.digest));
    for entry in &policy.history {
        let digest = entry.digest.as_deref().map_or("-".to_owned(), short);
        let (at, outcome) = (&entry.at, entry.outcome.replace('_', " "));
        let _ = writeln!(out, "{at}  {digest:<12}  {outcome:<10}  {}", entry.cause);
    }
    out.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}
