//! Merging records into rows, field by field, and writing what has changed.

use crate::exchange::apply::Applier;
use crate::exchange::apply::work::{Outcome, Work};
use crate::exchange::evidence::DELETED_KINDS;
use crate::model::finding::Code;
use crate::model::kind::Kind;
use crate::model::record::{Setting, Value};
use crate::storage::db::{DbError, Tx};
use crate::storage::registry::change::{self, CLOSED_AT, Change, Key};
use crate::storage::registry::deferred::{self, Parked};
use crate::storage::registry::row::Current;
use crate::storage::registry::{matching, reference, row, snapshot};

/// What a record changes of its row.
struct Difference {
    /// Places of fields whose value differs.
    fields: Vec<usize>,
    /// The row is closed, and the record opens it again.
    reopens: bool,
}

impl Applier {
    /// Merges the records into their rows, in the order of the document.
    pub(super) async fn merge(&self, tx: &mut Tx, work: &mut Work) -> Result<(), DbError> {
        self.read_history(tx, work).await?;
        let unnumbered = work.live().filter(|&at| work.row(at).is_some_and(|row| row.id == 0));
        let unnumbered: Vec<usize> = unnumbered.collect();
        let first = self.ids.take_in(tx, "entity", unnumbered.len()).await?.start;
        for (at, id) in unnumbered.into_iter().zip(first..) {
            if let Some(entity) = work.items[at].entity {
                work.entities[entity].row.id = id;
            }
        }
        for at in work.live() {
            merge_one(work, at);
        }
        Ok(())
    }

    /// Reads the history of rows that have something at least as new as a record that would
    /// change them.
    async fn read_history(&self, tx: &mut Tx, work: &mut Work) -> Result<(), DbError> {
        let stamp = work.stamp;
        let mut old = Vec::new();
        for at in work.live() {
            let Some(entity) = work.items[at].entity else { continue };
            let row = &work.entities[entity].row;
            let newer = (stamp.as_of, stamp.package_no) > (row.as_of, row.package_no);
            if !(newer || work.entities[entity].is_new) && difference(work, at).is_some() {
                old.push(Some(row.id));
            }
        }
        old.sort_unstable();
        old.dedup();
        let mut newest = change::newest(tx, work.spec.kind, old).await?;
        for entity in &mut work.entities {
            entity.newest = newest.remove(&entity.row.id);
        }
        Ok(())
    }

    /// Writes rows, history, registrations, candidates and what has to wait.
    pub(super) async fn write(&mut self, tx: &mut Tx, work: &mut Work) -> Result<(), DbError> {
        let (spec, stamp) = (work.spec, work.stamp);
        let mut created = Vec::new();
        let mut updated = Vec::new();
        for entity in work.entities.iter_mut().filter(|entity| entity.changed) {
            let row = &mut entity.row;
            let cells = std::mem::take(&mut row.cells);
            let external_id = std::mem::take(&mut row.external_id);
            let row = Current { external_id, cells, ..*row };
            if entity.is_new {
                created.push(row);
            } else {
                updated.push(row);
            }
        }
        let memberships = if spec.kind == Kind::Membership {
            created.iter().chain(&updated).map(|row| row.id).collect()
        } else {
            Vec::new()
        };
        row::insert(tx, spec, &stamp, created).await?;
        row::update(tx, spec, updated).await?;
        if spec.kind.is_matched() {
            let bound = std::mem::take(&mut work.bound);
            let refused = |name: &str| {
                let mut items = work.items.iter();
                items.any(|item| {
                    item.outcome == Some(Outcome::Refused) && item.draft.external_id == name
                })
            };
            let any_refused = work.items.iter().any(|item| item.outcome == Some(Outcome::Refused));
            let bound: Vec<(String, i64)> =
                bound.into_iter().filter(|(name, _)| !(any_refused && refused(name))).collect();
            work.bound.clone_from(&bound);
            let package = stamp.package_no;
            reference::register(tx, spec.kind, stamp.supplier, package, bound).await?;
            let touched = std::mem::take(&mut work.touched);
            reference::note_change(tx, spec.kind, stamp.supplier, package, touched).await?;
        }
        let changes = std::mem::take(&mut work.changes);
        let first = self.ids.take_in(tx, change::table(spec.kind), changes.len()).await?.start;
        change::append(tx, spec.kind, &stamp, first, changes).await?;
        matching::note_candidates(tx, stamp.package_no, &work.candidates).await?;
        self.note_overlaps(tx, work, memberships).await?;
        self.park(tx, work).await
    }

    async fn note_overlaps(
        &self,
        tx: &mut Tx,
        work: &mut Work,
        memberships: Vec<i64>,
    ) -> Result<(), DbError> {
        for id in snapshot::overlapping(tx, memberships).await? {
            let at = work.live_or_done().find(|&at| work.row(at).is_some_and(|row| row.id == id));
            if let Some(at) = at {
                work.items[at].draft.find(Code::MembershipOverlap, None, None);
            }
        }
        Ok(())
    }

    /// Parks records that refer to what is not there yet.
    async fn park(&mut self, tx: &mut Tx, work: &Work) -> Result<(), DbError> {
        let late = work.items.iter().filter(|item| item.missing.is_some());
        let late: Vec<_> = late.collect();
        if late.is_empty() {
            return Ok(());
        }
        self.waiting = true;
        let first = self.ids.take_in(tx, "deferred_record", late.len()).await?.start;
        let mut parked = Vec::with_capacity(late.len());
        for (item, id) in late.into_iter().zip(first..) {
            let Some((missing_kind, missing)) = item.missing.clone() else { continue };
            parked.push(Parked {
                id,
                record: record_number(item.draft.number),
                external_id: item.draft.external_id.clone(),
                draft: crate::exchange::apply::revive::write_draft(&item.draft),
                missing_kind,
                missing,
            });
        }
        deferred::park(tx, work.spec.kind, &work.stamp, parked).await
    }
}

impl Work {
    fn live_or_done(&self) -> impl Iterator<Item = usize> + use<> {
        0..self.items.len()
    }
}

/// Record numbers fit: packages have fewer records than that.
pub(super) fn record_number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What the record would change; `None` when nothing.
fn difference(work: &Work, at: usize) -> Option<Difference> {
    let item = &work.items[at];
    let entity = &work.entities[item.entity?];
    let cells = &entity.row.cells;
    let mut fields = Vec::new();
    for (place, setting) in item.draft.settings.iter().enumerate() {
        let differs = match setting {
            Setting::Keep | Setting::Refer(..) => false,
            Setting::Clear => cells[place].is_some() || (entity.is_new && !entity.changed),
            Setting::Set(value) => cells[place].as_ref() != Some(value),
        };
        if differs {
            fields.push(place);
        }
    }
    let reopens = entity.row.closed_at.is_some();
    let first = entity.is_new && !entity.changed;
    (first || reopens || !fields.is_empty()).then_some(Difference { fields, reopens })
}

fn merge_one(work: &mut Work, at: usize) {
    let Some(place) = work.items[at].entity else { return };
    let Some(mut change) = difference(work, at) else {
        work.items[at].outcome = Some(Outcome::Unchanged);
        return;
    };
    let record = record_number(work.items[at].draft.number);
    let stamp = work.stamp;
    let key: Key = (stamp.as_of, stamp.package_no, record);
    let entity = &work.entities[place];
    let first = entity.is_new && !entity.changed;
    if let Some(newest) = &entity.newest {
        let spec = work.spec;
        let stale = |column: &str| newest.get(column).is_some_and(|newest| *newest > key);
        change.fields.retain(|&field| !stale(spec.fields[field].column));
        change.reopens = change.reopens && !stale(CLOSED_AT);
        if change.fields.is_empty() && !change.reopens {
            work.items[at].outcome = Some(Outcome::Superseded);
            work.items[at].draft.find(Code::Superseded, None, None);
            return;
        }
    }
    if change.reopens {
        forget_end(work, at, place, &mut change);
    }
    if first && DELETED_KINDS.contains(&work.spec.kind) && work.items[at].draft.deletes() {
        // It stays as a deleted row, lest an older package that comes later bring it to life.
        work.items[at].draft.find(Code::DeleteUnknown, Some("Deleted"), None);
    }
    let fields = take_over(work, at, place, &change);
    let entity = &mut work.entities[place];
    entity.changed = true;
    if (stamp.as_of, stamp.package_no) > (entity.row.as_of, entity.row.package_no) {
        entity.row.as_of = stamp.as_of;
        entity.row.package_no = stamp.package_no;
    }
    if let Some(newest) = &mut entity.newest {
        for &field in &change.fields {
            newest.insert(work.spec.fields[field].column.to_owned(), key);
        }
    }
    let entity_id = entity.row.id;
    work.changes.push(Change { entity_id, record, fields });
    work.items[at].outcome = Some(if first { Outcome::Created } else { Outcome::Updated });
    if work.spec.kind.is_matched() && !first {
        let name = work.items[at].draft.external_id.clone();
        work.touched.push(name);
    }
}

/// A row that a snapshot closed got its end from there; opened again without a word of its end,
/// it has none.
fn forget_end(work: &mut Work, at: usize, place: usize, change: &mut Difference) {
    let Some(field) = work.spec.column("to_date") else { return };
    let row = &work.entities[place].row;
    let closed = row.closed_at.map(|closed| Value::Date(closed.date_naive()));
    let silent = matches!(work.items[at].draft.settings[field], Setting::Keep);
    if silent && row.cells[field].is_some() && row.cells[field] == closed {
        work.items[at].draft.settings[field] = Setting::Clear;
        change.fields.push(field);
    }
}

/// Puts the new values into the row; returns them as the history writes them.
fn take_over(work: &mut Work, at: usize, place: usize, change: &Difference) -> String {
    let mut json = String::with_capacity(32 + change.fields.len() * 32);
    json.push('{');
    let row = &mut work.entities[place].row;
    for &field in &change.fields {
        if json.len() > 1 {
            json.push(',');
        }
        json.push('"');
        json.push_str(work.spec.fields[field].column);
        json.push_str("\":");
        let setting = std::mem::replace(&mut work.items[at].draft.settings[field], Setting::Keep);
        let value = match setting {
            Setting::Set(value) => Some(value),
            _ => None,
        };
        push_json(&mut json, value.as_ref());
        row.cells[field] = value;
    }
    if change.reopens {
        row.closed_at = None;
        json.push_str(if json.len() > 1 { ",\"closed_at\":null" } else { "\"closed_at\":null" });
    }
    json.push('}');
    json
}

fn push_json(json: &mut String, value: Option<&Value>) {
    match value {
        None => json.push_str("null"),
        Some(Value::Text(text)) if text.bytes().all(is_plain) => {
            json.push('"');
            json.push_str(text);
            json.push('"');
        }
        Some(value) => json.push_str(&value.to_json().to_string()),
    }
}

fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\'
}
