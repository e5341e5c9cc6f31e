//! Persons who move to another region, and questions that we understood and did not do.

use chrono::NaiveDate;
use uuid::Uuid;

use crate::model::federal::answer::Redirect;
use crate::model::federal::question::PersonKey;
use crate::model::ids::EntityId;

/// What the departure of a transferred learner is given as: dictionary `departure-reason`,
/// «Перевод в другой регион».
pub const TRANSFER_REASON: &str = "13";

/// What is known of the move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The person is about to leave us.
    Leaving,
    /// The person has been taken in there.
    Arrived,
}

impl Direction {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Leaving, Self::Arrived];

    /// Its name on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leaving => "LEAVING",
            Self::Arrived => "ARRIVED",
        }
    }
}

/// Word of a person who moves to another region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Who.
    pub person: PersonKey,
    /// Whether it is about to happen or has happened.
    pub direction: Direction,
    /// Code of the other region, two digits.
    pub region: String,
    /// When.
    pub date: NaiveDate,
    /// Name of the organisation that takes the person in.
    pub organisation: String,
    /// Why, in the words of the asker.
    pub reason: String,
}

/// Word that a transfer took place, or did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Our id of the case.
    pub case: Uuid,
    /// Whether it took place.
    pub confirmed: bool,
    /// When it did, or when it was called off.
    pub date: NaiveDate,
}

/// Where a case is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaseState {
    /// Nobody has decided.
    Open,
    /// The person is there now; memberships here were closed.
    Confirmed,
    /// The person stays.
    Declined,
}

impl CaseState {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Open, Self::Confirmed, Self::Declined];

    /// Its name on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Confirmed => "CONFIRMED",
            Self::Declined => "DECLINED",
        }
    }
}

/// A case of transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferCase {
    /// Our id of it; nobody can guess it.
    pub id: Uuid,
    /// Who moves.
    pub person: EntityId,
    /// What the notice said of the move.
    pub direction: Direction,
    /// Code of the other region.
    pub region: String,
    /// When, by the notice.
    pub date: NaiveDate,
    /// Name of the organisation that takes the person in.
    pub organisation: String,
    /// Why, in the words of the asker.
    pub reason: String,
    /// Where it is.
    pub state: CaseState,
    /// The date of the decision, once there is one.
    pub decided_on: Option<NaiveDate>,
}

/// What became of a notice or a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Persons it tells about.
    pub persons: Vec<EntityId>,
    /// Ids that were merged into others.
    pub redirects: Vec<Redirect>,
    /// The case, as it is now.
    pub case: Option<TransferCase>,
    /// Memberships that the case closed.
    pub closed: Vec<EntityId>,
    /// Whether the same was said before, so that nothing was done now.
    pub repeated: bool,
    /// Why it was not done.
    pub denial: Option<Denial>,
}

impl Transfer {
    /// Nothing was done, for this reason.
    pub fn denied(denial: Denial) -> Self {
        Self {
            persons: Vec::new(),
            redirects: Vec::new(),
            case: None,
            closed: Vec::new(),
            repeated: false,
            denial: Some(denial),
        }
    }
}

/// Why a question that follows its schema was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// Nobody is known by that key.
    UnknownPerson,
    /// Several persons share that key.
    SeveralPersons,
    /// The person learns nowhere here.
    NoMembership,
    /// There is no such case.
    UnknownCase,
    /// The case was decided otherwise before.
    AlreadyDecided,
    /// The date lies more than a year ahead.
    DateAhead,
    /// This system has no such job.
    UnknownJob,
    /// The result was kept for its time and forgotten.
    JobForgotten,
    /// The result could not be built.
    JobFailed,
    /// The result has no such page.
    NoPage,
    /// Too many jobs of this system wait.
    TooManyJobs,
}

impl Denial {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::UnknownPerson,
        Self::SeveralPersons,
        Self::NoMembership,
        Self::UnknownCase,
        Self::AlreadyDecided,
        Self::DateAhead,
        Self::UnknownJob,
        Self::JobForgotten,
        Self::JobFailed,
        Self::NoPage,
        Self::TooManyJobs,
    ];

    /// Its code on the wire.
    pub fn code(self) -> &'static str {
        self.words().0
    }

    /// What the asker reads.
    pub fn text(self) -> &'static str {
        self.words().1
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::UnknownPerson => ("UNKNOWN_PERSON", "Такой персоны в реестре региона нет"),
            Self::SeveralPersons => {
                ("SEVERAL_PERSONS", "Под этим признаком несколько персон; укажите RegionalID")
            }
            Self::NoMembership => {
                ("NO_MEMBERSHIP", "Персона сейчас не обучается в организациях региона")
            }
            Self::UnknownCase => ("UNKNOWN_CASE", "Такого дела о переводе нет"),
            Self::AlreadyDecided => ("ALREADY_DECIDED", "По делу уже принято другое решение"),
            Self::DateAhead => ("DATE_AHEAD", "Дата более чем на год впереди"),
            Self::UnknownJob => ("UNKNOWN_JOB", "Такого задания у этой системы нет"),
            Self::JobForgotten => {
                ("JOB_FORGOTTEN", "Срок хранения результата истёк; закажите его снова")
            }
            Self::JobFailed => ("JOB_FAILED", "Результат построить не удалось; закажите его снова"),
            Self::NoPage => ("NO_PAGE", "Такой страницы в результате нет"),
            Self::TooManyJobs => {
                ("TOO_MANY_JOBS", "Слишком много заданий ожидают; дождитесь их результатов")
            }
        }
    }
}
