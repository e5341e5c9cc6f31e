//! Finding candidates: registered persons and organisations that a new record may mean.

use chrono::NaiveDate;

use crate::args;
use crate::model::ids::SupplierId;
use crate::model::kind::Kind;
use crate::storage::db::{DbError, Row, Tx};
use crate::storage::input::{Column, Input};
use crate::storage::registry::probe;

/// Advisory locks of registration: one of so many a key.
const LOCKS: i64 = 1 << 31;

/// Class of the advisory locks, to keep them apart from others.
const LOCK_CLASS: i64 = 0x6b6f_0001;

/// A registered person, as far as matching needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Registry id.
    pub id: i64,
    /// Insurance number.
    pub snils: Option<String>,
    /// Last name.
    pub last_name: String,
    /// First name.
    pub first_name: String,
    /// Patronymic.
    pub middle_name: Option<String>,
    /// Code of the sex.
    pub sex: String,
    /// Birth date.
    pub birth_date: NaiveDate,
    /// Hash of names and birth date.
    pub identity_key: i64,
}

const PERSON: &str =
    "p.id,p.snils,p.last_name,p.first_name,p.middle_name,p.sex,p.birth_date,p.identity_key";

fn read_person(row: &Row) -> Result<Person, DbError> {
    Ok(Person {
        id: row.get(0)?,
        snils: row.get(1)?,
        last_name: row.get(2)?,
        first_name: row.get(3)?,
        middle_name: row.get(4)?,
        sex: row.get(5)?,
        birth_date: row.get(6)?,
        identity_key: row.get(7)?,
    })
}

/// Keeps other transactions that register any of these keys waiting until this one ends.
/// On SQLite there is only one writer anyway.
///
/// # Errors
/// Any [`DbError`].
pub async fn lock(tx: &mut Tx, keys: impl Iterator<Item = i64>) -> Result<(), DbError> {
    if !tx.is_postgres() {
        return Ok(());
    }
    let mut buckets: Vec<i64> = keys.map(|key| key.rem_euclid(LOCKS)).collect();
    buckets.sort_unstable();
    buckets.dedup();
    let input = Input::new().column("bucket", Column::Int(buckets.into_iter().map(Some).collect()));
    let sql = "WITH {input} SELECT count(*) FROM (SELECT pg_advisory_xact_lock($1::int, \
        bucket::int) FROM (SELECT bucket FROM input ORDER BY bucket) o) l";
    tx.query_input(sql, input, args![LOCK_CLASS]).await.map(|_| ())
}

/// Persons with any of these insurance numbers.
///
/// # Errors
/// Any [`DbError`].
pub async fn by_snils(tx: &mut Tx, numbers: Vec<Option<String>>) -> Result<Vec<Person>, DbError> {
    let sql = format!(
        "WITH {{input}} SELECT {PERSON} FROM input i {} WHERE p.merged_into IS NULL",
        probe(tx.is_postgres(), "person", "p", "p.snils=i.snils")
    );
    let input = Input::new().column("snils", Column::Text(numbers));
    tx.query_input(&sql, input, vec![]).await?.iter().map(read_person).collect()
}

/// Persons with any of these identity keys.
///
/// # Errors
/// Any [`DbError`].
pub async fn by_identity(tx: &mut Tx, keys: Vec<Option<i64>>) -> Result<Vec<Person>, DbError> {
    let sql = format!(
        "WITH {{input}} SELECT {PERSON} FROM input i {} WHERE p.merged_into IS NULL",
        probe(tx.is_postgres(), "person", "p", "p.identity_key=i.identity_key")
    );
    let input = Input::new().column("identity_key", Column::Int(keys));
    tx.query_input(&sql, input, vec![]).await?.iter().map(read_person).collect()
}

/// Persons that own any of these documents, with the document's key.
///
/// # Errors
/// Any [`DbError`].
pub async fn by_document(
    tx: &mut Tx,
    keys: Vec<Option<i64>>,
) -> Result<Vec<(Person, i64)>, DbError> {
    let sql = format!(
        "WITH {{input}} SELECT {PERSON},d.document_key FROM input i {} {} \
         WHERE p.merged_into IS NULL",
        probe(tx.is_postgres(), "identity_document", "d", "d.document_key=i.document_key"),
        probe(tx.is_postgres(), "person", "p", "p.id=d.person_id")
    );
    let input = Input::new().column("document_key", Column::Int(keys));
    let rows = tx.query_input(&sql, input, vec![]).await?;
    rows.iter().map(|row| Ok((read_person(row)?, row.get(8)?))).collect()
}

/// What else is known of a person: something another record of it may agree with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Key of an address.
    Address(i64),
    /// Number of the birth act.
    BirthAct(String),
    /// The supplier's id of an organisation where it learns or works.
    Organisation(String),
    /// The supplier's id of a relative.
    Relative(String),
}

/// Facts of these persons, organisations and relatives by the ids this supplier uses.
///
/// # Errors
/// Any [`DbError`].
pub async fn facts(
    tx: &mut Tx,
    supplier: SupplierId,
    persons: Vec<Option<i64>>,
) -> Result<Vec<(i64, Fact)>, DbError> {
    let suppliers = vec![Some(supplier.0); persons.len()];
    let input = Input::new()
        .column("id", Column::Int(persons))
        .column("supplier_id", Column::Int(suppliers));
    let text = if tx.is_postgres() { "::text" } else { "" };
    let probe = |table: &str, alias: &str, on: &str| probe(tx.is_postgres(), table, alias, on);
    // Registry ids are unique over all kinds, so the kind needs no asking.
    let registered = |entity: &str| {
        let on = format!("r.entity_id={entity} AND r.supplier_id=i.supplier_id");
        probe("registration", "r", &on)
    };
    let sql = format!(
        "WITH {{input}} \
         SELECT i.id,CAST(1 AS bigint),a.address_key,''{text} FROM input i {} \
         UNION ALL SELECT i.id,2,0,d.act_number FROM input i {} WHERE d.act_number IS NOT NULL \
         UNION ALL SELECT i.id,3,0,r.external_id FROM input i {} {} \
         UNION ALL SELECT i.id,4,0,r.external_id FROM input i {} {} \
         UNION ALL SELECT i.id,4,0,r.external_id FROM input i {} {}",
        probe("address", "a", "a.person_id=i.id"),
        probe("identity_document", "d", "d.person_id=i.id"),
        probe("membership", "m", "m.person_id=i.id"),
        registered("m.organisation_id"),
        probe("kinship", "k", "k.child_id=i.id"),
        registered("k.adult_id"),
        probe("kinship", "k", "k.adult_id=i.id"),
        registered("k.child_id"),
    );
    let rows = tx.query_input(&sql, input, vec![]).await?;
    rows.iter()
        .map(|row| {
            let fact = match row.get::<i64>(1)? {
                1 => Fact::Address(row.get(2)?),
                2 => Fact::BirthAct(row.get(3)?),
                3 => Fact::Organisation(row.get(3)?),
                _ => Fact::Relative(row.get(3)?),
            };
            Ok((row.get(0)?, fact))
        })
        .collect()
}

/// A registered organisation or body, as far as matching needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Organisation {
    /// Registry id.
    pub id: i64,
    /// Taxpayer number.
    pub inn: Option<String>,
    /// Reason code of tax registration; bodies have none.
    pub kpp: Option<String>,
    /// State registration number.
    pub ogrn: Option<String>,
    /// Whether it is a branch.
    pub branch: bool,
}

/// Organisations, or bodies, with any of these taxpayer or registration numbers.
///
/// # Errors
/// Any [`DbError`].
pub async fn organisations(
    tx: &mut Tx,
    kind: Kind,
    inns: Vec<Option<String>>,
    ogrns: Vec<Option<String>>,
) -> Result<Vec<Organisation>, DbError> {
    let (table, rest) = match kind {
        Kind::Organisation => ("organisation", "o.kpp,coalesce(o.structure,'')"),
        _ => ("management_body", "NULL,''"),
    };
    let mut found = Vec::new();
    for (column, values) in [("inn", inns), ("ogrn", ogrns)] {
        let input = Input::new().column("value", Column::Text(values));
        let sql = format!(
            "WITH {{input}} SELECT o.id,o.inn,o.ogrn,{rest} FROM input i \
             {}",
            probe(tx.is_postgres(), table, "o", &format!("o.{column}=i.value"))
        );
        for row in tx.query_input(&sql, input, vec![]).await? {
            found.push(Organisation {
                id: row.get(0)?,
                inn: row.get(1)?,
                ogrn: row.get(2)?,
                kpp: row.get(3)?,
                branch: row.get::<String>(4)? == "2",
            });
        }
    }
    found.sort_unstable_by_key(|organisation| organisation.id);
    found.dedup_by_key(|organisation| organisation.id);
    Ok(found)
}

/// Two persons that may be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Number of the row.
    pub id: i64,
    /// The older person.
    pub older: i64,
    /// The newer person.
    pub newer: i64,
    /// Why.
    pub rule: &'static str,
    /// 0 to 100.
    pub score: i64,
}

/// Records pairs of persons for an operator, and flags the newer ones; known pairs stay.
///
/// # Errors
/// Any [`DbError`].
pub async fn note_candidates(
    tx: &mut Tx,
    package_no: i64,
    candidates: &[Candidate],
) -> Result<(), DbError> {
    if candidates.is_empty() {
        return Ok(());
    }
    let numbers = |of: fn(&Candidate) -> i64| {
        Column::Int(candidates.iter().map(|candidate| Some(of(candidate))).collect())
    };
    let rules = candidates.iter().map(|candidate| Some(candidate.rule.to_owned())).collect();
    let input = Input::new()
        .column("id", numbers(|candidate| candidate.id))
        .column("older", numbers(|candidate| candidate.older))
        .column("newer", numbers(|candidate| candidate.newer))
        .column("rule", Column::Text(rules))
        .column("score", numbers(|candidate| candidate.score));
    let now = if tx.is_postgres() { "now()" } else { "strftime('%Y-%m-%dT%H:%M:%f+00:00','now')" };
    let sql = format!(
        "WITH {{input}} INSERT INTO merge_candidate \
         (id,person_a,person_b,rule,score,package_no,found_at) \
         SELECT id,older,newer,rule,score,$1,{now} FROM input WHERE true \
         ON CONFLICT (person_a,person_b) DO NOTHING"
    );
    tx.execute_input(&sql, input, args![package_no]).await?;
    let input = Input::new().column("id", numbers(|candidate| candidate.newer));
    let sql = "WITH {input} UPDATE person AS p SET possible_duplicate=true FROM input i \
        WHERE p.id=i.id AND NOT p.possible_duplicate";
    tx.execute_input(sql, input, vec![]).await.map(|_| ())
}
