//! Signatures: ours against libxmlsec1 and signxml on the same files, and GOST.

use std::fs;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;

use crate::codec::xml::Limits;
use crate::codec::xmldsig::{Envelope, Outcome, Profile, verify_bytes, verify_enveloped};
use crate::ops::bench::material::{GostKey, Supplier};
use crate::ops::bench::packages;
use crate::ops::bench::process::resident;
use crate::ops::bench::report::Report;
use crate::trust::{Signer, TrustStore, gost};

/// Processor time each size is measured for at least, in seconds.
const SECONDS: f64 = 2.0;

/// Students of the packages (10 KB, 100 KB, 1 MB, 10 MB, 50 MB) and how many times faster than
/// libxmlsec1 they must be verified.
const SIZES: [(u64, f64); 5] = [(5, 7.0), (58, 10.0), (590, 10.0), (5_900, 10.0), (29_500, 10.0)];

/// Students of the package signed by GOST: 1 MB.
const GOST_STUDENTS: u64 = 590;

/// What a tool of another language needed for a file.
#[derive(Deserialize)]
struct Other {
    file: String,
    tool: String,
    seconds: f64,
}

/// Measures; `python` has `xmlsec` and `signxml`.
///
/// # Errors
/// When something does not work at all.
pub(super) fn run(
    report: &mut Report,
    supplier: &Supplier,
    python: Option<&Path>,
    divide: u64,
    now: DateTime<Utc>,
) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let store = TrustStore::new(std::slice::from_ref(&supplier.authority))?;
    fs::write(folder.path().join("leaf.pem"), supplier.signer.certificate_pem()?)?;
    let mut ours = Vec::new();
    for (students, target) in SIZES {
        let document = package(supplier, &supplier.signer, students, now)?;
        let seconds = seconds(&document, &store, now)?;
        let file = format!("{:.0}-kb.xml", kilobytes(&document)?);
        fs::write(folder.path().join(&file), &document)?;
        report.note(&format!("RSA, {file}"), kilobytes(&document)? / seconds / 1e3, "MB/s");
        ours.push((file, seconds, target));
    }
    match python {
        Some(python) => ratios(report, &ours, &others(python, folder.path())?),
        None => report.note("libxmlsec1 and signxml: not run, no --python", 0.0, ""),
    }
    gost(report, supplier, now)?;
    memory(report, supplier, divide, now)
}

/// A document of any size that exists only while it is read: a head, copies of a piece, a tail.
struct Endless {
    head: Cursor<Vec<u8>>,
    piece: Vec<u8>,
    copies: u64,
    at: usize,
    tail: Cursor<Vec<u8>>,
}

impl Endless {
    /// A document of about so many bytes, whose root ends with `before_end`.
    fn new(bytes: u64, before_end: &str) -> Self {
        let head =
            b"<?xml version=\"1.0\"?>\n<r:Records xmlns:r=\"urn:records\" Id=\"all\">\n".to_vec();
        let piece: Vec<u8> =
            b"  <r:Record number=\"17\"><r:LastName>\xD0\x98\xD0\xB2</r:LastName></r:Record>\n"
                .repeat(1000);
        let tail = format!("{before_end}</r:Records>\n").into_bytes();
        let copies = bytes / piece.len() as u64;
        Self { head: Cursor::new(head), piece, copies, at: 0, tail: Cursor::new(tail) }
    }
}

impl Read for Endless {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.head.read(into)?;
        if count > 0 || self.copies == 0 {
            return if count > 0 { Ok(count) } else { self.tail.read(into) };
        }
        let count = (&self.piece[self.at..]).read(into)?;
        self.at += count;
        if self.at == self.piece.len() {
            self.at = 0;
            self.copies -= 1;
        }
        Ok(count)
    }
}

/// Verifies ever larger documents as they come and looks at the most memory that the process ever
/// had.
fn memory(report: &mut Report, supplier: &Supplier, divide: u64, now: DateTime<Utc>) -> Result<()> {
    let store = TrustStore::new(std::slice::from_ref(&supplier.authority))?;
    let own = std::process::id();
    let mut before = None;
    for megabytes in [1, 100, 5_000 / divide] {
        let bytes = megabytes * 1_000_000;
        let (_, signature) = supplier.signer.enveloped_signature(Endless::new(bytes, ""))?;
        let source = Endless::new(bytes, &signature);
        let envelope = Envelope::package(Limits::default());
        let outcome = verify_enveloped(source, envelope, &Profile::default(), &mut |_, _| Ok(()))?;
        let Outcome::Signed(signature) = outcome else { bail!("another profile") };
        store.verify(&signature, now)?;
        let resident = resident(own)?;
        let first = *before.get_or_insert(resident);
        let grown = f64::from(u32::try_from(resident.saturating_sub(first) >> 10)?) / 1024.0;
        report.at_most(&format!("growth of memory, {megabytes} MB verified"), grown, "MiB", 4.0);
    }
    Ok(())
}

fn package(
    supplier: &Supplier,
    signer: &Signer,
    students: u64,
    now: DateTime<Utc>,
) -> Result<Vec<u8>> {
    let header = packages::header(&supplier.mnemonic, students, now);
    let xml = packages::students(Vec::new(), header, 0..students)?;
    Ok(signer.sign_enveloped(&xml)?)
}

/// Processor seconds of the fastest of several batches, for one verification, value included.
fn seconds(document: &[u8], store: &TrustStore, now: DateTime<Utc>) -> Result<f64> {
    let batch = (4_000_000 / document.len()).max(1);
    let (mut fastest, mut spent) = (f64::MAX, 0.0);
    while spent < SECONDS {
        let before = own_time();
        for _ in 0..batch {
            let signature = verify_bytes(document, Envelope::package(Limits::default()))?;
            store.verify(&signature, now)?;
        }
        let taken = own_time() - before;
        spent += taken;
        fastest = fastest.min(taken / f64::from(u32::try_from(batch)?));
    }
    Ok(fastest)
}

/// Processor time of this thread, in seconds.
fn own_time() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap_or_default())
        .as_secs_f64()
}

fn kilobytes(document: &[u8]) -> Result<f64> {
    Ok(f64::from(u32::try_from(document.len())?) / 1e3)
}

/// Lets the tools of Python verify the files of a folder.
fn others(python: &Path, folder: &Path) -> Result<Vec<Other>> {
    let script = folder.join("signatures.py");
    fs::write(&script, include_str!("../../../benches/signatures.py"))?;
    let output =
        Command::new(python).arg(&script).arg(folder).env_remove("OPENSSL_CONF").output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {errors}", python.display());
    let text = String::from_utf8(output.stdout)?;
    text.lines().map(|line| serde_json::from_str(line).context(line.to_owned())).collect()
}

fn ratios(report: &mut Report, ours: &[(String, f64, f64)], others: &[Other]) {
    for (file, seconds, target) in ours {
        for other in others.iter().filter(|other| other.file == *file) {
            let name = format!("times faster than {}, {file}", other.tool);
            let ratio = other.seconds / seconds;
            match other.tool.as_str() {
                "xmlsec" => report.at_least(&name, ratio, "", *target),
                _ => report.note(&name, ratio, ""),
            }
        }
    }
}

/// Measures a package signed by GOST R 34.10-2012, with a key that the `openssl` tool makes.
fn gost(report: &mut Report, supplier: &Supplier, now: DateTime<Utc>) -> Result<()> {
    if !gost::available() {
        report.note("GOST: not measured, OpenSSL has no engine for it", 0.0, "");
        return Ok(());
    }
    let signer = GostKey::create()?.signer()?;
    let store = TrustStore::new(&[signer.certificate_der().to_vec()])?;
    // Its certificate was made after `now`.
    let now = now + TimeDelta::hours(1);
    for students in [GOST_STUDENTS, 10 * GOST_STUDENTS] {
        let document = package(supplier, &signer, students, now)?;
        let megabytes = kilobytes(&document)? / 1e3;
        let rate = megabytes / seconds(&document, &store, now)?;
        let name = format!("GOST R 34.10-2012 256, {megabytes:.1} MB");
        report.at_least(&name, rate, "MB/s on one core", 100.0);
    }
    Ok(())
}
