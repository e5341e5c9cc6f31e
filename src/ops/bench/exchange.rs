//! The exchange of messages under load: signed round trips by many connections, and a copy of the
//! whole registry by pages.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use chrono::TimeDelta;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::exchange::admin::Admin;
use crate::model::clock::Clock;
use crate::ops::bench::accept::Spent;
use crate::ops::bench::load::{self, Load};
use crate::ops::bench::material::GostKey;
use crate::ops::bench::packages;
use crate::ops::bench::report::Report;
use crate::ops::bench::stand::Stand;
use crate::ops::federal_client::{self as client, FederalClient, find};
use crate::storage::federal_system::Described;
use crate::trust::authority::{Authority, KeyKind, Request, Usage, Validity};
use crate::trust::certificate::Facts;
use crate::trust::{Signer, gost};

/// Round trips of each measurement, and the connections that make them.
const TRIPS: usize = 6_000;
const CONNECTIONS: usize = 48;

/// Round trips before each measurement: a server that has just started has its plans still to make.
const WARMING: usize = 500;

/// Persons of the region whose copy must take less than five minutes.
const REGION: f64 = 1_100_000.0;

/// Measures: RSA of the caller with our default key, with a key of ours that is RSA too, GOST on
/// both sides; then the copy.
pub(super) async fn run(
    report: &mut Report,
    stand: &Stand,
    clock: Clock,
    persons: std::ops::Range<u64>,
    divide: u64,
) -> Result<()> {
    let trips = TRIPS / usize::try_from(divide)?.max(1);
    let caller = Keys::of(KeyKind::Rsa(2048), clock)?;
    caller.register(stand, clock, "EXCHANGE1").await?;
    let trip = Trip { stand, clock, persons: persons.clone(), trips };
    trip.measure(report, "RSA, we sign by ECDSA", &caller.signer()?, None, 400.0).await?;
    let own = Keys::of(KeyKind::Rsa(2048), clock)?;
    trip.measure(report, "RSA both ways", &caller.signer()?, Some(&own), 400.0).await?;
    if gost::available() {
        let key = GostKey::create()?;
        let keys =
            Keys { authority: key.certificate.clone(), key: key.key, certificate: key.certificate };
        // Its certificate was made after the clock was read.
        tokio::time::sleep(Duration::from_secs(1)).await;
        keys.register(stand, clock, "EXCHANGE2").await?;
        let own = GostKey::create()?;
        let own =
            Keys { authority: own.certificate.clone(), key: own.key, certificate: own.certificate };
        trip.measure(report, "GOST both ways", &keys.signer()?, Some(&own), 150.0).await?;
    } else {
        report.note("GOST: not measured, OpenSSL has no engine for it", 0.0, "");
    }
    copy(report, stand, clock, caller.signer()?, persons.end - persons.start).await
}

/// A key with its certificate and that of its issuer, PEM.
struct Keys {
    authority: Vec<u8>,
    key: Vec<u8>,
    certificate: Vec<u8>,
}

impl Keys {
    fn of(kind: KeyKind, clock: Clock) -> Result<Self> {
        let now = clock.now();
        let validity = Validity { from: now - TimeDelta::days(1), to: now + TimeDelta::days(30) };
        let mut random = StdRng::seed_from_u64(3);
        let authority = Authority::create("Benchmark exchange authority", validity, &mut random)?;
        let request =
            Request { name: "Benchmark exchange", key: kind, validity, usage: Usage::Signature };
        let issued = authority.issue(&request, &mut random)?;
        Ok(Self {
            authority: authority.issued().certificate_pem()?,
            key: issued.key_pem()?,
            certificate: issued.certificate_pem()?,
        })
    }

    fn signer(&self) -> Result<Signer> {
        Ok(Signer::from_pem(&self.key, &self.certificate)?)
    }

    async fn register(&self, stand: &Stand, clock: Clock, mnemonic: &str) -> Result<()> {
        let admin = Admin::new(stand.db.clone(), clock, "bench".to_owned());
        // One that signs for itself is its own authority, which the folder of trust would not take.
        let authority = Facts::read(&self.authority)?;
        if authority.authority {
            admin.trust(&authority).await?;
        } else {
            stand.trust_directly(&authority, clock.now()).await?;
        }
        let system = Described {
            mnemonic, name: "Система для измерений", vip: false, asks: true
        };
        Ok(admin.register_system(system, &Facts::read(&self.certificate)?).await?)
    }
}

/// What round trips are made of.
struct Trip<'a> {
    stand: &'a Stand,
    clock: Clock,
    persons: std::ops::Range<u64>,
    trips: usize,
}

impl Trip<'_> {
    async fn measure(
        &self,
        report: &mut Report,
        name: &str,
        caller: &Signer,
        own: Option<&Keys>,
        target: f64,
    ) -> Result<()> {
        let folder = tempfile::tempdir()?;
        let mut variables = Vec::new();
        if let Some(own) = own {
            let (key, certificate) = (folder.path().join("key"), folder.path().join("certificate"));
            std::fs::write(&key, &own.key)?;
            std::fs::write(&certificate, &own.certificate)?;
            variables.push(("KONTINGENT_SIGNING__KEY_FILE", key.display().to_string()));
            variables
                .push(("KONTINGENT_SIGNING__CERTIFICATE_FILE", certificate.display().to_string()));
        }
        let server = self.stand.serve_with("federal", &variables).await?;
        let messages = client::Messages::new(caller.clone(), self.clock);
        let mut prepared = self.prepare(&messages)?;
        let warming = prepared.split_off(self.trips);
        drive(self.stand.address, warming, &messages).await?;
        let before = Spent::now(&server)?;
        let load = drive(self.stand.address, prepared, &messages).await?;
        let after = Spent::now(&server)?;
        ensure!(load.failures == 0, "{} round trips failed", load.failures);
        let title = format!("exchange, {name}");
        report.at_least(&title, load.per_second(), "round trips/s", target);
        let p99 = load.percentile(99).as_secs_f64() * 1e3;
        report.at_most("  p99", p99, "ms", 250.0);
        before.until(&after, report, self.trips, "round trip");
        server.stop().await
    }

    /// Signed questions and calls for their answers, as they go over the wire.
    fn prepare(&self, messages: &client::Messages) -> Result<Vec<[load::Request; 2]>> {
        let count = self.persons.end - self.persons.start;
        let warming = WARMING.min(self.trips);
        (0..(self.trips + warming) as u64)
            .map(|number| {
                let snils = packages::snils(self.persons.start + number * 7_919 % count.max(1));
                let inside = format!("<Snils>{snils}</Snils>");
                let ask = messages.ask("GetPersonBySnilsRequest", &inside, "Замер")?;
                let pull = messages.pull("GetPersonBySnilsRequest")?;
                let post = |operation: &str, message: &[u8]| {
                    let action = format!("urn:{operation}");
                    load::soap(self.stand.address, "/ws/smev/1.3", &action, message)
                };
                Ok([post("SendRequest", &ask.1), post("GetResponse", &pull)])
            })
            .collect()
    }
}

/// Makes every round trip once: asks, takes the first answer that waits, confirms it.
async fn drive(
    address: SocketAddr,
    trips: Vec<[load::Request; 2]>,
    messages: &client::Messages,
) -> Result<Load> {
    let (trips, next) = (Arc::new(trips), Arc::new(AtomicUsize::new(0)));
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS {
        tasks.spawn(connection(address, Arc::clone(&trips), Arc::clone(&next), messages.clone()));
    }
    let mut load = Load::default();
    while let Some(done) = tasks.join_next().await {
        load.latencies.extend(done??);
    }
    load.elapsed = begun.elapsed();
    load.latencies.sort_unstable();
    Ok(load)
}

async fn connection(
    address: SocketAddr,
    trips: Arc<Vec<[load::Request; 2]>>,
    next: Arc<AtomicUsize>,
    messages: client::Messages,
) -> Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address).await.context("the server does not answer")?;
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(64 * 1024);
    let mut latencies = Vec::new();
    while let Some([ask, pull]) = trips.get(next.fetch_add(1, Ordering::Relaxed)) {
        let begun = Instant::now();
        stream.write_all(ask).await?;
        good(load::answer(&mut stream, &mut buffer).await?, &buffer)?;
        let id = taken(&mut stream, pull, &mut buffer).await?;
        let ack = messages.ack(&id)?;
        stream.write_all(&load::soap(address, "/ws/smev/1.3", "urn:Ack", &ack)).await?;
        good(load::answer(&mut stream, &mut buffer).await?, &buffer)?;
        latencies.push(begun.elapsed());
    }
    Ok(latencies)
}

/// Takes the first answer that waits. An answer that others write and take at the same moment may hide
/// the one that is left; a client that polls finds it the next time.
async fn taken(stream: &mut TcpStream, pull: &[u8], buffer: &mut Vec<u8>) -> Result<String> {
    for _ in 0..10 {
        stream.write_all(pull).await?;
        let body = good(load::answer(stream, buffer).await?, buffer)?;
        if let Some(id) = client::answer_id(&buffer[body..]) {
            return Ok(id);
        }
    }
    bail!("no answer waits")
}

fn good((status, body): (u16, usize), buffer: &[u8]) -> Result<usize> {
    if status != 200 {
        bail!("{status} {}", String::from_utf8_lossy(&buffer[body..]));
    }
    Ok(body)
}

/// Reads the whole registry by pages, as a federal segment does that has nothing yet.
async fn copy(
    report: &mut Report,
    stand: &Stand,
    clock: Clock,
    signer: Signer,
    persons: u64,
) -> Result<()> {
    let server = stand.serve("federal").await?;
    let client = FederalClient::new(stand.address, signer, clock);
    let (mut cursor, mut pages, mut copied) = (String::new(), 0_u32, 0_u64);
    let before = server.resident()?;
    let begun = Instant::now();
    loop {
        let inside = format!("{cursor}<PageSize>1000</PageSize>");
        let (answer, _) = client.timed_answer("GetChangedSinceRequest", &inside, "Копия").await?;
        let changes = find(&answer, "Changes").map_or(&[][..], |node| &node.children[..]);
        copied += changes.iter().filter(|one| one.local == "Person").count() as u64;
        pages += 1;
        let next = find(&answer, "NextCursor").context("a page has no next cursor")?;
        cursor = format!("<Cursor>{}</Cursor>", next.text);
        if find(&answer, "More").is_none_or(|more| more.text.trim() != "true") {
            break;
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    ensure!(copied >= persons, "{copied} of {persons} persons came");
    report.note("copy of the registry: pages", f64::from(pages), "");
    let scaled = seconds * REGION / f64::from(u32::try_from(persons)?);
    report.note("  seconds", seconds, "s");
    report.at_most("  for 1.1 million persons", scaled, "s", 300.0);
    let grown = f64::from(u32::try_from(server.peak()?.saturating_sub(before) >> 10)?) / 1024.0;
    report.at_most("  growth of memory", grown, "MiB", 64.0);
    server.stop().await
}
