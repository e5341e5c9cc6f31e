//! Application: packages that wait in the journal, into an empty registry and into a full one.

use anyhow::{Result, ensure};
use reqwest::Client;

use crate::args;
use crate::model::clock::Clock;
use crate::ops::bench::Plan;
use crate::ops::bench::accept::Spent;
use crate::ops::bench::material::Supplier;
use crate::ops::bench::packages::{self, RECORDS_PER_STUDENT};
use crate::ops::bench::report::Report;
use crate::ops::bench::stand::Stand;

/// Students of one package: about 1,000 records.
const STUDENTS: u64 = 143;

/// Packages of one measurement.
const PACKAGES: u64 = 200;

/// Persons of one package when the registry is filled.
const FILLING: u64 = 10_000;

/// Where the numbers of the students that fill the registry begin.
const FILL_FROM: u64 = 10_000_000;

/// Measures the empty registry, fills it, measures again, and asks as the federal segment.
pub(super) async fn run(
    report: &mut Report,
    plan: &Plan,
    supplier: &Supplier,
    clock: Clock,
) -> Result<()> {
    let stand = Stand::build(plan, "apply", supplier, clock).await?;
    let sender = Sender { stand: &stand, supplier, clock, client: Client::new() };
    let packages = (PACKAGES / plan.divide).max(10);
    if plan.wants("apply") {
        let name = "apply, empty registry";
        sender.measure(report, name, 20_000.0, 0..packages * STUDENTS).await?;
    }
    let filled = sender.fill(plan.persons / plan.divide).await?;
    report.note("registry filled", filled, "records/s (persons and memberships)");
    if plan.wants("apply") {
        let name = format!("apply, registry of {} persons", plan.persons / plan.divide);
        let first = 5_000_000;
        sender.measure(report, &name, 10_000.0, first..first + packages * STUDENTS).await?;
    }
    if plan.wants("federal") {
        super::federal::run(report, &stand, clock, FILL_FROM, plan.persons / plan.divide).await?;
    }
    if plan.wants("exchange") {
        let persons = FILL_FROM..FILL_FROM + plan.persons / plan.divide;
        super::exchange::run(report, &stand, clock, persons, plan.divide).await?;
    }
    Ok(())
}

struct Sender<'a> {
    stand: &'a Stand,
    supplier: &'a Supplier,
    clock: Clock,
    client: Client,
}

impl Sender<'_> {
    /// Journals packages of these students, then times a worker on them.
    async fn measure(
        &self,
        report: &mut Report,
        name: &str,
        target: f64,
        students: std::ops::Range<u64>,
    ) -> Result<()> {
        let gateway = self.stand.serve("gateway").await?;
        self.schools(students.clone(), students.end).await?;
        for first in students.clone().step_by(usize::try_from(STUDENTS)?) {
            let range = first..(first + STUDENTS).min(students.end);
            let header = packages::header(&self.supplier.mnemonic, first + 1, self.clock.now());
            let id = header.package_id;
            let xml = packages::students(Vec::new(), header, range)?;
            let signed = self.supplier.signer.sign_enveloped(&xml)?;
            self.stand.send(&self.client, id, signed).await?;
        }
        gateway.stop().await?;
        let worker = self.stand.serve("worker").await?;
        let before = Spent::now(&worker)?;
        let elapsed = self.stand.registered().await?;
        let after = Spent::now(&worker)?;
        let records = (students.end - students.start) * RECORDS_PER_STUDENT;
        let rate = f64::from(u32::try_from(records)?) / elapsed.as_secs_f64();
        report.at_least(name, rate, "mixed records/s", target);
        report.note("  records", f64::from(u32::try_from(records)?), "");
        before.until(&after, report, usize::try_from(records / 1000)?, "1,000 records");
        worker.stop().await?;
        let refused = "SELECT count(*) FROM finding WHERE severity = 'ERROR'";
        let row = self.stand.db.query_one(refused, args![]).await?;
        let refused: i64 = row.map_or(Ok(0), |row| row.get(0))?;
        ensure!(refused == 0, "{refused} records were refused");
        Ok(())
    }

    /// Sends the schools and classes of these students.
    async fn schools(&self, students: std::ops::Range<u64>, number: u64) -> Result<()> {
        let header = packages::header(&self.supplier.mnemonic, number << 32, self.clock.now());
        let id = header.package_id;
        let xml = packages::schools(header, students)?;
        self.stand.send(&self.client, id, self.supplier.signer.sign_enveloped(&xml)?).await
    }

    /// Fills the registry with persons and their memberships; records a second.
    async fn fill(&self, persons: u64) -> Result<f64> {
        let server = self.stand.serve("gateway,worker").await?;
        let begun = std::time::Instant::now();
        let all = FILL_FROM..FILL_FROM + persons;
        self.schools(all.clone(), all.end).await?;
        for first in all.clone().step_by(usize::try_from(FILLING)?) {
            let range = first..(first + FILLING).min(all.end);
            let header = packages::header(&self.supplier.mnemonic, first + 1, self.clock.now());
            let id = header.package_id;
            let xml = packages::enrolments(Vec::new(), header, range)?;
            let signed = self.supplier.signer.sign_enveloped(&xml)?;
            self.stand.send(&self.client, id, signed).await?;
        }
        self.stand.registered().await?;
        let seconds = begun.elapsed().as_secs_f64();
        server.stop().await?;
        // What the filling leaves to be done is not to be measured with what comes after it.
        self.stand.db.query("VACUUM (ANALYZE)", vec![]).await?;
        self.stand.db.query("CHECKPOINT", vec![]).await?;
        Ok(f64::from(u32::try_from(2 * persons)?) / seconds)
    }
}
