//! SendRequest: a question is judged, answered and queued.

use crate::codec::federal;
use crate::codec::node::{Flaw, Node};
use crate::codec::smev3::{
    Fault, Metadata, Participant, SendRequest, TYPES, send_request_response,
};
use crate::codec::soap;
use crate::exchange::answer::{TakeError, Taken};
use crate::exchange::question::QuestionError;
use crate::federal::fault::{Failure, invalid};
use crate::federal::{Door, Message, message_id};
use crate::model::federal::{NAMESPACE, Topic};

impl Door {
    pub(super) async fn send_request(
        &self,
        message: &Message<'_>,
        request: SendRequest,
    ) -> Result<Vec<u8>, Failure> {
        let data = (TYPES, "SenderProvidedRequestData");
        let caller = self.caller(message, "SendRequestRequest", data).await?;
        let now = self.desk.now();
        let message_id = message_id::judge(&request.message_id, now, &self.settings)?;
        if request.end_of_life.is_some_and(|end| end <= now) {
            return Err(Fault::EndOfLifeReached.into());
        }
        let content = &request.content;
        let topic = Topic::of_request(&content.namespace, &content.local);
        let topic = topic.ok_or_else(|| Fault::BusinessDataTypeIsNotSupported {
            namespace: content.namespace.clone(),
            element: content.local.clone(),
        })?;
        let asked = federal::question(topic, content).map_err(|flaws| invalid(&flaws))?;
        let system = caller.system;
        let taken = Taken {
            message_id,
            reference: request.reference_id,
            transaction_code: request.transaction_code,
            node: request.node_id.unwrap_or_default(),
            test: request.test,
            asked,
            envelope: message.bytes.to_vec(),
            peer: message.peer.address.ip().to_string(),
        };
        let sent_at = match self.desk.take(&system, taken).await {
            Ok(at) => at,
            Err(TakeError::AlreadySent) => {
                return Err(Fault::MessageIsAlreadySent(message_id).into());
            }
            Err(TakeError::QueueFull) => {
                return Err(Fault::DestinationOverflow { destination: system.mnemonic }.into());
            }
            Err(TakeError::Question(QuestionError::Cursor)) => {
                return Err(invalid(&[bad_cursor(content)]).into());
            }
            Err(error) => return Err(error.into()),
        };
        let sender = Participant { mnemonic: system.mnemonic, name: system.name };
        let seal = self.desk.seal();
        let body = send_request_response(&Metadata {
            message_id,
            message_type: "REQUEST",
            sender: &sender,
            sent_at,
            recipient: seal.own(),
            delivered_at: None,
            status: "requestIsQueued",
        });
        Ok(seal.send_request_response(&soap::envelope(&body))?)
    }
}

fn bad_cursor(content: &Node) -> Flaw {
    let node = content.children.iter().find(|node| node.is(NAMESPACE, "Cursor"));
    Flaw {
        place: node.unwrap_or(content).place,
        text: "Cursor не выдан этой системе для этих Kinds; начните чтение без Cursor".to_owned(),
    }
}
