//! What a failed call means for the message and for the conversation: the one place that decides.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::link::LinkError;
use crate::codec::smev3::Fault;
use crate::codec::smev3::client::NodeFault;

/// How far the clock of the node may be from ours.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// How old an id is at least that a node may rightly call too old.
const AGED: TimeDelta = TimeDelta::minutes(30);

/// What to do after a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nobody can be spoken with now: all wait, growing longer, and one of them tries.
    Away,
    /// This message waits, growing longer, and is sent again as it is.
    Later,
    /// It was done before.
    Done,
    /// The id of the message is too old.
    Stale,
    /// We are not let in: somebody must do something about it; all wait for minutes.
    Barred,
    /// It will not be taken, however often it is sent.
    Never,
}

impl Verdict {
    /// The verdict on a failed call.
    pub(super) fn of(error: &LinkError) -> Self {
        match error {
            LinkError::Silent(_) | LinkError::Foreign(..) => Self::Away,
            LinkError::Doubtful(..) => Self::Later,
            // A token that is out, a key that is wrong.
            LinkError::Unsigned(_) => Self::Barred,
            LinkError::Fault(fault, _) => Self::of_fault(fault),
        }
    }

    fn of_fault(fault: &NodeFault) -> Self {
        match fault.element.as_str() {
            "SMEVFailure" => Self::Away,
            // The last, of SOAP or of what stands before the node, says nothing of the message.
            "DestinationOverflow" | "QuoteLimitExceeded" | "" => Self::Later,
            "MessageIsAlreadySent" | "TargetMessageIsNotFound" => Self::Done,
            "StaleMessageId" => Self::Stale,
            "AccessDenied"
            | "PersonalAccessDenied"
            | "SenderIsNotRegistered"
            | "SignatureVerificationFault"
            | "UnknownMessageType" => Self::Barred,
            _ if fault.server => Self::Later,
            _ => Self::Never,
        }
    }
}

/// Whether an id that a node finds too old has grown old, and another one would be taken: not when it
/// is fresh by our clock, or that is not the node's.
pub(super) fn has_aged(id: Uuid, now: DateTime<Utc>, node: Option<DateTime<Utc>>) -> bool {
    let apart = node.is_some_and(|node| (node - now).abs() > SKEW);
    let made = id.get_timestamp().and_then(|made| {
        let (seconds, nanos) = made.to_unix();
        DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
    });
    !apart && made.is_none_or(|made| now - made >= AGED)
}

/// Our own words for what came instead of an answer of the exchange, or with one.
const OWN: [&str; 9] = [
    "TIMEOUT",
    "UNREACHABLE",
    "CUT",
    "FOREIGN",
    "CORRELATION",
    "RECIPIENT",
    "SIGNATURE",
    "UNSIGNED",
    "Fault",
];

/// Name of a fault for the metrics: those that are known, so that nobody makes up others.
pub(super) fn label(fault: &str) -> &'static str {
    OWN.into_iter().chain(Fault::NAMES).find(|known| *known == fault).unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_replaced_only_when_it_has_grown_old_by_both_clocks() {
        let id: Uuid = "6dfbb380-6827-11ef-9a3b-0242ac110002".parse().unwrap();
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let (made, day) = (at("2024-09-01T06:00:00Z"), at("2024-09-02T07:00:00Z"));
        assert!(has_aged(id, day, None) && has_aged(id, day, Some(day + TimeDelta::minutes(4))));
        assert!(!has_aged(id, made, None), "our clock is behind, or the node's is wrong");
        assert!(!has_aged(id, day, Some(made)), "our clock is ahead");
    }

    #[test]
    fn every_fault_has_its_class() {
        let of = |element: &str, server| {
            let fault = NodeFault { element: element.to_owned(), server, ..NodeFault::default() };
            Verdict::of(&LinkError::Fault(Box::new(fault), None))
        };
        assert_eq!(of("SMEVFailure", false), Verdict::Away);
        assert_eq!(of("InvalidContent", false), Verdict::Never);
        assert_eq!(of("RecipientIsNotFound", false), Verdict::Never);
        assert_eq!(of("NotYetInvented", false), Verdict::Never);
        assert_eq!(of("NotYetInvented", true), Verdict::Later);
        assert_eq!(of("", false), Verdict::Later);
        assert_eq!(of("SignatureVerificationFault", false), Verdict::Barred);
    }
}
