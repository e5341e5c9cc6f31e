//! `federal disclosures`: who asked about whom, when, why, and what was answered.

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::exchange::admin::Admin;
use crate::ops::output::{instant, say, say_list};
use crate::storage::disclosure::{About, Filter, Listed};

/// Digits of an insurance number.
const SNILS: usize = 11;

/// Longest cell of the table, in characters.
const CELL: usize = 60;

#[derive(Serialize)]
struct Shown {
    id: i64,
    at: DateTime<Utc>,
    system: String,
    request: Uuid,
    question: String,
    purpose: String,
    criteria: Value,
    answered: Value,
    persons: i64,
}

impl From<Listed> for Shown {
    fn from(listed: Listed) -> Self {
        // Written as JSON; if it were not, it is shown as it stands.
        let json = |text: String| serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self {
            id: listed.id,
            at: listed.at,
            system: listed.system,
            request: listed.request,
            question: listed.question,
            purpose: listed.purpose,
            criteria: json(listed.criteria),
            answered: json(listed.answered),
            persons: listed.persons,
        }
    }
}

/// The person that an operator means: by the insurance number, however it is divided, or by the
/// registry id.
///
/// # Errors
/// When it is neither.
pub fn about(person: &str) -> Result<About> {
    let digits: String = person.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    if digits.len() == SNILS && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(About::Snils(digits));
    }
    let id = person.parse().ok();
    id.map(About::Id)
        .with_context(|| format!("{person}: нужен СНИЛС (11 цифр) или номер в реестре"))
}

/// Shows disclosures, the newest first; that they were looked at is written down.
///
/// # Errors
/// What [`Admin::disclosures`] refuses.
pub async fn list(admin: &Admin, filter: &Filter, limit: u32, json: bool) -> Result<()> {
    let listed = admin.disclosures(filter, i64::from(limit)).await?;
    let more = listed.last().filter(|_| listed.len() == limit as usize).map(|last| last.id);
    let shown: Vec<Shown> = listed.into_iter().map(Shown::from).collect();
    let headers = ["№", "Когда", "Кто спросил", "Вопрос", "Зачем", "О ком", "Что отвечено", "Лиц"];
    say_list(&shown, json, "Таких раскрытий нет.", headers, row)?;
    if let Some(last) = more.filter(|_| !json) {
        say(format!("Дальше: --before {last}"));
    }
    Ok(())
}

fn row(shown: &Shown) -> [String; 8] {
    let cell = |text: &str| {
        let text = text.replace(['\r', '\n'], " ");
        match text.char_indices().nth(CELL) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    };
    [
        shown.id.to_string(),
        instant(shown.at),
        shown.system.clone(),
        shown.question.clone(),
        cell(&shown.purpose),
        cell(&shown.criteria.to_string()),
        cell(&shown.answered.to_string()),
        shown.persons.to_string(),
    ]
}
