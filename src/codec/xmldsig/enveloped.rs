//! A document signed as a whole: the signature is the last child of the root and covers all else.

use std::io::Read;

use super::grammar::{Grammar, Ids, Parsed};
use super::{DSIG, DigestAlgorithm, ENVELOPED, EXCLUSIVE, EnvelopedSignature};
use crate::codec::c14n::{Canonicaliser, Digest};
use crate::codec::xml::{At, Event, Limits, Reader, Start};
use crate::model::refusal::{Refusal, RefusalCode};

/// What a pass must know before it comes to the signature, which stands last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// The hash of the reference.
    pub digest: DigestAlgorithm,
    /// Prefixes of its `InclusiveNamespaces`; the empty one is `#default`.
    pub prefixes: Vec<String>,
}

/// What a pass found.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The digest is right: verify the value.
    Signed(EnvelopedSignature),
    /// The signature uses another profile: run again with this one.
    Again(Profile),
}

/// Reads a document once, to its end: judges the structure of its signature and compares the
/// digest. The observer sees exactly the events that the digest covers, in order, as they come,
/// before the verdict is known; it may refuse.
pub fn verify_enveloped<R: Read>(
    source: R,
    limits: Limits,
    profile: &Profile,
    observer: &mut impl FnMut(&Event<'_>, At<'_>) -> Result<(), Refusal>,
) -> Result<Outcome, Refusal> {
    let mut reader = Reader::new(source, limits);
    let digest = Digest::new(profile.digest);
    let mut pass = Pass {
        canonicaliser: Canonicaliser::with_prefixes(digest, profile.prefixes.clone()),
        ids: Ids::default(),
        signature: None,
        elsewhere: None,
    };
    loop {
        let (event, at) = reader.step()?;
        let covered = match &event {
            Event::Start(start) => pass.start(*start)?,
            Event::Text(text) => pass.text(text, at)?,
            Event::End(_) => true,
            Event::Eof => break,
        };
        if covered {
            pass.canonicaliser.event(&event, at);
            observer(&event, at)?;
            continue;
        }
        pass.canonicaliser.pause(at);
        let parsed = Grammar::read(&mut reader, &mut pass.ids)?;
        pass.signature = Some(parsed);
    }
    pass.verdict(profile)
}

/// [`verify_enveloped`] over a document in memory, with a second pass when it needs one.
pub fn verify_bytes(document: &[u8], limits: Limits) -> Result<EnvelopedSignature, Refusal> {
    let mut profile = Profile::default();
    for _ in 0..2 {
        match verify_enveloped(document, limits, &profile, &mut |_, _| Ok(()))? {
            Outcome::Signed(signature) => return Ok(signature),
            Outcome::Again(other) => profile = other,
        }
    }
    Err(RefusalCode::SigTransform.into())
}

struct Pass {
    canonicaliser: Canonicaliser<Digest>,
    ids: Ids,
    signature: Option<Parsed>,
    /// Something like a signature stands where it does not count: what is wrong if no other is there.
    elsewhere: Option<RefusalCode>,
}

impl Pass {
    /// Looks at a start tag; false when the signature begins here.
    fn start(&mut self, start: Start<'_>) -> Result<bool, Refusal> {
        let place = |code| Refusal::new(code).at(start.place());
        if let Some(signature) = &self.signature {
            // What follows the signature may be what it really signs.
            self.ids.see(start)?;
            let code = self.ids.judge(&signature.uri, true).err();
            return Err(place(code.unwrap_or(RefusalCode::SigStructure)));
        }
        if start.depth() == 1 {
            self.ids = Ids::of(start)?;
        } else {
            self.ids.see(start)?;
        }
        if !start.qualified().ends_with("Signature") || start.local() != "Signature" {
            return Ok(true);
        }
        let ours = start.namespace() == DSIG;
        if !ours || start.depth() != 2 {
            if start.depth() == 2 {
                self.elsewhere.get_or_insert(RefusalCode::SigStructure);
            } else if ours {
                self.elsewhere = Some(RefusalCode::SigWrapping);
            }
            return Ok(true);
        }
        let foreign = start.attributes().any(|a| !a.prefix.is_empty() || a.local != "Id");
        if foreign {
            return Err(place(RefusalCode::SigStructure));
        }
        Ok(false)
    }

    /// Looks at text; after the signature only blanks may stand.
    fn text(&self, text: &str, at: At<'_>) -> Result<bool, Refusal> {
        if self.signature.is_some() && !text.bytes().all(|byte| byte.is_ascii_whitespace()) {
            return Err(Refusal::new(RefusalCode::SigStructure).at(at.place()));
        }
        Ok(true)
    }

    fn verdict(self, profile: &Profile) -> Result<Outcome, Refusal> {
        let Some(parsed) = self.signature else {
            return Err(self.elsewhere.unwrap_or(RefusalCode::SigMissing).into());
        };
        self.ids.judge(&parsed.uri, true)?;
        if self.elsewhere == Some(RefusalCode::SigWrapping) {
            return Err(RefusalCode::SigStructure.into());
        }
        if parsed.transforms != [ENVELOPED, EXCLUSIVE] {
            return Err(RefusalCode::SigTransform.into());
        }
        let needed = Profile { digest: parsed.digest, prefixes: parsed.prefixes };
        if needed != *profile {
            return Ok(Outcome::Again(needed));
        }
        let digest = self.canonicaliser.into_sink().finish();
        if digest != parsed.digest_value {
            return Err(RefusalCode::SigDigest.into());
        }
        Ok(Outcome::Signed(EnvelopedSignature {
            signed_info: parsed.signed_info,
            algorithm: parsed.algorithm,
            value: parsed.value,
            certificates: parsed.certificates,
            digest,
        }))
    }
}
