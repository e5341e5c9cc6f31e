//! Answers to the questions of the federal segment, read from the registry.

use std::collections::{HashMap, HashSet};

use chrono::NaiveDate;

use crate::exchange::cursor::{self, Scope};
use crate::model::federal::{
    Answer, Candidate, Card, Entity, Likeness, Page, PersonKey, Question, Since,
};
use crate::model::ids::EntityId;
use crate::model::kind::Kind;
use crate::normalise::likeness::{THRESHOLD, Wanted};
use crate::normalise::{self, identity_document};
use crate::storage::db::{DbError, Tx};
use crate::storage::federal::{self, Position};

/// Most candidates in an answer to FindPerson.
const CANDIDATES: usize = 20;

/// Changes looked through for a page on which only some kinds are wanted.
const SCAN: usize = 10_000;

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum QuestionError {
    /// The cursor is not one of ours for this system and these kinds.
    #[error("the cursor is not one of ours")]
    Cursor,
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The cryptographic library.
    #[error("the cryptographic library failed")]
    Crypto(#[from] openssl::error::ErrorStack),
}

/// Who asks, and when.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// The system.
    pub system: i64,
    /// The key that authenticates its cursors.
    pub key: &'a [u8],
    /// The day on which memberships are current.
    pub today: NaiveDate,
}

/// Answers a question from one state of the database.
///
/// # Errors
/// [`QuestionError`].
pub async fn answer(
    tx: &mut Tx,
    asker: Asker<'_>,
    question: &Question,
) -> Result<Answer, QuestionError> {
    match question {
        Question::PersonBySnils(key) => Ok(person_by_key(tx, asker.today, key).await?),
        Question::FindPerson(likeness) => Ok(find_person(tx, likeness).await?),
        Question::ChangedSince(since) => changed_since(tx, asker, since).await,
    }
}

async fn person_by_key(tx: &mut Tx, today: NaiveDate, key: &PersonKey) -> Result<Answer, DbError> {
    let found = match key {
        PersonKey::Snils(snils) => federal::by_snils(tx, snils).await?,
        PersonKey::FederalId(id) => federal::by_federal_id(tx, id).await?,
        PersonKey::RegionalId(id) => vec![*id],
    };
    let (persons, redirects) = federal::survivors(tx, &found).await?;
    let mut entities = federal::entities(tx, normalise::spec(Kind::Person), &persons).await?;
    let mut cards = Vec::new();
    for id in persons {
        let Some(person) = entities.remove(&id) else { continue };
        let spec = normalise::spec(Kind::IdentityDocument);
        let documents = federal::documents(tx, spec, id).await?;
        let spec = normalise::spec(Kind::Membership);
        let memberships = federal::memberships(tx, spec, id, today).await?;
        cards.push(Card { person, documents, memberships });
    }
    Ok(Answer::PersonBySnils { redirects, cards })
}

async fn find_person(tx: &mut Tx, likeness: &Likeness) -> Result<Answer, DbError> {
    let holders: HashSet<EntityId> = match &likeness.document {
        Some(document) => {
            let kind = document.document_type.as_deref().unwrap_or_default();
            let series = document.series.as_deref().unwrap_or_default();
            let key = identity_document::document_key(kind, series, &document.number);
            federal::by_document(tx, key).await?.into_iter().collect()
        }
        None => HashSet::new(),
    };
    let wanted = Wanted::new(likeness);
    let born = federal::born_on(tx, likeness.birth_date).await?;
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

async fn changed_since(
    tx: &mut Tx,
    asker: Asker<'_>,
    since: &Since,
) -> Result<Answer, QuestionError> {
    let scope = Scope { system: asker.system, kinds: &since.kinds };
    let after = match &since.cursor {
        Some(text) => cursor::read(asker.key, scope, text)?.ok_or(QuestionError::Cursor)?,
        None => Position::default(),
    };
    let scan = SCAN.min(since.page_size * 2).max(since.page_size + 1);
    let scan = if since.kinds.len() < crate::model::federal::KINDS.len() { SCAN } else { scan };
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
