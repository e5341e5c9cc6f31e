//! What the registry tells the federal segment: entities as they are now, and the log of changes.

pub mod identity;
pub mod job;
pub mod organisation;
pub mod statistics;
pub mod transfer;

use std::collections::{HashMap, HashSet};

use chrono::NaiveDate;

use crate::args;
use crate::model::federal::{Entity, Redirect};
use crate::model::ids::EntityId;
use crate::model::kind::Kind;
use crate::model::record::Value;
use crate::model::spec::{FieldSpec, FieldType, KindSpec, Storage};
use crate::storage::db::{Db, DbError, Row, Tx};
use crate::storage::input::{Column, Input};
use crate::storage::registry::change::SETTLED;

/// Most persons that one key may stand for in an answer.
const SAME_KEY: usize = 100;

/// Longest chain of merges that is followed.
const MERGES: usize = 16;

/// A place in the log of changes: everything up to it has been told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Number of the writing transaction, or of the statement where there is a single writer.
    pub transaction: i64,
    /// Id of the row.
    pub row: i64,
}

/// A change in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where it stands.
    pub position: Position,
    /// Kind of what changed; absent for kinds not asked for.
    pub kind: Option<Kind>,
    /// What changed.
    pub entity: EntityId,
}

/// Persons with these insurance numbers, each given once, merged ones included, by number.
///
/// # Errors
/// Any [`DbError`].
pub async fn by_snils(
    tx: &mut Tx,
    numbers: &[&str],
) -> Result<HashMap<String, Vec<EntityId>>, DbError> {
    let wanted = numbers.iter().map(|number| Some((*number).to_owned())).collect();
    let input = Input::new().column("wanted", Column::Text(wanted));
    let sql = "WITH {input} SELECT p.snils, p.id FROM input JOIN person p \
        ON p.snils = input.wanted ORDER BY p.id";
    let mut found: HashMap<String, Vec<EntityId>> = HashMap::new();
    for row in tx.query_input(sql, input, vec![]).await? {
        let same = found.entry(row.get(0)?).or_default();
        if same.len() < SAME_KEY {
            same.push(EntityId(row.get(1)?));
        }
    }
    Ok(found)
}

/// The person to whom the federal segment gave this id.
///
/// # Errors
/// Any [`DbError`].
pub async fn by_federal_id(tx: &mut Tx, id: &str) -> Result<Vec<EntityId>, DbError> {
    let sql = "SELECT person_id FROM federal_identity WHERE federal_id = $1";
    ids(&tx.query(sql, args![id]).await?)
}

/// Names of a person.
#[derive(Clone, Debug)]
pub struct Named {
    /// Registry id.
    pub id: EntityId,
    /// Surname.
    pub last: String,
    /// Given name.
    pub first: String,
    /// Patronymic, empty when there is none.
    pub middle: String,
}

/// Persons born on a day, merged ones left out.
///
/// # Errors
/// Any [`DbError`].
pub async fn born_on(tx: &mut Tx, day: NaiveDate) -> Result<Vec<Named>, DbError> {
    let sql = "SELECT id, last_name, first_name, middle_name FROM person \
        WHERE birth_date = $1 AND merged_into IS NULL";
    let named = |row: &Row| {
        Ok(Named {
            id: EntityId(row.get(0)?),
            last: row.get(1)?,
            first: row.get(2)?,
            middle: row.get::<Option<String>>(3)?.unwrap_or_default(),
        })
    };
    tx.query(sql, args![day]).await?.iter().map(named).collect()
}

/// Into whom persons were merged.
#[derive(Clone, Debug, Default)]
pub struct Merges(HashMap<EntityId, EntityId>);

impl Merges {
    /// Puts survivors in the place of merged persons; each person once, in order, and the merges met.
    pub fn survivors(&self, found: &[EntityId]) -> (Vec<EntityId>, Vec<Redirect>) {
        let (mut persons, mut redirects) = (Vec::new(), Vec::new());
        for &from in found {
            let mut to = from;
            for _ in 0..MERGES {
                let Some(&next) = self.0.get(&to) else { break };
                to = next;
            }
            if to != from {
                redirects.push(Redirect { from, to });
            }
            if !persons.contains(&to) {
                persons.push(to);
            }
        }
        (persons, redirects)
    }
}

/// The merges of these persons, and of those whom they were merged into.
///
/// # Errors
/// Any [`DbError`].
pub async fn merges(tx: &mut Tx, persons: &[EntityId]) -> Result<Merges, DbError> {
    let sql = "WITH {input} SELECT p.id, p.merged_into FROM input JOIN person p \
        ON p.id = input.id WHERE p.merged_into IS NOT NULL";
    let (mut merges, mut wanted) = (Merges::default(), persons.to_vec());
    for _ in 0..MERGES {
        let mut next = Vec::new();
        for row in tx.query_input(sql, input(&wanted), vec![]).await? {
            let (from, to) = (EntityId(row.get(0)?), EntityId(row.get(1)?));
            if merges.0.insert(from, to).is_none() {
                next.push(to);
            }
        }
        wanted = next;
    }
    Ok(merges)
}

/// The survivors of merges in the place of these persons, and the merges met.
///
/// # Errors
/// Any [`DbError`].
pub async fn survivors(
    tx: &mut Tx,
    found: &[EntityId],
) -> Result<(Vec<EntityId>, Vec<Redirect>), DbError> {
    Ok(merges(tx, found).await?.survivors(found))
}

/// A person and all who were merged into them, by id.
///
/// # Errors
/// Any [`DbError`].
pub async fn merged(tx: &mut Tx, person: EntityId) -> Result<Vec<EntityId>, DbError> {
    let sql = "WITH RECURSIVE same (id, merges) AS (\
        SELECT id, 0 FROM person WHERE id = $1 UNION ALL \
        SELECT p.id, s.merges + 1 FROM same s JOIN person p ON p.merged_into = s.id \
        WHERE s.merges < 16) SELECT DISTINCT id FROM same ORDER BY id";
    ids(&tx.query(sql, args![person.0]).await?)
}

/// Every membership of these persons, ended and closed ones included, in the order of time.
///
/// # Errors
/// Any [`DbError`].
pub async fn all_memberships(
    tx: &mut Tx,
    spec: &'static KindSpec,
    persons: &[EntityId],
) -> Result<Vec<Entity>, DbError> {
    let sql = format!(
        "WITH {{input}} SELECT {} FROM input JOIN {} t ON t.person_id = input.id \
         ORDER BY t.from_date, t.id",
        columns(spec),
        spec.table
    );
    let rows = tx.query_input(&sql, input(persons), vec![]).await?;
    rows.iter().map(|row| entity(spec, row)).collect()
}

/// Entities of one kind as they are now, by id; unknown ids are left out.
///
/// # Errors
/// Any [`DbError`].
pub async fn entities(
    tx: &mut Tx,
    spec: &'static KindSpec,
    wanted: &[EntityId],
) -> Result<HashMap<EntityId, Entity>, DbError> {
    let sql = format!(
        "WITH {{input}} SELECT {} FROM input JOIN {} t ON t.id = input.id",
        columns(spec),
        spec.table
    );
    let rows = tx.query_input(&sql, input(wanted), vec![]).await?;
    let entities = rows.iter().map(|row| entity(spec, row));
    entities.map(|entity| entity.map(|entity| (entity.id, entity))).collect()
}

/// What persons own, by person.
pub type Owned = HashMap<EntityId, Vec<Entity>>;

/// Identity documents of persons that have not been closed.
///
/// # Errors
/// Any [`DbError`].
pub async fn documents(
    tx: &mut Tx,
    spec: &'static KindSpec,
    persons: &[EntityId],
) -> Result<Owned, DbError> {
    let sql = format!(
        "WITH {{input}} SELECT {} FROM input JOIN {} t ON t.person_id = input.id \
         WHERE t.closed_at IS NULL ORDER BY t.id",
        columns(spec),
        spec.table
    );
    owned(spec, &tx.query_input(&sql, input(persons), vec![]).await?)
}

/// Memberships of persons that have neither been closed nor ended before `today`.
///
/// # Errors
/// Any [`DbError`].
pub async fn memberships(
    tx: &mut Tx,
    spec: &'static KindSpec,
    persons: &[EntityId],
    today: NaiveDate,
) -> Result<Owned, DbError> {
    let sql = format!(
        "WITH {{input}} SELECT {} FROM input JOIN {} t ON t.person_id = input.id \
         WHERE t.closed_at IS NULL AND (t.to_date IS NULL OR t.to_date >= $1) \
         ORDER BY t.from_date, t.id",
        columns(spec),
        spec.table
    );
    owned(spec, &tx.query_input(&sql, input(persons), args![today]).await?)
}

fn owned(spec: &'static KindSpec, rows: &[Row]) -> Result<Owned, DbError> {
    let mut owned = Owned::new();
    for row in rows {
        let one = entity(spec, row)?;
        if let Some(person) = one.reference("person_id") {
            owned.entry(person).or_default().push(one);
        }
    }
    Ok(owned)
}

/// Changes after a place, in the order of the log, at most `limit` of them.
///
/// Only changes are told before which nothing can still appear: on PostgreSQL, those of
/// transactions older than every one that still runs.
///
/// # Errors
/// Any [`DbError`].
pub async fn changes(
    tx: &mut Tx,
    after: Position,
    kinds: &[Kind],
    limit: usize,
) -> Result<Vec<Change>, DbError> {
    let settled = if tx.is_postgres() { SETTLED } else { "true" };
    let sql = format!(
        "SELECT tx, id, kind, entity_id FROM change_log WHERE (tx, id) > ($1, $2) AND {settled} \
         ORDER BY tx, id LIMIT $3"
    );
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = tx.query(&sql, args![after.transaction, after.row, limit]).await?;
    let change = |row: &Row| {
        let name: String = row.get(2)?;
        Ok(Change {
            position: Position { transaction: row.get(0)?, row: row.get(1)? },
            kind: Kind::of_element(&name).filter(|kind| kinds.contains(kind)),
            entity: EntityId(row.get(3)?),
        })
    };
    rows.iter().map(change).collect()
}

/// Which of these entities have changed once more, after a place: they are told there.
///
/// # Errors
/// Any [`DbError`].
pub async fn changed_later(
    tx: &mut Tx,
    after: Position,
    entities: &[(Kind, EntityId)],
) -> Result<HashSet<(Kind, EntityId)>, DbError> {
    let kinds = entities.iter().map(|(kind, _)| Some(kind.element().to_owned())).collect();
    let ids = entities.iter().map(|(_, id)| Some(id.0)).collect();
    let input = Input::new().column("name", Column::Text(kinds)).column("entity", Column::Int(ids));
    let sql = "WITH {input} SELECT name, entity FROM input WHERE EXISTS \
        (SELECT 1 FROM change_log c WHERE c.entity_id = entity AND c.kind = name \
         AND (c.tx, c.id) > ($1, $2))";
    let rows = tx.query_input(sql, input, args![after.transaction, after.row]).await?;
    let read = |row: &Row| {
        let kind = Kind::of_element(&row.get::<String>(0)?);
        Ok(kind.zip(Some(EntityId(row.get(1)?))))
    };
    rows.iter().filter_map(|row| read(row).transpose()).collect()
}

/// Registry ids of the persons that entities are or refer to, each once.
pub fn persons_of<'e>(entities: impl Iterator<Item = &'e Entity>) -> Vec<i64> {
    let mut seen = HashSet::new();
    for entity in entities {
        if entity.spec.kind == Kind::Person {
            seen.insert(entity.id.0);
        }
        for (field, value) in entity.spec.fields.iter().zip(&entity.values) {
            if field.ty == FieldType::Ref(Kind::Person)
                && let Some(Value::Integer(person)) = value
            {
                seen.insert(*person);
            }
        }
    }
    let mut persons: Vec<i64> = seen.into_iter().collect();
    persons.sort_unstable();
    persons
}

/// The key that authenticates cursors; `fresh` becomes it when there is none yet.
///
/// # Errors
/// Any [`DbError`].
pub async fn cursor_key(db: &Db, fresh: Vec<u8>) -> Result<Vec<u8>, DbError> {
    let read = "SELECT cursor_key FROM federal_secret WHERE one = 1";
    if let Some(row) = db.query_one(read, vec![]).await? {
        return row.get(0);
    }
    let sql = format!(
        "INSERT INTO federal_secret (one, cursor_key, created_at) VALUES (1, $1, {}) \
         ON CONFLICT DO NOTHING",
        db.now_sql()
    );
    db.execute(&sql, args![fresh.clone()]).await?;
    db.query_one(read, vec![]).await?.map_or(Ok(fresh), |row| row.get(0))
}

/// Columns of table `t` in the order [`entity`] reads them.
fn columns(spec: &KindSpec) -> String {
    let person = spec.kind == Kind::Person;
    let mut sql = String::from("t.id, t.closed_at IS NOT NULL, ");
    sql.push_str(if person { "t.merged_into, " } else { "CAST(NULL AS bigint), " });
    sql.push_str(if person {
        "(SELECT min(f.federal_id) FROM federal_identity f WHERE f.person_id = t.id)"
    } else {
        "CAST(NULL AS text)"
    });
    for field in spec.fields {
        sql.push_str(", t.");
        sql.push_str(field.column);
    }
    sql
}

fn entity(spec: &'static KindSpec, row: &Row) -> Result<Entity, DbError> {
    let value = |(at, field): (usize, &FieldSpec)| {
        let at = at + 4;
        Ok(match field.ty.storage() {
            Storage::Text => row.get::<Option<String>>(at)?.map(Value::Text),
            Storage::Integer => row.get::<Option<i64>>(at)?.map(Value::Integer),
            Storage::Date => row.get::<Option<NaiveDate>>(at)?.map(Value::Date),
            Storage::Instant => row.get::<Option<_>>(at)?.map(Value::Instant),
            Storage::Flag => row.get::<Option<bool>>(at)?.map(Value::Flag),
        })
    };
    Ok(Entity {
        spec,
        id: EntityId(row.get(0)?),
        closed: row.get(1)?,
        merged_into: row.get::<Option<i64>>(2)?.map(EntityId),
        federal_id: row.get(3)?,
        values: spec.fields.iter().enumerate().map(value).collect::<Result<_, DbError>>()?,
    })
}

fn ids(rows: &[Row]) -> Result<Vec<EntityId>, DbError> {
    rows.iter().map(|row| row.get(0).map(EntityId)).collect()
}

/// Input of ids.
fn input(ids: &[EntityId]) -> Input {
    Input::new().column("id", Column::Int(ids.iter().map(|id| Some(id.0)).collect()))
}

/// The first digits that all codes within a territory share: groups of zeros at its end stand for
/// the whole of what is before them.
fn territory_prefix(oktmo: &str) -> &str {
    let mut prefix = oktmo;
    while prefix.len() > 2 && prefix.ends_with("000") {
        prefix = &prefix[..prefix.len() - 3];
    }
    prefix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_territory_holds_what_lies_in_it() {
        for (oktmo, prefix) in [
            ("57", "57"),
            ("57000", "57"),
            ("57701", "57701"),
            ("57701000", "57701"),
            ("57604401", "57604401"),
            ("57604401000", "57604401"),
            ("57604401101", "57604401101"),
            ("00000000000", "00"),
        ] {
            assert_eq!(territory_prefix(oktmo), prefix, "{oktmo}");
        }
    }
}
