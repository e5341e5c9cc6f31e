//! Which packages the suppliers send, in which order, and the records of each.

use std::io;
use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};
use rand::Rng;
use uuid::Builder;

use crate::codec::package::SCHEMA_VERSION;
use crate::model::dictionary::CANONICAL_VERSION;
use crate::model::ids::PackageId;
use crate::model::kind::Kind;
use crate::model::package::{Header, Mode, Scope};
use crate::ops::simulate::people::Who;
use crate::ops::simulate::record::Record;
use crate::ops::simulate::region::{Institution, Region, Sort};
use crate::ops::simulate::supplier::Supplier;

/// What a package is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Management bodies, organisations, classes.
    Organisations,
    /// Learners with their families.
    Learners,
    /// Employees.
    Staff,
    /// Marks and absences of these days.
    Marks(Range<u32>),
    /// Marks for the term.
    Finals,
    /// All of the above, marks of these days included.
    Everything(Range<u32>),
}

/// One package before it is written.
#[derive(Clone, Debug)]
pub struct Package {
    /// The region it is from.
    pub region: Region,
    /// Who sends it.
    pub supplier: Supplier,
    /// What it is about.
    pub topic: Topic,
    /// Organisations of the supplier it covers, by number.
    pub institutions: Range<u64>,
    /// Snapshot or changes.
    pub mode: Mode,
    /// Number in its row of supplier, type and scope.
    pub sequence: u64,
    /// Leaves out all classes but the first of each parallel: a snapshot that would close half.
    pub halved: bool,
}

/// Where records go.
pub type Sink<'a> = &'a mut dyn FnMut(Record) -> io::Result<()>;

impl Region {
    /// The packages of all suppliers, in the order in which they are to be sent.
    pub fn packages(&self, days: u32) -> Vec<Package> {
        Supplier::ALL.into_iter().flat_map(|supplier| self.packages_of(supplier, days)).collect()
    }

    /// One package of the diary with everything.
    pub fn one_package(&self, days: u32) -> Package {
        let institutions = 0..self.count(Sort::School);
        self.package(Supplier::Diary, Topic::Everything(0..days), institutions, 1)
    }

    fn packages_of(&self, supplier: Supplier, days: u32) -> Vec<Package> {
        let all = 0..self.count(supplier.sort());
        let mut packages = vec![self.package(supplier, Topic::Organisations, all.clone(), 1)];
        if supplier == Supplier::Tables {
            packages.push(self.package(supplier, Topic::Learners, all, 1));
            return packages;
        }
        for one in all.map(|number| number..number + 1) {
            packages.push(self.package(supplier, Topic::Learners, one.clone(), 1));
            if supplier == Supplier::Diary {
                packages.push(self.package(supplier, Topic::Staff, one.clone(), 1));
                for day in 0..days {
                    let topic = Topic::Marks(day..day + 1);
                    packages.push(self.package(supplier, topic, one.clone(), u64::from(day) + 1));
                }
                packages.push(self.package(supplier, Topic::Finals, one, 1));
            }
        }
        packages
    }

    fn package(
        &self,
        supplier: Supplier,
        topic: Topic,
        institutions: Range<u64>,
        sequence: u64,
    ) -> Package {
        let mode = match topic {
            Topic::Organisations | Topic::Learners => Mode::All,
            _ => Mode::Updated,
        };
        Package { region: *self, supplier, topic, institutions, mode, sequence, halved: false }
    }

    /// Marks of the first school for the two days after these: the first package is lost on the
    /// way, the second follows it.
    pub fn lost_and_following_marks(&self, days: u32) -> [Package; 2] {
        [days, days + 1].map(|day| {
            let topic = Topic::Marks(day..day + 1);
            self.package(Supplier::Diary, topic, 0..1, u64::from(day) + 1)
        })
    }

    /// A second snapshot of the first kindergarten, a week later, without half of its groups.
    pub fn halved_kindergarten(&self) -> Package {
        let first = self.package(Supplier::Preschool, Topic::Learners, 0..1, 2);
        Package { halved: true, ..first }
    }
}

impl Package {
    /// A name for a file, for example `DIARY0001-LEARNERS-3-1`.
    pub fn name(&self) -> String {
        let institution = match self.scope() {
            Scope::Region => "ALL".to_owned(),
            Scope::Organisation(id) => id,
        };
        format!(
            "{}-{institution}-{}-{}",
            self.supplier.mnemonic(),
            self.topic_name(),
            self.sequence
        )
    }

    /// Its header, with these counts.
    pub fn header(&self, counts: Vec<(Kind, u64)>) -> Header {
        let family = match self.supplier {
            Supplier::Diary => "DIARY",
            Supplier::Preschool => "PRE",
            Supplier::Tables => "XLS",
        };
        let salt = xxhash_rust::xxh3::xxh3_64(self.name().as_bytes());
        let bytes = self.region.dice("package", salt).random();
        Header {
            package_id: PackageId(Builder::from_random_bytes(bytes).into_uuid()),
            supplier: self.supplier.mnemonic().to_owned(),
            schema_version: SCHEMA_VERSION.to_owned(),
            package_type: format!("{family}.{}", self.topic_name()),
            mode: self.mode,
            scope: self.scope(),
            sequence: Some(self.sequence),
            previous_sequence: Some(self.sequence - 1),
            snapshot_at: self.snapshot_at(),
            school_year: Some(self.region.school_year()),
            dictionaries: ["identity-document", "citizenship", "education-form"]
                .map(|name| (name.to_owned(), CANONICAL_VERSION.to_owned()))
                .to_vec(),
            counts,
            test: false,
            correlation: None,
        }
    }

    /// Hands every record to the sink, block by block.
    ///
    /// # Errors
    /// The sink's.
    pub fn records(&self, sink: Sink<'_>) -> io::Result<()> {
        for kind in Kind::ALL {
            if kind == Kind::ManagementBody && self.has(&Topic::Organisations) {
                for body in 0..=self.region.districts() {
                    sink(self.region.body_record(self.supplier, body))?;
                }
            }
            for number in self.institutions.clone() {
                self.block(kind, Institution { sort: self.supplier.sort(), number }, sink)?;
            }
            if self.supplier == Supplier::Tables && self.topic == Topic::Learners {
                self.table(kind, sink)?;
            }
        }
        Ok(())
    }

    /// The records of one kind and one organisation.
    fn block(&self, kind: Kind, place: Institution, sink: Sink<'_>) -> io::Result<()> {
        let (region, supplier) = (self.region, self.supplier);
        let kept = move |learner| !self.halved || region.class_of(learner).letter == 0;
        let learners = || {
            let all = region.learners_of(place).filter(|_| self.has(&Topic::Learners));
            all.filter(move |learner| kept(*learner))
        };
        let parents = || {
            let families = region.families_of(place).filter(|_| self.has(&Topic::Learners));
            let families = families.filter(move |family| kept(family.0));
            families.flat_map(move |family| region.parents(family))
        };
        let staff = || region.staff_of(place).filter(|_| self.has(&Topic::Staff));
        match kind {
            Kind::Organisation if self.has(&Topic::Organisations) => {
                sink(region.organisation_record(supplier, place))
            }
            Kind::ClassGroup if self.has(&Topic::Organisations) => {
                each(region.classes_of(place).map(|c| region.class_record(supplier, c)), sink)
            }
            Kind::Person => {
                each(learners().flat_map(|l| region.learner_persons(supplier, l)), sink)?;
                let adults = parents().chain(staff().map(Who::Employee));
                each(adults.map(|who| region.person_record(supplier, who)), sink)
            }
            Kind::IdentityDocument => {
                let all = learners().map(Who::Learner).chain(staff().map(Who::Employee));
                each(all.map(|who| region.document_record(supplier, who)), sink)
            }
            Kind::Address => each(learners().map(|l| region.address_record(supplier, l)), sink),
            Kind::Contact => {
                each(parents().map(|who| region.contact_record(supplier, who)), sink)?;
                each(learners().filter_map(|l| region.lost_contact(supplier, l)), sink)
            }
            Kind::Kinship => {
                let pairs = learners().flat_map(|learner| {
                    let parents = region.parents(region.family_of(learner));
                    parents.map(move |parent| (learner, parent))
                });
                each(
                    pairs.map(|(child, adult)| region.kinship_record(supplier, child, adult)),
                    sink,
                )
            }
            Kind::Membership => {
                each(learners().map(|l| region.membership_record(supplier, l)), sink)
            }
            Kind::Employment => {
                each(staff().map(|index| region.employment_record(supplier, place, index)), sink)
            }
            Kind::Mark | Kind::Absence | Kind::FinalMark => self.journal(kind, place, sink),
            _ => Ok(()),
        }
    }

    fn journal(&self, kind: Kind, place: Institution, sink: Sink<'_>) -> io::Result<()> {
        let (region, supplier) = (self.region, self.supplier);
        if kind == Kind::FinalMark {
            let learners = region.learners_of(place).filter(|_| self.has(&Topic::Finals));
            return each(learners.flat_map(|l| region.final_marks(supplier, l)), sink);
        }
        let (Topic::Marks(days) | Topic::Everything(days)) = &self.topic else { return Ok(()) };
        for day in days.clone() {
            let learners = region.learners_of(place);
            if kind == Kind::Mark {
                each(learners.flat_map(|l| region.marks(supplier, l, day, days.start)), sink)?;
            } else {
                each(learners.filter_map(|l| region.absence(supplier, l, day)), sink)?;
            }
        }
        Ok(())
    }

    /// What the tables of the houses of arts hold of pupils.
    fn table(&self, kind: Kind, sink: Sink<'_>) -> io::Result<()> {
        let region = self.region;
        let pupils = (0..region.pupils).filter_map(|l| Some((l, region.arts_house_of(l)?)));
        match kind {
            Kind::Person => each(pupils.map(|(l, _)| region.person_from_table(l)), sink),
            Kind::Membership => {
                each(pupils.map(|(l, house)| region.arts_membership(l, house)), sink)
            }
            _ => Ok(()),
        }
    }

    fn has(&self, topic: &Topic) -> bool {
        self.topic == *topic || matches!(self.topic, Topic::Everything(_))
    }

    fn topic_name(&self) -> &'static str {
        match self.topic {
            Topic::Organisations => "ORG",
            Topic::Learners => "LEARNERS",
            Topic::Staff => "STAFF",
            Topic::Marks(_) => "MARKS",
            Topic::Finals => "FINALS",
            Topic::Everything(_) => "ALL",
        }
    }

    fn scope(&self) -> Scope {
        let number = self.institutions.start;
        let one = self.institutions.end - number == 1 && self.topic != Topic::Organisations;
        if self.supplier == Supplier::Tables || !one {
            return Scope::Region;
        }
        let sort = self.supplier.sort();
        Scope::Organisation(self.supplier.organisation_id(Institution { sort, number }))
    }

    fn snapshot_at(&self) -> DateTime<Utc> {
        let after = |day: u32| {
            let midnight = self.region.lesson_day(day).and_time(chrono::NaiveTime::MIN).and_utc();
            midnight + TimeDelta::hours(18)
        };
        match &self.topic {
            Topic::Marks(days) | Topic::Everything(days) => after(days.end.saturating_sub(1)),
            Topic::Finals => after(30),
            _ => {
                self.region.snapshot_at()
                    + TimeDelta::days(7) * i32::try_from(self.sequence - 1).unwrap_or(0)
            }
        }
    }
}

fn each(mut records: impl Iterator<Item = Record>, sink: Sink<'_>) -> io::Result<()> {
    records.try_for_each(sink)
}
