//! What administrators do: suppliers, certificates, authorities, federal systems, dictionaries.
//!
//! Every act leaves an audit row in its own transaction; one that fails leaves a row that says so.

mod dictionary;
mod disclosure;
mod message_type;
mod party;
mod remote;

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::model::clock::Clock;
use crate::storage::audit::{self, Act};
use crate::storage::db::{Db, DbError, Tx};
use crate::storage::ids::Ids;
use crate::trust::certificate::Facts;
use crate::trust::fitness;

pub use crate::exchange::admin::dictionary::{CsvError, read_csv};
pub use crate::exchange::admin::message_type::NewKind;
pub(crate) use crate::exchange::admin::party::stored;
pub use crate::exchange::admin::party::{NewSupplier, Validity};

/// An administrator at work.
#[derive(Clone, Debug)]
pub struct Admin {
    db: Db,
    ids: Ids,
    clock: Clock,
    actor: String,
    /// Folder with more authorities than the database has.
    trust: Option<PathBuf>,
    /// Whether the node answers the questions of the federal segment itself.
    answers: bool,
}

/// Why an act was not done. The text is for the administrator.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// No supplier of this mnemonic.
    #[error("поставщик «{0}» не зарегистрирован")]
    SupplierUnknown(String),
    /// The certificate signs for somebody else, whose mnemonic this is.
    #[error("сертификат уже зарегистрирован за «{0}»: у каждой системы должен быть свой")]
    CertificateTaken(String),
    /// The certificate, whose subject this is, is an authority's.
    #[error("сертификат «{0}» принадлежит удостоверяющему центру: им нельзя подписывать документы")]
    CannotSign(String),
    /// No signature by the certificate, whose subject this is, would ever be accepted, and why.
    #[error("сертификатом «{0}» нельзя подписывать документы, все подписи им будут отклонены: {1}")]
    Unfit(String, String),
    /// The certificate, whose subject this is, is not an authority's.
    #[error("сертификат «{0}» не принадлежит удостоверяющему центру (нет признака CA)")]
    NotAnAuthority(String),
    /// No certificate of this hash is in use.
    #[error("действующий сертификат с SHA-256 {0} не найден")]
    CertificateUnknown(String),
    /// No certificate of this hash waits for approval.
    #[error("среди ожидающих подтверждения нет сертификата с SHA-256 {0}")]
    CandidateUnknown(String),
    /// No authority of this hash is trusted.
    #[error("среди доверенных нет удостоверяющего центра с SHA-256 {0}")]
    AuthorityUnknown(String),
    /// Not a mnemonic.
    #[error(
        "«{0}» не может быть мнемоникой: нужны от 1 до 64 латинских букв, цифр, «.», «-» и «_»"
    )]
    Mnemonic(String),
    /// A mnemonic that messages of the exchange have no room for.
    #[error("мнемоника «{0}» длиннее 50 символов: в сообщениях обмена ей нет места")]
    LongMnemonic(String),
    /// No system of this mnemonic.
    #[error("система «{0}» не зарегистрирована")]
    SystemUnknown(String),
    /// No kind of messages of this code.
    #[error("вид сведений «{0}» не зарегистрирован")]
    KindUnknown(String),
    /// The root element is that of another kind of messages, or one of our own questions.
    #[error("корневой элемент {{{0}}}{1} уже принадлежит другому виду сведений")]
    RootTaken(String, String),
    /// No answer to this request is parked.
    #[error("среди отложенных нет ответа на запрос {0}")]
    NotParked(Uuid),
    /// A name is missing or too long.
    #[error("название должно содержать от 1 до 500 символов")]
    Name,
    /// A dictionary, its version or a code is missing or too long.
    #[error("справочник, версия и код должны содержать от 1 до 100 символов")]
    Code,
    /// A canonical code that the dictionary does not have.
    #[error("в справочнике «{0}» нет основного кода «{1}»")]
    CodeUnknown(String, String),
    /// No organisation of this number in the registry.
    #[error("в реестре нет организации № {0}")]
    OrganisationUnknown(i64),
    /// The source of random numbers failed.
    #[error("источник случайных чисел не отвечает")]
    Random,
    /// The database failed.
    #[error("база данных не выполнила запрос")]
    Db(#[from] DbError),
}

impl AdminError {
    /// Stable code, kept in the audit row of the failed act.
    fn code(&self) -> &'static str {
        match self {
            Self::SupplierUnknown(_) => "SUPPLIER_UNKNOWN",
            Self::CertificateTaken(_) => "CERT_TAKEN",
            Self::CannotSign(_) | Self::Unfit(..) => "CERT_CONSTRAINT",
            Self::NotAnAuthority(_) => "NOT_AN_AUTHORITY",
            Self::CertificateUnknown(_) => "CERT_UNKNOWN",
            Self::CandidateUnknown(_) => "CANDIDATE_UNKNOWN",
            Self::AuthorityUnknown(_) => "AUTHORITY_UNKNOWN",
            Self::Mnemonic(_) | Self::LongMnemonic(_) => "MNEMONIC",
            Self::SystemUnknown(_) => "SYSTEM_UNKNOWN",
            Self::KindUnknown(_) => "KIND_UNKNOWN",
            Self::RootTaken(..) => "ROOT_TAKEN",
            Self::NotParked(_) => "NOT_PARKED",
            Self::Name => "NAME",
            Self::CodeUnknown(..) => "CODE_UNKNOWN",
            Self::OrganisationUnknown(_) => "ORGANISATION_UNKNOWN",
            Self::Code => "CODE",
            Self::Random => "RANDOM",
            Self::Db(_) => "STORE",
        }
    }
}

impl Admin {
    /// Somebody, known to the audit as `actor`, administers this database.
    pub fn new(db: Db, clock: Clock, actor: String) -> Self {
        Self { ids: Ids::new(db.clone()), db, clock, actor, trust: None, answers: true }
    }

    /// Knows of the folder of trust, where there is one.
    #[must_use]
    pub fn with_trust(mut self, folder: Option<PathBuf>) -> Self {
        self.trust = folder;
        self
    }

    /// The database.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// The folder of trust.
    pub fn trust_folder(&self) -> Option<&Path> {
        self.trust.as_deref()
    }

    /// The node does not answer the questions of the federal segment itself: they may be registered
    /// with a system as their provider.
    #[must_use]
    pub fn without_own_answers(self) -> Self {
        Self { answers: false, ..self }
    }

    /// Does `change` and writes its audit row, in one transaction; `detail` is a JSON object of ids.
    async fn perform<T>(
        &self,
        action: &'static str,
        object: String,
        mut detail: Value,
        change: impl AsyncFnOnce(&mut Tx, DateTime<Utc>) -> Result<T, AdminError>,
    ) -> Result<T, AdminError> {
        let at = self.clock.now();
        let mut tx = self.db.begin().await?;
        let done = change(&mut tx, at).await;
        detail["outcome"] = json!(done.as_ref().map_or_else(AdminError::code, |_| "done"));
        let detail = Some(detail.to_string());
        let act = Act { actor: self.actor.clone(), action, object, detail };
        match done {
            Ok(done) => {
                audit::append(&mut tx, at, vec![act]).await?;
                tx.commit().await?;
                Ok(done)
            }
            Err(error) => {
                drop(tx);
                self.note_failure(act, at).await;
                Err(error)
            }
        }
    }

    /// Writes the audit row of an act that failed. The act's own error is what the caller must see.
    async fn note_failure(&self, act: Act, at: DateTime<Utc>) {
        let action = act.action;
        let written = async {
            let mut tx = self.db.begin().await?;
            audit::append(&mut tx, at, vec![act]).await?;
            tx.commit().await
        };
        if let Err(error) = written.await {
            tracing::error!(%error, action, "the audit row of a failed act could not be written");
        }
    }
}

fn check_mnemonic(mnemonic: &str) -> Result<(), AdminError> {
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if (1..=64).contains(&mnemonic.len()) && mnemonic.chars().all(sound) {
        return Ok(());
    }
    Err(AdminError::Mnemonic(mnemonic.to_owned()))
}

fn check_signs(facts: &Facts) -> Result<(), AdminError> {
    if facts.authority {
        return Err(AdminError::CannotSign(facts.subject.clone()));
    }
    fitness::judge(&facts.der).map_err(|refusal| {
        let why = refusal.detail.unwrap_or_else(|| refusal.code.text().to_owned());
        AdminError::Unfit(facts.subject.clone(), why)
    })
}

fn check_name(name: &str) -> Result<(), AdminError> {
    let length = name.trim().chars().count();
    if (1..=500).contains(&length) { Ok(()) } else { Err(AdminError::Name) }
}
