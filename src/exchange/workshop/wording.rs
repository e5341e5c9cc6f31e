//! What a refusal says for people, by the profile that a document was judged by.

use super::Profile;
use crate::model::refusal::{Refusal, RefusalCode};

use RefusalCode as Code;

/// What the official's signature and the system's lead to their certificates by.
const SMEV2_KEYS: &str = "Нет сертификата подписанта: у ЭП-ОВ в KeyInfo должна стоять wsse:SecurityTokenReference на \
    wsse:BinarySecurityToken, у ЭП-СП — ds:X509Data";

impl Profile {
    /// What is wrong, in words that fit this profile, without the code and the place.
    pub fn reason(&self, refusal: &Refusal) -> String {
        let detail = refusal.detail.as_ref().map(|detail| format!(" ({detail})"));
        let title = match refusal.code {
            // Nobody need have changed anything: what such a hash is has no single answer.
            Code::SigDigest if is_withdrawn(refusal) => {
                "Хэш не сошёлся, и его алгоритм не принимается"
            }
            Code::SigWrapping if carries_more(refusal) => "В подписи стоит лишнее",
            code => self.title(code),
        };
        format!("{title}{}", detail.unwrap_or_default())
    }

    /// The code, what is wrong and where, in one line.
    pub fn line(&self, refusal: &Refusal) -> String {
        let place = refusal.place;
        let place = place.map(|at| format!(", строка {}, столбец {}", at.line, at.column));
        let (code, reason) = (refusal.code.as_str(), self.reason(refusal));
        format!("{code}: {reason}{}", place.unwrap_or_default())
    }

    fn title(&self, code: Code) -> &'static str {
        match (self, code) {
            (Self::Enveloped, Code::SigMissing) => {
                "Подпись отсутствует: в корне документа нет ds:Signature"
            }
            (Self::Receipt, Code::SigMissing) => {
                "Подпись отсутствует: в квитанции нет ds:Signature"
            }
            (Self::Receipt, Code::PackageRoot) => {
                "Это не квитанция: корневой элемент должен быть Receipt из urn:kontingent:receipt:1.0"
            }
            (_, Code::CertConstraint) => "Сертификат подписанта или центр в его пути не годится",
            (_, Code::CertExpired) => "Сертификат не действует на момент проверки",
            (Self::Enveloped | Self::Receipt, code) => code.text(),
            (_, Code::SigMissing) => "Подпись отсутствует на том месте, где она должна быть",
            (_, Code::SigWrapping) => {
                "Подписан не тот элемент, который должна подписывать подпись на этом месте"
            }
            (_, Code::SigReference) => {
                "Ссылка подписи недопустима: нужен #Id элемента, который должен быть подписан"
            }
            (_, Code::SigDigest) => "Подписанное содержимое изменено после подписания",
            (Self::Smev3, Code::SigTransform) => {
                "Преобразования не разрешены: нужны exclusive c14n и за ней преобразование СМЭВ"
            }
            (Self::Smev2, Code::SigTransform) => {
                "Преобразования не разрешены: нужна exclusive c14n, преобразования СМЭВ быть не должно"
            }
            (_, Code::SigTransform) => "Преобразования не разрешены: нужна одна каноническая форма",
            (Self::Smev2, Code::SigKeyInfo) => SMEV2_KEYS,
            (_, code) => code.text(),
        }
    }

    /// What to do about a refusal; every refusal of a signature has advice.
    pub(super) fn advice(&self, refusal: &Refusal) -> Option<String> {
        let detail = refusal.detail.as_deref().unwrap_or_default();
        let advice = match refusal.code {
            Code::SigMissing => self.where_it_stands(),
            Code::SigAlgorithm | Code::SigDigest if is_withdrawn(refusal) => {
                "Алгоритм отменён и для новых документов не принимается: подпишите по ГОСТ Р 34.10-2012; \
                 документ из архива проверяют с --archive"
            }
            Code::SigAlgorithm if detail.contains("SignatureMethod указан") => {
                "Приведите SignatureMethod в соответствие с ключом сертификата и подпишите заново"
            }
            Code::SigAlgorithm if detail.contains("ключ") => {
                "Получите сертификат с разрешённым ключом; для ГОСТ нужен модуль ГОСТ для OpenSSL"
            }
            Code::SigAlgorithm => {
                "Разрешены RSA и ECDSA с SHA-2 и ГОСТ Р 34.10-2012 с Стрибогом: подпишите одним из них"
            }
            Code::SigStructure => {
                "Исправьте то, что названо, и подпишите заново: ds:Signature состоит из SignedInfo, \
                 SignatureValue и KeyInfo, и больше ничего в ней и на её месте быть не может"
            }
            Code::SigLimit => "Оставьте в подписи одну ds:Reference и не более трёх преобразований",
            Code::SigKeyInfo => self.where_the_certificate_is(),
            Code::SigTransform if detail.contains("нет преобразования СМЭВ") => {
                "нет преобразования СМЭВ: добавьте urn://smev-gov-ru/xmldsig/transform последним из \
                 преобразований и подпишите заново"
            }
            Code::SigTransform => self.transforms(),
            Code::SigReference if detail.contains("URI") || detail.contains("нет ds:Reference") => {
                "Укажите в ds:Reference, что подписано: URI=\"#Id\" подписанного элемента"
            }
            Code::SigWrapping if carries_more(refusal) => {
                "Уберите из ds:Signature всё, чего в ней быть не может, и подпишите заново"
            }
            Code::SigReference | Code::SigWrapping => "подписан не тот элемент",
            Code::SigCoverage if detail.contains("SignaturePKCS7") => {
                "Подпишите файл отдельной PKCS#7 и поставьте её в SignaturePKCS7 заголовка вложения"
            }
            Code::SigCoverage => {
                "Подписано не всё, что должно быть подписано: см. подробность отказа"
            }
            Code::SigDuplicateId => {
                "Один и тот же Id стоит у двух элементов: не ясно, что подписано"
            }
            Code::SigC14n => {
                "Содержимое не приводится к виду, который подписывают: исправьте то, что названо; это не \
                 значит, что его меняли"
            }
            Code::MessageId => {
                "MessageID должен быть UUID версии 1 строчными буквами: создайте новый и подпишите заново"
            }
            Code::MessageExpired => {
                "Сообщение живёт не более 5 минут по wsu:Timestamp: прошлое проверяют с --at"
            }
            other => return of_certificate(other).map(str::to_owned),
        };
        Some(advice.to_owned())
    }

    fn where_it_stands(&self) -> &'static str {
        match self {
            Self::Enveloped | Self::Receipt => {
                "Подписи нет: ds:Signature должна быть прямым потомком корня документа"
            }
            Self::Smev3 => {
                "Подписи нет на её месте: ds:Signature стоит в CallerInformationSystemSignature, \
                 SMEVSignature, SenderInformationSystemSignature или PersonalSignature"
            }
            Self::Smev2 => {
                "Подписи нет на её месте: ЭП-ОВ стоит в wsse:Security для СМЭВ, ЭП-СП — в AppData"
            }
            Self::Detached { .. } => {
                "Подписи нет на её месте: она стоит рядом с первым элементом операции или в соседнем"
            }
        }
    }

    fn where_the_certificate_is(&self) -> &'static str {
        match self {
            Self::Smev2 => {
                "ЭП-ОВ: в KeyInfo поставьте wsse:SecurityTokenReference/wsse:Reference на Id токена \
                 wsse:BinarySecurityToken; ЭП-СП: сертификат в ds:X509Data/ds:X509Certificate"
            }
            _ => {
                "Поставьте в ds:KeyInfo одну ds:X509Data с сертификатом подписанта (и, если нужно, \
                 промежуточных центров, всего не более пяти)"
            }
        }
    }

    fn transforms(&self) -> &'static str {
        match self {
            Self::Enveloped | Self::Receipt => {
                "Нужны enveloped-signature и за ней exclusive c14n, inclusive c14n 1.0 или 1.1"
            }
            Self::Smev3 => {
                "Нужны exclusive c14n и за ней urn://smev-gov-ru/xmldsig/transform, больше ничего"
            }
            Self::Smev2 => {
                "Нужна exclusive c14n (для AppData перед ней enveloped-signature), без преобразования СМЭВ"
            }
            Self::Detached { .. } => {
                "Нужна одна каноническая форма, за ней может идти преобразование СМЭВ"
            }
        }
    }
}

/// Whether something stands in a signature that has no place there.
fn carries_more(refusal: &Refusal) -> bool {
    refusal.detail.as_deref().is_some_and(|detail| detail.contains("здесь быть не может"))
}

/// Whether it is an algorithm of old that is refused.
fn is_withdrawn(refusal: &Refusal) -> bool {
    refusal.detail.as_deref().is_some_and(|detail| detail.contains("отмен"))
}

/// Advice on certificates, files and what is around signatures.
fn of_certificate(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::CertUntrusted => {
            "Издателя сертификата нет в папке доверия; промежуточные сертификаты приложите к подписи"
        }
        Code::CertExpired => {
            "Сравните срок сертификата с моментом проверки: прошлое проверяют с --at"
        }
        Code::CertRevoked => "Сертификат отозван его центром: подпишите другим",
        Code::CertStatus => {
            "Положите в папку доверия свежий список отозванных сертификатов издателя"
        }
        Code::CertConstraint => {
            "Сертификат или центр в его пути не годится для подписи документов: причина названа в отказе"
        }
        Code::CmsValue => "Вложение изменено после подписания, или приложена подпись другого файла",
        Code::CmsAlgorithm => {
            "Подпишите вложение с SHA-2 или Стрибогом; вложение из архива проверяют с --archive"
        }
        Code::CmsStructure => {
            "Нужна PKCS#7 SignedData с одним подписантом, его сертификатом и подписанными атрибутами, DER"
        }
        Code::AttachmentHeaders => {
            "У каждого вложения должен быть один AttachmentHeader с тем же contentId, и наоборот"
        }
        Code::OperationUnknown | Code::SoapStructure | Code::PackageRoot => {
            "Профиль не соответствует сообщению"
        }
        Code::XmlEncoding => {
            "Документ не в той кодировке, которая объявлена, или кодировка не поддерживается"
        }
        Code::XmlNs => {
            "Имя пространства имён должно быть абсолютным (urn:…, http://…): относительное нельзя подписать"
        }
        code if super::diagnose::is_of_reading(code) => {
            "До подписи дело не дошло: исправьте сам документ"
        }
        _ => return None,
    })
}
