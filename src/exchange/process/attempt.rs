//! One attempt, from the claim to its conclusion.

use crate::exchange::apply::Applier;
use crate::exchange::closing::Progress;
use crate::exchange::process::Processor;
use crate::exchange::process::conclude::{End, conclude, hold};
use crate::exchange::process::prepare::{Prepared, Ready};
use crate::exchange::process::records::Batches;
use crate::exchange::process::tally::Tally;
use crate::exchange::process::verdict::Trouble;
use crate::model::finding::{Code, Finding};
use crate::model::package::{Mode, State};
use crate::model::refusal::Refusal;
use crate::storage::db::Tx;
use crate::storage::journal::attempt::{self as journal, Claimed};
use crate::storage::journal::{conclude as ends, sweep};
use crate::telemetry::{ALERTS_TOTAL, RECORDS_TOTAL};

/// An attempt under way.
pub(super) struct Attempt {
    pub(super) processor: Processor,
    pub(super) claimed: Claimed,
    pub(super) tally: Tally,
}

/// Runs an attempt to its end; answers with the word for that end.
pub(super) async fn run(
    processor: Processor,
    claimed: Claimed,
    prepared: Prepared,
) -> Result<&'static str, Trouble> {
    let tally = Tally::resume(processor.exchange.db(), &claimed).await?;
    let waits = match prepared {
        Prepared::Parked => Waits::No,
        _ => must_wait(&processor, &claimed).await?,
    };
    let mut attempt = Attempt { processor, claimed, tally };
    match (waits, prepared) {
        (Waits::TooLong, _) => {
            attempt.end(State::Rejected, Finding::of_package(Code::SequenceTimeout, None)).await
        }
        (Waits::Yes, _) => attempt.hold(Code::SequenceGap, vec![]).await,
        (Waits::No, Prepared::Parked) => {
            attempt.end(State::Failed, Finding::of_package(Code::Parked, None)).await
        }
        (Waits::No, Prepared::Corrupt) => {
            attempt.end(State::Failed, Finding::of_package(Code::EvidenceCorrupt, None)).await
        }
        (Waits::No, Prepared::Unreadable(refusal)) => attempt.unreadable(&refusal).await,
        (Waits::No, Prepared::Ready(ready)) => attempt.read(*ready).await,
    }
}

enum Waits {
    No,
    Yes,
    TooLong,
}

/// Whether the package must wait for the one before it. A full package waits for nobody.
async fn must_wait(processor: &Processor, claimed: &Claimed) -> Result<Waits, Trouble> {
    let (package, exchange) = (&claimed.package, &processor.exchange);
    let follows = package.header.previous_sequence.is_some_and(|previous| previous > 0);
    let first_time = matches!(package.state, State::Received | State::Waiting);
    if !follows || !first_time || claimed.approved || package.header.mode == Mode::All {
        return Ok(Waits::No);
    }
    let mut tx = exchange.db().begin().await?;
    if ends::predecessor_ended(&mut tx, package).await? {
        return Ok(Waits::No);
    }
    let overdue = sweep::is_overdue(&mut tx, package.no, exchange.settings().gap_wait).await?;
    Ok(if overdue { Waits::TooLong } else { Waits::Yes })
}

impl Attempt {
    /// Applies, or only judges, what the document says.
    async fn read(&mut self, Ready { evidence, batches }: Ready) -> Result<&'static str, Trouble> {
        let exchange = self.processor.exchange.clone();
        let picture = exchange.0.parties.picture().await.map_err(Trouble::NotReady)?;
        let package = &self.claimed.package;
        let party = picture.supplier(&package.supplier).ok_or(Trouble::LeaseLost)?;
        let mut applier =
            exchange.registry().begin(&party.supplier, package.no, &package.header).await?;
        applier.inform(evidence);
        let asks = !package.header.test && !self.claimed.approved && self.claimed.records_done == 0;
        if asks && applier.may_take_away() {
            let mut tx = exchange.db().begin().await?;
            let findings = applier.weigh(&mut tx).await?;
            // What another worker is about to close, or has just renewed, was counted wrongly.
            let weighed = findings.is_empty()
                || !journal::others_at_work(&mut tx, &self.processor.worker, package).await?;
            drop(tx);
            if !weighed {
                return Err(Trouble::HalfApplied);
            }
            if let Some(code) = findings.first().map(|finding| finding.code) {
                return self.hold(code, findings).await;
            }
        }
        if self.tally.records == 0 {
            self.tally.find(applier.package_findings());
        }
        if package.header.test {
            return self.judge_only(batches).await;
        }
        self.apply(applier, batches).await
    }

    /// Applies batch after batch. The last one shares its transaction with the conclusion, unless
    /// a full package has still to close what it does not mention.
    async fn apply(
        &mut self,
        mut applier: Applier,
        mut batches: Batches,
    ) -> Result<&'static str, Trouble> {
        let db = self.processor.exchange.db().clone();
        let full = self.claimed.package.header.mode == Mode::All;
        let mut following = batches.next().await;
        loop {
            let batch = match following {
                Ok(Some(batch)) => batch,
                Ok(None) => break,
                Err(refusal) => return self.unreadable(&refusal).await,
            };
            following = batches.next().await;
            self.processor.exchange.warm().await?;
            let mut tx = db.begin().await?;
            let result = applier.apply(&mut tx, batch).await?;
            self.tally.add(result);
            if matches!(following, Ok(None)) && !full {
                // What it remembers and what the receipt takes need not be there together.
                drop(applier);
                return self.conclude(tx, State::Registered, None).await;
            }
            self.commit_progress(tx).await?;
            if self.processor.stop.is_cancelled() {
                return Err(Trouble::Stopping);
            }
        }
        self.close_and_conclude(applier).await
    }

    /// Closes what a full package does not mention, page by page.
    async fn close_and_conclude(&mut self, applier: Applier) -> Result<&'static str, Trouble> {
        let db = self.processor.exchange.db().clone();
        let mut progress = Progress::default();
        loop {
            self.processor.exchange.warm().await?;
            let mut tx = db.begin().await?;
            if !applier.close(&mut tx, &mut progress).await? {
                drop(applier);
                self.tally.find(progress.findings());
                return self.conclude(tx, State::Registered, None).await;
            }
            self.commit_progress(tx).await?;
        }
    }

    /// A test package is judged and changes nothing.
    async fn judge_only(&mut self, mut batches: Batches) -> Result<&'static str, Trouble> {
        loop {
            match batches.next().await {
                Ok(Some(batch)) => self.tally.add(batch.into_verdict()),
                Ok(None) => break,
                Err(refusal) => return self.unreadable(&refusal).await,
            }
        }
        let tx = self.processor.exchange.db().begin().await?;
        self.conclude(tx, State::Registered, None).await
    }

    async fn commit_progress(&mut self, mut tx: Tx) -> Result<(), Trouble> {
        ends::insert_findings(&mut tx, &self.tally.unwritten()).await?;
        let done = (self.tally.records, self.tally.findings, &*self.tally.counts_json());
        let lease = self.processor.exchange.settings().lease;
        let worker = &self.processor.worker;
        if !journal::progress(&mut tx, worker, lease, self.claimed.attempt, done).await? {
            return Err(Trouble::LeaseLost);
        }
        tx.commit().await?;
        self.tally.written();
        Ok(())
    }

    /// The document was accepted and yet cannot be read: rejected as a whole.
    async fn unreadable(&mut self, refusal: &Refusal) -> Result<&'static str, Trouble> {
        let place = refusal.place.map_or(1, |place| place.line);
        let detail = format!("{}, строка {place}", refusal.code.as_str());
        self.end(State::Rejected, Finding::of_package(Code::Format, Some(detail))).await
    }

    /// Ends without applying more.
    async fn end(&mut self, state: State, finding: Finding) -> Result<&'static str, Trouble> {
        let code = finding.code;
        self.tally.find(vec![finding]);
        let tx = self.processor.exchange.db().begin().await?;
        self.conclude(tx, state, Some(code)).await
    }

    /// Holds the package. One that is registered stays so: its replay ends without effect.
    async fn hold(&mut self, code: Code, findings: Vec<Finding>) -> Result<&'static str, Trouble> {
        self.tally.find(findings);
        if self.claimed.package.state == State::Registered {
            let tx = self.processor.exchange.db().begin().await?;
            return self.conclude(tx, State::Rejected, Some(code)).await;
        }
        hold(self, code).await?;
        Ok("waiting")
    }

    async fn conclude(
        &mut self,
        tx: Tx,
        state: State,
        reason: Option<Code>,
    ) -> Result<&'static str, Trouble> {
        if reason.is_none() {
            let summary = self.tally.summary(self.claimed.package.header.test);
            self.tally.find(summary);
        }
        conclude(self, tx, End { state, reason }).await?;
        for code in self.tally.alerts() {
            metrics::counter!(ALERTS_TOTAL, "code" => code.as_str()).increment(1);
            let package = &self.claimed.package;
            tracing::warn!(
                package.no = package.no.0,
                supplier = package.supplier,
                code = code.as_str(),
                "the supplier's package calls for attention"
            );
        }
        for counts in &self.tally.counts {
            for (outcome, count) in [
                ("created", counts.created),
                ("updated", counts.updated),
                ("unchanged", counts.unchanged),
                ("refused", counts.refused),
                ("superseded", counts.superseded),
            ] {
                if count > 0 {
                    metrics::counter!(RECORDS_TOTAL, "outcome" => outcome).increment(count);
                }
            }
        }
        Ok(state.as_str())
    }
}
