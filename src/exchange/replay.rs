//! An operator's new attempt, linked to the last, with a reason.

use crate::broker;
use crate::exchange::Exchange;
use crate::model::clock::Clock;
use crate::model::ids::{AttemptId, PackageNo};
use crate::model::package::State;
use crate::storage::audit::{self, Act};
use crate::storage::db::{Db, DbError};
use crate::storage::ids::Ids;
use crate::storage::journal::list::{self, Filter};
use crate::storage::journal::replay as journal;
use crate::storage::journal::{Package, outbox};

/// Packages taken from the journal at a time.
const PAGE: i64 = 200;

/// What an operator asks for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Why; kept with the attempt and in the audit.
    pub reason: String,
    /// Who.
    pub actor: String,
    /// Whether the guard that holds a snapshot is waived.
    pub approved: bool,
}

/// Why a package is not replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is none of this number.
    #[error("пакет не найден")]
    NotFound,
    /// An attempt is still to come or under way.
    #[error("пакет ещё обрабатывается")]
    Busy,
    /// A reason is for ever: it must say something.
    #[error("укажите причину повторной обработки")]
    NoReason,
    /// The database.
    #[error("журнал недоступен")]
    Db(#[from] DbError),
}

impl ReplayError {
    /// Stable code, kept in the audit row of an order that was not taken.
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "NOT_FOUND",
            Self::Busy => "BUSY",
            Self::NoReason => "NO_REASON",
            Self::Db(_) => "STORE",
        }
    }
}

/// What replaying needs of the exchange. A command has no more than this; the service's relay or
/// sweep finds what it ordered.
#[derive(Clone, Copy, Debug)]
pub struct Desk<'a> {
    /// The journal.
    pub db: &'a Db,
    /// The source of ids.
    pub ids: &'a Ids,
    /// What time it is.
    pub clock: Clock,
}

impl Exchange {
    /// [`Desk::replay`], with the ring sent at once.
    ///
    /// # Errors
    /// Any [`ReplayError`].
    pub async fn replay(
        &self,
        package: PackageNo,
        request: &Request,
    ) -> Result<AttemptId, ReplayError> {
        let attempt = self.desk().replay(package, request).await?;
        self.0.rings.notify_one();
        Ok(attempt)
    }

    /// [`Desk::replay_matching`], with the rings sent at once.
    ///
    /// # Errors
    /// [`ReplayError::NoReason`], [`ReplayError::Db`]; what was replayed before stays so.
    pub async fn replay_matching(
        &self,
        filter: &Filter,
        limit: u64,
        request: &Request,
    ) -> Result<Vec<(PackageNo, AttemptId)>, ReplayError> {
        let replayed = self.desk().replay_matching(filter, limit, request).await;
        self.0.rings.notify_one();
        replayed
    }

    fn desk(&self) -> Desk<'_> {
        Desk { db: self.db(), ids: self.ids(), clock: self.clock() }
    }
}

impl Desk<'_> {
    /// Replays one package: registered, rejected, failed or waiting. Answers the new attempt.
    /// An order that is not taken leaves an audit row too.
    ///
    /// # Errors
    /// Any [`ReplayError`].
    pub async fn replay(
        &self,
        package: PackageNo,
        request: &Request,
    ) -> Result<AttemptId, ReplayError> {
        let ordered = self.order(package, request).await;
        if let Err(error) = &ordered {
            let at = self.clock.now();
            let detail = serde_json::json!({
                "outcome": error.code(), "approved": request.approved, "reason": request.reason,
            });
            let mut tx = self.db.begin().await?;
            audit::append(&mut tx, at, vec![act(package, request, &detail)]).await?;
            tx.commit().await?;
        }
        ordered
    }

    /// Replays every package that the filter means and that can be, oldest last; answers each
    /// with its new attempt. Those under way are passed over.
    ///
    /// # Errors
    /// [`ReplayError::NoReason`], [`ReplayError::Db`]; what was replayed before stays so.
    pub async fn replay_matching(
        &self,
        filter: &Filter,
        limit: u64,
        request: &Request,
    ) -> Result<Vec<(PackageNo, AttemptId)>, ReplayError> {
        let mut filter = filter.clone();
        let mut replayed = Vec::new();
        loop {
            let page = list::page(self.db, &filter, PAGE).await?;
            let Some(last) = page.last() else { return Ok(replayed) };
            filter.before = Some(last.no);
            for package in page {
                if replayed.len() as u64 >= limit {
                    return Ok(replayed);
                }
                match self.order(package.no, request).await {
                    Ok(attempt) => replayed.push((package.no, attempt)),
                    Err(ReplayError::Busy | ReplayError::NotFound) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    async fn order(&self, package: PackageNo, request: &Request) -> Result<AttemptId, ReplayError> {
        if request.reason.trim().is_empty() {
            return Err(ReplayError::NoReason);
        }
        let package = list::by_no(self.db, package).await?.ok_or(ReplayError::NotFound)?;
        if package.state == State::Received {
            return Err(ReplayError::Busy);
        }
        let attempt = AttemptId(self.ids.one("attempt").await?);
        match self.replay_in_transaction(&package, attempt, request).await {
            // Another operator was faster.
            Err(ReplayError::Db(DbError::Duplicate(_))) => Err(ReplayError::Busy),
            Err(error) => Err(error),
            Ok(()) => Ok(attempt),
        }
    }

    async fn replay_in_transaction(
        &self,
        package: &Package,
        attempt: AttemptId,
        request: &Request,
    ) -> Result<(), ReplayError> {
        let mut tx = self.db.begin().await?;
        let last = journal::last_attempt(&mut tx, package.no).await?;
        let (previous, number, open) = last.ok_or(ReplayError::Busy)?;
        let held = package.state == State::Waiting;
        if open != held || (held && !journal::replace_held(&mut tx, previous).await?) {
            return Err(ReplayError::Busy);
        }
        // A registered package stays registered: its replay changes nothing.
        if package.state != State::Registered
            && !journal::reopen(&mut tx, package.no, package.state).await?
        {
            return Err(ReplayError::Busy);
        }
        let at = self.clock.now();
        let order = journal::Order {
            reason: &request.reason,
            actor: &request.actor,
            approved: request.approved,
            at,
            partition: broker::partition(&package.supplier),
        };
        let ring =
            journal::insert(&mut tx, package.no, attempt, (previous, number), &order).await?;
        outbox::ring(&mut tx, &[ring]).await?;
        let detail = serde_json::json!({
            "attempt": attempt.0, "approved": request.approved, "reason": request.reason,
        });
        audit::append(&mut tx, at, vec![act(package.no, request, &detail)]).await?;
        tx.commit().await?;
        Ok(())
    }
}

fn act(package: PackageNo, request: &Request, detail: &serde_json::Value) -> Act {
    Act {
        actor: request.actor.clone(),
        action: "package.replay",
        object: format!("package:{package}"),
        detail: Some(detail.to_string()),
    }
}
