//! Acceptance: signed packages over HTTP into PostgreSQL, receipted, rung through RabbitMQ.
//! Gateway and relay run in a process of their own; PostgreSQL, RabbitMQ and the load generator
//! share the machine with it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;

use crate::args;
use crate::model::clock::Clock;
use crate::ops::bench::Plan;
use crate::ops::bench::load::{self, Request};
use crate::ops::bench::material::Supplier;
use crate::ops::bench::packages::{self, RECORDS_PER_STUDENT};
use crate::ops::bench::process::{Server, cpu_of_all};
use crate::ops::bench::report::Report;
use crate::ops::bench::stand::Stand;
use crate::storage::db::Db;

/// One size of package, as the peers of the README measure it.
struct Size {
    name: &'static str,
    /// Students in ours that make as many bytes.
    students: u64,
    /// Packages sent.
    count: u64,
    /// Connections of the load generator.
    connections: usize,
    /// Packages a second to reach.
    target: f64,
}

const SIZES: [Size; 3] = [
    Size { name: "16 KB", students: 8, count: 25_000, connections: 64, target: 2500.0 },
    Size { name: "132 KB", students: 78, count: 8_000, connections: 64, target: 1000.0 },
    Size { name: "1.3 MB", students: 780, count: 1_000, connections: 8, target: 150.0 },
];

/// Measures every size.
///
/// # Errors
/// When PostgreSQL or RabbitMQ are not named, or a package is not accepted.
pub(super) async fn run(
    report: &mut Report,
    plan: &Plan,
    supplier: &Supplier,
    clock: Clock,
) -> Result<()> {
    let stand = Stand::build(plan, "accept", supplier, clock).await?;
    let (server, address) = (stand.serve("gateway").await?, stand.address);
    for (first, size) in (0..).step_by(1 << 32).zip(SIZES) {
        let count = (size.count / plan.divide).max(u64::try_from(2 * size.connections)?);
        let requests = requests(supplier, address, clock, first, size.students, count)?;
        measure(report, &server, &size, address, requests).await?;
        settle(&stand.db).await?;
    }
    report.note("accept, peak memory of the gateway", mebibytes(server.peak()?), "MiB");
    server.stop().await
}

fn requests(
    supplier: &Supplier,
    address: SocketAddr,
    clock: Clock,
    first: u64,
    students: u64,
    count: u64,
) -> Result<Vec<Request>> {
    (0..count)
        .map(|n| {
            let header = packages::header(&supplier.mnemonic, first + n, clock.now());
            let path = format!("/api/v1/packages/{}", header.package_id);
            let xml = packages::students(Vec::new(), header, n * students..(n + 1) * students)?;
            Ok(load::put(address, &path, &supplier.signer.sign_enveloped(&xml)?))
        })
        .collect()
}

async fn measure(
    report: &mut Report,
    server: &Server,
    size: &Size,
    address: SocketAddr,
    requests: Vec<Request>,
) -> Result<()> {
    let warm: Vec<Request> = requests.iter().take(size.connections).cloned().collect();
    ensure!(load::run(address, warm, 4).await?.failures == 0, "the warm-up was refused");
    let count = requests.len();
    let bytes = requests.iter().map(Bytes::len).sum::<usize>();
    let before = Spent::now(server)?;
    let load = load::run(address, requests, size.connections).await?;
    let after = Spent::now(server)?;
    ensure!(load.failures == 0, "{} packages were refused", load.failures);
    let name = format!(
        "accept {} ({:.1} KB, {} records)",
        size.name,
        kilobytes(bytes, count),
        size.students * RECORDS_PER_STUDENT
    );
    report.at_least(&name, load.per_second(), "packages/s", size.target);
    report.note("  p50", milliseconds(load.percentile(50)), "ms");
    let p99 = milliseconds(load.percentile(99));
    if size.name == "16 KB" {
        report.at_most("  p99 at 64 connections", p99, "ms", 120.0);
    } else {
        report.note("  p99", p99, "ms");
    }
    before.until(&after, report, count, "package");
    Ok(())
}

/// Waits until the relay has rung for everything.
async fn settle(db: &Db) -> Result<()> {
    for _ in 0..600 {
        let row = db.query_one("SELECT count(*) FROM outbox", args![]).await?;
        let waiting: i64 = row.map_or(Ok(0), |row| row.get(0))?;
        if waiting == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("the outbox does not empty")
}

/// Processor time of everybody who takes part.
pub(super) struct Spent {
    service: Duration,
    postgres: Duration,
    broker: Duration,
    load: Duration,
}

impl Spent {
    /// So far.
    pub(super) fn now(server: &Server) -> Result<Self> {
        Ok(Self {
            service: server.cpu()?,
            postgres: cpu_of_all("postgres"),
            broker: cpu_of_all("beam"),
            load: super::process::cpu_of(std::process::id())?,
        })
    }

    /// Prints what one of `count` things cost each of them.
    pub(super) fn until(&self, after: &Self, report: &mut Report, count: usize, what: &str) {
        let each = |from: Duration, to: Duration| {
            milliseconds(to.saturating_sub(from)) / f64::from(u32::try_from(count).unwrap_or(1))
        };
        let unit = format!("ms a {what}");
        report.note("  cpu of the service", each(self.service, after.service), &unit);
        report.note("  cpu of PostgreSQL", each(self.postgres, after.postgres), &unit);
        report.note("  cpu of RabbitMQ", each(self.broker, after.broker), &unit);
        report.note("  cpu of the load generator", each(self.load, after.load), &unit);
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn kilobytes(bytes: usize, count: usize) -> f64 {
    bytes as f64 / count.max(1) as f64 / 1e3
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
pub(super) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
