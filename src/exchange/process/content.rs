//! The stored document, whole and checked, before the first record of it is applied.

use crate::exchange::Exchange;
use crate::exchange::process::verdict::Trouble;
use crate::storage::content::{Checker, Content};
use crate::storage::journal::accept;
use crate::storage::journal::attempt::Claimed;

/// Frames fetched at a time.
const FRAMES: usize = 4;

/// The document of a package.
pub(super) enum Document {
    /// As it was received.
    Intact(Content),
    /// Not what its hash says: not to be touched.
    Corrupt,
}

/// Fetches the frames, and compares length and SHA-256.
pub(super) async fn fetch(exchange: &Exchange, claimed: &mut Claimed) -> Result<Document, Trouble> {
    let package = &claimed.package;
    let mut checker = Checker::new(&exchange.settings().spool);
    if let Some(frame) = claimed.frame.take() {
        if !checker.push(frame)? {
            return Ok(Document::Corrupt);
        }
    } else {
        for from in (0..package.parts).step_by(FRAMES) {
            let frames = accept::frames(exchange.db(), package.no, from, FRAMES as u64).await?;
            let pushed = tokio::task::spawn_blocking(move || {
                for frame in frames {
                    if !checker.push(frame)? {
                        return Ok(None);
                    }
                }
                std::io::Result::Ok(Some(checker))
            });
            checker = match pushed.await.map_err(|error| Trouble::Panic(error.to_string()))?? {
                Some(checker) => checker,
                None => return Ok(Document::Corrupt),
            };
        }
    }
    let content = checker.finish();
    let intact = content.bytes == package.content_bytes && content.sha256[..] == package.sha256;
    Ok(if intact { Document::Intact(content) } else { Document::Corrupt })
}
