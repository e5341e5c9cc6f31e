//! The faults of the exchange: their elements, and the wording the methodical recommendations give them.

use uuid::Uuid;

use super::Version;
use crate::codec::soap::{self, FaultCode};
use crate::codec::xml::Writer;

/// Namespace of `xsi:type`.
const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// Why a message is not taken. One variant an element of the faults namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The sender may not use the exchange.
    AccessDenied,
    /// So many attachments, so many headers, and they do not fit.
    AttachmentContentMiscoordination {
        /// Attachments sent.
        attachments: usize,
        /// Headers sent.
        headers: usize,
    },
    /// An attachment has no header; or files of the store are not there, in words.
    AttachmentUnknown(String),
    /// Attachments are larger than is permitted, in bytes.
    AttachmentSizeLimitExceeded {
        /// What is permitted.
        permitted: i64,
        /// What was sent.
        real: i64,
    },
    /// Files of the store to which the message refers are larger than is permitted, in bytes.
    StoredSizeLimitExceeded {
        /// What is permitted.
        permitted: i64,
        /// What they are.
        real: i64,
    },
    /// The root element of the content is none of ours.
    BusinessDataTypeIsNotSupported {
        /// Its namespace.
        namespace: String,
        /// Its local name.
        element: String,
        /// What is wrong with it, if it is known.
        text: Option<String>,
    },
    /// The queue of the answers holds too many that nobody pulls.
    DestinationOverflow {
        /// Which queue.
        destination: String,
    },
    /// The sender set an end of life, and it has passed.
    EndOfLifeReached,
    /// The content is not an answer to the question.
    IncorrectResponseContentType,
    /// Envelope or content do not follow their schema: all that was found.
    InvalidContent(Vec<ContentError>),
    /// The id is not a UUID of version 1 in lower case.
    InvalidMessageIdFormat,
    /// A message of this id was taken before.
    MessageIsAlreadySent(Uuid),
    /// The official's certificate gives no access.
    PersonalAccessDenied,
    /// Attachments exceed what is left of the quota, in bytes.
    QuoteLimitExceeded {
        /// What is left.
        remained: i64,
        /// What was sent.
        real: i64,
    },
    /// Nobody answers this kind of question.
    RecipientIsNotFound {
        /// Namespace of the content's root element.
        namespace: String,
        /// Its local name.
        element: String,
    },
    /// The request that is spoken of is not there. Only a sandbox says so: no operation of ours has it.
    RequestIsNotFound,
    /// The return address leads to no request that waits for this answer: the address, as sent.
    RequesterIsNotFound(String),
    /// The certificate signs for no registered system.
    SenderIsNotRegistered,
    /// The signature of the sender's system does not stand.
    SignatureVerification(SignatureFault, String),
    /// Our side cannot take it now.
    SmevFailure,
    /// The time in the id is too long ago, or still to come.
    StaleMessageId,
    /// No such message is handed out and unconfirmed.
    TargetMessageIsNotFound(String),
    /// The code of the transaction is not admissible.
    TransactionCodeInvalid,
    /// The selector names a type that is not registered; the name of the caller's certificate.
    UnknownMessageType(String),
}

/// One place where a document does not follow its schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentError {
    /// Byte offset in the document, -1 when unknown.
    pub position: i32,
    /// Russian text with line and column.
    pub text: String,
}

/// What is wrong with a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureFault {
    /// The envelope has no place for it.
    PoorSoapEnvelopeFormat,
    /// There is none.
    NoSignatureFound,
    /// It covers something else than it must.
    IncorrectSignatureTarget,
    /// Its structure or value is wrong, or the content was changed.
    SignatureIsInvalid,
    /// The certificate is not known or not trusted.
    CertificateIsNotFound,
    /// The certificate is out of date.
    CertificateIsExpired,
}

impl SignatureFault {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PoorSoapEnvelopeFormat => "PoorSOAPEnvelopeFormat",
            Self::NoSignatureFound => "NoSignatureFound",
            Self::IncorrectSignatureTarget => "IncorrectSignatureTarget",
            Self::SignatureIsInvalid => "SignatureIsInvalid",
            Self::CertificateIsNotFound => "CertificateIsNotFound",
            Self::CertificateIsExpired => "CertificateIsExpired",
        }
    }
}

impl Fault {
    /// Local name of the element in the faults namespace.
    pub fn element(&self) -> &'static str {
        match self {
            Self::AccessDenied => "AccessDenied",
            Self::AttachmentContentMiscoordination { .. } | Self::AttachmentUnknown(_) => {
                "AttachmentContentMiscoordination"
            }
            Self::IncorrectResponseContentType => "IncorrectResponseContentType",
            Self::AttachmentSizeLimitExceeded { .. } | Self::StoredSizeLimitExceeded { .. } => {
                "AttachmentSizeLimitExceeded"
            }
            Self::BusinessDataTypeIsNotSupported { .. } => "BusinessDataTypeIsNotSupported",
            Self::DestinationOverflow { .. } => "DestinationOverflow",
            Self::EndOfLifeReached => "EndOfLifeReached",
            Self::InvalidContent(_) => "InvalidContent",
            Self::InvalidMessageIdFormat => "InvalidMessageIdFormat",
            Self::MessageIsAlreadySent(_) => "MessageIsAlreadySent",
            Self::PersonalAccessDenied => "PersonalAccessDenied",
            Self::QuoteLimitExceeded { .. } => "QuoteLimitExceeded",
            Self::RecipientIsNotFound { .. } | Self::RequesterIsNotFound(_) => {
                "RecipientIsNotFound"
            }
            Self::RequestIsNotFound => "RequestIsNotFound",
            Self::SenderIsNotRegistered => "SenderIsNotRegistered",
            Self::SignatureVerification(..) => "SignatureVerificationFault",
            Self::SmevFailure => "SMEVFailure",
            Self::StaleMessageId => "StaleMessageId",
            Self::TargetMessageIsNotFound(_) => "TargetMessageIsNotFound",
            Self::TransactionCodeInvalid => "TransactionCodeInvalid",
            Self::UnknownMessageType(_) => "UnknownMessageType",
        }
    }

    /// Russian text, in the wording that clients know.
    pub fn text(&self) -> String {
        match self {
            Self::AttachmentContentMiscoordination { attachments, headers: 0 } => {
                format!("Количество вложений - {attachments}, нет ни одного заголовка.")
            }
            Self::AttachmentContentMiscoordination { attachments, headers } => {
                format!("Количество вложений - {attachments}, количество заголовков - {headers}")
            }
            Self::BusinessDataTypeIsNotSupported { text: Some(text), .. }
            | Self::AttachmentUnknown(text)
            | Self::SignatureVerification(_, text) => text.clone(),
            Self::MessageIsAlreadySent(id) => {
                format!("Сообщение с идентификатором {id} было послано ранее.")
            }
            Self::RecipientIsNotFound { namespace, element } => format!(
                "Невозможно определить получателя для сообщения. \
                 Полное имя корневого элемента: {{{namespace}}}{element}"
            ),
            Self::RequesterIsNotFound(to) => format!(
                "Невозможно определить получателя для ответа на запрос. Адресная информация: {to}"
            ),
            Self::TargetMessageIsNotFound(id) => {
                format!("Сообщение {id} не найдено среди неподтверждённых.")
            }
            Self::UnknownMessageType(name) => format!(
                "Входящая очередь запрошенного типа сообщений, принадлежащая пользователю \
                 {name} не зарегистрирована в СМЭВ"
            ),
            _ => self.wording().to_owned(),
        }
    }

    /// The text of a fault that says the same each time.
    fn wording(&self) -> &'static str {
        match self {
            Self::AccessDenied | Self::PersonalAccessDenied => "Доступ запрещён",
            Self::IncorrectResponseContentType => {
                "Содержимое ответа не соответствует виду сведений запроса."
            }
            Self::StoredSizeLimitExceeded { .. } => {
                "Превышен максимально допустимый суммарный размер присоединённых ftp файлов."
            }
            Self::AttachmentSizeLimitExceeded { .. } => {
                "Превышен максимально допустимый суммарный размер присоединённых файлов."
            }
            Self::BusinessDataTypeIsNotSupported { .. } => "Неподдерживаемый тип запроса.",
            Self::DestinationOverflow { .. } => {
                "Очередь, в которую должно быть отправлено сообщение, переполнена."
            }
            Self::EndOfLifeReached => "Превышено время жизни сообщения.",
            Self::InvalidContent(_) => "Нарушен формат бизнес-конверта.",
            Self::InvalidMessageIdFormat => {
                "Недопустимый формат идентификатора сообщения. См. RFC-4122."
            }
            Self::QuoteLimitExceeded { .. } => {
                "Квота на файловое хранилище для получателя превышена!"
            }
            Self::RequestIsNotFound => "Запрос не найден.",
            Self::SenderIsNotRegistered => "Информационная система не зарегистрирована в СМЭВ.",
            Self::StaleMessageId => "Timestamp идентификатора сообщения слишком давний.",
            Self::TransactionCodeInvalid => "Недопустимый код транзакции.",
            _ => "Ошибка СМЭВ. Обратитесь в службу технической поддержки.",
        }
    }

    /// Code put before the description, where the exchange is known to have one.
    fn code(&self) -> Option<&'static str> {
        match self {
            Self::SignatureVerification(..) => Some("SMEV-100"),
            Self::InvalidMessageIdFormat | Self::StaleMessageId => Some("SMEV-300"),
            Self::MessageIsAlreadySent(_) => Some("SMEV-301"),
            Self::InvalidContent(_) => Some("SMEV-403"),
            Self::TargetMessageIsNotFound(_) => Some("SMEV-501"),
            Self::DestinationOverflow { .. } => Some("SMEV-600"),
            _ => None,
        }
    }

    /// Whether the fault is ours, and the same message may be taken later.
    fn is_ours(&self) -> bool {
        matches!(self, Self::SmevFailure | Self::DestinationOverflow { .. })
    }

    /// The element in a version: what an older one lacks is told by what it has.
    fn element_in(&self, version: Version) -> &'static str {
        match self {
            Self::PersonalAccessDenied if version != Version::V13 => "AccessDenied",
            _ => self.element(),
        }
    }

    /// Whether the schema gives the element a type without content, so that code and
    /// description need `xsi:type`.
    fn is_void(&self, version: Version) -> bool {
        if matches!(self, Self::EndOfLifeReached | Self::PersonalAccessDenied) {
            return version != Version::V13;
        }
        !matches!(
            self,
            Self::AttachmentSizeLimitExceeded { .. }
                | Self::StoredSizeLimitExceeded { .. }
                | Self::BusinessDataTypeIsNotSupported { .. }
                | Self::DestinationOverflow { .. }
                | Self::InvalidContent(_)
                | Self::QuoteLimitExceeded { .. }
                | Self::SignatureVerification(..)
                | Self::TransactionCodeInvalid
        )
    }

    /// The whole SOAP message; `reference` is the number under which our log has it.
    pub fn to_xml(&self, version: Version, reference: &str) -> String {
        let text = self.text();
        let mut out = Writer::new();
        out.start(&format!("f:{}", self.element_in(version)));
        out.attribute("xmlns:f", version.faults()).attribute("xmlns:b", version.basic());
        if self.is_void(version) {
            out.attribute("xmlns:xsi", XSI).attribute("xsi:type", "b:SmevFault");
        }
        out.element("b:Code", reference);
        match self.code() {
            Some(code) => out.element("b:Description", &format!("{code}:{text}")),
            None => out.element("b:Description", &text),
        };
        self.write_particulars(&mut out);
        let side = if self.is_ours() { FaultCode::Server } else { FaultCode::Client };
        soap::fault(side, &text, &out.finish())
    }

    /// The children that only this fault has.
    fn write_particulars(&self, out: &mut Writer) {
        match self {
            Self::AttachmentSizeLimitExceeded { permitted, real }
            | Self::StoredSizeLimitExceeded { permitted, real } => {
                out.element("f:PermittedTotalAttachmentSize", &permitted.to_string());
                out.element("f:RealTotalAttachmentSize", &real.to_string());
            }
            Self::QuoteLimitExceeded { remained, real } => {
                out.element("f:RemainedTotalQuoteSize", &remained.to_string());
                out.element("f:RealTotalAttachmentSize", &real.to_string());
            }
            Self::BusinessDataTypeIsNotSupported { namespace, element, .. } => {
                out.element("f:RootElementLocalName", element);
                out.element("f:RootElementNamespaceURI", namespace);
            }
            Self::DestinationOverflow { destination } => {
                out.element("f:MessageBrokerAddress", "");
                out.element("f:DestinationName", destination);
            }
            Self::SignatureVerification(reason, _) => {
                out.element("f:SignatureVerificationFault", reason.as_str());
            }
            Self::InvalidContent(errors) => {
                for error in errors {
                    out.start("f:ValidationError");
                    out.attribute("errorPosition", &error.position.to_string());
                    out.text(&error.text).end();
                }
            }
            _ => {}
        }
    }
}
