//! What is told page by page: changes, organisations.

use std::collections::{HashMap, HashSet};

use crate::exchange::cursor::{self, Scope};
use crate::exchange::question::{Asker, QuestionError};
use crate::model::federal::{Answer, Entity, KINDS, OrganisationQuery, Page, Since};
use crate::model::ids::EntityId;
use crate::model::kind::Kind;
use crate::normalise;
use crate::storage::db::{DbError, Tx};
use crate::storage::federal::{self, Position, organisation};

/// Changes looked through for a page on which only some kinds are wanted.
const SCAN: usize = 10_000;

pub(super) async fn changed_since(
    tx: &mut Tx,
    asker: Asker<'_>,
    since: &Since,
) -> Result<Answer, QuestionError> {
    let scope = Scope::Changes { system: asker.system, kinds: &since.kinds };
    let after = match &since.cursor {
        Some(text) => cursor::read(asker.key, scope, text)?.ok_or(QuestionError::Cursor)?,
        None => Position::default(),
    };
    let scan = SCAN.min(since.page_size * 2).max(since.page_size + 1);
    let scan = if since.kinds.len() < KINDS.len() { SCAN } else { scan };
    let changes = federal::changes(tx, after, &since.kinds, scan).await?;
    let exhausted = changes.len() < scan;
    let (mut place, mut order, mut seen) = (after, Vec::new(), HashSet::new());
    let mut full = false;
    for change in changes {
        if let Some(kind) = change.kind
            && seen.insert((kind, change.entity))
        {
            if order.len() == since.page_size {
                full = true;
                break;
            }
            order.push((kind, change.entity));
        }
        place = change.position;
    }
    // What has changed again is told where it did: the same state never comes twice.
    let later = federal::changed_later(tx, place, &order).await?;
    order.retain(|told| !later.contains(told));
    Ok(Answer::ChangedSince(Page {
        entities: load(tx, &order).await?,
        next: cursor::write(asker.key, scope, place)?,
        more: full || !exhausted,
    }))
}

/// The entities as they are now, in this order.
async fn load(tx: &mut Tx, order: &[(Kind, EntityId)]) -> Result<Vec<Entity>, DbError> {
    let mut by_kind: HashMap<Kind, Vec<EntityId>> = HashMap::new();
    for &(kind, id) in order {
        by_kind.entry(kind).or_default().push(id);
    }
    let mut loaded = HashMap::new();
    for (kind, ids) in by_kind {
        loaded.insert(kind, federal::entities(tx, normalise::spec(kind), &ids).await?);
    }
    let take = |(kind, id): &(Kind, EntityId)| loaded.get_mut(kind)?.remove(id);
    Ok(order.iter().filter_map(take).collect())
}

pub(super) async fn organisations(
    tx: &mut Tx,
    asker: Asker<'_>,
    query: &OrganisationQuery,
) -> Result<Answer, QuestionError> {
    let filter = format!("{:?} {:?} {:?}", query.changed_since, query.inn, query.oktmo);
    let scope = Scope::Organisations { system: asker.system, filter: &filter };
    let after = match &query.cursor {
        Some(text) => cursor::read(asker.key, scope, text)?.ok_or(QuestionError::Cursor)?,
        None => Position::default(),
    };
    let spec = normalise::spec(Kind::Organisation);
    let (after, limit) = (EntityId(after.row), query.page_size + 1);
    let mut organisations = organisation::page(tx, spec, query, after, limit).await?;
    let more = organisations.len() > query.page_size;
    organisations.truncate(query.page_size);
    let next = match organisations.last() {
        Some(last) if more => {
            let place = Position { transaction: 0, row: last.id.0 };
            Some(cursor::write(asker.key, scope, place)?)
        }
        _ => None,
    };
    Ok(Answer::Organisations { organisations, next })
}
