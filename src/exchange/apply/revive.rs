//! Parked records: applied when the record they refer to has come.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value as Json, json};

use crate::exchange::apply::Applier;
use crate::exchange::apply::work::{Outcome, Work};
use crate::model::kind::Kind;
use crate::model::record::{Setting, Value};
use crate::model::spec::FieldType;
use crate::normalise;
use crate::normalise::draft::Draft;
use crate::storage::db::{DbError, Tx};
use crate::storage::registry::change::Stamp;
use crate::storage::registry::deferred::{self, Due};

impl Applier {
    /// Applies parked records that waited for those which have just arrived. What they were
    /// counted as in their own package stays as it is.
    pub(super) async fn revive(
        &mut self,
        tx: &mut Tx,
        mut arrived: Vec<(Kind, Vec<String>)>,
    ) -> Result<(), DbError> {
        while let Some((kind, names)) = arrived.pop() {
            let names: Vec<Option<String>> = names.into_iter().map(Some).collect();
            let due = deferred::due(tx, self.stamp.supplier, kind, names).await?;
            for ((kind, package_no, as_of), due) in by_origin(due) {
                let stamp = Stamp { supplier: self.stamp.supplier, package_no, as_of };
                let read = |due: &Due| Some((read_draft(due.kind, &due.draft)?, due.id));
                let (drafts, ids): (Vec<Draft>, Vec<i64>) = due.iter().filter_map(read).unzip();
                let numbers = drafts.iter().map(|draft| draft.number);
                let ids: BTreeMap<u64, i64> = numbers.zip(ids).collect();
                let mut work = Work::new(kind, stamp, drafts);
                Box::pin(self.run(tx, &mut work)).await?;
                let applied =
                    work.items.iter().filter(|item| item.outcome != Some(Outcome::Refused));
                let applied = applied.filter_map(|item| ids.get(&item.draft.number).copied());
                let applied: Vec<i64> = applied.collect();
                deferred::applied(tx, self.stamp.package_no, applied).await?;
                arrived.push((kind, work.arrived()));
            }
        }
        Ok(())
    }
}

type Origin = (Kind, i64, DateTime<Utc>);

fn by_origin(due: Vec<Due>) -> BTreeMap<Origin, Vec<Due>> {
    let mut groups: BTreeMap<Origin, Vec<Due>> = BTreeMap::new();
    for due in due {
        groups.entry((due.kind, due.package_no, due.as_of)).or_default().push(due);
    }
    groups
}

/// A judged record as it is parked.
pub(super) fn write_draft(draft: &Draft) -> String {
    let spec = normalise::spec(draft.kind);
    let mut fields = Map::new();
    for (field, setting) in spec.fields.iter().zip(&draft.settings) {
        let json = match setting {
            Setting::Keep => continue,
            Setting::Clear => Json::Null,
            Setting::Set(value) => value.to_json(),
            Setting::Refer(_, name) => name.as_str().into(),
        };
        fields.insert(field.column.to_owned(), json);
    }
    json!({
        "number": draft.number,
        "line": draft.line,
        "external_id": draft.external_id,
        "fields": fields,
    })
    .to_string()
}

fn read_draft(kind: Kind, json: &Json) -> Option<Draft> {
    let spec = normalise::spec(kind);
    let fields = json.get("fields")?.as_object()?;
    let settings = spec.fields.iter().map(|field| match fields.get(field.column) {
        None => Setting::Keep,
        Some(Json::Null) => Setting::Clear,
        Some(json) => match (field.ty, json.as_str()) {
            (FieldType::Ref(kind), Some(name)) => Setting::Refer(kind, name.to_owned()),
            (ty, _) => Value::from_json(ty.storage(), json).map_or(Setting::Keep, Setting::Set),
        },
    });
    Some(Draft {
        kind,
        number: json.get("number")?.as_u64()?,
        line: json.get("line")?.as_u64()?,
        external_id: json.get("external_id")?.as_str()?.to_owned(),
        settings: settings.collect(),
        lines: Vec::new(),
        findings: Vec::new(),
    })
}
