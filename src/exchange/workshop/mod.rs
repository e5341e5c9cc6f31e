//! The signature workshop: judges any signed document by a profile, without a database, and tells
//! what it saw.

mod diagnose;
mod explain;
mod profile;

use std::io::{self, Read};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::codec::mtom;
use crate::codec::receipt;
use crate::codec::shape::{self, Plan, Role};
use crate::codec::xml::{At, Event, Limits, Transcoder};
use crate::codec::xmldsig;
use crate::codec::xmldsig::{Envelope, EnvelopedSignature, Outcome, verify_enveloped};
use crate::model::refusal::{Refusal, RefusalCode, refusal_of};
use crate::trust::{SignerCertificate, TrustStore};

pub use explain::{Explanation, Stage};
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

    /// The trust store.
    pub fn store(&self) -> &TrustStore {
        &self.store
    }

    /// As of when is judged.
    pub fn at(&self) -> DateTime<Utc> {
        self.at
    }

    /// Judges a document: all its signatures, the outermost first.
    ///
    /// # Errors
    /// The refusal; `INTERNAL` when the document cannot be read.
    pub fn verify(&self, profile: &Profile, source: Source<'_>) -> Result<Vec<Accepted>, Refusal> {
        match profile {
            Profile::Enveloped => self.enveloped(source, None),
            Profile::Receipt => self.enveloped(source, Some((receipt::NAMESPACE, "Receipt"))),
            _ => {
                let document = whole(source.open)?;
                let plan = self.plan(profile, &document)?;
                self.message(profile, &plan, &document)
            }
        }
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
        source: Source<'_>,
        root: Option<(&str, &str)>,
    ) -> Result<Vec<Accepted>, Refusal> {
        let signature = self.enveloped_digest(source, root)?;
        let signer = self.store.verify(&signature, self.at)?;
        Ok(vec![Accepted { role: Role::System, signature, signer }])
    }

    /// Judges structure and digest of a document signed as a whole.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn enveloped_digest(
        &self,
        source: Source<'_>,
        root: Option<(&str, &str)>,
    ) -> Result<EnvelopedSignature, Refusal> {
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

    fn message(
        &self,
        profile: &Profile,
        plan: &Plan,
        document: &[u8],
    ) -> Result<Vec<Accepted>, Refusal> {
        let mut accepted = Vec::new();
        for spot in &plan.spots {
            let signature = spot.verify(document, profile.limits())?;
            let signer = self.store.verify(&signature, self.at)?;
            accepted.push(Accepted { role: spot.role, signature, signer });
        }
        for attachment in &plan.attachments {
            let about = |refusal: Refusal| refusal.detail(format!("вложение {}", attachment.id));
            // Its header is signed, but nothing in that says what the file is.
            let signature = attachment.signature.as_ref();
            let signature =
                signature.ok_or_else(|| about(Refusal::new(RefusalCode::SigCoverage)))?;
            self.store.verify_file(signature, &attachment.content, self.at).map_err(about)?;
        }
        match plan.flaw {
            Some(flaw) => Err(flaw.into()),
            None => Ok(accepted),
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
