//! Keys of the synthetic region: an authority, a key for every supplier, one for the federal system.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use chrono::{DateTime, TimeDelta, Utc};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::ops::simulate::supplier::Supplier;
use crate::trust::Signer;
use crate::trust::authority::{Authority, Issued, KeyKind, Request, Usage, Validity};

/// Mnemonic of the federal system.
pub const FEDERAL: &str = "FEDERAL01";

/// All keys of a region.
#[derive(Clone, Debug)]
pub struct Keys {
    authority: Authority,
    suppliers: Vec<(Supplier, Issued)>,
    federal: Issued,
}

impl Keys {
    /// Makes them, valid from a day before `now` for ten years.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn make(now: DateTime<Utc>) -> Result<Self> {
        let mut random = StdRng::from_os_rng();
        let validity = Validity { from: now - TimeDelta::days(1), to: now + TimeDelta::days(3650) };
        let authority = Authority::create("Demonstration authority", validity, &mut random)?;
        let mut issue = |name: &str, key| {
            let request = Request { name, key, validity, usage: Usage::Signature };
            authority.issue(&request, &mut random)
        };
        // The large supplier signs on P-256, the others and the federal system with RSA.
        let suppliers = Supplier::ALL
            .into_iter()
            .map(|supplier| {
                let key = match supplier {
                    Supplier::Diary => KeyKind::P256,
                    Supplier::Preschool | Supplier::Tables => KeyKind::Rsa(2048),
                };
                Ok((supplier, issue(supplier.mnemonic(), key)?))
            })
            .collect::<Result<_>>()?;
        let federal = issue(FEDERAL, KeyKind::Rsa(2048))?;
        Ok(Self { authority, suppliers, federal })
    }

    /// Certificate of the authority, PEM.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn authority_pem(&self) -> Result<Vec<u8>> {
        Ok(self.authority.issued().certificate_pem()?)
    }

    /// Certificate of a supplier, PEM.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn supplier_pem(&self, supplier: Supplier) -> Result<Vec<u8>> {
        Ok(self.issued(supplier)?.certificate_pem()?)
    }

    /// Certificate of the federal system, PEM.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn federal_pem(&self) -> Result<Vec<u8>> {
        Ok(self.federal.certificate_pem()?)
    }

    /// Signs as a supplier.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn supplier_signer(&self, supplier: Supplier) -> Result<Signer> {
        signer(self.issued(supplier)?)
    }

    /// Signs as the federal system.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn federal_signer(&self) -> Result<Signer> {
        signer(&self.federal)
    }

    /// Writes `authority.crt`, and `NAME.crt`, `NAME.key` for everybody, PEM.
    ///
    /// # Errors
    /// When writing fails.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let everybody = self
            .suppliers
            .iter()
            .map(|(supplier, issued)| (supplier.mnemonic(), issued))
            .chain([(FEDERAL, &self.federal), ("authority", self.authority.issued())]);
        for (name, issued) in everybody {
            fs::write(folder.join(name).with_extension("crt"), issued.certificate_pem()?)?;
            fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(folder.join(name).with_extension("key"))?
                .write_all(&issued.key_pem()?)?;
        }
        Ok(())
    }

    fn issued(&self, supplier: Supplier) -> Result<&Issued> {
        let found = self.suppliers.iter().find(|(other, _)| *other == supplier);
        found.map(|(_, issued)| issued).context("every supplier has a key")
    }
}

fn signer(issued: &Issued) -> Result<Signer> {
    Ok(Signer::from_pem(&issued.key_pem()?, &issued.certificate_pem()?)?)
}
