//! `federal`: systems of the exchange of messages, what they may ask of each other, and their queues.

use std::path::Path;

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::exchange::admin::{Admin, NewKind};
use crate::exchange::silence::Trouble;
use crate::ops::certificate;
use crate::ops::output::{day, instant, say, say_list, yes};
use crate::storage::db::Db;
use crate::storage::federal_system::{self, Described, FederalSystem};
use crate::storage::mailbox::{self, QueueState};
use crate::storage::message_type;
use crate::storage::supplier;

#[derive(Serialize)]
struct Listed {
    mnemonic: String,
    name: String,
    active: bool,
    vip: bool,
    asks: bool,
    certificates: i64,
    /// When the certificate ends that ends next; the last one that ended when all are over.
    #[serde(rename = "nextEnd")]
    next_end: Option<DateTime<Utc>>,
}

/// The system of this mnemonic, if it is registered.
///
/// # Errors
/// Only of the database.
pub async fn known(db: &Db, mnemonic: &str) -> Result<Option<FederalSystem>> {
    let systems = federal_system::list(db).await?;
    Ok(systems.into_iter().find(|system| system.mnemonic == mnemonic))
}

/// Whether a system goes before others and may ask about persons. One more certificate of a known
/// system changes neither, unless it is told to.
pub fn rights(known: Option<&FederalSystem>, vip: bool, asks: Option<bool>) -> (bool, bool) {
    let kept = |right: fn(&FederalSystem) -> bool, new| known.map_or(new, right);
    (vip || kept(|known| known.vip, false), asks.unwrap_or_else(|| kept(|known| known.asks, true)))
}

/// Registers a system, or one more certificate of it, from a file.
///
/// # Errors
/// A file that is no certificate, or what [`Admin::register_system`] refuses.
pub async fn add(
    admin: &Admin,
    system: Described<'_>,
    file: &Path,
    now: DateTime<Utc>,
) -> Result<()> {
    let facts = certificate::read(file)?;
    admin.register_system(system, &facts).await?;
    let (asks, vip) = (yes(system.asks), yes(system.vip));
    say(format!(
        "Система {} зарегистрирована. Вопросы о людях: {asks}; вне очереди: {vip}.",
        system.mnemonic
    ));
    certificate::describe(&facts, now);
    certificate::warn_untrusted(admin, &facts, now).await
}

/// Lists systems.
///
/// # Errors
/// Only of the database.
pub async fn list(db: &Db, json: bool, now: DateTime<Utc>) -> Result<()> {
    let systems = federal_system::list(db).await?;
    let owned = supplier::owned(db).await?;
    let next_end = |mnemonic: &str| {
        let of = owned.iter().filter(|one| one.kind == "federal" && one.owner == mnemonic);
        let ends: Vec<DateTime<Utc>> = of.map(|one| one.certificate.not_after).collect();
        ends.iter().filter(|end| **end >= now).min().or(ends.iter().max()).copied()
    };
    let listed: Vec<Listed> = systems
        .into_iter()
        .map(|system| Listed {
            next_end: next_end(&system.mnemonic),
            mnemonic: system.mnemonic,
            name: system.name,
            active: system.active,
            vip: system.vip,
            asks: system.asks,
            certificates: system.certificates,
        })
        .collect();
    let empty = "Систем обмена нет. Зарегистрировать: \
        federal add МНЕМОНИКА --name НАЗВАНИЕ --certificate ФАЙЛ.pem";
    let headers =
        ["Мнемоника", "Состояние", "Вопросы", "VIP", "Сертификатов", "Ближайший до", "Название"];
    say_list(&listed, json, empty, headers, |system| {
        [
            system.mnemonic.clone(),
            if system.active { "действует" } else { "заблокирована" }.to_owned(),
            yes(system.asks),
            yes(system.vip),
            system.certificates.to_string(),
            system.next_end.map_or_else(|| "нет".to_owned(), day),
            system.name.clone(),
        ]
    })?;
    Ok(())
}

/// Denies a system access, or lets it in again.
///
/// # Errors
/// What [`Admin::block_system`] refuses.
pub async fn block(admin: &Admin, mnemonic: &str, blocked: bool) -> Result<()> {
    admin.block_system(mnemonic, blocked).await?;
    say(if blocked {
        format!("Системе {mnemonic} отказано в доступе.")
    } else {
        format!("Система {mnemonic} снова действует.")
    });
    Ok(())
}

/// Registers a kind of messages.
///
/// # Errors
/// What [`Admin::register_kind`] refuses.
pub async fn add_kind(admin: &Admin, new: NewKind<'_>) -> Result<()> {
    admin.register_kind(new).await?;
    say(format!("Вид сведений {} зарегистрирован, отвечает {}.", new.code, new.provider));
    if !new.open_to_all {
        say("Кому можно спрашивать: federal grant-kind КОД МНЕМОНИКА");
    }
    Ok(())
}

/// Lets a system ask.
///
/// # Errors
/// What [`Admin::grant_kind`] refuses.
pub async fn grant_kind(admin: &Admin, code: &str, mnemonic: &str) -> Result<()> {
    admin.grant_kind(code, mnemonic).await?;
    say(format!("Системе {mnemonic} можно запрашивать {code}."));
    Ok(())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedKind {
    code: String,
    title: String,
    provider: String,
    open: bool,
    roots: Vec<String>,
}

/// Lists kinds of messages.
///
/// # Errors
/// Only of the database.
pub async fn kinds(db: &Db, json: bool) -> Result<()> {
    let systems = federal_system::list(db).await?;
    let roots = message_type::roots(db).await?;
    let listed = message_type::list(db).await?.into_iter().map(|kind| ListedKind {
        provider: systems
            .iter()
            .find(|system| system.id == kind.provider)
            .map(|system| system.mnemonic.clone())
            .unwrap_or_default(),
        roots: roots
            .iter()
            .filter(|root| root.code == kind.code)
            .map(|root| format!("{{{}}}{} → {}", root.namespace, root.request, root.response))
            .collect(),
        code: kind.code,
        title: kind.title,
        open: kind.open_to_all,
    });
    let headers = ["Код", "Отвечает", "Открыт всем", "Корневые элементы", "Название"];
    let empty = "Видов сведений, кроме наших собственных, нет. Зарегистрировать: federal add-kind";
    say_list(&listed.collect::<Vec<_>>(), json, empty, headers, |kind| {
        [
            kind.code.clone(),
            kind.provider.clone(),
            yes(kind.open),
            kind.roots.join("; "),
            kind.title.clone(),
        ]
    })?;
    Ok(())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedQueue {
    system: String,
    queue: &'static str,
    node: String,
    waiting: i64,
    handed_out: i64,
    deliveries: i64,
    oldest_seconds: Option<i64>,
    polled_at: Option<DateTime<Utc>>,
    /// Why what waits does not arrive.
    trouble: Option<&'static str>,
    #[serde(skip)]
    said: &'static str,
}

/// Shows queues.
///
/// # Errors
/// Only of the database.
pub async fn queues(db: &Db, json: bool, now: DateTime<Utc>) -> Result<()> {
    let trouble = |queue: &QueueState| Trouble::of(queue, now);
    let listed = mailbox::queues(db).await?.into_iter().map(|queue| ListedQueue {
        trouble: trouble(&queue).map(Trouble::as_str),
        said: trouble(&queue).map_or("", Trouble::text),
        system: queue.system,
        queue: queue.queue.as_str(),
        node: queue.node,
        waiting: queue.waiting,
        handed_out: queue.out,
        deliveries: queue.deliveries,
        oldest_seconds: queue.oldest.map(|at| (now - at).num_seconds()),
        polled_at: queue.polled,
    });
    let headers = [
        "Система",
        "Очередь",
        "Узел",
        "Ждут",
        "Выдано",
        "Выдач",
        "Старшему, с",
        "Опрошена",
        "Внимание",
    ];
    let empty = "Очереди пусты, и никто их ещё не опрашивал.";
    say_list(&listed.collect::<Vec<_>>(), json, empty, headers, |queue| {
        [
            queue.system.clone(),
            match queue.queue {
                "request" => "запросов",
                "response" => "ответов",
                _ => "состояний",
            }
            .to_owned(),
            queue.node.clone(),
            queue.waiting.to_string(),
            queue.handed_out.to_string(),
            queue.deliveries.to_string(),
            queue.oldest_seconds.map(|age| age.to_string()).unwrap_or_default(),
            queue.polled_at.map_or_else(|| "никогда".to_owned(), instant),
            queue.said.to_owned(),
        ]
    })?;
    Ok(())
}

/// Makes the word by which a system may put large files into the store.
///
/// # Errors
/// What [`Admin::issue_store_word`] refuses.
pub async fn store_account(admin: &Admin, mnemonic: &str) -> Result<()> {
    let word = admin.issue_store_word(mnemonic).await?;
    say(format!("Учётная запись хранилища файлов: {mnemonic}, пароль {word}"));
    say("Пароль показан один раз; прежний больше не действует.");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_certificate_changes_no_right_unless_told_to() {
        let known = |vip, asks| FederalSystem {
            id: 1,
            mnemonic: "DIARY01".to_owned(),
            name: "Дневник".to_owned(),
            active: true,
            vip,
            asks,
            certificates: 1,
        };
        assert_eq!(rights(None, false, None), (false, true));
        assert_eq!(rights(None, true, Some(false)), (true, false));
        assert_eq!(rights(Some(&known(true, false)), false, None), (true, false));
        assert_eq!(rights(Some(&known(false, false)), false, Some(true)), (false, true));
        assert_eq!(rights(Some(&known(false, true)), true, Some(false)), (true, false));
    }
}
