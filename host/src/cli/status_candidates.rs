//! Shadows and canaries, as `switchyard status` tells of them.

use std::fmt::Write as _;

use crate::admin::{CanaryReport, CandidateStatus, ShadowReport};

/// Decisions that differed; `--json` has more of them.
const EXAMPLES: usize = 3;

/// A policy's candidates, each with how it compares.
pub(super) fn candidates(out: &mut String, candidates: &[CandidateStatus]) {
    for candidate in candidates {
        if let Some(report) = &candidate.shadow {
            shadow(out, &candidate.binding, report);
        }
        if let Some(report) = &candidate.canary {
            canary(out, &candidate.binding, report);
        }
    }
}

// Writing to a string cannot fail.
fn shadow(out: &mut String, binding: &str, report: &ShadowReport) {
    let ShadowReport {
        agreed,
        differed,
        unanswered,
        skipped,
        distance,
        ..
    } = report;
    let _ = writeln!(
        out,
        "  shadow in {binding}: {agreed} agreed, {differed} differed, {unanswered} unanswered, {skipped} skipped"
    );
    if !report.shares.is_empty() {
        let apart = distance * 100.0;
        let _ = writeln!(out, "    shares of members, {apart:.1} % apart:");
    }
    for share in &report.shares {
        let (member, decided, candidate) = (&share.member, share.decided, share.candidate);
        let _ = writeln!(
            out,
            "      {member}  {decided} decided, {candidate} by the candidate"
        );
    }
    for example in report.examples.iter().take(EXAMPLES) {
        let (request, decided, candidate) =
            (&example.request, &example.decided, &example.candidate);
        let _ = writeln!(
            out,
            "    {request}: {decided}, by the candidate {candidate}"
        );
    }
}

fn canary(out: &mut String, binding: &str, report: &CanaryReport) {
    let state = &report.state;
    let ([answered, failed], [others, others_failed]) = (report.own, report.others);
    let _ = writeln!(
        out,
        "  canary in {binding}: {state}; {answered} requests by it ({failed} failed), {others} by others ({others_failed} failed)"
    );
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_candidates_would_have_done_is_told() {
        let example = json!({ "at": "", "request": "GET /a", "decided": "http://a", "candidate": "http://b" });
        let all: Vec<CandidateStatus> = serde_json::from_value(json!([
            { "binding": "default/shop", "role": "shadow", "digest": "", "shadow": {
                "agreed": 12, "differed": 4, "unanswered": 1, "skipped": 2, "distance": 0.125,
                "shares": [{ "member": "http://a", "decided": 10, "candidate": 8 }],
                "examples": [example, example, example, example],
            } },
            { "binding": "default/shop", "role": "canary", "digest": "", "canary": {
                "state": "running", "own": [5, 1], "others": [95, 0],
            } },
        ]))
        .unwrap();
        let mut out = String::new();
        candidates(&mut out, &all);
        let example = "    GET /a: http://a, by the candidate http://b\n".repeat(EXAMPLES);
        let expected = format!(
            "  shadow in default/shop: 12 agreed, 4 differed, 1 unanswered, 2 skipped\n    \
             shares of members, 12.5 % apart:\n      \
             http://a  10 decided, 8 by the candidate\n\
             {example}  canary in default/shop: running; 5 requests by it (1 failed), 95 by others (0 failed)\n"
        );
        assert_eq!(out, expected);
    }
}
