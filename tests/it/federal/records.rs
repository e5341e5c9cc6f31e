//! Records of suppliers, applied to the registry as a worker applies them.

use chrono::{DateTime, Utc};
use kontingent::exchange::apply::{Batch, Registry};
use kontingent::model::clock::Clock;
use kontingent::model::ids::{PackageId, PackageNo, SupplierId};
use kontingent::model::kind::Kind;
use kontingent::model::package::{Header, Mode, Scope};
use kontingent::model::record::{EXTERNAL_ID, RawField, RawRecord, RawValue};
use kontingent::storage::db::DbError;
use kontingent::storage::supplier::Supplier;
use uuid::Uuid;

use super::world::World;

/// A record: kind, external id, fields; an empty value clears.
pub(super) type Written<'a> = (Kind, String, Vec<(&'a str, String)>);

/// Records in the order of their blocks.
pub(super) fn raw(mut all: Vec<Written<'_>>) -> Vec<RawRecord> {
    all.sort_by_key(|(kind, ..)| kind.index());
    let record = |(at, (kind, id, fields)): (usize, Written<'_>)| RawRecord {
        kind,
        number: at as u64 + 1,
        line: at as u64 + 1,
        fields: [(EXTERNAL_ID, id)]
            .into_iter()
            .chain(fields)
            .map(|(name, value)| RawField {
                name: name.to_owned(),
                line: at as u64 + 1,
                value: if value.is_empty() { RawValue::Nil } else { RawValue::Text(value) },
            })
            .collect(),
    };
    all.into_iter().enumerate().map(record).collect()
}

/// Records from lines of words: kind, external id, `Field=value`; `_` stands for a blank.
pub(super) fn lines(text: &str) -> Vec<RawRecord> {
    let mut all = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let kind = Kind::of_element(words.next().unwrap()).unwrap();
        let id = words.next().unwrap().to_owned();
        let fields = words.map(|word| word.split_once('=').unwrap());
        let fields = fields.map(|(name, value)| (name, value.replace('_', " ")));
        all.push((kind, id, fields.collect()));
    }
    raw(all)
}

/// Applies a supplier's package of records that all are sound.
pub(super) async fn apply(
    world: &World,
    supplier: i64,
    number: usize,
    records: &[RawRecord],
    snapshot_at: DateTime<Utc>,
) -> Result<(), DbError> {
    let registry = Registry::new(world.db.clone(), world.ids.clone());
    let supplier = Supplier {
        id: SupplierId(supplier),
        mnemonic: format!("DIARY{supplier:04}"),
        name: "Дневник".to_owned(),
        kind: "diary".to_owned(),
        blocked: false,
        limited: false,
        strict_checksums: false,
        test_packages: false,
        other_encodings: false,
        created_at: Clock::System.now(),
    };
    let header = Header {
        package_id: PackageId(Uuid::new_v4()),
        supplier: supplier.mnemonic.clone(),
        schema_version: "1.0".to_owned(),
        package_type: "DIARY.PERSONS".to_owned(),
        mode: Mode::Updated,
        scope: Scope::Region,
        sequence: None,
        previous_sequence: None,
        snapshot_at,
        school_year: None,
        dictionaries: Vec::new(),
        counts: Vec::new(),
        test: false,
        correlation: None,
    };
    let package = PackageNo(supplier.id.0 * 1_000 + i64::try_from(number).unwrap());
    let mut applier = registry.begin(&supplier, package, &header).await?;
    let batch = Batch::judge(records, &applier.rules());
    let mut tx = world.db.begin().await?;
    let result = applier.apply(&mut tx, batch).await?;
    let refused: u64 = result.counts.values().map(|counts| counts.refused).sum();
    assert_eq!(refused, 0, "{:?}", result.findings);
    tx.commit().await
}
