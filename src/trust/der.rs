//! Elements of DER, and facts of a certificate that OpenSSL's safe interface does not tell: whether it
//! is an authority's, and what it is for.

/// Tags of DER.
const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_ID: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
pub(super) const CONTEXT_0: u8 = 0xA0;
pub(super) const CONTEXT_1: u8 = 0xA1;
const EXTENSIONS: u8 = 0xA3;

/// `2.5.29.19`, basicConstraints, and `2.5.29.37`, extKeyUsage.
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1D, 0x13];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1D, 0x25];

/// `1.3.6.1.5.5.7.3`, under which usages stand, and those that are not for documents: TLS servers
/// (1), programs (3), time stamps (8), OCSP (9).
const USAGES: &[u8] = &[0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03];
const OTHER_USAGES: [u8; 4] = [1, 3, 8, 9];

/// A certificate that cannot be read.
struct Unreadable;

/// Says whether basicConstraints has `cA TRUE`. What cannot be read counts as an authority:
/// such a certificate may not sign.
pub(super) fn is_authority(certificate: &[u8]) -> bool {
    let authority = || -> Result<bool, Unreadable> {
        let Some(value) = extension(certificate, BASIC_CONSTRAINTS)? else { return Ok(false) };
        let (constraints, _) = expect(SEQUENCE, value).ok_or(Unreadable)?;
        Ok(expect(BOOLEAN, constraints).is_some_and(|(value, _)| value != [0]))
    };
    authority().unwrap_or(true)
}

/// Says whether extKeyUsage, where there is one, names anything besides what is not for documents.
pub(super) fn may_sign_documents(certificate: &[u8]) -> bool {
    let allowed = || -> Result<bool, Unreadable> {
        let Some(value) = extension(certificate, EXTENDED_KEY_USAGE)? else { return Ok(true) };
        let (mut usages, _) = expect(SEQUENCE, value).ok_or(Unreadable)?;
        while !usages.is_empty() {
            let (usage, rest) = expect(OBJECT_ID, usages).ok_or(Unreadable)?;
            let other = usage.strip_prefix(USAGES);
            if !matches!(other, Some([last]) if OTHER_USAGES.contains(last)) {
                return Ok(true);
            }
            usages = rest;
        }
        Ok(false)
    };
    allowed().unwrap_or(false)
}

/// The value of an extension; nothing when the certificate has none.
fn extension<'a>(certificate: &'a [u8], wanted: &[u8]) -> Result<Option<&'a [u8]>, Unreadable> {
    let (certificate, _) = expect(SEQUENCE, certificate).ok_or(Unreadable)?;
    let (mut fields, _) = expect(SEQUENCE, certificate).ok_or(Unreadable)?;
    while !fields.is_empty() {
        let (tag, value, rest) = element(fields).ok_or(Unreadable)?;
        if tag == EXTENSIONS {
            return among_extensions(value, wanted);
        }
        fields = rest;
    }
    Ok(None)
}

fn among_extensions<'a>(wrapped: &'a [u8], wanted: &[u8]) -> Result<Option<&'a [u8]>, Unreadable> {
    let (mut extensions, _) = expect(SEQUENCE, wrapped).ok_or(Unreadable)?;
    while !extensions.is_empty() {
        let (extension, rest) = expect(SEQUENCE, extensions).ok_or(Unreadable)?;
        let (id, mut value) = expect(OBJECT_ID, extension).ok_or(Unreadable)?;
        if id == wanted {
            if let Some((_, after)) = expect(BOOLEAN, value) {
                value = after;
            }
            let (content, _) = expect(OCTET_STRING, value).ok_or(Unreadable)?;
            return Ok(Some(content));
        }
        extensions = rest;
    }
    Ok(None)
}

/// The value of the first element, which must have this tag, and what follows it.
pub(super) fn expect(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, value, rest) = element(bytes)?;
    (found == tag).then_some((value, rest))
}

/// Tag and value of the first element, and what follows it.
pub(super) fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, bytes) = bytes.split_first()?;
    let (&first, bytes) = bytes.split_first()?;
    let (length, bytes) = if first < 0x80 {
        (usize::from(first), bytes)
    } else {
        let count = usize::from(first & 0x7F);
        if count == 0 || count > 4 {
            return None;
        }
        let (length, bytes) = bytes.split_at_checked(count)?;
        (length.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)), bytes)
    };
    let (value, rest) = bytes.split_at_checked(length)?;
    Some((tag, value, rest))
}
