//! Databases made for one test or benchmark.

use crate::storage::db::{Db, DbError};

/// Makes an empty PostgreSQL database beside the one that `url` names, dropping an old one of
/// this name (letters, digits and underscores); returns its URL.
///
/// # Errors
/// When PostgreSQL does not answer or does not allow it.
pub async fn create(url: &str, name: &str) -> Result<String, DbError> {
    let server = Db::connect(url, 1).await?;
    server.query(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"), vec![]).await?;
    server.query(&format!("CREATE DATABASE {name}"), vec![]).await?;
    server.close().await;
    Ok(beside(url, name))
}

/// Drops a database made by [`create`], whoever is connected to it.
///
/// # Errors
/// When PostgreSQL does not answer or does not allow it.
pub async fn drop(url: &str, name: &str) -> Result<(), DbError> {
    let server = Db::connect(url, 1).await?;
    server.query(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"), vec![]).await?;
    server.close().await;
    Ok(())
}

fn beside(url: &str, name: &str) -> String {
    let (address, options) = url.split_once('?').map_or((url, None), |(a, o)| (a, Some(o)));
    let base = address.rsplit_once('/').map_or(address, |(base, _)| base);
    match options {
        Some(options) => format!("{base}/{name}?{options}"),
        None => format!("{base}/{name}"),
    }
}
