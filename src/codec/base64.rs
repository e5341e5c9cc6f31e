//! Base64 decoded piece by piece, as the text of an element arrives.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::model::refusal::{Refusal, RefusalCode};

/// Decodes pieces of base64 text; XML whitespace between characters is skipped.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Characters of an unfinished group of four.
    pending: Vec<u8>,
    /// A padded group was seen: only whitespace may follow.
    padded: bool,
}

impl Decoder {
    /// Decodes another piece and appends the bytes to `out`.
    ///
    /// # Errors
    /// `BASE64`: a character outside the alphabet, wrong padding, or data after it.
    pub fn push(&mut self, text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
        self.pending.extend(text.bytes().filter(|byte| !b" \t\r\n".contains(byte)));
        if self.pending.is_empty() {
            return Ok(());
        }
        if self.padded {
            return Err(refused("данные после заполнителя «=»"));
        }
        let whole = self.pending.len() / 4 * 4;
        STANDARD
            .decode_vec(&self.pending[..whole], out)
            .map_err(|_| refused("символ вне алфавита или неверное заполнение"))?;
        self.padded = self.pending[..whole].ends_with(b"=");
        self.pending.drain(..whole);
        if self.padded && !self.pending.is_empty() {
            return Err(refused("данные после заполнителя «=»"));
        }
        Ok(())
    }

    /// Ends the text.
    ///
    /// # Errors
    /// `BASE64`: the last group is incomplete.
    pub fn finish(&self) -> Result<(), Refusal> {
        if self.pending.is_empty() {
            Ok(())
        } else {
            Err(refused("длина не кратна четырём"))
        }
    }
}

/// Encodes bytes as one line of base64.
pub fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn refused(detail: &str) -> Refusal {
    Refusal::new(RefusalCode::Base64).detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(pieces: &[&str]) -> Option<Vec<u8>> {
        let (mut decoder, mut out) = (Decoder::default(), Vec::new());
        for piece in pieces {
            decoder.push(piece, &mut out).ok()?;
        }
        decoder.finish().ok().map(|()| out)
    }

    #[test]
    fn pieces_and_whitespace_do_not_matter() {
        assert_eq!(decode(&["SGVs", "bG8="]), Some(b"Hello".to_vec()));
        assert_eq!(decode(&["S", "GV\r\n sbG", "8", "=", "\n"]), Some(b"Hello".to_vec()));
        assert_eq!(decode(&[""]), Some(Vec::new()));
    }

    #[test]
    fn noise_and_wrong_padding_are_refused() {
        for bad in ["SGVs!G8=", "SGVsbG8", "SG=sbG8=", "SGVsbG8=SGVs", "SGVsbG8==", "====", "S-Vs"]
        {
            assert_eq!(decode(&[bad]), None, "{bad}");
            let letters: Vec<String> = bad.chars().map(String::from).collect();
            let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
            assert_eq!(decode(&letters), None, "{bad} by letters");
        }
    }
}
