//! Faults by their name, as a sandbox plays them: with the words and particulars of real ones.

use uuid::Uuid;

use super::{ContentError, Fault, SignatureFault};

/// What a played fault speaks of.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// Id of the message, as written.
    pub message_id: &'a str,
    /// Namespace and local name of the root of its content; empty when it has none.
    pub root: (&'a str, &'a str),
    /// Name of the caller's certificate.
    pub subject: &'a str,
    /// What is said to be wrong with the signature.
    pub reason: SignatureFault,
}

/// Size, in bytes, that played faults call permitted.
const PERMITTED: i64 = 5 << 20;

impl Fault {
    /// Local names of all faults of the exchange.
    pub const NAMES: [&'static str; 21] = [
        "AccessDenied",
        "AttachmentContentMiscoordination",
        "AttachmentSizeLimitExceeded",
        "BusinessDataTypeIsNotSupported",
        "DestinationOverflow",
        "EndOfLifeReached",
        "IncorrectResponseContentType",
        "InvalidContent",
        "InvalidMessageIdFormat",
        "MessageIsAlreadySent",
        "PersonalAccessDenied",
        "QuoteLimitExceeded",
        "RecipientIsNotFound",
        "RequestIsNotFound",
        "SMEVFailure",
        "SenderIsNotRegistered",
        "SignatureVerificationFault",
        "StaleMessageId",
        "TargetMessageIsNotFound",
        "TransactionCodeInvalid",
        "UnknownMessageType",
    ];

    /// The fault of this name; `None` when there is none.
    pub fn played(name: &str, about: &About<'_>) -> Option<Self> {
        let (namespace, element) = (about.root.0.to_owned(), about.root.1.to_owned());
        Some(match name {
            "AccessDenied" => Self::AccessDenied,
            "AttachmentContentMiscoordination" => {
                Self::AttachmentContentMiscoordination { attachments: 1, headers: 0 }
            }
            "AttachmentSizeLimitExceeded" => {
                Self::AttachmentSizeLimitExceeded { permitted: PERMITTED, real: PERMITTED + 1 }
            }
            "BusinessDataTypeIsNotSupported" => {
                Self::BusinessDataTypeIsNotSupported { namespace, element, text: None }
            }
            "DestinationOverflow" => {
                Self::DestinationOverflow { destination: "emu.request".to_owned() }
            }
            "EndOfLifeReached" => Self::EndOfLifeReached,
            "IncorrectResponseContentType" => Self::IncorrectResponseContentType,
            "InvalidContent" => {
                let text = "строка 1, столбец 1: ошибка содержимого по сценарию песочницы";
                Self::InvalidContent(vec![ContentError { position: 0, text: text.to_owned() }])
            }
            "InvalidMessageIdFormat" => Self::InvalidMessageIdFormat,
            "MessageIsAlreadySent" => {
                Self::MessageIsAlreadySent(Uuid::try_parse(about.message_id).unwrap_or_default())
            }
            "PersonalAccessDenied" => Self::PersonalAccessDenied,
            "QuoteLimitExceeded" => Self::QuoteLimitExceeded { remained: 0, real: 1 },
            "RecipientIsNotFound" => Self::RecipientIsNotFound { namespace, element },
            "RequestIsNotFound" => Self::RequestIsNotFound,
            "SMEVFailure" => Self::SmevFailure,
            "SenderIsNotRegistered" => Self::SenderIsNotRegistered,
            "SignatureVerificationFault" => {
                Self::SignatureVerification(about.reason, about.reason.words().to_owned())
            }
            "StaleMessageId" => Self::StaleMessageId,
            "TargetMessageIsNotFound" => Self::TargetMessageIsNotFound(about.message_id.to_owned()),
            "TransactionCodeInvalid" => Self::TransactionCodeInvalid,
            "UnknownMessageType" => Self::UnknownMessageType(about.subject.to_owned()),
            _ => return None,
        })
    }
}

impl SignatureFault {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::PoorSoapEnvelopeFormat,
        Self::NoSignatureFound,
        Self::IncorrectSignatureTarget,
        Self::SignatureIsInvalid,
        Self::CertificateIsNotFound,
        Self::CertificateIsExpired,
    ];

    /// What a played fault says of it.
    fn words(self) -> &'static str {
        match self {
            Self::NoSignatureFound => "Отсутствует ЭП-ОВ",
            Self::CertificateIsExpired => "Срок действия сертификата истёк.",
            Self::CertificateIsNotFound => "Сертификат не найден среди доверенных.",
            Self::PoorSoapEnvelopeFormat
            | Self::IncorrectSignatureTarget
            | Self::SignatureIsInvalid => "ЭП-ОВ не соответствует подписанным данным",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_can_be_played_under_its_own_name() {
        let reason = SignatureFault::SignatureIsInvalid;
        let about = About { message_id: "7", root: ("urn:x", "Y"), subject: "CN=x", reason };
        for name in Fault::NAMES {
            assert_eq!(Fault::played(name, &about).unwrap().element(), name);
        }
        assert_eq!(Fault::played("TransportException", &about), None);
    }
}
