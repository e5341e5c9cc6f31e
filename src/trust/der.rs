//! Elements of DER, and the one fact of a certificate that OpenSSL's safe interface does not tell:
//! whether it is an authority's.

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

/// `2.5.29.19`, basicConstraints.
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1D, 0x13];

/// Says whether basicConstraints has `cA TRUE`. What cannot be read counts as an authority:
/// such a certificate may not sign.
pub(super) fn is_authority(certificate: &[u8]) -> bool {
    authority(certificate).unwrap_or(true)
}

fn authority(certificate: &[u8]) -> Option<bool> {
    let (certificate, _) = expect(SEQUENCE, certificate)?;
    let (mut fields, _) = expect(SEQUENCE, certificate)?;
    while !fields.is_empty() {
        let (tag, value, rest) = element(fields)?;
        if tag == EXTENSIONS {
            return among_extensions(value);
        }
        fields = rest;
    }
    Some(false)
}

fn among_extensions(wrapped: &[u8]) -> Option<bool> {
    let (mut extensions, _) = expect(SEQUENCE, wrapped)?;
    while !extensions.is_empty() {
        let (extension, rest) = expect(SEQUENCE, extensions)?;
        let (id, mut value) = expect(OBJECT_ID, extension)?;
        if id == BASIC_CONSTRAINTS {
            if let Some((_, after)) = expect(BOOLEAN, value) {
                value = after;
            }
            let (constraints, _) = expect(OCTET_STRING, value)?;
            let (constraints, _) = expect(SEQUENCE, constraints)?;
            return match expect(BOOLEAN, constraints) {
                Some((value, _)) => Some(value != [0]),
                None => Some(false),
            };
        }
        extensions = rest;
    }
    Some(false)
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
