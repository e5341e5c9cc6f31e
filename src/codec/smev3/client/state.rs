//! What the exchange says became of a message after it had taken it.

use uuid::Uuid;

use super::answer::{AnswerError, foreign, id};
use crate::codec::node::Node;
use crate::codec::smev3::Version;

/// Namespace of `xsi:type`.
const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The message.
    pub original_id: Uuid,
    /// One of the states of the protocol.
    pub category: String,
    /// In words.
    pub details: String,
    /// Name of the fault that it would have been, and its words.
    pub fault: Option<(String, String)>,
}

impl State {
    /// Reads an `AsyncProcessingStatus`; `None` when it does not say of what it speaks.
    fn read(version: Version, node: &Node) -> Option<Self> {
        let (types, basic) = (version.types(), version.basic());
        let text = |node: &Node, namespace, local| {
            let found = node.child(namespace, local).map(|node| node.text.trim().to_owned());
            found.filter(|text| !text.is_empty())
        };
        let fault = node.child(types, "SmevFault").map(|fault| {
            let mut attributes = fault.attributes.iter();
            let typed = attributes.find(|(ns, local, _)| ns == XSI && local == "type");
            let typed = typed.and_then(|(_, _, name)| name.rsplit(':').next());
            let typed = typed.filter(|name| *name != "SmevFault").map(str::to_owned);
            let name = typed.or_else(|| text(fault, basic, "Code")).unwrap_or_default();
            (name, text(fault, basic, "Description").unwrap_or_default())
        });
        Some(Self {
            original_id: id(node.child(types, "OriginalMessageId"))?,
            category: text(node, types, "StatusCategory").unwrap_or_default(),
            details: text(node, types, "StatusDetails").unwrap_or_default(),
            fault,
        })
    }

    /// Reads the data of an answer that the exchange itself gives; `None` when it is somebody's answer.
    pub fn of_answer(version: Version, provided: &Node) -> Option<Self> {
        let status = provided.child(version.types(), "AsyncProcessingStatus");
        status.and_then(|node| Self::read(version, node))
    }

    /// Whether the message was refused after all: the name of a fault or of the state, and words.
    pub fn rejection(&self) -> Option<(String, String)> {
        let refused = self.category.ends_with("IsRejectedBySmev") || self.category == "cancelled";
        if !refused && self.fault.is_none() {
            return None;
        }
        let (name, words) = self.fault.clone().unwrap_or_default();
        let name = if name.is_empty() { self.category.clone() } else { name };
        Some((name, if words.is_empty() { self.details.clone() } else { words }))
    }
}

/// Reads the answer to GetStatus; `None` when there is nothing to be told.
///
/// # Errors
/// [`AnswerError::Foreign`] when it cannot even be confirmed.
pub fn state(version: Version, answer: &Node) -> Result<Option<State>, AnswerError> {
    let types = version.types();
    let Some(message) = answer.child(types, "SmevAsyncProcessingMessage") else { return Ok(None) };
    let status = message.child(types, "AsyncProcessingStatusData");
    let status = status.and_then(|data| data.child(types, "AsyncProcessingStatus"));
    let state = status.and_then(|node| State::read(version, node));
    state.map(Some).ok_or_else(|| foreign("в состоянии сообщения нет OriginalMessageId"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::smev3::client::body;
    use crate::codec::smev3::{self, AsyncStatus};
    use crate::codec::soap;

    #[test]
    fn a_state_is_read_as_it_was_written_and_a_refusal_is_told_from_progress() {
        for version in Version::ALL {
            let read = |status: &AsyncStatus<'_>| {
                let envelope = soap::envelope(&smev3::state(version, status));
                let answer = body(envelope.as_bytes(), version, "GetStatus").unwrap().unwrap();
                state(version, &answer).unwrap().unwrap()
            };
            let original_id = Uuid::from_u128(7);
            let category = version.delivered(true);
            let status =
                AsyncStatus { original_id, category, details: "Получено", fault: None };
            let told = read(&status);
            assert_eq!((told.original_id, told.category.as_str()), (original_id, category));
            assert_eq!(told.rejection(), None);
            let category = version.rejected_response();
            let refused = AsyncStatus { category, ..status.clone() };
            let words = Some((category.to_owned(), "Получено".to_owned()));
            assert_eq!(read(&refused).rejection(), words);
            let fault = Some(("InvalidContent", "не по схеме"));
            let words = Some(("InvalidContent".to_owned(), "не по схеме".to_owned()));
            assert_eq!(read(&AsyncStatus { fault, ..refused }).rejection(), words);
            let empty = soap::envelope(&smev3::empty_status(version));
            let answer = body(empty.as_bytes(), version, "GetStatus").unwrap().unwrap();
            assert_eq!(state(version, &answer), Ok(None));
        }
    }
}
