//! What follows from trouble: decided once, here, for every kind of it.

use std::io;
use std::time::Duration;

use crate::exchange::process::LONGEST_PAUSE;
use crate::model::refusal::Refusal;
use crate::storage::db::DbError;

/// Why an attempt broke off.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The database.
    #[error("the database failed")]
    Db(#[from] DbError),
    /// The spool.
    #[error("the spool failed")]
    Spool(#[from] io::Error),
    /// Another worker has the attempt, or the package is not in the state expected.
    #[error("the lease was lost")]
    LeaseLost,
    /// Suppliers cannot be read, or our key does not sign.
    #[error("our side is not ready")]
    NotReady(#[source] Refusal),
    /// Another package of the supplier is half applied: what this one would take away cannot be counted.
    #[error("another package of the supplier is half applied")]
    HalfApplied,
    /// This process is stopping.
    #[error("the worker stops")]
    Stopping,
    /// A bug, met in this attempt.
    #[error("the attempt panicked: {0}")]
    Panic(String),
}

impl Trouble {
    /// For the log and for operators.
    pub(super) fn told(&self) -> String {
        match std::error::Error::source(self) {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }
}

/// What to do with an attempt that broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: somebody else has it.
    Leave,
    /// Try again.
    Later {
        /// Not before.
        after: Duration,
        /// Whether it brings the attempt nearer to being parked.
        counted: bool,
    },
}

/// Decides by the kind of trouble and the number of tries.
pub(super) fn verdict(trouble: &Trouble, tries: u64) -> Verdict {
    let growing = Duration::from_secs(1 << tries.min(8)).min(LONGEST_PAUSE);
    let (after, counted) = match trouble {
        Trouble::LeaseLost => return Verdict::Leave,
        Trouble::Stopping | Trouble::Db(DbError::Conflict(_)) => (Duration::ZERO, false),
        Trouble::Db(DbError::Unavailable(_)) | Trouble::Spool(_) | Trouble::NotReady(_) => {
            (Duration::from_secs(3), false)
        }
        Trouble::HalfApplied => (Duration::from_secs(1), false),
        // Two batches may race for one key once; what happens again and again is a bug.
        Trouble::Db(DbError::Duplicate(_)) => (Duration::from_secs(1), true),
        Trouble::Db(DbError::Query(_)) | Trouble::Panic(_) => (growing, true),
    };
    Verdict::Later { after, counted }
}
