//! Accepting a package: examined, its signer judged, durable, receipted.

use std::io::Read;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::codec::inflate::Encoding;
use crate::codec::package::Seen;
use crate::codec::receipt::{Subject, hex};
use crate::exchange::admin::stored;
use crate::exchange::commit::{self, Outcome, Pending, Written};
use crate::exchange::delivery::{Accepted, Delivery};
use crate::exchange::examine::{Examined, Traces, examine};
use crate::exchange::parties::{Party, Picture};
use crate::exchange::{Exchange, receipt};
use crate::model::ids::{AttemptId, PackageNo};
use crate::model::package::Header;
use crate::model::refusal::{Refusal, RefusalCode};
use crate::storage::content::compress;
use crate::storage::db::DbError;
use crate::storage::journal::accept::NewPackage;
use crate::storage::journal::refusal::Refused;
use crate::telemetry::{ACCEPT_SECONDS, ACCEPTED_TOTAL, REFUSED_TOTAL};

/// How long a supplier waits for a commit before it is told to come again.
const COMMIT_PATIENCE: Duration = Duration::from_secs(10);

impl Exchange {
    /// Takes a package. When this answers with a receipt, the package is durable; when it
    /// refuses, nothing is claimed, and sending the same bytes again is always safe.
    ///
    /// # Errors
    /// The refusal for the supplier.
    pub async fn accept(&self, delivery: Delivery) -> Result<Accepted, Refusal> {
        let began = Instant::now();
        let peer = delivery.peer.clone();
        let mut traces = Traces::default();
        let result = match self.0.deliveries.try_acquire() {
            Ok(_permit) => self.try_accept(delivery, &mut traces).await,
            Err(_) => Err(RefusalCode::TooManyRequests.into()),
        };
        match &result {
            Ok(accepted) => {
                let outcome = if accepted.duplicate { "duplicate" } else { "accepted" };
                metrics::counter!(ACCEPTED_TOTAL, "outcome" => outcome).increment(1);
            }
            Err(refusal) => self.note(refusal, traces, peer),
        }
        metrics::histogram!(ACCEPT_SECONDS).record(began.elapsed());
        result
    }

    async fn try_accept(
        &self,
        delivery: Delivery,
        traces: &mut Traces,
    ) -> Result<Accepted, Refusal> {
        let Delivery { body, small, encoding, declared_utf8, expected_id, peer, .. } = delivery;
        // A small body that is compressed may be a large document.
        let small = small && encoding == Encoding::Plain;
        let (seen_traces, examined) = self.examine(body, encoding, small).await?;
        *traces = seen_traces;
        let Examined { content, signature, transcoded, seen } = examined?;
        let picture = self.0.parties.picture().await?;
        let received_at = self.clock().now();
        let signer = picture.trust.verify(&signature, received_at)?;
        let signer_sha256 = signer.facts.sha256.clone();
        let Seen { header, records, .. } = seen?;
        if expected_id.is_some_and(|expected| expected != header.package_id) {
            return Err(RefusalCode::PackageIdMismatch.into());
        }
        let party = entitled(&picture, &header.supplier, &signer_sha256);
        if party.as_ref().is_err_and(|refusal| refusal.code == RefusalCode::CertUnknown) {
            traces.stranger = Some(signer.facts.clone());
        }
        let party = party?;
        check_settings(&party, &header, transcoded, declared_utf8)?;
        *self.0.expected.lock().unwrap_or_else(PoisonError::into_inner) = signature.profile;
        check_channel(&picture, &party, delivery.channel_certificate.as_deref())?;
        let new = NewPackage {
            no: PackageNo(self.id("package").await?),
            attempt: AttemptId(self.id("attempt").await?),
            supplier: party.supplier.id,
            partition: party.partition,
            header,
            records,
            content,
            signer_sha256,
            revocation_known: picture.trust.knows_revocation(&signer, received_at),
            peer,
            received_at,
            receipt: Vec::new(),
        };
        self.make_durable(new, &party.supplier.mnemonic).await
    }

    /// Reads a delivery: a small document on this thread, others on one that may block.
    async fn examine(
        &self,
        body: Box<dyn Read + Send>,
        encoding: Encoding,
        small: bool,
    ) -> Result<(Traces, Result<Examined, Refusal>), Refusal> {
        let (limits, spool) = (self.settings().inflate, &self.settings().spool);
        let expected = self.0.expected.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if small {
            return Ok(examine(body, encoding, limits, spool, &expected));
        }
        let permit = Arc::clone(&self.0.large).acquire_owned().await;
        let spool = spool.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            examine(body, encoding, limits, &spool, &expected)
        });
        reading.await.map_err(|error| {
            tracing::error!(%error, "examining a delivery broke off");
            RefusalCode::Internal.into()
        })
    }

    async fn make_durable(&self, mut new: NewPackage, supplier: &str) -> Result<Accepted, Refusal> {
        let subject = Subject {
            number: new.no,
            package: new.header.package_id,
            supplier,
            sha256: &new.content.sha256,
            bytes: new.content.bytes,
            records: new.records,
            sequence: new.header.sequence,
            received_at: new.received_at,
        };
        let xml = receipt::first(self.signer(), &subject)?;
        new.receipt = compress(&xml).map_err(|_| RefusalCode::StoreUnavailable)?;
        let (number, package) = (new.no, new.header.package_id);
        let (number, receipt, duplicate) = match self.commit(new, supplier.into()).await? {
            Written::New => (number, xml, false),
            Written::Known(number, receipt) => (number, receipt, true),
        };
        Ok(Accepted { receipt, duplicate, package, number, supplier: supplier.to_owned() })
    }

    async fn commit(&self, new: NewPackage, supplier: Arc<str>) -> Outcome {
        if !new.content.frames.in_memory() {
            return self.commit_spooled(new, supplier).await;
        }
        let (answer, answered) = oneshot::channel();
        let pending = Pending { package: new, supplier, answer };
        self.0.commits.send(pending).await.map_err(|_| RefusalCode::StoreUnavailable)?;
        match timeout(COMMIT_PATIENCE, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) | Err(_) => Err(RefusalCode::StoreUnavailable.into()),
        }
    }

    /// A large package has a transaction of its own, which takes as long as it takes.
    async fn commit_spooled(&self, new: NewPackage, supplier: Arc<str>) -> Outcome {
        let _permit = self.0.large_commits.acquire().await;
        match commit::write(self, &[(new, supplier)]).await {
            Ok(mut outcomes) => outcomes.pop().unwrap_or(Err(RefusalCode::StoreUnavailable.into())),
            Err(error) => {
                tracing::error!(error = %commit::told(&error), "a package could not be committed");
                Err(RefusalCode::StoreUnavailable.into())
            }
        }
    }

    async fn id(&self, name: &'static str) -> Result<i64, Refusal> {
        self.ids().one(name).await.map_err(|error| unavailable(&error))
    }

    /// Counts and logs a refusal, and hands it to the journal if its supplier is one of ours.
    fn note(&self, refusal: &Refusal, traces: Traces, peer: String) {
        let code = refusal.code.as_str();
        metrics::counter!(REFUSED_TOTAL, "code" => code).increment(1);
        let supplier = traces.supplier.filter(|supplier| self.0.parties.knows(supplier));
        let package = traces.package.map(|package| package.to_string());
        tracing::info!(
            code,
            supplier = supplier.as_deref(),
            package.id = package.as_deref(),
            peer,
            "delivery refused"
        );
        if supplier.is_some() {
            let refused = Refused {
                supplier,
                package_id: package,
                sha256: traces.sha256.map(|sha256| hex(&sha256)),
                stranger: traces.stranger.as_ref().map(stored),
                ..Refused::new(refusal, peer, self.clock().now())
            };
            if self.0.refused.try_send(refused).is_err() {
                tracing::debug!("too many refusals to keep them all");
            }
        }
    }
}

/// The supplier the header names, if this certificate is its own and it is not blocked.
fn entitled(picture: &Picture, mnemonic: &str, signer: &str) -> Result<Arc<Party>, Refusal> {
    let party = picture.supplier(mnemonic).ok_or(RefusalCode::SupplierUnknown)?;
    match picture.owner(signer) {
        None => Err(RefusalCode::CertUnknown.into()),
        Some(owner) if owner != party.supplier.id => Err(RefusalCode::SignerMismatch.into()),
        Some(_) if party.supplier.blocked => Err(RefusalCode::SupplierBlocked.into()),
        Some(_) => Ok(Arc::clone(party)),
    }
}

/// What not every supplier may send.
fn check_settings(
    party: &Party,
    header: &Header,
    transcoded: bool,
    declared_utf8: bool,
) -> Result<(), Refusal> {
    if transcoded && declared_utf8 {
        return Err(RefusalCode::XmlEncodingConflict.into());
    }
    if transcoded && !party.supplier.other_encodings {
        return Err(RefusalCode::XmlEncoding.into());
    }
    if header.test && !party.supplier.test_packages {
        return Err(RefusalCode::TestMode.into());
    }
    Ok(())
}

/// A client certificate that we know as another supplier's is refused; one that is nobody's,
/// an operator's proxy for example, says nothing.
fn check_channel(picture: &Picture, party: &Party, channel: Option<&[u8]>) -> Result<(), Refusal> {
    let owner = channel.and_then(|der| picture.owner(&hex(&openssl::sha::sha256(der))));
    match owner {
        Some(owner) if owner != party.supplier.id => Err(RefusalCode::ChannelSigner.into()),
        _ => Ok(()),
    }
}

fn unavailable(error: &DbError) -> Refusal {
    tracing::error!(%error, "the store is unavailable");
    RefusalCode::StoreUnavailable.into()
}
