//! Who takes part: the authority, the suppliers, the federal system.

use anyhow::Result;

use crate::exchange::Exchange;
use crate::exchange::admin::{Admin, NewSupplier};
use crate::ops::simulate::Supplier;
use crate::ops::simulate::keys::{FEDERAL, Keys};
use crate::storage::federal_system::Described;
use crate::trust::certificate::Facts;

/// Registers everybody with their certificates.
pub(in crate::ops) async fn register(exchange: &Exchange, keys: &Keys) -> Result<()> {
    let admin = Admin::new(exchange.db().clone(), exchange.clock(), "operator-demo".to_owned());
    admin.trust(&Facts::read(&keys.authority_pem()?)?).await?;
    for supplier in Supplier::ALL {
        let new = NewSupplier {
            mnemonic: supplier.mnemonic().to_owned(),
            name: supplier.name().to_owned(),
            kind: supplier.kind().to_owned(),
            limited: false,
            strict_checksums: false,
            test_packages: false,
            other_encodings: false,
        };
        let certificate = Facts::read(&keys.supplier_pem(supplier)?)?;
        admin.register_supplier(&new, &[certificate]).await?;
    }
    let certificate = Facts::read(&keys.federal_pem()?)?;
    let system =
        Described {
            mnemonic: FEDERAL, name: "Федеральный сегмент", vip: false, asks: true
        };
    admin.register_system(system, &certificate).await?;
    Ok(())
}
