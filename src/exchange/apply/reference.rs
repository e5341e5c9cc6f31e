//! References from record to record: the supplier's ids become registry ids.

use std::collections::{HashMap, HashSet};

use xxhash_rust::xxh3::xxh3_128;

use crate::exchange::apply::Applier;
use crate::exchange::apply::work::{Outcome, Work};
use crate::model::finding::Code;
use crate::model::kind::Kind;
use crate::model::package::Header;
use crate::model::record::{Setting, Value};
use crate::normalise;
use crate::storage::db::{DbError, Tx};
use crate::storage::registry::reference::{self, Known};

/// References remembered at most (7 MB: as many as fill the table before it doubles); when full,
/// all are forgotten.
const REMEMBERED: usize = 114_000;

/// What the supplier's ids of earlier batches mean, by hash of kind and id.
#[derive(Debug)]
pub(super) struct References {
    known: HashMap<u128, Known>,
}

fn is_referred_to(kind: Kind) -> bool {
    kind.is_matched() || kind == Kind::ClassGroup
}

fn hash(kind: Kind, external_id: &str) -> u128 {
    xxh3_128(external_id.as_bytes()) ^ (kind.index() as u128)
}

impl References {
    /// None yet, with room for those of this package.
    pub(super) fn of(header: &Header) -> Self {
        let counts = header.counts.iter().filter(|(kind, _)| is_referred_to(*kind));
        let expected: u64 = counts.map(|(_, count)| count).sum();
        let room =
            usize::try_from(expected).map_or(REMEMBERED, |expected| expected.min(REMEMBERED));
        Self { known: HashMap::with_capacity(room) }
    }

    fn get(&self, kind: Kind, external_id: &str) -> Option<Known> {
        self.known.get(&hash(kind, external_id)).copied()
    }

    fn put(&mut self, kind: Kind, external_id: &str, known: Known) {
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(hash(kind, external_id), known);
    }

    /// Remembers what the records of a run mean.
    pub(super) fn learn(&mut self, work: &Work) {
        let kind = work.spec.kind;
        if !is_referred_to(kind) {
            return;
        }
        for item in &work.items {
            if let (Some(entity), true) = (item.entity, item.outcome != Some(Outcome::Refused)) {
                let row = &work.entities[entity].row;
                let cell =
                    |column: &str| work.spec.column(column).and_then(|at| row.cells[at].as_ref());
                let number = |column: &str| match cell(column) {
                    Some(Value::Integer(number)) => Some(*number),
                    _ => None,
                };
                let born = match cell("birth_date") {
                    Some(Value::Date(date)) => Some(*date),
                    _ => None,
                };
                let known = Known {
                    id: row.id,
                    born,
                    organisation: number("organisation_id"),
                    parallel: number("parallel"),
                };
                self.put(kind, &item.draft.external_id, known);
            }
        }
    }
}

impl Applier {
    /// Puts registry ids in place of the supplier's; refuses what refers to nothing.
    pub(super) async fn resolve(&mut self, tx: &mut Tx, work: &mut Work) -> Result<(), DbError> {
        let mut wanted: HashMap<Kind, HashSet<&str>> = HashMap::new();
        for at in work.live() {
            for setting in &work.items[at].draft.settings {
                if let Setting::Refer(kind, name) = setting
                    && self.references.get(*kind, name).is_none()
                {
                    wanted.entry(*kind).or_default().insert(name);
                }
            }
        }
        let mut found = Vec::new();
        for (kind, names) in wanted {
            let names = names.into_iter().map(|name| Some(name.to_owned())).collect();
            let table = normalise::spec(kind).table;
            let known = reference::find(tx, kind, table, self.stamp.supplier, names).await?;
            found.push((kind, known));
        }
        let mut here = HashMap::new();
        for (kind, known) in found {
            for (name, known) in known {
                self.references.put(kind, &name, known);
                here.insert(hash(kind, &name), known);
            }
        }
        self.settle(work, &here);
        Ok(())
    }

    /// Resolves from what is known; a record may refer to another of its own run, unless that
    /// one is refused, so refusals go on until none follows.
    fn settle(&self, work: &mut Work, found: &HashMap<u128, Known>) {
        let kind = work.spec.kind;
        loop {
            let mut own = HashMap::new();
            if kind.is_matched() {
                for at in work.live() {
                    if let Some(row) = work.row(at) {
                        own.insert(work.items[at].draft.external_id.clone(), row.id);
                    }
                }
            }
            let mut refused = false;
            for at in work.live() {
                let mut missing = None;
                for setting in &work.items[at].draft.settings {
                    let Setting::Refer(to, name) = setting else { continue };
                    let here = *to == kind && own.contains_key(name);
                    let known = found.contains_key(&hash(*to, name))
                        || self.references.get(*to, name).is_some();
                    if !(here || known) {
                        missing = Some((*to, name.clone()));
                    }
                }
                if let Some((to, name)) = missing {
                    refused = true;
                    work.items[at].missing = Some((to, name));
                    let field = field_of(work, at);
                    let detail = format!("нет записи {}", to.element());
                    work.refuse(at, Code::ReferenceMissing, field, Some(detail));
                }
            }
            if !refused {
                self.replace(work, &own, found);
                return;
            }
        }
    }

    fn replace(&self, work: &mut Work, own: &HashMap<String, i64>, found: &HashMap<u128, Known>) {
        let kind = work.spec.kind;
        for at in work.live() {
            let item = &mut work.items[at];
            for (place, setting) in item.draft.settings.iter_mut().enumerate() {
                let Setting::Refer(to, name) = setting else { continue };
                let here = own.get(name.as_str()).filter(|_| *to == kind);
                let here = here.map(|&id| Known { id, ..Known::default() });
                let known = here
                    .or_else(|| found.get(&hash(*to, name)).copied())
                    .or_else(|| self.references.get(*to, name));
                if let Some(known) = known {
                    item.known.push((place, known));
                    *setting = Setting::Set(Value::Integer(known.id));
                }
            }
        }
    }
}

/// Element of the field whose reference is missing.
fn field_of(work: &Work, at: usize) -> Option<&'static str> {
    let missing = work.items[at].missing.as_ref()?;
    let settings = &work.items[at].draft.settings;
    let place = settings.iter().position(|setting| {
        matches!(setting, Setting::Refer(kind, name)
            if *kind == missing.0 && *name == missing.1)
    })?;
    Some(work.spec.fields[place].element)
}
