//! Verification alone: one thread, one pass over packages in memory, signature value included.

use std::time::Instant;

use anyhow::Result;
use chrono::{DateTime, Utc};

use crate::codec::xml::Limits;
use crate::codec::xmldsig::{Envelope, verify_bytes};
use crate::ops::bench::material::Supplier;
use crate::ops::bench::packages::{self, RECORDS_PER_STUDENT};
use crate::ops::bench::process::cpu_of;
use crate::ops::bench::report::Report;
use crate::trust::TrustStore;

/// Processor time each size is measured for, in seconds.
const SECONDS: f64 = 2.0;

/// Students of the packages: those of the measurement of acceptance (16 KB, 132 KB, 1.3 MB), a
/// smaller one and a larger one.
const STUDENTS: [u64; 5] = [3, 8, 78, 780, 10_000];

/// Measures packages of several sizes.
///
/// # Errors
/// When a package of ours does not verify.
pub(super) fn run(report: &mut Report, supplier: &Supplier, now: DateTime<Utc>) -> Result<()> {
    for students in STUDENTS {
        let header = packages::header(&supplier.mnemonic, students, now);
        let xml = packages::students(Vec::new(), header, 0..students)?;
        let package = supplier.signer.sign_enveloped(&xml)?;
        let store = TrustStore::new(std::slice::from_ref(&supplier.authority))?;
        let (begun, before) = (Instant::now(), cpu_of(std::process::id())?);
        let mut times = 0_u32;
        while begun.elapsed().as_secs_f64() < SECONDS || times == 0 {
            let signature = verify_bytes(&package, Envelope::package(Limits::default()))?;
            store.verify(&signature, now)?;
            times += 1;
        }
        let cpu = cpu_of(std::process::id())?.saturating_sub(before).as_secs_f64();
        let megabytes = f64::from(u32::try_from(package.len())?) / 1e6;
        let rate = megabytes * f64::from(times) / cpu;
        let name = format!(
            "verify, {} records, {:.0} KB",
            students * RECORDS_PER_STUDENT,
            megabytes * 1e3
        );
        report.at_least(&name, rate, "MB/s on one core", 150.0);
    }
    Ok(())
}
