//! `package validate`: what the gateway and the worker would say of a file, without a database.
//!
//! Not judged: whether the certificate is registered for the supplier, its own dictionary codes,
//! and what records mean to each other and to the registry.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::codec::package::{Reader, Seen, Watch};
use crate::codec::xml;
use crate::codec::xmldsig::{Envelope, EnvelopedSignature, Outcome, Profile, verify_enveloped};
use crate::exchange::document;
use crate::model::dictionary::Dictionaries;
use crate::model::finding::{Code, Finding, Severity};
use crate::model::kind::Kind;
use crate::model::refusal::{Refusal, RefusalCode};
use crate::normalise::draft::Rules;
use crate::normalise::record;
use crate::ops::certificate;
use crate::ops::output::{plural, say, say_json};
use crate::ops::package::{describe, open};
use crate::trust::{SignerCertificate, TrustStore};

/// What files are judged by.
struct Bench {
    dictionaries: Arc<Dictionaries>,
    /// Trusted authorities, DER; when there are none, every certificate vouches for itself.
    authorities: Vec<Vec<u8>>,
    /// A failed check digit is an error.
    strict_checksums: bool,
    now: DateTime<Utc>,
}

/// A file whose signature and structure are right.
struct Verified {
    seen: Seen,
    signer: Arc<SignerCertificate>,
}

/// Findings of a package, counted.
#[derive(Default)]
struct Tally {
    errors: u64,
    warnings: u64,
}

/// Checks files and prints what was found; says whether none has an error.
///
/// # Errors
/// A file that cannot be read.
pub fn validate(
    files: &[PathBuf],
    authorities: &[PathBuf],
    strict_checksums: bool,
    json: bool,
    now: DateTime<Utc>,
) -> Result<bool> {
    let read = |file: &PathBuf| certificate::read(file).map(|facts| facts.der);
    let bench = Bench {
        dictionaries: Arc::new(Dictionaries::built_in()),
        authorities: authorities.iter().map(read).collect::<Result<_>>()?,
        strict_checksums,
        now,
    };
    let mut good = true;
    for file in files {
        good &= if json { bench.validate_json(file)? } else { bench.validate_text(file)? };
    }
    Ok(good)
}

impl Bench {
    fn validate_text(&self, file: &Path) -> Result<bool> {
        say(file.display().to_string());
        let refused = |refusal: &Refusal| {
            say(format!("  ОТКАЗ    {}", describe(refusal)));
            Ok(false)
        };
        let verified = match self.verify(file)? {
            Ok(verified) => verified,
            Err(refusal) => return refused(&refusal),
        };
        say_header(&verified);
        match self.judge(file, &verified.seen, &mut |finding| say(line(&finding)))? {
            Ok(tally) => {
                let errors = plural(tally.errors, ["ошибка", "ошибки", "ошибок"]);
                let forms = ["предупреждение", "предупреждения", "предупреждений"];
                say(format!("  итог     {errors}, {}", plural(tally.warnings, forms)));
                Ok(tally.errors == 0)
            }
            Err(refusal) => refused(&refusal),
        }
    }

    fn validate_json(&self, file: &Path) -> Result<bool> {
        let mut report = json!({ "file": file.display().to_string() });
        let mut findings = Vec::new();
        let checked = match self.verify(file)? {
            Err(refusal) => Err(refusal),
            Ok(verified) => {
                fill(&mut report, &verified);
                self.judge(file, &verified.seen, &mut |finding| {
                    findings.push(document::finding(&finding));
                })?
            }
        };
        let good = checked.as_ref().is_ok_and(|tally| tally.errors == 0);
        report["verdict"] = json!(if good { "accept" } else { "reject" });
        match checked {
            Ok(tally) => {
                report["errors"] = json!(tally.errors);
                report["warnings"] = json!(tally.warnings);
            }
            Err(refusal) => report["refusal"] = document::refusal(&refusal),
        }
        report["findings"] = Value::Array(findings);
        say_json(&report)?;
        Ok(good)
    }

    /// Reads the file once as the gateway does: signature, header, blocks, counts.
    fn verify(&self, file: &Path) -> Result<Result<Verified, Refusal>> {
        let mut profile = Profile::default();
        let envelope = Envelope::package(xml::Limits::default());
        for _ in 0..2 {
            let source = open(file).with_context(|| unreadable(file))?;
            let mut watch = Watch::new();
            let outcome = verify_enveloped(source, envelope, &profile, &mut |event, at| {
                watch.note(event, || at.place());
                Ok(())
            });
            match outcome {
                Ok(Outcome::Again(other)) => profile = other,
                Ok(Outcome::Signed(signature)) => {
                    let signer = self.signer(&signature);
                    return Ok(signer
                        .and_then(|signer| watch.finish().map(|seen| Verified { seen, signer })));
                }
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        Ok(Err(RefusalCode::SigTransform.into()))
    }

    /// Judges certificate and value of a signature.
    fn signer(&self, signature: &EnvelopedSignature) -> Result<Arc<SignerCertificate>, Refusal> {
        let own = self.authorities.is_empty();
        let anchors = if own { &signature.certificates } else { &self.authorities };
        let store = TrustStore::new(anchors).map_err(|_| RefusalCode::SigKeyInfo)?;
        store.verify(signature, self.now)
    }

    /// Reads the records as the worker does and judges each alone.
    fn judge(
        &self,
        file: &Path,
        seen: &Seen,
        tell: &mut dyn FnMut(Finding),
    ) -> Result<Result<Tally, Refusal>> {
        let rules = Rules {
            dictionaries: Arc::clone(&self.dictionaries),
            supplier: 0,
            versions: seen.header.dictionaries.clone(),
            strict_checksums: self.strict_checksums,
            today: seen.header.snapshot_at.date_naive(),
        };
        let mut tally = Tally::default();
        let mut note = |finding: Finding| {
            match finding.severity {
                Severity::Error => tally.errors += 1,
                Severity::Warning => tally.warnings += 1,
            }
            tell(finding);
        };
        of_package(seen, &rules).into_iter().for_each(&mut note);
        let mut reader = Reader::new(open(file).with_context(|| unreadable(file))?);
        loop {
            let raw = match reader.next_record() {
                Ok(Some(raw)) => raw,
                Ok(None) => return Ok(Ok(tally)),
                Err(refusal) => return Ok(Err(refusal)),
            };
            record(&raw, &rules).findings.into_iter().for_each(&mut note);
        }
    }
}

/// What is to be said of the package as a whole.
fn of_package(seen: &Seen, rules: &Rules) -> Vec<Finding> {
    let unknown = rules
        .versions
        .iter()
        .filter(|(dictionary, version)| !rules.dictionaries.has_version(dictionary, version));
    let mut findings: Vec<Finding> = unknown
        .map(|(dictionary, version)| {
            let detail = format!("{dictionary}, {version}");
            Finding::of_package(Code::DictionaryVersion, Some(detail))
        })
        .collect();
    if seen.records == 0 {
        findings.push(Finding::of_package(Code::EmptyPackage, None));
    }
    findings
}

fn say_header(verified: &Verified) {
    let (seen, header) = (&verified.seen, &verified.seen.header);
    say(format!("  пакет    {} поставщика {}", header.package_id, header.supplier));
    let scope = header.scope.to_text();
    say(format!("  тип      {}, {}, {scope}", header.package_type, header.mode.as_str()));
    say(format!("  подпись  верна: {}", verified.signer.facts.subject));
    let total = plural(seen.records, ["запись", "записи", "записей"]);
    let blocks: Vec<String> =
        counts(seen).map(|(kind, count)| format!("; {}: {count}", kind.title())).collect();
    say(format!("  состав   {total}{}", blocks.concat()));
}

fn fill(report: &mut Value, verified: &Verified) {
    let (seen, header) = (&verified.seen, &verified.seen.header);
    report["packageId"] = json!(header.package_id);
    report["supplier"] = json!(header.supplier);
    report["type"] = json!(header.package_type);
    report["mode"] = json!(header.mode.as_str());
    report["scope"] = json!(header.scope.to_text());
    report["signer"] = json!(verified.signer.facts.subject);
    report["records"] = json!(seen.records);
    let counts: BTreeMap<&str, u64> =
        counts(seen).map(|(kind, count)| (kind.block(), count)).collect();
    report["counts"] = json!(counts);
}

fn counts(seen: &Seen) -> impl Iterator<Item = (Kind, u64)> {
    Kind::ALL.into_iter().zip(seen.counts).filter(|(_, count)| *count > 0)
}

/// A finding in one line of text.
pub(super) fn line(finding: &Finding) -> String {
    let severity = match finding.severity {
        Severity::Error => "ошибка",
        Severity::Warning => "предупреждение",
    };
    let record = match finding.kind {
        Some(kind) => format!("{} «{}»", kind.element(), finding.external_id),
        None => "пакет".to_owned(),
    };
    let field = finding.field.as_ref().map(|field| format!(", {field}")).unwrap_or_default();
    format!(
        "  строка {:<8} {severity:<15} {:<22} {record}{field}: {}",
        finding.line,
        finding.code.as_str(),
        finding.text()
    )
}

fn unreadable(file: &Path) -> String {
    format!("не удалось прочитать файл {}", file.display())
}
