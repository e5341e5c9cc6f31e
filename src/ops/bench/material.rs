//! What a benchmark needs before it starts: a supplier with an RSA key, its authority,
//! and a database of its own.

use anyhow::{Context, Result};
use chrono::{DateTime, TimeDelta, Utc};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::exchange::admin::{Admin, NewSupplier};
use crate::model::clock::Clock;
use crate::storage::db::Db;
use crate::storage::{migrate, scratch};
use crate::trust::Signer;
use crate::trust::authority::{Authority, KeyKind, Request, Usage, Validity};
use crate::trust::certificate::Facts;

/// A supplier that signs with RSA-2048.
#[derive(Debug)]
pub struct Supplier {
    /// Its mnemonic.
    pub mnemonic: String,
    /// Its key.
    pub signer: Signer,
    /// Certificate of its authority, DER.
    pub authority: Vec<u8>,
}

impl Supplier {
    /// Makes keys and certificates.
    ///
    /// # Errors
    /// When OpenSSL fails.
    pub fn create(now: DateTime<Utc>) -> Result<Self> {
        let validity = Validity { from: now - TimeDelta::days(1), to: now + TimeDelta::days(30) };
        let mut random = StdRng::seed_from_u64(1);
        let authority = Authority::create("Benchmark authority", validity, &mut random)?;
        let request = Request {
            name: "Benchmark diary",
            key: KeyKind::Rsa(2048),
            validity,
            usage: Usage::Signature,
        };
        let issued = authority.issue(&request, &mut random)?;
        let signer = Signer::from_pem(&issued.key_pem()?, &issued.certificate_pem()?)?;
        let authority = authority.issued().certificate_der()?;
        Ok(Self { mnemonic: "BENCH0001".to_owned(), signer, authority })
    }

    /// Registers it and its authority.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn register(&self, db: &Db, clock: Clock) -> Result<()> {
        let admin = Admin::new(db.clone(), clock, "bench".to_owned());
        admin.trust(&Facts::read(&self.authority)?).await?;
        let new = NewSupplier {
            mnemonic: self.mnemonic.clone(),
            name: "Дневник для измерений".to_owned(),
            kind: "diary".to_owned(),
            limited: false,
            strict_checksums: false,
            test_packages: false,
            other_encodings: false,
        };
        let certificate = Facts::read(self.signer.certificate_der())?;
        admin.register_supplier(&new, &[certificate]).await?;
        Ok(())
    }
}

/// A database of its own on the PostgreSQL that `url` names; dropped and made anew.
///
/// # Errors
/// When PostgreSQL does not answer or does not allow it.
pub async fn fresh_database(url: &str, name: &str) -> Result<(Db, String)> {
    let url = scratch::create(url, name).await.context("PostgreSQL does not make a database")?;
    let db = Db::connect(&url, 4).await?;
    migrate::migrate(&db).await?;
    Ok((db, url))
}
