//! GetResponse: the first answer of the caller's queue, hidden from others for 15 minutes.

use crate::codec::smev3::{
    BASIC, Fault, GetResponse, Metadata, Participant, Response, empty_get_response, get_response,
};
use crate::codec::soap;
use crate::federal::fault::Failure;
use crate::federal::{Door, Message};
use crate::model::federal::Topic;
use crate::storage::mailbox::Selector;

impl Door {
    pub(super) async fn get_response(
        &self,
        message: &Message<'_>,
        request: GetResponse,
    ) -> Result<Vec<u8>, Failure> {
        let selector = (BASIC, "MessageTypeSelector");
        let caller = self.caller(message, "GetResponseRequest", selector).await?;
        if let Some((namespace, local)) = &request.root
            && !Topic::is_registered(namespace, local)
        {
            return Err(Fault::UnknownMessageType(caller.subject).into());
        }
        let system = caller.system;
        let selector = Selector {
            system: system.id,
            node: request.node_id.unwrap_or_default(),
            root: request.root,
        };
        let Some(leased) = self.desk.lease(&selector).await? else {
            return Ok(soap::envelope(&empty_get_response()).into_bytes());
        };
        let recipient = Participant { mnemonic: system.mnemonic, name: system.name };
        let seal = self.desk.seal();
        let body = get_response(&Response {
            original_id: leased.request_id,
            transaction_code: leased.transaction_code.as_deref(),
            reference_id: Some(leased.reference.unwrap_or(leased.request_id)),
            provided: &String::from_utf8_lossy(&leased.content),
            metadata: Metadata {
                message_id: leased.message_id,
                message_type: "RESPONSE",
                sender: seal.own(),
                sent_at: leased.queued_at,
                recipient: &recipient,
                delivered_at: Some(self.desk.now()),
                status: "responseIsAcceptedBySmev",
            },
            signature: &leased.signature,
        });
        Ok(seal.get_response_response(&soap::envelope(&body))?)
    }
}
