//! Persons who move to another region: a notice opens a case, a decision ends it and closes what
//! the person has here.

use chrono::{DateTime, NaiveDate, SubsecRound as _, TimeDelta, Utc};
use serde_json::{Map, Value as Json};

use crate::exchange::question::person::found;
use crate::exchange::question::{Asker, QuestionError, random_id};
use crate::model::federal::transfer::{
    CaseState, Decision, Denial, Notice, TRANSFER_REASON, Transfer, TransferCase,
};
use crate::model::ids::EntityId;
use crate::model::kind::Kind;
use crate::model::record::Value;
use crate::normalise;
use crate::storage::db::{DbError, Tx};
use crate::storage::federal::{self, transfer};
use crate::storage::registry::change::{self, Change, Stamp};
use crate::storage::registry::row::{self, Current};

/// How far ahead the date of a move may lie.
const AHEAD: TimeDelta = TimeDelta::days(366);

/// Longest destination of a membership, in characters.
const DESTINATION: usize = 500;

/// Opens a case; a second notice of the same move finds the first one's case.
pub(super) async fn request(
    tx: &mut Tx,
    asker: Asker<'_>,
    notice: &Notice,
) -> Result<Transfer, QuestionError> {
    if notice.date > asker.today() + AHEAD {
        return Ok(Transfer::denied(Denial::DateAhead));
    }
    let (persons, redirects) = found(tx, &notice.person).await?;
    let person = match persons.as_slice() {
        [] => return Ok(Transfer::denied(Denial::UnknownPerson)),
        [person] => *person,
        _ => {
            let denied = Transfer::denied(Denial::SeveralPersons);
            return Ok(Transfer { persons, redirects, ..denied });
        }
    };
    if !transfer::hold_person(tx, person).await? {
        return Ok(Transfer::denied(Denial::UnknownPerson));
    }
    let same = federal::merged(tx, person).await?;
    let done = |case, closed, repeated| Transfer {
        persons: vec![person],
        redirects: redirects.clone(),
        case: Some(case),
        closed,
        repeated,
        denial: None,
    };
    if let Some(case) = transfer::repeated_case(tx, &same, notice).await? {
        let closed = transfer::closings(tx, case.id).await?;
        return Ok(done(case, closed, true));
    }
    let yesterday = asker.today() - TimeDelta::days(1);
    if transfer::hold_memberships(tx, &same, yesterday).await?.is_empty() {
        return Ok(Transfer { persons, redirects, ..Transfer::denied(Denial::NoMembership) });
    }
    let case = TransferCase {
        id: random_id()?,
        person,
        direction: notice.direction,
        region: notice.region.clone(),
        date: notice.date,
        organisation: notice.organisation.clone(),
        reason: notice.reason.clone(),
        state: CaseState::Open,
        decided_on: None,
    };
    transfer::open(tx, asker.system, &case, asker.now).await?;
    Ok(done(case, Vec::new(), false))
}

/// Ends a case; the same decision again changes nothing, another one is not taken.
pub(super) async fn decide(
    tx: &mut Tx,
    asker: Asker<'_>,
    decision: &Decision,
) -> Result<Transfer, QuestionError> {
    if decision.date > asker.today() + AHEAD {
        return Ok(Transfer::denied(Denial::DateAhead));
    }
    let Some(mut case) = transfer::hold(tx, decision.case).await? else {
        return Ok(Transfer::denied(Denial::UnknownCase));
    };
    let (persons, redirects) = federal::survivors(tx, &[case.person]).await?;
    let wanted = if decision.confirmed { CaseState::Confirmed } else { CaseState::Declined };
    if case.state != CaseState::Open {
        let repeated = case.state == wanted;
        let denial = (!repeated).then_some(Denial::AlreadyDecided);
        let closed = transfer::closings(tx, case.id).await?;
        let case = Some(case);
        return Ok(Transfer { persons, redirects, case, closed, repeated, denial });
    }
    transfer::decide(tx, asker.system, decision, asker.now).await?;
    let mut closed = Vec::new();
    if decision.confirmed {
        closed = close(tx, asker, &case, person_of(&persons, &case), decision.date).await?;
    }
    case.state = wanted;
    case.decided_on = Some(decision.date);
    let case = Some(case);
    Ok(Transfer { persons, redirects, case, closed, repeated: false, denial: None })
}

/// The person who stands for the one of the case now.
fn person_of(persons: &[EntityId], case: &TransferCase) -> EntityId {
    persons.first().copied().unwrap_or(case.person)
}

/// Ends the memberships that go on after the day of the move: rows, history, and the note of
/// which case did it.
async fn close(
    tx: &mut Tx,
    asker: Asker<'_>,
    case: &TransferCase,
    person: EntityId,
    moved_on: NaiveDate,
) -> Result<Vec<EntityId>, DbError> {
    let same = federal::merged(tx, person).await?;
    let held = transfer::hold_memberships(tx, &same, moved_on).await?;
    let spec = normalise::spec(Kind::Membership);
    let wanted = held.iter().map(|id| Some(id.0)).collect();
    let mut rows = row::by_ids(tx, spec, wanted).await?;
    rows.sort_unstable_by_key(|row| row.id);
    let stamp = Stamp::federal(newest(&rows, asker.now));
    let destination = destination(case);
    let mut changes = Vec::with_capacity(rows.len());
    for (row, record) in rows.iter_mut().zip(1..) {
        let mut fields = Map::new();
        let begun = match spec.column("from_date").and_then(|at| row.cells[at].as_ref()) {
            Some(Value::Date(begun)) => *begun,
            _ => moved_on,
        };
        for (column, value) in [
            ("to_date", Value::Date(moved_on.max(begun))),
            ("reason_out", Value::Text(TRANSFER_REASON.to_owned())),
            ("destination", Value::Text(destination.clone())),
        ] {
            let Some(at) = spec.column(column) else { continue };
            fields.insert(column.to_owned(), value.to_json());
            row.cells[at] = Some(value);
        }
        (row.as_of, row.package_no) = (stamp.as_of, stamp.package_no);
        changes.push(Change { entity_id: row.id, record, fields: Json::from(fields).to_string() });
    }
    let first = asker.ids.take_in(tx, change::table(Kind::Membership), changes.len()).await?.start;
    let closings: Vec<(i64, i64)> = rows.iter().map(|row| row.id).zip(first..).collect();
    row::update(tx, spec, rows).await?;
    change::append(tx, Kind::Membership, &stamp, first, changes).await?;
    transfer::note_closings(tx, case.id, &closings).await?;
    Ok(closings.into_iter().map(|(membership, _)| EntityId(membership)).collect())
}

/// When the closing counts as said: now, and after all that the rows hold, so that it is the newest
/// entry of each even where a supplier's clock runs ahead of ours.
fn newest(rows: &[Current], now: DateTime<Utc>) -> DateTime<Utc> {
    let now = now.trunc_subsecs(6);
    let latest = rows.iter().map(|row| row.as_of + TimeDelta::microseconds(1)).max();
    latest.map_or(now, |latest| latest.max(now))
}

/// Where the person went, as memberships keep it.
fn destination(case: &TransferCase) -> String {
    let region = format!(" (регион {})", case.region);
    let room = DESTINATION - region.chars().count();
    let organisation: String = case.organisation.chars().take(room).collect();
    organisation + &region
}
