//! `check-config`: what this configuration makes of the process, and whether its files are there.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use chrono::{DateTime, Utc};

use crate::app::key;
use crate::config::Config;
use crate::ops::output::say;
use crate::trust::crl::Stale;
use crate::trust::folder::Folder;
use crate::trust::gost;

/// Prints what holds, secrets left out; says whether every file that is named can be read.
pub(super) fn report(config: &Config, now: DateTime<Utc>) -> Result<bool> {
    let database = without_password(&config.database_url()?);
    let broker = config.broker_url()?.map(|url| without_password(&url));
    let tls = if config.http.tls_certificate.is_some() { "TLS" } else { "без TLS" };
    let signing =
        config.signing.certificate_file.as_deref().or(config.signing.pkcs12_file.as_deref());
    let rows = [
        ("папка данных", config.data.display().to_string()),
        ("база данных", database),
        ("брокер", broker.unwrap_or_else(|| "внутри процесса (только для одного процесса)".into())),
        ("приём и обмен", format!("{} ({tls})", config.http.listen)),
        ("состояние и показатели", config.health.listen.to_string()),
        (
            "ключ подписи",
            signing.map_or("создаётся в папке данных".into(), |file| {
                file.display().to_string()
            }),
        ),
        ("наибольший пакет", format!("{} байт", config.limits.package_bytes)),
        ("операторов REST", config.operators.len().to_string()),
    ];
    for (what, value) in rows {
        say(format!("{what:<24}{value}"));
    }
    let files = [
        ("http.tls_certificate", config.http.tls_certificate.as_deref()),
        ("http.tls_key", config.http.tls_key.as_deref()),
        ("http.client_authorities", config.http.client_authorities.as_deref()),
        ("signing.key_file", config.signing.key_file.as_deref()),
        ("signing.certificate_file", config.signing.certificate_file.as_deref()),
    ];
    let mut good = true;
    if let Some(folder) = &config.trust.folder {
        good &= trusted("trust.folder", folder);
    }
    say(format!("{:<24}{}", "подписи ГОСТ", verifies_gost()));
    let configured =
        config.signing.certificate_file.is_some() || config.signing.pkcs12_file.is_some();
    if configured && let Err(error) = key::signer(config, now) {
        say(format!("ОШИБКА: signing: {error:#}"));
        good = false;
    }
    if let (Some(url), Some(trust)) = (&config.timestamp.url, &config.timestamp.trust) {
        say(format!("{:<24}{url}", "метки времени"));
        good &= trusted("timestamp.trust", trust);
    }
    for (key, file) in files {
        if let Some(error) = file.and_then(|file| readable_pem(file).err()) {
            say(format!("ОШИБКА: {key}: {error:#}"));
            good = false;
        }
    }
    say(if good {
        "Конфигурация в порядке."
    } else {
        "Конфигурация неполна."
    });
    Ok(good)
}

/// Says what a folder of trust holds; whether it can be read.
fn trusted(key: &str, folder: &Path) -> bool {
    match Folder::read(folder, Stale::Accept) {
        Ok(found) => {
            let (anchors, crls) = (found.anchors.len(), found.crls.len());
            let other = found.ignored.len();
            say(format!(
                "{key:<24}центров {anchors}, списков отзыва {crls}, прочих файлов {other}"
            ));
            true
        }
        Err(error) => {
            say(format!("ОШИБКА: {key}: {error:#}"));
            false
        }
    }
}

fn verifies_gost() -> &'static str {
    if gost::available() {
        "проверяются"
    } else {
        "НЕТ: не загружен модуль ГОСТ для OpenSSL"
    }
}

fn readable_pem(file: &Path) -> Result<()> {
    let text = fs::read_to_string(file)
        .map_err(|error| anyhow::anyhow!("{} не читается: {error}", file.display()))?;
    ensure!(text.contains("-----BEGIN "), "{} не в формате PEM", file.display());
    Ok(())
}

/// The URL with the password, if there is one, replaced by stars.
fn without_password(url: &str) -> String {
    let hidden = || {
        let (scheme, rest) = url.split_once("://")?;
        let end = rest.find('/').unwrap_or(rest.len());
        let (credentials, host) = rest[..end].rsplit_once('@')?;
        let (user, _) = credentials.split_once(':')?;
        Some(format!("{scheme}://{user}:***@{host}{}", &rest[end..]))
    };
    hidden().unwrap_or_else(|| url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::without_password;

    #[test]
    fn passwords_are_not_shown() {
        assert_eq!(without_password("postgres://a:s@cret@h:5/db"), "postgres://a:***@h:5/db");
        assert_eq!(without_password("postgres://h/db?x=a@b:c"), "postgres://h/db?x=a@b:c");
        assert_eq!(without_password("sqlite:///data/x.db"), "sqlite:///data/x.db");
    }
}
