//! A look at the log of disclosures, which is a look at persons: it leaves its own audit row.

use serde_json::json;

use crate::exchange::admin::{Admin, AdminError};
use crate::storage::disclosure::{self, Filter, Listed};
use crate::storage::federal_system;

impl Admin {
    /// Disclosures that a filter means, the newest first, at most so many. The audit row names the
    /// persons by their registry ids only, the first of them as its object.
    ///
    /// # Errors
    /// [`AdminError::SystemUnknown`].
    pub async fn disclosures(&self, filter: &Filter, most: i64) -> Result<Vec<Listed>, AdminError> {
        let mut tx = self.db.begin_read().await?;
        let persons = match &filter.person {
            Some(about) => Some(disclosure::meant(&mut tx, about).await?),
            None => None,
        };
        drop(tx);
        let object = match persons.as_deref() {
            Some([person, ..]) => format!("person:{person}"),
            _ => "disclosure:all".to_owned(),
        };
        let detail = json!({ "persons": persons, "system": filter.system, "since": filter.since,
            "until": filter.until, "before": filter.before, "limit": most });
        self.perform("disclosure.look", object, detail, async |tx, _| {
            if let Some(system) = &filter.system
                && federal_system::of_mnemonic(tx, system).await?.is_none()
            {
                return Err(AdminError::SystemUnknown(system.clone()));
            }
            Ok(disclosure::page(tx, filter, persons.as_deref(), most).await?)
        })
        .await
    }
}
