//! What an operator may tell the gateway: `POST /policies/NAME/rollback`, `/promote` and `/undo`.

use std::{fmt, sync::Arc, time::Duration};

use axum::{
    Extension, Json,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use tokio::{sync::oneshot, time::sleep};
use tracing::{info, warn};

use super::{
    collect::Sources,
    door::{Denied, Door},
};
use crate::control::Outcome;

/// Before a wrong token is told so: whoever tries many has 16 connections.
const GUESS: Duration = Duration::from_secs(1);

/// What is to be done with a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Back to the version before.
    Rollback,
    /// The canary decides for all.
    Promote,
    /// The canary decides for nobody.
    Undo,
}

impl Order {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Rollback, Self::Promote, Self::Undo];

    /// As in the path and on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Rollback => "rollback",
            Self::Promote => "promote",
            Self::Undo => "undo",
        }
    }
}

/// Gives an order about a policy to the writer; a tenant's policy is `tenant:policy`.
pub type Orders = Box<dyn Fn(Order, &str) -> oneshot::Receiver<Outcome> + Send + Sync>;

/// What came of an order, as it is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum OrderAnswer {
    /// It is done.
    Done {
        /// Number of the generation in service now.
        generation: u64,
    },
    /// There was nothing to do.
    Unchanged,
    /// What was in service still is.
    Refused {
        /// And what to do.
        why: String,
    },
}

/// Who asks, for the log.
#[derive(Debug, Clone)]
pub(super) struct Peer(pub Arc<str>);

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Does what was asked, if whoever asks may ask.
pub(super) async fn order(
    State(sources): State<Arc<Sources>>,
    Extension(door): Extension<Arc<Door>>,
    Extension(peer): Extension<Peer>,
    Path((policy, word)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let Some(order) = Order::ALL.into_iter().find(|order| order.word() == word) else {
        return refused(StatusCode::NOT_FOUND, format!("there is no order `{word}`"));
    };
    if let Err(denied) = door.permits(&headers) {
        warn!(order = word, policy, from = %peer, cause = %denied, "Order refused");
        let mut response = match denied {
            Denied::NoToken => refused(StatusCode::FORBIDDEN, denied.to_string()),
            Denied::Unusable { .. } => {
                refused(StatusCode::INTERNAL_SERVER_ERROR, denied.to_string())
            }
            Denied::WrongToken => {
                sleep(GUESS).await;
                refused(StatusCode::UNAUTHORIZED, denied.to_string())
            }
        };
        if response.status() == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
        return response;
    }
    let Ok(outcome) = (sources.orders)(order, &policy).await else {
        let why = "the gateway ends".to_owned();
        return refused(StatusCode::SERVICE_UNAVAILABLE, why);
    };
    let (generation, why) = match &outcome {
        Outcome::Published { generation } => (Some(*generation), None),
        Outcome::Unchanged => (None, None),
        Outcome::Refused { why } => (None, Some(why.as_str())),
    };
    info!(order = word, policy, from = %peer, outcome = outcome.word(), generation, why, "Order received");
    match outcome {
        Outcome::Published { generation } => Json(OrderAnswer::Done { generation }).into_response(),
        Outcome::Unchanged => Json(OrderAnswer::Unchanged).into_response(),
        Outcome::Refused { why } => refused(StatusCode::CONFLICT, why),
    }
}

fn refused(status: StatusCode, why: String) -> Response {
    (status, Json(OrderAnswer::Refused { why })).into_response()
}
