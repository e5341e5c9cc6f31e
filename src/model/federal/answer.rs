//! What is told.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::model::federal::statistics::{Built, StatisticsQuery, Table};
use crate::model::federal::topic::Topic;
use crate::model::federal::transfer::{Denial, Transfer};
use crate::model::ids::EntityId;
use crate::model::record::Value;
use crate::model::spec::KindSpec;

/// What is told.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Cards, none when the person is unknown.
    PersonBySnils {
        /// Ids that were merged into others.
        redirects: Vec<Redirect>,
        /// Persons found, survivors of merges included.
        cards: Vec<Card>,
    },
    /// Likely persons, best first.
    FindPerson(Vec<Candidate>),
    /// A page of changes.
    ChangedSince(Page),
    /// Where persons have learnt.
    Trajectory {
        /// Ids that were merged into others.
        redirects: Vec<Redirect>,
        /// Persons found, survivors of merges included.
        trajectories: Vec<Trajectory>,
    },
    /// What became of a notice of transfer.
    TransferRequest(Transfer),
    /// What became of a decision on a transfer.
    TransferConfirm(Transfer),
    /// What became of each pair, in the order of the question.
    AssignFederalId(Vec<Assigned>),
    /// Counts.
    Statistics {
        /// What was wanted.
        query: StatisticsQuery,
        /// The counts.
        table: Table,
    },
    /// The job that builds counts, or why there is none.
    BuildStatistics(Result<Uuid, Denial>),
    /// What was built.
    BuiltStatistics(Built),
    /// A page of organisations.
    Organisations {
        /// As they are now, by registry id.
        organisations: Vec<Entity>,
        /// Where the next page begins; absent when this is the last.
        next: Option<String>,
    },
    /// The registry keeps no queue.
    QueueStatistics,
    /// We are there.
    Ping {
        /// What time it is here.
        at: DateTime<Utc>,
    },
}

impl Answer {
    /// Which question it answers.
    pub fn topic(&self) -> Topic {
        match self {
            Self::PersonBySnils { .. } => Topic::PersonBySnils,
            Self::FindPerson(_) => Topic::FindPerson,
            Self::ChangedSince(_) => Topic::ChangedSince,
            Self::Trajectory { .. } => Topic::Trajectory,
            Self::TransferRequest(_) => Topic::TransferRequest,
            Self::TransferConfirm(_) => Topic::TransferConfirm,
            Self::AssignFederalId(_) => Topic::AssignFederalId,
            Self::Statistics { .. } => Topic::Statistics,
            Self::BuildStatistics(_) => Topic::BuildStatistics,
            Self::BuiltStatistics(_) => Topic::BuiltStatistics,
            Self::Organisations { .. } => Topic::Organisations,
            Self::QueueStatistics => Topic::QueueStatistics,
            Self::Ping { .. } => Topic::Ping,
        }
    }

    /// Every entity it tells.
    pub fn entities(&self) -> Box<dyn Iterator<Item = &Entity> + '_> {
        match self {
            Self::PersonBySnils { cards, .. } => Box::new(cards.iter().flat_map(|card| {
                let rest = card.documents.iter().chain(&card.memberships);
                std::iter::once(&card.person).chain(rest)
            })),
            Self::FindPerson(candidates) => Box::new(candidates.iter().map(|c| &c.person)),
            Self::ChangedSince(page) => Box::new(page.entities.iter()),
            Self::Trajectory { trajectories, .. } => {
                Box::new(trajectories.iter().flat_map(|one| {
                    let steps = one.steps.iter().map(|step| &step.membership);
                    std::iter::once(&one.person).chain(steps)
                }))
            }
            Self::Organisations { organisations, .. } => Box::new(organisations.iter()),
            Self::TransferRequest(_)
            | Self::TransferConfirm(_)
            | Self::AssignFederalId(_)
            | Self::Statistics { .. }
            | Self::BuildStatistics(_)
            | Self::BuiltStatistics(_)
            | Self::QueueStatistics
            | Self::Ping { .. } => Box::new(std::iter::empty()),
        }
    }

    /// Persons it tells of besides those that its entities are or refer to.
    pub fn subjects(&self) -> Vec<EntityId> {
        match self {
            Self::TransferRequest(transfer) | Self::TransferConfirm(transfer) => {
                transfer.persons.clone()
            }
            Self::AssignFederalId(results) => {
                results.iter().filter_map(|result| result.fate.person(result.regional)).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// A person's id that now stands for another person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The id that was merged.
    pub from: EntityId,
    /// The person who stands for both.
    pub to: EntityId,
}

/// A person with documents and current memberships.
#[derive(Clone, Debug)]
pub struct Card {
    /// The person.
    pub person: Entity,
    /// Identity documents.
    pub documents: Vec<Entity>,
    /// Memberships that have not ended.
    pub memberships: Vec<Entity>,
}

/// A person who may be the one looked for.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Likeness, 0 to 100.
    pub score: i64,
    /// The person.
    pub person: Entity,
}

/// A page of changes.
#[derive(Clone, Debug)]
pub struct Page {
    /// Each changed entity once, as it is now, in the order of its first change on the page.
    pub entities: Vec<Entity>,
    /// Where the next page begins.
    pub next: String,
    /// Whether more is there already.
    pub more: bool,
}

/// An entity of the registry as it is now.
#[derive(Clone, Debug)]
pub struct Entity {
    /// Its kind and fields.
    pub spec: &'static KindSpec,
    /// Our id.
    pub id: EntityId,
    /// Id the federal segment gave; persons only.
    pub federal_id: Option<String>,
    /// The entity that stands for it since a merge.
    pub merged_into: Option<EntityId>,
    /// Whether it has ended: a snapshot no longer mentions it, or it was deleted at its source.
    pub closed: bool,
    /// Values in the order of [`KindSpec::fields`]; references hold our ids.
    pub values: Vec<Option<Value>>,
}

/// Where a person has learnt, in the order of time.
#[derive(Clone, Debug)]
pub struct Trajectory {
    /// The person.
    pub person: Entity,
    /// Memberships, ended and closed ones included.
    pub steps: Vec<Step>,
}

/// A membership and what it refers to.
#[derive(Clone, Debug)]
pub struct Step {
    /// The membership.
    pub membership: Entity,
    /// Its organisation.
    pub organisation: Option<Entity>,
    /// Its class.
    pub class_group: Option<Entity>,
}

/// What became of a pair of ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// Our id, as asked.
    pub regional: EntityId,
    /// The id of the federal segment, as asked.
    pub federal: String,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a pair of ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The person has the id now.
    Assigned,
    /// The person had it before.
    Already,
    /// The person was merged; the one who stands for both has the id.
    Redirected(EntityId),
    /// Another person has that id.
    HeldByOther(EntityId),
    /// The person has another id.
    HasOther(String),
    /// We know no such person.
    UnknownPerson,
}

impl Fate {
    /// The person of whom it tells, if `regional` was asked about.
    fn person(&self, regional: EntityId) -> Option<EntityId> {
        match self {
            Self::Assigned | Self::Already | Self::HasOther(_) => Some(regional),
            Self::Redirected(to) | Self::HeldByOther(to) => Some(*to),
            Self::UnknownPerson => None,
        }
    }
}

impl Entity {
    /// The value in this column; `None` when there is none.
    pub fn value(&self, column: &str) -> Option<&Value> {
        self.values.get(self.spec.column(column)?)?.as_ref()
    }

    /// The text in this column, empty when there is none.
    pub fn text(&self, column: &str) -> &str {
        match self.value(column) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }

    /// The id in this column.
    pub fn reference(&self, column: &str) -> Option<EntityId> {
        match self.value(column) {
            Some(Value::Integer(id)) => Some(EntityId(*id)),
            _ => None,
        }
    }
}
