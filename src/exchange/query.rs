//! Suppliers' questions about their packages.

use crate::exchange::Exchange;
use crate::exchange::delivery::{Receipt, Status};
use crate::model::ids::PackageId;
use crate::model::refusal::{Refusal, RefusalCode};
use crate::storage::content::decompress;
use crate::storage::db::DbError;
use crate::storage::journal::{Package, list, timestamp};
use crate::storage::registry::deferred;

impl Exchange {
    /// The final receipt of a package if there is one, else the first. Without a supplier the id
    /// must be that of one package only.
    ///
    /// # Errors
    /// `NOT_FOUND`, `STORE_UNAVAILABLE`.
    pub async fn receipt(
        &self,
        supplier: Option<&str>,
        package: PackageId,
    ) -> Result<Receipt, Refusal> {
        let package = self.find(supplier, package).await?;
        let latest = list::latest_receipt(self.db(), package.no).await.map_err(unavailable)?;
        let (frame, attempt) = latest.ok_or(RefusalCode::NotFound)?;
        let xml = decompress(&frame).map_err(|_| RefusalCode::Internal)?;
        Ok(Receipt { xml, concluding: attempt.is_some() })
    }

    /// The time stamp on the receipt that [`Exchange::receipt`] gives.
    ///
    /// # Errors
    /// `NOT_FOUND`, `STORE_UNAVAILABLE`; `NOT_READY` while there is none.
    pub async fn timestamp(
        &self,
        supplier: Option<&str>,
        package: PackageId,
    ) -> Result<Vec<u8>, Refusal> {
        let package = self.find(supplier, package).await?;
        let token = timestamp::latest(self.db(), package.no).await.map_err(unavailable)?;
        Ok(token.ok_or(RefusalCode::NotReady)?)
    }

    /// Where a package is. Without a supplier the id must be that of one package only.
    ///
    /// # Errors
    /// `NOT_FOUND`, `STORE_UNAVAILABLE`.
    pub async fn status(
        &self,
        supplier: Option<&str>,
        package: PackageId,
    ) -> Result<Status, Refusal> {
        let package = self.find(supplier, package).await?;
        let attempts = list::attempts(self.db(), package.no).await.map_err(unavailable)?;
        let fate = deferred::fate(self.db(), package.no).await.map_err(unavailable)?;
        Ok(Status {
            number: package.no,
            package: package.package_id,
            supplier: package.supplier,
            state: package.state,
            reason: package.reason,
            received_at: package.received_at,
            state_at: package.state_at,
            attempts: attempts.len() as u64,
            records: package.records,
            records_done: attempts.first().map_or(0, |last| last.records_done.unsigned_abs()),
            fate,
        })
    }

    async fn find(&self, supplier: Option<&str>, package: PackageId) -> Result<Package, Refusal> {
        let mut found =
            list::by_id(self.db(), package, supplier).await.map_err(unavailable)?.into_iter();
        match (found.next(), found.next()) {
            (Some(package), None) => Ok(package),
            (Some(_), Some(_)) => {
                Err(Refusal::new(RefusalCode::NotFound).detail("укажите поставщика"))
            }
            (None, _) => Err(RefusalCode::NotFound.into()),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unavailable(error: DbError) -> Refusal {
    tracing::error!(%error, "the store is unavailable");
    RefusalCode::StoreUnavailable.into()
}
