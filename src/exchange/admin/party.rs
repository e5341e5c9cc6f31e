//! Suppliers, federal systems, their certificates, and the authorities behind them.

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::exchange::admin::{Admin, AdminError, check_mnemonic, check_name, check_signs};
use crate::model::ids::SupplierId;
use crate::storage::candidate::{self, Candidate};
use crate::storage::db::Tx;
use crate::storage::federal_system::{self, Described, SystemCertificate};
use crate::storage::supplier::{self, Certificate, Supplier};
use crate::trust::certificate::Facts;

/// Longest mnemonic of a system in messages of the exchange.
const MOST_MNEMONIC: usize = 50;

/// What an administrator says of a supplier.
#[derive(Clone, Debug)]
pub struct NewSupplier {
    /// The name it uses in headers.
    pub mnemonic: String,
    /// Name for people.
    pub name: String,
    /// `diary`, `preschool`, `xls` or `other`.
    pub kind: String,
    /// Whether it may write only the organisations granted to it.
    pub limited: bool,
    /// Whether a failed check digit is an error, not a warning.
    pub strict_checksums: bool,
    /// Whether packages marked as test are taken.
    pub test_packages: bool,
    /// Whether packages in windows-1251 and UTF-16 are taken.
    pub other_encodings: bool,
}

/// Where a certificate is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// It has not begun.
    Early,
    /// In date.
    Current,
    /// It is over.
    Expired,
}

impl Validity {
    /// Judges the dates of a certificate at an instant.
    pub fn of(not_before: DateTime<Utc>, not_after: DateTime<Utc>, at: DateTime<Utc>) -> Self {
        match () {
            () if at < not_before => Self::Early,
            () if at > not_after => Self::Expired,
            () => Self::Current,
        }
    }
}

impl Admin {
    /// Registers a supplier with its certificates, or changes the one of the same mnemonic, which
    /// stays blocked if it was. Says whether it is new.
    ///
    /// # Errors
    /// A bad mnemonic or name, a certificate of another supplier or of an authority; then nothing
    /// is registered.
    pub async fn register_supplier(
        &self,
        new: &NewSupplier,
        certificates: &[Facts],
    ) -> Result<bool, AdminError> {
        let fresh = SupplierId(self.ids.one("supplier").await?);
        let known = supplier::by_mnemonic(&self.db, &new.mnemonic).await?;
        let hashes: Vec<&str> = certificates.iter().map(|facts| facts.sha256.as_str()).collect();
        let detail = json!({"kind": new.kind, "limited": new.limited, "certificates": hashes,
            "strict_checksums": new.strict_checksums, "test_packages": new.test_packages,
            "other_encodings": new.other_encodings});
        let object = format!("supplier:{}", new.mnemonic);
        self.perform("supplier.register", object, detail, async |tx, at| {
            check_mnemonic(&new.mnemonic)?;
            check_name(&new.name)?;
            let id = known.as_ref().map_or(fresh, |known| known.id);
            let saved = Supplier {
                id,
                mnemonic: new.mnemonic.clone(),
                name: new.name.trim().to_owned(),
                kind: new.kind.clone(),
                blocked: known.as_ref().is_some_and(|known| known.blocked),
                limited: new.limited,
                strict_checksums: new.strict_checksums,
                test_packages: new.test_packages,
                other_encodings: new.other_encodings,
                created_at: at,
            };
            supplier::save(tx, &saved).await?;
            for facts in certificates {
                add_certificate(tx, id, facts, at).await?;
            }
            Ok(known.is_none())
        })
        .await
    }

    /// Refuses a supplier's packages from now on, or takes them again.
    ///
    /// # Errors
    /// [`AdminError::SupplierUnknown`].
    pub async fn block_supplier(&self, mnemonic: &str, blocked: bool) -> Result<(), AdminError> {
        let action = if blocked { "supplier.block" } else { "supplier.unblock" };
        self.perform(action, format!("supplier:{mnemonic}"), json!({}), async |tx, _| {
            let done = supplier::set_blocked(tx, mnemonic, blocked).await?;
            done.then_some(()).ok_or_else(|| AdminError::SupplierUnknown(mnemonic.to_owned()))
        })
        .await
    }

    /// Registers one more certificate of a supplier.
    ///
    /// # Errors
    /// [`AdminError::SupplierUnknown`], [`AdminError::CertificateTaken`], [`AdminError::CannotSign`].
    pub async fn add_certificate(&self, mnemonic: &str, facts: &Facts) -> Result<(), AdminError> {
        let known = supplier::by_mnemonic(&self.db, mnemonic).await?;
        let (object, detail) = (format!("supplier:{mnemonic}"), json!({"sha256": facts.sha256}));
        self.perform("supplier.certificate.add", object, detail, async |tx, at| {
            let known = known.ok_or_else(|| AdminError::SupplierUnknown(mnemonic.to_owned()))?;
            add_certificate(tx, known.id, facts, at).await
        })
        .await
    }

    /// Takes a supplier's certificate back, by its SHA-256 in hex.
    ///
    /// # Errors
    /// [`AdminError::CertificateUnknown`].
    pub async fn withdraw_certificate(&self, sha256: &str) -> Result<(), AdminError> {
        let sha256 = plain_hex(sha256);
        let object = format!("certificate:{sha256}");
        self.perform("supplier.certificate.withdraw", object, json!({}), async |tx, at| {
            let done = supplier::withdraw_certificate(tx, &sha256, at).await?;
            done.then_some(()).ok_or_else(|| AdminError::CertificateUnknown(sha256.clone()))
        })
        .await
    }

    /// Registers a certificate that waits, by its SHA-256 in hex, for the supplier that it signed
    /// for, whose mnemonic is given back.
    ///
    /// # Errors
    /// [`AdminError::CandidateUnknown`], [`AdminError::CertificateTaken`].
    pub async fn approve_certificate(&self, sha256: &str) -> Result<Candidate, AdminError> {
        let sha256 = plain_hex(sha256);
        let object = format!("certificate:{sha256}");
        self.perform("supplier.certificate.approve", object, json!({}), async |tx, at| {
            let found = candidate::take(tx, &sha256).await?;
            let found = found.ok_or_else(|| AdminError::CandidateUnknown(sha256.clone()))?;
            let known = supplier::of_mnemonic(tx, &found.supplier).await?;
            let id = known.ok_or_else(|| AdminError::SupplierUnknown(found.supplier.clone()))?;
            if supplier::add_certificate(tx, id, &found.certificate, at).await? {
                return Ok(found);
            }
            let owner = supplier::certificate_owner(tx, &sha256).await?;
            Err(AdminError::CertificateTaken(owner.unwrap_or_default()))
        })
        .await
    }

    /// Forgets a certificate that waits.
    ///
    /// # Errors
    /// [`AdminError::CandidateUnknown`].
    pub async fn dismiss_certificate(&self, sha256: &str) -> Result<(), AdminError> {
        let sha256 = plain_hex(sha256);
        let object = format!("certificate:{sha256}");
        self.perform("supplier.certificate.dismiss", object, json!({}), async |tx, _| {
            let found = candidate::take(tx, &sha256).await?;
            found.map(|_| ()).ok_or_else(|| AdminError::CandidateUnknown(sha256.clone()))
        })
        .await
    }

    /// Entrusts an organisation of the registry to a supplier; says whether that is new.
    ///
    /// # Errors
    /// [`AdminError::SupplierUnknown`], [`AdminError::OrganisationUnknown`].
    pub async fn grant(&self, mnemonic: &str, organisation: i64) -> Result<bool, AdminError> {
        let known = supplier::by_mnemonic(&self.db, mnemonic).await?;
        let (object, detail) =
            (format!("supplier:{mnemonic}"), json!({"organisation": organisation}));
        self.perform("supplier.grant", object, detail, async |tx, _| {
            let known = known.ok_or_else(|| AdminError::SupplierUnknown(mnemonic.to_owned()))?;
            if !supplier::is_organisation(tx, organisation).await? {
                return Err(AdminError::OrganisationUnknown(organisation));
            }
            Ok(supplier::grant(tx, known.id, organisation).await?)
        })
        .await
    }

    /// Trusts a certification authority.
    ///
    /// # Errors
    /// [`AdminError::NotAnAuthority`].
    pub async fn trust(&self, facts: &Facts) -> Result<(), AdminError> {
        let object = format!("authority:{}", facts.sha256);
        self.perform("authority.trust", object, json!({}), async |tx, at| {
            if !facts.authority {
                return Err(AdminError::NotAnAuthority(facts.subject.clone()));
            }
            Ok(supplier::add_anchor(tx, &stored(facts), at).await?)
        })
        .await
    }

    /// Trusts a certification authority no longer, by the SHA-256 of its certificate in hex.
    ///
    /// # Errors
    /// [`AdminError::AuthorityUnknown`].
    pub async fn distrust(&self, sha256: &str) -> Result<(), AdminError> {
        let sha256 = plain_hex(sha256);
        let object = format!("authority:{sha256}");
        self.perform("authority.distrust", object, json!({}), async |tx, _| {
            let done = supplier::remove_anchor(tx, &sha256).await?;
            done.then_some(()).ok_or_else(|| AdminError::AuthorityUnknown(sha256.clone()))
        })
        .await
    }

    /// Registers a system of the federal segment, or one more certificate of a registered one.
    ///
    /// # Errors
    /// A bad mnemonic or name, [`AdminError::CertificateTaken`], [`AdminError::CannotSign`].
    pub async fn register_system(
        &self,
        system: Described<'_>,
        facts: &Facts,
    ) -> Result<(), AdminError> {
        let fresh = self.ids.one("federal_system").await?;
        let object = format!("federal_system:{}", system.mnemonic);
        let detail = json!({"sha256": facts.sha256, "vip": system.vip, "asks": system.asks});
        self.perform("federal_system.register", object, detail, async |tx, at| {
            check_mnemonic(system.mnemonic)?;
            if system.mnemonic.len() > MOST_MNEMONIC {
                return Err(AdminError::LongMnemonic(system.mnemonic.to_owned()));
            }
            check_name(system.name)?;
            check_signs(facts)?;
            let system = Described { name: system.name.trim(), ..system };
            let id = federal_system::save(tx, fresh, system, at).await?;
            let certificate = SystemCertificate {
                sha256: facts.sha256.clone(),
                der: facts.der.clone(),
                subject: facts.subject.clone(),
                not_before: facts.not_before,
                not_after: facts.not_after,
            };
            if federal_system::add_certificate(tx, id, &certificate, at).await? {
                return Ok(());
            }
            let owner = federal_system::certificate_owner(tx, &facts.sha256).await?;
            Err(AdminError::CertificateTaken(owner.unwrap_or_default()))
        })
        .await
    }
}

async fn add_certificate(
    tx: &mut Tx,
    id: SupplierId,
    facts: &Facts,
    at: DateTime<Utc>,
) -> Result<(), AdminError> {
    check_signs(facts)?;
    if supplier::add_certificate(tx, id, &stored(facts), at).await? {
        return Ok(());
    }
    let owner = supplier::certificate_owner(tx, &facts.sha256).await?;
    Err(AdminError::CertificateTaken(owner.unwrap_or_default()))
}

/// A certificate as it is stored.
pub(crate) fn stored(facts: &Facts) -> Certificate {
    Certificate {
        sha256: facts.sha256.clone(),
        der: facts.der.clone(),
        subject: facts.subject.clone(),
        not_before: facts.not_before,
        not_after: facts.not_after,
    }
}

/// People paste hashes in capitals and with colons.
fn plain_hex(text: &str) -> String {
    text.chars().filter(|&c| c != ':' && !c.is_whitespace()).collect::<String>().to_lowercase()
}
