//! The log of disclosures: who was told what about whom, when and why.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::storage::db::{DbError, Row, Tx};
use crate::storage::input::{Arg, Column, Input};

/// A disclosure about to be written.
#[derive(Clone, Debug)]
pub struct Disclosure {
    /// Our number of it.
    pub id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Who asked.
    pub system: i64,
    /// With which message.
    pub request: Uuid,
    /// Which question: root element of the request.
    pub question: &'static str,
    /// Why, in the words of the asker.
    pub purpose: String,
    /// Whom or what was asked about, as JSON.
    pub criteria: String,
    /// How much of each kind was told, as JSON.
    pub answered: String,
    /// Registry ids of the persons it tells about, each once.
    pub persons: Vec<i64>,
}

/// Writes disclosures.
///
/// # Errors
/// Any [`DbError`].
pub async fn write(tx: &mut Tx, disclosures: &[&Disclosure]) -> Result<(), DbError> {
    if disclosures.is_empty() {
        return Ok(());
    }
    let int = |read: fn(&Disclosure) -> i64| {
        Column::Int(disclosures.iter().map(|one| Some(read(one))).collect())
    };
    let text = |read: fn(&Disclosure) -> &str| {
        Column::Text(disclosures.iter().map(|one| Some(read(one).to_owned())).collect())
    };
    let requests = disclosures.iter().map(|one| Some(one.request)).collect();
    let input = Input::new()
        .column("id", int(|d| d.id))
        .column("at", Column::Instant(disclosures.iter().map(|d| Some(d.at)).collect()))
        .column("system_id", int(|d| d.system))
        .column("request_id", Column::Uuid(requests))
        .column("question", text(|d| d.question))
        .column("purpose", text(|d| &d.purpose))
        .column("criteria", text(|d| &d.criteria))
        .column("answered", text(|d| &d.answered))
        .column("persons", int(|d| i64::try_from(d.persons.len()).unwrap_or(i64::MAX)));
    let columns = "id, at, system_id, request_id, question, purpose, criteria, answered, persons";
    let sql =
        format!("WITH {{input}} INSERT INTO disclosure ({columns}) SELECT {columns} FROM input");
    tx.execute_input(&sql, input, vec![]).await?;
    let pairs = disclosures.iter().flat_map(|one| one.persons.iter().map(|&id| (id, one.id)));
    let (persons, ids): (Vec<_>, Vec<_>) = pairs.map(|(id, one)| (Some(id), Some(one))).unzip();
    if persons.is_empty() {
        return Ok(());
    }
    let input = Input::new()
        .column("person_id", Column::Int(persons))
        .column("disclosure_id", Column::Int(ids));
    let sql = "WITH {input} INSERT INTO disclosure_person (person_id, disclosure_id) \
        SELECT person_id, disclosure_id FROM input";
    tx.execute_input(sql, input, vec![]).await.map(|_| ())
}

/// A person about whom something was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// By the insurance number, digits alone.
    Snils(String),
    /// By the registry id.
    Id(i64),
}

/// Which disclosures; all conditions hold together.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// About this person.
    pub person: Option<About>,
    /// To the system of this mnemonic.
    pub system: Option<String>,
    /// At or after.
    pub since: Option<DateTime<Utc>>,
    /// Before.
    pub until: Option<DateTime<Utc>>,
    /// Numbers below this one: the last of the page before.
    pub before: Option<i64>,
}

/// A disclosure as operators see it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Our number of it.
    pub id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// Mnemonic of who asked.
    pub system: String,
    /// With which message.
    pub request: Uuid,
    /// Which question.
    pub question: String,
    /// Why, in the words of the asker.
    pub purpose: String,
    /// Whom or what was asked about, as JSON.
    pub criteria: String,
    /// How much of each kind was told, as JSON.
    pub answered: String,
    /// Number of persons it told about.
    pub persons: i64,
}

/// Registry ids of whom an operator means, with all who were merged into the same person: they may
/// have had other numbers when they were asked about.
///
/// # Errors
/// Any [`DbError`].
pub async fn meant(tx: &mut Tx, about: &About) -> Result<Vec<i64>, DbError> {
    let (condition, value) = match about {
        About::Snils(number) => ("snils = $1", Arg::from(number.as_str())),
        About::Id(id) => ("id = $1", Arg::from(*id)),
    };
    let sql = format!(
        "WITH RECURSIVE same (id, merged_into) AS (\
         SELECT id, merged_into FROM person WHERE {condition} UNION \
         SELECT p.id, p.merged_into FROM same s \
         JOIN person p ON p.merged_into = s.id OR p.id = s.merged_into) \
         SELECT id FROM same ORDER BY id"
    );
    let rows = tx.query(&sql, vec![value]).await?;
    match about {
        About::Id(id) if rows.is_empty() => Ok(vec![*id]),
        _ => rows.iter().map(|row| row.get(0)).collect(),
    }
}

/// Disclosures that a filter means, about any of these persons where some are given; the newest first.
///
/// # Errors
/// Any [`DbError`].
pub async fn page(
    tx: &mut Tx,
    filter: &Filter,
    persons: Option<&[i64]>,
    most: i64,
) -> Result<Vec<Listed>, DbError> {
    let (mut conditions, mut values) = (vec!["true".to_owned()], Vec::<Arg>::new());
    let mut add = |sql: &str, value: Arg| {
        values.push(value);
        conditions.push(sql.replace('?', &format!("${}", values.len())));
    };
    if let Some(system) = &filter.system {
        add("s.mnemonic = ?", Arg::from(system.as_str()));
    }
    for (sql, at) in [("d.at >= ?", filter.since), ("d.at < ?", filter.until)] {
        if let Some(at) = at {
            add(sql, Arg::from(at));
        }
    }
    if let Some(before) = filter.before {
        // Several processes number them, each from a block of its own.
        let place = "(d.at, d.id) < (SELECT b.at, b.id FROM disclosure b WHERE b.id = ?)";
        add(place, Arg::from(before));
    }
    if let Some(persons) = persons {
        // Numbers, written out: how many there are differs.
        let ids: Vec<String> = persons.iter().map(i64::to_string).collect();
        let ids = if ids.is_empty() { "NULL".to_owned() } else { ids.join(", ") };
        conditions.push(format!(
            "d.id IN (SELECT disclosure_id FROM disclosure_person WHERE person_id IN ({ids}))"
        ));
    }
    values.push(Arg::from(most));
    let sql = format!(
        "SELECT d.id, d.at, s.mnemonic, d.request_id, d.question, d.purpose, d.criteria, d.answered, \
         d.persons FROM disclosure d JOIN federal_system s ON s.id = d.system_id WHERE {} \
         ORDER BY d.at DESC, d.id DESC LIMIT ${}",
        conditions.join(" AND "),
        values.len()
    );
    tx.query(&sql, values).await?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Listed, DbError> {
    Ok(Listed {
        id: row.get(0)?,
        at: row.get(1)?,
        system: row.get(2)?,
        request: row.get(3)?,
        question: row.get(4)?,
        purpose: row.get(5)?,
        criteria: row.get(6)?,
        answered: row.get(7)?,
        persons: row.get(8)?,
    })
}
