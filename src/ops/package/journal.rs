//! `package list|show|status|receipt|replay`: what the journal holds.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::exchange::document;
use crate::exchange::replay::{Desk, Request};
use crate::model::finding::Code;
use crate::model::ids::{PackageId, PackageNo};
use crate::model::kind::Kind;
use crate::model::package::{Counts, Fate, State};
use crate::ops::output::{instant, plural, say, say_json, say_table, yes};
use crate::ops::package::validate::line;
use crate::storage::content::decompress;
use crate::storage::db::Db;
use crate::storage::journal::Package;
use crate::storage::journal::conclude::findings;
use crate::storage::journal::list::{self as rows, Attempt, Filter};
use crate::storage::registry::deferred;

/// A package as an operator names it.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// Our number, or the supplier's UUID.
    pub package: String,
    /// Mnemonic of the supplier, needed when two use the same UUID.
    pub supplier: Option<String>,
}

impl Chosen {
    /// Finds the package.
    ///
    /// # Errors
    /// When there is none, when there are two, or when this is no name of a package.
    pub(super) async fn find(&self, db: &Db) -> Result<Package> {
        let name = self.package.as_str();
        if let Ok(number) = name.parse() {
            let found = rows::by_no(db, PackageNo(number)).await?;
            return found.ok_or_else(|| anyhow!("пакета № {number} нет"));
        }
        let id = Uuid::parse_str(name)
            .map_err(|_| anyhow!("«{name}» — не номер пакета и не UUID поставщика"))?;
        let mut found = rows::by_id(db, PackageId(id), self.supplier.as_deref()).await?;
        if let [first, second] = found.as_slice() {
            bail!(
                "этот UUID использовали два поставщика, {} (пакет № {}) и {} (пакет № {}): \
                 назовите номер или --supplier",
                first.supplier,
                first.no,
                second.supplier,
                second.no
            );
        }
        found.pop().ok_or_else(|| anyhow!("пакета {id} нет"))
    }
}

/// Lists packages, newest first.
///
/// # Errors
/// Only of the database.
pub async fn list(db: &Db, filter: &Filter, limit: u32, json: bool) -> Result<()> {
    let packages = rows::page(db, filter, i64::from(limit)).await?;
    if json {
        return Ok(packages.iter().try_for_each(|one| say_json(&document::package(one)))?);
    }
    let Some(last) = packages.last() else {
        let all = rows::count(db, &Filter::default()).await?;
        say(if all == 0 {
            "Пакетов ещё нет."
        } else {
            "Пакетов, отвечающих условиям, нет."
        });
        return Ok(());
    };
    let cells: Vec<[String; 8]> = packages
        .iter()
        .map(|package| {
            [
                package.no.to_string(),
                instant(package.received_at),
                package.supplier.clone(),
                package.header.package_type.clone(),
                package.records.to_string(),
                package.state.title().to_owned(),
                package.reason.clone().unwrap_or_default(),
                package.package_id.to_string(),
            ]
        })
        .collect();
    let headers =
        ["№", "Принят", "Поставщик", "Тип", "Записей", "Состояние", "Причина", "Идентификатор"];
    say_table("", headers, &cells);
    if usize::try_from(limit).is_ok_and(|limit| limit == packages.len()) && last.no.0 > 1 {
        say(format!("Дальше: --before {}", last.no));
    }
    Ok(())
}

/// Says where a package is.
///
/// # Errors
/// What [`Chosen::find`] says.
pub async fn status(db: &Db, chosen: &Chosen, json: bool) -> Result<()> {
    let package = chosen.find(db).await?;
    let attempts = rows::attempts(db, package.no).await?;
    let done = attempts.first().map_or(0, |last| last.records_done);
    if json {
        say_json(&json!({
            "number": package.no,
            "packageId": package.package_id,
            "supplier": package.supplier,
            "state": package.state,
            "stateTitle": package.state.title(),
            "reason": package.reason,
            "receivedAt": package.received_at,
            "stateAt": package.state_at,
            "attempts": attempts.len(),
            "records": package.records,
            "recordsDone": done,
        }))?;
        return Ok(());
    }
    say_state(&package);
    say(format!("  попыток       {}", attempts.len()));
    say(format!("  обработано    записей {done} из {}", package.records));
    Ok(())
}

/// Prints the last receipt of a package: the signed document itself.
///
/// # Errors
/// What [`Chosen::find`] says; a receipt that is damaged.
pub async fn receipt(db: &Db, chosen: &Chosen, json: bool) -> Result<()> {
    let package = chosen.find(db).await?;
    let found = rows::latest_receipt(db, package.no).await?;
    let (frame, attempt) = found.ok_or_else(|| anyhow!("квитанции нет"))?;
    let xml = decompress(&frame).context("квитанция повреждена")?;
    let xml = String::from_utf8(xml).context("квитанция повреждена")?;
    if !json {
        say(xml.trim_end());
        return Ok(());
    }
    say_json(&json!({
        "number": package.no,
        "packageId": package.package_id,
        "supplier": package.supplier,
        "final": attempt.is_some(),
        "attempt": attempt,
        "receipt": xml,
    }))?;
    Ok(())
}

/// Shows a package: header, attempts, counts, and up to `limit` findings of the last attempt.
///
/// # Errors
/// What [`Chosen::find`] says.
pub async fn show(db: &Db, chosen: &Chosen, limit: u64, json: bool) -> Result<()> {
    let package = chosen.find(db).await?;
    let attempts = rows::attempts(db, package.no).await?;
    let found = match attempts.first() {
        Some(last) => findings(db, last.id, 0, limit).await?,
        None => Vec::new(),
    };
    let fate = deferred::fate(db, package.no).await?;
    if json {
        let mut shown = document::package(&package);
        shown["attempts"] = attempts.iter().map(document::attempt).collect();
        shown["findings"] = found.iter().map(document::finding).collect::<Vec<Value>>().into();
        shown["deferred"] = document::deferred(fate);
        return Ok(say_json(&shown)?);
    }
    say_state(&package);
    say_header(&package);
    say_attempts(&attempts);
    let Some(last) = attempts.first() else { return Ok(()) };
    say_counts(last);
    say_deferred(fate);
    if found.is_empty() {
        say("Замечаний нет.");
        return Ok(());
    }
    say("Замечания:");
    found.iter().map(line).for_each(say);
    let hidden = last.findings.unsigned_abs().saturating_sub(found.len() as u64);
    if hidden > 0 {
        say(format!("  … и ещё {hidden}: --findings ЧИСЛО"));
    }
    Ok(())
}

/// Processes packages again: the one named, or up to `limit` of those the filter means.
///
/// # Errors
/// What [`Chosen::find`] says, a package that cannot be replayed, a filter without conditions.
pub async fn replay(
    desk: Desk<'_>,
    chosen: Option<&Chosen>,
    (filter, limit): (&Filter, u32),
    request: &Request,
    json: bool,
) -> Result<()> {
    let replayed = match chosen {
        Some(chosen) => {
            let package = chosen.find(desk.db).await?;
            let attempt = desk.replay(package.no, request).await;
            let attempt = attempt.with_context(|| format!("пакет № {}", package.no))?;
            vec![(package.no, attempt)]
        }
        None if is_empty(filter) => bail!("назовите пакет или хотя бы одно условие отбора"),
        None => desk.replay_matching(filter, u64::from(limit), request).await?,
    };
    for (package, attempt) in &replayed {
        if json {
            say_json(&json!({ "package": package, "attempt": attempt }))?;
        } else {
            say(format!("Пакет № {package}: назначена новая попытка {attempt}."));
        }
    }
    if replayed.is_empty() && !json {
        say("Нет пакетов, которые можно обработать повторно по этим условиям.");
    }
    Ok(())
}

/// Whether a filter means all packages; a page is no condition.
fn is_empty(filter: &Filter) -> bool {
    let Filter { state, supplier, code, since, until, before: _ } = filter;
    state.is_none() && supplier.is_none() && code.is_none() && since.is_none() && until.is_none()
}

/// Nothing where no record waited for another.
fn say_deferred(fate: Fate) {
    if fate != Fate::default() {
        say(format!(
            "Записи, ждавшие других: применено позже {}, ещё ждут {}, не дождались {}",
            fate.applied, fate.waiting, fate.expired
        ));
    }
}

fn say_state(package: &Package) {
    say(format!("Пакет № {} поставщика {}", package.no, package.supplier));
    say(format!("  идентификатор {}", package.package_id));
    let since = instant(package.state_at);
    say(format!("  состояние     {} с {since}", package.state.title()));
    if let Some(reason) = &package.reason {
        let text = Code::parse(reason).map_or("", Code::text);
        say(format!("  причина       {reason}: {text}"));
    }
    say(format!("  принят        {}", instant(package.received_at)));
    let next = match package.state {
        State::Waiting => "package replay --approve, если ждать больше нечего",
        State::Rejected | State::Failed => "package replay, когда причина устранена",
        State::Received | State::Registered => return,
    };
    say(format!("  что делать    {next}"));
}

fn say_header(package: &Package) {
    let header = &package.header;
    let (mode, scope) = (header.mode.as_str(), header.scope.to_text());
    say(format!("  тип           {}, {mode}, {scope}", header.package_type));
    if let Some(sequence) = header.sequence {
        let previous = header.previous_sequence.unwrap_or(0);
        say(format!("  порядок       {sequence}, после {previous}"));
    }
    say(format!("  снимок        {}", instant(header.snapshot_at)));
    say(format!("  тестовый      {}", yes(header.test)));
    let records = plural(package.records, ["запись", "записи", "записей"]);
    say(format!("  объём         {records}, {} байт", package.content_bytes));
    say(format!("  подписал      {}", package.signer_sha256));
    match package.revocation.as_str() {
        "unknown" => {
            say(
                "                REVOCATION_UNKNOWN: об отзыве сертификата ничего не было известно",
            );
        }
        "revoked" => say("                ВНИМАНИЕ: сертификат с тех пор отозван"),
        _ => {}
    }
    say(format!("  адрес         {}", package.peer));
}

fn say_attempts(attempts: &[Attempt]) {
    let cells: Vec<[String; 6]> = attempts
        .iter()
        .map(|attempt| {
            let outcome = attempt.outcome.as_deref();
            let known = outcome.and_then(State::parse).map(State::title);
            let ended = known.or(outcome.map(|_| "Заменена")).unwrap_or("Не окончена");
            let asked = attempt.reason.clone().unwrap_or_default();
            let who = attempt.actor.clone().unwrap_or_default();
            let error = attempt.error.clone().unwrap_or_default();
            [
                attempt.number.to_string(),
                instant(attempt.requested_at),
                ended.into(),
                who,
                asked,
                error,
            ]
        })
        .collect();
    say("Попытки:");
    let headers = ["№", "Назначена", "Итог", "Кто", "Зачем", "Сбой"];
    say_table("  ", headers, &cells);
}

fn say_counts(attempt: &Attempt) {
    let counts = attempt.counts.as_deref().unwrap_or("{}");
    let counts: BTreeMap<Kind, Counts> = serde_json::from_str(counts).unwrap_or_default();
    if counts.is_empty() {
        return;
    }
    let cells: Vec<[String; 7]> = counts
        .iter()
        .map(|(kind, counts)| {
            let all = [
                counts.total,
                counts.created,
                counts.updated,
                counts.unchanged,
                counts.refused,
                counts.superseded,
            ];
            let [total, created, updated, unchanged, refused, superseded] =
                all.map(|count| count.to_string());
            [kind.title().to_owned(), total, created, updated, unchanged, refused, superseded]
        })
        .collect();
    say("Записи:");
    let headers = ["", "Всего", "Создано", "Изменено", "Без изменений", "Отклонено", "Устарело"];
    say_table("  ", headers, &cells);
}
