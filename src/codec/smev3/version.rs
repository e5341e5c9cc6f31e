//! Versions of the exchange, which differ in their namespaces and in few elements.

/// Beginning of all namespaces of the exchange.
const SERVICE: &str = "urn://x-artefacts-smev-gov-ru/services/message-exchange/";

/// A version of the schemas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 1.1.
    V11,
    /// 1.2, in its early and its late form.
    V12,
    /// 1.3.
    V13,
}

impl Version {
    /// All versions.
    pub const ALL: [Self; 3] = [Self::V11, Self::V12, Self::V13];

    /// How it is written: `1.1`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V11 => "1.1",
            Self::V12 => "1.2",
            Self::V13 => "1.3",
        }
    }

    /// The version that is written so.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.as_str() == text)
    }

    /// Namespace of the operations' elements.
    pub fn types(self) -> &'static str {
        match self {
            Self::V11 => "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/1.1",
            Self::V12 => "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/1.2",
            Self::V13 => "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/1.3",
        }
    }

    /// Namespace of the elements that operations share.
    pub fn basic(self) -> &'static str {
        match self {
            Self::V11 => "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/basic/1.1",
            Self::V12 => "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/basic/1.2",
            Self::V13 => "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/basic/1.3",
        }
    }

    /// Namespace of the faults.
    pub fn faults(self) -> &'static str {
        match self {
            Self::V11 => "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/faults/1.1",
            Self::V12 => "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/faults/1.2",
            Self::V13 => "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/faults/1.3",
        }
    }

    /// The version whose operations have elements in this namespace.
    pub fn of_types(namespace: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.types() == namespace)
    }

    /// State of an answer that was taken and cannot be delivered. The oldest version has one word for
    /// whatever is rejected after it was taken.
    pub fn rejected_response(self) -> &'static str {
        match self {
            Self::V11 => "requestIsRejectedBySmev",
            Self::V12 | Self::V13 => "responseIsRejectedBySmev",
        }
    }

    /// State of a request, or else of an answer, that its receiver has confirmed.
    pub fn delivered(self, request: bool) -> &'static str {
        match self {
            Self::V11 if request => "underProcessing",
            Self::V11 => "responseIsDelivered",
            Self::V12 | Self::V13 => "messageIsDelivered",
        }
    }

    /// Whether it has the operation GetIncomingQueueStatistics.
    pub fn has_queue_statistics(self) -> bool {
        self != Self::V13
    }
}

/// The SOAP action of an operation.
pub fn action(operation: &str) -> String {
    format!("urn:{operation}")
}

/// Namespace of the service itself, by version.
pub fn service(version: Version) -> String {
    format!("{SERVICE}{}", version.as_str())
}
