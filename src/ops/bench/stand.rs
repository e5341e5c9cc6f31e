//! A stand: a database and queues of its own, and servers on it that come and go.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use chrono::{DateTime, Utc};
use reqwest::Client;
use tempfile::TempDir;
use uuid::Uuid;

use crate::args;
use crate::exchange::admin::stored;
use crate::http::tls;
use crate::model::clock::Clock;
use crate::model::ids::PackageId;
use crate::ops::bench::Plan;
use crate::ops::bench::material::{Supplier, fresh_database};
use crate::ops::bench::process::Server;
use crate::storage::db::Db;
use crate::storage::supplier;
use crate::trust::certificate::Facts;

/// Longest time anything on a stand may take.
const PATIENCE: Duration = Duration::from_hours(1);

/// Everything a server of a benchmark stands on.
pub(super) struct Stand {
    /// The database, for looking.
    pub(super) db: Db,
    /// Where the doors are, while a server runs.
    pub(super) address: SocketAddr,
    url: String,
    broker: String,
    prefix: String,
    data: TempDir,
    health: SocketAddr,
}

impl Stand {
    /// Makes the database anew and registers the supplier.
    pub(super) async fn build(
        plan: &Plan,
        name: &str,
        supplier: &Supplier,
        clock: Clock,
    ) -> Result<Self> {
        tls::install_provider();
        let postgres = plan.database.as_deref().context("this measurement needs --database")?;
        let broker = plan.broker.clone().context("this measurement needs --broker")?;
        let (db, url) = fresh_database(postgres, &format!("kontingent_bench_{name}")).await?;
        supplier.register(&db, clock).await?;
        let (one, other) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
        Ok(Self {
            db,
            address: one.local_addr()?,
            url,
            broker,
            prefix: format!("bench-{}", Uuid::new_v4().simple()),
            data: tempfile::tempdir()?,
            health: other.local_addr()?,
        })
    }

    /// Starts a server with these roles and waits until it is ready.
    pub(super) async fn serve(&self, roles: &str) -> Result<Server> {
        self.serve_with(roles, &[]).await
    }

    /// The same with more variables.
    pub(super) async fn serve_with(
        &self,
        roles: &str,
        more: &[(&'static str, String)],
    ) -> Result<Server> {
        let mut variables = vec![
            ("KONTINGENT_DATABASE__URL", self.url.clone()),
            ("KONTINGENT_BROKER__URL", self.broker.clone()),
            ("KONTINGENT_BROKER__PREFIX", self.prefix.clone()),
            ("KONTINGENT_HTTP__LISTEN", self.address.to_string()),
            ("KONTINGENT_HEALTH__LISTEN", self.health.to_string()),
        ];
        variables.extend_from_slice(more);
        Server::start(roles, self.data.path(), &variables).await
    }

    /// Trusts a certificate that signs for itself, which no administrator could.
    pub(super) async fn trust_directly(&self, facts: &Facts, now: DateTime<Utc>) -> Result<()> {
        let mut tx = self.db.begin().await?;
        supplier::add_anchor(&mut tx, &stored(facts), now).await?;
        Ok(tx.commit().await?)
    }

    /// Sends one signed package from memory.
    pub(super) async fn send(&self, client: &Client, id: PackageId, xml: Vec<u8>) -> Result<()> {
        self.put(client, id, xml.into()).await
    }

    /// Sends one signed package from a file, in constant memory.
    pub(super) async fn send_file(
        &self,
        client: &Client,
        id: PackageId,
        path: &Path,
    ) -> Result<()> {
        self.put(client, id, tokio::fs::File::open(path).await?.into()).await
    }

    async fn put(&self, client: &Client, id: PackageId, body: reqwest::Body) -> Result<()> {
        let url = format!("http://{}/api/v1/packages/{id}", self.address);
        let request = client.put(url).header("content-type", "application/xml").body(body);
        let answer = request.send().await?;
        let status = answer.status();
        if !status.is_success() {
            bail!("a package was refused: {status} {}", answer.text().await?);
        }
        Ok(())
    }

    /// Waits until every package is registered; says how long that took.
    pub(super) async fn registered(&self) -> Result<Duration> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let sql = "SELECT count(*), coalesce(max(state), '') FROM package \
                WHERE state <> 'registered'";
            let row = self.db.query_one(sql, args![]).await?.context("no count")?;
            let (left, state): (i64, String) = (row.get(0)?, row.get(1)?);
            if left == 0 {
                return Ok(begun.elapsed());
            }
            if state == "failed" || state == "rejected" || state == "waiting" {
                bail!("a package is {state}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("not everything is registered after {PATIENCE:?}")
    }
}
