//! A certificate authority of our own, for demonstrations, the simulator and tests.

use chrono::{DateTime, Utc};
use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, KeyUsage, SubjectAlternativeName,
    SubjectKeyIdentifier,
};
use openssl::x509::{X509, X509Builder, X509Name, X509NameBuilder, X509Ref};
use rand::RngCore;

/// Kinds of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA of so many bits.
    Rsa(u32),
    /// ECDSA on P-256.
    P256,
}

/// From when to when, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// First instant.
    pub from: DateTime<Utc>,
    /// Last instant.
    pub to: DateTime<Utc>,
}

/// What a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Signing documents.
    Signature,
    /// Encrypting keys only: may not sign.
    Encipherment,
    /// A TLS server of these host names or addresses.
    Server(Vec<String>),
    /// An authority below this one.
    Authority,
}

/// What to certify.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Common name.
    pub name: &'a str,
    /// Kind of key to make.
    pub key: KeyKind,
    /// When the certificate is valid.
    pub validity: Validity,
    /// What it is for.
    pub usage: Usage,
}

/// A private key with its certificate.
#[derive(Clone, Debug)]
pub struct Issued {
    key: PKey<Private>,
    certificate: X509,
}

impl Issued {
    /// The private key, PKCS#8 PEM, not encrypted.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn key_pem(&self) -> Result<Vec<u8>, ErrorStack> {
        self.key.private_key_to_pem_pkcs8()
    }

    /// The certificate, PEM.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn certificate_pem(&self) -> Result<Vec<u8>, ErrorStack> {
        self.certificate.to_pem()
    }

    /// The certificate, DER.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn certificate_der(&self) -> Result<Vec<u8>, ErrorStack> {
        self.certificate.to_der()
    }
}

/// An authority: issues certificates.
#[derive(Clone, Debug)]
pub struct Authority(Issued);

impl Authority {
    /// Makes a root with a key on P-256. Serial numbers come from `random`, keys from OpenSSL.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn create(
        name: &str,
        validity: Validity,
        random: &mut impl RngCore,
    ) -> Result<Self, ErrorStack> {
        let request = Request { name, key: KeyKind::P256, validity, usage: Usage::Authority };
        let key = make_key(request.key)?;
        let certificate = certify(&request, &key, None, random)?;
        Ok(Self(Issued { key, certificate }))
    }

    /// Reads an authority made before.
    ///
    /// # Errors
    /// OpenSSL's, for what is not PEM.
    pub fn from_pem(key: &[u8], certificate: &[u8]) -> Result<Self, ErrorStack> {
        let key = PKey::private_key_from_pem(key)?;
        Ok(Self(Issued { key, certificate: X509::from_pem(certificate)? }))
    }

    /// Its own key and certificate.
    pub fn issued(&self) -> &Issued {
        &self.0
    }

    /// Makes a key and certifies it.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn issue(
        &self,
        request: &Request<'_>,
        random: &mut impl RngCore,
    ) -> Result<Issued, ErrorStack> {
        let key = make_key(request.key)?;
        let certificate = certify(request, &key, Some(&self.0), random)?;
        Ok(Issued { key, certificate })
    }

    /// Makes an authority below this one.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn intermediate(
        &self,
        name: &str,
        validity: Validity,
        random: &mut impl RngCore,
    ) -> Result<Self, ErrorStack> {
        let request = Request { name, key: KeyKind::P256, validity, usage: Usage::Authority };
        self.issue(&request, random).map(Self)
    }
}

fn make_key(kind: KeyKind) -> Result<PKey<Private>, ErrorStack> {
    match kind {
        KeyKind::Rsa(bits) => PKey::from_rsa(Rsa::generate(bits)?),
        KeyKind::P256 => {
            let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
            PKey::from_ec_key(EcKey::generate(&group)?)
        }
    }
}

/// Makes a certificate; without an issuer it is signed by its own key.
fn certify(
    request: &Request<'_>,
    key: &PKey<Private>,
    issuer: Option<&Issued>,
    random: &mut impl RngCore,
) -> Result<X509, ErrorStack> {
    let subject = name(request.name)?;
    let mut serial = [0; 16];
    random.fill_bytes(&mut serial);
    // Positive and of full length.
    serial[0] = serial[0] & 0x7F | 0x40;
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    let serial = Asn1Integer::from_bn(&*BigNum::from_slice(&serial)?)?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(&subject)?;
    builder
        .set_issuer_name(issuer.map_or(&*subject, |issuer| issuer.certificate.subject_name()))?;
    builder.set_pubkey(key)?;
    builder.set_not_before(&*Asn1Time::from_unix(request.validity.from.timestamp())?)?;
    builder.set_not_after(&*Asn1Time::from_unix(request.validity.to.timestamp())?)?;
    extend(&mut builder, &request.usage, issuer.map(|issuer| &*issuer.certificate))?;
    builder.sign(issuer.map_or(key, |issuer| &issuer.key), MessageDigest::sha256())?;
    Ok(builder.build())
}

fn extend(
    builder: &mut X509Builder,
    usage: &Usage,
    issuer: Option<&X509Ref>,
) -> Result<(), ErrorStack> {
    let mut constraints = BasicConstraints::new();
    constraints.critical();
    let mut key_usage = KeyUsage::new();
    key_usage.critical();
    match usage {
        Usage::Authority => {
            constraints.ca();
            key_usage.key_cert_sign().crl_sign();
        }
        Usage::Encipherment => {
            key_usage.key_encipherment();
        }
        Usage::Signature => {
            key_usage.digital_signature().non_repudiation();
        }
        Usage::Server(_) => {
            key_usage.digital_signature();
        }
    }
    builder.append_extension(constraints.build()?)?;
    builder.append_extension(key_usage.build()?)?;
    let context = builder.x509v3_context(issuer, None);
    let mut extensions = vec![SubjectKeyIdentifier::new().build(&context)?];
    if issuer.is_some() {
        extensions.push(AuthorityKeyIdentifier::new().keyid(true).build(&context)?);
    }
    if let Usage::Server(hosts) = usage {
        let mut names = SubjectAlternativeName::new();
        for host in hosts {
            if host.parse::<std::net::IpAddr>().is_ok() {
                names.ip(host)
            } else {
                names.dns(host)
            };
        }
        extensions.push(names.build(&context)?);
    }
    extensions.into_iter().try_for_each(|extension| builder.append_extension(extension))
}

fn name(common: &str) -> Result<X509Name, ErrorStack> {
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_nid(Nid::COMMONNAME, common)?;
    Ok(name.build())
}
