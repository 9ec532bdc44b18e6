//! Whether a body is rewritten at all, and by what.

use crate::decision::BodyPlan;

use super::charset::{self, Charset};
use super::coding::Coding;
use super::error::BodyError;
use super::links::{CssBody, HtmlBody, Links};
use super::rewriter::{BodyRewriter, Stage};
use super::substitute::Substitute;

/// What is known of the response when its head has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyFacts<'a> {
    /// The request's method was HEAD.
    pub head_request: bool,
    /// 200
    pub status: u16,
    /// Content-Type.
    pub content_type: Option<&'a str>,
    /// Content-Encoding; several lines joined with commas.
    pub content_encoding: Option<&'a str>,
    /// Cache-Control forbids to transform (RFC 9111 section 5.2.2.6).
    pub no_transform: bool,
    /// There is a Content-Range.
    pub content_range: bool,
}

/// The rewriter that carries out `plan`, `None` where the body passes untouched and the head keeps its
/// Content-Length, ETag and digests. Errs where the policy's plan itself is impossible.
///
/// Untouched pass: answers without a body (HEAD, 204, 304), parts (206), `no-transform`, codings that are
/// unknown or stacked, charsets in which ASCII bytes do not mean ASCII, and for links all but HTML and CSS.
pub fn plan(plan: &BodyPlan, facts: &BodyFacts<'_>) -> Result<Option<BodyRewriter>, BodyError> {
    let Some((coding, charset)) = rewritable(facts) else {
        return Ok(None);
    };
    let stage = match plan {
        BodyPlan::Pass | BodyPlan::Transform(_) => None,
        BodyPlan::Substitute(list) => Substitute::new(list)?.map(Stage::Substitute),
        BodyPlan::Links(links) => match document(facts.content_type) {
            None => None,
            Some(document) => Links::new(links)?.map(|links| match document {
                Document::Html => Stage::Html(Box::new(HtmlBody::new(links, charset))),
                Document::Css => Stage::Css(CssBody::new(links, charset.unwrap_or_default())),
            }),
        },
    };
    Ok(stage.map(|stage| BodyRewriter::new(coding, stage)))
}

/// Bytes of patterns that are made ready in a fraction of a millisecond.
const LIGHT: usize = 4 << 10;

/// Whether [`plan`] takes so long that others on the thread would notice.
pub fn is_heavy(plan: &BodyPlan) -> bool {
    let patterns = match plan {
        BodyPlan::Pass | BodyPlan::Transform(_) => return false,
        BodyPlan::Substitute(list) => list,
        BodyPlan::Links(links) => &links.urls,
    };
    let bytes = patterns.iter().map(|one| one.from.len() + one.to.len());
    bytes.sum::<usize>() > LIGHT
}

/// The coding and the charset, if the head names one.
fn rewritable(facts: &BodyFacts<'_>) -> Option<(Coding, Option<Charset>)> {
    let bodiless =
        facts.head_request || facts.status < 200 || matches!(facts.status, 204 | 205 | 304);
    let partial = facts.status == 206 || facts.content_range;
    if bodiless || partial || facts.no_transform {
        return None;
    }
    let coding = Coding::from_header(facts.content_encoding)?;
    let label = facts.content_type.and_then(charset::parameter);
    let charset = match label {
        Some(label) => Some(Charset::from_label(label)?),
        None => None,
    };
    Some((coding, charset))
}

/// Documents whose links are known.
#[derive(Clone, Copy)]
enum Document {
    Html,
    Css,
}

fn document(content_type: Option<&str>) -> Option<Document> {
    let essence = content_type?.split(';').next()?.trim();
    let is = |name: &str| essence.eq_ignore_ascii_case(name);
    if is("text/html") || is("application/xhtml+xml") {
        Some(Document::Html)
    } else if is("text/css") {
        Some(Document::Css)
    } else {
        None
    }
}
