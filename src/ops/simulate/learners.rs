//! Records of learners and their parents.

use chrono::{Datelike, Days, NaiveDate};

use crate::model::kind::Kind;
use crate::ops::simulate::numbers::scatter;
use crate::ops::simulate::organisations::programme;
use crate::ops::simulate::people::{Flaw, Identity, Who};
use crate::ops::simulate::record::Record;
use crate::ops::simulate::region::{Family, Region, Sort};
use crate::ops::simulate::supplier::Supplier;

/// First parallel whose learners have passports.
const PASSPORT_LEVEL: u64 = 9;

impl Supplier {
    /// Its id of a person.
    pub fn person_id(self, who: Who) -> String {
        let prefix = self.prefix();
        match who {
            Who::Learner(learner) => format!("{prefix}L{learner}"),
            Who::Mother(family) => format!("{prefix}A{}m", family.0),
            Who::Father(family) => format!("{prefix}A{}f", family.0),
            Who::Employee(index) => format!("{prefix}E{index}"),
            Who::Namesake(learner) => format!("{prefix}N{learner}"),
            Who::Borrower(learner) => format!("{prefix}W{learner}"),
        }
    }
}

impl Region {
    /// The person records of a learner: itself, twice if repeated, and its dirty double.
    pub fn learner_persons(
        &self,
        supplier: Supplier,
        learner: u64,
    ) -> impl Iterator<Item = Record> {
        let flaw = self.flaw_of(learner);
        let own = self.person_record(supplier, Who::Learner(learner));
        let own = own.expect((flaw == Some(Flaw::WrongSnils)).then(|| Flaw::WrongSnils.code()));
        let code = flaw.map(Flaw::code);
        let second = match flaw {
            Some(Flaw::Repeated) => Some(self.person_record(supplier, Who::Learner(learner))),
            Some(Flaw::Namesake) => Some(self.person_record(supplier, Who::Namesake(learner))),
            Some(Flaw::SharedSnils) => Some(self.person_record(supplier, Who::Borrower(learner))),
            _ => None,
        };
        std::iter::once(own).chain(second.map(|record| record.expect(code)))
    }

    /// The parents of a family that are on record.
    pub fn parents(&self, family: Family) -> impl Iterator<Item = Who> + use<> {
        let mother = self.has_mother(family).then_some(Who::Mother(family));
        let father = self.has_father(family).then_some(Who::Father(family));
        mother.into_iter().chain(father)
    }

    /// A person.
    pub fn person_record(&self, supplier: Supplier, who: Who) -> Record {
        let Identity { last, first, middle, sex, born } = self.identity(who);
        let district = self.hash("born in", self.person_index(who)) % self.districts();
        Record::new(Kind::Person, supplier.person_id(who))
            .set("LastName", last)
            .set("FirstName", first)
            .set("MiddleName", middle)
            .set("Sex", sex.code())
            .set("BirthDate", born.to_string())
            .set("BirthPlace", format!("г. {}", self.town(district + 1)))
            .set_some("Snils", self.snils(who).map(|digits| dashed(&digits)))
            .set("Citizenship", "0")
    }

    /// Birth certificate or passport.
    pub fn document_record(&self, supplier: Supplier, who: Who) -> Record {
        let index = self.person_index(who);
        let born = self.identity(who).born;
        let (age, flaw) = match who {
            Who::Learner(learner) => {
                let class = self.class_of(learner);
                let of_school = class.institution.sort == Sort::School;
                let passport = of_school && class.level >= PASSPORT_LEVEL;
                (if passport { 14 } else { 0 }, self.flaw_of(learner))
            }
            _ => (20, None),
        };
        let bad = (flaw == Some(Flaw::BadDate)).then_some(Flaw::BadDate.code());
        let issued = if bad.is_some() {
            format!("{}-02-31", born.year() + age)
        } else {
            years_after(born, age).to_string()
        };
        let record = Record::new(Kind::IdentityDocument, format!("{}-d", supplier.person_id(who)))
            .set("Person", supplier.person_id(who));
        let number = format!("{:06}", scatter(index, 611_953, 1_000_000));
        let record = if age > 0 {
            let series = format!("99 {:02}", (index / 1_000_000 + 20) % 100);
            record.set("Type", "12").set("Series", series).set("Number", number)
        } else {
            let roman = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII"];
            let series = roman[usize::try_from(index / 1_000_000 % 8).unwrap_or_default()];
            record.set("Type", "11").set("Series", format!("{series}-СГ")).set("Number", number)
        };
        let town = self.town(self.hash("issuer", index) % self.districts() + 1);
        let record = record.set("Issuer", format!("Отдел ЗАГС г. {town}")).set("IssuedOn", issued);
        if age > 0 {
            return record.expect(bad);
        }
        record
            .set("ActNumber", (index % 3_000 + 1).to_string())
            .set("ActDate", years_after(born, 0).to_string())
            .expect(bad)
    }

    /// Registered address of a learner; the family lives together.
    pub fn address_record(&self, supplier: Supplier, learner: u64) -> Record {
        let unknown = self.flaw_of(learner) == Some(Flaw::UnknownCode);
        let family = self.family_of(learner).0;
        let house = self.house(family, self.district(self.class_of(learner).institution) + 1);
        let flat = self.draw("flat", family, 1..120);
        Record::new(Kind::Address, format!("{}-a", supplier.person_id(Who::Learner(learner))))
            .set("Person", supplier.person_id(Who::Learner(learner)))
            .set("Kind", if unknown { "99" } else { "1" })
            .set("Text", format!("{house}, кв. {flat}"))
            .set("PostalCode", format!("{:06}", 990_000 + family % 1_000))
            .expect(unknown.then(|| Flaw::UnknownCode.code()))
    }

    /// Mobile telephone of a parent.
    pub fn contact_record(&self, supplier: Supplier, who: Who) -> Record {
        let number = scatter(self.person_index(who), 611_953, 10_000_000);
        Record::new(Kind::Contact, format!("{}-c", supplier.person_id(who)))
            .set("Person", supplier.person_id(who))
            .set("Kind", "2")
            .set(
                "Value",
                format!(
                    "+7 900 {:03}-{:02}-{:02}",
                    number / 10_000,
                    number / 100 % 100,
                    number % 100
                ),
            )
    }

    /// A contact of somebody unknown.
    pub fn lost_contact(&self, supplier: Supplier, learner: u64) -> Option<Record> {
        (self.flaw_of(learner) == Some(Flaw::MissingReference)).then(|| {
            Record::new(Kind::Contact, format!("{}L{learner}-lost", supplier.prefix()))
                .set("Person", format!("{}Q{learner}", supplier.prefix()))
                .set("Kind", "3")
                .set("Value", format!("lost{learner}@mail.example"))
                .expect(Some(Flaw::MissingReference.code()))
        })
    }

    /// A learner and a parent.
    pub fn kinship_record(&self, supplier: Supplier, learner: u64, parent: Who) -> Record {
        let (child, adult) = (Who::Learner(learner), supplier.person_id(parent));
        let letter = if matches!(parent, Who::Mother(_)) { 'm' } else { 'f' };
        Record::new(Kind::Kinship, format!("{}-k{letter}", supplier.person_id(child)))
            .set("Child", supplier.person_id(child))
            .set("Adult", adult)
            .set("Type", "1")
    }

    /// The place of a learner in its school or kindergarten.
    pub fn membership_record(&self, supplier: Supplier, learner: u64) -> Record {
        let class = self.class_of(learner);
        let school = class.institution.sort == Sort::School;
        let reason = match (school, class.level) {
            (true, 1) => "1",
            (true, _) => "4",
            (false, _) => "7",
        };
        Record::new(Kind::Membership, format!("{}-m", supplier.person_id(Who::Learner(learner))))
            .set("Person", supplier.person_id(Who::Learner(learner)))
            .set("Organisation", supplier.organisation_id(class.institution))
            .set("ClassGroup", supplier.class_id(class))
            .set("SchoolYear", self.school_year())
            .set("FromDate", format!("{}-09-01", self.year()))
            .set("Form", "11")
            .set("Programme", if school { programme(class.level) } else { "11" })
            .set("Financing", "1")
            .set("OrderNumber", format!("{}-у", class.level * 10 + class.letter))
            .set("OrderDate", format!("{}-08-29", self.year()))
            .set("ReasonIn", reason)
    }
}

fn years_after(born: NaiveDate, years: i32) -> NaiveDate {
    let day = NaiveDate::from_yo_opt(born.year() + years, born.ordinal()).unwrap_or(born);
    day + Days::new(20)
}

fn dashed(digits: &str) -> String {
    format!("{}-{}-{} {}", &digits[..3], &digits[3..6], &digits[6..9], &digits[9..])
}
