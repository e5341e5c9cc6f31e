//! The suppliers of the region, and what the tables of the third say of the same children.

use crate::model::kind::Kind;
use crate::ops::simulate::people::{Identity, Who};
use crate::ops::simulate::record::Record;
use crate::ops::simulate::region::{Institution, Region, Sort};

/// Pupils of a thousand who also go to a house of arts.
const ARTS_PER_THOUSAND: u64 = 60;

/// A supplier's subsystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Supplier {
    /// Electronic diary of the schools.
    Diary,
    /// Preschool education.
    Preschool,
    /// Tables filled by hand in houses of arts.
    Tables,
}

impl Supplier {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Diary, Self::Preschool, Self::Tables];

    /// Mnemonic in headers.
    pub fn mnemonic(self) -> &'static str {
        match self {
            Self::Diary => "DIARY0001",
            Self::Preschool => "PRESCH001",
            Self::Tables => "TABLES001",
        }
    }

    /// Name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Diary => "Электронный дневник",
            Self::Preschool => "Дошкольное образование",
            Self::Tables => "Загрузка таблиц",
        }
    }

    /// Kind, as suppliers are registered.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Diary => "diary",
            Self::Preschool => "preschool",
            Self::Tables => "xls",
        }
    }

    /// Sort of its organisations.
    pub fn sort(self) -> Sort {
        match self {
            Self::Diary => Sort::School,
            Self::Preschool => Sort::Kindergarten,
            Self::Tables => Sort::ArtsHouse,
        }
    }

    /// First letters of all its ids.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Diary => "d",
            Self::Preschool => "p",
            Self::Tables => "x",
        }
    }
}

impl Region {
    /// The house of arts that a pupil goes to, if any. Only those whose insurance number is right
    /// are in the tables: by it the two records of the child are brought together.
    pub fn arts_house_of(&self, learner: u64) -> Option<Institution> {
        let known = self.flaw_of(learner).is_none() && self.snils(Who::Learner(learner)).is_some();
        let goes = learner < self.pupils && self.chance("arts", learner, ARTS_PER_THOUSAND);
        let number = self.district(self.class_of(learner).institution);
        (known && goes).then_some(Institution { sort: Sort::ArtsHouse, number })
    }

    /// The same child as a table filled by hand has it: capitals, doubled and trailing blanks.
    pub fn person_from_table(&self, learner: u64) -> Record {
        let who = Who::Learner(learner);
        let Identity { last, first, middle, sex, born } = self.identity(who);
        let [last, first] = match self.hash("slip", learner) % 4 {
            0 => [last.to_uppercase(), first.to_uppercase()],
            1 => [format!(" {last} "), format!("{first}  ")],
            2 => [last.replace('ё', "е").to_lowercase(), first.replace('ё', "е")],
            _ => [last, first],
        };
        Record::new(Kind::Person, Supplier::Tables.person_id(who))
            .set("LastName", last)
            .set("FirstName", first)
            .set("MiddleName", middle)
            .set("Sex", sex.code())
            .set("BirthDate", born.to_string())
            .set_some("Snils", self.snils(who))
    }

    /// The place of a pupil in a house of arts.
    pub fn arts_membership(&self, learner: u64, house: Institution) -> Record {
        let supplier = Supplier::Tables;
        let who = Who::Learner(learner);
        Record::new(Kind::Membership, format!("{}-m", supplier.person_id(who)))
            .set("Person", supplier.person_id(who))
            .set("Organisation", supplier.organisation_id(house))
            .set("SchoolYear", self.school_year())
            .set("FromDate", format!("{}-09-15", self.year()))
            .set("Form", "11")
            .set("Programme", "411")
            .set("ReasonIn", "8")
    }
}
