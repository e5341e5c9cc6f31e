//! Return addresses of requests: opaque to who carries them, and authenticated, so that an answer can
//! be sent to no request but the one that was handed out with it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::memcmp;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use uuid::Uuid;

/// Bytes of the code that authenticates an address.
const CODE: usize = 16;

/// Writes the return address of a request.
///
/// # Errors
/// Those of the cryptographic library.
pub(super) fn write(key: &[u8], request: Uuid) -> Result<String, ErrorStack> {
    let mut bytes = request.as_bytes().to_vec();
    bytes.extend_from_slice(&code(key, request.as_bytes())?[..CODE]);
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The request to which a return address leads; `None` when it is not one of ours.
///
/// # Errors
/// Those of the cryptographic library.
pub(super) fn read(key: &[u8], address: &str) -> Result<Option<Uuid>, ErrorStack> {
    let Ok(bytes) = URL_SAFE_NO_PAD.decode(address.trim()) else { return Ok(None) };
    let Some((id, given)) = bytes.split_first_chunk::<16>() else { return Ok(None) };
    if given.len() != CODE || !memcmp::eq(&code(key, id)?[..CODE], given) {
        return Ok(None);
    }
    Ok(Some(Uuid::from_bytes(*id)))
}

fn code(key: &[u8], id: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    let key = PKey::hmac(key)?;
    let mut signer = Signer::new(MessageDigest::sha256(), &key)?;
    signer.update(b"kontingent reply 1")?;
    signer.update(id)?;
    signer.sign_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leads_only_to_its_own_request() {
        let id = Uuid::from_u128(7 << 120 | 7);
        let address = write(&[7; 32], id).unwrap();
        assert_eq!(read(&[7; 32], &address).unwrap(), Some(id));
        assert_eq!(read(&[8; 32], &address).unwrap(), None);
        let other = write(&[7; 32], Uuid::from_u128(8 << 120 | 8)).unwrap();
        let mixed = format!("{}{}", &other[..20], &address[20..]);
        for invented in ["", "FEDERAL", &address[1..], &mixed, "eyJzaWQiOjF9", "обратно"] {
            assert_eq!(read(&[7; 32], invented).unwrap(), None, "{invented}");
        }
    }
}
