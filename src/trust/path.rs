//! Paths to an anchor in words: which certificate of a path is wrong, and why.

use chrono::{DateTime, Utc};
use openssl::stack::Stack;
use openssl::x509::{X509, X509Ref};

use super::certificate::{Facts, instant};
use super::fitness;
use super::store::{Found, TrustStore};
use crate::model::refusal::{Refusal, RefusalCode};

/// Errors of path validation, as in `openssl/x509_vfy.h`.
mod error {
    pub(super) const NOT_YET_VALID: i32 = 9;
    pub(super) const SIGNATURE: i32 = 7;
    pub(super) const HAS_EXPIRED: i32 = 10;
    pub(super) const SELF_SIGNED: [i32; 2] = [18, 19];
    pub(super) const CHAIN_TOO_LONG: i32 = 22;
    pub(super) const REVOKED: i32 = 23;
    pub(super) const INVALID_CA: i32 = 79;
    pub(super) const INVALID_CA_BEFORE_3: i32 = 24;
    pub(super) const PATH_LENGTH_EXCEEDED: i32 = 25;
    pub(super) const INVALID_PURPOSE: i32 = 26;
    pub(super) const CERT_REJECTED: i32 = 28;
    pub(super) const KEYUSAGE_NO_CERTSIGN: i32 = 32;
    pub(super) const UNHANDLED_CRITICAL_EXTENSION: i32 = 34;
    pub(super) const INVALID_EXTENSION: i32 = 41;
    pub(super) const PERMITTED_VIOLATION: i32 = 47;
    pub(super) const NAME_CONSTRAINT_LAST: i32 = 53;
    pub(super) const EE_KEY_TOO_SMALL: i32 = 66;
    pub(super) const CA_KEY_TOO_SMALL: i32 = 67;
    pub(super) const CA_MD_TOO_WEAK: i32 = 68;
}

/// Why no path was found.
pub(super) struct Fault {
    error: i32,
    /// The certificate that it is about, from the signer's on.
    depth: usize,
    chain: Vec<X509>,
}

/// A path for people, as far as it leads.
#[derive(Clone, Debug)]
pub struct Told {
    /// The certificates, the signer's first; the last is the trusted authority's if `whole`.
    pub certificates: Vec<Facts>,
    /// It leads to a trusted authority.
    pub whole: bool,
    /// The certificate that is wrong, by its number in the path.
    pub wrong: Option<usize>,
}

impl Fault {
    pub(super) fn new(error: i32, depth: u32, chain: Vec<X509>) -> Self {
        Self { error, depth: usize::try_from(depth).unwrap_or(usize::MAX), chain }
    }

    /// Whether a certificate is not valid any more.
    pub(super) fn is_over(&self) -> bool {
        self.error == error::HAS_EXPIRED
    }

    fn code(&self) -> RefusalCode {
        match self.error {
            error::NOT_YET_VALID | error::HAS_EXPIRED => RefusalCode::CertExpired,
            error::REVOKED => RefusalCode::CertRevoked,
            error::EE_KEY_TOO_SMALL => RefusalCode::SigAlgorithm,
            error::CHAIN_TOO_LONG
            | error::INVALID_CA
            | error::INVALID_CA_BEFORE_3
            | error::PATH_LENGTH_EXCEEDED
            | error::INVALID_PURPOSE
            | error::CERT_REJECTED
            | error::KEYUSAGE_NO_CERTSIGN
            | error::UNHANDLED_CRITICAL_EXTENSION
            | error::INVALID_EXTENSION
            | error::PERMITTED_VIOLATION..=error::NAME_CONSTRAINT_LAST
            | error::CA_KEY_TOO_SMALL
            | error::CA_MD_TOO_WEAK => RefusalCode::CertConstraint,
            _ => RefusalCode::CertUntrusted,
        }
    }

    /// What is wrong, in words that name no person.
    fn words(&self) -> String {
        let certificate = self.chain.get(self.depth);
        let date = |time: Option<DateTime<Utc>>| {
            time.map(|time| time.format(" %d.%m.%Y %H:%M:%S UTC").to_string()).unwrap_or_default()
        };
        let what = match self.error {
            error::HAS_EXPIRED => {
                let end = certificate.and_then(|one| instant(one.not_after()).ok());
                format!("срок истёк{}", date(end))
            }
            error::NOT_YET_VALID => {
                let begin = certificate.and_then(|one| instant(one.not_before()).ok());
                format!("срок ещё не начался: действует с{}", date(begin))
            }
            error::EE_KEY_TOO_SMALL => certificate
                .and_then(|one| fitness::key(one).err())
                .and_then(|refusal| refusal.detail)
                .unwrap_or_else(|| "ключ слишком короткий".to_owned()),
            other => words(other).to_owned(),
        };
        format!("{}: {what}", whose(self.depth))
    }
}

/// What an error of OpenSSL means.
fn words(error: i32) -> &'static str {
    match error {
        error::SIGNATURE => "подпись издателя под ним неверна",
        error::CHAIN_TOO_LONG => "путь до доверенного центра слишком длинный",
        error::INVALID_CA | error::INVALID_CA_BEFORE_3 => {
            "издатель не удостоверяющий центр: у него нет признака CA"
        }
        error::PATH_LENGTH_EXCEEDED => {
            "в пути больше центров, чем разрешает pathLenConstraint вышестоящего"
        }
        error::INVALID_PURPOSE | error::CERT_REJECTED => "назначение не подходит",
        error::KEYUSAGE_NO_CERTSIGN => "центру не разрешено выдавать сертификаты (keyCertSign)",
        error::UNHANDLED_CRITICAL_EXTENSION => {
            "есть критическое расширение, которое нам не известно"
        }
        error::INVALID_EXTENSION => "расширения противоречивы или повреждены",
        error::PERMITTED_VIOLATION..=error::NAME_CONSTRAINT_LAST => {
            "имя вне границ, которые центр задал для своих сертификатов (nameConstraints)"
        }
        error::CA_KEY_TOO_SMALL => "ключ центра слишком короткий",
        error::CA_MD_TOO_WEAK => "подписан со слабым хэшем (SHA-1 или MD5)",
        error if error::SELF_SIGNED.contains(&error) => {
            "самоподписан, и среди доверенных центров его нет"
        }
        _ => "его издателя нет ни среди доверенных центров, ни в подписи",
    }
}

/// A certificate of a path by its place.
fn whose(depth: usize) -> String {
    match depth {
        0 => "сертификат подписанта".to_owned(),
        depth => format!("сертификат центра, {depth}-й в пути над подписантом"),
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::new(fault.code()).detail(fault.words())
    }
}

/// Says of which certificate of the path a refusal is.
pub(super) fn at_depth(refusal: Refusal, depth: usize) -> Refusal {
    let what = refusal.detail.clone().unwrap_or_default();
    let about = if what.is_empty() { whose(depth) } else { format!("{}: {what}", whose(depth)) };
    refusal.detail(about)
}

/// Whether all certificates are valid at an instant, whose fraction of a second does not count.
pub(super) fn holds(chain: &[X509], at: DateTime<Utc>) -> bool {
    let at = at.timestamp();
    chain.iter().all(|one| {
        let (from, to) = (instant(one.not_before()), instant(one.not_after()));
        from.is_ok_and(|from| from.timestamp() <= at) && to.is_ok_and(|to| at <= to.timestamp())
    })
}

impl TrustStore {
    /// The path of a signer, for people: as far as it leads.
    pub fn told(&self, leaf: &[u8], others: &[Vec<u8>], at: DateTime<Utc>) -> Told {
        let nothing = Told { certificates: Vec::new(), whole: false, wrong: None };
        let (Ok(leaf), Ok(mut stack)) = (X509::from_der(leaf), Stack::new()) else {
            return nothing;
        };
        for other in others.iter().filter_map(|der| X509::from_der(der).ok()) {
            if stack.push(other).is_err() {
                return nothing;
            }
        }
        let facts = |chain: &[X509]| -> Vec<Facts> {
            let read = |one: &X509Ref| one.to_der().ok().and_then(|der| Facts::read(&der).ok());
            chain.iter().filter_map(|one| read(one)).collect()
        };
        match self.build(&leaf, &stack, at) {
            Ok(Ok(Found { chain })) => {
                Told { certificates: facts(&chain), whole: true, wrong: None }
            }
            Ok(Err(fault)) => {
                Told { certificates: facts(&fault.chain), whole: false, wrong: Some(fault.depth) }
            }
            Err(_) => nothing,
        }
    }
}
