//! Certificates in files that the configuration names: somebody must renew these too, so the service
//! watches when they end.

use std::path::Path;

use anyhow::{Context, Result};

use crate::config::Config;
use crate::exchange::Exchange;
use crate::exchange::expiry::Dated;
use crate::trust::certificate::Facts;
use crate::trust::crl::Stale;
use crate::trust::folder::{Folder, certificates};

/// Has the exchange watch them.
///
/// # Errors
/// Names the setting whose file cannot be read.
pub(super) fn watch(config: &Config, exchange: &Exchange) -> Result<()> {
    let (http, remote) = (&config.http, &config.federal.remote);
    for (kind, setting, file) in [
        ("tls", "http.tls_certificate", &http.tls_certificate),
        ("client_authority", "http.client_authorities", &http.client_authorities),
        ("remote", "federal.remote.certificate", &remote.certificate),
    ] {
        let Some(file) = file else { continue };
        let bytes = std::fs::read(file).with_context(|| format!("{setting} cannot be read"))?;
        add(exchange, kind, &certificates(&bytes));
    }
    for (kind, setting, folder) in [
        ("remote", "federal.remote.trust", remote.trust.as_deref()),
        ("timestamp", "timestamp.trust", config.timestamp.trust.as_deref()),
    ] {
        if let Some(folder) = folder {
            add(exchange, kind, &anchors(setting, folder)?);
        }
    }
    Ok(())
}

fn anchors(setting: &str, folder: &Path) -> Result<Vec<Vec<u8>>> {
    let found = Folder::read(folder, Stale::Accept);
    Ok(found.with_context(|| format!("{setting} cannot be read"))?.anchors)
}

fn add(exchange: &Exchange, kind: &'static str, found: &[Vec<u8>]) {
    for facts in found.iter().filter_map(|der| Facts::read(der).ok()) {
        exchange.watch(Dated::of(kind, &facts.subject, &facts));
    }
}
