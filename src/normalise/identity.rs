//! Who is who: scoring of given candidates. The rules R1 to R4; R0 (the supplier's id is
//! already registered) is decided before.

use chrono::NaiveDate;

use crate::normalise::{checksum, text};

/// A person as matching sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Registry id; of a new person the one it will have.
    pub id: i64,
    /// Insurance number, if its check digits agree.
    pub snils: Option<String>,
    /// Folded last name.
    pub last_name: String,
    /// Folded first name.
    pub first_name: String,
    /// Folded patronymic.
    pub middle_name: String,
    /// Code of the sex.
    pub sex: String,
    /// Birth date.
    pub born: NaiveDate,
    /// Keys of its documents.
    pub documents: Vec<i64>,
    /// Hashes of what else is known: addresses, birth acts, organisations, relatives.
    pub facts: Vec<u32>,
}

impl Profile {
    /// Makes a profile of names as they are stored.
    pub fn new(id: i64, names: [&str; 3], sex: &str, born: NaiveDate, snils: Option<&str>) -> Self {
        Self {
            id,
            snils: snils.filter(|snils| checksum::snils(snils)).map(str::to_owned),
            last_name: text::fold_name(names[0]),
            first_name: text::fold_name(names[1]),
            middle_name: text::fold_name(names[2]),
            sex: sex.to_owned(),
            born,
            documents: Vec::new(),
            facts: Vec::new(),
        }
    }

    fn same_names(&self, other: &Self) -> bool {
        self.last_name == other.last_name && self.first_name == other.first_name
    }

    fn same_identity(&self, other: &Self) -> bool {
        self.born == other.born && self.same_names(other) && self.middle_name == other.middle_name
    }

    /// Whether both have an insurance number, and not the same one: then they are two persons.
    pub fn other_snils(&self, other: &Self) -> bool {
        matches!((&self.snils, &other.snils), (Some(one), Some(two)) if one != two)
    }
}

/// What to make of a new record of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nobody like it.
    New,
    /// That person.
    Same(i64),
    /// A person of its own, and perhaps that one: for an operator.
    Resembles(i64, i64),
    /// Its insurance number belongs to somebody else.
    Conflict(i64),
}

/// Judges a new person against candidates.
pub fn judge(new: &Profile, candidates: &[&Profile]) -> Verdict {
    let mut conflict = None;
    let mut resembles: Option<(i64, i64)> = None;
    let mut confirmed = Vec::new();
    for candidate in candidates {
        let same_snils = new.snils.is_some() && new.snils == candidate.snils;
        if same_snils {
            if new.born == candidate.born || new.same_names(candidate) {
                return Verdict::Same(candidate.id);
            }
            conflict = Some(candidate.id);
        }
        if new.other_snils(candidate) {
            continue;
        }
        let document = new.documents.iter().any(|key| candidate.documents.contains(key));
        if document && new.born == candidate.born {
            confirmed.push(candidate.id);
        } else if new.same_identity(candidate) {
            let fact = new.facts.iter().any(|fact| candidate.facts.contains(fact));
            if fact && new.sex == candidate.sex {
                confirmed.push(candidate.id);
            }
            let score = if new.sex == candidate.sex { 70 } else { 50 };
            if resembles.is_none_or(|(_, best)| score > best) {
                resembles = Some((candidate.id, score));
            }
        }
    }
    confirmed.sort_unstable();
    confirmed.dedup();
    match (conflict, confirmed.as_slice(), resembles) {
        (Some(id), _, _) => Verdict::Conflict(id),
        (None, [id], _) => Verdict::Same(*id),
        (None, [id, ..], _) => Verdict::Resembles(*id, 90),
        (None, [], Some((id, score))) => Verdict::Resembles(id, score),
        (None, [], None) => Verdict::New,
    }
}

/// Whether a supplier has used a registered id again for another person: another name, another
/// birth date, and no insurance number that says they are one.
pub fn drifted(registered: &Profile, sent: &Profile) -> bool {
    let same_snils = registered.snils.is_some() && registered.snils == sent.snils;
    registered.born != sent.born && !registered.same_names(sent) && !same_snils
}

/// An organisation or body as matching sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requisites {
    /// Registry id.
    pub id: i64,
    /// Taxpayer number.
    pub inn: Option<String>,
    /// Reason code of tax registration.
    pub kpp: Option<String>,
    /// State registration number.
    pub ogrn: Option<String>,
    /// Whether it is a branch.
    pub branch: bool,
}

/// Finds the registered organisation that a new record means: by registration number and reason
/// code, by taxpayer number and reason code, or by a taxpayer number that only one has which is
/// no branch. Branches share their head's numbers.
pub fn organisation(new: &Requisites, candidates: &[Requisites]) -> Option<i64> {
    let same = |one: &Option<String>, two: &Option<String>| one.is_some() && one == two;
    let unit = |other: &Requisites| {
        same(&new.kpp, &other.kpp)
            || (new.kpp.is_none() && other.kpp.is_none() && new.branch == other.branch)
    };
    let by_ogrn = candidates.iter().filter(|other| same(&new.ogrn, &other.ogrn) && unit(other));
    let by_inn = candidates.iter().filter(|other| same(&new.inn, &other.inn) && unit(other));
    if let Some(found) = only(by_ogrn).or_else(|| only(by_inn)) {
        return Some(found);
    }
    let apart =
        |other: &Requisites| other.kpp.is_some() && new.kpp.is_some() && other.kpp != new.kpp;
    let heads = candidates.iter().filter(|other| same(&new.inn, &other.inn) && !other.branch);
    let heads: Vec<&Requisites> = heads.collect();
    match heads.as_slice() {
        [head] if !new.branch && !apart(head) => Some(head.id),
        _ => None,
    }
}

fn only<'a>(mut found: impl Iterator<Item = &'a Requisites>) -> Option<i64> {
    let first = found.next()?;
    if found.next().is_some() { None } else { Some(first.id) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SNILS: &str = "11223344595";
    const OTHER: &str = "00100199800";

    fn person(id: i64, last: &str, first: &str, day: u32, snils: Option<&str>) -> Profile {
        let born = NaiveDate::from_ymd_opt(2015, 3, day).unwrap();
        Profile::new(id, [last, first, "Ильич"], "1", born, snils)
    }

    #[test]
    fn the_rules_of_identity_hold() {
        let known = person(1, "Ёлкин", "Пётр", 1, Some(SNILS));
        let judge = |new: Profile| judge(&new, &[&known]);
        assert_eq!(judge(person(0, "Елкина", "Анна", 1, Some(SNILS))), Verdict::Same(1));
        assert_eq!(judge(person(0, "ЕЛКИН", "Петр", 9, Some(SNILS))), Verdict::Same(1));
        assert_eq!(judge(person(0, "Иванов", "Олег", 9, Some(SNILS))), Verdict::Conflict(1));
        assert_eq!(judge(person(0, "Елкин", "Петр", 1, None)), Verdict::Resembles(1, 70));
        assert_eq!(judge(person(0, "Елкин", "Петр", 1, Some(OTHER))), Verdict::New);
        assert_eq!(judge(person(0, "Елкин", "Павел", 1, None)), Verdict::New);
    }

    #[test]
    fn a_document_or_a_fact_makes_namesakes_one() {
        let mut known = person(1, "Елкин", "Петр", 1, Some(SNILS));
        known.documents = vec![5];
        known.facts = vec![8];
        let mut renamed = person(0, "Иванов", "Петр", 1, None);
        renamed.documents = vec![5];
        assert_eq!(judge(&renamed, &[&known]), Verdict::Same(1));
        let mut namesake = person(0, "Елкин", "Петр", 1, None);
        namesake.facts = vec![7, 8];
        assert_eq!(judge(&namesake, &[&known]), Verdict::Same(1));
        let twin = Profile { id: 2, snils: None, ..known.clone() };
        assert_eq!(judge(&namesake, &[&known, &twin]), Verdict::Resembles(1, 90));
    }

    #[test]
    fn branches_are_not_their_head() {
        let text = |text: &str| Some(text.to_owned());
        let head = Requisites { id: 1, inn: text("77"), kpp: text("1"), ..Requisites::default() };
        let branch =
            Requisites { id: 2, inn: text("77"), kpp: text("2"), branch: true, ogrn: None };
        let known = [head.clone(), branch.clone()];
        assert_eq!(organisation(&Requisites { id: 0, ..branch }, &known), Some(2));
        assert_eq!(organisation(&Requisites { id: 0, kpp: None, ..head.clone() }, &known), Some(1));
        assert_eq!(organisation(&Requisites { id: 0, kpp: text("3"), ..head }, &known), None);
    }
}
