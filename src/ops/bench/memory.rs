//! Memory and start: an idle process, and one package of a gigabyte through gateway and worker.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use reqwest::Client;

use crate::model::clock::Clock;
use crate::model::ids::PackageId;
use crate::ops::bench::Plan;
use crate::ops::bench::accept::mebibytes;
use crate::ops::bench::material::Supplier;
use crate::ops::bench::packages;
use crate::ops::bench::report::Report;
use crate::ops::bench::stand::Stand;

/// Students whose package is one gigabyte.
const GIGABYTE: u64 = 640_000;

/// An idle process with all roles.
pub(super) async fn start(
    report: &mut Report,
    plan: &Plan,
    supplier: &Supplier,
    clock: Clock,
) -> Result<()> {
    let stand = Stand::build(plan, "start", supplier, clock).await?;
    stand.serve("gateway,worker,federal,web").await?.stop().await?;
    let server = stand.serve("gateway,worker,federal,web").await?;
    report.at_most("ready after", server.ready_after.as_secs_f64(), "s", 1.0);
    tokio::time::sleep(Duration::from_secs(3)).await;
    report.at_most("idle process, resident", mebibytes(server.resident()?), "MiB", 60.0);
    server.stop().await
}

/// One package of a gigabyte.
pub(super) async fn run(
    report: &mut Report,
    plan: &Plan,
    supplier: &Supplier,
    clock: Clock,
) -> Result<()> {
    let stand = Stand::build(plan, "memory", supplier, clock).await?;
    let (client, folder) = (Client::new(), tempfile::tempdir()?);
    let students = GIGABYTE / plan.divide;
    let gateway = stand.serve("gateway").await?;
    let header = packages::header(&supplier.mnemonic, 1, clock.now());
    let id = header.package_id;
    let schools = packages::schools(header, 0..students)?;
    stand.send(&client, id, supplier.signer.sign_enveloped(&schools)?).await?;
    let path = folder.path().join("package.xml");
    let (id, bytes) = signed_file(supplier, clock, students, &path)?;
    let idle = gateway.resident()?;
    let begun = Instant::now();
    stand.send_file(&client, id, &path).await?;
    let size = mebibytes(bytes);
    report.note("one package", size, "MiB");
    report.note("  accepted at", size / begun.elapsed().as_secs_f64(), "MiB/s");
    let growth = mebibytes(gateway.peak()?.saturating_sub(idle));
    report.at_most("  growth of the gateway", growth, "MiB", 64.0);
    gateway.stop().await?;
    let worker = stand.serve("worker").await?;
    let idle = worker.resident()?;
    let elapsed = stand.registered().await?;
    let records = f64::from(u32::try_from(students * packages::RECORDS_PER_STUDENT)?);
    report.note("  applied at", records / elapsed.as_secs_f64(), "records/s");
    let growth = mebibytes(worker.peak()?.saturating_sub(idle));
    report.at_most("  growth of the worker", growth, "MiB", 64.0);
    worker.stop().await
}

fn signed_file(
    supplier: &Supplier,
    clock: Clock,
    students: u64,
    path: &Path,
) -> Result<(PackageId, u64)> {
    let header = packages::header(&supplier.mnemonic, 2, clock.now());
    let id = header.package_id;
    let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
    let mut file = packages::students(BufWriter::new(file), header, 0..students)?.into_inner()?;
    file.rewind()?;
    let (at, signature) = supplier.signer.enveloped_signature(BufReader::new(&file))?;
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(at))?;
    file.read_to_end(&mut tail)?;
    file.seek(SeekFrom::Start(at))?;
    file.write_all(signature.as_bytes())?;
    file.write_all(&tail)?;
    Ok((id, file.metadata()?.len()))
}
