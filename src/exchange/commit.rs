//! Making packages durable: one transaction takes whatever is waiting.

use std::io;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use tokio_util::sync::CancellationToken;

use crate::codec::receipt::hex;
use crate::exchange::Exchange;
use crate::model::ids::PackageNo;
use crate::model::refusal::{Refusal, RefusalCode};
use crate::storage::audit::{self, Act};
use crate::storage::content::decompress;
use crate::storage::db::{DbError, Tx};
use crate::storage::journal::accept::{self, NewPackage};
use crate::telemetry::COMMIT_PACKAGES;

/// Packages in one transaction.
const BATCH: usize = 64;

/// Compressed bytes in one transaction, unless one package alone has more.
const BATCH_BYTES: u64 = 4 << 20;

/// Frames of a spooled package written by one statement.
const FRAMES: usize = 8;

/// A package waiting to be committed.
pub(crate) struct Pending {
    pub(crate) package: NewPackage,
    pub(crate) supplier: Arc<str>,
    pub(crate) answer: oneshot::Sender<Result<Written, Refusal>>,
}

/// What became of it.
#[derive(Clone, Debug)]
pub(crate) enum Written {
    /// It is durable.
    New,
    /// It had been, under this number, with this first receipt.
    Known(PackageNo, Vec<u8>),
}

/// The answer for one package.
pub(crate) type Outcome = Result<Written, Refusal>;

/// Why a transaction was not committed, or may not have been.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommitError {
    /// The database.
    #[error("the journal could not be written")]
    Db(#[from] DbError),
    /// The spool.
    #[error("the spool could not be read")]
    Spool(#[from] io::Error),
}

/// A failure with its cause, for the log.
pub(crate) fn told(error: &CommitError) -> String {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    format!("{error}: {cause}")
}

/// Commits until `stop`, then what is left in the queue.
pub(crate) async fn run(exchange: Exchange, stop: CancellationToken) {
    while let Some(batch) = gather(&exchange, &stop).await {
        commit(&exchange, batch).await;
    }
}

async fn gather(exchange: &Exchange, stop: &CancellationToken) -> Option<Vec<Pending>> {
    let mut queue = exchange.0.commit_queue.lock().await;
    let first = tokio::select! {
        first = queue.recv() => first?,
        () = stop.cancelled() => drain(&mut queue)?,
    };
    let mut bytes = first.package.content.frames.stored_bytes();
    let mut batch = vec![first];
    while batch.len() < BATCH
        && bytes < BATCH_BYTES
        && let Ok(next) = queue.try_recv()
    {
        bytes += next.package.content.frames.stored_bytes();
        batch.push(next);
    }
    Some(batch)
}

fn drain(queue: &mut mpsc::Receiver<Pending>) -> Option<Pending> {
    queue.close();
    queue.try_recv().ok()
}

async fn commit(exchange: &Exchange, mut batch: Vec<Pending>) {
    let count = u32::try_from(batch.len()).unwrap_or(u32::MAX);
    metrics::histogram!(COMMIT_PACKAGES).record(count);
    // Two transactions that hold the same pair of supplier and id must ask for it in one order.
    batch.sort_unstable_by_key(|one| (one.package.supplier, one.package.header.package_id));
    let (mut packages, mut answers) = (Vec::new(), Vec::new());
    for one in batch {
        packages.push((one.package, one.supplier));
        answers.push(one.answer);
    }
    let outcomes = match write(exchange, &packages).await {
        Ok(outcomes) => outcomes,
        Err(error @ (CommitError::Db(DbError::Unavailable(_)) | CommitError::Spool(_))) => {
            tracing::error!(%error, packages = packages.len(), "packages could not be committed");
            packages.iter().map(|_| Err(RefusalCode::StoreUnavailable.into())).collect()
        }
        Err(error) => {
            tracing::warn!(%error, packages = packages.len(), "committing one by one");
            one_by_one(exchange, &packages).await
        }
    };
    for (answer, outcome) in answers.into_iter().zip(outcomes) {
        if answer.send(outcome).is_err() {
            tracing::debug!("a supplier left before its package was committed");
        }
    }
}

/// A batch that failed for another reason than a lost database may hold one package to blame.
async fn one_by_one(exchange: &Exchange, packages: &[(NewPackage, Arc<str>)]) -> Vec<Outcome> {
    let mut outcomes = Vec::with_capacity(packages.len());
    for package in packages {
        outcomes.push(match write(exchange, std::slice::from_ref(package)).await {
            Ok(mut written) => written.pop().unwrap_or(Err(RefusalCode::StoreUnavailable.into())),
            Err(error) => {
                tracing::error!(%error, "a package could not be committed");
                Err(RefusalCode::StoreUnavailable.into())
            }
        });
    }
    outcomes
}

/// Writes packages in one transaction; answers in their order.
pub(crate) async fn write(
    exchange: &Exchange,
    packages: &[(NewPackage, Arc<str>)],
) -> Result<Vec<Outcome>, CommitError> {
    let mut tx = exchange.db().begin().await?;
    let all: Vec<&NewPackage> = packages.iter().map(|(package, _)| package).collect();
    let is_new = accept::insert_packages(&mut tx, &all).await?;
    let new: Vec<&(NewPackage, Arc<str>)> =
        packages.iter().zip(&is_new).filter(|(_, new)| **new).map(|(one, _)| one).collect();
    let old: Vec<&NewPackage> =
        all.into_iter().zip(&is_new).filter(|(_, new)| !**new).map(|(one, _)| one).collect();
    write_rest(exchange, &mut tx, &new).await?;
    // After the receipts were written: what is known may be in this very transaction.
    let pairs: Vec<_> = old.iter().map(|one| (one.supplier, one.header.package_id.0)).collect();
    let known = accept::known(&mut tx, &pairs).await?;
    audit::append(&mut tx, exchange.clock().now(), acts(&new)).await?;
    let outcome = |(package, new): (&NewPackage, bool)| {
        if new {
            return Ok(Written::New);
        }
        let known = known.get(&(package.supplier, package.header.package_id.0));
        judge(package, known)
    };
    let outcomes = packages.iter().map(|(one, _)| one).zip(is_new).map(outcome).collect();
    tx.commit().await?;
    if !new.is_empty() {
        exchange.0.rings.notify_one();
    }
    Ok(outcomes)
}

fn judge(package: &NewPackage, known: Option<&accept::Known>) -> Outcome {
    let known = known.ok_or(RefusalCode::StoreUnavailable)?;
    if known.sha256 != package.content.sha256 {
        return Err(RefusalCode::IdReused.into());
    }
    let receipt = decompress(&known.receipt).map_err(|_| RefusalCode::Internal)?;
    Ok(Written::Known(known.no, receipt))
}

/// What comes with new packages.
async fn write_rest(
    exchange: &Exchange,
    tx: &mut Tx,
    new: &[&(NewPackage, Arc<str>)],
) -> Result<(), CommitError> {
    let packages: Vec<&NewPackage> = new.iter().map(|(package, _)| package).collect();
    accept::insert_attempts(tx, &packages, exchange.settings().patience).await?;
    let mut frames = Vec::new();
    for package in &packages {
        if package.content.frames.in_memory() {
            let memory = package.content.frames.memory().iter().zip(0..);
            frames.extend(memory.map(|(frame, place)| (package.no, place, frame.clone())));
        } else {
            write_spooled(tx, package).await?;
        }
    }
    accept::insert_frames(tx, frames).await?;
    Ok(())
}

fn acts(new: &[&(NewPackage, Arc<str>)]) -> Vec<Act> {
    let act = |(package, supplier): &&(NewPackage, Arc<str>)| Act {
        actor: supplier.to_string(),
        action: "package.accept",
        object: format!("package:{}", package.no),
        detail: Some(format!(
            r#"{{"id":"{}","sha256":"{}"}}"#,
            package.header.package_id,
            hex(&package.content.sha256)
        )),
    };
    new.iter().map(act).collect()
}

async fn write_spooled(tx: &mut Tx, package: &NewPackage) -> Result<(), CommitError> {
    let mut cursor = package.content.frames.cursor()?;
    let mut place = 0;
    loop {
        let (returned, frames) = tokio::task::spawn_blocking(move || {
            let mut frames = Vec::with_capacity(FRAMES);
            while frames.len() < FRAMES
                && let Some(frame) = cursor.frame()?
            {
                frames.push(frame);
            }
            io::Result::Ok((cursor, frames))
        })
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))?;
        if frames.is_empty() {
            return Ok(());
        }
        let numbered: Vec<_> =
            frames.into_iter().zip(place..).map(|(frame, at)| (package.no, at, frame)).collect();
        place += numbered.len() as u64;
        accept::insert_frames(tx, numbered).await?;
        cursor = returned;
    }
}
