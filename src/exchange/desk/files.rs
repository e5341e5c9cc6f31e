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
use crate::storage::file_store::{self, File, PIECE};
use crate::trust::FileCheck;

/// Most bytes of the files of one message, and of those that wait for one receiver or that one
/// sender has put and not sent.
pub const MESSAGE_FILES: i64 = 1 << 30;
const QUOTA: i64 = 8 << 30;

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
    /// Takes a file of a system, who proves itself by its mnemonic and its word; says whether it is new.
    /// The same bytes once more are no other file: the reply to the first may have been lost.
    ///
    /// # Errors
    /// `UNAUTHORISED`, `REQUEST_INVALID` for a bad name, `FOLDER_TAKEN` by another file,
    /// `FILE_UNFINISHED`, `LIMIT_BYTES`, or what is wrong
    /// with the body.
    pub async fn put_file(
        &self,
        (mnemonic, word): (&str, &str),
        uuid: &str,
        name: &str,
        mut body: impl Stream<Item = std::io::Result<Bytes>> + Send + Unpin,
    ) -> Result<(File, bool), Refusal> {
        let account = file_store::account(self.db(), mnemonic).await.map_err(unavailable)?;
        let right = |hash: &[u8]| memcmp::eq(&sha256(word.as_bytes()), hash);
        let account = account.filter(|(_, hash)| hash.len() == 32 && right(hash));
        let (system, _) = account.ok_or(RefusalCode::Unauthorised)?;
        if !file_name::is_good(uuid) || !file_name::is_good(name) {
            return Err(file_name::refusal());
        }
        let (_, put) = file_store::held(self.db(), system, system).await.map_err(unavailable)?;
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
        if !file_store::begin(&mut tx, &file, self.now()).await.map_err(unavailable)? {
            drop(tx);
            return self.repeated(file, &mut body).await.map(|known| (known, false));
        }
        tx.commit().await.map_err(unavailable)?;
        match self.fill(&mut file, QUOTA - put, &mut body).await {
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
                if file.bytes > MESSAGE_FILES.min(left) {
                    return Err(RefusalCode::LimitBytes.into());
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
                    return Err(RefusalCode::LimitBytes.into());
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
    /// files in a message are. Gives their numbers.
    ///
    /// # Errors
    /// [`TakeError::Files`], [`TakeError::FileBytes`], [`TakeError::Quota`], [`TakeError::FileSignature`].
    pub(super) async fn judge_files(
        &self,
        sender: i64,
        receiver: i64,
        references: &[FileReference],
    ) -> Result<Vec<i64>, TakeError> {
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
        if !references.is_empty() {
            let (waiting, _) = file_store::held(self.db(), receiver, sender).await?;
            let remained = (QUOTA - waiting).max(0);
            if real > remained {
                return Err(TakeError::Quota { remained, real });
            }
        }
        for (file, reference) in files.iter().zip(references) {
            let unproved = |refusal| TakeError::FileSignature(reference.uuid.clone(), refusal);
            let signature = reference.signature.as_deref();
            let signature = signature.ok_or_else(|| unproved(RefusalCode::SigMissing.into()))?;
            self.judge_file(file, signature).await.map_err(unproved)?;
        }
        Ok(files.iter().map(|file| file.no).collect())
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

/// What is wrong with a body.
fn met(error: &std::io::Error) -> Refusal {
    refusal_of(error).unwrap_or_else(|| RefusalCode::Truncated.into())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unavailable(error: DbError) -> Refusal {
    tracing::error!(%error, "the store of files does not answer");
    RefusalCode::StoreUnavailable.into()
}
