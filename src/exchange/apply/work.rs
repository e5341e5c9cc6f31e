//! Records of one kind on their way through: what each means, what becomes of it.

use std::collections::HashMap;

use crate::model::finding::{Code, Finding, Severity};
use crate::model::kind::Kind;
use crate::model::package::Counts;
use crate::model::record::{Setting, Value};
use crate::model::spec::KindSpec;
use crate::normalise;
use crate::normalise::draft::Draft;
use crate::storage::db::{DbError, Tx};
use crate::storage::registry::change::{Change, Key, Stamp};
use crate::storage::registry::matching::Candidate;
use crate::storage::registry::reference::Known;
use crate::storage::registry::row::{self, Current};

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Created,
    Updated,
    Unchanged,
    Refused,
    Superseded,
}

/// One record.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) draft: Draft,
    /// Place of the row it means in [`Work::entities`].
    pub(super) entity: Option<usize>,
    /// Set once it is decided.
    pub(super) outcome: Option<Outcome>,
    /// Its resolved references, by place of the field.
    pub(super) known: Vec<(usize, Known)>,
    /// The reference that was not found.
    pub(super) missing: Option<(Kind, String)>,
}

/// A row being worked on.
#[derive(Debug)]
pub(super) struct Entity {
    pub(super) row: Current,
    pub(super) is_new: bool,
    pub(super) changed: bool,
    /// Newest entry of each column, read when an older record comes.
    pub(super) newest: Option<HashMap<String, Key>>,
}

/// Records of one kind and one package, and all that follows from them.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) spec: &'static KindSpec,
    pub(super) stamp: Stamp,
    pub(super) items: Vec<Item>,
    pub(super) entities: Vec<Entity>,
    pub(super) changes: Vec<Change>,
    /// Names bound to entities by this run.
    pub(super) bound: Vec<(String, i64)>,
    /// Names under which entities have changed.
    pub(super) touched: Vec<String>,
    pub(super) candidates: Vec<Candidate>,
}

impl Work {
    pub(super) fn new(kind: Kind, stamp: Stamp, drafts: Vec<Draft>) -> Self {
        let items = drafts.into_iter().map(Item::new).collect();
        Self {
            spec: normalise::spec(kind),
            stamp,
            items,
            entities: Vec::new(),
            changes: Vec::new(),
            bound: Vec::new(),
            touched: Vec::new(),
            candidates: Vec::new(),
        }
    }

    /// Sets aside what is unsound, and all but the last of what is sent again.
    pub(super) fn sift(&mut self) {
        let mut last: HashMap<String, (usize, u64)> = HashMap::with_capacity(self.items.len());
        let mut earlier = Vec::new();
        for (at, item) in self.items.iter_mut().enumerate() {
            if !item.draft.is_sound() {
                item.outcome = Some(Outcome::Refused);
                continue;
            }
            let place = (at, item.draft.number);
            if let Some((before, number)) = last.insert(item.draft.external_id.clone(), place) {
                earlier.push((before, number, item.draft.number));
            }
        }
        for (at, number, by) in earlier {
            let item = &mut self.items[at];
            item.outcome = Some(Outcome::Superseded);
            let detail = format!("записи {number} и {by}");
            item.draft.find(Code::DuplicateInPackage, None, Some(detail));
        }
    }

    /// Places of the records not yet decided.
    pub(super) fn live(&self) -> impl Iterator<Item = usize> + use<> {
        let live: Vec<usize> =
            (0..self.items.len()).filter(|&at| self.items[at].outcome.is_none()).collect();
        live.into_iter()
    }

    /// Refuses a record.
    pub(super) fn refuse(
        &mut self,
        at: usize,
        code: Code,
        field: Option<&str>,
        detail: Option<String>,
    ) {
        let item = &mut self.items[at];
        item.outcome = Some(Outcome::Refused);
        item.draft.find(code, field, detail);
        if let Some(finding) = item.draft.findings.last_mut() {
            finding.severity = Severity::Error;
        }
    }

    /// Names of the records not yet decided.
    pub(super) fn names(&self) -> Vec<Option<String>> {
        self.live().map(|at| Some(self.items[at].draft.external_id.clone())).collect()
    }

    /// Finds the rows of an owned kind; what has none gets a new one.
    pub(super) async fn load_owned(&mut self, tx: &mut Tx) -> Result<(), DbError> {
        let rows = row::by_external_ids(tx, self.spec, self.stamp.supplier, self.names()).await?;
        let mut found: HashMap<String, Current> =
            rows.into_iter().map(|row| (row.external_id.clone(), row)).collect();
        for at in self.live() {
            let name = self.items[at].draft.external_id.clone();
            match found.remove(&name) {
                Some(row) => self.attach(at, row),
                None => self.attach_new(at, 0),
            }
        }
        Ok(())
    }

    /// Makes a row the one that the record means.
    pub(super) fn attach(&mut self, at: usize, row: Current) {
        self.items[at].entity = Some(self.entities.len());
        self.entities.push(Entity { row, is_new: false, changed: false, newest: None });
    }

    /// Gives the record a row of its own; id 0 is replaced when it is written.
    pub(super) fn attach_new(&mut self, at: usize, id: i64) {
        let row = Current {
            id,
            version: 0,
            as_of: self.stamp.as_of,
            package_no: self.stamp.package_no,
            closed_at: None,
            external_id: self.items[at].draft.external_id.clone(),
            cells: vec![None; self.spec.fields.len()],
        };
        self.items[at].entity = Some(self.entities.len());
        self.entities.push(Entity { row, is_new: true, changed: false, newest: None });
    }

    /// The row of a record.
    pub(super) fn row(&self, at: usize) -> Option<&Current> {
        self.items[at].entity.map(|entity| &self.entities[entity].row)
    }

    /// What became of the records; they balance once every record is decided.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts { total: self.items.len() as u64, ..Counts::default() };
        for item in &self.items {
            match item.outcome {
                Some(Outcome::Created) => counts.created += 1,
                Some(Outcome::Updated) => counts.updated += 1,
                Some(Outcome::Unchanged) => counts.unchanged += 1,
                Some(Outcome::Superseded) => counts.superseded += 1,
                Some(Outcome::Refused) | None => counts.refused += 1,
            }
        }
        counts
    }

    /// Names that can now be referred to and could not before.
    pub(super) fn arrived(&self) -> Vec<String> {
        let created = self.items.iter().filter(|item| item.outcome == Some(Outcome::Created));
        let created = created.map(|item| item.draft.external_id.clone());
        created.chain(self.bound.iter().map(|(name, _)| name.clone())).collect()
    }

    /// Findings of all records.
    pub(super) fn take_findings(&mut self) -> Vec<Finding> {
        self.items.iter_mut().flat_map(|item| std::mem::take(&mut item.draft.findings)).collect()
    }
}

impl Item {
    fn new(draft: Draft) -> Self {
        Self { draft, entity: None, outcome: None, known: Vec::new(), missing: None }
    }

    /// The new value of a field, resolved references included.
    pub(super) fn value(&self, at: usize) -> Option<&Value> {
        match self.draft.settings.get(at) {
            Some(Setting::Set(value)) => Some(value),
            _ => None,
        }
    }
}
