//! What has become of the records of an attempt so far.

use std::collections::BTreeMap;

use crate::codec::receipt::MAX_FINDINGS;
use crate::exchange::apply::BatchResult;
use crate::model::finding::{Code, Finding};
use crate::model::ids::AttemptId;
use crate::model::kind::Kind;
use crate::model::package::Counts;
use crate::storage::db::{Db, DbError};
use crate::storage::journal::attempt::Claimed;
use crate::storage::journal::conclude;

/// So many records of other people's organisations in a package are taken for mistakes.
const FORBIDDEN_UNNOTICED: usize = 10;

/// Counts and findings of an attempt.
#[derive(Debug)]
pub(super) struct Tally {
    attempt: AttemptId,
    /// By place in [`Kind::ALL`].
    pub(super) counts: [Counts; Kind::ALL.len()],
    /// Records done.
    pub(super) records: u64,
    /// The first findings, as many as a receipt lists.
    pub(super) listed: Vec<Finding>,
    /// Findings in all.
    pub(super) findings: u64,
    /// Findings not yet written.
    unwritten: Vec<Finding>,
}

impl Tally {
    /// Goes on from what an earlier try has committed.
    pub(super) async fn resume(db: &Db, claimed: &Claimed) -> Result<Self, DbError> {
        let mut tally = Self {
            attempt: claimed.attempt,
            counts: [Counts::default(); Kind::ALL.len()],
            records: claimed.records_done,
            listed: Vec::new(),
            findings: claimed.findings,
            unwritten: Vec::new(),
        };
        let stored: BTreeMap<Kind, Counts> = claimed
            .counts
            .as_deref()
            .and_then(|counts| serde_json::from_str(counts).ok())
            .unwrap_or_default();
        for (kind, counts) in stored {
            tally.counts[kind.index()] = counts;
        }
        if claimed.findings > 0 {
            let most = MAX_FINDINGS as u64;
            tally.listed = conclude::findings(db, claimed.attempt, 0, most).await?;
        }
        Ok(tally)
    }

    /// Adds the result of a batch.
    pub(super) fn add(&mut self, result: BatchResult) {
        for (kind, counts) in result.counts {
            self.counts[kind.index()].add(counts);
            self.records += counts.total;
        }
        self.find(result.findings);
    }

    /// Adds findings.
    pub(super) fn find(&mut self, findings: Vec<Finding>) {
        self.findings += findings.len() as u64;
        let room = MAX_FINDINGS - self.listed.len().min(MAX_FINDINGS);
        self.listed.extend(findings.iter().take(room).cloned());
        self.unwritten.extend(findings);
    }

    /// The findings to write in this transaction, with their numbers.
    pub(super) fn unwritten(&self) -> Vec<(AttemptId, u64, &Finding)> {
        let first = self.findings - self.unwritten.len() as u64 + 1;
        let numbered = (first..).zip(&self.unwritten);
        numbered.map(|(number, finding)| (self.attempt, number, finding)).collect()
    }

    /// The transaction that wrote them was committed.
    pub(super) fn written(&mut self) {
        self.unwritten.clear();
    }

    /// Counts of the kinds there were, as JSON.
    pub(super) fn counts_json(&self) -> String {
        let counts: BTreeMap<Kind, Counts> = Kind::ALL
            .into_iter()
            .map(|kind| (kind, self.counts[kind.index()]))
            .filter(|(_, counts)| counts.total > 0)
            .collect();
        serde_json::to_string(&counts).unwrap_or_default()
    }

    /// What a person should look at: the supplier does something wrong as a whole.
    pub(super) fn alerts(&self) -> impl Iterator<Item = Code> {
        let with = |code: Code| self.listed.iter().filter(move |finding| finding.code == code);
        let rejected = with(Code::AllRejected).next().map(|finding| finding.code);
        let forbidden = with(Code::ScopeForbidden).nth(FORBIDDEN_UNNOTICED);
        rejected.into_iter().chain(forbidden.map(|finding| finding.code))
    }

    /// What is to be said of the package as a whole, once all its records are known.
    pub(super) fn summary(&self, test: bool) -> Vec<Finding> {
        let refused: u64 = self.counts.iter().map(|counts| counts.refused).sum();
        let mut findings = Vec::new();
        if self.records == 0 {
            findings.push(Finding::of_package(Code::EmptyPackage, None));
        } else if refused == self.records {
            findings.push(Finding::of_package(Code::AllRejected, None));
        }
        if test {
            findings.push(Finding::of_package(Code::TestPackage, None));
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_records_of_other_organisations_and_only_bad_ones_call_for_a_person() {
        let with = |codes: &[(Code, usize)]| {
            let listed = codes.iter().flat_map(|(code, count)| {
                std::iter::repeat_n(Finding::of_package(*code, None), *count)
            });
            let tally = Tally {
                attempt: AttemptId(1),
                counts: [Counts::default(); Kind::ALL.len()],
                records: 20,
                listed: listed.collect(),
                findings: 20,
                unwritten: Vec::new(),
            };
            tally.alerts().collect::<Vec<Code>>()
        };
        assert_eq!(with(&[(Code::ScopeForbidden, 10), (Code::Required, 90)]), []);
        assert_eq!(
            with(&[(Code::ScopeForbidden, 11), (Code::AllRejected, 1)]),
            [Code::AllRejected, Code::ScopeForbidden]
        );
    }
}
