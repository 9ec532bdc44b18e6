//! Shadows and canaries.

use http::HeaderName;

use super::{
    super::{
        problems::Problems,
        read::{Either, Node},
        source::{CanaryTable, RollbackTable, ShadowTable},
        units::Percent,
    },
    bounds,
    context::Context,
    policy,
};
use crate::snapshot::{CanaryBy, CanaryRef, Candidates, PolicyRef, Rollback, ShadowRef};

/// What a shadow sees where nothing is said: enough to tell, cheap enough to forget.
const SAMPLE: u32 = 1_000;
/// What a canary decides where nothing is said.
const SHARE: u32 = 500;

type Shadow = Node<Either<String, ShadowTable>>;
type Canary = Node<CanaryTable>;

/// When a new version is undone by itself; `None` = never.
pub fn rollback(
    node: Option<&Node<Either<bool, RollbackTable>>>,
    out: &mut Problems,
) -> Option<Rollback> {
    let usual = Rollback::default();
    let table = match node.map(|node| &node.value) {
        None | Some(Either::Left(true)) => return Some(usual),
        Some(Either::Left(false)) => return None,
        Some(Either::Right(table)) => table,
    };
    let hundredths = |hundredths: u32| f64::from(hundredths) / 100.0;
    // Watched for nothing it would never be compared.
    let calls = table.calls.as_ref();
    Some(Rollback {
        calls: calls.map_or(usual.calls, |node| {
            bounds::positive(Some(node), node.value, out).into()
        }),
        time: bounds::positive_time(table.time.as_ref(), usual.time, out),
        errors: table
            .errors
            .as_ref()
            .map_or(usual.errors, |n| hundredths(n.value.0) / 100.0),
        slower: table
            .slower
            .as_ref()
            .map_or(usual.slower, |n| hundredths(n.value.0)),
    })
}

/// The candidates of a balancer or a route. `beside` are those whose place they may take.
pub fn candidates(
    shadow: Option<&Shadow>,
    canary: Option<&Canary>,
    beside: &[Option<&PolicyRef>],
    context: &mut Context<'_>,
) -> Candidates {
    Candidates {
        shadow: shadow.and_then(|node| self::shadow(node, beside, context)),
        canary: canary.and_then(|node| self::canary(node, beside, context)),
    }
}

fn shadow(
    node: &Shadow,
    beside: &[Option<&PolicyRef>],
    context: &mut Context<'_>,
) -> Option<ShadowRef> {
    let (name, sample) = match &node.value {
        Either::Left(name) => {
            let name = Node {
                value: name.clone(),
                place: node.place.clone(),
            };
            (Some(name), SAMPLE)
        }
        Either::Right(table) => (table.policy.clone(), share(table.sample.as_ref(), SAMPLE)),
    };
    Some(ShadowRef {
        policy: candidate(&name?, beside, context)?,
        sample,
    })
}

fn canary(
    node: &Canary,
    beside: &[Option<&PolicyRef>],
    context: &mut Context<'_>,
) -> Option<CanaryRef> {
    let table = &node.value;
    let by = table.by.as_ref().map_or(Some(CanaryBy::Session), |node| {
        by(node).or_else(|| {
            context.out.error(
                &node.place,
                format!("{:?} does not tell who belongs to the share", node.value),
                "use session, client, tenant or \"header:NAME\"",
            );
            None
        })
    });
    let after = table.promote_after.as_ref();
    let promote_after = after.map(|node| {
        let fallback = std::time::Duration::from_secs(1);
        bounds::positive_time(Some(node), fallback, context.out)
    });
    Some(CanaryRef {
        policy: candidate(table.policy.as_ref()?, beside, context)?,
        share: share(table.percent.as_ref(), SHARE),
        by: by?,
        promote_after,
    })
}

fn share(node: Option<&Node<Percent>>, default: u32) -> u32 {
    node.map_or(default, |node| node.value.0)
}

/// `policy:NAME`, or the name alone: nothing built in can be a candidate.
fn candidate(
    node: &Node<String>,
    beside: &[Option<&PolicyRef>],
    context: &mut Context<'_>,
) -> Option<PolicyRef> {
    let name = node.value.strip_prefix("policy:").unwrap_or(&node.value);
    let name = name.trim();
    let named = Node {
        value: format!("policy:{name}"),
        place: node.place.clone(),
    };
    let policy = policy::named(&named, context)?;
    if beside.contains(&Some(&policy)) {
        // It would take its own place, and be found no worse than itself.
        context.out.error(
            &node.place,
            format!("policy:{name} is in service here, so it would be tried against itself"),
            "name another policy: one with the new version as its source",
        );
    }
    Some(policy)
}

fn by(node: &Node<String>) -> Option<CanaryBy> {
    match node.value.as_str() {
        "session" => Some(CanaryBy::Session),
        "client" => Some(CanaryBy::Client),
        "tenant" => Some(CanaryBy::Tenant),
        other => {
            let name = other.strip_prefix("header:")?.trim();
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some(CanaryBy::Header(name.as_str().to_owned()))
        }
    }
}
