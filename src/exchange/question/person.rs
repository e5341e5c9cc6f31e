//! Who a person is, and where they have learnt.

use std::collections::HashSet;

use chrono::NaiveDate;

use crate::model::federal::{
    Answer, Candidate, Card, Entity, LikeDocument, Likeness, PersonKey, Redirect, Step, Trajectory,
};
use crate::model::ids::EntityId;
use crate::model::kind::Kind;
use crate::normalise::likeness::{THRESHOLD, Wanted};
use crate::normalise::{self, identity_document};
use crate::storage::db::{DbError, Tx};
use crate::storage::federal::{self, Named, Owned};

/// Most candidates in an answer to FindPerson.
const CANDIDATES: usize = 20;

/// Persons, survivors in the place of merged ones, and the merges met.
type Found = (Vec<EntityId>, Vec<Redirect>);

/// The persons known by a key.
pub(super) async fn found(tx: &mut Tx, key: &PersonKey) -> Result<Found, DbError> {
    Ok(found_all(tx, &[key]).await?.pop().unwrap_or_default())
}

/// The persons known by each of these keys.
async fn found_all(tx: &mut Tx, keys: &[&PersonKey]) -> Result<Vec<Found>, DbError> {
    let mut numbers: Vec<&str> = keys
        .iter()
        .filter_map(|key| match key {
            PersonKey::Snils(snils) => Some(snils.as_str()),
            PersonKey::FederalId(_) | PersonKey::RegionalId(_) => None,
        })
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    let numbered = federal::by_snils(tx, &numbers).await?;
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        found.push(match key {
            PersonKey::Snils(snils) => numbered.get(snils).cloned().unwrap_or_default(),
            PersonKey::FederalId(id) => federal::by_federal_id(tx, id).await?,
            PersonKey::RegionalId(id) => vec![*id],
        });
    }
    let merges = federal::merges(tx, &found.concat()).await?;
    Ok(found.iter().map(|persons| merges.survivors(persons)).collect())
}

/// The card of the persons known by each of these keys, in their order.
pub(in crate::exchange) async fn persons_by_keys(
    tx: &mut Tx,
    today: NaiveDate,
    keys: &[&PersonKey],
) -> Result<Vec<Answer>, DbError> {
    let found = found_all(tx, keys).await?;
    let all: HashSet<EntityId> = found.iter().flat_map(|(persons, _)| persons).copied().collect();
    let all: Vec<EntityId> = all.into_iter().collect();
    let known = federal::entities(tx, normalise::spec(Kind::Person), &all).await?;
    let spec = normalise::spec(Kind::IdentityDocument);
    let documents = federal::documents(tx, spec, &all).await?;
    let spec = normalise::spec(Kind::Membership);
    let memberships = federal::memberships(tx, spec, &all, today).await?;
    let card = |id: &EntityId| {
        let of = |owned: &Owned| owned.get(id).cloned().unwrap_or_default();
        let person = known.get(id)?.clone();
        Some(Card { person, documents: of(&documents), memberships: of(&memberships) })
    };
    let answer = |(persons, redirects): Found| Answer::PersonBySnils {
        redirects,
        cards: persons.iter().filter_map(card).collect(),
    };
    Ok(found.into_iter().map(answer).collect())
}

pub(super) async fn find_person(tx: &mut Tx, likeness: &Likeness) -> Result<Answer, DbError> {
    let wanted = Wanted::new(likeness);
    let born = federal::born_on(tx, likeness.birth_date).await?;
    let holders = match &likeness.document {
        Some(document) => holders(tx, document, &born).await?,
        None => HashSet::new(),
    };
    let mut scores: Vec<(i64, EntityId)> = born
        .iter()
        .map(|p| (wanted.score(&p.last, &p.first, &p.middle, holders.contains(&p.id)), p.id))
        .filter(|&(score, _)| score >= THRESHOLD)
        .collect();
    scores.sort_unstable_by_key(|&(score, id)| (-score, id));
    scores.truncate(CANDIDATES);
    let ids: Vec<EntityId> = scores.iter().map(|&(_, id)| id).collect();
    let mut persons = federal::entities(tx, normalise::spec(Kind::Person), &ids).await?;
    let candidate = |(score, id)| persons.remove(&id).map(|person| Candidate { score, person });
    Ok(Answer::FindPerson(scores.into_iter().filter_map(candidate).collect()))
}

/// Who of these persons has the document that is asked about.
async fn holders(
    tx: &mut Tx,
    asked: &LikeDocument,
    persons: &[Named],
) -> Result<HashSet<EntityId>, DbError> {
    let persons: Vec<EntityId> = persons.iter().map(|person| person.id).collect();
    let spec = normalise::spec(Kind::IdentityDocument);
    let documents = federal::documents(tx, spec, &persons).await?;
    let is_meant = |document: &Entity| {
        let [kind, series, number] =
            ["document_type", "series", "number"].map(|column| document.text(column));
        identity_document::is_meant(asked, kind, series, number)
    };
    let holds = |documents: &Vec<Entity>| documents.iter().any(is_meant);
    Ok(documents.iter().filter(|(_, own)| holds(own)).map(|(person, _)| *person).collect())
}

pub(super) async fn trajectory(tx: &mut Tx, key: &PersonKey) -> Result<Answer, DbError> {
    let (persons, redirects) = found(tx, key).await?;
    let mut entities = federal::entities(tx, normalise::spec(Kind::Person), &persons).await?;
    let mut trajectories = Vec::new();
    for id in persons {
        let Some(person) = entities.remove(&id) else { continue };
        let same = federal::merged(tx, id).await?;
        let spec = normalise::spec(Kind::Membership);
        let memberships = federal::all_memberships(tx, spec, &same).await?;
        trajectories.push(Trajectory { person, steps: steps(tx, memberships).await? });
    }
    Ok(Answer::Trajectory { redirects, trajectories })
}

/// Memberships with what they refer to.
async fn steps(tx: &mut Tx, memberships: Vec<Entity>) -> Result<Vec<Step>, DbError> {
    let referred = |column: &str| -> Vec<EntityId> {
        let all: HashSet<EntityId> =
            memberships.iter().filter_map(|membership| membership.reference(column)).collect();
        all.into_iter().collect()
    };
    let (organisations, classes) = (referred("organisation_id"), referred("class_group_id"));
    let spec = normalise::spec(Kind::Organisation);
    let organisations = federal::entities(tx, spec, &organisations).await?;
    let classes = federal::entities(tx, normalise::spec(Kind::ClassGroup), &classes).await?;
    let step = |membership: Entity| Step {
        organisation: membership
            .reference("organisation_id")
            .and_then(|id| organisations.get(&id).cloned()),
        class_group: membership
            .reference("class_group_id")
            .and_then(|id| classes.get(&id).cloned()),
        membership,
    };
    Ok(memberships.into_iter().map(step).collect())
}
