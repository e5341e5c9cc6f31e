//! Refusals: why a delivery was not accepted. Nothing is claimed, nothing is stored.

use std::io;

use serde::{Deserialize, Serialize};

/// A refusal as the peer sees it: a stable code, the place, what to do.
/// Never holds personal data, paths or stack traces.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", code.as_str(), code.text())]
pub struct Refusal {
    /// Stable code.
    pub code: RefusalCode,
    /// What exactly, when the code alone does not say it.
    pub detail: Option<String>,
    /// Where in the document, when it is about a place in it.
    pub place: Option<Place>,
}

/// A place in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Byte offset, from 0.
    pub offset: u64,
    /// Line, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
}

impl Refusal {
    /// A refusal that needs no more words.
    pub fn new(code: RefusalCode) -> Self {
        Self { code, detail: None, place: None }
    }

    /// Says what exactly.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Says where.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }
}

/// A refusal met while reading travels through [`std::io::Read`] inside the error;
/// [`refusal_of`] takes it out again.
impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> Self {
        Self::other(refusal)
    }
}

/// The refusal that an I/O error carries, `None` for an error of the machine itself.
pub fn refusal_of(error: &io::Error) -> Option<Refusal> {
    error.get_ref()?.downcast_ref::<Refusal>().cloned()
}

impl From<RefusalCode> for Refusal {
    fn from(code: RefusalCode) -> Self {
        Self::new(code)
    }
}

macro_rules! refusals {
    ($($name:ident = $code:literal, $status:literal, $retry:literal, $text:literal;)+) => {
        /// Stable codes of refusals, with HTTP status, whether the same bytes may succeed later, and Russian text.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum RefusalCode {
            $(#[doc = $text] $name,)+
        }

        impl RefusalCode {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The stable code.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// HTTP status on REST; SOAP answers 500 with a fault once the envelope is recognised.
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)+ }
            }

            /// Whether sending the same bytes again later may succeed.
            pub fn retryable(self) -> bool {
                match self { $(Self::$name => $retry,)+ }
            }

            /// Russian text: what is wrong and what to do.
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

refusals! {
    XmlDtd = "XML_DTD", 400, false, "DOCTYPE запрещён: уберите объявление типа документа";
    XmlPi = "XML_PI", 400, false, "Инструкции обработки запрещены: уберите их";
    XmlComment = "XML_COMMENT", 400, false, "Комментарии здесь запрещены: уберите их";
    XmlDepth = "XML_DEPTH", 400, false, "Слишком глубокая вложенность элементов";
    XmlElements = "XML_ELEMENTS", 400, false, "Слишком много элементов в сообщении";
    XmlAttrs = "XML_ATTRS", 400, false, "Слишком много атрибутов у элемента";
    XmlName = "XML_NAME", 400, false, "Слишком длинное имя";
    XmlToken = "XML_TOKEN", 400, false, "Слишком длинное значение";
    XmlNs = "XML_NS", 400, false, "Ошибка пространств имён: префикс не объявлен, переопределён или объявлений слишком много";
    XmlMalformed = "XML_MALFORMED", 400, false, "Документ не является правильно построенным XML";
    XmlChar = "XML_CHAR", 400, false, "Недопустимый символ XML";
    XmlEncoding = "XML_ENCODING", 415, false, "Кодировка не поддерживается: пришлите UTF-8";
    XmlEncodingConflict = "XML_ENCODING_CONFLICT", 400, false, "Объявления кодировки противоречат друг другу";
    XmlVersion = "XML_VERSION", 400, false, "Поддерживается только XML 1.0";
    EmptyBody = "EMPTY_BODY", 400, false, "Тело запроса пусто";
    LimitBytes = "LIMIT_BYTES", 413, false, "Превышен допустимый размер";
    InflateLimit = "INFLATE_LIMIT", 413, false, "Превышен допустимый размер или степень сжатия после распаковки";
    ContentEncoding = "CONTENT_ENCODING", 415, false, "Способ сжатия не поддерживается: пришлите без сжатия";
    ContentRange = "CONTENT_RANGE", 400, false, "Содержимое по частям не принимается: пришлите его целиком, без заголовка Content-Range";
    ContentType = "CONTENT_TYPE", 415, false, "Тип содержимого не поддерживается";
    Compression = "COMPRESSION", 400, false, "Сжатые данные повреждены";
    ZipStructure = "ZIP_STRUCTURE", 400, false, "Архив должен содержать ровно один файл XML без пути и шифрования";
    Base64 = "BASE64", 400, false, "Содержимое не является правильным base64";
    Mime = "MIME_STRUCTURE", 400, false, "Нарушена структура multipart/related";
    Truncated = "BODY_TRUNCATED", 400, true, "Тело запроса получено не полностью: повторите отправку";
    SoapStructure = "SOAP_STRUCTURE", 400, false, "Нарушена структура SOAP-конверта";
    SoapVersion = "SOAP_VERSION", 400, false, "Поддерживается SOAP 1.1";
    SoapMustUnderstand = "SOAP_MUST_UNDERSTAND", 400, false, "Обязательный заголовок SOAP не поддерживается";
    ActionMismatch = "ACTION_MISMATCH", 400, false, "SOAPAction не соответствует телу сообщения";
    OperationUnknown = "OPERATION_UNKNOWN", 400, false, "Операция не поддерживается: смотрите WSDL";
    RequestInvalid = "REQUEST_INVALID", 400, false, "Запрос не соответствует схеме";
    SigMissing = "SIG_MISSING", 403, false, "Подпись отсутствует: подпишите пакет целиком, сообщение — на его месте подписи";
    SigStructure = "SIG_STRUCTURE", 403, false, "Нарушена структура подписи";
    SigWrapping = "SIG_WRAPPING", 403, false, "Подписан не тот элемент: подпись пакета должна покрывать корень документа, подпись сообщения — свой элемент";
    SigCoverage = "SIG_COVERAGE", 403, false, "Подпись не покрывает содержимое целиком";
    SigReference = "SIG_REFERENCE", 403, false, "Ссылка подписи недопустима: у пакета это корень документа, у сообщения — подписываемый элемент";
    SigDuplicateId = "SIG_DUPLICATE_ID", 403, false, "Идентификаторы элементов повторяются";
    SigAlgorithm = "SIG_ALGORITHM", 403, false, "Алгоритм подписи не разрешён";
    SigTransform = "SIG_TRANSFORM", 403, false, "Преобразование не разрешено: enveloped-signature и exclusive c14n";
    SigLimit = "SIG_LIMIT", 403, false, "Слишком много ссылок или преобразований в подписи";
    SigKeyInfo = "SIG_KEYINFO", 403, false, "Нужен сертификат подписанта в KeyInfo/X509Data";
    SigC14n = "SIG_C14N", 403, false, "Подписанное содержимое нельзя привести к каноническому виду этим способом";
    SigDigest = "SIG_DIGEST", 403, false, "Документ изменён после подписания";
    SigValue = "SIG_VALUE", 403, false, "Значение подписи неверно";
    MessageId = "MESSAGE_ID", 403, false, "Идентификатор сообщения должен быть UUID версии 1 строчными буквами";
    MessageExpired = "MESSAGE_EXPIRED", 403, false, "Срок сообщения по wsu:Timestamp истёк, не начался или указан неверно";
    AttachmentHeaders = "ATTACHMENT_HEADERS", 403, false, "Вложения и их заголовки не соответствуют друг другу";
    CmsStructure = "CMS_STRUCTURE", 403, false, "Нарушена структура подписи PKCS#7 вложения";
    CmsAlgorithm = "CMS_ALGORITHM", 403, false, "Алгоритм подписи PKCS#7 вложения не разрешён";
    CmsValue = "CMS_VALUE", 403, false, "Подпись PKCS#7 не соответствует вложению";
    CertUntrusted = "CERT_UNTRUSTED", 403, false, "Сертификат выдан не доверенным удостоверяющим центром";
    CertExpired = "CERT_EXPIRED", 403, false, "Срок действия сертификата истёк или не начался";
    CertRevoked = "CERT_REVOKED", 403, false, "Сертификат отозван";
    CertStatus = "CERT_STATUS", 403, true, "Нет свежего списка отозванных сертификатов издателя: повторите позже";
    CertConstraint = "CERT_CONSTRAINT", 403, false, "Сертификат не предназначен для подписи";
    CertUnknown = "CERT_UNKNOWN", 403, false, "Сертификат не зарегистрирован за поставщиком";
    SignerMismatch = "SIGNER_MISMATCH", 403, false, "Пакет подписан сертификатом другого поставщика";
    ChannelSigner = "CHANNEL_SIGNER", 403, false, "Сертификат соединения не принадлежит поставщику пакета";
    SupplierUnknown = "SUPPLIER_UNKNOWN", 403, false, "Поставщик не зарегистрирован";
    SupplierBlocked = "SUPPLIER_BLOCKED", 403, false, "Поставщик заблокирован: обратитесь к оператору";
    SchemaVersion = "SCHEMA_VERSION", 422, false, "Версия схемы не поддерживается: нужна 1.0";
    PackageRoot = "PACKAGE_ROOT", 422, false, "Корневой элемент должен быть Package из urn:kontingent:package:1.0";
    PackageHeader = "PACKAGE_HEADER", 422, false, "Заголовок пакета заполнен неверно";
    PackageBlock = "PACKAGE_BLOCK", 422, false, "Неизвестный, повторный или стоящий не на месте блок данных";
    CountMismatch = "COUNT_MISMATCH", 422, false, "Число записей не совпадает с заголовком";
    PackageIdMismatch = "PACKAGE_ID_MISMATCH", 422, false, "Идентификатор в адресе не совпадает с заголовком пакета";
    TestMode = "MODE", 422, false, "Режим пакета (тестовый или рабочий) не разрешён поставщику";
    IdReused = "ID_REUSED", 409, false, "Пакет с этим идентификатором уже принят с другим содержимым: дайте новый идентификатор";
    Busy = "BUSY", 409, true, "Пакет ещё обрабатывается: повторите позже";
    FolderTaken = "FOLDER_TAKEN", 409, false, "В каталоге хранилища уже лежит другой файл: положите этот в каталог с новым идентификатором";
    FileUnfinished = "FILE_UNFINISHED", 409, true, "Файл в этот каталог хранилища ещё загружается: повторите позже или возьмите каталог с новым идентификатором";
    HeadTooLarge = "HEAD_TOO_LARGE", 431, false, "Заголовки запроса слишком велики";
    NotFound = "NOT_FOUND", 404, false, "Не найдено";
    NotReady = "NOT_READY", 404, true, "Итоговая квитанция ещё не готова: повторите позже";
    MethodNotAllowed = "METHOD_NOT_ALLOWED", 405, false, "Метод не поддерживается";
    Paging = "PAGING", 400, false, "Неверный курсор или размер страницы";
    Unauthorised = "UNAUTHORISED", 401, false, "Требуется подтверждение полномочий";
    TooManyRequests = "TOO_MANY_REQUESTS", 429, true, "Слишком много одновременных запросов: повторите позже";
    Timeout = "TIMEOUT", 408, true, "Данные поступают слишком медленно";
    StoreUnavailable = "STORE_UNAVAILABLE", 503, true, "Хранилище временно недоступно: повторите позже";
    Internal = "INTERNAL", 500, true, "Внутренняя ошибка: повторите позже и сообщите номер обращения";
}
