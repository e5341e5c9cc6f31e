//! Packages, attempts and findings as JSON documents; the names are those of the REST calls.

use serde_json::{Value, json};

use crate::model::finding::Finding;
use crate::model::kind::Kind;
use crate::model::refusal::Refusal;
use crate::storage::journal::Package;
use crate::storage::journal::list::Attempt;

pub(super) fn package(package: &Package) -> Value {
    json!({
        "number": package.no,
        "packageId": package.package_id,
        "supplier": package.supplier,
        "type": package.header.package_type,
        "mode": package.header.mode.as_str(),
        "scope": package.header.scope.to_text(),
        "sequence": package.header.sequence,
        "test": package.header.test,
        "records": package.records,
        "contentBytes": package.content_bytes,
        "signerSha256": package.signer_sha256,
        "peer": package.peer,
        "receivedAt": package.received_at,
        "state": package.state,
        "stateTitle": package.state.title(),
        "stateAt": package.state_at,
        "reason": package.reason,
    })
}

pub(super) fn attempt(attempt: &Attempt) -> Value {
    let counts: Option<Value> =
        attempt.counts.as_deref().and_then(|counts| serde_json::from_str(counts).ok());
    json!({
        "id": attempt.id,
        "number": attempt.number,
        "previous": attempt.previous,
        "reason": attempt.reason,
        "actor": attempt.actor,
        "approved": attempt.approved,
        "requestedAt": attempt.requested_at,
        "startedAt": attempt.started_at,
        "finishedAt": attempt.finished_at,
        "nextTryAt": attempt.next_try_at,
        "tries": attempt.tries,
        "recordsDone": attempt.records_done,
        "findings": attempt.findings,
        "counts": counts,
        "outcome": attempt.outcome,
        "error": attempt.error,
    })
}

pub(super) fn finding(finding: &Finding) -> Value {
    json!({
        "code": finding.code.as_str(),
        "severity": finding.severity,
        "kind": finding.kind.map(Kind::element),
        "record": finding.record,
        "externalId": finding.external_id,
        "field": finding.field,
        "line": finding.line,
        "xpath": finding.xpath(),
        "text": finding.text(),
    })
}

pub(super) fn refusal(refusal: &Refusal) -> Value {
    json!({
        "code": refusal.code.as_str(),
        "title": refusal.code.text(),
        "detail": refusal.detail,
        "place": refusal.place,
    })
}
