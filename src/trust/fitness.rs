//! Whether a certificate is one for signing documents, whoever issued it: its purpose and its key.

use openssl::pkey::{Id, PKeyRef, Public};
use openssl::x509::{X509, X509KeyUsage, X509Ref};

use super::der;
use super::gost;
use super::suite::{MAX_RSA_BITS, MIN_RSA_BITS, PublicKey};
use crate::codec::xmldsig::SignatureAlgorithm;
use crate::model::refusal::{Refusal, RefusalCode};

/// Judges what a certificate says of itself; a GOST key that cannot be read here is let be.
///
/// # Errors
/// `SIG_KEYINFO` for what is no certificate, `CERT_CONSTRAINT`, `SIG_ALGORITHM`.
pub fn judge(der: &[u8]) -> Result<(), Refusal> {
    let certificate = X509::from_der(der).map_err(|_| RefusalCode::SigKeyInfo)?;
    judge_purpose(&certificate, der)?;
    judge_usage(der)?;
    match certificate.public_key() {
        Ok(_) => key(&certificate).map(|_| ()),
        // Without its engine OpenSSL does not know the key at all; where it is, it will be judged.
        Err(_) if !gost::available() => Ok(()),
        Err(_) => {
            Err(Refusal::new(RefusalCode::SigAlgorithm).detail("вид ключа не поддерживается"))
        }
    }
}

/// A signer is not an authority, and its key may sign documents.
pub(super) fn judge_purpose(certificate: &X509Ref, der: &[u8]) -> Result<(), Refusal> {
    let signs = X509KeyUsage::DIGITAL_SIGNATURE | X509KeyUsage::NON_REPUDIATION;
    let constraint = |what| Err(Refusal::new(RefusalCode::CertConstraint).detail(what));
    if der::is_authority(der) {
        return constraint("это сертификат удостоверяющего центра, им документы не подписывают");
    }
    if certificate.key_usage().is_none_or(|usage| usage.intersects(signs)) {
        return Ok(());
    }
    constraint(
        "keyUsage сертификата подписанта не разрешает ни digitalSignature, ни nonRepudiation",
    )
}

/// Its extended usage, where it has one, is not only for something else.
pub(super) fn judge_usage(der: &[u8]) -> Result<(), Refusal> {
    if der::may_sign_documents(der) {
        return Ok(());
    }
    let what =
        "extKeyUsage сертификата подписанта только для TLS, программ, меток времени или OCSP";
    Err(Refusal::new(RefusalCode::CertConstraint).detail(what))
}

/// The key of a certificate, if it is one that is allowed.
pub(super) fn key(certificate: &X509Ref) -> Result<PublicKey, Refusal> {
    let unknown = "вид ключа не поддерживается, или на этой машине нет модуля ГОСТ для OpenSSL";
    let refused = |what: String| Refusal::new(RefusalCode::SigAlgorithm).detail(what);
    let key = certificate.public_key().map_err(|_| refused(unknown.to_owned()))?;
    PublicKey::admit(&key).map_err(|_| refused(flaw(&key)))
}

/// The same of a certificate in DER.
pub(super) fn key_of(der: &[u8]) -> Result<PublicKey, Refusal> {
    let certificate = X509::from_der(der).map_err(|_| RefusalCode::SigKeyInfo)?;
    key(&certificate)
}

/// Why a key is not allowed.
fn flaw(key: &PKeyRef<Public>) -> String {
    match key.id() {
        Id::RSA => {
            format!("ключ RSA {} бит: разрешены от {MIN_RSA_BITS} до {MAX_RSA_BITS}", key.bits())
        }
        Id::EC => "кривая ключа не разрешена: нужна P-256 или P-384".to_owned(),
        _ => "вид ключа не разрешён: нужен RSA, ECDSA или ГОСТ Р 34.10-2012".to_owned(),
    }
}

/// A refusal of a value: where the key is not one of the algorithm, it says so.
pub(super) fn of_value(
    code: RefusalCode,
    algorithm: SignatureAlgorithm,
    key: &PublicKey,
) -> Refusal {
    if code != RefusalCode::SigAlgorithm {
        return code.into();
    }
    let key = match key {
        PublicKey::Rsa(_) => "RSA",
        PublicKey::P256(_) => "ECDSA P-256 (с ним подписывают по SHA-256)",
        PublicKey::P384(_) => "ECDSA P-384 (с ним подписывают по SHA-384)",
        PublicKey::Gost(_, SignatureAlgorithm::Gost256) => "ГОСТ Р 34.10-2012 256 бит",
        PublicKey::Gost(_, SignatureAlgorithm::Gost512) => "ГОСТ Р 34.10-2012 512 бит",
        PublicKey::Gost(..) => "ГОСТ Р 34.10-2001",
    };
    let method = algorithm.name();
    let what = format!("в SignatureMethod указан {method}, а ключ сертификата {key}");
    Refusal::new(code).detail(what)
}
