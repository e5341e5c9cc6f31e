//! The trust store: which certificates may sign, by path, dates and purpose.

use std::collections::HashMap;
use std::ffi::c_int;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use openssl::error::ErrorStack;
use openssl::sha::Sha256;
use openssl::stack::Stack;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use openssl::x509::verify::{X509VerifyFlags, X509VerifyParam};
use openssl::x509::{X509, X509Ref, X509StoreContext};

use super::certificate::{Facts, instant};
use super::cms::{self, FileCheck};
use super::crl::{Crls, Stale};
use super::ocsp::Statuses;
use super::suite::{OpenSsl, PublicKey, Suite};
use super::{der, fitness, path};
use crate::codec::xmldsig::{DigestAlgorithm, EnvelopedSignature, SignatureAlgorithm};
use crate::model::refusal::{Refusal, RefusalCode};

/// Longest path, without leaf and anchor.
const MAX_PATH: c_int = 5;
/// Keys and hashes of at least 112 bits of strength, as OpenSSL counts.
const AUTH_LEVEL: c_int = 2;
/// Judged certificates kept; over this all are judged anew.
const MAX_CACHED: usize = 10_000;

/// A certificate that may sign, its path checked.
#[derive(Clone, Debug)]
pub struct SignerCertificate {
    /// What it says of itself; `sha256` is what storage knows it by.
    pub facts: Facts,
    /// Its key.
    pub key: PublicKey,
    /// The whole path is valid from here …
    pub valid_from: DateTime<Utc>,
    /// … to here.
    pub valid_to: DateTime<Utc>,
    /// Its issuer, DER; none for an anchor that signs by itself.
    pub issuer: Option<Vec<u8>>,
    /// Until when lists tell that it is not revoked: for ever where its issuers have no list here.
    listed_until: DateTime<Utc>,
}

/// A path: the signer's certificate first, the anchor last.
pub(super) struct Found {
    pub(super) chain: Vec<X509>,
}

/// What is found of a path to an anchor.
struct Route {
    valid_from: DateTime<Utc>,
    valid_to: DateTime<Utc>,
    issuer: Option<Vec<u8>>,
    listed_until: DateTime<Utc>,
}

impl Route {
    /// The route of a certificate that nobody vouches for.
    fn alone(facts: &Facts, at: DateTime<Utc>) -> Result<Self, RefusalCode> {
        let (valid_from, valid_to) = (facts.not_before, facts.not_after);
        if at < valid_from || at > valid_to {
            return Err(RefusalCode::CertExpired);
        }
        let listed_until = DateTime::<Utc>::MAX_UTC;
        Ok(Self { valid_from, valid_to, issuer: None, listed_until })
    }
}

/// Anchors, and the certificates already judged by them.
pub struct TrustStore {
    anchors: Vec<X509>,
    crls: Crls,
    /// What responders said, where they are asked, and what it is worth that they said nothing.
    statuses: Option<(Statuses, Stale)>,
    /// Withdrawn algorithms count too: for archives.
    archive: bool,
    /// Trusts any certificate that is in date, whoever issued it and for what: in a sandbox.
    anybody: bool,
    /// Judges signers of time stamps, whose usage is judged by who asks.
    time_stamps: bool,
    suite: Box<dyn Suite>,
    judged: Mutex<HashMap<[u8; 32], Arc<SignerCertificate>>>,
}

impl TrustStore {
    /// A store of these anchors, DER.
    ///
    /// # Errors
    /// One of them is no certificate.
    pub fn new(anchors: &[Vec<u8>]) -> Result<Self, ErrorStack> {
        let anchors = anchors.iter().map(|der| X509::from_der(der)).collect::<Result<_, _>>()?;
        Ok(Self {
            anchors,
            crls: Crls::default(),
            statuses: None,
            archive: false,
            anybody: false,
            time_stamps: false,
            suite: Box::new(OpenSsl),
            judged: Mutex::default(),
        })
    }

    /// Facts of the anchors.
    pub fn anchors(&self) -> Vec<Facts> {
        let read = |anchor: &X509| anchor.to_der().ok().and_then(|der| Facts::read(&der).ok());
        self.anchors.iter().filter_map(read).collect()
    }

    /// Judges by these lists of revoked certificates.
    #[must_use]
    pub fn with_crls(mut self, crls: Crls) -> Self {
        self.crls = crls;
        self
    }

    /// Judges signers also by what responders said of them.
    #[must_use]
    pub fn with_statuses(mut self, statuses: Statuses, stale: Stale) -> Self {
        self.statuses = Some((statuses, stale));
        self
    }

    /// Also takes signatures by algorithms that have been withdrawn, as archives hold them.
    #[must_use]
    pub fn for_archives(mut self) -> Self {
        self.archive = true;
        self
    }

    /// Judges signers of time stamps, not of documents.
    #[must_use]
    pub fn for_time_stamps(mut self) -> Self {
        self.time_stamps = true;
        self
    }

    /// Trusts any certificate that is in date, as an emulator does. Signatures are verified as ever.
    #[must_use]
    pub fn trusting_anybody(mut self) -> Self {
        self.anybody = true;
        self
    }

    /// Verifies by another means than OpenSSL.
    #[must_use]
    pub fn with_suite(mut self, suite: Box<dyn Suite>) -> Self {
        self.suite = suite;
        self
    }

    /// Judges a certificate at an instant, with others that may lead to an anchor.
    ///
    /// # Errors
    /// `SIG_KEYINFO` for what is no certificate, `CERT_UNTRUSTED`, `CERT_EXPIRED`,
    /// `CERT_CONSTRAINT`, `CERT_REVOKED`, `CERT_STATUS`; `SIG_ALGORITHM` for a key that is not allowed.
    pub fn judge(
        &self,
        leaf: &[u8],
        intermediates: &[Vec<u8>],
        at: DateTime<Utc>,
    ) -> Result<Arc<SignerCertificate>, Refusal> {
        let signer = self.judge_path(leaf, intermediates, at)?;
        let Some((statuses, stale)) = &self.statuses else { return Ok(signer) };
        match statuses.get(&signer.facts.sha256, at) {
            Some(status) if status.revoked => Err(RefusalCode::CertRevoked.into()),
            None if *stale == Stale::Refuse => Err(RefusalCode::CertStatus.into()),
            _ => Ok(signer),
        }
    }

    /// Whether it is known at an instant that a signer has not been revoked, as far as anybody is
    /// asked.
    pub fn knows_revocation(&self, signer: &SignerCertificate, at: DateTime<Utc>) -> bool {
        let told = |(statuses, _): &(Statuses, Stale)| {
            statuses.get(&signer.facts.sha256, at).is_some_and(|status| !status.revoked)
        };
        at <= signer.listed_until && self.statuses.as_ref().is_none_or(told)
    }

    /// Whether a list or a responder says that a certificate has been revoked.
    pub fn is_revoked(&self, leaf: &[u8], at: DateTime<Utc>) -> bool {
        let judged = self.judge(leaf, &[], at);
        judged.is_err_and(|refusal| refusal.code == RefusalCode::CertRevoked)
    }

    /// [`TrustStore::judge`] without what responders said.
    ///
    /// # Errors
    /// As there.
    pub fn judge_path(
        &self,
        leaf: &[u8],
        intermediates: &[Vec<u8>],
        at: DateTime<Utc>,
    ) -> Result<Arc<SignerCertificate>, Refusal> {
        // With what came beside it: another chain is another path, with other dates.
        let hash = sha256_of(leaf, intermediates);
        let known = self.judged.lock().unwrap_or_else(PoisonError::into_inner).get(&hash).cloned();
        // Outside its dates it is judged anew, which says what exactly is over.
        if let Some(known) = known
            && known.valid_from <= at
            && at <= known.valid_to
        {
            return Ok(known);
        }
        let judged = Arc::new(self.judge_anew(leaf, intermediates, at)?);
        let mut cache = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= MAX_CACHED {
            cache.clear();
        }
        cache.insert(hash, Arc::clone(&judged));
        Ok(judged)
    }

    /// Judges a signature whose digest is right: its certificate, then its value.
    ///
    /// # Errors
    /// Those of [`TrustStore::judge`], and `SIG_VALUE`.
    pub fn verify(
        &self,
        signature: &EnvelopedSignature,
        at: DateTime<Utc>,
    ) -> Result<Arc<SignerCertificate>, Refusal> {
        self.admit(signature)?;
        let leaf = signer_of(&signature.certificates).ok_or(RefusalCode::SigKeyInfo)?;
        let signer = self.judge(leaf, &signature.certificates, at)?;
        let EnvelopedSignature { algorithm, signed_info, value, .. } = signature;
        let right = self.suite.verify(*algorithm, &signer.key, signed_info, value);
        right.map_err(|code| fitness::of_value(code, *algorithm, &signer.key))?;
        Ok(signer)
    }

    /// Whether the algorithms of a signature count here.
    ///
    /// # Errors
    /// `SIG_ALGORITHM` for those that have been withdrawn, unless archives are judged.
    pub fn admit(&self, signature: &EnvelopedSignature) -> Result<(), Refusal> {
        let withdrawn = match (signature.algorithm, signature.profile.digest) {
            (SignatureAlgorithm::Gost2001, _) => "подпись ГОСТ Р 34.10-2001 отменена",
            (_, DigestAlgorithm::Gost94) => "хэш ГОСТ Р 34.11-94 отменён",
            _ => return Ok(()),
        };
        if self.archive {
            return Ok(());
        }
        Err(Refusal::new(RefusalCode::SigAlgorithm).detail(withdrawn))
    }

    /// Judges a value over bytes by the key of a certificate, whoever issued that.
    ///
    /// # Errors
    /// `SIG_ALGORITHM` for a key that is not allowed or not of the algorithm, `SIG_VALUE`.
    pub fn judge_value(
        &self,
        algorithm: SignatureAlgorithm,
        certificate: &[u8],
        message: &[u8],
        value: &[u8],
    ) -> Result<(), Refusal> {
        let key = fitness::key_of(certificate)?;
        let right = self.suite.verify(algorithm, &key, message, value);
        right.map_err(|code| fitness::of_value(code, algorithm, &key))
    }

    /// Whether a value is right over bytes by the key of a certificate, whoever issued that.
    pub fn value_is_right(
        &self,
        algorithm: SignatureAlgorithm,
        certificate: &[u8],
        message: &[u8],
        value: &[u8],
    ) -> bool {
        self.judge_value(algorithm, certificate, message, value).is_ok()
    }

    /// Judges a detached PKCS#7 over a file: its value, then its certificate.
    ///
    /// # Errors
    /// `CMS_STRUCTURE`, `CMS_ALGORITHM`, `CMS_VALUE`, and those of [`TrustStore::judge`].
    pub fn verify_file(
        &self,
        signature: &[u8],
        file: &[u8],
        at: DateTime<Utc>,
    ) -> Result<Arc<SignerCertificate>, Refusal> {
        let signed = cms::verify(signature, file, self.archive)?;
        self.judge(&signed.certificate, &signed.others, at)
    }

    /// Judges a detached PKCS#7 over a file whose pieces it was given, or whose hash is known.
    ///
    /// # Errors
    /// As [`TrustStore::verify_file`].
    pub fn verify_check(
        &self,
        check: FileCheck,
        known: Option<&[u8]>,
        at: DateTime<Utc>,
    ) -> Result<Arc<SignerCertificate>, Refusal> {
        let signed = match known {
            Some(hash) => check.finish_with(hash)?,
            None => check.finish()?,
        };
        self.judge(&signed.certificate, &signed.others, at)
    }

    fn judge_anew(
        &self,
        leaf: &[u8],
        intermediates: &[Vec<u8>],
        at: DateTime<Utc>,
    ) -> Result<SignerCertificate, Refusal> {
        let certificate = X509::from_der(leaf).map_err(|_| RefusalCode::SigKeyInfo)?;
        let facts = Facts::of_der(leaf).map_err(|_| RefusalCode::SigKeyInfo)?;
        let mut others = Stack::new().map_err(internal)?;
        for der in intermediates {
            let other = X509::from_der(der).map_err(|_| RefusalCode::SigKeyInfo)?;
            others.push(other).map_err(internal)?;
        }
        let route = if self.anybody {
            Route::alone(&facts, at)?
        } else {
            let route = self.path(&certificate, &others, at)?;
            fitness::judge_purpose(&certificate, leaf)?;
            if !self.time_stamps {
                fitness::judge_usage(leaf)?;
            }
            route
        };
        Ok(SignerCertificate {
            facts,
            key: fitness::key(&certificate)?,
            valid_from: route.valid_from,
            valid_to: route.valid_to,
            issuer: route.issuer,
            listed_until: route.listed_until,
        })
    }

    /// Finds a path to an anchor.
    fn path(
        &self,
        leaf: &X509Ref,
        others: &Stack<X509>,
        at: DateTime<Utc>,
    ) -> Result<Route, Refusal> {
        let found = self.build(leaf, others, at)?.or_else(|fault| {
            // The last second of a certificate belongs to it, RFC 5280 4.1.2.5; OpenSSL ends before.
            match self.build(leaf, others, at - TimeDelta::seconds(1))? {
                Ok(path) if fault.is_over() && path::holds(&path.chain, at) => Ok(path),
                _ => Err(Refusal::from(fault)),
            }
        })?;
        self.route(&found.chain, at)
    }

    /// The certificates from a signer to an anchor, or as far as they lead and what is wrong.
    ///
    /// # Errors
    /// `CERT_UNTRUSTED`, `INTERNAL`, when OpenSSL cannot judge at all.
    pub(super) fn build(
        &self,
        leaf: &X509Ref,
        others: &Stack<X509>,
        at: DateTime<Utc>,
    ) -> Result<Result<Found, path::Fault>, Refusal> {
        let store = self.store(at).map_err(internal)?;
        let mut context = X509StoreContext::new().map_err(internal)?;
        let outcome = context.init(&store, leaf, others, |context| {
            let right = context.verify_cert()?;
            let chain: Vec<X509> =
                context.chain().into_iter().flatten().map(ToOwned::to_owned).collect();
            let (error, depth) = (context.error().as_raw(), context.error_depth());
            Ok(if right { Ok(Found { chain }) } else { Err(path::Fault::new(error, depth, chain)) })
        });
        // What OpenSSL cannot read on the way leads nowhere.
        outcome.map_err(|_| RefusalCode::CertUntrusted.into())
    }

    /// What a path that was found is worth: its dates, and what the lists of its issuers say.
    fn route(&self, chain: &[X509], at: DateTime<Utc>) -> Result<Route, Refusal> {
        let mut route = Route {
            valid_from: DateTime::<Utc>::MIN_UTC,
            valid_to: DateTime::<Utc>::MAX_UTC,
            issuer: chain.get(1).map(|issuer| issuer.to_der()).transpose().map_err(internal)?,
            listed_until: DateTime::<Utc>::MAX_UTC,
        };
        for certificate in chain {
            let (from, to) = (instant(certificate.not_before()), instant(certificate.not_after()));
            route.valid_from = route.valid_from.max(from.map_err(internal)?);
            route.valid_to = route.valid_to.min(to.map_err(internal)?);
        }
        // Each but the anchor stands before its issuer.
        for (depth, pair) in chain.windows(2).enumerate() {
            let judged = self.crls.judge(&pair[0], &pair[1], at);
            let [verdict, listed] = judged.map_err(|refusal| path::at_depth(refusal, depth))?;
            route.valid_to = route.valid_to.min(verdict);
            route.listed_until = route.listed_until.min(listed);
        }
        Ok(route)
    }

    pub(super) fn store(&self, at: DateTime<Utc>) -> Result<X509Store, ErrorStack> {
        let mut parameters = X509VerifyParam::new()?;
        parameters.set_time(at.timestamp());
        parameters.set_depth(MAX_PATH);
        parameters.set_auth_level(AUTH_LEVEL);
        // An anchor may be an issuing authority whose own root we do not know.
        parameters.set_flags(X509VerifyFlags::PARTIAL_CHAIN)?;
        let mut store = X509StoreBuilder::new()?;
        store.set_param(&parameters)?;
        for anchor in &self.anchors {
            store.add_cert(anchor.clone())?;
        }
        Ok(store.build())
    }
}

/// The signer's among the certificates of a signature: signers put theirs first, or anywhere among
/// those of their authorities.
pub fn signer_of(certificates: &[Vec<u8>]) -> Option<&Vec<u8>> {
    let mut others = certificates.iter();
    others
        .find(|certificate| certificates.len() == 1 || !der::is_authority(certificate))
        .or(certificates.first())
}

/// A hash of a certificate and of those that came with it, in their order.
fn sha256_of(leaf: &[u8], others: &[Vec<u8>]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for certificate in std::iter::once(leaf).chain(others.iter().map(Vec::as_slice)) {
        hash.update(&(certificate.len() as u64).to_be_bytes());
        hash.update(certificate);
    }
    hash.finish()
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn internal(error: ErrorStack) -> Refusal {
    Refusal::new(RefusalCode::Internal).detail(error.to_string())
}

#[cfg(test)]
mod tests {
    use chrono::{TimeDelta, TimeZone as _};
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;
    use crate::codec::xml::Limits;
    use crate::codec::xmldsig::{Envelope, verify_bytes};
    use crate::trust::Signer;
    use crate::trust::authority::{Authority, KeyKind, Request, Usage, Validity};

    fn day(year: i32) -> DateTime<Utc> {
        Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).unwrap()
    }

    #[test]
    fn a_signer_is_trusted_through_an_intermediate_for_as_long_as_the_whole_path_is_valid() {
        let mut random = StdRng::seed_from_u64(1);
        let validity = |from, to| Validity { from: day(from), to: day(to) };
        let root = Authority::create("Root", validity(2020, 2040), &mut random).unwrap();
        let middle = root.intermediate("Middle", validity(2021, 2030), &mut random).unwrap();
        let chain = [middle.issued().certificate_der().unwrap()];
        let anchors = [root.issued().certificate_der().unwrap()];
        for key in [KeyKind::P256, KeyKind::Rsa(2048)] {
            let request = Request {
                name: "Школа",
                key,
                validity: validity(2020, 2035),
                usage: Usage::Signature,
            };
            let issued = middle.issue(&request, &mut random).unwrap();
            let signer =
                Signer::from_pem(&issued.key_pem().unwrap(), &issued.certificate_pem().unwrap())
                    .unwrap();
            for document in ["<a Id=\"x\"> <b/>\n</a>", "<p:a\txmlns:p='urn:p' b='/>'/>\n"] {
                let signed = signer.sign_enveloped(document.as_bytes()).unwrap();
                let mut signature =
                    verify_bytes(&signed, Envelope::package(Limits::default())).unwrap();
                let store = TrustStore::new(&anchors).unwrap();
                let refused = store.verify(&signature, day(2025)).unwrap_err();
                assert_eq!(refused.code, RefusalCode::CertUntrusted);
                signature.certificates.extend(chain.clone());
                store.verify(&signature, day(2025)).unwrap();
                for at in [day(2020), day(2030) + TimeDelta::seconds(1)] {
                    let refused = store.verify(&signature, at).unwrap_err();
                    assert_eq!(refused.code, RefusalCode::CertExpired);
                }
                signature.value[5] ^= 1;
                let refused = store.verify(&signature, day(2025)).unwrap_err();
                assert_eq!(refused.code, RefusalCode::SigValue);
            }
        }
    }
}
