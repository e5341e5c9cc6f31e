//! What a sandbox does differently: it lets in whom it does not know, plays faults, and has kinds of
//! messages of its scenarios. Without a sandbox all of this does nothing.

use uuid::Uuid;

use super::{Desk, TakeError};
use crate::codec::smev3::Request;
use crate::exchange::members::Kind;
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

    /// The kind of a request, answered by whom the emulator addressed it to.
    pub(super) fn addressed(&self, kind: Kind, message_id: Uuid) -> Kind {
        match &self.0.sandbox {
            Some(sandbox) => sandbox.addressed(kind, message_id),
            None => kind,
        }
    }
}
