//! Revocation while the service runs: registered certificates are asked about at a responder, and
//! packages that were taken are marked when their signer turns out to be revoked.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Client;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::exchange::Exchange;
use crate::model::refusal::RefusalCode;
use crate::storage::audit::{self, Act};
use crate::storage::db::DbError;
use crate::storage::journal::revocation;
use crate::storage::supplier::{self, Certificate};
use crate::trust::TrustStore;
use crate::trust::ocsp::{MAX_ANSWER, Query, Statuses};

/// How often is looked.
const PERIOD: Duration = Duration::from_mins(10);

/// How long a responder may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Counter of questions that were not answered.
const FAILURES_TOTAL: &str = "ocsp_failures_total";
/// Counter of packages whose signer was found to be revoked after they had been taken.
const REVOKED_TOTAL: &str = "packages_of_revoked_signers_total";

/// A responder that speaks OCSP over HTTP. Its address is configured: none that a certificate
/// names is ever asked.
pub struct Responder {
    url: String,
    client: Client,
    statuses: Statuses,
}

/// Why a responder said nothing.
type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Responder {
    /// Asks at this address and keeps what it says in `statuses`.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(url: String, statuses: Statuses) -> Result<Self, reqwest::Error> {
        let client =
            Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
        Ok(Self { url, client: client.build()?, statuses })
    }

    async fn ask(
        &self,
        certificate: &Certificate,
        trust: &TrustStore,
        now: DateTime<Utc>,
    ) -> Result<(), Failure> {
        let signer = match trust.judge(&certificate.der, &[], now) {
            Ok(signer) => signer,
            // Revoked, expired or not trusted: nothing that a responder says would change that.
            Err(refusal) if refusal.code != RefusalCode::CertStatus => return Ok(()),
            Err(_) => trust.judge_path(&certificate.der, &[], now)?,
        };
        let Some(issuer) = &signer.issuer else { return Ok(()) };
        let query = Query::new(&certificate.der, issuer)?;
        let request = self.client.post(&self.url).body(query.der()?);
        let request = request.header("content-type", "application/ocsp-request");
        let mut answer = request.send().await?.error_for_status()?;
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > MAX_ANSWER {
                return Err("the answer is too long".into());
            }
        }
        self.statuses.keep(&certificate.sha256, query.judge(&bytes, trust, now)?);
        Ok(())
    }
}

/// Looks until `stop`.
pub async fn run(exchange: Exchange, responder: Option<Responder>, stop: CancellationToken) {
    let mut marked = BTreeSet::new();
    while !stop.is_cancelled() {
        if let Err(error) = turn(&exchange, responder.as_ref(), &mut marked).await {
            tracing::warn!(%error, "revocation could not be looked at");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}

/// Looks once. `marked` keeps certificates whose packages have been marked already.
///
/// # Errors
/// Of the database; a responder that does not answer is counted and logged.
pub async fn turn(
    exchange: &Exchange,
    responder: Option<&Responder>,
    marked: &mut BTreeSet<String>,
) -> Result<(), DbError> {
    let Ok(picture) = exchange.0.parties.snapshot().await else { return Ok(()) };
    let now = exchange.clock().now();
    for certificate in supplier::certificates_in_use(exchange.db()).await? {
        if let Some(responder) = responder
            && let Err(error) = responder.ask(&certificate, &picture.trust, now).await
        {
            metrics::counter!(FAILURES_TOTAL).increment(1);
            tracing::warn!(%error, sha256 = certificate.sha256, "a responder said nothing");
        }
        match picture.trust.judge(&certificate.der, &[], now) {
            Ok(signer) if picture.trust.knows_revocation(&signer, now) => {
                revocation::known(exchange.db(), &certificate.sha256).await?;
            }
            Err(refusal)
                if refusal.code == RefusalCode::CertRevoked
                    && marked.insert(certificate.sha256.clone()) =>
            {
                mark(exchange, &certificate, now).await?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Marks what a revoked certificate has signed, for review.
async fn mark(
    exchange: &Exchange,
    certificate: &Certificate,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let mut tx = exchange.db().begin().await?;
    let packages = revocation::revoked(&mut tx, &certificate.sha256).await?;
    if packages > 0 {
        let act = Act {
            actor: "kontingent".to_owned(),
            action: "package.signer-revoked",
            object: format!("certificate:{}", certificate.sha256),
            detail: Some(json!({ "packages": packages }).to_string()),
        };
        audit::append(&mut tx, now, vec![act]).await?;
        metrics::counter!(REVOKED_TOTAL).increment(packages);
        tracing::warn!(
            sha256 = certificate.sha256,
            packages,
            "a signer was revoked after its packages had been taken: review them"
        );
    }
    tx.commit().await
}
