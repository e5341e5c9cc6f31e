//! What a benchmark needs before it starts: a supplier with an RSA key, its authority,
//! and a database of its own.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
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

/// A key on GOST R 34.10-2012, 256 bits, and a certificate signed by itself, both PEM.
#[derive(Debug)]
pub struct GostKey {
    /// The key.
    pub key: Vec<u8>,
    /// Its certificate.
    pub certificate: Vec<u8>,
}

impl GostKey {
    /// Lets the `openssl` tool make them.
    ///
    /// # Errors
    /// When it has no engine for GOST.
    pub fn create() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let openssl = |arguments: &str| -> Result<()> {
            let mut command = Command::new("openssl");
            let output = command.args(arguments.split_ascii_whitespace()).current_dir(&folder);
            let output = output.output()?;
            ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Ok(())
        };
        let request = "[req]\ndistinguished_name = name\n[name]\n";
        fs::write(folder.path().join("request.cnf"), request)?;
        openssl("genpkey -algorithm gost2012_256 -pkeyopt paramset:TCA -out key")?;
        openssl(
            "req -x509 -new -key key -md_gost12_256 -subj /CN=GOST -days 30 -config request.cnf \
             -addext basicConstraints=critical,CA:FALSE -out certificate",
        )?;
        let read = |name: &str| fs::read(folder.path().join(name));
        Ok(Self { key: read("key")?, certificate: read("certificate")? })
    }

    /// What signs with it.
    ///
    /// # Errors
    /// When this process has no engine for GOST.
    pub fn signer(&self) -> Result<Signer> {
        Ok(Signer::from_pem(&self.key, &self.certificate)?)
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
