//! Ack: the receiver has the answer; its delivery ends.

use crate::codec::smev3::{ACK_RESPONSE, Ack, BASIC, Fault, parse_uuid};
use crate::codec::soap;
use crate::federal::fault::Failure;
use crate::federal::{Door, Message};

impl Door {
    pub(super) async fn ack(
        &self,
        message: &Message<'_>,
        request: Ack,
    ) -> Result<Vec<u8>, Failure> {
        let caller = self.caller(message, "AckRequest", (BASIC, "AckTargetMessage")).await?;
        let known = match parse_uuid(&request.message_id) {
            Some(id) => self.desk.acknowledge(&caller.system, id, request.accepted).await?,
            None => false,
        };
        if !known {
            return Err(Fault::TargetMessageIsNotFound(request.message_id).into());
        }
        Ok(soap::envelope(ACK_RESPONSE).into_bytes())
    }
}
