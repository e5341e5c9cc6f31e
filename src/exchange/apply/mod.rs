//! Applying records: judged drafts become registry rows and history, a batch a transaction.
//!
//! The caller reads records, judges them ([`Batch::judge`]: pure computing, fit for another
//! thread), opens a transaction, calls [`Applier::apply`], and commits. After an error or a
//! transaction that did not commit, the [`Applier`] is of no more use: make a new one.

mod cross;
mod merge;
mod organisation;
mod person;
mod reference;
mod revive;
mod work;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::exchange::apply::reference::References;
use crate::exchange::apply::work::Work;
use crate::exchange::evidence::Evidence;
use crate::model::finding::{Code, Finding};
use crate::model::ids::PackageNo;
use crate::model::kind::Kind;
use crate::model::package::{Counts, Header};
use crate::model::record::RawRecord;
use crate::normalise;
use crate::normalise::draft::{Draft, Rules};
use crate::storage::db::{Db, DbError, Tx};
use crate::storage::dictionary;
use crate::storage::ids::Ids;
use crate::storage::registry::change::Stamp;
use crate::storage::registry::{deferred, plan_for_growth};
use crate::storage::supplier::{self, Supplier};

/// What applying needs in every package; one a process, cheap to clone.
#[derive(Clone, Debug)]
pub struct Registry {
    db: Db,
    ids: Ids,
    dictionaries: dictionary::Cache,
}

/// Applies the records of one package, batch after batch, in the order of the document.
#[derive(Debug)]
pub struct Applier {
    pub(super) ids: Ids,
    pub(super) rules: Arc<Rules>,
    pub(super) stamp: Stamp,
    pub(super) header: Header,
    pub(super) evidence: Evidence,
    /// Organisations it may write, when it is limited to some.
    entrusted: Option<HashSet<i64>>,
    references: References,
    /// Whether records of the supplier may wait for references.
    waiting: bool,
}

/// Judged records, in the order of the document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    drafts: Vec<Draft>,
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchResult {
    /// Counts of each kind in it; they balance.
    pub counts: BTreeMap<Kind, Counts>,
    /// Findings, by number of the record.
    pub findings: Vec<Finding>,
}

impl Registry {
    /// Applies to this database.
    pub fn new(db: Db, ids: Ids) -> Self {
        Self { db, ids, dictionaries: dictionary::Cache::new() }
    }

    /// What the records of a supplier's package are judged by.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn rules(&self, supplier: &Supplier, header: &Header) -> Result<Arc<Rules>, DbError> {
        Ok(Arc::new(Rules {
            dictionaries: self.dictionaries.current(&self.db).await?,
            supplier: supplier.id.0,
            versions: header.dictionaries.clone(),
            strict_checksums: supplier.strict_checksums,
            today: header.snapshot_at.date_naive(),
        }))
    }

    /// Makes ready for the records of a package.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub async fn begin(
        &self,
        supplier: &Supplier,
        package: PackageNo,
        header: &Header,
    ) -> Result<Applier, DbError> {
        let rules = self.rules(supplier, header).await?;
        let entrusted = if supplier.limited {
            let ids = supplier::granted(&self.db, supplier.id).await?;
            Some(ids.into_iter().collect())
        } else {
            None
        };
        let stamp =
            Stamp { supplier: supplier.id, package_no: package.0, as_of: header.snapshot_at };
        Ok(Applier {
            ids: self.ids.clone(),
            rules,
            stamp,
            header: header.clone(),
            evidence: Evidence::default(),
            entrusted,
            references: References::of(header),
            waiting: deferred::any(&self.db, supplier.id).await?,
        })
    }
}

impl Batch {
    /// Judges records alone: lexical rules, codes, rules between fields.
    pub fn judge(records: &[RawRecord], rules: &Rules) -> Self {
        Self { drafts: records.iter().map(|record| normalise::record(record, rules)).collect() }
    }

    /// The judged records.
    pub fn drafts(&self) -> &[Draft] {
        &self.drafts
    }

    /// Number of records.
    pub fn records(&self) -> usize {
        self.drafts.len()
    }

    /// What judging alone says, for a package that must not change anything: sound records
    /// count as unchanged.
    pub fn into_verdict(self) -> BatchResult {
        let mut result = BatchResult::default();
        for draft in self.drafts {
            let counts = result.counts.entry(draft.kind).or_default();
            counts.total += 1;
            if draft.is_sound() {
                counts.unchanged += 1;
            } else {
                counts.refused += 1;
            }
            result.findings.extend(draft.findings);
        }
        result
    }
}

impl Applier {
    /// What records are judged by.
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules)
    }

    /// Tells what a first pass over the package has gathered; see
    /// [`evidence`](crate::exchange::evidence).
    pub fn inform(&mut self, evidence: Evidence) {
        self.evidence = evidence;
    }

    /// Findings about the package as a whole: dictionary versions that are not ours.
    pub fn package_findings(&self) -> Vec<Finding> {
        let unknown = self.rules.versions.iter().filter(|(dictionary, version)| {
            !self.rules.dictionaries.has_version(dictionary, version)
        });
        unknown
            .map(|(dictionary, version)| {
                let detail = format!("{dictionary}, {version}");
                Finding::of_package(Code::DictionaryVersion, Some(detail))
            })
            .collect()
    }

    /// Applies a batch in a transaction that the caller commits.
    ///
    /// # Errors
    /// Any [`DbError`]; after `Conflict` and `Duplicate` the batch may be tried again by a new
    /// applier.
    pub async fn apply(&mut self, tx: &mut Tx, batch: Batch) -> Result<BatchResult, DbError> {
        plan_for_growth(tx).await?;
        // Blocks come in the order of kinds.
        if batch.drafts.first().is_some_and(|draft| draft.kind > Kind::Person) {
            self.evidence.forget_persons();
        }
        let mut result = BatchResult::default();
        let mut drafts = batch.drafts.into_iter().peekable();
        let mut arrived = Vec::new();
        while let Some(kind) = drafts.peek().map(|draft| draft.kind) {
            let mut run = Vec::new();
            while let Some(draft) = drafts.next_if(|draft| draft.kind == kind) {
                run.push(draft);
            }
            let mut work = Work::new(kind, self.stamp, run);
            self.run(tx, &mut work).await?;
            if self.waiting {
                arrived.push((kind, work.arrived()));
            }
            result.counts.entry(kind).or_default().add(work.counts());
            result.findings.append(&mut work.take_findings());
        }
        self.revive(tx, arrived).await?;
        result.findings.sort_by_key(|finding| finding.record);
        Ok(result)
    }

    /// Applies records of one kind.
    async fn run(&mut self, tx: &mut Tx, work: &mut Work) -> Result<(), DbError> {
        work.sift();
        match work.spec.kind {
            Kind::Person => self.identify_persons(tx, work).await?,
            Kind::Organisation | Kind::ManagementBody => {
                self.identify_organisations(tx, work).await?;
            }
            _ => work.load_owned(tx).await?,
        }
        self.resolve(tx, work).await?;
        self.cross_check(work);
        self.merge(tx, work).await?;
        self.references.learn(work);
        self.write(tx, work).await
    }
}
