//! Which registered person a record means: rules R0 to R4.

use std::collections::{HashMap, HashSet};

use crate::exchange::apply::Applier;
use crate::exchange::apply::work::Work;
use crate::exchange::evidence;
use crate::model::finding::Code;
use crate::model::record::Value;
use crate::normalise::identity::{self, Profile, Verdict};
use crate::normalise::{person, text as keys};
use crate::storage::db::{DbError, Tx};
use crate::storage::registry::matching::{self, Candidate, Person};
use crate::storage::registry::row::{self, Current};

/// A record of a person whom the supplier has not sent before.
struct Stranger {
    at: usize,
    profile: Profile,
    identity_key: i64,
}

/// Persons that strangers may be, registered ones and those made by this batch.
#[derive(Default)]
struct Pool {
    profiles: Vec<Profile>,
    places: HashMap<i64, usize>,
    by_snils: HashMap<String, Vec<usize>>,
    by_identity: HashMap<i64, Vec<usize>>,
    by_document: HashMap<i64, Vec<usize>>,
}

impl Applier {
    /// Finds the row of each person; what has none gets a new one.
    pub(super) async fn identify_persons(
        &self,
        tx: &mut Tx,
        work: &mut Work,
    ) -> Result<(), DbError> {
        let supplier = work.stamp.supplier;
        let rows = row::by_external_ids(tx, work.spec, supplier, work.names()).await?;
        let mut named: HashMap<String, Current> =
            rows.into_iter().map(|row| (row.external_id.clone(), row)).collect();
        let mut strangers = Vec::new();
        let mut numbered = Vec::new();
        for at in work.live() {
            match named.remove(&work.items[at].draft.external_id) {
                Some(row) => numbered.extend(known(work, at, row)),
                None => strangers.push(self.stranger(work, at)),
            }
        }
        if strangers.is_empty() && numbered.is_empty() {
            return Ok(());
        }
        let pool = self.candidates(tx, &strangers, &numbered).await?;
        self.check_numbers(tx, work, &pool, numbered).await?;
        self.place(tx, work, pool, strangers).await
    }

    fn stranger(&self, work: &Work, at: usize) -> Stranger {
        let draft = &work.items[at].draft;
        let mut profile = sent(work, at);
        profile.documents = self.evidence.documents(&draft.external_id);
        profile.facts = self.evidence.facts(&draft.external_id);
        let names = ["last_name", "first_name", "middle_name"].map(|name| text(work, at, name));
        let identity_key = person::identity_key(names[0], names[1], names[2], profile.born);
        Stranger { at, profile, identity_key }
    }

    async fn candidates(
        &self,
        tx: &mut Tx,
        strangers: &[Stranger],
        numbered: &[(usize, String)],
    ) -> Result<Pool, DbError> {
        let own = strangers.iter().filter_map(|stranger| stranger.profile.snils.clone());
        let numbers: HashSet<String> =
            own.chain(numbered.iter().map(|(_, snils)| snils.clone())).collect();
        let keys: HashSet<i64> = strangers.iter().map(|stranger| stranger.identity_key).collect();
        let locks = numbers.iter().map(|snils| keys::key(&[snils])).chain(keys.iter().copied());
        matching::lock(tx, locks).await?;
        let mut pool = Pool::default();
        for person in matching::by_snils(tx, numbers.into_iter().map(Some).collect()).await? {
            pool.add_registered(&person);
        }
        let mut namesakes = Vec::new();
        for person in matching::by_identity(tx, keys.into_iter().map(Some).collect()).await? {
            let (id, key) = (person.id, person.identity_key);
            let place = pool.add_registered(&person);
            let profile = &pool.profiles[place];
            let mut alike = strangers.iter().filter(|stranger| stranger.identity_key == key);
            if alike.any(|stranger| !stranger.profile.other_snils(profile)) {
                namesakes.push(Some(id));
            }
        }
        let documents: HashSet<i64> =
            strangers.iter().flat_map(|s| s.profile.documents.iter().copied()).collect();
        let documents = documents.into_iter().map(Some).collect();
        for (person, key) in matching::by_document(tx, documents).await? {
            let place = pool.add_registered(&person);
            pool.profiles[place].documents.push(key);
            pool.by_document.entry(key).or_default().push(place);
        }
        for (id, fact) in matching::facts(tx, self.stamp.supplier, namesakes).await? {
            if let Some(&place) = pool.places.get(&id) {
                pool.profiles[place].facts.push(evidence::hash(&fact));
            }
        }
        Ok(pool)
    }

    /// Refuses records that give a known person a number which is somebody else's.
    async fn check_numbers(
        &self,
        tx: &mut Tx,
        work: &mut Work,
        pool: &Pool,
        numbered: Vec<(usize, String)>,
    ) -> Result<(), DbError> {
        for (at, snils) in numbered {
            let Some(own) = work.row(at).map(|row| row.id) else { continue };
            let holders = pool.by_snils.get(&snils).into_iter().flatten();
            let other = holders.map(|&place| pool.profiles[place].id).find(|&id| id != own);
            if let Some(other) = other {
                let id = self.ids.take_in(tx, "merge_candidate", 1).await?.start;
                let (older, newer) = (own.min(other), own.max(other));
                let candidate = Candidate { id, older, newer, rule: "SNILS", score: 80 };
                work.candidates.push(candidate);
                work.refuse(at, Code::SnilsConflict, Some("Snils"), None);
            }
        }
        Ok(())
    }

    async fn place(
        &self,
        tx: &mut Tx,
        work: &mut Work,
        mut pool: Pool,
        strangers: Vec<Stranger>,
    ) -> Result<(), DbError> {
        let first = self.ids.take_in(tx, "entity", strangers.len()).await?.start;
        let mut matched = Vec::new();
        for (mut stranger, id) in strangers.into_iter().zip(first..) {
            let at = stranger.at;
            let name = work.items[at].draft.external_id.clone();
            let verdict = identity::judge(&stranger.profile, &pool.near(&stranger));
            match verdict {
                Verdict::Same(known) => {
                    matched.push((at, known));
                    work.bound.push((name, known));
                    continue;
                }
                Verdict::Conflict(_) => {
                    work.refuse(at, Code::SnilsConflict, Some("Snils"), None);
                    continue;
                }
                Verdict::Resembles(other, score) => {
                    let row = self.ids.take_in(tx, "merge_candidate", 1).await?.start;
                    let candidate =
                        Candidate { id: row, older: other, newer: id, rule: "R4", score };
                    work.candidates.push(candidate);
                    work.items[at].draft.find(Code::MergeCandidate, None, None);
                }
                Verdict::New => {}
            }
            work.attach_new(at, id);
            work.bound.push((name, id));
            stranger.profile.id = id;
            pool.add(stranger.profile, stranger.identity_key);
        }
        work.attach_by_id(tx, matched).await
    }
}

impl Pool {
    fn add(&mut self, profile: Profile, identity_key: i64) -> usize {
        if let Some(&place) = self.places.get(&profile.id) {
            return place;
        }
        let place = self.profiles.len();
        self.places.insert(profile.id, place);
        if let Some(snils) = &profile.snils {
            self.by_snils.entry(snils.clone()).or_default().push(place);
        }
        for key in &profile.documents {
            self.by_document.entry(*key).or_default().push(place);
        }
        self.by_identity.entry(identity_key).or_default().push(place);
        self.profiles.push(profile);
        place
    }

    fn add_registered(&mut self, person: &Person) -> usize {
        let middle = person.middle_name.as_deref().unwrap_or_default();
        let names = [person.last_name.as_str(), person.first_name.as_str(), middle];
        let snils = person.snils.as_deref();
        let profile = Profile::new(person.id, names, &person.sex, person.birth_date, snils);
        self.add(profile, person.identity_key)
    }

    fn near(&self, stranger: &Stranger) -> Vec<&Profile> {
        let numbered = stranger.profile.snils.as_ref().and_then(|snils| self.by_snils.get(snils));
        let namesakes = self.by_identity.get(&stranger.identity_key);
        let documents = stranger.profile.documents.iter();
        let documents = documents.filter_map(|key| self.by_document.get(key));
        let mut places: Vec<usize> =
            numbered.into_iter().chain(namesakes).chain(documents).flatten().copied().collect();
        places.sort_unstable();
        places.dedup();
        places.into_iter().map(|place| &self.profiles[place]).collect()
    }
}

/// A record whose id is registered: checks that it still means the same person. Returns a newly
/// given insurance number, which may be somebody else's.
fn known(work: &mut Work, at: usize, row: Current) -> Option<(usize, String)> {
    let cell = |column: &str| match work.spec.column(column).and_then(|at| row.cells[at].as_ref()) {
        Some(Value::Text(text)) => text.as_str(),
        _ => "",
    };
    let born = match work.spec.column("birth_date").and_then(|at| row.cells[at].as_ref()) {
        Some(Value::Date(date)) => *date,
        _ => chrono::NaiveDate::MIN,
    };
    let names = [cell("last_name"), cell("first_name"), cell("middle_name")];
    let registered = Profile::new(row.id, names, cell("sex"), born, Some(cell("snils")));
    let sent = sent(work, at);
    work.attach_shared(at, row);
    if identity::drifted(&registered, &sent) {
        work.refuse(at, Code::IdentityDrift, None, None);
        return None;
    }
    if sent.snils.is_none() || sent.snils == registered.snils {
        return None;
    }
    if registered.snils.is_some() {
        work.refuse(at, Code::SnilsConflict, Some("Snils"), None);
        return None;
    }
    sent.snils.map(|snils| (at, snils))
}

/// The person as the record has it.
fn sent(work: &Work, at: usize) -> Profile {
    let names = ["last_name", "first_name", "middle_name"].map(|column| text(work, at, column));
    let born = match work.spec.column("birth_date").and_then(|place| work.items[at].value(place)) {
        Some(Value::Date(date)) => *date,
        _ => chrono::NaiveDate::MIN,
    };
    let snils = Some(text(work, at, "snils"));
    Profile::new(0, names, text(work, at, "sex"), born, snils)
}

fn text<'a>(work: &'a Work, at: usize, column: &str) -> &'a str {
    match work.spec.column(column).and_then(|place| work.items[at].value(place)) {
        Some(Value::Text(text)) => text,
        _ => "",
    }
}
