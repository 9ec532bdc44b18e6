//! `switchyard status`: what is in service, asked of the running gateway.

use std::{path::Path, process::ExitCode};

use super::{
    command::print,
    endpoint::{AdminAddress, EndpointError, Question, address, ask},
    status_table,
};
use crate::admin::Status;

/// Shows what is in service: as tables, or as the JSON that the gateway sent.
pub fn status(config: Option<&Path>, admin: Option<AdminAddress>, json: bool) -> ExitCode {
    match asked(config, admin) {
        Ok((body, _)) if json => print(&format!("{}\n", String::from_utf8_lossy(&body).trim_end())),
        Ok((_, status)) => print(&status_table::render(&status)),
        Err(error) => error.fail(),
    }
}

/// The status, as it was sent and as it was meant.
pub(super) fn asked(
    config: Option<&Path>,
    admin: Option<AdminAddress>,
) -> Result<(Vec<u8>, Status), EndpointError> {
    let (at, _) = address(config, admin)?;
    let question = Question {
        method: "GET",
        target: "/status",
        token: None,
    };
    let reply = ask(&at, &question)?;
    let stranger = |what: String| EndpointError::Stranger {
        at: at.clone(),
        what,
    };
    if reply.status != 200 {
        return Err(stranger(format!("it says {} to /status", reply.status)));
    }
    let status =
        serde_json::from_slice(&reply.body).map_err(|error| stranger(error.to_string()))?;
    Ok((reply.body, status))
}
