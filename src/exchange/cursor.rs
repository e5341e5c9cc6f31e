//! Cursors of answers that come page by page: a place in the log of changes or among the
//! organisations, opaque to the asker.
//!
//! A cursor is authenticated with a key kept in the database, for the system and what it
//! was made for: an invented one, a stranger's, or one of another database is refused rather
//! than answered with a page that skips changes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::memcmp;
use openssl::pkey::PKey;
use openssl::sign::Signer;

use crate::model::federal::KINDS;
use crate::model::kind::Kind;
use crate::storage::federal::Position;

/// Bytes of a place: transaction and row.
const PLACE: usize = 16;

/// Bytes of the code that authenticates it.
const CODE: usize = 16;

/// What a cursor was made for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scope<'a> {
    /// The log of changes.
    Changes {
        /// The system that asks.
        system: i64,
        /// The kinds it asks for.
        kinds: &'a [Kind],
    },
    /// The registry of organisations.
    Organisations {
        /// The system that asks.
        system: i64,
        /// Which of them it asks for, always written alike.
        filter: &'a str,
    },
}

impl Scope<'_> {
    fn context(self) -> Vec<u8> {
        match self {
            Self::Changes { system, kinds } => {
                let mut context = b"kontingent cursor 1".to_vec();
                context.extend_from_slice(&system.to_be_bytes());
                context.extend(KINDS.map(|kind| u8::from(kinds.contains(&kind))));
                context
            }
            Self::Organisations { system, filter } => {
                let mut context = b"kontingent organisations 1".to_vec();
                context.extend_from_slice(&system.to_be_bytes());
                context.extend_from_slice(filter.as_bytes());
                context
            }
        }
    }
}

/// Writes a cursor.
///
/// # Errors
/// Those of the cryptographic library.
pub(super) fn write(
    key: &[u8],
    scope: Scope<'_>,
    position: Position,
) -> Result<String, ErrorStack> {
    let mut bytes = Vec::with_capacity(PLACE + CODE);
    bytes.extend_from_slice(&position.transaction.to_be_bytes());
    bytes.extend_from_slice(&position.row.to_be_bytes());
    let code = code(key, scope, &bytes)?;
    bytes.extend_from_slice(&code[..CODE]);
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Reads a cursor; `None` when it is not one of ours for this scope.
///
/// # Errors
/// Those of the cryptographic library.
pub(super) fn read(
    key: &[u8],
    scope: Scope<'_>,
    cursor: &str,
) -> Result<Option<Position>, ErrorStack> {
    let Ok(bytes) = URL_SAFE_NO_PAD.decode(cursor) else { return Ok(None) };
    if bytes.len() != PLACE + CODE {
        return Ok(None);
    }
    let (place, given) = bytes.split_at(PLACE);
    if !memcmp::eq(&code(key, scope, place)?[..CODE], given) {
        return Ok(None);
    }
    let number = |part: &[u8]| part.iter().fold(0_i64, |sum, &byte| sum << 8 | i64::from(byte));
    let (transaction, row) = place.split_at(8);
    Ok(Some(Position { transaction: number(transaction), row: number(row) }))
}

/// SHA-256 HMAC of the place and what it was made for.
fn code(key: &[u8], scope: Scope<'_>, place: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    let key = PKey::hmac(key)?;
    let mut signer = Signer::new(MessageDigest::sha256(), &key)?;
    signer.update(&scope.context())?;
    signer.update(place)?;
    signer.sign_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_serves_only_the_one_it_was_made_for() {
        let key = [7_u8; 32];
        let scope = Scope::Changes { system: 1, kinds: &KINDS };
        let position = Position { transaction: 900_000_000_001, row: 12 };
        let cursor = write(&key, scope, position).unwrap();
        assert_eq!(read(&key, scope, &cursor).unwrap(), Some(position));
        for other in [
            Scope::Changes { system: 2, kinds: &KINDS },
            Scope::Changes { system: 1, kinds: &KINDS[..3] },
            Scope::Organisations { system: 1, filter: "" },
        ] {
            assert_eq!(read(&key, other, &cursor).unwrap(), None, "{other:?}");
        }
        assert_eq!(read(&[8; 32], scope, &cursor).unwrap(), None);
        for invented in ["", "0", "AAAA", &cursor[1..], "не курсор"] {
            assert_eq!(read(&key, scope, invented).unwrap(), None, "{invented}");
        }
    }
}
