//! Packages made ready for their turn: while one is applied, the next is fetched, checked and
//! judged on another thread.

use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::exchange::Exchange;
use crate::exchange::evidence::{self, Evidence};
use crate::exchange::process::content::{Document, fetch};
use crate::exchange::process::joined;
use crate::exchange::process::records::{Batches, gather, judge_whole};
use crate::exchange::process::verdict::Trouble;
use crate::model::ids::{AttemptId, PackageNo};
use crate::model::refusal::Refusal;
use crate::storage::journal::attempt::Claimed;

/// Longest document prepared before its turn, in bytes: two are then at hand at the same time.
const AHEAD_BYTES: u64 = 8 << 20;

/// Most records that are judged all at once and kept.
const WHOLE_RECORDS: u64 = 4_000;

/// What was made of the stored document.
pub(super) enum Prepared {
    /// It is whole and can be read.
    Ready(Box<Ready>),
    /// It is not what its hash says: not to be touched.
    Corrupt,
    /// It was accepted and yet cannot be read.
    Unreadable(Refusal),
    /// Tried too often: not to be read again.
    Parked,
}

/// A document about to be applied.
pub(super) struct Ready {
    /// What its blocks say of its persons, and what it mentions.
    pub(super) evidence: Evidence,
    /// Its records that are not yet applied.
    pub(super) batches: Batches,
}

/// A package that waits for its turn.
pub(super) struct Turn {
    pub(super) attempt: AttemptId,
    pub(super) package: PackageNo,
    pub(super) tries: u64,
    state: State,
}

enum State {
    /// Being prepared already.
    Begun(JoinHandle<Result<(Claimed, Prepared), Trouble>>),
    /// Large: prepared when its turn comes, lest two of them be at hand.
    Later(Box<Claimed>),
}

impl Turn {
    /// Its turn is next.
    pub(super) fn coming(exchange: &Exchange, claimed: Claimed) -> Self {
        let (attempt, package, tries) = (claimed.attempt, claimed.package.no, claimed.tries);
        let state = if claimed.package.content_bytes <= AHEAD_BYTES {
            State::Begun(begin(exchange, claimed))
        } else {
            State::Later(Box::new(claimed))
        };
        Self { attempt, package, tries, state }
    }

    /// Its turn has come.
    pub(super) async fn come(self, exchange: &Exchange) -> Result<(Claimed, Prepared), Trouble> {
        match self.state {
            State::Begun(task) => joined(task).await,
            State::Later(claimed) => joined(begin(exchange, *claimed)).await,
        }
    }
}

fn begin(
    exchange: &Exchange,
    mut claimed: Claimed,
) -> JoinHandle<Result<(Claimed, Prepared), Trouble>> {
    let exchange = exchange.clone();
    tokio::spawn(async move {
        let prepared = prepare(&exchange, &mut claimed).await?;
        Ok((claimed, prepared))
    })
}

/// Fetches and checks the document, and begins to judge its records. Depends on nothing that
/// the packages before it do.
async fn prepare(exchange: &Exchange, claimed: &mut Claimed) -> Result<Prepared, Trouble> {
    if claimed.tries > u64::from(exchange.settings().tries) {
        return Ok(Prepared::Parked);
    }
    let content = match fetch(exchange, claimed).await? {
        Document::Corrupt => return Ok(Prepared::Corrupt),
        Document::Intact(content) => content,
    };
    let package = &claimed.package;
    let picture = exchange.0.parties.picture().await.map_err(Trouble::NotReady)?;
    let party = picture.supplier(&package.supplier).ok_or(Trouble::LeaseLost)?;
    let rules = exchange.registry().rules(&party.supplier, &package.header).await?;
    let batch = exchange.settings().batch;
    let wanted = evidence::is_needed(&package.header) && !package.header.test;
    if package.records <= WHOLE_RECORDS && claimed.records_done == 0 {
        let header = package.header.clone();
        let judging = move || judge_whole(&content, &header, &rules, batch);
        return Ok(match joined(tokio::task::spawn_blocking(judging)).await? {
            Ok((evidence, batches)) => Prepared::Ready(Box::new(Ready { evidence, batches })),
            Err(refusal) => Prepared::Unreadable(refusal),
        });
    }
    let evidence = if wanted {
        match gather(&content, &rules).await? {
            Ok(evidence) => evidence,
            Err(refusal) => return Ok(Prepared::Unreadable(refusal)),
        }
    } else {
        Evidence::default()
    };
    let batches = Batches::begin(&content, Arc::clone(&rules), batch, claimed.records_done)?;
    Ok(Prepared::Ready(Box::new(Ready { evidence, batches })))
}
