//! GetStatus and GetIncomingQueueStatistics: what a system asks about itself.
//!
//! What was refused after it had been taken is told through GetResponse, as in all versions since 1.1.
//! GetStatus tells its caller which of its messages have reached their receivers, one after the other.

use crate::codec::smev3::{
    AsyncStatus, Fault, Stamp, Statistics, empty_status, queue_statistics, state,
};
use crate::codec::soap;
use crate::exchange::desk::TakeError;
use crate::federal::fault::Failure;
use crate::federal::{Door, Message, Reply};
use crate::storage::mailbox::Queue;

impl Door {
    pub(super) async fn get_status(
        &self,
        message: &Message<'_>,
        stamp: Stamp,
    ) -> Result<Reply, Failure> {
        let caller = self.owner_now(message, &stamp).await?;
        let found = match self.desk.next_state(&caller).await {
            Err(TakeError::UnknownKind) => {
                return Err(Fault::UnknownMessageType(caller.subject).into());
            }
            found => found?,
        };
        let version = message.version;
        let Some(found) = found else {
            return Ok(soap::envelope(&empty_status(version)).into_bytes().into());
        };
        let (category, details) = match found.queue {
            Queue::Request => (version.delivered(true), "Запрос получен поставщиком сведений."),
            Queue::Response | Queue::Status => {
                (version.delivered(false), "Ответ получен потребителем сведений.")
            }
        };
        let original_id = found.message_id;
        let status = AsyncStatus { original_id, category, details, fault: None };
        let envelope = soap::envelope(&state(version, &status));
        Ok(self.desk.seal().state(version, &envelope)?.into())
    }

    pub(super) async fn statistics(
        &self,
        message: &Message<'_>,
        request: Statistics,
    ) -> Result<Reply, Failure> {
        let caller = self.owner_now(message, &request.stamp).await?;
        let lengths = self.desk.lengths(&caller, request.node_id.as_deref()).await?;
        let body = queue_statistics(message.version, &lengths);
        Ok(soap::envelope(&body).into_bytes().into())
    }
}
