//! Reading a delivery once: decompressed, hashed, kept, its signature and structure judged.

use std::io::{self, Read};
use std::path::Path;

use crate::codec::inflate::{self, Encoding};
use crate::codec::package::{Seen, Watch};
use crate::codec::xml::{At, Event, Limits, Transcoder};
use crate::codec::xmldsig::{Envelope, EnvelopedSignature, Outcome, Profile, verify_enveloped};
use crate::model::ids::PackageId;
use crate::model::refusal::{Refusal, RefusalCode};
use crate::storage::content::{Collector, Content, Tee};
use crate::trust::certificate::Facts;

/// What a refused delivery told about itself before it was refused. Nothing of it is proven.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traces {
    pub(crate) supplier: Option<String>,
    pub(crate) package: Option<PackageId>,
    pub(crate) sha256: Option<[u8; 32]>,
    /// Who signed, when that is proven and the certificate is registered for nobody.
    pub(crate) stranger: Option<Facts>,
}

/// A document whose digest is right. Who signed it is not yet judged.
pub(crate) struct Examined {
    pub(crate) content: Content,
    pub(crate) signature: EnvelopedSignature,
    /// It is not in UTF-8, which not every supplier may do.
    pub(crate) transcoded: bool,
    /// The structure; refused only after the signature was judged.
    pub(crate) seen: Result<Seen, Refusal>,
}

/// Reads a delivery to its end. Blocks on the body and the spool. Another profile than the expected
/// one costs a second pass.
pub(crate) fn examine(
    body: Box<dyn Read + Send>,
    encoding: Encoding,
    limits: inflate::Limits,
    spool: &Path,
    expected: &Profile,
) -> (Traces, Result<Examined, Refusal>) {
    let mut traces = Traces::default();
    let source = inflate::open(encoding, body, limits);
    let mut collector = Collector::new(spool);
    let mut watch = Watch::new();
    let mut source = Transcoder::new(Tee::new(source, &mut collector));
    let outcome = pass(&mut source, expected, &mut watch);
    let transcoded = source.transcoded();
    drop(source);
    if let Some(header) = watch.header() {
        traces.supplier = Some(header.supplier.clone());
        traces.package = Some(header.package_id);
    }
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(refusal) => return (traces, Err(refusal)),
    };
    let content = match collector.finish() {
        Ok(content) => content,
        Err(error) => return (traces, Err(spool_failed(&error))),
    };
    traces.sha256 = Some(content.sha256);
    let signature = match outcome {
        Outcome::Signed(signature) => Ok(signature),
        Outcome::Again(profile) => again(&content, &profile, &mut watch),
    };
    let examined = signature.map(|signature| {
        let seen = watch.finish();
        Examined { content, signature, transcoded, seen }
    });
    (traces, examined)
}

/// The second pass, over the document as kept, for the few signatures that need one.
fn again(
    content: &Content,
    profile: &Profile,
    watch: &mut Watch,
) -> Result<EnvelopedSignature, Refusal> {
    let reader = content.frames.reader().map_err(|error| spool_failed(&error))?;
    *watch = Watch::new();
    match pass(Transcoder::new(reader), profile, watch)? {
        Outcome::Signed(signature) => Ok(signature),
        Outcome::Again(_) => Err(RefusalCode::SigTransform.into()),
    }
}

fn pass(source: impl Read, profile: &Profile, watch: &mut Watch) -> Result<Outcome, Refusal> {
    let envelope = Envelope::package(Limits::default());
    verify_enveloped(source, envelope, profile, &mut |event: &Event<'_>, at: At<'_>| {
        watch.note(event, || at.place());
        Ok(())
    })
}

fn spool_failed(error: &io::Error) -> Refusal {
    tracing::error!(%error, "the spool failed");
    RefusalCode::StoreUnavailable.into()
}
