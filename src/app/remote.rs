//! The adapter to another node of the exchange, as configured.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::codec::smev3::Version;
use crate::config::{Config, Remote};
use crate::exchange::Exchange;
use crate::exchange::adapter::{Adapter, NodeTrust, Settings};
use crate::exchange::desk::Desk;
use crate::trust::TrustStore;
use crate::trust::crl::Stale;
use crate::trust::folder::{Folder, certificates};

/// The adapter, if there is a node to be polled.
pub(super) fn adapter(
    config: &Config,
    exchange: &Exchange,
    desk: &Desk,
) -> Result<Option<Adapter>> {
    let remote = &config.federal.remote;
    let Some(url) = remote.url.clone() else { return Ok(None) };
    let version = Version::parse(&remote.version).context("federal.remote.version is unknown")?;
    let settings = Settings {
        poll: Duration::from_secs(remote.poll_seconds),
        listen: Duration::from_secs(remote.listen_seconds),
        responses: remote.responses,
        patience: Duration::from_secs(remote.timeout_seconds),
        ..Settings::new(url, version)
    };
    let trust = trust(remote)?;
    if matches!(trust, NodeTrust::Common) {
        tracing::warn!(
            "federal.remote names no certificate of the node: whoever has one of an authority that we \
             trust could speak for it"
        );
    }
    Ok(Some(Adapter::new(exchange, desk.clone(), settings, trust)?))
}

/// Whose signature counts as the node's.
///
/// # Errors
/// Names the key whose file cannot be read or holds no certificate.
pub(super) fn trust(remote: &Remote) -> Result<NodeTrust> {
    if let Some(file) = &remote.certificate {
        return Ok(NodeTrust::Own(Arc::new(pinned(file)?)));
    }
    let Some(folder) = &remote.trust else { return Ok(NodeTrust::Common) };
    let folder = Folder::read(folder, Stale::Accept);
    let folder = folder.context("federal.remote.trust cannot be read")?;
    ensure!(!folder.anchors.is_empty(), "federal.remote.trust holds no authority");
    let store = TrustStore::new(&folder.anchors)?.with_crls(folder.crls);
    Ok(NodeTrust::Own(Arc::new(store)))
}

/// A store of the certificates in a file, each for itself.
fn pinned(file: &Path) -> Result<TrustStore> {
    let bytes = fs::read(file).context("federal.remote.certificate cannot be read")?;
    let found = certificates(&bytes);
    ensure!(!found.is_empty(), "federal.remote.certificate holds no certificate");
    Ok(TrustStore::new(&found)?)
}
