//! `kontingent bench`: the figures of the README, measured on this machine.

mod accept;
mod apply;
mod exchange;
mod federal;
pub mod load;
pub mod material;
mod memory;
pub mod packages;
pub mod process;
pub mod report;
mod signature;
mod stand;
mod verify;

use std::path::PathBuf;

use anyhow::Result;

use crate::model::clock::Clock;
use crate::ops::bench::material::Supplier;
use crate::ops::bench::report::Report;

/// What to measure, and with what.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Names of the parts; none means all.
    pub what: Vec<String>,
    /// URL of a PostgreSQL on which databases may be made.
    pub database: Option<String>,
    /// URL of a RabbitMQ.
    pub broker: Option<String>,
    /// Persons of the filled registry.
    pub persons: u64,
    /// Everything smaller by this factor.
    pub divide: u64,
    /// Python with `xmlsec` and `signxml`.
    pub python: Option<PathBuf>,
    /// One JSON object a figure.
    pub json: bool,
}

impl Plan {
    fn wants(&self, part: &str) -> bool {
        self.what.is_empty() || self.what.iter().any(|name| name == part)
    }
}

/// Measures; says whether every target was reached.
///
/// # Errors
/// When something does not work at all.
pub async fn run(plan: &Plan, clock: Clock) -> Result<bool> {
    let mut report = Report::new(plan.json);
    let supplier = Supplier::create(clock.now())?;
    if plan.wants("verify") {
        verify::run(&mut report, &supplier, clock.now())?;
    }
    if plan.wants("signature") {
        let python = plan.python.as_deref();
        signature::run(&mut report, &supplier, python, plan.divide, clock.now())?;
    }
    if plan.wants("accept") {
        accept::run(&mut report, plan, &supplier, clock).await?;
    }
    if plan.wants("start") {
        memory::start(&mut report, plan, &supplier, clock).await?;
    }
    if plan.wants("memory") {
        memory::run(&mut report, plan, &supplier, clock).await?;
    }
    if plan.wants("apply") || plan.wants("federal") || plan.wants("exchange") {
        apply::run(&mut report, plan, &supplier, clock).await?;
    }
    Ok(report.missed() == 0)
}
