//! What a certificate says of itself: its hash, its name, its dates.

use chrono::{DateTime, Utc};
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::x509::{X509, X509NameRef};

use super::der;

/// Facts of one certificate. Says nothing about whether it is to be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Lower-case hex of SHA-256 of the DER.
    pub sha256: String,
    /// The certificate.
    pub der: Vec<u8>,
    /// Distinguished name for people: `CN=…, O=…`.
    pub subject: String,
    /// Start of validity.
    pub not_before: DateTime<Utc>,
    /// End of validity.
    pub not_after: DateTime<Utc>,
    /// Whether it is an authority's: issues certificates, may not sign documents.
    pub authority: bool,
}

/// A file does not hold a certificate.
#[derive(Debug, thiserror::Error)]
#[error("это не сертификат X.509 (PEM или DER)")]
pub struct NotACertificate(#[from] ErrorStack);

impl Facts {
    /// Reads a certificate from PEM (the first one in it) or DER.
    ///
    /// # Errors
    /// [`NotACertificate`].
    pub fn read(bytes: &[u8]) -> Result<Self, NotACertificate> {
        // DER may have anything inside, PEM too: whoever handed it in is who it is.
        let certificate = X509::from_der(bytes).or_else(|_| X509::from_pem(bytes))?;
        Self::of(&certificate)
    }

    /// Facts of a certificate that came with a signature: nothing but DER, and nothing after it.
    ///
    /// # Errors
    /// [`NotACertificate`].
    pub fn of_der(der: &[u8]) -> Result<Self, NotACertificate> {
        let facts = Self::of(&X509::from_der(der)?)?;
        if facts.der == der { Ok(facts) } else { Err(NotACertificate(ErrorStack::get())) }
    }

    fn of(certificate: &X509) -> Result<Self, NotACertificate> {
        let der = certificate.to_der()?;
        Ok(Self {
            sha256: hex(&certificate.digest(MessageDigest::sha256())?),
            authority: der::is_authority(&der),
            der,
            subject: name(certificate.subject_name()),
            not_before: instant(certificate.not_before())?,
            not_after: instant(certificate.not_after())?,
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn name(name: &X509NameRef) -> String {
    let part = |entry: &openssl::x509::X509NameEntryRef| {
        let key = entry
            .object()
            .nid()
            .short_name()
            .map_or_else(|_| entry.object().to_string(), str::to_owned);
        let value = entry.data().to_string().unwrap_or_default();
        // Names are shown in tables and logs, where a line is a line.
        let value: String =
            value.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).collect();
        format!("{key}={value}")
    };
    name.entries().map(part).collect::<Vec<_>>().join(", ")
}

/// A time of ASN.1 as an instant.
pub(super) fn instant(time: &Asn1TimeRef) -> Result<DateTime<Utc>, ErrorStack> {
    let since = Asn1Time::from_unix(0)?.diff(time)?;
    let seconds = i64::from(since.days) * 86_400 + i64::from(since.secs);
    Ok(DateTime::from_timestamp(seconds, 0).unwrap_or(DateTime::<Utc>::MAX_UTC))
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::asn1::Asn1Integer;
    use openssl::bn::BigNum;
    use openssl::nid::Nid;
    use openssl::pkey::PKey;
    use openssl::x509::{X509Builder, X509NameBuilder};

    #[test]
    fn pem_and_der_say_the_same() {
        let group = openssl::ec::EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = PKey::from_ec_key(openssl::ec::EcKey::generate(&group).unwrap()).unwrap();
        let mut subject = X509NameBuilder::new().unwrap();
        subject.append_entry_by_nid(Nid::COMMONNAME, "Дневник").unwrap();
        subject.append_entry_by_nid(Nid::ORGANIZATIONNAME, "Школа").unwrap();
        let subject = subject.build();
        let mut builder = X509Builder::new().unwrap();
        builder
            .set_serial_number(&Asn1Integer::from_bn(&BigNum::from_u32(7).unwrap()).unwrap())
            .unwrap();
        builder.set_subject_name(&subject).unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.set_not_before(&Asn1Time::from_unix(1_700_000_000).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::from_unix(4_200_000_000).unwrap()).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        let certificate = builder.build();
        let facts = Facts::read(&certificate.to_pem().unwrap()).unwrap();
        assert_eq!(facts, Facts::read(&certificate.to_der().unwrap()).unwrap());
        assert_eq!(facts.subject, "CN=Дневник, O=Школа");
        assert_eq!(facts.not_before.timestamp(), 1_700_000_000);
        assert_eq!(facts.not_after.timestamp(), 4_200_000_000);
        assert_eq!(facts.sha256.len(), 64);
        assert!(Facts::read(b"no certificate").is_err());
    }
}
