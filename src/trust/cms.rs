//! Detached PKCS#7 (CMS) over the files of a message: one signer, strict DER, RFC 5652 within the
//! profile of SMEV.

use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::error::ErrorStack;
use openssl::md::Md;
use openssl::pkcs7::{Pkcs7, Pkcs7Flags};
use openssl::pkey::Id;
use openssl::pkey_ctx::PkeyCtx;
use openssl::rsa::Padding;
use openssl::sign::RsaPssSaltlen;
use openssl::stack::Stack;
use openssl::x509::{X509, X509Ref};

use super::der::{
    CONTEXT_0, CONTEXT_1, INTEGER, OBJECT_ID, OCTET_STRING, SEQUENCE, SET, element, expect,
};
use crate::codec::c14n::Sink as _;
use crate::codec::digest::{Digest, DigestAlgorithm};
use crate::model::refusal::{Refusal, RefusalCode};

/// Longest signature, in bytes: certificates and a few attributes.
const MAX_BYTES: usize = 256 << 10;

/// `1.2.840.113549.1.7.2`, `…1.7.1`, and the attributes `…1.9.3` and `…1.9.4`.
const SIGNED_DATA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x02];
const DATA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x01];
const CONTENT_TYPE: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x03];
const MESSAGE_DIGEST: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x09, 0x04];

/// `1.2.840.113549.1.1`, under which the algorithms of RSA stand: the key itself (1), with SHA-256 (11),
/// SHA-384 (12), SHA-512 (13), and RSASSA-PSS (10).
const RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01];
const RSA_PLAIN: [u8; 4] = [1, 11, 12, 13];
const RSA_PSS: u8 = 10;

/// Hashes that may be used.
const DIGESTS: [(&[u8], DigestAlgorithm); 5] = [
    (&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01], DigestAlgorithm::Sha256),
    (&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02], DigestAlgorithm::Sha384),
    (&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03], DigestAlgorithm::Sha512),
    (&[0x2A, 0x85, 0x03, 0x07, 0x01, 0x01, 0x02, 0x02], DigestAlgorithm::Streebog256),
    (&[0x2A, 0x85, 0x03, 0x07, 0x01, 0x01, 0x02, 0x03], DigestAlgorithm::Streebog512),
];

/// The hash of GOST R 34.11-94, for archives only.
const GOST_94: &[u8] = &[0x2A, 0x85, 0x03, 0x02, 0x02, 0x09];

/// What a signature's structure tells.
struct Outline<'a> {
    /// The file, when it is inside.
    content: Option<&'a [u8]>,
    /// What is said of the file and signed.
    signer: Stated<'a>,
}

/// What a `SignerInfo` says whose signed attributes are all there.
struct Stated<'a> {
    /// Object id of the hash.
    digest: &'a [u8],
    /// The signed attributes, one after the other.
    attributes: &'a [u8],
    /// Hash of the file, among them.
    hash: &'a [u8],
    /// Object id of the signature's algorithm.
    algorithm: &'a [u8],
    /// Value of the signature.
    value: &'a [u8],
}

/// A signature whose value is right. Its certificate is not yet judged.
#[derive(Debug)]
pub(super) struct Signed {
    /// The signer's certificate, DER.
    pub(super) certificate: Vec<u8>,
    /// All certificates that came with it, DER.
    pub(super) others: Vec<Vec<u8>>,
}

/// A signature over a file that comes in pieces: of the file only its hash is kept.
pub struct FileCheck {
    /// DER.
    signature: Vec<u8>,
    digest: DigestAlgorithm,
    hash: Digest,
    /// How much of the file that is inside was the same so far; none when it is not inside.
    same: Option<usize>,
    /// The file is another than the one inside.
    other: bool,
}

impl FileCheck {
    /// Begins with a detached signature, DER. The file may also be inside, if it is the same. In
    /// archives algorithms that have been withdrawn count too.
    ///
    /// # Errors
    /// `CMS_STRUCTURE`, `CMS_ALGORITHM`.
    pub fn begin(signature: &[u8], archive: bool) -> Result<Self, Refusal> {
        if signature.len() > MAX_BYTES {
            let what = format!(
                "подпись длиннее {} КиБ: подпишите файл отсоединённой подписью (detached)",
                MAX_BYTES >> 10
            );
            return Err(Refusal::new(RefusalCode::CmsStructure).detail(what));
        }
        let outline = outline(signature).ok_or(RefusalCode::CmsStructure)?;
        let refused = |what| Refusal::new(RefusalCode::CmsAlgorithm).detail(what);
        let known = DIGESTS.iter().find(|(id, _)| *id == outline.signer.digest);
        let digest = match known {
            Some(&(_, digest)) => digest,
            None if outline.signer.digest != GOST_94 => return Err(refused("хэш не разрешён")),
            None if archive => DigestAlgorithm::Gost94,
            None => return Err(refused("хэш ГОСТ Р 34.11-94 отменён")),
        };
        let same = outline.content.map(|_| 0);
        let hash = Digest::new(digest);
        Ok(Self { signature: signature.to_vec(), digest, hash, same, other: false })
    }

    /// The hash of the file that is known beforehand may take its place, if it is of this algorithm and
    /// the file is not inside.
    pub fn needs_file(&self, known: DigestAlgorithm) -> bool {
        self.same.is_some() || self.digest != known
    }

    /// Takes the next piece of the file.
    pub fn update(&mut self, piece: &[u8]) {
        self.hash.write(piece);
        if let Some(at) = self.same {
            let inside = outline(&self.signature).and_then(|outline| outline.content);
            let rest = inside.and_then(|inside| inside.get(at..)).unwrap_or_default();
            self.other |= !rest.starts_with(piece);
            self.same = Some(at + piece.len());
        }
    }

    /// Judges the value over the whole file.
    ///
    /// # Errors
    /// `CMS_STRUCTURE`, `CMS_VALUE`.
    pub(super) fn finish(self) -> Result<Signed, Refusal> {
        let Self { signature, digest, hash, same, other } = self;
        let outline = outline(&signature).ok_or(RefusalCode::CmsStructure)?;
        if other || same.is_some_and(|length| outline.content.map(<[u8]>::len) != Some(length)) {
            let what = "внутри подписи другой файл, чем во вложении";
            return Err(Refusal::new(RefusalCode::CmsValue).detail(what));
        }
        Ok(judge(&signature, digest, &hash.finish())?)
    }

    /// The same with the hash of the whole file, of which no piece was given.
    pub(super) fn finish_with(self, hash: &[u8]) -> Result<Signed, RefusalCode> {
        judge(&self.signature, self.digest, hash)
    }
}

/// Judges the value of a signature over a file of this hash. OpenSSL does the same, but has to have the
/// whole file in memory, and copies it.
fn judge(signature: &[u8], digest: DigestAlgorithm, hash: &[u8]) -> Result<Signed, RefusalCode> {
    let stated = outline(signature).ok_or(RefusalCode::CmsStructure)?.signer;
    let structure = |_| RefusalCode::CmsStructure;
    let parsed = Pkcs7::from_der(signature).map_err(structure)?;
    let none = Stack::new().map_err(structure)?;
    let signers = parsed.signers(&none, Pkcs7Flags::empty()).map_err(structure)?;
    let certificate = signers.get(0).ok_or(RefusalCode::CmsStructure)?;
    let der = |certificate: &X509Ref| certificate.to_der().map_err(structure);
    let included = parsed.signed().and_then(|signed| signed.certificates());
    let others = included.into_iter().flatten().map(der).collect::<Result<_, _>>()?;
    if stated.hash != hash || !signs(&stated, digest, certificate).unwrap_or(false) {
        return Err(RefusalCode::CmsValue);
    }
    Ok(Signed { certificate: der(certificate)?, others })
}

/// Whether the key of a certificate signed the attributes.
fn signs(
    stated: &Stated<'_>,
    digest: DigestAlgorithm,
    certificate: &X509Ref,
) -> Result<bool, ErrorStack> {
    let key = certificate.public_key()?;
    let mut hash = Digest::new(digest);
    // Signed is the set itself, not the field of the structure in which it stands.
    hash.write(&set_of(stated.attributes));
    let mut context = PkeyCtx::new(&key)?;
    context.verify_init()?;
    let md = match digest {
        DigestAlgorithm::Sha256 => Some(Md::sha256()),
        DigestAlgorithm::Sha384 => Some(Md::sha384()),
        DigestAlgorithm::Sha512 => Some(Md::sha512()),
        // Keys of GOST know their hash.
        _ => None,
    };
    if key.id() == Id::RSA {
        let (Some(md), Some([algorithm])) = (md, stated.algorithm.strip_prefix(RSA)) else {
            return Ok(false);
        };
        let pss = *algorithm == RSA_PSS;
        if !pss && !RSA_PLAIN.contains(algorithm) {
            return Ok(false);
        }
        context.set_rsa_padding(if pss { Padding::PKCS1_PSS } else { Padding::PKCS1 })?;
        context.set_signature_md(md)?;
        if pss {
            context.set_rsa_mgf1_md(md)?;
            // Of whatever length the signer took: it is found in the value.
            context.set_rsa_pss_saltlen(RsaPssSaltlen::MAXIMUM_LENGTH)?;
        }
    }
    context.verify(&hash.finish(), stated.value)
}

/// DER of a `SET` with this content.
fn set_of(content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let zeros = length.iter().take_while(|&&byte| byte == 0).count();
    let length = &length[zeros..];
    let mut set = vec![SET];
    if content.len() >= 0x80 {
        // At most eight bytes of length.
        set.push(0x80 | u8::try_from(length.len()).unwrap_or_default());
    }
    set.extend_from_slice(if content.is_empty() { &[0] } else { length });
    set.extend_from_slice(content);
    set
}

/// Verifies a signature over a file at hand.
///
/// # Errors
/// `CMS_STRUCTURE`, `CMS_ALGORITHM`, `CMS_VALUE`.
pub(super) fn verify(signature: &[u8], file: &[u8], archive: bool) -> Result<Signed, Refusal> {
    let mut check = FileCheck::begin(signature, archive)?;
    check.update(file);
    check.finish()
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
    let (mut digests, data) = expect(SET, data)?;
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
    let signer = stated(signer)?;
    // The hash must be announced before the file would come.
    loop {
        let (algorithm, rest) = expect(SEQUENCE, digests)?;
        if expect(OBJECT_ID, algorithm)?.0 == signer.digest {
            return Some(Outline { content, signer });
        }
        digests = rest;
    }
}

/// Reads a `SignerInfo`.
fn stated(signer: &[u8]) -> Option<Stated<'_>> {
    let (_, signer) = expect(INTEGER, signer)?;
    let (_, _, signer) = element(signer)?;
    let (algorithm, signer) = expect(SEQUENCE, signer)?;
    let (digest, _) = expect(OBJECT_ID, algorithm)?;
    let (attributes, signer) = expect(CONTEXT_0, signer)?;
    let (algorithm, signer) = expect(SEQUENCE, signer)?;
    let (algorithm, _) = expect(OBJECT_ID, algorithm)?;
    let (value, signer) = expect(OCTET_STRING, signer)?;
    let over =
        signer.is_empty() || expect(CONTEXT_1, signer).is_some_and(|(_, rest)| rest.is_empty());
    let (mut seen, mut hash, mut left) = ((0, 0), None, attributes);
    while !left.is_empty() {
        let (attribute, rest) = expect(SEQUENCE, left)?;
        let (kind, values) = expect(OBJECT_ID, attribute)?;
        let (values, _) = expect(SET, values)?;
        if kind == CONTENT_TYPE {
            let (value, _) = expect(OBJECT_ID, values)?;
            seen.0 += usize::from(value == DATA);
        }
        if kind == MESSAGE_DIGEST {
            seen.1 += 1;
            hash = expect(OCTET_STRING, values).filter(|(_, more)| more.is_empty());
        }
        left = rest;
    }
    let (hash, _) = hash?;
    (over && seen == (1, 1)).then_some(Stated { digest, attributes, hash, algorithm, value })
}

/// Signs a file, the file left out: RSA, ECDSA or GOST by the key's own kind.
///
/// # Errors
/// OpenSSL's.
pub(super) fn sign(
    certificate: &X509,
    key: &openssl::pkey::PKeyRef<openssl::pkey::Private>,
    file: &[u8],
) -> Result<Vec<u8>, ErrorStack> {
    let flags = CMSOptions::DETACHED | CMSOptions::BINARY | CMSOptions::NOSMIMECAP;
    CmsContentInfo::sign(Some(certificate), Some(key), None, Some(file), flags)?.to_der()
}

#[cfg(test)]
mod tests {
    use openssl::pkey::{PKey, Private};
    use openssl::rsa::Rsa;
    use rand::SeedableRng as _;

    use super::*;
    use crate::trust::authority::{Authority, KeyKind, Request, Usage, Validity};

    /// A key of this kind with its certificate.
    fn key(kind: KeyKind) -> (X509, PKey<Private>) {
        let mut random = rand::rngs::StdRng::from_seed([7; 32]);
        let at = |text: &str| text.parse().unwrap();
        let (from, to) = (at("2024-01-01T00:00:00Z"), at("2034-01-01T00:00:00Z"));
        let validity = Validity { from, to };
        let authority = Authority::create("CA", validity, &mut random).unwrap();
        let request = Request { name: "x", key: kind, validity, usage: Usage::Signature };
        let issued = authority.issue(&request, &mut random).unwrap();
        let certificate = X509::from_pem(&issued.certificate_pem().unwrap()).unwrap();
        (certificate, PKey::private_key_from_pem(&issued.key_pem().unwrap()).unwrap())
    }

    /// What OpenSSL itself says, with the whole file in memory.
    fn by_openssl(signature: &[u8], file: &[u8]) -> bool {
        let Ok(mut message) = CmsContentInfo::from_der(signature) else { return false };
        let flags = CMSOptions::NO_SIGNER_CERT_VERIFY | CMSOptions::BINARY;
        message.verify(None, None, Some(file), Some(&mut Vec::new()), flags).is_ok()
    }

    fn in_pieces(signature: &[u8], file: &[u8], size: usize) -> Result<(), RefusalCode> {
        let mut check = FileCheck::begin(signature, false).map_err(|refusal| refusal.code)?;
        file.chunks(size).for_each(|piece| check.update(piece));
        check.finish().map(|_| ()).map_err(|refusal| refusal.code)
    }

    #[test]
    fn in_pieces_a_signature_is_worth_what_openssl_says_of_it_over_the_whole() {
        let file: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
        for kind in [KeyKind::P256, KeyKind::Rsa(2048)] {
            let (certificate, key) = key(kind);
            let signature = sign(&certificate, &key, &file).unwrap();
            assert!(by_openssl(&signature, &file));
            for size in [1, 1000, 1 << 20] {
                assert_eq!(in_pieces(&signature, &file, size), Ok(()), "{kind:?} by {size}");
            }
            let mut other = file.clone();
            other[299_999] ^= 1;
            assert!(!by_openssl(&signature, &other));
            assert_eq!(in_pieces(&signature, &other, 4096), Err(RefusalCode::CmsValue));
            // Any byte of it changed: never worth more than OpenSSL gives for it.
            let small = b"small".as_slice();
            let signature = sign(&certificate, &key, small).unwrap();
            let more = |&at: &usize| {
                let mut changed = signature.clone();
                changed[at] ^= 0x40;
                in_pieces(&changed, small, 2).is_ok() && !by_openssl(&changed, small)
            };
            let more: Vec<usize> = (0..signature.len()).filter(more).collect();
            assert!(more.is_empty(), "{kind:?}: {more:?}");
            let stranger = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
            assert!(sign(&certificate, &stranger, &file).is_err());
        }
    }

    #[test]
    fn lengths_of_a_set_are_written_the_shortest_way() {
        assert_eq!(set_of(&[]), [SET, 0]);
        assert_eq!(set_of(&[7; 3]), [SET, 3, 7, 7, 7]);
        assert_eq!(set_of(&[7; 0x80])[..4], [SET, 0x81, 0x80, 7]);
        assert_eq!(set_of(&[7; 0x123])[..5], [SET, 0x82, 0x01, 0x23, 7]);
    }
}
