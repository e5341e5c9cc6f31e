//! Files too large for a message: put into the store beforehand, bound to the message that refers to
//! them, fetched by its receiver with a word that is handed out with the message, gone when it is
//! confirmed. What FTP folders are in the exchange, over HTTP.

use std::pin::Pin;

use bytes::Bytes;
use chrono::TimeDelta;
use futures_util::{Stream, StreamExt as _, stream};
use openssl::memcmp;
use openssl::rand::rand_bytes;
use openssl::sha::sha256;
use uuid::Uuid;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::{Desk, TakeError};
use crate::codec::digest::DigestAlgorithm;
use crate::codec::smev3::FileReference;
use crate::codec::streebog::Streebog;
use crate::exchange::question::QuestionError;
use crate::model::file_name;
use crate::model::refusal::{Refusal, RefusalCode, refusal_of};
use crate::storage::db::{DbError, Tx};
use crate::storage::file_store::{self, Begun, File, LEAST, PIECE};
use crate::trust::FileCheck;

/// Most bytes of the files of one message.
pub const MESSAGE_FILES: i64 = 1 << 30;

/// Most bytes of the files that wait for one receiver, and of those that one sender has put and not
/// sent; each counts as at least [`LEAST`].
const QUOTA: i64 = 8 << 30;

/// Most of what waits for one receiver that one sender has sent: others have room too.
const SENDER_QUOTA: i64 = QUOTA / 4;

/// How long a file that no message refers to is kept.
const UNUSED: TimeDelta = TimeDelta::days(1);

/// A word for a user, in clear: told once.
#[derive(Clone, Debug)]
pub struct Pass {
    /// The file.
    pub file: File,
    /// Who fetches it.
    pub user: String,
    /// With which word.
    pub password: String,
}

/// Pieces of a file on its way to its receiver.
pub type Content = Pin<Box<dyn Stream<Item = Result<Bytes, DbError>> + Send>>;

impl Desk {
    /// The system that proves itself by its mnemonic and its word.
    ///
    /// # Errors
    /// `UNAUTHORISED`.
    pub async fn store_account(&self, mnemonic: &str, word: &str) -> Result<i64, Refusal> {
        let account = file_store::account(self.db(), mnemonic).await.map_err(unavailable)?;
        let right = |hash: &[u8]| memcmp::eq(&sha256(word.as_bytes()), hash);
        let account = account.filter(|(_, hash)| hash.len() == 32 && right(hash));
        let (system, _) = account.ok_or(RefusalCode::Unauthorised)?;
        Ok(system)
    }

    /// Takes a file of a system; says whether it is new. The same bytes once more are no other file: the
    /// reply to the first may have been lost.
    ///
    /// # Errors
    /// `REQUEST_INVALID` for a bad name, `FOLDER_TAKEN` by another file, `FILE_UNFINISHED`,
    /// `LIMIT_BYTES`, or what is wrong with the body.
    pub async fn put_file(
        &self,
        system: i64,
        uuid: &str,
        name: &str,
        mut body: impl Stream<Item = std::io::Result<Bytes>> + Send + Unpin,
    ) -> Result<(File, bool), Refusal> {
        if !file_name::is_good(uuid) || !file_name::is_good(name) {
            return Err(file_name::refusal());
        }
        let no = self.0.ids.one("store_file").await.map_err(unavailable)?;
        let mut file = File {
            uuid: uuid.to_owned(),
            no,
            system,
            name: name.to_owned(),
            bytes: 0,
            hash: None,
            message: None,
        };
        let mut tx = self.db().begin().await.map_err(unavailable)?;
        let begun = file_store::begin(&mut tx, &file, QUOTA, self.now()).await;
        let left = match begun.map_err(unavailable)? {
            Begun::New { left } => left,
            Begun::Full => return Err(no_space()),
            Begun::Taken => {
                drop(tx);
                return self.repeated(file, &mut body).await.map(|known| (known, false));
            }
        };
        tx.commit().await.map_err(unavailable)?;
        match self.fill(&mut file, left, &mut body).await {
            Ok(()) => Ok((file, true)),
            Err(refusal) => {
                if let Err(error) = self.forget(&file).await {
                    tracing::warn!(%error, "what came of a broken upload is removed later");
                }
                Err(refusal)
            }
        }
    }

    /// The file that is in the folder already, if this is the same one.
    async fn repeated(
        &self,
        file: File,
        body: &mut (impl Stream<Item = std::io::Result<Bytes>> + Send + Unpin),
    ) -> Result<File, Refusal> {
        let known = file_store::find(self.db(), &file.uuid).await.map_err(unavailable)?;
        let known = known.ok_or(RefusalCode::FileUnfinished)?;
        if known.system != file.system || known.name != file.name {
            return Err(RefusalCode::FolderTaken.into());
        }
        let Some(hash) = &known.hash else { return Err(RefusalCode::FileUnfinished.into()) };
        let mut repeated = Streebog::new_256();
        let mut bytes = 0;
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|error| met(&error))?;
            bytes += i64::try_from(piece.len()).unwrap_or(i64::MAX);
            if bytes > known.bytes {
                return Err(RefusalCode::FolderTaken.into());
            }
            repeated.update(&piece);
        }
        if repeated.finish() != *hash {
            return Err(RefusalCode::FolderTaken.into());
        }
        Ok(known)
    }

    /// Writes the pieces of a file as they come, and its hash.
    async fn fill(
        &self,
        file: &mut File,
        left: i64,
        body: &mut (impl Stream<Item = std::io::Result<Bytes>> + Send + Unpin),
    ) -> Result<(), Refusal> {
        let mut hash = Streebog::new_256();
        let (mut piece, mut place) = (Vec::with_capacity(PIECE), 0);
        loop {
            let next = body.next().await;
            let ended = next.is_none();
            if let Some(bytes) = next {
                let bytes = bytes.map_err(|error| met(&error))?;
                file.bytes += i64::try_from(bytes.len()).unwrap_or(i64::MAX);
                if file.bytes > MESSAGE_FILES {
                    let told = format!("файл — не более {MESSAGE_FILES} байт");
                    return Err(Refusal::new(RefusalCode::LimitBytes).detail(told));
                }
                if file.bytes > left {
                    return Err(no_space());
                }
                hash.update(&bytes);
                piece.extend_from_slice(&bytes);
            }
            while piece.len() >= PIECE || (ended && !piece.is_empty()) {
                let rest = piece.split_off(piece.len().min(PIECE));
                let full = std::mem::replace(&mut piece, rest);
                let mut tx = self.db().begin().await.map_err(unavailable)?;
                let added = file_store::add(&mut tx, file, place, full, QUOTA).await;
                // What was left at the beginning others may have taken since.
                if !added.map_err(unavailable)? {
                    return Err(no_space());
                }
                tx.commit().await.map_err(unavailable)?;
                place += 1;
            }
            if ended {
                break;
            }
        }
        let hash = hash.finish();
        let mut tx = self.db().begin().await.map_err(unavailable)?;
        file_store::complete(&mut tx, file.no, hash.clone()).await.map_err(unavailable)?;
        tx.commit().await.map_err(unavailable)?;
        file.hash = Some(hash);
        Ok(())
    }

    async fn forget(&self, file: &File) -> Result<(), DbError> {
        let mut tx = self.db().begin().await?;
        file_store::remove_one(&mut tx, &file.uuid, file.no).await?;
        tx.commit().await
    }

    /// The file in a folder for the user to whom it was handed out.
    ///
    /// # Errors
    /// `UNAUTHORISED`; `NOT_FOUND` for another name.
    pub async fn fetch_file(
        &self,
        (user, word): (&str, &str),
        uuid: &str,
        name: &str,
    ) -> Result<(File, Content), Refusal> {
        let hash = file_store::pass(self.db(), uuid, user).await.map_err(unavailable)?;
        let right = |hash: &Vec<u8>| hash.len() == 32 && memcmp::eq(&sha256(word.as_bytes()), hash);
        hash.filter(right).ok_or(RefusalCode::Unauthorised)?;
        let file = file_store::find(self.db(), uuid).await.map_err(unavailable)?;
        let file = file.filter(|file| file.name == name).ok_or(RefusalCode::NotFound)?;
        let (db, no) = (self.db().clone(), file.no);
        let content = stream::try_unfold((db, 0), move |(db, place)| async move {
            let piece = file_store::piece(&db, no, place).await?;
            Ok(piece.map(|piece| (Bytes::from(piece), (db, place + 1))))
        });
        Ok((file, Box::pin(content)))
    }

    /// Judges the files that a message refers to: there, complete, the sender's own, free, with the
    /// hashes that the message states, not too many bytes for it or for its receiver, and signed, as
    /// files in a message are. Whether they still are free and fit is decided by [`bind`].
    ///
    /// # Errors
    /// [`TakeError::Files`], [`TakeError::FileBytes`], [`TakeError::Quota`], [`TakeError::FileSignature`].
    pub(super) async fn judge_files(
        &self,
        sender: i64,
        receiver: i64,
        references: &[FileReference],
    ) -> Result<Vec<File>, TakeError> {
        let (mut real, mut files) = (0, Vec::with_capacity(references.len()));
        for reference in references {
            let file = file_store::find(self.db(), &reference.uuid).await?;
            let file = file.filter(|file| file.system == sender && file.message.is_none());
            let file = file.ok_or(TakeError::Files)?;
            let stated = STANDARD.decode(reference.hash.trim()).ok();
            if file.hash.is_none() || file.hash != stated {
                return Err(TakeError::Files);
            }
            real += file.bytes;
            files.push(file);
        }
        if real > MESSAGE_FILES {
            return Err(TakeError::FileBytes { permitted: MESSAGE_FILES, real });
        }
        if !files.is_empty() {
            let mut tx = self.db().begin_read().await?;
            fit(&mut tx, sender, receiver, &files).await?;
        }
        for (file, reference) in files.iter().zip(references) {
            let unproved = |refusal| TakeError::FileSignature(reference.uuid.clone(), refusal);
            let signature = reference.signature.as_deref();
            let signature = signature.ok_or_else(|| unproved(RefusalCode::SigMissing.into()))?;
            self.judge_file(file, signature).await.map_err(unproved)?;
        }
        Ok(files)
    }

    /// Judges the signature over a file in the store, which is read piece by piece.
    async fn judge_file(&self, file: &File, signature: &[u8]) -> Result<(), Refusal> {
        let mut check = FileCheck::begin(signature, false)?;
        let known = file.hash.as_deref();
        let known = known.filter(|_| !check.needs_file(DigestAlgorithm::Streebog256));
        if known.is_none() {
            let mut place = 0;
            while let Some(piece) =
                file_store::piece(self.db(), file.no, place).await.map_err(unavailable)?
            {
                // Beside the threads that serve others: a large file takes seconds.
                let hashed = tokio::task::spawn_blocking(move || {
                    check.update(&piece);
                    check
                });
                check = hashed.await.map_err(|_| RefusalCode::Internal)?;
                place += 1;
            }
        }
        let picture = self.picture().await?;
        picture.trust.verify_check(check, known, self.now()).map(|_| ())
    }

    /// Removes files that nobody sent.
    pub(super) async fn remove_unused_files(&self) -> Result<usize, DbError> {
        let mut tx = self.db().begin().await?;
        let removed = file_store::remove_unused(&mut tx, self.now() - UNUSED).await?;
        tx.commit().await?;
        Ok(removed)
    }
}

/// Binds files of a sender to a message for a receiver, where they wait for it from then on. Who binds
/// for this receiver at the same time waits until the transaction ends: two cannot both have the
/// last of the room.
///
/// # Errors
/// [`TakeError::Quota`]; [`TakeError::Files`] when another message has taken a file meanwhile. The
/// transaction must not be committed then.
pub(super) async fn bind(
    tx: &mut Tx,
    (sender, receiver): (i64, i64),
    message: Uuid,
    files: &[File],
) -> Result<(), TakeError> {
    if files.is_empty() {
        return Ok(());
    }
    file_store::hold_receiver(tx, receiver).await?;
    fit(tx, sender, receiver, files).await?;
    let numbers: Vec<i64> = files.iter().map(|file| file.no).collect();
    if file_store::bind(tx, sender, message, &numbers).await? < files.len() {
        return Err(TakeError::Files);
    }
    Ok(())
}

/// Whether there is room for these files among those that wait for a receiver, and among those of
/// this sender.
async fn fit(tx: &mut Tx, sender: i64, receiver: i64, files: &[File]) -> Result<(), TakeError> {
    let waiting = file_store::waiting(tx, receiver, sender).await?;
    let remained = (QUOTA - waiting.all).min(SENDER_QUOTA - waiting.of_sender).max(0);
    let real = files.iter().map(File::counted).sum();
    if real > remained { Err(TakeError::Quota { remained, real }) } else { Ok(()) }
}

/// Lets the receiver of a message fetch its files.
pub(super) async fn allow(tx: &mut Tx, files: Vec<File>) -> Result<Vec<Pass>, TakeError> {
    let mut passes = Vec::with_capacity(files.len());
    for file in files {
        let word = || -> Result<String, QuestionError> {
            let mut random = [0; 24];
            rand_bytes(&mut random)?;
            Ok(URL_SAFE_NO_PAD.encode(random))
        };
        let (user, password) = (word()?, word()?);
        let hash = sha256(password.as_bytes()).to_vec();
        file_store::allow(tx, &file.uuid, &user, hash).await?;
        passes.push(Pass { file, user, password });
    }
    Ok(passes)
}

/// The system has put as much as it may and not sent it.
fn no_space() -> Refusal {
    Refusal::new(RefusalCode::LimitBytes).detail(format!(
        "загружено и не отправлено — не более {QUOTA} байт, и каждый файл считается не меньше чем за \
         {LEAST}: отправьте загруженное или подождите, пока оно будет удалено"
    ))
}

/// What is wrong with a body.
fn met(error: &std::io::Error) -> Refusal {
    refusal_of(error).unwrap_or_else(|| RefusalCode::Truncated.into())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unavailable(error: DbError) -> Refusal {
    tracing::error!(%error, "the store of files does not answer");
    RefusalCode::StoreUnavailable.into()
}
