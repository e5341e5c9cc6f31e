//! Scenarios that are written into a new sandbox.

use std::fs;
use std::io;
use std::path::Path;

const ANSWER: &str = r#"# Справка о здоровье: ответ по сценарию. Файлы *.toml этой папки читаются при каждом сообщении, в порядке имён;
# действует первый подходящий. Запрос с этим корневым элементом принимается, ответ приходит через GetResponse.
namespace = "urn://example/clinic/1.0"
request = "CertificateRequest"

# Сначала статус (RequestStatus), через две секунды — ответ. Обе строки необязательны.
status = { code = 1, text = "Принято в работу" }
delay_seconds = 2

# Содержимое ответа; или answer_file = "файл.xml" рядом с этим.
answer = """
<CertificateResponse xmlns="urn://example/clinic/1.0">
  <Number>77-1</Number>
  <Healthy>true</Healthy>
</CertificateResponse>
"""
"#;

const REJECTED: &str = r#"# Тот же запрос, но о том, кого нет: отказ (RequestRejected). Условие: элемент с таким именем на любой глубине
# содержимого имеет такой текст; нескольких условий должны выполняться все.
namespace = "urn://example/clinic/1.0"
request = "CertificateRequest"
# ACCESS_DENIED, NO_DATA, UNKNOWN_REQUEST_DESCRIPTION или FAILURE
rejected = { code = "NO_DATA", text = "Сведений о гражданине нет" }

[when]
Snils = "00000000000"
"#;

const FAULT: &str = r#"# Тот же запрос с номером 13 отклоняется сразу, ошибкой SOAP в версии вызывающего. Имя — любое из схемы ошибок:
# SMEVFailure, DestinationOverflow, AccessDenied, SignatureVerificationFault (с reason = "CertificateIsExpired")
# и другие. operation — для ошибок и других вызовов: GetRequest, GetResponse, SendResponse, Ack, GetStatus.
operation = "SendRequest"
namespace = "urn://example/clinic/1.0"
request = "CertificateRequest"
fault = "SMEVFailure"

[when]
Number = 13
"#;

/// Writes them.
///
/// # Errors
/// Those of the folder.
pub(super) fn write(folder: &Path) -> io::Result<()> {
    for (name, text) in [
        ("10-certificate-fault.toml", FAULT),
        ("20-certificate-no-data.toml", REJECTED),
        ("30-certificate.toml", ANSWER),
    ] {
        fs::write(folder.join(name), text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::exchange::sandbox::scenario;

    #[test]
    fn the_examples_are_scenarios() {
        let folder = tempfile::tempdir().unwrap();
        super::write(folder.path()).unwrap();
        let (scenarios, flawed) = scenario::read(folder.path()).unwrap();
        assert!(flawed.is_empty(), "{flawed:?}");
        assert_eq!(scenarios.len(), 3);
    }
}
