//! Which registered organisation or body a record means.

use std::collections::HashMap;

use crate::exchange::apply::Applier;
use crate::exchange::apply::work::Work;
use crate::model::kind::Kind;
use crate::model::record::Value;
use crate::normalise::identity::{self, Requisites};
use crate::storage::db::{DbError, Tx};
use crate::storage::registry::matching;
use crate::storage::registry::row::{self, Current};

impl Applier {
    /// Finds the row of each organisation or body; what has none gets a new one.
    pub(super) async fn identify_organisations(
        &self,
        tx: &mut Tx,
        work: &mut Work,
    ) -> Result<(), DbError> {
        let supplier = work.stamp.supplier;
        let rows = row::by_external_ids(tx, work.spec, supplier, work.names()).await?;
        let mut named: HashMap<String, Current> =
            rows.into_iter().map(|row| (row.external_id.clone(), row)).collect();
        let mut strangers = Vec::new();
        for at in work.live() {
            match named.remove(&work.items[at].draft.external_id) {
                Some(row) => work.attach_shared(at, row),
                None => strangers.push((at, requisites(work, at))),
            }
        }
        if strangers.is_empty() {
            return Ok(());
        }
        let mut candidates = find_candidates(tx, work.spec.kind, &strangers).await?;
        let first = self.ids.take_in(tx, "entity", strangers.len()).await?.start;
        let mut matched = Vec::new();
        for ((at, mut stranger), id) in strangers.into_iter().zip(first..) {
            let found = identity::organisation(&stranger, &candidates);
            let id = found.unwrap_or(id);
            if found.is_none() {
                work.attach_new(at, id);
                stranger.id = id;
                candidates.push(stranger);
            } else {
                matched.push((at, id));
            }
            work.bound.push((work.items[at].draft.external_id.clone(), id));
        }
        work.attach_by_id(tx, matched).await
    }
}

async fn find_candidates(
    tx: &mut Tx,
    kind: Kind,
    strangers: &[(usize, Requisites)],
) -> Result<Vec<Requisites>, DbError> {
    let inns: Vec<Option<String>> =
        strangers.iter().filter_map(|(_, new)| new.inn.clone()).map(Some).collect();
    let ogrns: Vec<Option<String>> =
        strangers.iter().filter_map(|(_, new)| new.ogrn.clone()).map(Some).collect();
    let keys = inns.iter().chain(&ogrns).flatten();
    let keys: Vec<i64> = keys.map(|key| crate::normalise::text::key(&[key])).collect();
    matching::lock(tx, keys.into_iter()).await?;
    let found = matching::organisations(tx, kind, inns, ogrns).await?;
    let found = found.into_iter().map(|found| Requisites {
        id: found.id,
        inn: found.inn,
        kpp: found.kpp,
        ogrn: found.ogrn,
        branch: found.branch,
    });
    Ok(found.collect())
}

fn requisites(work: &Work, at: usize) -> Requisites {
    let text = |column: &str| {
        let place = work.spec.column(column)?;
        match work.items[at].value(place) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        }
    };
    Requisites {
        id: 0,
        inn: text("inn"),
        kpp: text("kpp"),
        ogrn: text("ogrn"),
        branch: text("structure").as_deref() == Some("2"),
    }
}

impl Work {
    /// Makes a row the one that the record means; another record may mean it too.
    pub(super) fn attach_shared(&mut self, at: usize, row: Current) {
        let known = self.entities.iter().position(|entity| entity.row.id == row.id);
        match known {
            Some(entity) => self.items[at].entity = Some(entity),
            None => self.attach(at, row),
        }
    }

    /// Attaches records to rows by registry id, reading those not yet at hand.
    pub(super) async fn attach_by_id(
        &mut self,
        tx: &mut Tx,
        matched: Vec<(usize, i64)>,
    ) -> Result<(), DbError> {
        let places: HashMap<i64, usize> = (0..)
            .zip(&self.entities)
            .map(|(place, entity): (usize, _)| (entity.row.id, place))
            .collect();
        let mut unread: Vec<i64> =
            matched.iter().map(|(_, id)| *id).filter(|id| !places.contains_key(id)).collect();
        unread.sort_unstable();
        unread.dedup();
        let unread = unread.into_iter().map(Some).collect();
        let rows = row::by_ids(tx, self.spec, unread).await?;
        let mut read: HashMap<i64, Current> = rows.into_iter().map(|row| (row.id, row)).collect();
        let mut places = places;
        for (at, id) in matched {
            if let Some(place) = places.get(&id) {
                self.items[at].entity = Some(*place);
            } else if let Some(row) = read.remove(&id) {
                self.attach(at, row);
                places.insert(id, self.entities.len() - 1);
            }
        }
        Ok(())
    }
}
