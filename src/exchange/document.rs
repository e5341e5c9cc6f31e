//! Packages, attempts and findings as JSON documents: the same from REST and from the command line.

use serde_json::{Value, json};

use crate::codec::receipt::hex;
use crate::model::finding::Finding;
use crate::model::kind::Kind;
use crate::model::package::Fate;
use crate::model::refusal::Refusal;
use crate::storage::journal::Package;
use crate::storage::journal::list::Attempt;

/// A package as it stands.
pub fn package(package: &Package) -> Value {
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
        "sha256": hex(&package.sha256),
        "signerSha256": package.signer_sha256,
        "revocation": package.revocation,
        "peer": package.peer,
        "receivedAt": package.received_at,
        "state": package.state,
        "stateTitle": package.state.title(),
        "stateAt": package.state_at,
        "reason": package.reason,
    })
}

/// One attempt at processing it.
pub fn attempt(attempt: &Attempt) -> Value {
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

/// What was wrong with a record or the whole.
pub fn finding(finding: &Finding) -> Value {
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

/// Why a delivery was not taken.
pub fn refusal(refusal: &Refusal) -> Value {
    json!({
        "code": refusal.code.as_str(),
        "title": refusal.code.text(),
        "detail": refusal.detail,
        "place": refusal.place,
    })
}

/// What became of records that waited for a reference.
pub fn deferred(fate: Fate) -> Value {
    json!({ "waiting": fate.waiting, "applied": fate.applied, "expired": fate.expired })
}
