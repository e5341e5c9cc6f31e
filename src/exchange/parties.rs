//! Suppliers, certificates and trust, in memory; what an operator changes counts within a second.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::Mutex;

use crate::broker;
use crate::exchange::members::Members;
use crate::model::ids::SupplierId;
use crate::model::refusal::{Refusal, RefusalCode};
use crate::storage::db::{Db, DbError};
use crate::storage::supplier::{self, Supplier};
use crate::trust::TrustStore;
use crate::trust::crl::Stale;
use crate::trust::folder::{Folder, Watched};
use crate::trust::ocsp::Statuses;

/// How old the picture may be.
const FRESH: Duration = Duration::from_secs(1);

/// A supplier as the doors need it.
#[derive(Debug)]
pub(crate) struct Party {
    pub(crate) supplier: Supplier,
    pub(crate) partition: u16,
}

/// One consistent picture.
pub(crate) struct Picture {
    generation: i64,
    /// State of the folder of trust.
    folder: u64,
    by_mnemonic: HashMap<String, Arc<Party>>,
    owners: HashMap<String, SupplierId>,
    pub(crate) trust: Arc<TrustStore>,
    /// Who exchanges messages through us.
    pub(crate) members: Arc<Members>,
    /// When the next issue of a list of revoked certificates is or was due.
    pub(crate) crl_due: Option<DateTime<Utc>>,
}

impl Picture {
    pub(crate) fn supplier(&self, mnemonic: &str) -> Option<&Arc<Party>> {
        self.by_mnemonic.get(mnemonic)
    }

    /// Whose certificate this is, by lower-case hex of its SHA-256.
    pub(crate) fn owner(&self, sha256: &str) -> Option<SupplierId> {
        self.owners.get(sha256).copied()
    }
}

/// The current picture.
pub(crate) struct Parties {
    db: Db,
    /// Folder with more authorities, and with lists of revoked certificates.
    folder: Option<Watched>,
    /// What responders said, where they are asked.
    statuses: Option<(Statuses, Stale)>,
    /// Whether we answer the questions of the federal segment ourselves.
    answers: bool,
    /// Whether any certificate is trusted, as only a sandbox does.
    anybody: bool,
    current: RwLock<Option<(Instant, Arc<Picture>)>>,
    refreshing: Mutex<()>,
}

impl Parties {
    pub(crate) fn new(
        db: Db,
        folder: Option<Watched>,
        statuses: Option<(Statuses, Stale)>,
        answers: bool,
        anybody: bool,
    ) -> Self {
        let (current, refreshing) = (RwLock::new(None), Mutex::new(()));
        Self { db, folder, statuses, answers, anybody, current, refreshing }
    }

    /// The picture, at most a second old; an older one while the database is away.
    pub(crate) async fn picture(&self) -> Result<Arc<Picture>, Refusal> {
        let old = match self.look() {
            Some((at, picture)) if at.elapsed() < FRESH => return Ok(picture),
            old => old,
        };
        let guard = match &old {
            // Somebody is looking already: an old picture serves for that long.
            Some((_, picture)) => match self.refreshing.try_lock() {
                Ok(guard) => guard,
                Err(_) => return Ok(Arc::clone(picture)),
            },
            None => self.refreshing.lock().await,
        };
        if let Some((at, picture)) = self.look()
            && at.elapsed() < FRESH
        {
            return Ok(picture);
        }
        let refreshed = self.refresh(old.as_ref().map(|(_, picture)| picture)).await;
        let picture = match (refreshed, old) {
            (Ok(picture), _) | (Err(_), Some((_, picture))) => picture,
            (Err(refusal), None) => return Err(refusal),
        };
        let next = Some((Instant::now(), Arc::clone(&picture)));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
        drop(guard);
        Ok(picture)
    }

    /// A picture of this moment that is not kept for others.
    pub(crate) async fn snapshot(&self) -> Result<Arc<Picture>, Refusal> {
        self.refresh(None).await
    }

    /// Whether this is the mnemonic of a supplier, as far as known without asking.
    pub(crate) fn knows(&self, mnemonic: &str) -> bool {
        self.look().is_some_and(|(_, picture)| picture.supplier(mnemonic).is_some())
    }

    fn look(&self) -> Option<(Instant, Arc<Picture>)> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn refresh(&self, old: Option<&Arc<Picture>>) -> Result<Arc<Picture>, Refusal> {
        let generation = supplier::generation(&self.db).await.map_err(unavailable)?;
        let state = self.folder.as_ref().map_or(Ok(0), Watched::state);
        // A folder that cannot be read now leaves what it held before.
        let folder = state.unwrap_or_else(|error| {
            tracing::error!(%error, "the folder of trust cannot be read");
            old.map_or(0, |old| old.folder)
        });
        if let Some(old) = old
            && old.generation == generation
            && old.folder == folder
        {
            return Ok(Arc::clone(old));
        }
        let mut anchors = supplier::anchors(&self.db).await.map_err(unavailable)?;
        let owners = supplier::certificate_owners(&self.db).await.map_err(unavailable)?;
        let owners = owners.into_iter().collect();
        let members = Members::read(&self.db, self.answers).await.map_err(unavailable)?;
        let members = Arc::new(members);
        let suppliers = supplier::list(&self.db).await.map_err(unavailable)?;
        let party = |supplier: Supplier| {
            let partition = broker::partition(&supplier.mnemonic);
            (supplier.mnemonic.clone(), Arc::new(Party { supplier, partition }))
        };
        let by_mnemonic = suppliers.into_iter().map(party).collect();
        let crls = self.folder.as_ref().and_then(read_folder).map(|found| {
            anchors.extend(found.anchors);
            found.crls
        });
        let trust = TrustStore::new(&anchors).or_else(|error| {
            tracing::error!(%error, "a stored authority is no certificate: none is trusted");
            TrustStore::new(&[])
        });
        let crls = crls.unwrap_or_default();
        let crl_due = crls.next_due();
        let trust = trust.map_err(|_| RefusalCode::Internal)?.with_crls(crls);
        let trust = if self.anybody { trust.trusting_anybody() } else { trust };
        let trust = Arc::new(match &self.statuses {
            Some((statuses, stale)) => trust.with_statuses(statuses.clone(), *stale),
            None => trust,
        });
        Ok(Arc::new(Picture { generation, folder, by_mnemonic, owners, trust, members, crl_due }))
    }
}

/// What the folder of trust holds now.
fn read_folder(folder: &Watched) -> Option<Folder> {
    match folder.read() {
        Ok(found) => {
            for file in &found.ignored {
                tracing::warn!(file = %file.display(), "neither an authority nor a CRL: ignored");
            }
            tracing::info!(
                authorities = found.anchors.len(),
                crls = found.crls.len(),
                "trust read"
            );
            Some(found)
        }
        Err(error) => {
            tracing::error!(%error, "the folder of trust cannot be read");
            None
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unavailable(error: DbError) -> Refusal {
    tracing::error!(%error, "suppliers cannot be read");
    RefusalCode::StoreUnavailable.into()
}
