//! What the federal segment asks a regional one, and what it is told.

use chrono::NaiveDate;

use crate::model::ids::EntityId;
use crate::model::kind::Kind;
use crate::model::record::Value;
use crate::model::spec::KindSpec;

/// Namespace of questions and answers.
pub const NAMESPACE: &str = "urn:kontingent:federal:1.0";

/// Most entities on a page of changes.
pub const PAGE_LIMIT: usize = 1_000;

/// Kinds whose changes are told: the master data. Marks and absences are events and stay here.
pub const KINDS: [Kind; 10] = [
    Kind::ManagementBody,
    Kind::Organisation,
    Kind::ClassGroup,
    Kind::Person,
    Kind::IdentityDocument,
    Kind::Address,
    Kind::Contact,
    Kind::Kinship,
    Kind::Membership,
    Kind::Employment,
];

/// The questions we answer. Each has a root element for the request and one for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// A person's card by insurance number or federal id.
    PersonBySnils,
    /// Persons like this one.
    FindPerson,
    /// What changed since a place in the log.
    ChangedSince,
}

impl Topic {
    /// All questions.
    pub const ALL: [Self; 3] = [Self::PersonBySnils, Self::FindPerson, Self::ChangedSince];

    /// Local name of the request's root element.
    pub fn request(self) -> &'static str {
        match self {
            Self::PersonBySnils => "GetPersonBySnilsRequest",
            Self::FindPerson => "FindPersonRequest",
            Self::ChangedSince => "GetChangedSinceRequest",
        }
    }

    /// Local name of the answer's root element.
    pub fn response(self) -> &'static str {
        match self {
            Self::PersonBySnils => "GetPersonBySnilsResponse",
            Self::FindPerson => "FindPersonResponse",
            Self::ChangedSince => "GetChangedSinceResponse",
        }
    }

    /// The question with this root element.
    pub fn of_request(namespace: &str, local: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|topic| namespace == NAMESPACE && local == topic.request())
    }

    /// Whether the name is the root of one of our requests or answers.
    pub fn is_registered(namespace: &str, local: &str) -> bool {
        namespace == NAMESPACE
            && Self::ALL.iter().any(|t| local == t.request() || local == t.response())
    }
}

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
}

impl Question {
    /// Which of the questions it is.
    pub fn topic(&self) -> Topic {
        match self {
            Self::PersonBySnils(_) => Topic::PersonBySnils,
            Self::FindPerson(_) => Topic::FindPerson,
            Self::ChangedSince(_) => Topic::ChangedSince,
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
    /// Kinds wanted, in the order of [`KINDS`]. Never empty.
    pub kinds: Vec<Kind>,
    /// Most entities wanted, 1 to [`PAGE_LIMIT`].
    pub page_size: usize,
}

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
}

impl Answer {
    /// Which question it answers.
    pub fn topic(&self) -> Topic {
        match self {
            Self::PersonBySnils { .. } => Topic::PersonBySnils,
            Self::FindPerson(_) => Topic::FindPerson,
            Self::ChangedSince(_) => Topic::ChangedSince,
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
