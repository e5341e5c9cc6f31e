//! Time stamps of an authority, RFC 3161: making a query, judging the answer.

use chrono::{DateTime, TimeDelta, Utc};
use cmpv2::status::PkiStatus;
use cms::cert::x509::Certificate;
use cms::cert::x509::ext::pkix::ExtendedKeyUsage;
use cms::cert::x509::spki::AlgorithmIdentifier;
use cms::signed_data::SignedData;
use der::asn1::{Int, OctetString};
use der::oid::ObjectIdentifier;
use der::{Decode, Encode};
use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::pkcs7::{Pkcs7, Pkcs7Flags};
use openssl::rand::rand_bytes;
use openssl::stack::Stack;
use x509_tsp::{MessageImprint, TimeStampReq, TimeStampResp, TspVersion, TstInfo};

use super::store::TrustStore;
use super::suite::sha256;

/// SHA-256, the content of a token, and what its signer's certificate must be for.
const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");

/// How far the authority's clock may be from ours.
const SKEW: TimeDelta = TimeDelta::minutes(5);

/// Longest answer, in bytes.
pub const MAX_ANSWER: usize = 64 << 10;

/// A query, and what its answer must repeat.
#[derive(Clone, Debug)]
pub struct Query {
    /// To be sent as `application/timestamp-query`.
    pub der: Vec<u8>,
    imprint: MessageImprint,
    nonce: Int,
}

/// A time stamp that was found to be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The token, DER of a CMS.
    pub token: Vec<u8>,
    /// The time that it states.
    pub time: DateTime<Utc>,
}

/// Why an answer is no time stamp of ours.
#[derive(Debug, thiserror::Error)]
pub enum StampError {
    /// Not an answer at all.
    #[error("the answer is not one of RFC 3161")]
    Unreadable,
    /// The authority refuses.
    #[error("the authority refuses the query")]
    Refused,
    /// It is about another document or query.
    #[error("the stamp is for another document or query")]
    Imprint,
    /// Its time is far from ours.
    #[error("the time of the stamp is too far from ours")]
    Time,
    /// The signature is wrong.
    #[error("the signature of the stamp is wrong")]
    Signature,
    /// Its signer may not make stamps, or is not trusted.
    #[error("the signer of the stamp is not a trusted time stamping authority")]
    Signer,
    /// Our side.
    #[error("a query cannot be made")]
    Query,
}

impl From<der::Error> for StampError {
    fn from(_: der::Error) -> Self {
        Self::Unreadable
    }
}

impl Query {
    /// Asks for a stamp of these bytes.
    ///
    /// # Errors
    /// [`StampError::Query`], when there are no random numbers.
    pub fn new(document: &[u8]) -> Result<Self, StampError> {
        let mut nonce = [0; 8];
        rand_bytes(&mut nonce).map_err(|_| StampError::Query)?;
        // Positive and of full length.
        nonce[0] = nonce[0] & 0x7F | 0x40;
        let made = || -> Result<Self, der::Error> {
            let imprint = MessageImprint {
                hash_algorithm: AlgorithmIdentifier { oid: SHA_256, parameters: None },
                hashed_message: OctetString::new(sha256(document))?,
            };
            let nonce = Int::new(&nonce)?;
            let request = TimeStampReq {
                version: TspVersion::V1,
                message_imprint: imprint.clone(),
                req_policy: None,
                nonce: Some(nonce.clone()),
                cert_req: true,
                extensions: None,
            };
            Ok(Self { der: request.to_der()?, imprint, nonce })
        };
        made().map_err(|_| StampError::Query)
    }

    /// Judges the answer, of which `trust` must know the authority.
    ///
    /// # Errors
    /// [`StampError`].
    pub fn judge(
        &self,
        answer: &[u8],
        trust: &TrustStore,
        now: DateTime<Utc>,
    ) -> Result<Stamp, StampError> {
        let answer = TimeStampResp::from_der(answer)?;
        if !matches!(answer.status.status, PkiStatus::Accepted | PkiStatus::GrantedWithMods) {
            return Err(StampError::Refused);
        }
        let token = answer.time_stamp_token.ok_or(StampError::Unreadable)?.to_der()?;
        let info = verified_content(&token, trust, now)?;
        let same = info.message_imprint.hash_algorithm.oid == self.imprint.hash_algorithm.oid
            && info.message_imprint.hashed_message == self.imprint.hashed_message
            && info.nonce.as_ref() == Some(&self.nonce);
        if !same {
            return Err(StampError::Imprint);
        }
        let since = info.gen_time.to_unix_duration();
        let seconds = i64::try_from(since.as_secs()).map_err(|_| StampError::Time)?;
        let time = DateTime::from_timestamp(seconds, 0).ok_or(StampError::Time)?;
        if (time - now).abs() > SKEW {
            return Err(StampError::Time);
        }
        Ok(Stamp { token, time })
    }
}

/// What a token states, after its signature and its signer were found to be right.
fn verified_content(
    token: &[u8],
    trust: &TrustStore,
    now: DateTime<Utc>,
) -> Result<TstInfo, StampError> {
    let signed = |_| StampError::Signature;
    let parsed = Pkcs7::from_der(token).map_err(signed)?;
    let none = Stack::new().map_err(signed)?;
    let signers = parsed.signers(&none, Pkcs7Flags::empty()).map_err(signed)?;
    let [signer] = signers.iter().collect::<Vec<_>>()[..] else {
        return Err(StampError::Signature);
    };
    let signer = signer.to_der().map_err(signed)?;
    let included = parsed.signed().and_then(|signed| signed.certificates());
    let others: Vec<Vec<u8>> =
        included.into_iter().flatten().filter_map(|other| other.to_der().ok()).collect();
    let mut content = Vec::new();
    let flags = CMSOptions::NO_SIGNER_CERT_VERIFY | CMSOptions::BINARY;
    let mut message = CmsContentInfo::from_der(token).map_err(signed)?;
    message.verify(None, None, None, Some(&mut content), flags).map_err(signed)?;
    let wrapped = cms::content_info::ContentInfo::from_der(token)?;
    let outline = SignedData::from_der(&wrapped.content.to_der()?)?;
    if outline.encap_content_info.econtent_type != TST_INFO {
        return Err(StampError::Signature);
    }
    let usage = Certificate::from_der(&signer)?.tbs_certificate.get::<ExtendedKeyUsage>()?;
    if !usage.is_some_and(|(critical, usage)| critical && usage.0 == [TIME_STAMPING]) {
        return Err(StampError::Signer);
    }
    trust.judge(&signer, &others, now).map_err(|_| StampError::Signer)?;
    Ok(TstInfo::from_der(&content)?)
}
