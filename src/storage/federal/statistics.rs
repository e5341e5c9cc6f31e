//! Counts over the registry.
//!
//! A membership is active from its first day through its last. One that a snapshot closed was
//! given its last day then; a closed one without a last day never counted. Persons who were merged
//! count as the one who stands for them.

use std::fmt::Write as _;

use chrono::{Datelike, Days, NaiveDate, NaiveTime};

use crate::args;
use crate::model::federal::statistics::{
    Breakdown, Cell, Coordinate, Count, Dimension, Indicator, StatisticsQuery, Table,
};
use crate::storage::db::{Arg, Db, DbError, Row, Tx};
use crate::storage::federal::territory_prefix;

/// Status of an organisation that works: dictionary `organisation-status`.
const WORKS: &str = "1";

/// Month in which a school year begins.
const FIRST_MONTH: u32 = 9;

/// The conditions of a question, and the values of their parameters.
struct Selection {
    from: String,
    args: Vec<Arg>,
}

/// Counts what is wanted; nothing is left out of the cells.
///
/// # Errors
/// Any [`DbError`].
pub async fn table(tx: &mut Tx, query: &StatisticsQuery) -> Result<Table, DbError> {
    let learning = query.indicator != Indicator::Organisations;
    let selection = if learning { learning_of(query) } else { organisations_of(query) };
    let nothing = if learning {
        Count::Learning { persons: 0, memberships: 0 }
    } else {
        Count::Organisations(0)
    };
    let total = counting(learning, &[], &selection.from);
    let total = tx.query_one(&total, selection.args.clone()).await?;
    let total = Some(total.as_ref().map_or(Ok(nothing), |row| count(learning, row))?);
    let dimensions = dimensions(tx.is_postgres(), query);
    if dimensions.is_empty() {
        return Ok(Table { total, cells: Vec::new() });
    }
    let places: Vec<&str> = dimensions.iter().map(|(_, place)| place.as_str()).collect();
    let sql = counting(learning, &places, &selection.from);
    let rows = tx.query(&sql, selection.args).await?;
    let cell = |row: &Row| {
        let coordinate = |(at, (dimension, _)): (usize, &(Dimension, String))| {
            let code = match dimension {
                Dimension::Parallel | Dimension::Age => {
                    row.get::<Option<i64>>(at + 2)?.map(|number| number.to_string())
                }
                _ => row.get(at + 2)?,
            };
            Ok(Coordinate { dimension: *dimension, code })
        };
        let at = dimensions.iter().enumerate().map(coordinate);
        let at = at.collect::<Result<_, DbError>>()?;
        Ok(Cell { at, count: Some(count(learning, row)?) })
    };
    let cells = rows.iter().map(cell).collect::<Result<_, DbError>>()?;
    Ok(Table { total, cells })
}

/// Text of a count: two numbers, then the places. Persons are first brought together with their
/// memberships, which costs a fraction of counting them as distinct.
fn counting(learning: bool, places: &[&str], from: &str) -> String {
    let (mut inner, mut outer) = (String::new(), String::new());
    for (number, place) in places.iter().enumerate() {
        write!(inner, ", {place} AS place_{number}").unwrap_or_default();
        write!(outer, ", place_{number}").unwrap_or_default();
    }
    let grouped = match outer.strip_prefix(", ") {
        Some(places) => format!(" GROUP BY {places} ORDER BY {places}"),
        None => String::new(),
    };
    if !learning {
        let rows = format!("SELECT o.id{inner} {from}");
        return format!("SELECT count(*), CAST(0 AS bigint){outer} FROM ({rows}) AS r{grouped}");
    }
    let rows = format!("SELECT coalesce(p.merged_into, p.id) AS person{inner} {from}");
    let persons = format!(
        "SELECT person, count(*) AS memberships{outer} FROM ({rows}) AS r GROUP BY person{outer}"
    );
    format!(
        "SELECT count(*), CAST(coalesce(sum(memberships), 0) AS bigint){outer} \
         FROM ({persons}) AS s{grouped}"
    )
}

fn count(learning: bool, row: &Row) -> Result<Count, DbError> {
    let (first, second) = (row.get(0)?, row.get(1)?);
    Ok(if learning {
        Count::Learning { persons: first, memberships: second }
    } else {
        Count::Organisations(first)
    })
}

/// A learner in one kind of organisation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Learner {
    /// Registry id of the person, the one who stands for merged ones.
    pub person: i64,
    /// Year of birth.
    pub birth_year: i64,
    /// Code of dictionary `sex`.
    pub sex: String,
    /// Code of dictionary `organisation-type`.
    pub kind: Option<String>,
}

/// Learners one by one, by membership after `after`: at most `limit` of them, and the last
/// membership that was looked at.
///
/// # Errors
/// Any [`DbError`].
pub async fn learners(
    tx: &mut Tx,
    query: &StatisticsQuery,
    after: i64,
    limit: i64,
) -> Result<(Vec<Learner>, Option<i64>), DbError> {
    let mut selection = learning_of(query);
    selection.args.extend(args![after, limit]);
    let (after, limit) = (selection.args.len() - 1, selection.args.len());
    let sql = format!(
        "SELECT m.id, coalesce(p.merged_into, p.id), {}, p.sex, o.organisation_type {} \
         AND m.id > ${after} ORDER BY m.id LIMIT ${limit}",
        birth_year(tx.is_postgres()),
        selection.from
    );
    let rows = tx.query(&sql, selection.args).await?;
    let last = rows.last().map(|row| row.get(0)).transpose()?;
    let learner = |row: &Row| {
        Ok::<_, DbError>(Learner {
            person: row.get(1)?,
            birth_year: row.get(2)?,
            sex: row.get(3)?,
            kind: row.get(4)?,
        })
    };
    Ok((rows.iter().map(learner).collect::<Result<_, _>>()?, last))
}

/// The key that makes pseudonyms; `fresh` becomes it when there is none yet.
///
/// # Errors
/// Any [`DbError`].
pub async fn pseudonym_key(db: &Db, fresh: Vec<u8>) -> Result<Vec<u8>, DbError> {
    let read = "SELECT pseudonym_key FROM statistics_secret WHERE one = 1";
    if let Some(row) = db.query_one(read, vec![]).await? {
        return row.get(0);
    }
    let sql = format!(
        "INSERT INTO statistics_secret (one, pseudonym_key, created_at) VALUES (1, $1, {}) \
         ON CONFLICT DO NOTHING",
        db.now_sql()
    );
    db.execute(&sql, args![fresh.clone()]).await?;
    db.query_one(read, vec![]).await?.map_or(Ok(fresh), |row| row.get(0))
}

fn learning_of(query: &StatisticsQuery) -> Selection {
    let mut args = args![query.date];
    let mut from = "FROM membership m JOIN person p ON p.id = m.person_id".to_owned();
    let by_kind = matches!(query.breakdown, Breakdown::OrganisationKind | Breakdown::Persons);
    if by_kind || query.territory.is_some() {
        from.push_str(" LEFT JOIN organisation o ON o.id = m.organisation_id");
    }
    if query.breakdown == Breakdown::Parallel {
        from.push_str(" LEFT JOIN class_group c ON c.id = m.class_group_id");
    }
    from.push_str(" WHERE (m.closed_at IS NULL OR m.to_date IS NOT NULL)");
    let condition = match query.indicator {
        Indicator::Enrolments => "m.from_date <= $1 AND m.from_date >= $2",
        Indicator::Withdrawals => "m.to_date <= $1 AND m.to_date >= $2",
        Indicator::Learners | Indicator::Organisations => {
            "m.from_date <= $1 AND (m.to_date IS NULL OR m.to_date >= $1)"
        }
    };
    if query.indicator.has_period() {
        args.push(query.from.unwrap_or(query.date).into());
    }
    write!(from, " AND {condition}").unwrap_or_default();
    within(&mut from, &mut args, query);
    Selection { from, args }
}

fn organisations_of(query: &StatisticsQuery) -> Selection {
    let next = query.date.checked_add_days(Days::new(1)).unwrap_or(NaiveDate::MAX);
    let mut args = args![query.date, next.and_time(NaiveTime::MIN).and_utc(), WORKS];
    let mut from = "FROM organisation o WHERE o.status = $3 \
        AND (o.closed_at IS NULL OR o.closed_at >= $2) \
        AND (o.founded_on IS NULL OR o.founded_on <= $1) \
        AND (o.liquidated_on IS NULL OR o.liquidated_on > $1)"
        .to_owned();
    within(&mut from, &mut args, query);
    Selection { from, args }
}

fn within(from: &mut String, args: &mut Vec<Arg>, query: &StatisticsQuery) {
    if let Some(territory) = &query.territory {
        args.push(format!("{}%", territory_prefix(territory)).into());
        write!(from, " AND o.oktmo LIKE ${}", args.len()).unwrap_or_default();
    }
}

/// The dimensions of a breakdown, and what gives a row its place in each.
fn dimensions(postgres: bool, query: &StatisticsQuery) -> Vec<(Dimension, String)> {
    match query.breakdown {
        Breakdown::Nothing | Breakdown::Persons => Vec::new(),
        Breakdown::OrganisationKind => {
            vec![(Dimension::OrganisationKind, "o.organisation_type".to_owned())]
        }
        Breakdown::Parallel => vec![(Dimension::Parallel, "c.parallel".to_owned())],
        Breakdown::SexAge => {
            vec![(Dimension::Sex, "p.sex".to_owned()), (Dimension::Age, age(postgres, query.date))]
        }
        Breakdown::Reason => {
            let enrolled = query.indicator == Indicator::Enrolments;
            let column = if enrolled { "m.reason_in" } else { "m.reason_out" };
            vec![(Dimension::Reason, column.to_owned())]
        }
    }
}

/// Full years on 1 January of the school year of a day, as the forms of state statistics have it: ages on
/// the day itself would tell who has a birthday between one day and the next.
fn age(postgres: bool, day: NaiveDate) -> String {
    let year = if day.month() >= FIRST_MONTH { day.year() + 1 } else { day.year() };
    let month_and_day =
        if postgres { "to_char(p.birth_date, 'MM-DD')" } else { "substr(p.birth_date, 6, 5)" };
    format!(
        "{year} - {} - CASE WHEN {month_and_day} > '01-01' THEN 1 ELSE 0 END",
        birth_year(postgres)
    )
}

fn birth_year(postgres: bool) -> &'static str {
    if postgres {
        "CAST(extract(year FROM p.birth_date) AS bigint)"
    } else {
        "CAST(substr(p.birth_date, 1, 4) AS integer)"
    }
}
