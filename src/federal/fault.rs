//! From what went wrong to what the caller is told: the one place that knows both.

use axum::body::Body;
use axum::http::{Response, StatusCode};

use crate::codec::node::Flaw;
use crate::codec::smev3::{ContentError, Fault, ReadError, SignatureFault};
use crate::codec::soap::{self, FaultCode, SoapError};
use crate::exchange::answer::TakeError;
use crate::exchange::caller::CallerError;
use crate::exchange::seal::SealError;
use crate::federal::respond;
use crate::http::problem::{self, RequestId};
use crate::model::refusal::{Place, Refusal, RefusalCode};
use crate::storage::db::DbError;
use crate::storage::mailbox::MailboxError;
use crate::trust::certificate::Facts;

/// Why an operation was not carried out.
#[derive(Debug)]
pub(super) enum Failure {
    /// Below SOAP, or a fault of SOAP itself.
    Envelope(SoapError),
    /// A fault of the exchange, for a reason that lies with the caller.
    Fault(Fault),
    /// A fault of the exchange, for a reason that is ours and goes to the log.
    Ours(Box<dyn std::error::Error + Send + Sync>),
}

impl Failure {
    /// Name of the outcome for the metrics.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Envelope(error) => error.refusal.code.as_str(),
            Self::Fault(fault) => fault.element(),
            Self::Ours(_) => Fault::SmevFailure.element(),
        }
    }

    /// The answer.
    pub(super) fn respond(self, id: &RequestId, operation: &str) -> Response<Body> {
        let failed = StatusCode::INTERNAL_SERVER_ERROR;
        match self {
            Self::Envelope(SoapError { refusal, recognised: false }) => {
                problem::respond(&refusal, id)
            }
            Self::Envelope(SoapError { refusal, .. }) => {
                tracing::info!(code = refusal.code.as_str(), "a federal message was refused");
                let text = match &refusal.detail {
                    Some(detail) => format!("{} ({detail})", refusal.code.text()),
                    None => refusal.code.text().to_owned(),
                };
                let fault = soap::fault(FaultCode::of(refusal.code), &text, "");
                respond(failed, fault.into_bytes())
            }
            Self::Fault(fault) => {
                tracing::info!(operation, fault = fault.element(), "a federal call was refused");
                respond(failed, fault.to_xml(&id.0).into_bytes())
            }
            Self::Ours(error) => {
                let error = error.as_ref() as &dyn std::error::Error;
                tracing::error!(operation, error, "a federal call failed");
                respond(failed, Fault::SmevFailure.to_xml(&id.0).into_bytes())
            }
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Envelope(error) => Self::Envelope(error),
            ReadError::Operation => {
                let refusal = Refusal::new(RefusalCode::OperationUnknown);
                let served = "SendRequest, GetResponse, Ack версии 1.3";
                Self::Envelope(refusal.detail(served).into())
            }
            ReadError::Invalid(flaws) => Self::Fault(invalid(&flaws)),
        }
    }
}

impl From<TakeError> for Failure {
    fn from(error: TakeError) -> Self {
        Self::Ours(Box::new(error))
    }
}

impl From<MailboxError> for Failure {
    fn from(error: MailboxError) -> Self {
        Self::Ours(Box::new(error))
    }
}

impl From<SealError> for Failure {
    fn from(error: SealError) -> Self {
        Self::Ours(Box::new(error))
    }
}

impl From<DbError> for Failure {
    fn from(error: DbError) -> Self {
        Self::Ours(Box::new(error))
    }
}

impl From<CallerError> for Failure {
    fn from(error: CallerError) -> Self {
        match error {
            CallerError::Signature(refusal, facts) => signature(&refusal, facts.as_deref()),
            CallerError::NotRegistered => Self::Fault(Fault::SenderIsNotRegistered),
            CallerError::Blocked(_) => Self::Fault(Fault::AccessDenied),
            CallerError::Db(error) => Self::Ours(Box::new(error)),
        }
    }
}

/// The fault for an envelope or a content that does not follow its schema.
pub(super) fn invalid(flaws: &[Flaw]) -> Fault {
    let error = |flaw: &Flaw| ContentError {
        position: i32::try_from(flaw.place.offset).unwrap_or(-1),
        text: format!("{}: {}", place(flaw.place), flaw.text),
    };
    Fault::InvalidContent(flaws.iter().map(error).collect())
}

fn place(place: Place) -> String {
    format!("строка {}, столбец {}", place.line, place.column)
}

/// The fault for a signature that does not stand.
fn signature(refusal: &Refusal, facts: Option<&Facts>) -> Failure {
    use RefusalCode as Code;
    let (fault, text) = match refusal.code {
        Code::SigMissing => (SignatureFault::NoSignatureFound, "Отсутствует ЭП-ОВ".to_owned()),
        Code::SigWrapping | Code::SigReference | Code::SigCoverage | Code::SigDuplicateId => {
            (SignatureFault::IncorrectSignatureTarget, unmatched(refusal))
        }
        Code::SigStructure
        | Code::SigAlgorithm
        | Code::SigTransform
        | Code::SigLimit
        | Code::SigDigest
        | Code::SigValue => (SignatureFault::SignatureIsInvalid, unmatched(refusal)),
        Code::CertExpired => (SignatureFault::CertificateIsExpired, expired(facts)),
        Code::SigKeyInfo
        | Code::CertUntrusted
        | Code::CertRevoked
        | Code::CertConstraint
        | Code::CertUnknown => {
            (SignatureFault::CertificateIsNotFound, refusal.code.text().to_owned())
        }
        _ if refusal.code.status() >= 500 => return Failure::Ours(Box::new(refusal.clone())),
        _ => (SignatureFault::SignatureIsInvalid, unmatched(refusal)),
    };
    Failure::Fault(Fault::SignatureVerification(fault, text))
}

fn unmatched(refusal: &Refusal) -> String {
    let at = refusal.place.map_or(String::new(), |at| format!(" ({})", place(at)));
    format!("ЭП-ОВ не соответствует подписанным данным: {}{at}", refusal.code.text())
}

fn expired(facts: Option<&Facts>) -> String {
    match facts {
        Some(facts) => format!(
            "Срок действия сертификата истёк. Сертификат действителен до {}",
            facts.not_after.format("%d.%m.%Y %H:%M:%S UTC")
        ),
        None => "Срок действия сертификата истёк.".to_owned(),
    }
}
