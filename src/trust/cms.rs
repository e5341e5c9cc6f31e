//! Detached PKCS#7 (CMS) over the files of a message: one signer, strict DER, RFC 5652 within the
//! profile of SMEV.

use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::pkcs7::{Pkcs7, Pkcs7Flags};
use openssl::stack::Stack;
use openssl::x509::X509;

use super::der::{
    CONTEXT_0, CONTEXT_1, INTEGER, OBJECT_ID, OCTET_STRING, SEQUENCE, SET, element, expect,
};
use crate::model::refusal::{Refusal, RefusalCode};

/// Longest signature, in bytes: certificates and a few attributes.
const MAX_BYTES: usize = 256 << 10;

/// `1.2.840.113549.1.7.2`, `…1.7.1`, and the attributes `…1.9.3` and `…1.9.4`.
const SIGNED_DATA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x02];
const DATA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x01];
const CONTENT_TYPE: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x03];
const MESSAGE_DIGEST: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x04];

/// Hashes that may be used: SHA-256, SHA-384, SHA-512, Streebog of 256 and 512 bits.
const DIGESTS: [&[u8]; 5] = [
    &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01],
    &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02],
    &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03],
    &[0x2A, 0x85, 0x03, 0x07, 0x01, 0x01, 0x02, 0x02],
    &[0x2A, 0x85, 0x03, 0x07, 0x01, 0x01, 0x02, 0x03],
];

/// The hash of GOST R 34.11-94, for archives only.
const GOST_94: &[u8] = &[0x2A, 0x85, 0x03, 0x02, 0x02, 0x09];

/// What a signature's structure tells.
struct Outline<'a> {
    /// The file, when it is inside.
    content: Option<&'a [u8]>,
    /// Object id of the hash.
    digest: &'a [u8],
}

/// A signature whose value is right. Its certificate is not yet judged.
#[derive(Debug)]
pub(super) struct Signed {
    /// The signer's certificate, DER.
    pub(super) certificate: Vec<u8>,
    /// All certificates that came with it, DER.
    pub(super) others: Vec<Vec<u8>>,
}

/// Verifies a signature over a file. The file may also be inside, if it is the same. In archives
/// algorithms that have been withdrawn count too.
///
/// # Errors
/// `CMS_STRUCTURE`, `CMS_ALGORITHM`, `CMS_VALUE`.
pub(super) fn verify(signature: &[u8], file: &[u8], archive: bool) -> Result<Signed, Refusal> {
    let outline = outline(signature).ok_or(RefusalCode::CmsStructure)?;
    let withdrawn = outline.digest == GOST_94;
    let allowed = DIGESTS.contains(&outline.digest) || (archive && withdrawn);
    if !allowed {
        let what = if withdrawn {
            "хэш ГОСТ Р 34.11-94 отменён"
        } else {
            "хэш не разрешён"
        };
        return Err(Refusal::new(RefusalCode::CmsAlgorithm).detail(what));
    }
    if outline.content.is_some_and(|content| content != file) {
        let what = "внутри подписи другой файл, чем во вложении";
        return Err(Refusal::new(RefusalCode::CmsValue).detail(what));
    }
    let structure = |_| RefusalCode::CmsStructure;
    let parsed = Pkcs7::from_der(signature).map_err(structure)?;
    let none = Stack::new().map_err(structure)?;
    let signers = parsed.signers(&none, Pkcs7Flags::empty()).map_err(structure)?;
    let certificate = signers.get(0).ok_or(RefusalCode::CmsStructure)?;
    let der = |certificate: &openssl::x509::X509Ref| certificate.to_der().map_err(structure);
    let included = parsed.signed().and_then(|signed| signed.certificates());
    let others = included.into_iter().flatten().map(der).collect::<Result<_, _>>()?;
    let mut message = CmsContentInfo::from_der(signature).map_err(structure)?;
    let detached = outline.content.is_none().then_some(file);
    let flags = CMSOptions::NO_SIGNER_CERT_VERIFY | CMSOptions::BINARY;
    // OpenSSL copies what it verifies, hence the output.
    let mut output = Vec::new();
    let right = message.verify(None, None, detached, Some(&mut output), flags);
    right.map_err(|_| RefusalCode::CmsValue)?;
    Ok(Signed { certificate: der(certificate)?, others })
}

/// Walks the structure: what is not exactly of this shape is refused.
fn outline(signature: &[u8]) -> Option<Outline<'_>> {
    if signature.len() > MAX_BYTES {
        return None;
    }
    let (info, rest) = expect(SEQUENCE, signature)?;
    let (kind, wrapped) = expect(OBJECT_ID, info)?;
    let (data, after) = expect(CONTEXT_0, wrapped)?;
    let (data, trailing) = expect(SEQUENCE, data)?;
    if kind != SIGNED_DATA || !rest.is_empty() || !after.is_empty() || !trailing.is_empty() {
        return None;
    }
    let (_, data) = expect(INTEGER, data)?;
    let (_, data) = expect(SET, data)?;
    let (inner, mut data) = expect(SEQUENCE, data)?;
    let (kind, inner) = expect(OBJECT_ID, inner)?;
    if kind != DATA {
        return None;
    }
    let content = match inner {
        [] => None,
        inner => Some(expect(OCTET_STRING, expect(CONTEXT_0, inner)?.0)?.0),
    };
    for tag in [CONTEXT_0, CONTEXT_1] {
        if let Some((_, rest)) = expect(tag, data) {
            data = rest;
        } else if tag == CONTEXT_0 {
            return None;
        }
    }
    let (signers, trailing) = expect(SET, data)?;
    let (signer, more) = expect(SEQUENCE, signers)?;
    if !trailing.is_empty() || !more.is_empty() {
        return None;
    }
    signer_digest(signer).map(|digest| Outline { content, digest })
}

/// The hash of a `SignerInfo` whose signed attributes are all there.
fn signer_digest(signer: &[u8]) -> Option<&[u8]> {
    let (_, signer) = expect(INTEGER, signer)?;
    let (_, _, signer) = element(signer)?;
    let (algorithm, signer) = expect(SEQUENCE, signer)?;
    let (digest, _) = expect(OBJECT_ID, algorithm)?;
    let (mut attributes, signer) = expect(CONTEXT_0, signer)?;
    let (_, signer) = expect(SEQUENCE, signer)?;
    let (_, signer) = expect(OCTET_STRING, signer)?;
    let over =
        signer.is_empty() || expect(CONTEXT_1, signer).is_some_and(|(_, rest)| rest.is_empty());
    let mut seen = (0, 0);
    while !attributes.is_empty() {
        let (attribute, rest) = expect(SEQUENCE, attributes)?;
        let (kind, values) = expect(OBJECT_ID, attribute)?;
        let (values, _) = expect(SET, values)?;
        if kind == CONTENT_TYPE {
            let (value, _) = expect(OBJECT_ID, values)?;
            seen.0 += usize::from(value == DATA);
        }
        seen.1 += usize::from(kind == MESSAGE_DIGEST);
        attributes = rest;
    }
    (over && seen == (1, 1)).then_some(digest)
}

/// Signs a file, the file left out: RSA, ECDSA or GOST by the key's own kind.
///
/// # Errors
/// OpenSSL's.
pub(super) fn sign(
    certificate: &X509,
    key: &openssl::pkey::PKeyRef<openssl::pkey::Private>,
    file: &[u8],
) -> Result<Vec<u8>, openssl::error::ErrorStack> {
    let flags = CMSOptions::DETACHED | CMSOptions::BINARY | CMSOptions::NOSMIMECAP;
    CmsContentInfo::sign(Some(certificate), Some(key), None, Some(file), flags)?.to_der()
}
