//! Ack: the receiver has the message; its delivery ends.

use crate::codec::smev3::{Ack, Fault, ack_response, parse_uuid};
use crate::codec::soap;
use crate::federal::fault::Failure;
use crate::federal::{Door, Message, Reply};

impl Door {
    pub(super) async fn ack(&self, message: &Message<'_>, request: Ack) -> Result<Reply, Failure> {
        let caller = self.owner(message).await?;
        let known = match parse_uuid(&request.message_id) {
            Some(id) => self.desk.acknowledge(&caller, id, request.accepted).await?,
            None => false,
        };
        if !known {
            return Err(Fault::TargetMessageIsNotFound(request.message_id).into());
        }
        Ok(soap::envelope(&ack_response(message.version)).into_bytes().into())
    }
}
