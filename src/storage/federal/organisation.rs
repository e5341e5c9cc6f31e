//! Rows of the registry of organisations, page by page.

use std::fmt::Write as _;

use crate::args;
use crate::model::federal::{Entity, OrganisationQuery};
use crate::model::ids::EntityId;
use crate::model::kind::Kind;
use crate::model::spec::KindSpec;
use crate::storage::db::{DbError, Tx};
use crate::storage::federal::{columns, entity, territory_prefix};

/// Organisations that fit, by registry id after `after`, at most `limit` of them; closed ones
/// are among them.
///
/// # Errors
/// Any [`DbError`].
pub async fn page(
    tx: &mut Tx,
    spec: &'static KindSpec,
    query: &OrganisationQuery,
    after: EntityId,
    limit: usize,
) -> Result<Vec<Entity>, DbError> {
    let mut sql = format!("SELECT {} FROM {} t WHERE t.id > $1", columns(spec), spec.table);
    let mut args = args![after.0, i64::try_from(limit).unwrap_or(i64::MAX)];
    if let Some(inn) = &query.inn {
        args.push(inn.as_str().into());
        write!(sql, " AND t.inn = ${}", args.len()).unwrap_or_default();
    }
    if let Some(oktmo) = &query.oktmo {
        args.push(format!("{}%", territory_prefix(oktmo)).into());
        write!(sql, " AND t.oktmo LIKE ${}", args.len()).unwrap_or_default();
    }
    if let Some(since) = query.changed_since {
        args.push(since.into());
        args.push(Kind::Organisation.element().into());
        write!(
            sql,
            " AND EXISTS (SELECT 1 FROM change_log c WHERE c.entity_id = t.id \
             AND c.at >= ${} AND c.kind = ${})",
            args.len() - 1,
            args.len()
        )
        .unwrap_or_default();
    }
    sql.push_str(" ORDER BY t.id LIMIT $2");
    let rows = tx.query(&sql, args).await?;
    rows.iter().map(|row| entity(spec, row)).collect()
}
