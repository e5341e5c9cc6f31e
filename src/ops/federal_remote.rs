//! `federal remote`: how the conversation with the remote node goes, and what waits to be sent there.

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::exchange::admin::Admin;
use crate::ops::output::{instant, plain, say, say_json, say_table};
use crate::storage::db::Db;
use crate::storage::mailbox::doubt::{self, Doubt};
use crate::storage::mailbox::remote::{self, Listed, Trouble};

/// Most answers shown.
const SHOWN: i64 = 100;

/// Longest words of a fault in the table, in characters.
const WORDS: usize = 80;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    url: Option<String>,
    polled_at: Option<DateTime<Utc>>,
    fault: Option<Fault>,
    waiting: i64,
    unconfirmed: i64,
    parked: i64,
    doubts: Vec<Doubted>,
    answers: Vec<Shown>,
}

/// The last failure of trust of an operation.
#[derive(Serialize)]
struct Doubted {
    operation: String,
    #[serde(flatten)]
    fault: Fault,
}

impl From<Doubt> for Doubted {
    fn from(doubt: Doubt) -> Self {
        Self { operation: doubt.operation, fault: fault(doubt.trouble, Some(doubt.at)) }
    }
}

#[derive(Serialize)]
struct Fault {
    name: String,
    text: String,
    at: Option<DateTime<Utc>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    request: Uuid,
    message: Uuid,
    asker: String,
    question: String,
    rejection: Option<String>,
    state: String,
    tries: i64,
    answered_at: DateTime<Utc>,
    next_at: DateTime<Utc>,
    fault: Option<Fault>,
}

impl From<Listed> for Shown {
    fn from(listed: Listed) -> Self {
        Self {
            fault: listed.trouble.map(|trouble| fault(trouble, listed.faulted_at)),
            request: listed.request,
            message: listed.message,
            asker: listed.asker,
            question: listed.question,
            rejection: listed.rejection,
            state: listed.state,
            tries: listed.tries,
            answered_at: listed.created_at,
            next_at: listed.next_at,
        }
    }
}

fn fault(trouble: Trouble, at: Option<DateTime<Utc>>) -> Fault {
    Fault { name: trouble.fault, text: trouble.text, at }
}

/// Shows state and outbox.
///
/// # Errors
/// Only of the database.
pub async fn show(db: &Db, json: bool) -> Result<()> {
    let node = remote::node(db).await?;
    let depths = remote::depths(db).await?;
    let answers = remote::unfinished(db, SHOWN).await?;
    let doubts = doubt::all(db).await?;
    let (url, polled_at, trouble) = match node {
        Some(node) => {
            let trouble = node.trouble.map(|trouble| fault(trouble, node.faulted_at));
            (Some(node.url), node.polled_at, trouble)
        }
        None => (None, None, None),
    };
    let report = Report {
        url,
        polled_at,
        fault: trouble,
        waiting: depths.waiting,
        unconfirmed: depths.unconfirmed,
        parked: depths.parked,
        doubts: doubts.into_iter().map(Doubted::from).collect(),
        answers: answers.into_iter().map(Shown::from).collect(),
    };
    if json {
        return Ok(say_json(&report)?);
    }
    say_report(&report);
    Ok(())
}

/// Sends a parked answer again.
///
/// # Errors
/// What [`Admin::send_again`] refuses.
pub async fn send_again(admin: &Admin, request: Uuid) -> Result<()> {
    admin.send_again(request).await?;
    say(format!("Ответ на запрос {request} будет отправлен снова."));
    Ok(())
}

fn say_report(report: &Report) {
    let Some(url) = &report.url else {
        say(
            "Внешний узел СМЭВ не опрашивался: задайте federal.remote.url и запустите роль federal.",
        );
        return;
    };
    let polled = report.polled_at.map_or_else(|| "никогда".to_owned(), instant);
    say(format!("Узел {url}, последний успешный опрос: {polled}"));
    if let Some(fault) = &report.fault {
        let at = fault.at.map(instant).unwrap_or_default();
        let text = format!("Сейчас не отвечает как надо: {} ({at}): {}", fault.name, fault.text);
        say(plain(&text));
    }
    for Doubted { operation, fault } in &report.doubts {
        let at = fault.at.map(instant).unwrap_or_default();
        let text =
            format!("Последний сбой доверия, {operation} ({at}): {}: {}", fault.name, fault.text);
        say(plain(&text));
    }
    say(format!(
        "Ждут отправки: {}, ждут подтверждения узлу: {}, отложены: {}",
        report.waiting, report.unconfirmed, report.parked
    ));
    if report.answers.is_empty() {
        return;
    }
    let headers =
        ["Запрос", "Кто спросил", "Вопрос", "Состояние", "Попыток", "Следующая", "Последний отказ"];
    let rows: Vec<_> = report.answers.iter().map(row).collect();
    say_table("", headers, &rows);
    if report.parked > 0 {
        say("Отправить отложенный ответ снова: federal remote --again ЗАПРОС");
    }
}

fn row(answer: &Shown) -> [String; 7] {
    let told = answer.fault.as_ref().map(|fault| {
        let words: String = fault.text.chars().take(WORDS).collect();
        format!("{}: {}", fault.name, words.replace(['\r', '\n'], " "))
    });
    [
        answer.request.to_string(),
        answer.asker.clone(),
        match &answer.rejection {
            Some(code) => format!("{} (отказ {code})", answer.question),
            None => answer.question.clone(),
        },
        match answer.state.as_str() {
            "waiting" => "ждёт отправки",
            "parked" => "отложен",
            _ => "отправлен, не подтверждён",
        }
        .to_owned(),
        answer.tries.to_string(),
        if answer.state == "parked" { String::new() } else { instant(answer.next_at) },
        told.unwrap_or_default(),
    ]
}
