//! The federal segment's questions on a registry of many persons.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use chrono::TimeDelta;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::exchange::admin::Admin;
use crate::model::clock::Clock;
use crate::ops::bench::packages;
use crate::ops::bench::report::Report;
use crate::ops::bench::stand::Stand;
use crate::ops::federal_client::{FederalClient, find};
use crate::storage::federal_system::Described;
use crate::trust::Signer;
use crate::trust::authority::{Authority, KeyKind, Request, Usage, Validity};
use crate::trust::certificate::Facts;

/// Questions of each kind.
const QUESTIONS: u64 = 300;

/// Measures round trips: SendRequest, GetResponse, Ack.
pub(super) async fn run(
    report: &mut Report,
    stand: &Stand,
    clock: Clock,
    first: u64,
    persons: u64,
) -> Result<()> {
    let signer = register(stand, clock).await?;
    let server = stand.serve("federal").await?;
    let client = FederalClient::new(stand.address, signer, clock);
    let mut sends = Vec::new();
    let mut trips = Vec::new();
    for n in 0..QUESTIONS {
        let snils = packages::snils(first + n * 7_919 % persons.max(1));
        let begun = Instant::now();
        let (answer, sent) = client
            .timed_answer("GetPersonBySnilsRequest", &format!("<Snils>{snils}</Snils>"), "Замер")
            .await?;
        ensure!(find(&answer, "PersonCard").is_some(), "the person was not found");
        sends.push(sent);
        trips.push(begun.elapsed());
    }
    report.at_most("GetPersonBySnils, p95", milliseconds(p95(&mut sends)), "ms", 20.0);
    report.note("  with GetResponse and Ack, p95", milliseconds(p95(&mut trips)), "ms");
    let mut pages = Vec::new();
    let mut cursor = String::new();
    for _ in 0..QUESTIONS / 10 {
        let inside = format!("{cursor}<PageSize>1000</PageSize>");
        let (answer, sent) =
            client.timed_answer("GetChangedSinceRequest", &inside, "Замер").await?;
        let next = find(&answer, "NextCursor").context("a page has no next cursor")?;
        cursor = format!("<Cursor>{}</Cursor>", next.text);
        pages.push(sent);
    }
    report.at_most(
        "GetChangedSince, page of 1000, p95",
        milliseconds(p95(&mut pages)),
        "ms",
        200.0,
    );
    server.stop().await
}

async fn register(stand: &Stand, clock: Clock) -> Result<Signer> {
    let now = clock.now();
    let validity = Validity { from: now - TimeDelta::days(1), to: now + TimeDelta::days(30) };
    let mut random = StdRng::seed_from_u64(2);
    let authority = Authority::create("Benchmark federal authority", validity, &mut random)?;
    let request = Request {
        name: "Benchmark federal segment",
        key: KeyKind::Rsa(2048),
        validity,
        usage: Usage::Signature,
    };
    let issued = authority.issue(&request, &mut random)?;
    let admin = Admin::new(stand.db.clone(), clock, "bench".to_owned());
    admin.trust(&Facts::read(&authority.issued().certificate_der()?)?).await?;
    let facts = Facts::read(&issued.certificate_der()?)?;
    let system = Described {
        mnemonic: "FEDBENCH1",
        name: "Федеральный сегмент для измерений",
        vip: false,
        asks: true,
    };
    admin.register_system(system, &facts).await?;
    Ok(Signer::from_pem(&issued.key_pem()?, &issued.certificate_pem()?)?)
}

fn p95(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len().saturating_sub(1) * 95 / 100).copied().unwrap_or_default()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
