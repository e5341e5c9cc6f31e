//! GetStatus and GetIncomingQueueStatistics: what a system asks about itself.
//!
//! What became of a message that could not be delivered is told through GetResponse, as in all
//! versions since 1.1; GetStatus, which once told it, has nothing to tell.

use crate::codec::smev3::{Statistics, empty_status, queue_statistics};
use crate::codec::soap;
use crate::federal::fault::Failure;
use crate::federal::{Door, Message, Reply};

impl Door {
    pub(super) async fn get_status(&self, message: &Message<'_>) -> Result<Reply, Failure> {
        self.owner(message).await?;
        Ok(soap::envelope(&empty_status(message.version)).into_bytes().into())
    }

    pub(super) async fn statistics(
        &self,
        message: &Message<'_>,
        request: Statistics,
    ) -> Result<Reply, Failure> {
        let caller = self.owner(message).await?;
        let lengths = self.desk.lengths(&caller, request.node_id.as_deref()).await?;
        let body = queue_statistics(message.version, &lengths);
        Ok(soap::envelope(&body).into_bytes().into())
    }
}
