//! Builds what federal systems have ordered: tables of counts, and persons without anything to
//! recognise them by.

use std::collections::HashMap;
use std::time::Duration;

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rand::rand_bytes;
use openssl::sign::Signer;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::exchange::Exchange;
use crate::exchange::question::statistics::count;
use crate::model::federal::PAGE_LIMIT;
use crate::model::federal::statistics::{
    Anonymous, Breakdown, BuiltPage, LEAST_PERSONS, StatisticsQuery, Traits,
};
use crate::storage::db::{DbError, Tx};
use crate::storage::federal::job::{self, PageError};
use crate::storage::federal::statistics::{self, Learner};

/// How often is looked for orders.
const PERIOD: Duration = Duration::from_secs(1);

/// Turns after which old results are looked for.
const SELDOM: u32 = 600;

/// Memberships read at a time.
const BATCH: i64 = 20_000;

/// Bytes of a pseudonym.
const PSEUDONYM: usize = 16;

/// Why a result was not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// A page could not be kept.
    #[error(transparent)]
    Page(#[from] PageError),
    /// The order or the result cannot be written as JSON.
    #[error("an order or a result is no JSON")]
    Json(#[from] serde_json::Error),
    /// The cryptographic library.
    #[error("the cryptographic library failed")]
    Crypto(#[from] ErrorStack),
}

/// Builds until `stop`.
pub async fn run(exchange: Exchange, stop: CancellationToken) {
    let mut turn = 0_u32;
    while !stop.is_cancelled() {
        let built = tokio::select! {
            () = stop.cancelled() => break,
            built = build_next(&exchange) => built,
        };
        if let Err(error) = &built {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, "ordered statistics were not built");
        }
        if turn.is_multiple_of(SELDOM)
            && let Err(error) = job::forget(exchange.db(), exchange.clock().now()).await
        {
            tracing::warn!(%error, "old statistics were not forgotten");
        }
        turn = turn.wrapping_add(1);
        if !matches!(built, Ok(true)) {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }
}

/// Builds the order that waits longest; false when none waits.
///
/// # Errors
/// [`BuildError`]; the order is then begun again, for some times.
pub async fn build_next(exchange: &Exchange) -> Result<bool, BuildError> {
    let Some((job, query)) = job::claim(exchange.db()).await? else { return Ok(false) };
    let built = build(exchange, job, &query).await;
    if built.is_err() {
        job::release(exchange.db(), job).await?;
    }
    built.map(|()| true)
}

async fn build(exchange: &Exchange, job: Uuid, query: &str) -> Result<(), BuildError> {
    let db = exchange.db();
    let query: StatisticsQuery = serde_json::from_str(query)?;
    let key = pseudonym_key(exchange).await?;
    let mut tx = db.begin_read().await?;
    let pages = if query.breakdown == Breakdown::Persons {
        let learners = Learners::read(&mut tx, &query).await?;
        let persons = tokio::task::spawn_blocking(move || learners.anonymous(&key));
        let persons = persons.await.map_err(|_| ErrorStack::get())??;
        let pages = persons.chunks(PAGE_LIMIT).map(|page| BuiltPage::Persons(page.to_vec()));
        pages.map(|page| serde_json::to_vec(&page)).collect::<Result<Vec<_>, _>>()?
    } else {
        vec![serde_json::to_vec(&BuiltPage::Table(count(&mut tx, &query).await?))?]
    };
    tx.commit().await?;
    let mut tx = db.begin().await?;
    for (number, page) in (1..).zip(&pages) {
        job::keep(&mut tx, job, number, page).await?;
    }
    let pages = i64::try_from(pages.len()).unwrap_or(i64::MAX);
    job::finish(&mut tx, job, pages, exchange.clock().now()).await?;
    tx.commit().await?;
    Ok(())
}

async fn pseudonym_key(exchange: &Exchange) -> Result<PKey<Private>, BuildError> {
    let mut fresh = vec![0; 32];
    rand_bytes(&mut fresh)?;
    let key = statistics::pseudonym_key(exchange.db(), fresh).await?;
    Ok(PKey::hmac(&key)?)
}

/// Learners as they are read, each word kept once.
#[derive(Default)]
struct Learners {
    words: Vec<String>,
    places: HashMap<String, u16>,
    rows: Vec<Row>,
}

/// A learner in one kind of organisation: person, year of birth, places of sex and kind.
type Row = (i64, i32, u16, Option<u16>);

impl Learners {
    async fn read(tx: &mut Tx, query: &StatisticsQuery) -> Result<Self, DbError> {
        let mut all = Self::default();
        let mut after = 0;
        loop {
            let (learners, last) = statistics::learners(tx, query, after, BATCH).await?;
            for learner in learners {
                all.add(learner);
            }
            let Some(last) = last else { break };
            after = last;
        }
        all.rows.sort_unstable();
        all.rows.dedup();
        Ok(all)
    }

    fn add(&mut self, learner: Learner) {
        let sex = self.place(learner.sex);
        let kind = learner.kind.map(|kind| self.place(kind));
        let year = i32::try_from(learner.birth_year).unwrap_or_default();
        self.rows.push((learner.person, year, sex, kind));
    }

    /// There are far fewer codes than numbers for them.
    fn place(&mut self, word: String) -> u16 {
        let next = u16::try_from(self.words.len()).unwrap_or(u16::MAX);
        *self.places.entry(word).or_insert_with_key(|word| {
            self.words.push(word.clone());
            next
        })
    }

    /// The persons in the order of their pseudonyms, which tells nothing. Of those who are one of
    /// too few alike nothing else is told.
    fn anonymous(&self, key: &PKey<Private>) -> Result<Vec<Anonymous>, ErrorStack> {
        let mut persons = Vec::new();
        for same in self.rows.chunk_by(|a, b| a.0 == b.0) {
            let traits = self.traits(same);
            persons.push(Anonymous { pseudonym: pseudonym(key, same[0].0)?, traits });
        }
        let mut alike: HashMap<Traits, i64> = HashMap::new();
        for traits in persons.iter().filter_map(|person| person.traits.as_ref()) {
            match alike.get_mut(traits) {
                Some(number) => *number += 1,
                None => drop(alike.insert(traits.clone(), 1)),
            }
        }
        for person in &mut persons {
            let enough = |traits: &Traits| {
                alike.get(traits).is_some_and(|number| *number >= LEAST_PERSONS)
            };
            person.traits = person.traits.take().filter(enough);
        }
        persons.sort_unstable_by(|a, b| a.pseudonym.cmp(&b.pseudonym));
        Ok(persons)
    }

    fn traits(&self, same: &[Row]) -> Option<Traits> {
        let (_, birth_year, sex, _) = *same.first()?;
        let word = |place: u16| self.words.get(usize::from(place)).cloned();
        let mut kinds: Vec<String> =
            same.iter().filter_map(|row| row.3).filter_map(word).collect();
        kinds.sort_unstable();
        Some(Traits { birth_year, sex: word(sex)?, kinds })
    }
}

/// The pseudonym of a person: always the same, and nothing leads back from it without the key.
fn pseudonym(key: &PKey<Private>, person: i64) -> Result<String, ErrorStack> {
    let mut signer = Signer::new(MessageDigest::sha256(), key)?;
    signer.update(b"kontingent pseudonym 1")?;
    signer.update(&person.to_be_bytes())?;
    let code = signer.sign_to_vec()?;
    Ok(hex(&code[..PSEUDONYM]))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_unlike_all_others_is_but_a_pseudonym() {
        let mut learners = Learners::default();
        for (person, year, kind) in
            [(1, 2015, "12"), (2, 2015, "12"), (3, 2015, "12"), (4, 1950, "12"), (3, 2015, "15")]
        {
            learners.add(Learner {
                person,
                birth_year: year,
                sex: "1".to_owned(),
                kind: Some(kind.to_owned()),
            });
        }
        learners.rows.sort_unstable();
        let key = PKey::hmac(&[7; 32]).unwrap();
        let told = learners.anonymous(&key).unwrap();
        assert_eq!(told.len(), 4);
        assert!(told.iter().all(|person| person.traits.is_none()), "two alike are too few");
        for _ in 0..1 {
            let (sex, kind) = ("1".to_owned(), Some("12".to_owned()));
            learners.add(Learner { person: 5, birth_year: 2015, sex, kind });
        }
        let told = learners.anonymous(&key).unwrap();
        let shown = told.iter().filter(|person| person.traits.is_some());
        assert_eq!(shown.count(), 3);
        assert!(told.is_sorted_by(|a, b| a.pseudonym < b.pseudonym));
        assert_eq!(pseudonym(&key, 1).unwrap(), pseudonym(&key, 1).unwrap());
        assert_ne!(pseudonym(&PKey::hmac(&[8; 32]).unwrap(), 1), pseudonym(&key, 1));
    }
}
