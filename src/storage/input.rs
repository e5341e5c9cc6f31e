//! What goes into a statement: single values ([`Arg`]) and rows ([`Input`]), bound to either database.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgArguments, Postgres};
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments};
use uuid::Uuid;

/// SQLite refuses statements with more parameters.
const SQLITE_PARAMETERS: usize = 32_000;

/// A value bound to a parameter.
#[derive(Clone, Debug)]
pub enum Arg {
    /// `bigint`.
    Int(Option<i64>),
    /// `text`.
    Text(Option<String>),
    /// `boolean`.
    Flag(Option<bool>),
    /// `date`.
    Date(Option<NaiveDate>),
    /// `timestamptz`.
    Instant(Option<DateTime<Utc>>),
    /// `bytea`.
    Bytes(Option<Vec<u8>>),
    /// `jsonb`.
    Json(Option<serde_json::Value>),
    /// `uuid`.
    Uuid(Option<Uuid>),
}

macro_rules! into_arg {
    ($($from:ty => $variant:ident, |$value:ident| $convert:expr;)+) => {
        $(
            impl From<$from> for Arg {
                fn from($value: $from) -> Self {
                    Self::$variant(Some($convert))
                }
            }
            impl From<Option<$from>> for Arg {
                fn from(value: Option<$from>) -> Self {
                    Self::$variant(value.map(|$value| $convert))
                }
            }
        )+
    };
}

into_arg! {
    i64 => Int, |v| v;
    String => Text, |v| v;
    &str => Text, |v| v.to_owned();
    bool => Flag, |v| v;
    NaiveDate => Date, |v| v;
    DateTime<Utc> => Instant, |v| v;
    Vec<u8> => Bytes, |v| v;
    serde_json::Value => Json, |v| v;
    Uuid => Uuid, |v| v;
}

/// Builds a `Vec<Arg>` from anything that converts.
#[macro_export]
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::storage::input::Arg::from($value)),*] };
}

/// One column of bulk input.
#[derive(Clone, Debug)]
pub enum Column {
    /// `bigint[]`.
    Int(Vec<Option<i64>>),
    /// `text[]`.
    Text(Vec<Option<String>>),
    /// `boolean[]`.
    Flag(Vec<Option<bool>>),
    /// `date[]`.
    Date(Vec<Option<NaiveDate>>),
    /// `timestamptz[]`.
    Instant(Vec<Option<DateTime<Utc>>>),
    /// `bytea[]`.
    Bytes(Vec<Option<Vec<u8>>>),
    /// `jsonb[]`.
    Json(Vec<Option<serde_json::Value>>),
    /// `uuid[]`.
    Uuid(Vec<Option<Uuid>>),
}

impl Column {
    fn len(&self) -> usize {
        match self {
            Self::Int(values) => values.len(),
            Self::Text(values) => values.len(),
            Self::Flag(values) => values.len(),
            Self::Date(values) => values.len(),
            Self::Instant(values) => values.len(),
            Self::Bytes(values) => values.len(),
            Self::Json(values) => values.len(),
            Self::Uuid(values) => values.len(),
        }
    }

    fn array_type(&self) -> &'static str {
        match self {
            Self::Int(_) => "bigint[]",
            Self::Text(_) => "text[]",
            Self::Flag(_) => "boolean[]",
            Self::Date(_) => "date[]",
            Self::Instant(_) => "timestamptz[]",
            Self::Bytes(_) => "bytea[]",
            Self::Json(_) => "jsonb[]",
            Self::Uuid(_) => "uuid[]",
        }
    }
}

/// Rows handed to one statement as the relation `input`.
///
/// In SQL it stands as `WITH {input} …`, after which `input` can be joined, selected from
/// for `INSERT … SELECT` (write `WHERE true` before `ON CONFLICT`: SQLite needs it), or used
/// in `UPDATE … FROM input`. Its parameters come after those of the statement.
#[derive(Clone, Debug, Default)]
pub struct Input {
    names: Vec<&'static str>,
    columns: Vec<Column>,
}

impl Input {
    /// No columns yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a column; all have the same length.
    #[must_use]
    pub fn column(mut self, name: &'static str, column: Column) -> Self {
        self.names.push(name);
        self.columns.push(column);
        self
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, Column::len)
    }

    pub(super) fn postgres_sql(&self, after: usize) -> String {
        let arrays: Vec<String> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| format!("${}::{}", after + index + 1, column.array_type()))
            .collect();
        format!("input({}) AS (SELECT * FROM unnest({}))", self.names.join(","), arrays.join(","))
    }

    /// Parameters without names: SQLite looks for a name among all others, row after row.
    fn sqlite_sql(&self, rows: usize) -> String {
        let row = format!("({})", vec!["?"; self.columns.len()].join(","));
        format!("input({}) AS (VALUES {})", self.names.join(","), vec![&*row; rows].join(","))
    }
}

pub(super) fn postgres_query(sql: &str, args: Vec<Arg>) -> Query<'static, Postgres, PgArguments> {
    let query = sqlx::query(AssertSqlSafe(sql.to_owned()));
    args.into_iter().fold(query, |query, arg| match arg {
        Arg::Int(value) => query.bind(value),
        Arg::Text(value) => query.bind(value),
        Arg::Flag(value) => query.bind(value),
        Arg::Date(value) => query.bind(value),
        Arg::Instant(value) => query.bind(value),
        Arg::Bytes(value) => query.bind(value),
        Arg::Json(value) => query.bind(value),
        Arg::Uuid(value) => query.bind(value),
    })
}

pub(super) fn sqlite_query(sql: &str, args: Vec<Arg>) -> Query<'static, Sqlite, SqliteArguments> {
    bind_args(sqlx::query(AssertSqlSafe(sql.to_owned())), args)
}

fn bind_args(
    query: Query<'static, Sqlite, SqliteArguments>,
    args: Vec<Arg>,
) -> Query<'static, Sqlite, SqliteArguments> {
    args.into_iter().fold(query, |query, arg| match arg {
        Arg::Int(value) => query.bind(value),
        Arg::Text(value) => query.bind(value),
        Arg::Flag(value) => query.bind(value),
        Arg::Date(value) => query.bind(value),
        Arg::Instant(value) => query.bind(value),
        Arg::Bytes(value) => query.bind(value),
        Arg::Json(value) => query.bind(value),
        Arg::Uuid(value) => query.bind(value),
    })
}

pub(super) fn bind_arrays(
    query: Query<'static, Postgres, PgArguments>,
    input: Input,
) -> Query<'static, Postgres, PgArguments> {
    input.columns.into_iter().fold(query, |query, column| match column {
        Column::Int(values) => query.bind(values),
        Column::Text(values) => query.bind(values),
        Column::Flag(values) => query.bind(values),
        Column::Date(values) => query.bind(values),
        Column::Instant(values) => query.bind(values),
        Column::Bytes(values) => query.bind(values),
        Column::Json(values) => query.bind(values),
        Column::Uuid(values) => query.bind(values),
    })
}

/// The statement over a part of the input. The values of the rows come first, so those of the
/// statement, `$1` and on, are counted from behind them.
pub(super) fn sqlite_input_query(
    sql: &str,
    input: &Input,
    range: std::ops::Range<usize>,
    args: Vec<Arg>,
) -> Query<'static, Sqlite, SqliteArguments> {
    let shifted = shift(sql, range.len() * input.columns.len());
    let text = shifted.replace("{input}", &input.sqlite_sql(range.len()));
    let mut query = sqlx::query(AssertSqlSafe(text)).persistent(false);
    for row in range {
        for column in &input.columns {
            query = match column {
                Column::Int(values) => query.bind(values[row]),
                Column::Text(values) => query.bind(values[row].clone()),
                Column::Flag(values) => query.bind(values[row]),
                Column::Date(values) => query.bind(values[row]),
                Column::Instant(values) => query.bind(values[row]),
                Column::Bytes(values) => query.bind(values[row].clone()),
                Column::Json(values) => query.bind(values[row].clone()),
                Column::Uuid(values) => query.bind(values[row]),
            };
        }
    }
    bind_args(query, args)
}

/// Adds `by` to the numbers of the parameters.
fn shift(sql: &str, by: usize) -> String {
    let mut parts = sql.split('$');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        out.push('$');
        match part[..digits].parse::<usize>() {
            Ok(number) => out.push_str(&(number + by).to_string()),
            Err(_) => out.push_str(&part[..digits]),
        }
        out.push_str(&part[digits..]);
    }
    out
}

pub(super) fn sqlite_ranges(input: &Input, args: usize) -> Vec<std::ops::Range<usize>> {
    let chunk = ((SQLITE_PARAMETERS - args) / input.columns.len().max(1)).max(1);
    (0..input.rows()).step_by(chunk).map(|at| at..(at + chunk).min(input.rows())).collect()
}
