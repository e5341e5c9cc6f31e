//! What a sandbox does differently: it lets in whom it does not know, plays faults, and has kinds of
//! messages of its scenarios. Without a sandbox all of this does nothing.

use std::sync::Arc;

use uuid::Uuid;

use super::{Desk, TakeError};
use crate::codec::smev3::Request;
use crate::exchange::members::{Kind, Members, Provider};
use crate::exchange::sandbox::Provoked;
use crate::model::refusal::{Refusal, RefusalCode};
use crate::trust::certificate::Facts;

impl Desk {
    /// The fault that a scenario of the sandbox provokes.
    pub fn provoked(&self, request: &Request) -> Option<Provoked> {
        self.0.sandbox.as_ref()?.provoked(request)
    }

    /// Whether this is a sandbox.
    pub(super) fn is_sandbox(&self) -> bool {
        self.0.sandbox.is_some()
    }

    /// Registers who is not known.
    pub(super) async fn admit(&self, facts: &Facts) -> Result<(), Refusal> {
        let Some(sandbox) = &self.0.sandbox else { return Ok(()) };
        let admitted = sandbox.admit(self.db(), &self.0.ids, facts, self.now()).await;
        admitted.map_err(|error| {
            tracing::error!(%error, "a system cannot be registered");
            RefusalCode::StoreUnavailable.into()
        })
    }

    /// Registers the kind of messages with this root element, if a scenario is for it.
    pub(super) async fn stage(&self, namespace: &str, local: &str) -> Result<(), TakeError> {
        let Some(sandbox) = &self.0.sandbox else { return Ok(()) };
        Ok(sandbox.stage(self.db(), (namespace, local), self.now()).await?)
    }

    /// The kind of a request, answered by whom the emulator addressed it to, and whom we know then: it may have
    /// been registered a moment ago.
    pub(super) async fn addressed(
        &self,
        kind: Kind,
        members: Arc<Members>,
        message_id: Uuid,
    ) -> Result<(Kind, Arc<Members>), TakeError> {
        let system = self.0.sandbox.as_ref().and_then(|sandbox| sandbox.addressee(message_id));
        let Some(system) = system else { return Ok((kind, members)) };
        let fresh = self.0.parties.snapshot().await.map_err(TakeError::Members)?;
        let kind = Kind { provider: Provider::System(system), is_request: true, ..kind };
        Ok((kind, Arc::clone(&fresh.members)))
    }
}
