//! Who the people of the region are: names, birth dates, numbers, and whose records are dirty.

use chrono::{Datelike, Days, NaiveDate};

use crate::model::finding::Code;
use crate::ops::simulate::names::{self, MEN_COUNT, SURNAME_COUNT, Sex};
use crate::ops::simulate::numbers;
use crate::ops::simulate::region::{Family, Region, Sort};

/// Pairs of surname and father's name; families go through all of them before one comes again.
const PAIRS: u64 = SURNAME_COUNT * MEN_COUNT;

/// Shares no divisor with [`PAIRS`].
const PAIR_STEP: u64 = 7_919;

/// Families with the same pair are told apart by the remainder of the day of birth.
const RANKS: u64 = 64;

/// Learners of a thousand with something wrong in their records.
pub const DIRTY_PER_THOUSAND: u64 = 20;

/// A person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Learner, by index.
    Learner(u64),
    /// Mother of a family.
    Mother(Family),
    /// Father of a family.
    Father(Family),
    /// Employee, by index.
    Employee(u64),
    /// Somebody with the name and birth date of this learner.
    Namesake(u64),
    /// Somebody with the insurance number of this learner.
    Borrower(u64),
}

/// What a person is called, and when born.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Surname.
    pub last: String,
    /// First name.
    pub first: String,
    /// Patronymic.
    pub middle: String,
    /// Sex.
    pub sex: Sex,
    /// Date of birth.
    pub born: NaiveDate,
}

/// What is wrong with the records of a learner. Each gives exactly one finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flaw {
    /// A slip in the check digits of the insurance number.
    WrongSnils,
    /// The person stands in the package twice.
    Repeated,
    /// The document was issued on 31 February.
    BadDate,
    /// A kind of address that no dictionary has.
    UnknownCode,
    /// A contact of a person that nobody knows.
    MissingReference,
    /// Another person with the same name and birth date, nothing else agreeing.
    Namesake,
    /// Another person with the same insurance number.
    SharedSnils,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::WrongSnils,
        Self::Repeated,
        Self::BadDate,
        Self::UnknownCode,
        Self::MissingReference,
        Self::Namesake,
        Self::SharedSnils,
    ];

    /// The finding it gives.
    pub fn code(self) -> Code {
        match self {
            Self::WrongSnils => Code::SnilsChecksum,
            Self::Repeated => Code::DuplicateInPackage,
            Self::BadDate => Code::Format,
            Self::UnknownCode => Code::Dictionary,
            Self::MissingReference => Code::ReferenceMissing,
            Self::Namesake => Code::MergeCandidate,
            Self::SharedSnils => Code::SnilsConflict,
        }
    }
}

impl Region {
    /// What is wrong with the records of a learner.
    pub fn flaw_of(&self, learner: u64) -> Option<Flaw> {
        let dirty = self.chance("dirty", learner, DIRTY_PER_THOUSAND);
        dirty.then(|| pick(&Flaw::ALL, self.hash("flaw", learner)))
    }

    /// Whether the family has a mother on record.
    pub fn has_mother(&self, family: Family) -> bool {
        !self.has_father(family) || self.chance("mother", family.0, 970)
    }

    /// Whether the family has a father on record.
    pub fn has_father(&self, family: Family) -> bool {
        self.chance("father", family.0, 780)
    }

    /// Name and birth date.
    pub fn identity(&self, who: Who) -> Identity {
        match who {
            Who::Learner(learner) | Who::Namesake(learner) => self.child(learner),
            Who::Mother(family) => self.parent(family, Sex::Female),
            Who::Father(family) => self.parent(family, Sex::Male),
            Who::Employee(index) => self.employee(index),
            // The name of an index that no learner has, and another day of birth.
            Who::Borrower(learner) => Identity {
                born: self.child(learner).born - Days::new(400),
                ..self.child(learner + self.learners)
            },
        }
    }

    /// The insurance number as the supplier has it.
    pub fn snils(&self, who: Who) -> Option<String> {
        let index = self.person_index(who);
        match who {
            Who::Learner(learner) => match self.flaw_of(learner) {
                Some(Flaw::WrongSnils) => Some(numbers::wrong_snils(index)),
                None if !self.chance("snils", learner, 920) => None,
                _ => Some(numbers::snils(index)),
            },
            Who::Borrower(learner) => Some(numbers::snils(learner)),
            Who::Employee(_) => Some(numbers::snils(index)),
            Who::Mother(_) | Who::Father(_) => {
                self.chance("snils", index, 850).then(|| numbers::snils(index))
            }
            // With a number of its own it would be clear that this is somebody else.
            Who::Namesake(_) => None,
        }
    }

    /// A number of a person, distinct over all of the region.
    pub fn person_index(&self, who: Who) -> u64 {
        match who {
            Who::Learner(learner) => learner,
            Who::Mother(family) => self.learners + 2 * family.0,
            Who::Father(family) => self.learners + 2 * family.0 + 1,
            Who::Namesake(learner) => 3 * self.learners + learner,
            Who::Borrower(learner) => 4 * self.learners + learner,
            Who::Employee(index) => 5 * self.learners + index,
        }
    }

    /// Surname and father's name of a family, and how many families had them before.
    fn pair(&self, index: u64) -> (u64, u64, u64) {
        let shifted = numbers::scatter(index, PAIR_STEP, PAIRS) + self.hash("pair", 0) % PAIRS;
        let pair = shifted % PAIRS;
        (pair / MEN_COUNT, pair % MEN_COUNT, index / PAIRS)
    }

    fn child(&self, learner: u64) -> Identity {
        let family = self.family_of(learner);
        let (surname, father, rank) = self.pair(family.0);
        let sex = if self.chance("sex", learner, 515) { Sex::Male } else { Sex::Female };
        // Twins share the day; brothers and sisters never share the name.
        let twins = self.are_twins(family.0) && learner - family.0 < 2;
        let day = self.day_of_birth(if twins { family.0 } else { learner }, rank);
        let class = self.class_of(learner % self.learners);
        let age = match class.institution.sort {
            Sort::School | Sort::ArtsHouse => class.level + 6,
            Sort::Kindergarten => class.level,
        };
        Identity {
            last: names::surname(surname, sex),
            first: names::first_name(self.hash("name", family.0) + (learner - family.0) * 5, sex)
                .to_owned(),
            middle: names::patronymic(father, sex),
            sex,
            born: date(self.year() - i32::try_from(age).unwrap_or_default(), day),
        }
    }

    fn parent(&self, family: Family, sex: Sex) -> Identity {
        let (surname, father, rank) = self.pair(family.0);
        let index = self.person_index(Who::Mother(family)) + u64::from(sex == Sex::Male);
        let eldest = self.children_of(family).map(|child| self.child(child).born.year()).min();
        let years = self.draw("parent", index, 21..40);
        // One of the two names follows from the pair, so that no two families have the same.
        let (first, grandfather) = match sex {
            Sex::Male => (father, self.hash("patronymic", index)),
            Sex::Female => (self.hash("name", index), father + 7),
        };
        Identity {
            last: names::surname(surname, sex),
            first: names::first_name(first, sex).to_owned(),
            middle: names::patronymic(grandfather, sex),
            sex,
            born: date(
                eldest.unwrap_or(self.year()) - i32::try_from(years).unwrap_or_default(),
                self.day_of_birth(index, rank),
            ),
        }
    }

    fn employee(&self, index: u64) -> Identity {
        let (surname, father, rank) = self.pair(index);
        let sex = if self.chance("employee", index, 150) { Sex::Male } else { Sex::Female };
        let age = i32::try_from(self.draw("age", index, 23..66)).unwrap_or(40);
        Identity {
            last: names::surname(surname, sex),
            first: names::first_name(self.hash("name", self.learners + index), sex).to_owned(),
            middle: names::patronymic(father, sex),
            sex,
            // Days that no learner and no parent is born on.
            born: date(self.year() - age, RANKS * 5 + rank % 40),
        }
    }

    /// Day of the year, from 0.
    fn day_of_birth(&self, index: u64, rank: u64) -> u64 {
        rank % RANKS + RANKS * self.draw("birthday", index, 0..5)
    }
}

fn date(year: i32, day: u64) -> NaiveDate {
    let ordinal = u32::try_from(day % 365 + 1).unwrap_or(1);
    NaiveDate::from_yo_opt(year, ordinal).unwrap_or_default()
}

fn pick<T: Copy>(list: &[T], at: u64) -> T {
    list[usize::try_from(at % list.len() as u64).unwrap_or_default()]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn nobody_is_a_namesake_by_accident() {
        let region = Region::new(3, 40_000);
        let mut seen = HashSet::new();
        let families = (0..region.learners).map(|l| region.family_of(l)).collect::<HashSet<_>>();
        let everybody = (0..region.learners)
            .map(Who::Learner)
            .chain(families.iter().flat_map(|&f| [Who::Mother(f), Who::Father(f)]))
            .chain((0..3_000).map(Who::Employee));
        for who in everybody {
            let i = region.identity(who);
            let what = format!("{who:?}: {i:?}");
            assert!(seen.insert((i.last, i.first, i.middle, i.born)), "{what}");
        }
    }
}
