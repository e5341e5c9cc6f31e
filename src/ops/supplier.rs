//! `supplier`: suppliers, their certificates and organisations.

use std::path::{Path, PathBuf};

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::exchange::admin::{Admin, NewSupplier};
use crate::ops::certificate;
use crate::ops::output::{day, instant, plural, say, say_list, yes};
use crate::storage::candidate;
use crate::storage::db::Db;
use crate::storage::supplier;
use crate::trust::certificate::Facts;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    mnemonic: String,
    name: String,
    kind: String,
    blocked: bool,
    limited: bool,
    organisations: Vec<i64>,
    strict_checksums: bool,
    test_packages: bool,
    other_encodings: bool,
    created_at: DateTime<Utc>,
    certificates: Vec<ListedCertificate>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListedCertificate {
    sha256: String,
    subject: String,
    not_before: DateTime<Utc>,
    not_after: DateTime<Utc>,
}

/// Registers a supplier or changes it, with certificates from files.
///
/// # Errors
/// A file that is no certificate, or what [`Admin::register_supplier`] refuses.
pub async fn add(
    admin: &Admin,
    new: &NewSupplier,
    certificates: &[PathBuf],
    now: DateTime<Utc>,
) -> Result<()> {
    let certificates =
        certificates.iter().map(|file| certificate::read(file)).collect::<Result<Vec<_>>>()?;
    let fresh = admin.register_supplier(new, &certificates).await?;
    let done = if fresh { "зарегистрирован" } else { "изменён" };
    say(format!("Поставщик {} {done}.", new.mnemonic));
    for facts in &certificates {
        certificate::describe(facts, now);
        certificate::warn_untrusted(admin, facts, now).await?;
    }
    if fresh && certificates.is_empty() {
        say("Пока за ним нет сертификата, его пакеты будут отклонены: supplier add-certificate");
    }
    Ok(())
}

/// Lists suppliers.
///
/// # Errors
/// Only of the database.
pub async fn list(db: &Db, json: bool, now: DateTime<Utc>) -> Result<()> {
    let mut listed = Vec::new();
    for known in supplier::list(db).await? {
        let certificates = supplier::certificates(db, known.id).await?;
        listed.push(Listed {
            organisations: supplier::granted(db, known.id).await?,
            mnemonic: known.mnemonic,
            name: known.name,
            kind: known.kind,
            blocked: known.blocked,
            limited: known.limited,
            strict_checksums: known.strict_checksums,
            test_packages: known.test_packages,
            other_encodings: known.other_encodings,
            created_at: known.created_at,
            certificates: certificates
                .into_iter()
                .map(|certificate| ListedCertificate {
                    sha256: certificate.sha256,
                    subject: certificate.subject,
                    not_before: certificate.not_before,
                    not_after: certificate.not_after,
                })
                .collect(),
        });
    }
    let headers = [
        "Мнемоника",
        "Состояние",
        "Вид",
        "Организации",
        "Строгий",
        "Тест",
        "Сертификат",
        "Название",
    ];
    let empty = "Поставщиков нет. Зарегистрировать: supplier add МНЕМОНИКА --name НАЗВАНИЕ";
    say_list(&listed, json, empty, headers, |supplier| {
        [
            supplier.mnemonic.clone(),
            if supplier.blocked { "заблокирован" } else { "действует" }.to_owned(),
            supplier.kind.clone(),
            scope(supplier),
            yes(supplier.strict_checksums),
            yes(supplier.test_packages),
            signing(supplier, now),
            supplier.name.clone(),
        ]
    })?;
    Ok(())
}

/// Registers one more certificate, from a file.
///
/// # Errors
/// A file that is no certificate, or what [`Admin::add_certificate`] refuses.
pub async fn add_certificate(
    admin: &Admin,
    mnemonic: &str,
    file: &Path,
    now: DateTime<Utc>,
) -> Result<()> {
    let facts = certificate::read(file)?;
    admin.add_certificate(mnemonic, &facts).await?;
    say(format!("За поставщиком {mnemonic} зарегистрирован"));
    certificate::describe(&facts, now);
    certificate::warn_untrusted(admin, &facts, now).await
}

/// Takes a certificate back.
///
/// # Errors
/// What [`Admin::withdraw_certificate`] refuses.
pub async fn withdraw_certificate(admin: &Admin, sha256: &str) -> Result<()> {
    admin.withdraw_certificate(sha256).await?;
    say("Сертификат изъят: новые пакеты с его подписью будут отклонены.");
    Ok(())
}

/// Lists certificates that wait for approval.
///
/// # Errors
/// Only of the database.
pub async fn candidates(db: &Db, json: bool) -> Result<()> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Waiting {
        supplier: String,
        sha256: String,
        subject: String,
        not_before: DateTime<Utc>,
        not_after: DateTime<Utc>,
        first_seen: DateTime<Utc>,
        last_seen: DateTime<Utc>,
        packages: i64,
    }
    let waiting = candidate::list(db).await?.into_iter().map(|found| Waiting {
        supplier: found.supplier,
        sha256: found.certificate.sha256,
        subject: found.certificate.subject,
        not_before: found.certificate.not_before,
        not_after: found.certificate.not_after,
        first_seen: found.first_seen,
        last_seen: found.last_seen,
        packages: found.packages,
    });
    let headers = ["Поставщик", "SHA-256", "Владелец", "Действует до", "Пакетов", "Последний"];
    let empty = "Ожидающих сертификатов нет: все подписавшие пакеты сертификаты зарегистрированы.";
    say_list(&waiting.collect::<Vec<_>>(), json, empty, headers, |waiting| {
        [
            waiting.supplier.clone(),
            waiting.sha256.clone(),
            waiting.subject.clone(),
            day(waiting.not_after),
            waiting.packages.to_string(),
            instant(waiting.last_seen),
        ]
    })?;
    Ok(())
}

/// Registers a certificate that waits.
///
/// # Errors
/// What [`Admin::approve_certificate`] refuses.
pub async fn approve(admin: &Admin, sha256: &str, now: DateTime<Utc>) -> Result<()> {
    let approved = admin.approve_certificate(sha256).await?;
    say(format!("За поставщиком {} зарегистрирован", approved.supplier));
    certificate::describe(&Facts::read(&approved.certificate.der)?, now);
    say("Отклонённые пакеты поставщик должен прислать ещё раз.");
    Ok(())
}

/// Forgets a certificate that waits.
///
/// # Errors
/// What [`Admin::dismiss_certificate`] refuses.
pub async fn dismiss(admin: &Admin, sha256: &str) -> Result<()> {
    admin.dismiss_certificate(sha256).await?;
    say("Сертификат отклонён; он появится снова, если им подпишут ещё один пакет.");
    Ok(())
}

/// Blocks a supplier, or lets it in again.
///
/// # Errors
/// What [`Admin::block_supplier`] refuses.
pub async fn block(admin: &Admin, mnemonic: &str, blocked: bool) -> Result<()> {
    admin.block_supplier(mnemonic, blocked).await?;
    say(if blocked {
        format!("Поставщик {mnemonic} заблокирован: его пакеты будут отклонены.")
    } else {
        format!("Поставщик {mnemonic} снова действует.")
    });
    Ok(())
}

/// Entrusts an organisation to a supplier.
///
/// # Errors
/// What [`Admin::grant`] refuses.
pub async fn grant(admin: &Admin, mnemonic: &str, organisation: i64) -> Result<()> {
    say(if admin.grant(mnemonic, organisation).await? {
        format!("Поставщику {mnemonic} доверена организация {organisation}.")
    } else {
        format!("Организация {organisation} уже доверена поставщику {mnemonic}.")
    });
    Ok(())
}

fn scope(supplier: &Listed) -> String {
    let count = u64::try_from(supplier.organisations.len()).unwrap_or(u64::MAX);
    if supplier.limited {
        plural(count, ["организация", "организации", "организаций"])
    } else {
        "все".to_owned()
    }
}

/// The certificate that ends next, and how many more there are.
fn signing(supplier: &Listed, now: DateTime<Utc>) -> String {
    let certificates = supplier.certificates.iter();
    let next = certificates.filter(|one| one.not_after >= now).min_by_key(|one| one.not_after);
    // The newest stands first: when all are over, it is the one that was over last.
    let Some(next) = next.or(supplier.certificates.first()) else { return "нет".to_owned() };
    let dates = certificate::validity(next.not_before, next.not_after, now);
    match supplier.certificates.len() - 1 {
        0 => dates,
        more => format!("{dates} (+{more})"),
    }
}
