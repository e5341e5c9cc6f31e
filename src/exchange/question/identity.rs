//! Ids that the federal segment gives to persons.

use std::collections::{HashMap, HashSet};

use chrono::SubsecRound as _;

use crate::exchange::question::Asker;
use crate::model::federal::{Assigned, Fate, Pair};
use crate::model::ids::EntityId;
use crate::model::kind::Kind;
use crate::storage::db::{DbError, Tx};
use crate::storage::federal::{self, identity};
use crate::storage::registry::change::{self, Change, Stamp};

/// Notes the ids, pair by pair in the order of the question, and tells of each what became of it.
/// Persons who got one are among the changes then.
pub(super) async fn assign(
    tx: &mut Tx,
    asker: Asker<'_>,
    pairs: &[Pair],
) -> Result<Vec<Assigned>, DbError> {
    let targets = targets(tx, pairs).await?;
    let persons: Vec<EntityId> = targets.values().copied().collect();
    let mut known = Known {
        holders: identity::holders(tx, pairs.iter().map(|pair| pair.federal.as_str())).await?,
        held: identity::of_persons(tx, &persons).await?,
    };
    let mut results: Vec<Assigned> = Vec::with_capacity(pairs.len());
    let mut fresh = Vec::new();
    for pair in pairs {
        let fate = match targets.get(&pair.regional) {
            Some(&person) => known.judge(pair, person, &mut fresh),
            None => Fate::UnknownPerson,
        };
        let (regional, federal) = (pair.regional, pair.federal.clone());
        results.push(Assigned { regional, federal, fate });
    }
    identity::assign(tx, &fresh).await?;
    let holders = identity::holders(tx, fresh.iter().map(|pair| pair.federal.as_str())).await?;
    // Another transaction may have given the id to somebody else meanwhile.
    let lost = |pair: &Pair| holders.get(&pair.federal).is_none_or(|&by| by != pair.regional);
    for result in &mut results {
        if let Some(pair) = fresh.iter().find(|pair| pair.federal == result.federal && lost(pair))
            && let Some(&holder) = holders.get(&pair.federal)
        {
            result.fate = Fate::HeldByOther(holder);
        }
    }
    let told = fresh.iter().filter(|pair| !lost(pair)).map(|pair| pair.regional).collect();
    touch(tx, asker, told).await?;
    Ok(results)
}

/// What is known of ids while the pairs are gone through.
struct Known {
    /// Who holds a federal id.
    holders: HashMap<String, EntityId>,
    /// The federal id of a person.
    held: HashMap<EntityId, String>,
}

impl Known {
    /// Says what becomes of a pair whose person is, or was merged into, `person`.
    fn judge(&mut self, pair: &Pair, person: EntityId, fresh: &mut Vec<Pair>) -> Fate {
        let merged = person != pair.regional;
        let done = |fate| if merged { Fate::Redirected(person) } else { fate };
        match self.holders.get(&pair.federal) {
            Some(&holder) if holder == person || holder == pair.regional => {
                return done(Fate::Already);
            }
            Some(&holder) => return Fate::HeldByOther(holder),
            None => {}
        }
        if let Some(other) = self.held.get(&person) {
            return Fate::HasOther(other.clone());
        }
        self.holders.insert(pair.federal.clone(), person);
        self.held.insert(person, pair.federal.clone());
        fresh.push(Pair { regional: person, federal: pair.federal.clone() });
        done(Fate::Assigned)
    }
}

/// For each person asked about who exists: that person, or the one who stands for them. They keep
/// their ids until the transaction ends.
async fn targets(tx: &mut Tx, pairs: &[Pair]) -> Result<HashMap<EntityId, EntityId>, DbError> {
    let asked: HashSet<EntityId> = pairs.iter().map(|pair| pair.regional).collect();
    let asked: Vec<EntityId> = asked.into_iter().collect();
    let mut targets = HashMap::new();
    let mut heirs = HashSet::new();
    for (person, merged_into) in identity::hold(tx, &asked).await? {
        let mut target = person;
        if merged_into.is_some() {
            target = federal::survivors(tx, &[person]).await?.0.first().copied().unwrap_or(person);
            heirs.insert(target);
        }
        targets.insert(person, target);
    }
    let heirs: Vec<EntityId> = heirs.into_iter().collect();
    identity::hold(tx, &heirs).await?;
    Ok(targets)
}

/// Makes persons be told as changed: an entry of their history that sets no column.
async fn touch(tx: &mut Tx, asker: Asker<'_>, persons: Vec<EntityId>) -> Result<(), DbError> {
    let stamp = Stamp::federal(asker.now.trunc_subsecs(6));
    let change = |(person, record): (EntityId, i64)| Change {
        entity_id: person.0,
        record,
        fields: "{}".to_owned(),
    };
    let changes: Vec<Change> = persons.into_iter().zip(1..).map(change).collect();
    let first = asker.ids.take_in(tx, change::table(Kind::Person), changes.len()).await?.start;
    change::append(tx, Kind::Person, &stamp, first, changes).await
}
