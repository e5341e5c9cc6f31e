//! From what went wrong to what the caller is told: the one place that knows both.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use chrono::{DateTime, Utc};

use crate::codec::node::Flaw;
use crate::codec::shape::{Plan, Role};
use crate::codec::smev3::{ContentError, Fault, ReadError, SignatureFault, Version};
use crate::codec::soap::{self, FaultCode, SoapError};
use crate::exchange::desk::{CallerError, OutOfDate, TakeError};
use crate::exchange::seal::SealError;
use crate::federal::respond;
use crate::http::problem::{self, RequestId};
use crate::model::refusal::{Place, Refusal, RefusalCode};
use crate::storage::mailbox::MailboxError;

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
    pub(super) fn respond(
        self,
        version: Version,
        id: &RequestId,
        operation: &str,
    ) -> Response<Body> {
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
                respond(failed, fault.to_xml(version, &id.0).into_bytes())
            }
            Self::Ours(error) => {
                let error = error.as_ref() as &dyn std::error::Error;
                tracing::error!(operation, error, "a federal call failed");
                respond(failed, Fault::SmevFailure.to_xml(version, &id.0).into_bytes())
            }
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Failure {
    /// A message of this version's door that could not be read.
    pub(super) fn of_reading(error: ReadError, version: Version) -> Self {
        match error {
            ReadError::Envelope(error) => Self::Envelope(error),
            ReadError::Operation(namespace, local) => {
                let refusal = Refusal::new(RefusalCode::OperationUnknown);
                let detail = match Version::of_types(&namespace) {
                    Some(other) if other != version => {
                        format!("{local} версии {0}: её адрес /ws/smev/{0}", other.as_str())
                    }
                    _ => format!("{{{namespace}}}{local}; здесь версия {}", version.as_str()),
                };
                Self::Envelope(refusal.detail(detail).into())
            }
            ReadError::Invalid(flaws) => Self::Fault(invalid(&flaws)),
        }
    }
}

/// The failure for a message in which signatures could not be looked for.
pub(super) fn of_plan(refusal: Refusal) -> Failure {
    match refusal.code {
        RefusalCode::SigMissing => signature(Role::System, &refusal, None, None),
        RefusalCode::AttachmentHeaders => {
            let id = refusal.detail.unwrap_or_default();
            Fault::AttachmentUnknown(format!("Вложение [Id=\"{id}\"] не имеет заголовка.")).into()
        }
        _ => Failure::Envelope(refusal.into()),
    }
}

impl From<SoapError> for Failure {
    fn from(error: SoapError) -> Self {
        Self::Envelope(error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Envelope(refusal.into())
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

/// The failure for a caller who is not let in, by a message in which this was to be signed.
pub(super) fn of_caller(error: CallerError, plan: &Plan) -> Failure {
    match error {
        CallerError::Signature(role, refusal, dates) => {
            let spot = plan.spots.iter().find(|spot| spot.role == role);
            let target = spot.and_then(|spot| spot.signed_names().last().map(|name| name.1));
            signature(role, &refusal, dates, target)
        }
        CallerError::File(id, refusal) => of_file(&id, refusal),
        CallerError::OfficialBlocked(_) => Failure::Fault(Fault::PersonalAccessDenied),
        CallerError::NotRegistered => Failure::Fault(Fault::SenderIsNotRegistered),
        CallerError::Blocked(_) => Failure::Fault(Fault::AccessDenied),
    }
}

/// The failure for a file, in the message or in the store, whose signature does not stand.
pub(super) fn of_file(id: &str, refusal: Refusal) -> Failure {
    let Some(fault) = signature_fault(refusal.code) else {
        return Failure::Ours(Box::new(refusal));
    };
    let why = match fault {
        SignatureFault::NoSignatureFound => "подпись отсутствует",
        _ => refusal.code.text(),
    };
    let text = format!("Проверка подписи на вложении {id}: {why}");
    Fault::SignatureVerification(fault, text).into()
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

/// The fault for a signature over the element of this name that does not stand.
fn signature(
    role: Role,
    refusal: &Refusal,
    dates: Option<OutOfDate>,
    target: Option<&str>,
) -> Failure {
    let Some(fault) = signature_fault(refusal.code) else {
        return Failure::Ours(Box::new(refusal.clone()));
    };
    let text = match fault {
        SignatureFault::NoSignatureFound => format!("Отсутствует {}", role.name()),
        SignatureFault::CertificateIsExpired => out_of_date(dates),
        SignatureFault::CertificateIsNotFound => refusal.code.text().to_owned(),
        SignatureFault::PoorSoapEnvelopeFormat
        | SignatureFault::IncorrectSignatureTarget
        | SignatureFault::SignatureIsInvalid => unmatched(role, refusal, target),
    };
    Failure::Fault(Fault::SignatureVerification(fault, text))
}

/// What is wrong with a signature, in the words of the protocol; `None` when the reason is ours.
fn signature_fault(code: RefusalCode) -> Option<SignatureFault> {
    use RefusalCode as Code;
    Some(match code {
        Code::SigMissing => SignatureFault::NoSignatureFound,
        Code::SigStructure => SignatureFault::PoorSoapEnvelopeFormat,
        Code::SigWrapping | Code::SigReference | Code::SigCoverage | Code::SigDuplicateId => {
            SignatureFault::IncorrectSignatureTarget
        }
        Code::CertExpired => SignatureFault::CertificateIsExpired,
        Code::SigKeyInfo
        | Code::CertUntrusted
        | Code::CertRevoked
        | Code::CertConstraint
        | Code::CertUnknown => SignatureFault::CertificateIsNotFound,
        // To be sent again when the list of revoked certificates is there.
        Code::CertStatus => return None,
        _ if code.status() >= 500 => return None,
        _ => SignatureFault::SignatureIsInvalid,
    })
}

fn unmatched(role: Role, refusal: &Refusal, target: Option<&str>) -> String {
    let at = refusal.place.map_or(String::new(), |at| format!(" ({})", place(at)));
    let role = role.name();
    // The words of a refusal speak of a package, which is signed as a whole.
    let why = match (refusal.code, target) {
        (RefusalCode::SigWrapping, Some(target)) => {
            format!("Подписан не тот элемент: нужно подписать {target}")
        }
        (RefusalCode::SigReference, Some(target)) => {
            format!("Ссылка подписи недопустима: в URI нужен Id элемента {target}")
        }
        (RefusalCode::SigTransform, _) => "Преобразование не разрешено: exclusive c14n, затем \
             urn://smev-gov-ru/xmldsig/transform"
            .to_owned(),
        (code, _) => code.text().to_owned(),
    };
    format!("{role} не соответствует подписанным данным: {why}{at}")
}

fn out_of_date(dates: Option<OutOfDate>) -> String {
    let told = |at: DateTime<Utc>| at.format("%d.%m.%Y %H:%M:%S UTC");
    match dates {
        Some(OutOfDate::Ended(at)) => {
            format!("Срок действия сертификата истёк. Сертификат действителен до {}", told(at))
        }
        Some(OutOfDate::NotBegun(at)) => {
            format!("Срок действия сертификата не начался. Сертификат действителен с {}", told(at))
        }
        None => "Срок действия сертификата истёк.".to_owned(),
    }
}
