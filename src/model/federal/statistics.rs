//! Indicators: what is counted, by what, and the counts.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::model::federal::transfer::Denial;

/// Fewer persons than these in a cell might be recognised.
pub const LEAST_PERSONS: i64 = 3;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Indicator {
    /// Those who learn on a day.
    Learners,
    /// Memberships that began in a period.
    Enrolments,
    /// Memberships that ended in a period.
    Withdrawals,
    /// Organisations that work on a day.
    Organisations,
}

impl Indicator {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Learners, Self::Enrolments, Self::Withdrawals, Self::Organisations];

    /// Its code on the wire.
    pub fn code(self) -> &'static str {
        match self {
            Self::Learners => "LEARNERS",
            Self::Enrolments => "ENROLMENTS",
            Self::Withdrawals => "WITHDRAWALS",
            Self::Organisations => "ORGANISATIONS",
        }
    }

    /// Whether it is counted over a period rather than on a day.
    pub fn has_period(self) -> bool {
        matches!(self, Self::Enrolments | Self::Withdrawals)
    }

    /// What it can be broken down by.
    pub fn breakdowns(self) -> &'static [Breakdown] {
        use Breakdown as By;
        match self {
            Self::Learners => {
                &[By::Nothing, By::OrganisationKind, By::Parallel, By::SexAge, By::Persons]
            }
            Self::Enrolments | Self::Withdrawals => {
                &[By::Nothing, By::OrganisationKind, By::Parallel, By::SexAge, By::Reason]
            }
            Self::Organisations => &[By::Nothing, By::OrganisationKind],
        }
    }
}

/// By what it is broken down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Breakdown {
    /// The total alone.
    Nothing,
    /// Kind of organisation.
    OrganisationKind,
    /// Parallel of the class.
    Parallel,
    /// Sex, and age in full years on the day.
    SexAge,
    /// Reason of admission or departure.
    Reason,
    /// A row a person, without anything to recognise them by. Only to be built.
    Persons,
}

impl Breakdown {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Nothing,
        Self::OrganisationKind,
        Self::Parallel,
        Self::SexAge,
        Self::Reason,
        Self::Persons,
    ];

    /// Its code on the wire.
    pub fn code(self) -> &'static str {
        match self {
            Self::Nothing => "NONE",
            Self::OrganisationKind => "ORGANISATION_KIND",
            Self::Parallel => "PARALLEL",
            Self::SexAge => "SEX_AGE",
            Self::Reason => "REASON",
            Self::Persons => "PERSONS",
        }
    }
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatisticsQuery {
    /// What is counted.
    pub indicator: Indicator,
    /// First day of the period, for indicators that have one.
    pub from: Option<NaiveDate>,
    /// The day, or the last day of the period.
    pub date: NaiveDate,
    /// Only organisations of this territory, by the classifier of municipalities.
    pub territory: Option<String>,
    /// By what it is broken down; one of [`Indicator::breakdowns`].
    pub breakdown: Breakdown,
}

/// A count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Count {
    /// Of learning: a child of a school and a music school is one person with two memberships.
    Learning {
        /// Distinct persons.
        persons: i64,
        /// Their memberships.
        memberships: i64,
    },
    /// Of organisations.
    Organisations(i64),
}

/// What a coordinate of a cell stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dimension {
    /// Code of dictionary `organisation-type`.
    OrganisationKind,
    /// Number of the parallel.
    Parallel,
    /// Code of dictionary `sex`.
    Sex,
    /// Full years.
    Age,
    /// Code of dictionary `admission-reason` or `departure-reason`.
    Reason,
}

impl Dimension {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::OrganisationKind => "ORGANISATION_KIND",
            Self::Parallel => "PARALLEL",
            Self::Sex => "SEX",
            Self::Age => "AGE",
            Self::Reason => "REASON",
        }
    }
}

/// Where a cell stands in one dimension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coordinate {
    /// In which dimension.
    pub dimension: Dimension,
    /// Code or number; absent where the registry does not know.
    pub code: Option<String>,
}

/// A cell of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// Where it stands.
    pub at: Vec<Coordinate>,
    /// How many; absent where somebody might be recognised.
    pub count: Option<Count>,
}

/// A table of counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// All together; absent where somebody might be recognised.
    pub total: Option<Count>,
    /// What is not zero.
    pub cells: Vec<Cell>,
}

/// A person without anything to recognise them by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anonymous {
    /// Always the same for the same person.
    pub pseudonym: String,
    /// What is told of them; absent where too few are like that.
    pub traits: Option<Traits>,
}

/// What is told of a person for statistics.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Traits {
    /// Year of birth.
    pub birth_year: i32,
    /// Code of dictionary `sex`.
    pub sex: String,
    /// Kinds of the organisations in which the person learns, codes of `organisation-type`, each
    /// once, in order.
    pub kinds: Vec<String>,
}

/// A page of a result that was built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BuiltPage {
    /// A table; the result has one page.
    Table(Table),
    /// Persons, in the order of their pseudonyms.
    Persons(Vec<Anonymous>),
}

/// Where a job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Built {
    /// Being built.
    Process {
        /// The job.
        job: Uuid,
        /// When it was ordered.
        asked_at: DateTime<Utc>,
    },
    /// Built.
    Result {
        /// The job.
        job: Uuid,
        /// When it was built.
        built_at: DateTime<Utc>,
        /// What was wanted.
        query: StatisticsQuery,
        /// Which page this is, from 1.
        page: i64,
        /// How many there are.
        pages: i64,
        /// The page.
        content: BuiltPage,
    },
    /// There is none.
    Denied(Denial),
}
