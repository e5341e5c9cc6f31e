//! Our receipts as XML, `urn:kontingent:receipt:1.0` (`schemas/receipt/1.0/receipt.xsd`), not yet signed.

use chrono::{DateTime, SecondsFormat, Utc};

use crate::codec::xml::Writer;
use crate::model::finding::{Code, Finding};
use crate::model::ids::{PackageId, PackageNo};
use crate::model::kind::Kind;
use crate::model::package::{Counts, State};

/// Namespace of receipts.
pub const NAMESPACE: &str = "urn:kontingent:receipt:1.0";

/// Findings listed in one receipt; the rest is only counted.
pub const MAX_FINDINGS: usize = 20_000;

/// Bytes of most findings in a receipt, and of a signature.
const FINDING_BYTES: usize = 640;
const SIGNATURE_BYTES: usize = 8 << 10;

/// What every receipt says about its package.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// Our number.
    pub number: PackageNo,
    /// The supplier's id.
    pub package: PackageId,
    /// Mnemonic of the supplier.
    pub supplier: &'a str,
    /// SHA-256 of the document.
    pub sha256: &'a [u8],
    /// Length of the document.
    pub bytes: u64,
    /// Records in it.
    pub records: u64,
    /// Its number in the supplier's row.
    pub sequence: Option<u64>,
    /// When it was accepted.
    pub received_at: DateTime<Utc>,
}

/// What a final receipt says besides.
#[derive(Clone, Debug)]
pub struct Conclusion<'a> {
    /// Number of the attempt.
    pub attempt: u64,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// What became of the package: registered, rejected or failed.
    pub state: State,
    /// Why, unless it was registered.
    pub reason: Option<Code>,
    /// What became of the records, by place in [`Kind::ALL`].
    pub counts: &'a [Counts; Kind::ALL.len()],
    /// The first findings.
    pub findings: &'a [Finding],
    /// Findings in all.
    pub total_findings: u64,
}

/// The first receipt: the package is durable.
pub fn accepted(subject: &Subject<'_>) -> String {
    let mut out = begin(subject, 0);
    out.element("Status", "accepted");
    out.finish()
}

/// The final receipt: what became of each record.
pub fn concluded(subject: &Subject<'_>, conclusion: &Conclusion<'_>) -> String {
    let mut out = begin(subject, conclusion.attempt);
    out.element("Status", conclusion.state.as_str());
    out.start("Conclusion");
    out.start("Attempt").display(conclusion.attempt).end();
    out.element("FinishedAt", &instant(conclusion.finished_at));
    if let Some(code) = conclusion.reason {
        out.start("Reason").attribute("code", code.as_str()).text(code.text()).end();
    }
    for kind in Kind::ALL {
        block(&mut out, kind, conclusion.counts[kind.index()]);
    }
    let listed = &conclusion.findings[..conclusion.findings.len().min(MAX_FINDINGS)];
    out.reserve(listed.len() * FINDING_BYTES + SIGNATURE_BYTES);
    out.start("Findings")
        .attribute("total", &conclusion.total_findings.to_string())
        .attribute("listed", &listed.len().to_string());
    for one in listed {
        finding(&mut out, one);
    }
    out.finish()
}

fn begin(subject: &Subject<'_>, attempt: u64) -> Writer {
    let mut out = Writer::document();
    out.start("Receipt")
        .attribute("xmlns", NAMESPACE)
        .attribute("Id", &format!("receipt-{}-{attempt}", subject.number));
    out.start("Number").display(subject.number).end();
    out.start("PackageId").display(subject.package).end();
    out.element("Supplier", subject.supplier);
    out.element("Sha256", &hex(subject.sha256));
    out.start("Bytes").display(subject.bytes).end();
    out.start("Records").display(subject.records).end();
    if let Some(sequence) = subject.sequence {
        out.start("Sequence").display(sequence).end();
    }
    out.element("ReceivedAt", &instant(subject.received_at));
    out
}

fn block(out: &mut Writer, kind: Kind, counts: Counts) {
    if counts.total == 0 {
        return;
    }
    out.start("Block").attribute("name", kind.block());
    for (name, value) in [
        ("total", counts.total),
        ("created", counts.created),
        ("updated", counts.updated),
        ("unchanged", counts.unchanged),
        ("refused", counts.refused),
        ("superseded", counts.superseded),
    ] {
        out.attribute(name, &value.to_string());
    }
    out.end();
}

fn finding(out: &mut Writer, finding: &Finding) {
    out.start("Finding");
    out.element("Code", finding.code.as_str());
    out.element("Severity", finding.severity.as_str());
    if let Some(kind) = finding.kind {
        out.element("Kind", kind.element());
    }
    out.start("Record").display(finding.record).end();
    out.element("ExternalId", &finding.external_id);
    if let Some(field) = &finding.field {
        out.element("Field", field);
    }
    out.start("Line").display(finding.line).end();
    out.element("XPath", &finding.xpath());
    out.element("Text", &finding.text());
    out.end();
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}
