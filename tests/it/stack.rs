//! A whole exchange for one test: a database of its own, suppliers with keys, on either stack.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use kontingent::broker::{Doorbell, InProcess, Rabbit};
use kontingent::codec::inflate::Encoding;
use kontingent::codec::package::Writer;
use kontingent::exchange::delivery::{Accepted, Delivery, Settings};
use kontingent::exchange::{Exchange, Parts};
use kontingent::model::clock::Clock;
use kontingent::model::ids::{PackageId, PackageNo, SupplierId};
use kontingent::model::kind::Kind;
use kontingent::model::package::{Header, Mode, Scope, State};
use kontingent::model::refusal::Refusal;
use kontingent::storage::db::Db;
use kontingent::storage::journal::{Package, list};
use kontingent::storage::migrate::migrate;
use kontingent::storage::supplier::{self, Certificate, Supplier};
use kontingent::trust::Signer;
use kontingent::trust::authority::{Authority, Issued, KeyKind, Request, Usage, Validity};
use kontingent::trust::certificate::Facts;
use kontingent::worker;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// Looks, 50 ms apart, that something may take: a lost ring alone is found after 30 s.
const PATIENCE: usize = 2400;

/// Which components a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// SQLite and the in-process doorbell.
    Embedded,
    /// PostgreSQL and RabbitMQ.
    Production,
}

/// Both flavours; production needs the two URLs of its servers.
pub(crate) fn flavours() -> Vec<Flavour> {
    vec![Flavour::Embedded, Flavour::Production]
}

/// A supplier with a key.
pub(crate) struct TestSupplier {
    pub(crate) mnemonic: String,
    pub(crate) signer: Signer,
    pub(crate) certificate: Facts,
    pub(crate) issued: Issued,
}

/// Everything but HTTP.
pub(crate) struct Stack {
    pub(crate) exchange: Exchange,
    pub(crate) suppliers: Vec<TestSupplier>,
    /// Issued all certificates, and may issue more.
    pub(crate) authority: Authority,
    pub(crate) tracker: TaskTracker,
    pub(crate) stop: CancellationToken,
    pub(crate) database_url: String,
    pub(crate) directory: TempDir,
}

impl Stack {
    /// Makes the database, three suppliers, and the exchange; starts committers, relay and sweep.
    pub(crate) async fn start(flavour: Flavour) -> Self {
        let prefix = format!("test-{}", Uuid::new_v4().simple());
        let doorbell = match flavour {
            Flavour::Embedded => Doorbell::InProcess(InProcess::new()),
            Flavour::Production => {
                let url = required("KONTINGENT_TEST_BROKER_URL");
                Doorbell::Rabbit(Rabbit::new(&url, &prefix).unwrap())
            }
        };
        Self::start_with(flavour, doorbell, |_| {}).await
    }

    /// The same with another doorbell and other parts.
    pub(crate) async fn start_with(
        flavour: Flavour,
        doorbell: Doorbell,
        change: impl FnOnce(&mut Parts),
    ) -> Self {
        let Ground { directory, database_url, db, authority, suppliers, signer } =
            Ground::prepare(flavour).await;
        let mut settings = Settings::new(directory.path().to_owned());
        settings.patience = Duration::from_secs(2);
        let signer = Arc::new(signer);
        let mut parts = Parts {
            sandbox: None,
            db,
            clock: Clock::System,
            signer,
            trust: None,
            statuses: None,
            doorbell,
            settings,
        };
        change(&mut parts);
        let exchange = Exchange::new(parts);
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        exchange.start(&tracker, &stop);
        Self { exchange, suppliers, authority, tracker, stop, database_url, directory }
    }

    /// Hands a document to the exchange as a door would.
    pub(crate) async fn deliver(&self, document: &[u8]) -> Result<Accepted, Refusal> {
        self.exchange.accept(delivery(document)).await
    }

    /// Starts a worker.
    pub(crate) fn work(&self) {
        self.tracker.spawn(worker::run(self.exchange.clone(), self.stop.clone()));
    }

    /// The package as it stands.
    pub(crate) async fn package(&self, number: PackageNo) -> Package {
        list::by_no(self.exchange.db(), number).await.unwrap().unwrap()
    }

    /// Waits until a package is in a state.
    pub(crate) async fn until(&self, number: PackageNo, state: State) -> Package {
        for _ in 0..PATIENCE {
            let package = self.package(number).await;
            if package.state == state {
                return package;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let attempts = list::attempts(self.exchange.db(), number).await.unwrap();
        panic!("{:?} instead of {state:?}: {attempts:#?}", self.package(number).await);
    }

    /// Waits until so many attempts have ended.
    pub(crate) async fn finished(&self, count: i64) {
        let sql = "SELECT count(*) FROM attempt WHERE finished_at IS NOT NULL";
        for _ in 0..PATIENCE {
            let row = self.exchange.db().query_one(sql, vec![]).await.unwrap().unwrap();
            if row.get::<i64>(0).unwrap() >= count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{count} attempts should have ended");
    }

    /// Stops all tasks and waits for them.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
        self.exchange.db().close().await;
        drop_database(&self.database_url).await;
    }
}

/// A database with three suppliers, and nothing running on it.
pub(crate) struct Ground {
    pub(crate) directory: TempDir,
    pub(crate) database_url: String,
    pub(crate) db: Db,
    pub(crate) authority: Authority,
    pub(crate) suppliers: Vec<TestSupplier>,
    pub(crate) signer: Signer,
}

impl Ground {
    /// Makes it.
    pub(crate) async fn prepare(flavour: Flavour) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database_url = match flavour {
            Flavour::Embedded => format!("sqlite://{}", directory.path().join("db").display()),
            Flavour::Production => create_database().await,
        };
        let db = Db::connect(&database_url, 8).await.unwrap();
        migrate(&db).await.unwrap();
        let (authority, suppliers, signer) = enrol(&db).await;
        Self { directory, database_url, db, authority, suppliers, signer }
    }
}

/// A plain delivery from nowhere.
pub(crate) fn delivery(document: &[u8]) -> Delivery {
    Delivery {
        body: Box::new(Cursor::new(document.to_vec())),
        size_hint: Some(document.len() as u64),
        small: document.len() < 256 << 10,
        encoding: Encoding::Plain,
        declared_utf8: false,
        expected_id: None,
        peer: "127.0.0.1".to_owned(),
        channel_certificate: None,
    }
}

/// A header of a supplier's next package.
pub(crate) fn header(supplier: &TestSupplier) -> Header {
    Header {
        package_id: PackageId(Uuid::new_v4()),
        supplier: supplier.mnemonic.clone(),
        schema_version: "1.0".to_owned(),
        package_type: "DIARY.PERSONS".to_owned(),
        mode: Mode::Updated,
        scope: Scope::Region,
        sequence: None,
        previous_sequence: None,
        snapshot_at: now() - TimeDelta::minutes(5),
        school_year: None,
        dictionaries: vec![],
        counts: vec![],
        test: false,
        correlation: None,
    }
}

/// A person as the format has it: external id, and what to say besides.
pub(crate) struct Person(pub(crate) String, pub(crate) Vec<(&'static str, String)>);

/// So many persons with names of their own.
pub(crate) fn persons(from: usize, count: usize) -> Vec<Person> {
    (from..from + count)
        .map(|n| {
            let letters: String = n
                .to_string()
                .bytes()
                .map(|d| char::from_u32('а' as u32 + u32::from(d - b'0')).unwrap())
                .collect();
            let born = chrono::NaiveDate::from_ymd_opt(2010, 1, 1).unwrap()
                + TimeDelta::days((n % 2000) as i64);
            let fields = vec![
                ("LastName", format!("Иванов{letters}")),
                ("FirstName", "Пётр".to_owned()),
                ("MiddleName", format!("Сергеевич{letters}")),
                ("Sex", "1".to_owned()),
                ("BirthDate", born.to_string()),
            ];
            Person(format!("p-{n}"), fields)
        })
        .collect()
}

/// A signed package of these persons.
pub(crate) fn package(supplier: &TestSupplier, mut header: Header, persons: &[Person]) -> Vec<u8> {
    if !persons.is_empty() {
        header.counts = vec![(Kind::Person, persons.len() as u64)];
    }
    let mut writer = Writer::new(Vec::new(), "package", &header).unwrap();
    write_persons(&mut writer, persons);
    supplier.signer.sign_enveloped(&writer.finish().unwrap()).unwrap()
}

/// A signed package of these persons with a telephone each.
pub(crate) fn package_with_contacts(
    supplier: &TestSupplier,
    mut header: Header,
    persons: &[Person],
) -> Vec<u8> {
    let count = persons.len() as u64;
    header.counts = vec![(Kind::Person, count), (Kind::Contact, count)];
    let mut writer = Writer::new(Vec::new(), "package", &header).unwrap();
    write_persons(&mut writer, persons);
    write_contacts(&mut writer, persons);
    supplier.signer.sign_enveloped(&writer.finish().unwrap()).unwrap()
}

/// A signed package of these persons, some of them with a telephone.
pub(crate) fn package_of(
    supplier: &TestSupplier,
    mut header: Header,
    persons: &[Person],
    telephones: &[bool],
) -> Vec<u8> {
    let count = telephones.iter().filter(|has| **has).count() as u64;
    header.counts = vec![(Kind::Person, persons.len() as u64), (Kind::Contact, count)];
    let mut writer = Writer::new(Vec::new(), "package", &header).unwrap();
    write_persons(&mut writer, persons);
    for (person, _) in persons.iter().zip(telephones).filter(|(_, has)| **has) {
        write_contacts(&mut writer, std::slice::from_ref(person));
    }
    supplier.signer.sign_enveloped(&writer.finish().unwrap()).unwrap()
}

/// A signed package of the telephones of these persons, without the persons.
pub(crate) fn package_of_contacts(
    supplier: &TestSupplier,
    mut header: Header,
    persons: &[Person],
) -> Vec<u8> {
    header.counts = vec![(Kind::Contact, persons.len() as u64)];
    let mut writer = Writer::new(Vec::new(), "package", &header).unwrap();
    write_contacts(&mut writer, persons);
    supplier.signer.sign_enveloped(&writer.finish().unwrap()).unwrap()
}

/// A signed package of one person with so many marks, alive or deleted.
pub(crate) fn package_of_marks(
    supplier: &TestSupplier,
    header: &Header,
    count: usize,
    deleted: bool,
) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), "package", header).unwrap();
    write_persons(&mut writer, &persons(0, 1));
    for n in 0..count {
        let id = format!("m-{n:05}");
        let fields = [
            ("ExternalId", Some(id.as_str())),
            ("Person", Some("p-0")),
            ("Subject", Some("Алгебра")),
            ("LessonDate", Some("2026-09-01")),
            ("SetAt", Some("2026-09-01T10:00:00+03:00")),
            ("Value", Some("5")),
            ("Deleted", Some(if deleted { "true" } else { "false" })),
        ];
        writer.record(Kind::Mark, fields).unwrap();
    }
    supplier.signer.sign_enveloped(&writer.finish().unwrap()).unwrap()
}

fn write_persons(writer: &mut Writer<Vec<u8>>, persons: &[Person]) {
    for Person(id, fields) in persons {
        let id = [("ExternalId", Some(id.as_str()))];
        let fields = fields.iter().map(|(name, value)| (*name, Some(value.as_str())));
        writer.record(Kind::Person, id.into_iter().chain(fields)).unwrap();
    }
}

fn write_contacts(writer: &mut Writer<Vec<u8>>, persons: &[Person]) {
    for Person(id, _) in persons {
        let contact = format!("c-{id}");
        let fields = [
            ("ExternalId", Some(contact.as_str())),
            ("Person", Some(id.as_str())),
            ("Kind", Some("1")),
            ("Value", Some("+7 900 000-00-00")),
        ];
        writer.record(Kind::Contact, fields).unwrap();
    }
}

/// The machine's time.
pub(crate) fn now() -> DateTime<Utc> {
    Clock::System.now()
}

/// A variable that the test command sets.
pub(crate) fn required(name: &str) -> String {
    let hint = "run the tests by ./test, or: export $(deploy/dev/services up)";
    #[expect(clippy::disallowed_methods, reason = "tests are told their servers by variables")]
    let value = std::env::var(name);
    value.unwrap_or_else(|_| panic!("{name} is not set; {hint}"))
}

/// Makes an empty database on the test server; its URL.
pub(crate) async fn create_database() -> String {
    let url = required("KONTINGENT_TEST_DATABASE_URL");
    let name = format!("kontingent_test_{}", Uuid::new_v4().simple());
    let server = Db::connect(&url, 1).await.unwrap();
    run(&server, &format!("CREATE DATABASE \"{name}\"")).await;
    let (server, _) = url.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

/// Drops a database made by [`create_database`]; any other URL is left alone.
pub(crate) async fn drop_database(url: &str) {
    if let Some((server, name)) = url.rsplit_once('/')
        && server.starts_with("postgres")
    {
        let server = Db::connect(&format!("{server}/postgres"), 1).await.unwrap();
        run(&server, &format!("DROP DATABASE \"{name}\" WITH (FORCE)")).await;
    }
}

/// Statements on databases cannot run in a transaction.
async fn run(db: &Db, sql: &str) {
    db.query(sql, vec![]).await.unwrap();
    db.close().await;
}

async fn enrol(db: &Db) -> (Authority, Vec<TestSupplier>, Signer) {
    let mut random = StdRng::seed_from_u64(7);
    let at = now();
    let validity = Validity { from: at - TimeDelta::days(1), to: at + TimeDelta::days(365) };
    let authority = Authority::create("Test authority", validity, &mut random).unwrap();
    let mut issue = |name: &str, key| {
        let request = Request { name, key, validity, usage: Usage::Signature };
        let issued = authority.issue(&request, &mut random).unwrap();
        let (key, certificate) = (issued.key_pem().unwrap(), issued.certificate_pem().unwrap());
        (Signer::from_pem(&key, &certificate).unwrap(), Facts::read(&certificate).unwrap(), issued)
    };
    let mut suppliers = Vec::new();
    for (name, key) in [
        ("DIARY0001", KeyKind::Rsa(2048)),
        ("DIARY0002", KeyKind::P256),
        ("XLS0001", KeyKind::P256),
    ] {
        let (signer, certificate, issued) = issue(name, key);
        suppliers.push(TestSupplier { mnemonic: name.to_owned(), signer, certificate, issued });
    }
    let anchor = Facts::read(&authority.issued().certificate_pem().unwrap()).unwrap();
    let mut tx = db.begin().await.unwrap();
    supplier::add_anchor(&mut tx, &certificate(&anchor), at).await.unwrap();
    for (id, one) in (1..).map(SupplierId).zip(&suppliers) {
        let saved = Supplier {
            id,
            mnemonic: one.mnemonic.clone(),
            name: one.mnemonic.clone(),
            kind: "diary".to_owned(),
            blocked: false,
            limited: false,
            strict_checksums: false,
            test_packages: id.0 == 1,
            other_encodings: id.0 == 1,
            created_at: at,
        };
        supplier::save(&mut tx, &saved).await.unwrap();
        let theirs = certificate(&one.certificate);
        assert!(supplier::add_certificate(&mut tx, id, &theirs, at).await.unwrap());
    }
    tx.commit().await.unwrap();
    let signer = issue("Receipts", KeyKind::P256).0;
    (authority, suppliers, signer)
}

fn certificate(facts: &Facts) -> Certificate {
    Certificate {
        sha256: facts.sha256.clone(),
        der: facts.der.clone(),
        subject: facts.subject.clone(),
        not_before: facts.not_before,
        not_after: facts.not_after,
    }
}
