//! What is asked.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::model::federal::statistics::StatisticsQuery;
use crate::model::federal::topic::Topic;
use crate::model::federal::transfer::{Decision, Notice};
use crate::model::ids::EntityId;
use crate::model::kind::Kind;

/// A question with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Why it is asked, in the asker's words. Never empty.
    pub purpose: String,
    /// What is asked.
    pub question: Question,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// A person's card.
    PersonBySnils(PersonKey),
    /// Persons like this one.
    FindPerson(Likeness),
    /// What changed.
    ChangedSince(Since),
    /// Where a person has learnt.
    Trajectory(PersonKey),
    /// A person leaves for another region, or has arrived there.
    TransferRequest(Notice),
    /// A transfer took place, or did not.
    TransferConfirm(Decision),
    /// Ids given to persons, 1 to [`PAIR_LIMIT`](super::PAIR_LIMIT).
    AssignFederalId(Vec<Pair>),
    /// Counts, at once.
    Statistics(StatisticsQuery),
    /// Counts, to be built and fetched later.
    BuildStatistics(StatisticsQuery),
    /// What was built.
    BuiltStatistics(Fetch),
    /// Rows of the registry of organisations.
    Organisations(OrganisationQuery),
    /// The queue for preschool places.
    QueueStatistics(QueueQuery),
    /// Whether we are there.
    Ping,
}

impl Question {
    /// Which of the questions it is.
    pub fn topic(&self) -> Topic {
        match self {
            Self::PersonBySnils(_) => Topic::PersonBySnils,
            Self::FindPerson(_) => Topic::FindPerson,
            Self::ChangedSince(_) => Topic::ChangedSince,
            Self::Trajectory(_) => Topic::Trajectory,
            Self::TransferRequest(_) => Topic::TransferRequest,
            Self::TransferConfirm(_) => Topic::TransferConfirm,
            Self::AssignFederalId(_) => Topic::AssignFederalId,
            Self::Statistics(_) => Topic::Statistics,
            Self::BuildStatistics(_) => Topic::BuildStatistics,
            Self::BuiltStatistics(_) => Topic::BuiltStatistics,
            Self::Organisations(_) => Topic::Organisations,
            Self::QueueStatistics(_) => Topic::QueueStatistics,
            Self::Ping => Topic::Ping,
        }
    }

    /// Whether answering it changes what we keep.
    pub fn writes(&self) -> bool {
        match self {
            Self::TransferRequest(_)
            | Self::TransferConfirm(_)
            | Self::AssignFederalId(_)
            | Self::BuildStatistics(_) => true,
            Self::PersonBySnils(_)
            | Self::FindPerson(_)
            | Self::ChangedSince(_)
            | Self::Trajectory(_)
            | Self::Statistics(_)
            | Self::BuiltStatistics(_)
            | Self::Organisations(_)
            | Self::QueueStatistics(_)
            | Self::Ping => false,
        }
    }
}

/// What a person is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PersonKey {
    /// Insurance number, 11 digits.
    Snils(String),
    /// Id the federal segment gave.
    FederalId(String),
    /// Our own id, told in earlier answers.
    RegionalId(EntityId),
}

/// What is known of a person looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Likeness {
    /// Surname as written.
    pub last_name: String,
    /// Given name as written.
    pub first_name: String,
    /// Patronymic as written.
    pub middle_name: Option<String>,
    /// Date of birth.
    pub birth_date: NaiveDate,
    /// An identity document.
    pub document: Option<LikeDocument>,
}

/// What is known of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LikeDocument {
    /// Code of the kind of document.
    pub document_type: Option<String>,
    /// Series.
    pub series: Option<String>,
    /// Number.
    pub number: String,
}

/// A place in the log of changes, and how much from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Since {
    /// Opaque place from an earlier answer; absent for the beginning.
    pub cursor: Option<String>,
    /// Kinds wanted, in the order of [`KINDS`](super::KINDS). Never empty.
    pub kinds: Vec<Kind>,
    /// Most entities wanted, 1 to [`PAGE_LIMIT`](super::PAGE_LIMIT).
    pub page_size: usize,
}

/// An id of ours and the one that the federal segment gave to the same person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Ours.
    pub regional: EntityId,
    /// Theirs.
    pub federal: String,
}

/// A page of a job's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// The job.
    pub job: Uuid,
    /// Which page, from 1.
    pub page: i64,
}

/// Which organisations, and how many of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganisationQuery {
    /// Only those changed at that instant or later.
    pub changed_since: Option<DateTime<Utc>>,
    /// Only those with this taxpayer number; branches share it with their head.
    pub inn: Option<String>,
    /// Only those of this territory, by the classifier of municipalities.
    pub oktmo: Option<String>,
    /// Opaque place from an earlier answer; absent for the beginning.
    pub cursor: Option<String>,
    /// Most rows wanted, 1 to [`PAGE_LIMIT`](super::PAGE_LIMIT).
    pub page_size: usize,
}

/// Which queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueQuery {
    /// As of this day.
    pub date: NaiveDate,
    /// Only of this territory, by the classifier of municipalities.
    pub oktmo: Option<String>,
}
