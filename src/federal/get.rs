//! GetRequest and GetResponse: the first message of the caller's queue, hidden from others for 15
//! minutes.

use crate::codec::smev3::{
    Attached, Delivery, Fault, Get, Kind, Metadata, Participant, Stored, delivery, empty_delivery,
};
use crate::codec::soap;
use crate::exchange::desk::{Caller, Delivered, Pass, TakeError};
use crate::federal::fault::Failure;
use crate::federal::multipart::Parts;
use crate::federal::{Door, Message, Reply};
use crate::storage::mailbox::Queue;

impl Door {
    pub(super) async fn get_request(
        &self,
        message: &Message<'_>,
        request: Get,
    ) -> Result<Reply, Failure> {
        self.get(message, request, Queue::Request).await
    }

    pub(super) async fn get_response(
        &self,
        message: &Message<'_>,
        request: Get,
    ) -> Result<Reply, Failure> {
        self.get(message, request, Queue::Response).await
    }

    async fn get(
        &self,
        message: &Message<'_>,
        request: Get,
        queue: Queue,
    ) -> Result<Reply, Failure> {
        let caller = self.owner_now(message, &request.stamp).await?;
        let root = request.root.as_ref();
        let found = self.desk.next(&caller, queue, request.node_id, root, message.version).await;
        let found = match found {
            Err(TakeError::UnknownKind) => {
                return Err(Fault::UnknownMessageType(caller.subject).into());
            }
            found => found?,
        };
        let operation = match queue {
            Queue::Request => "GetRequest",
            Queue::Response | Queue::Status => "GetResponse",
        };
        if let Some(found) = found {
            return self.hand_out(message, &caller, found, queue);
        }
        let body = empty_delivery(message.version, operation);
        Ok(soap::envelope(&body).into_bytes().into())
    }

    fn hand_out(
        &self,
        message: &Message<'_>,
        caller: &Caller,
        mut found: Delivered,
        queue: Queue,
    ) -> Result<Reply, Failure> {
        let seal = self.desk.seal();
        let known = |system: &crate::storage::federal_system::FederalSystem| Participant {
            mnemonic: system.mnemonic.clone(),
            name: system.name.clone(),
        };
        let sender = found.sender.as_deref().map(known);
        let recipient = known(&caller.system);
        let attachments = std::mem::take(&mut found.leased.attachments);
        let leased = &found.leased;
        let names: Vec<String> =
            found.files.iter().map(|pass| format!("/{}", pass.file.name)).collect();
        let (kind, message_type, status) = match queue {
            Queue::Request => {
                let kind = Kind::Request { reply_to: &found.reply_to };
                (kind, "REQUEST", "requestIsAcceptedBySmev")
            }
            Queue::Response | Queue::Status => {
                let kind = Kind::Response {
                    original_id: leased.request_id,
                    transaction_code: leased.transaction_code.as_deref(),
                    reference_id: leased.reference.unwrap_or(leased.request_id),
                };
                (kind, "RESPONSE", "responseIsAcceptedBySmev")
            }
        };
        let handed = Delivery {
            kind,
            provided: &found.provided,
            metadata: Metadata {
                message_id: leased.message_id,
                message_type,
                sender: sender.as_ref().unwrap_or(seal.own()),
                sent_at: leased.queued_at,
                recipient: &recipient,
                delivered_at: Some(self.desk.now()),
                status,
            },
            signature: found.signature.as_deref(),
            attachments: attachments.iter().map(|(id, bytes)| Attached { id, bytes }).collect(),
            files: stored(&names, &found.files),
            parts: message.parts,
        };
        let body = delivery(message.version, &handed);
        let operation = handed.operation();
        let document = seal.delivery(message.version, operation, &soap::envelope(&body))?;
        let parts = if message.parts { Parts::of(attachments) } else { Parts::default() };
        Ok(Reply { document, parts })
    }
}

/// How files of the store are fetched; `names` are their paths.
fn stored<'a>(names: &'a [String], files: &'a [Pass]) -> Vec<Stored<'a>> {
    let one = |(name, pass): (&'a String, &'a Pass)| Stored {
        uuid: &pass.file.uuid,
        user: &pass.user,
        password: &pass.password,
        name,
    };
    names.iter().zip(files).map(one).collect()
}
