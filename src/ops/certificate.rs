//! Certificates in files, as administrators hand them in.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};

use crate::exchange::admin::{Admin, Validity};
use crate::model::refusal::RefusalCode;
use crate::ops::output::{day, plain, plural, say};
use crate::storage::supplier;
use crate::trust::TrustStore;
use crate::trust::certificate::Facts;
use crate::trust::crl::Stale;
use crate::trust::folder::Folder;

/// Days before the end of a certificate at which its successor should be at hand.
const SOON: i64 = 60;

/// Reads a certificate file, PEM or DER.
pub(super) fn read(file: &Path) -> Result<Facts> {
    let bytes =
        fs::read(file).with_context(|| format!("не удалось прочитать файл {}", file.display()))?;
    Facts::read(&bytes).with_context(|| format!("файл {} не принят", file.display()))
}

/// Says what was registered, and warns about a certificate that is not in date.
pub(super) fn describe(facts: &Facts, now: DateTime<Utc>) {
    say(format!("  сертификат {}", plain(&facts.subject)));
    say(format!("    SHA-256 {}", facts.sha256));
    let (from, to) = (day(facts.not_before), day(facts.not_after));
    say(format!("    действует с {from} по {to}"));
    match Validity::of(facts.not_before, facts.not_after, now) {
        Validity::Current => {
            let days = (facts.not_after - now).num_days();
            if days < SOON {
                let left = plural(days.unsigned_abs(), ["день", "дня", "дней"]);
                say(format!("    ВНИМАНИЕ: до конца срока {left}; зарегистрируйте и следующий"));
            }
        }
        Validity::Early => say(format!(
            "    ВНИМАНИЕ: срок сертификата ещё не начался; до {from} подписи им будут отклонены"
        )),
        Validity::Expired => {
            say(format!("    ВНИМАНИЕ: срок сертификата истёк {to}; подписи им будут отклонены"));
        }
    }
}

/// Warns when no trusted authority vouches for a signer's certificate.
pub(super) async fn warn_untrusted(admin: &Admin, facts: &Facts, now: DateTime<Utc>) -> Result<()> {
    let mut anchors = supplier::anchors(admin.db()).await?;
    if let Some(folder) = admin.trust_folder() {
        anchors.extend(Folder::read(folder, Stale::Accept)?.anchors);
    }
    let store = TrustStore::new(&anchors)?;
    if let Err(refusal) = store.judge(&facts.der, &[], now)
        && refusal.code == RefusalCode::CertUntrusted
    {
        say(
            "    ВНИМАНИЕ: его издатель не внесён в число доверенных (authority add); подписи будут",
        );
        say("    приняты, только если пакет сам содержит цепочку до доверенного центра");
    }
    Ok(())
}

/// One word or two on the dates of a certificate.
pub(super) fn validity(
    not_before: DateTime<Utc>,
    not_after: DateTime<Utc>,
    now: DateTime<Utc>,
) -> String {
    match Validity::of(not_before, not_after, now) {
        Validity::Current => format!("до {}", day(not_after)),
        Validity::Early => format!("с {}", day(not_before)),
        Validity::Expired => format!("истёк {}", day(not_after)),
    }
}
