//! What the federal segment asks a regional one, and what it is told.

pub mod answer;
pub mod question;
pub mod statistics;
pub mod topic;
pub mod transfer;

pub use answer::{
    Answer, Assigned, Candidate, Card, Entity, Fate, Page, Redirect, Step, Trajectory,
};
pub use question::{
    Asked, Fetch, LikeDocument, Likeness, OrganisationQuery, Pair, PersonKey, Question, QueueQuery,
    Since,
};
pub use topic::Topic;

use crate::model::kind::Kind;

/// Namespace of questions and answers.
pub const NAMESPACE: &str = "urn:kontingent:federal:1.0";

/// Most entities on a page of changes.
pub const PAGE_LIMIT: usize = 1_000;

/// Most pairs of ids in one question.
pub const PAIR_LIMIT: usize = 1_000;

/// Most pages of a result that can be asked for.
pub const RESULT_PAGE_LIMIT: i64 = 100_000;

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
