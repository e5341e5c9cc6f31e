//! The end of a full package: what it no longer mentions is closed, unless that is too much.
//!
//! Whether a package closes or deletes too much is decided before its first record is applied
//! ([`Applier::weigh`]), so that a held package has changed nothing.

use chrono::NaiveDate;

use crate::exchange::apply::Applier;
use crate::exchange::evidence::CLOSED_KINDS;
use crate::model::finding::{Code, Finding};
use crate::model::kind::Kind;
use crate::model::package::{Mode, Scope};
use crate::normalise;
use crate::storage::db::{DbError, Tx};
use crate::storage::registry::change::{self, Change};
use crate::storage::registry::snapshot::{self, Extent, Open};

/// Of so many open rows of a kind …
const GUARD_OF: u64 = 100;

/// … at most so many may be closed without an operator's word.
const GUARD_CLOSES: u64 = 20;

/// Of so many records of a kind that the supplier has …
const GUARD_OF_OWN: u64 = 100;

/// … at most so many may be deleted without an operator's word, beyond [`DELETES_UNASKED`].
///
/// [`DELETES_UNASKED`]: crate::exchange::evidence::DELETES_UNASKED
const GUARD_DELETES: u64 = 5;

/// Open rows read at a time, and closed in one transaction.
const PAGE: i64 = 500;

/// Where closing has got to; begins with [`Progress::default`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    kind: usize,
    after: String,
    closed: [u64; CLOSED_KINDS.len()],
}

impl Progress {
    /// One warning for each kind of which rows were closed.
    pub fn findings(&self) -> Vec<Finding> {
        let closed = CLOSED_KINDS.iter().zip(self.closed).filter(|(_, closed)| *closed > 0);
        closed
            .map(|(kind, closed)| {
                let detail = format!("{}: {closed}", kind.block());
                Finding::of_package(Code::ClosedBySnapshot, Some(detail))
            })
            .collect()
    }
}

impl Applier {
    /// Whether the package has to be weighed at all.
    pub fn may_take_away(&self) -> bool {
        self.header.mode == Mode::All || self.evidence.mass_deletions().next().is_some()
    }

    /// Says, before anything is applied, whether the package would close more than a fifth of the
    /// open rows of a kind in its scope, or delete more than a twentieth of the supplier's: one
    /// finding a kind, none when it may go ahead.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn weigh(&self, tx: &mut Tx) -> Result<Vec<Finding>, DbError> {
        let mut findings = self.weigh_closings(tx).await?;
        for (kind, deleted) in self.evidence.mass_deletions() {
            // So many make the share allowed; there is no need to count on.
            let enough = deleted.saturating_mul(GUARD_OF_OWN).div_ceil(GUARD_DELETES);
            let spec = normalise::spec(kind);
            let own = snapshot::count_living(tx, spec, self.stamp.supplier, enough).await?;
            if own < enough {
                let detail = format!("{}: {deleted} из {own}", kind.block());
                findings.push(Finding::of_package(Code::DeletingGuard, Some(detail)));
            }
        }
        Ok(findings)
    }

    async fn weigh_closings(&self, tx: &mut Tx) -> Result<Vec<Finding>, DbError> {
        let Some(extent) = self.extent(tx).await? else { return Ok(Vec::new()) };
        let mut findings = Vec::new();
        for kind in CLOSED_KINDS.into_iter().filter(|kind| self.covers(*kind)) {
            let (mut open, mut missing) = (0u64, 0u64);
            let mut after = String::new();
            loop {
                let spec = normalise::spec(kind);
                let rows = snapshot::open(tx, spec, &extent, &after, PAGE * 10).await?;
                let Some(last) = rows.last() else { break };
                after.clone_from(&last.external_id);
                open += rows.len() as u64;
                missing += rows.iter().filter(|row| !self.is_mentioned(kind, row)).count() as u64;
            }
            if missing * GUARD_OF > open * GUARD_CLOSES {
                let detail = format!("{}: {missing} из {open}", kind.block());
                findings.push(Finding::of_package(Code::ClosingGuard, Some(detail)));
            }
        }
        Ok(findings)
    }

    /// Closes the next rows that the package no longer mentions, in a transaction that the caller
    /// commits; to be called until it says that none are left.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn close(&self, tx: &mut Tx, progress: &mut Progress) -> Result<bool, DbError> {
        let Some(extent) = self.extent(tx).await? else { return Ok(false) };
        while let Some(&kind) = CLOSED_KINDS.get(progress.kind) {
            let spec = normalise::spec(kind);
            let mut rows = Vec::new();
            if self.covers(kind) {
                rows = snapshot::open(tx, spec, &extent, &progress.after, PAGE).await?;
            }
            let Some(last) = rows.last() else {
                progress.kind += 1;
                progress.after.clear();
                continue;
            };
            progress.after.clone_from(&last.external_id);
            rows.retain(|row| !self.is_mentioned(kind, row));
            if rows.is_empty() {
                continue;
            }
            progress.closed[progress.kind] += rows.len() as u64;
            let first = self.ids.take_in(tx, change::table(kind), rows.len()).await?.start;
            let day = self.stamp.as_of.date_naive();
            let ends = spec.column("to_date").is_some();
            let changes = rows.iter().map(|row| self.closing(row, ends, day)).collect();
            change::append(tx, kind, &extent.stamp, first, changes).await?;
            snapshot::close(tx, spec, &extent, rows.iter().map(|row| row.id).collect()).await?;
            return Ok(true);
        }
        Ok(false)
    }

    fn closing(&self, row: &Open, ends: bool, day: NaiveDate) -> Change {
        let records: u64 = self.header.counts.iter().map(|(_, count)| count).sum();
        let at = snapshot::instant(self.stamp.as_of);
        let fields = if ends {
            format!("{{\"closed_at\":\"{at}\",\"to_date\":\"{day}\"}}")
        } else {
            format!("{{\"closed_at\":\"{at}\"}}")
        };
        let record = i64::try_from(records + 1).unwrap_or(i64::MAX);
        Change { entity_id: row.id, record, fields }
    }

    fn is_mentioned(&self, kind: Kind, row: &Open) -> bool {
        self.evidence.mentions(kind, &row.external_id)
    }

    /// A full package speaks of the kinds whose blocks its header counts, be it with 0.
    fn covers(&self, kind: Kind) -> bool {
        self.header.counts.iter().any(|(block, _)| *block == kind)
    }

    /// What a full package covers; `None` for changes, and for an organisation not known yet.
    async fn extent(&self, tx: &mut Tx) -> Result<Option<Extent>, DbError> {
        if self.header.mode != Mode::All {
            return Ok(None);
        }
        let organisation = match &self.header.scope {
            Scope::Region => None,
            Scope::Organisation(name) => {
                let found = snapshot::organisation(tx, &self.stamp, name).await?;
                if found.is_none() {
                    return Ok(None);
                }
                found
            }
        };
        let school_year = self.header.school_year.clone();
        Ok(Some(Extent { stamp: self.stamp, organisation, school_year }))
    }
}
