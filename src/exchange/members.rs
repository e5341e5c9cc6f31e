//! Who exchanges messages through us, and what kinds of messages there are: one picture of both.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::model::federal::{NAMESPACE, Topic};
use crate::storage::db::{Db, DbError};
use crate::storage::federal_system::{self, FederalSystem};
use crate::storage::message_type::{self, MessageType, Root};

/// Systems, their certificates, and kinds of messages.
#[derive(Debug, Default)]
pub(crate) struct Members {
    systems: HashMap<i64, Arc<FederalSystem>>,
    by_certificate: HashMap<String, i64>,
    types: HashMap<String, MessageType>,
    roots: Vec<Root>,
    grants: HashSet<(String, i64)>,
    /// Whether we answer the questions of the federal segment ourselves.
    answers: bool,
}

/// A kind of messages, found by the root element of a request or an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Its code.
    pub(crate) code: String,
    /// Local name of the root of an answer.
    pub(crate) response: String,
    /// Whether the root is that of a request.
    pub(crate) is_request: bool,
    /// Who answers.
    pub(crate) provider: Provider,
}

/// Who answers requests of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provider {
    /// We do.
    Us(Topic),
    /// The system of this number.
    System(i64),
}

impl Members {
    pub(crate) async fn read(db: &Db, answers: bool) -> Result<Self, DbError> {
        let systems = federal_system::list(db).await?.into_iter();
        let types = message_type::list(db).await?.into_iter();
        Ok(Self {
            systems: systems.map(|system| (system.id, Arc::new(system))).collect(),
            by_certificate: federal_system::certificate_owners(db).await?.into_iter().collect(),
            types: types.map(|kind| (kind.code.clone(), kind)).collect(),
            roots: message_type::roots(db).await?,
            grants: message_type::grants(db).await?.into_iter().collect(),
            answers,
        })
    }

    /// The system of this number.
    pub(crate) fn system(&self, id: i64) -> Option<&Arc<FederalSystem>> {
        self.systems.get(&id)
    }

    /// The system for which a certificate signs, by lower-case hex of its SHA-256.
    pub(crate) fn signer(&self, sha256: &str) -> Option<&Arc<FederalSystem>> {
        self.system(*self.by_certificate.get(sha256)?)
    }

    /// The system of this mnemonic.
    pub(crate) fn named(&self, mnemonic: &str) -> Option<&Arc<FederalSystem>> {
        self.systems.values().find(|system| system.mnemonic == mnemonic)
    }

    /// The kind of messages whose requests or answers have this root element.
    pub(crate) fn kind(&self, namespace: &str, local: &str) -> Option<Kind> {
        if namespace == NAMESPACE && self.answers {
            let mut topics = Topic::ALL.iter();
            let topic =
                *topics.find(|topic| [topic.request(), topic.response()].contains(&local))?;
            return Some(Kind {
                code: own_code(topic),
                response: topic.response().to_owned(),
                is_request: local == topic.request(),
                provider: Provider::Us(topic),
            });
        }
        let mut roots = self.roots.iter().filter(|root| root.namespace == namespace);
        let root = roots.find(|root| root.request == local || root.response == local)?;
        let kind = self.types.get(&root.code)?;
        Some(Kind {
            code: root.code.clone(),
            response: root.response.clone(),
            is_request: root.request == local,
            provider: Provider::System(kind.provider),
        })
    }

    /// Whether an answer to a request with one root may have the other: both are of the kind, in any
    /// of its versions.
    pub(crate) fn answers(&self, code: &str, namespace: &str, local: &str) -> bool {
        let mut roots = self.roots.iter().filter(|root| root.code == code);
        roots.any(|root| root.namespace == namespace && root.response == local)
    }

    /// Whether a system may ask requests of a kind.
    pub(crate) fn may_ask(&self, system: &FederalSystem, kind: &Kind) -> bool {
        match kind.provider {
            Provider::Us(_) => system.asks,
            Provider::System(_) => {
                let open = self.types.get(&kind.code).is_some_and(|kind| kind.open_to_all);
                open || self.grants.contains(&(kind.code.clone(), system.id))
            }
        }
    }

    /// Whether a system may send anything: ask whomever, or answer.
    pub(crate) fn may_send(&self, system: &FederalSystem) -> bool {
        let asks = self.answers && system.asks;
        let mut types = self.types.values();
        asks || types.any(|kind| kind.open_to_all || kind.provider == system.id)
            || self.grants.iter().any(|(_, granted)| *granted == system.id)
    }
}

/// The code of the kind of one of our own questions.
pub(crate) fn own_code(topic: Topic) -> String {
    format!("{NAMESPACE}#{}", topic.request())
}
