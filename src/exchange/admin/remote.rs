//! Answers that the node of the federal exchange refused for good: an operator has them sent again.

use serde_json::json;
use uuid::Uuid;

use crate::exchange::admin::{Admin, AdminError};
use crate::storage::mailbox::remote;

impl Admin {
    /// Sends a parked answer to a request again.
    ///
    /// # Errors
    /// [`AdminError::NotParked`].
    pub async fn send_again(&self, request: Uuid) -> Result<(), AdminError> {
        let object = format!("message:{request}");
        self.perform("federal.send-again", object, json!({}), async |tx, _| {
            let done = remote::send_again(tx, request).await?;
            done.then_some(()).ok_or(AdminError::NotParked(request))
        })
        .await
    }
}
