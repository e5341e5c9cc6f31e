//! Learners without anything to recognise them by.
//!
//! A region has millions of them: words and traits are kept once, persons as pairs of numbers.

use std::collections::HashMap;

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;

use crate::model::federal::statistics::{Anonymous, LEAST_PERSONS, StatisticsQuery, Traits};
use crate::storage::db::{DbError, Tx};
use crate::storage::federal::statistics::{self, Learner};

/// Memberships read at a time.
const BATCH: i64 = 20_000;

/// Learners as they are read.
#[derive(Debug, Default)]
pub(super) struct Learners {
    words: Vec<String>,
    places: HashMap<String, u16>,
    rows: Vec<Row>,
}

/// A learner in one kind of organisation: person, year of birth, places of sex and kind.
type Row = (i64, i32, u16, Option<u16>);

/// Persons in the order of their pseudonyms, which tells nothing.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    persons: Vec<(u128, usize)>,
    /// What they are like, and how many are like that.
    traits: Vec<(Traits, i64)>,
}

impl Learners {
    /// Reads those who are counted.
    ///
    /// # Errors
    /// Any [`DbError`].
    pub(super) async fn read(tx: &mut Tx, query: &StatisticsQuery) -> Result<Self, DbError> {
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

    fn traits(&self, same: &[Row]) -> Traits {
        let word = |place: u16| self.words.get(usize::from(place)).cloned().unwrap_or_default();
        let (_, birth_year, sex, _) = same.first().copied().unwrap_or_default();
        let mut kinds: Vec<String> = same.iter().filter_map(|row| row.3).map(word).collect();
        kinds.sort_unstable();
        kinds.dedup();
        Traits { birth_year, sex: word(sex), kinds }
    }
}

impl Crowd {
    /// Gives learners pseudonyms.
    ///
    /// # Errors
    /// Those of the cryptographic library.
    pub(super) fn of(learners: &Learners, key: &PKey<Private>) -> Result<Self, ErrorStack> {
        let mut crowd = Self::default();
        let mut places: HashMap<Traits, usize> = HashMap::new();
        for same in learners.rows.chunk_by(|a, b| a.0 == b.0) {
            let traits = learners.traits(same);
            let place = *places.entry(traits).or_insert_with_key(|traits| {
                crowd.traits.push((traits.clone(), 0));
                crowd.traits.len() - 1
            });
            crowd.traits[place].1 += 1;
            crowd.persons.push((pseudonym(key, same[0].0)?, place));
        }
        crowd.persons.sort_unstable();
        Ok(crowd)
    }

    /// The persons, page by page. Of one who is among too few alike nothing but the pseudonym is
    /// told.
    pub(super) fn pages(&self, size: usize) -> impl Iterator<Item = Vec<Anonymous>> {
        let tell = |&(pseudonym, place): &(u128, usize)| {
            let (traits, alike) = &self.traits[place];
            let traits = (*alike >= LEAST_PERSONS).then(|| traits.clone());
            Anonymous { pseudonym: format!("{pseudonym:032x}"), traits }
        };
        self.persons.chunks(size).map(move |page| page.iter().map(tell).collect())
    }
}

/// The pseudonym of a person, the first half of an HMAC: always the same, and nothing leads back
/// from it without the key.
fn pseudonym(key: &PKey<Private>, person: i64) -> Result<u128, ErrorStack> {
    let mut signer = Signer::new(MessageDigest::sha256(), key)?;
    signer.update(b"kontingent pseudonym 1")?;
    signer.update(&person.to_be_bytes())?;
    let code = signer.sign_to_vec()?;
    Ok(code.iter().take(16).fold(0, |sum, &byte| sum << 8 | u128::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_unlike_all_others_is_but_a_pseudonym() {
        let mut learners = Learners::default();
        let learner = |person, birth_year, kind: &str| Learner {
            person,
            birth_year,
            sex: "1".to_owned(),
            kind: Some(kind.to_owned()),
        };
        for (person, year, kind) in
            [(1, 2015, "12"), (2, 2015, "12"), (3, 2015, "12"), (3, 2015, "15"), (4, 1950, "12")]
        {
            learners.add(learner(person, year, kind));
        }
        let key = PKey::hmac(&[7; 32]).unwrap();
        let told = |learners: &Learners| {
            let crowd = Crowd::of(learners, &key).unwrap();
            crowd.pages(3).collect::<Vec<_>>().concat()
        };
        let few = told(&learners);
        assert_eq!(few.len(), 4);
        assert!(few.iter().all(|person| person.traits.is_none()), "two alike are too few");
        learners.add(learner(5, 2015, "12"));
        let more = told(&learners);
        assert_eq!(more.iter().filter(|person| person.traits.is_some()).count(), 3);
        assert!(more.is_sorted_by(|a, b| a.pseudonym < b.pseudonym));
        assert!(few.iter().all(|one| more.iter().any(|other| other.pseudonym == one.pseudonym)));
        let other = PKey::hmac(&[8; 32]).unwrap();
        assert_ne!(pseudonym(&key, 1).unwrap(), pseudonym(&other, 1).unwrap());
    }
}
