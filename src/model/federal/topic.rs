//! The names of questions and answers on the wire.

use crate::model::federal::NAMESPACE;

/// The questions we answer. Each has a root element for the request and one for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// A person's card by insurance number or federal id.
    PersonBySnils,
    /// Persons like this one.
    FindPerson,
    /// What changed since a place in the log.
    ChangedSince,
    /// Where a person has learnt.
    Trajectory,
    /// A person leaves for another region, or has arrived there.
    TransferRequest,
    /// A transfer took place, or did not.
    TransferConfirm,
    /// Ids that the federal segment gave to persons.
    AssignFederalId,
    /// Counts, at once.
    Statistics,
    /// Counts, to be built and fetched later.
    BuildStatistics,
    /// What was built.
    BuiltStatistics,
    /// Rows of the registry of organisations.
    Organisations,
    /// The queue for preschool places.
    QueueStatistics,
    /// Whether we are there.
    Ping,
}

impl Topic {
    /// All questions.
    pub const ALL: [Self; 13] = [
        Self::PersonBySnils,
        Self::FindPerson,
        Self::ChangedSince,
        Self::Trajectory,
        Self::TransferRequest,
        Self::TransferConfirm,
        Self::AssignFederalId,
        Self::Statistics,
        Self::BuildStatistics,
        Self::BuiltStatistics,
        Self::Organisations,
        Self::QueueStatistics,
        Self::Ping,
    ];

    /// Local name of the request's root element.
    pub fn request(self) -> &'static str {
        self.names().0
    }

    /// Local name of the answer's root element.
    pub fn response(self) -> &'static str {
        self.names().1
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

    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::PersonBySnils => ("GetPersonBySnilsRequest", "GetPersonBySnilsResponse"),
            Self::FindPerson => ("FindPersonRequest", "FindPersonResponse"),
            Self::ChangedSince => ("GetChangedSinceRequest", "GetChangedSinceResponse"),
            Self::Trajectory => ("GetTrajectoryRequest", "GetTrajectoryResponse"),
            Self::TransferRequest => ("TransferRequest", "TransferResponse"),
            Self::TransferConfirm => ("TransferConfirmRequest", "TransferConfirmResponse"),
            Self::AssignFederalId => ("AssignFederalIdRequest", "AssignFederalIdResponse"),
            Self::Statistics => ("GetStatisticsRequest", "GetStatisticsResponse"),
            Self::BuildStatistics => ("BuildStatisticsRequest", "BuildStatisticsResponse"),
            Self::BuiltStatistics => ("GetBuiltStatisticsRequest", "GetBuiltStatisticsResponse"),
            Self::Organisations => ("GetOrganisationsRequest", "GetOrganisationsResponse"),
            Self::QueueStatistics => ("GetQueueStatisticsRequest", "GetQueueStatisticsResponse"),
            Self::Ping => ("PingRequest", "PingResponse"),
        }
    }
}
