//! The last transaction of an attempt.

use crate::codec::receipt::{Conclusion as Statement, Subject};
use crate::exchange::process::attempt::Attempt;
use crate::exchange::process::verdict::Trouble;
use crate::exchange::receipt;
use crate::model::finding::Code;
use crate::model::package::State;
use crate::storage::audit::{self, Act};
use crate::storage::content::compress;
use crate::storage::db::Tx;
use crate::storage::journal::conclude::{self as journal, Conclusion};
use crate::storage::journal::outbox;

/// How an attempt ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    /// What it led to.
    pub(super) state: State,
    /// Why, unless the package was registered.
    pub(super) reason: Option<Code>,
}

/// Writes findings, final receipt and states, wakes who waited, notes the act, commits.
pub(super) async fn conclude(attempt: &mut Attempt, mut tx: Tx, end: End) -> Result<(), Trouble> {
    let exchange = attempt.processor.exchange.clone();
    let (claimed, tally) = (&attempt.claimed, &attempt.tally);
    let package = &claimed.package;
    journal::insert_findings(&mut tx, &tally.unwritten()).await?;
    // A replay that fails takes nothing back from a registered package, and its receipt stands.
    let stands = package.state == State::Registered && end.state != State::Registered;
    let conclusion = Conclusion {
        attempt: claimed.attempt,
        package: package.no,
        expects: package.state,
        state: if stands { State::Registered } else { end.state },
        outcome: end.state,
        reason: if stands { None } else { end.reason },
        records: tally.records,
        findings: tally.findings,
        counts: tally.counts_json(),
        receipt: if stands { None } else { Some(compress(&sign(attempt, end)?)?) },
    };
    let worker = &attempt.processor.worker;
    if !journal::conclude(&mut tx, worker, std::slice::from_ref(&conclusion)).await? {
        return Err(Trouble::LeaseLost);
    }
    let woken = match end.state {
        State::Registered | State::Rejected => journal::wake_successors(&mut tx, package).await?,
        State::Received | State::Waiting | State::Failed => Vec::new(),
    };
    outbox::ring(&mut tx, &woken).await?;
    let action = match end.state {
        State::Registered => "package.register",
        State::Rejected => "package.reject",
        State::Received | State::Waiting | State::Failed => "package.fail",
    };
    audit::append(&mut tx, exchange.clock().now(), vec![act(attempt, action, end.reason)]).await?;
    tx.commit().await?;
    if !woken.is_empty() {
        exchange.0.rings.notify_one();
    }
    attempt.tally.written();
    Ok(())
}

/// Holds the package until it is woken or an operator decides.
pub(super) async fn hold(attempt: &mut Attempt, reason: Code) -> Result<(), Trouble> {
    let exchange = attempt.processor.exchange.clone();
    let (worker, claimed) = (&attempt.processor.worker, &attempt.claimed);
    let mut tx = exchange.db().begin().await?;
    journal::insert_findings(&mut tx, &attempt.tally.unwritten()).await?;
    let findings = attempt.tally.findings;
    let held = (claimed.attempt, findings, reason);
    if !journal::hold(&mut tx, worker, held, &claimed.package).await? {
        return Err(Trouble::LeaseLost);
    }
    let act = act(attempt, "package.hold", Some(reason));
    audit::append(&mut tx, exchange.clock().now(), vec![act]).await?;
    tx.commit().await?;
    attempt.tally.written();
    Ok(())
}

fn sign(attempt: &Attempt, end: End) -> Result<Vec<u8>, Trouble> {
    let (claimed, tally) = (&attempt.claimed, &attempt.tally);
    let package = &claimed.package;
    let exchange = &attempt.processor.exchange;
    let subject = Subject {
        number: package.no,
        package: package.package_id,
        supplier: &package.supplier,
        sha256: &package.sha256,
        bytes: package.content_bytes,
        records: package.records,
        sequence: package.header.sequence,
        received_at: package.received_at,
    };
    let statement = Statement {
        attempt: claimed.number,
        finished_at: exchange.clock().now(),
        state: end.state,
        reason: end.reason,
        counts: &tally.counts,
        findings: &tally.listed,
        total_findings: tally.findings,
    };
    receipt::last(exchange.signer(), &subject, &statement).map_err(Trouble::NotReady)
}

fn act(attempt: &Attempt, action: &'static str, reason: Option<Code>) -> Act {
    let number = attempt.claimed.attempt;
    let detail = match reason {
        Some(code) => format!(r#"{{"attempt":{number},"reason":"{}"}}"#, code.as_str()),
        None => format!(r#"{{"attempt":{number}}}"#),
    };
    Act {
        actor: "system".to_owned(),
        action,
        object: format!("package:{}", attempt.claimed.package.no),
        detail: Some(detail),
    }
}
