//! Whether the node vouches for what it hands out: its signature, and whose it must be.

use std::sync::Arc;

use uuid::Uuid;

use super::Adapter;
use crate::codec::shape::{self, Spot};
use crate::codec::xml;
use crate::model::refusal::{Refusal, RefusalCode};
use crate::storage::mailbox::doubt;
use crate::storage::mailbox::remote::Trouble;
use crate::trust::TrustStore;

/// Whose signature counts as the node's.
#[derive(Clone)]
pub enum NodeTrust {
    /// That of any certificate that we trust anyway.
    Common,
    /// That of a certificate of this store only.
    Own(Arc<TrustStore>),
}

/// Why the node does not vouch for what it handed out.
#[derive(Debug)]
pub(super) enum Doubt {
    /// The signature does not stand: what was signed has been changed.
    Broken(Refusal),
    /// It cannot be said whose signature it is. Perhaps the node has a new certificate: nothing is
    /// refused for that, it waits until somebody has looked.
    Unknown(Refusal),
}

impl Doubt {
    fn of(refusal: Refusal) -> Self {
        match refusal.code {
            RefusalCode::SigKeyInfo | RefusalCode::SigAlgorithm => Self::Unknown(refusal),
            code if code.as_str().starts_with("SIG_") => Self::Broken(refusal),
            _ => Self::Unknown(refusal),
        }
    }
}

impl Adapter {
    /// Whether an answer of the node is not what the node signed.
    pub(super) async fn is_changed(&self, document: &[u8]) -> bool {
        matches!(self.vouched(document).await, Err(Doubt::Broken(_)))
    }

    /// Notes for operators why what came by an operation is not trusted.
    pub(super) async fn note_doubt(&self, operation: &str, trouble: &Trouble) {
        if let Err(error) = doubt::note(self.0.exchange.db(), operation, trouble).await {
            tracing::warn!(%error, operation, "a failure of trust could not be noted");
        }
    }

    /// What is wrong when a message is addressed to somebody else. It is left to whom it is for: to
    /// confirm it, with either word, would take it from him.
    pub(super) fn misdirected(&self, message: Uuid, recipient: Option<&str>) -> Option<Trouble> {
        let own = &self.0.desk.seal().own().mnemonic;
        let recipient = recipient.filter(|recipient| recipient != own)?;
        let text = format!(
            "Сообщение {message} адресовано «{recipient}», а наша мнемоника — «{own}» \
             (federal.mnemonic): оно не обработано и не подтверждено"
        );
        Some(Trouble { fault: "RECIPIENT".to_owned(), text })
    }

    /// Whether the signature of the node stands in its answer.
    pub(super) async fn vouched(&self, document: &[u8]) -> Result<(), Doubt> {
        let limits = xml::Limits { comments: true, ..xml::Limits::of_ours() };
        let spot = shape::smev3_of_exchange(document).map_err(Doubt::of)?;
        let signature = Spot::verify(&spot, document, limits).map_err(Doubt::of)?;
        let (exchange, trust) = (&self.0.exchange, &self.0.trust);
        let store = match trust {
            NodeTrust::Common => exchange.trust().await.map_err(Doubt::Unknown)?,
            NodeTrust::Own(store) => Arc::clone(store),
        };
        store.verify(&signature, exchange.clock().now()).map(|_| ()).map_err(Doubt::of)
    }
}
