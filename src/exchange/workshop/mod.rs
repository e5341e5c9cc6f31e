//! The signature workshop: judges any signed document by a profile, without a database, and tells
//! what it saw.

mod diagnose;
mod explain;
mod place;
mod profile;
mod wording;

use std::io::{self, Read};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::codec::mtom;
use crate::codec::receipt;
use crate::codec::shape::{self, Attachment, Plan, Role, Spot};
use crate::codec::xml::{At, Event, Limits, Reader, Transcoder};
use crate::codec::xmldsig;
use crate::codec::xmldsig::{Envelope, EnvelopedSignature, Look, Outcome, verify_enveloped};
use crate::model::refusal::{Refusal, RefusalCode, refusal_of};
use crate::trust::certificate::Facts;
use crate::trust::store::signer_of;
use crate::trust::{SignerCertificate, TrustStore};

pub use explain::{Explanation, Stage};
pub use place::{named, xpath};
pub use profile::{Profile, UnknownProfile};

/// Largest message that is read whole; packages and receipts are read as a stream.
const MAX_MESSAGE: u64 = 64 << 20;

/// Opens the document from its first byte.
pub type Open<'a> = &'a dyn Fn() -> io::Result<Box<dyn Read>>;

/// A document that can be read more than once.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// Opens it.
    pub open: Open<'a>,
    /// Its end, for a guess that saves a second reading; may be empty.
    pub tail: &'a [u8],
}

/// A signature that was found to be right, and whose it is.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// Whose it is, by its place.
    pub role: Role,
    /// What was signed.
    pub signature: EnvelopedSignature,
    /// Who signed.
    pub signer: Arc<SignerCertificate>,
    /// Whether it is known, as far as anybody was asked, that the signer has not been revoked: a stale
    /// list does not tell.
    pub known: bool,
}

/// The PKCS#7 of a file that was found to be right.
#[derive(Clone, Debug)]
pub struct AcceptedFile {
    /// Id of the file in the message.
    pub id: String,
    /// Who signed.
    pub signer: Arc<SignerCertificate>,
    /// As of [`Accepted`].
    pub known: bool,
}

/// What a document is worth.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Signatures that are right, the outermost first; also those before one that is refused.
    pub accepted: Vec<Accepted>,
    /// The same of files.
    pub files: Vec<AcceptedFile>,
    /// Why the document is refused; nothing when it is accepted.
    pub refusal: Option<Refusal>,
    /// Names from the root to what holds the signature that is refused.
    pub holder: Option<shape::Path>,
    /// Subject of the certificate by whose key the refused signature was made.
    pub signer: Option<String>,
}

/// Judges documents by one trust store at one instant.
pub struct Workshop {
    store: Arc<TrustStore>,
    at: DateTime<Utc>,
}

impl Workshop {
    /// Judges by these anchors and lists as of `at`.
    pub fn new(store: Arc<TrustStore>, at: DateTime<Utc>) -> Self {
        Self { store, at }
    }

    /// Judges a document: all its signatures, the outermost first. `INTERNAL` when it cannot be read.
    pub fn judge(&self, profile: &Profile, source: Source<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        let judged = if profile.is_whole() {
            self.enveloped(profile, source, &mut verdict)
        } else {
            self.message(profile, source, &mut verdict)
        };
        verdict.refusal = judged.err();
        verdict
    }

    /// The signatures that a message must have, by profile.
    ///
    /// # Errors
    /// What is wrong with the message itself.
    pub fn plan(&self, profile: &Profile, document: &[u8]) -> Result<Plan, Refusal> {
        match profile {
            Profile::Detached { namespace, local } => shape::detached(document, namespace, local),
            Profile::Smev2 => shape::smev2(document, self.at),
            _ => shape::smev3(document),
        }
    }

    /// A document signed as a whole, read once or twice in constant memory.
    fn enveloped(
        &self,
        profile: &Profile,
        source: Source<'_>,
        verdict: &mut Verdict,
    ) -> Result<(), Refusal> {
        let signature = self.enveloped_digest(profile, source).map_err(|refusal| {
            let look = || {
                let document = whole(source.open).ok()?;
                let (namespace, local) = root_name(&document, envelope().limits).ok()?;
                Spot::of_root(&namespace, &local).look(&document, envelope().limits).ok()
            };
            self.withdrawn(refusal, look)
        })?;
        self.trusted(Role::System, signature, verdict)
    }

    /// Judges structure and digest of a document signed as a whole.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn enveloped_digest(
        &self,
        by: &Profile,
        source: Source<'_>,
    ) -> Result<EnvelopedSignature, Refusal> {
        let root = (*by == Profile::Receipt).then_some((receipt::NAMESPACE, "Receipt"));
        let mut profile = xmldsig::Profile::guess(source.tail);
        for _ in 0..2 {
            let document = Transcoder::new((source.open)().map_err(|error| unreadable(&error))?);
            let mut watch = |event: &Event<'_>, at: At<'_>| match (root, event) {
                (Some((namespace, local)), Event::Start(start))
                    if start.depth() == 1 && !start.is(namespace, local) =>
                {
                    Err(Refusal::new(RefusalCode::PackageRoot).at(at.place()))
                }
                _ => Ok(()),
            };
            match verify_enveloped(document, envelope(), &profile, &mut watch)? {
                Outcome::Signed(signature) => return Ok(signature),
                Outcome::Again(other) => profile = other,
            }
        }
        Err(RefusalCode::SigTransform.into())
    }

    /// A message, read whole.
    fn message(
        &self,
        profile: &Profile,
        source: Source<'_>,
        verdict: &mut Verdict,
    ) -> Result<(), Refusal> {
        let document = whole(source.open)?;
        let plan = self.plan(profile, &document)?;
        for spot in &plan.spots {
            verdict.holder = Some(spot.holder.clone());
            let limits = profile.limits();
            let signature = spot.verify(&document, limits).map_err(|refusal| {
                let refusal = self.withdrawn(refusal, || spot.look(&document, limits).ok());
                profile.about(spot.role, refusal)
            })?;
            let trusted = self.trusted(spot.role, signature, verdict);
            trusted.map_err(|refusal| profile.about(spot.role, refusal))?;
        }
        verdict.holder = None;
        for attachment in &plan.attachments {
            verdict.files.push(self.file(attachment)?);
        }
        plan.flaw.map_or(Ok(()), Err)
    }

    /// Judges the PKCS#7 of a file.
    fn file(&self, attachment: &Attachment) -> Result<AcceptedFile, Refusal> {
        let id = attachment.id.clone();
        let about = |refusal: Refusal| {
            let what = refusal.detail.as_deref().map(|what| format!(": {what}"));
            let detail = format!("вложение {id}{}", what.unwrap_or_default());
            refusal.detail(detail)
        };
        let Some(signature) = &attachment.signature else {
            // Its header is signed, but nothing in that says what the file is.
            let refusal = Refusal::new(RefusalCode::SigCoverage);
            return Err(about(refusal.detail("в его заголовке нет SignaturePKCS7")));
        };
        let judged = self.store.verify_file(signature, &attachment.content, self.at);
        let signer = judged.map_err(about)?;
        let known = self.store.knows_revocation(&signer, self.at);
        Ok(AcceptedFile { id: attachment.id.clone(), signer, known })
    }

    /// Judges the certificate and the value of a signature whose digest is right.
    fn trusted(
        &self,
        role: Role,
        signature: EnvelopedSignature,
        verdict: &mut Verdict,
    ) -> Result<(), Refusal> {
        match self.store.verify(&signature, self.at) {
            Ok(signer) => {
                let known = self.store.knows_revocation(&signer, self.at);
                verdict.accepted.push(Accepted { role, signature, signer, known });
                Ok(())
            }
            Err(refusal) => {
                let EnvelopedSignature { algorithm, signed_info, value, .. } = &signature;
                let leaf = signer_of(&signature.certificates);
                // A name is told only of whoever had the key.
                let made = |leaf: &&Vec<u8>| {
                    self.store.value_is_right(*algorithm, leaf, signed_info, value)
                };
                let facts = leaf.filter(made).and_then(|leaf| Facts::of_der(leaf).ok());
                verdict.signer = facts.map(|facts| facts.subject);
                Err(refusal)
            }
        }
    }

    /// The refusal of a digest; where it is one that does not count any more, that is said, since then
    /// the hash of another set of parameters may have been meant.
    fn withdrawn(&self, refusal: Refusal, look: impl FnOnce() -> Option<Look>) -> Refusal {
        if refusal.code != RefusalCode::SigDigest {
            return refusal;
        }
        let other = look().and_then(|look| self.store.admit(&look.signature).err());
        match other.and_then(|other| other.detail) {
            Some(what) => refusal.detail(what),
            None => refusal,
        }
    }
}

/// Namespace and local name of the document element.
fn root_name(document: &[u8], limits: Limits) -> Result<(String, String), Refusal> {
    let mut reader = Reader::new(document, limits);
    loop {
        match reader.next()? {
            Event::Start(start) => {
                return Ok((start.namespace().to_owned(), start.local().to_owned()));
            }
            Event::Eof => return Err(RefusalCode::XmlMalformed.into()),
            Event::Text(_) | Event::End(_) | Event::Instruction(_) => {}
        }
    }
}

/// What a document signed as a whole may look like here: the signature may stand anywhere among
/// the children of the root, instructions are read as canonicalisation does, comments are refused.
pub fn envelope() -> Envelope {
    let limits =
        Limits { instructions: 1024, comments: false, text: 64 << 20, ..Limits::default() };
    Envelope { limits, signature_last: false }
}

/// The whole of a message, in UTF-8; one that was saved with its MTOM parts gets them back.
///
/// # Errors
/// `LIMIT_BYTES`, or what keeps it from being read.
pub fn whole(open: Open<'_>) -> Result<Vec<u8>, Refusal> {
    let source = open().map_err(|error| unreadable(&error))?;
    let mut document = Vec::new();
    let read = Transcoder::new(source).take(MAX_MESSAGE + 1).read_to_end(&mut document);
    read.map_err(|error| refusal_of(&error).unwrap_or_else(|| unreadable(&error)))?;
    if document.len() as u64 > MAX_MESSAGE {
        return Err(RefusalCode::LimitBytes.into());
    }
    if mtom::is_saved(&document) {
        let limits = Limits { comments: true, ..shape::limits() };
        return mtom::saved(document, limits, MAX_MESSAGE);
    }
    Ok(document)
}

fn unreadable(error: &io::Error) -> Refusal {
    Refusal::new(RefusalCode::Internal).detail(error.to_string())
}
