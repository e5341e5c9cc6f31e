//! Answers to the questions of the federal segment, read from the registry; some change what we
//! keep.

mod identity;
mod page;
mod person;
pub(super) mod statistics;
mod transfer;

pub(super) use person::persons_by_keys;

use chrono::{DateTime, NaiveDate, Utc};
use openssl::rand::rand_bytes;
use uuid::{Builder, Uuid};

use crate::model::federal::{Answer, Question};
use crate::storage::db::{DbError, Tx};
use crate::storage::federal::job::PageError;
use crate::storage::ids::Ids;

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum QuestionError {
    /// The cursor is not one of ours for this system and what it asks for.
    #[error("the cursor is not one of ours")]
    Cursor,
    /// It changes what we keep, and was asked of [`answer`].
    #[error("a question that writes was asked of a reader")]
    Writes,
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// A result cannot be read.
    #[error(transparent)]
    Page(PageError),
    /// A stored order or result is not what it was.
    #[error("what was stored cannot be read")]
    Damaged(#[source] serde_json::Error),
    /// The cryptographic library.
    #[error("the cryptographic library failed")]
    Crypto(#[from] openssl::error::ErrorStack),
}

impl From<PageError> for QuestionError {
    fn from(error: PageError) -> Self {
        match error {
            PageError::Db(error) => Self::Db(error),
            damaged @ PageError::Damaged(_) => Self::Page(damaged),
        }
    }
}

/// Who asks, and when.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// The system.
    pub system: i64,
    /// The key that authenticates its cursors.
    pub key: &'a [u8],
    /// When it asks.
    pub now: DateTime<Utc>,
    /// Ids of what is written.
    pub ids: &'a Ids,
}

impl Asker<'_> {
    /// The day on which memberships are current.
    fn today(&self) -> NaiveDate {
        self.now.date_naive()
    }
}

/// Answers a question from one state of the database, which it only reads; a question that
/// [writes](Question::writes) is for [`perform`].
///
/// # Errors
/// [`QuestionError`].
pub async fn answer(
    tx: &mut Tx,
    asker: Asker<'_>,
    question: &Question,
) -> Result<Answer, QuestionError> {
    match question {
        Question::PersonBySnils(key) => {
            let cards = persons_by_keys(tx, asker.today(), &[key]).await?.pop();
            Ok(cards.unwrap_or(Answer::PersonBySnils { redirects: vec![], cards: vec![] }))
        }
        Question::FindPerson(likeness) => Ok(person::find_person(tx, likeness).await?),
        Question::ChangedSince(since) => page::changed_since(tx, asker, since).await,
        Question::Trajectory(key) => Ok(person::trajectory(tx, key).await?),
        Question::Statistics(query) => Ok(statistics::at_once(tx, query).await?),
        Question::BuiltStatistics(wanted) => {
            Ok(Answer::BuiltStatistics(statistics::fetch(tx, asker, *wanted).await?))
        }
        Question::Organisations(query) => page::organisations(tx, asker, query).await,
        Question::QueueStatistics(_) => Ok(Answer::QueueStatistics),
        Question::Ping => Ok(Answer::Ping { at: asker.now }),
        Question::TransferRequest(_)
        | Question::TransferConfirm(_)
        | Question::AssignFederalId(_)
        | Question::BuildStatistics(_) => Err(QuestionError::Writes),
    }
}

/// Does what a question asks for, in a transaction that may write and that the caller commits
/// together with the answer.
///
/// # Errors
/// [`QuestionError`]; nothing is to be committed then.
pub async fn perform(
    tx: &mut Tx,
    asker: Asker<'_>,
    question: &Question,
) -> Result<Answer, QuestionError> {
    match question {
        Question::TransferRequest(notice) => {
            Ok(Answer::TransferRequest(transfer::request(tx, asker, notice).await?))
        }
        Question::TransferConfirm(decision) => {
            Ok(Answer::TransferConfirm(transfer::decide(tx, asker, decision).await?))
        }
        Question::AssignFederalId(pairs) => {
            Ok(Answer::AssignFederalId(identity::assign(tx, asker, pairs).await?))
        }
        Question::BuildStatistics(query) => {
            Ok(Answer::BuildStatistics(statistics::order(tx, asker, query).await?))
        }
        _ => answer(tx, asker, question).await,
    }
}

/// An id that nobody can guess.
fn random_id() -> Result<Uuid, QuestionError> {
    let mut bytes = [0; 16];
    rand_bytes(&mut bytes)?;
    Ok(Builder::from_random_bytes(bytes).into_uuid())
}
