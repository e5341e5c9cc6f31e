//! A document signed as a whole: the signature is a child of the root and covers all else.

use std::io::Read;

use memchr::{memchr, memmem};

use super::algorithm::{SMEV, digest_from_uri};
use super::grammar::Grammar;
use super::ids::Ids;
use super::parsed::{Parsed, has_token};
use super::{DSIG, DigestAlgorithm, EnvelopedSignature};
use crate::codec::c14n::{Inherited, write_instruction};
use crate::codec::digest::Digest;
use crate::codec::form::{Form, FormWriter};
use crate::codec::xml::{At, Event, Instruction, Limits, Reader, Start};
use crate::model::refusal::{Refusal, RefusalCode};

/// Bytes at the end of a document that a signature with its certificates takes.
pub const TAIL: usize = 16 << 10;

/// Longest tag of a digest method.
const MAX_TAG: usize = 256;

/// What a pass must know before it comes to the signature, which stands last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// The hash of the reference.
    pub digest: DigestAlgorithm,
    /// What is hashed of the root.
    pub form: Form,
    /// The reference is to the document, so that instructions outside the root are hashed too.
    pub document: bool,
}

impl Profile {
    /// What a signature among these bytes seems to use, so that one pass will do. Nothing depends
    /// on it: the pass compares it with what is signed.
    pub fn guess(bytes: &[u8]) -> Self {
        let uri_after = |mark: &[u8]| {
            let from = memmem::rfind(bytes, mark)? + mark.len();
            let near = &bytes[from..bytes.len().min(from + MAX_TAG)];
            let tag = std::str::from_utf8(&near[..memchr(b'>', near)?]).ok()?;
            tag.split(['"', '\'']).nth(1)
        };
        let digest = uri_after(b"DigestMethod").and_then(|uri| digest_from_uri(uri).ok());
        let smev = memmem::find(bytes, SMEV.as_bytes()).is_some();
        let form = Form { smev, ..Form::default() };
        Self { digest: digest.unwrap_or_default(), form, document: false }
    }

    /// The same of the end of a document, where signatures usually stand.
    fn guess_of(document: &[u8]) -> Self {
        Self::guess(&document[document.len().saturating_sub(TAIL)..])
    }
}

/// What an enveloped document may look like.
#[derive(Clone, Copy, Debug)]
pub struct Envelope {
    /// Limits of the reader.
    pub limits: Limits,
    /// The signature is the last child of the root.
    pub signature_last: bool,
}

impl Envelope {
    /// A package: nothing but blanks may follow the signature.
    pub fn package(limits: Limits) -> Self {
        Self { limits, signature_last: true }
    }
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
    envelope: Envelope,
    profile: &Profile,
    observer: &mut impl FnMut(&Event<'_>, At<'_>) -> Result<(), Refusal>,
) -> Result<Outcome, Refusal> {
    let mut reader = Reader::new(source, envelope.limits);
    let mut pass = Pass {
        envelope,
        writer: FormWriter::hashing(profile.digest, &profile.form),
        document: profile.document,
        inherited: Inherited::default(),
        root: Root::Ahead,
        beside_root: false,
        ids: Ids::default(),
        signature: None,
        elsewhere: None,
    };
    loop {
        let (event, at) = reader.step()?;
        let covered = match &event {
            Event::Start(start) => pass.start(*start, &event)?,
            Event::Text(text) => pass.text(text, at)?,
            Event::End(end) => {
                if end.depth() == 1 {
                    pass.root = Root::Closed;
                }
                true
            }
            Event::Instruction(instruction) => pass.instruction(*instruction),
            Event::Eof => break,
        };
        if covered {
            pass.writer.event(&event, at)?;
            observer(&event, at)?;
        } else if matches!(event, Event::Start(_)) {
            pass.writer.pause(at);
            let parsed = Grammar::read(&mut reader, &mut pass.ids, &pass.inherited)?;
            pass.signature = Some(parsed);
        }
    }
    pass.verdict(profile)
}

/// [`verify_enveloped`] over a document in memory, with a second pass when it needs one.
pub fn verify_bytes(document: &[u8], envelope: Envelope) -> Result<EnvelopedSignature, Refusal> {
    let mut profile = Profile::guess_of(document);
    for _ in 0..2 {
        match verify_enveloped(document, envelope, &profile, &mut |_, _| Ok(()))? {
            Outcome::Signed(signature) => return Ok(signature),
            Outcome::Again(other) => profile = other,
        }
    }
    Err(RefusalCode::SigTransform.into())
}

/// Where the pass is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Root {
    Ahead,
    Open,
    Closed,
}

struct Pass {
    envelope: Envelope,
    writer: FormWriter<Digest>,
    /// Instructions outside the root are hashed.
    document: bool,
    /// Attributes of the prefix `xml` of the root.
    inherited: Inherited,
    root: Root,
    /// There are instructions outside the root.
    beside_root: bool,
    ids: Ids,
    signature: Option<Parsed>,
    /// Something like a signature stands where it does not count: what is wrong if no other is there.
    elsewhere: Option<RefusalCode>,
}

impl Pass {
    /// Looks at a start tag; false when the signature begins here.
    fn start(&mut self, start: Start<'_>, event: &Event<'_>) -> Result<bool, Refusal> {
        let place = |code| Refusal::new(code).at(start.place());
        if let Some(signature) = &self.signature
            && self.envelope.signature_last
        {
            // What follows the signature may be what it really signs.
            self.ids.see(start)?;
            let code = self.ids.judge(&signature.uri, true).err();
            let Some(code) = code else {
                let what = "после ds:Signature стоит ещё элемент: подпись должна быть последней";
                return Err(place(RefusalCode::SigStructure).detail(what));
            };
            return Err(place(code));
        }
        if start.depth() == 1 {
            self.root = Root::Open;
            self.ids = Ids::of(start)?;
            self.inherited.event(event);
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
        if foreign || self.signature.is_some() {
            let second = "в корне больше одной ds:Signature";
            let what = if foreign { "у ds:Signature лишний атрибут" } else { second };
            return Err(place(RefusalCode::SigStructure).detail(what));
        }
        Ok(false)
    }

    /// Looks at text; after the signature of a package only blanks may stand.
    fn text(&self, text: &str, at: At<'_>) -> Result<bool, Refusal> {
        let over = self.signature.is_some() && self.envelope.signature_last;
        if over && !text.bytes().all(|byte| byte.is_ascii_whitespace()) {
            let what = "после ds:Signature стоит текст";
            return Err(Refusal::new(RefusalCode::SigStructure).at(at.place()).detail(what));
        }
        Ok(true)
    }

    /// Looks at an instruction; one outside the root stands on a line of its own in the canonical
    /// form of a document, and the transform of SMEV drops it.
    fn instruction(&mut self, instruction: Instruction<'_>) -> bool {
        if self.root == Root::Open {
            return true;
        }
        self.beside_root = true;
        if self.document {
            let mut line = Vec::new();
            write_instruction(&mut line, instruction);
            let at = if self.root == Root::Ahead { line.len() } else { 0 };
            line.insert(at, b'\n');
            self.writer.raw(&line);
        }
        false
    }

    fn verdict(self, profile: &Profile) -> Result<Outcome, Refusal> {
        let Some(parsed) = self.signature else {
            let code = self.elsewhere.unwrap_or(RefusalCode::SigMissing);
            return Err(match code {
                RefusalCode::SigStructure => {
                    let what = "Signature в корне не из пространства имён XMLDSig";
                    Refusal::new(code).detail(what)
                }
                RefusalCode::SigWrapping => {
                    Refusal::new(code).detail("ds:Signature стоит не прямо в корне документа")
                }
                _ => code.into(),
            });
        };
        self.ids.judge(&parsed.uri, true)?;
        if self.elsewhere == Some(RefusalCode::SigWrapping) {
            let what = "кроме подписи в корне есть ещё ds:Signature глубже";
            return Err(Refusal::new(RefusalCode::SigStructure).detail(what));
        }
        let (enveloped, form) = parsed.form()?;
        if !enveloped {
            let what = "среди преобразований нет enveloped-signature";
            return Err(Refusal::new(RefusalCode::SigTransform).detail(what));
        }
        if parsed.token.is_some() {
            return Err(has_token());
        }
        let document = if self.beside_root { parsed.uri.is_empty() } else { profile.document };
        let needed = Profile { digest: parsed.digest, form, document };
        if needed != *profile {
            return Ok(Outcome::Again(needed));
        }
        let digest = self.writer.finish();
        parsed.signed(digest, needed).map(Outcome::Signed)
    }
}
