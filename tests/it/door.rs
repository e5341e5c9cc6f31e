//! A gateway on a free port over an embedded exchange, one registered supplier, and packages of
//! that supplier.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeZone as _, Utc};
use kontingent::broker::{Doorbell, inprocess::InProcess};
use kontingent::codec::package::Writer;
use kontingent::exchange::admin::{Admin, NewSupplier};
use kontingent::exchange::delivery::Settings;
use kontingent::exchange::{Exchange, Parts};
use kontingent::gateway;
use kontingent::http::limits::Limits;
use kontingent::http::serve::serve;
use kontingent::model::clock::Clock;
use kontingent::model::ids::PackageId;
use kontingent::model::kind::Kind;
use kontingent::model::package::{Header, Mode, Scope};
use kontingent::storage::db::Db;
use kontingent::storage::migrate::migrate;
use kontingent::trust::Signer;
use kontingent::trust::authority::{Authority, Issued, KeyKind, Request, Usage, Validity};
use kontingent::trust::certificate::Facts;
use openssl::sha::sha256;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// Mnemonic of the registered supplier.
pub(crate) const SUPPLIER: &str = "DIARY0001";

/// Token of the operator `anna`.
pub(crate) const TOKEN: &str = "token-of-anna";

pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    pub(crate) exchange: Exchange,
    /// Key and certificate of the supplier.
    pub(crate) supplier: Issued,
    pub(crate) authority: Authority,
    pub(crate) dir: TempDir,
    /// Stops the door, then the exchange.
    stops: [CancellationToken; 2],
    served: JoinHandle<()>,
    tracker: TaskTracker,
}

/// An authority, and what it has issued, valid for decades.
pub(crate) fn validity() -> Validity {
    let year = |year| Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).unwrap();
    Validity { from: year(2020), to: year(2049) }
}

pub(crate) fn request(name: &str, usage: Usage) -> Request<'_> {
    Request { name, key: KeyKind::P256, validity: validity(), usage }
}

pub(crate) fn random() -> StdRng {
    StdRng::from_os_rng()
}

impl Door {
    pub(crate) async fn open(limits: Limits) -> Self {
        Self::open_with(limits, |_, _| None).await
    }

    /// Opens a door; `tls` may make an acceptor out of the authority and a folder for files.
    pub(crate) async fn open_with(
        limits: Limits,
        tls: impl FnOnce(&Authority, &TempDir) -> Option<TlsAcceptor>,
    ) -> Self {
        let dir = TempDir::new().unwrap();
        let authority = Authority::create("Тестовый УЦ", validity(), &mut random()).unwrap();
        let issue =
            |name| authority.issue(&request(name, Usage::Signature), &mut random()).unwrap();
        let (ours, supplier) = (issue("Контингент"), issue("Дневник"));
        let url = format!("sqlite://{}", dir.path().join("test.db").display());
        let db = Db::connect(&url, 4).await.unwrap();
        migrate(&db).await.unwrap();
        register(&db, &authority, &supplier).await;
        let spool = dir.path().join("spool");
        std::fs::create_dir(&spool).unwrap();
        let signer = Signer::from_pem(&ours.key_pem().unwrap(), &ours.certificate_pem().unwrap());
        let exchange = Exchange::new(Parts {
            db,
            clock: Clock::System,
            signer: Arc::new(signer.unwrap()),
            doorbell: Doorbell::InProcess(InProcess::new()),
            settings: Settings::new(spool),
        });
        let stops = [CancellationToken::new(), CancellationToken::new()];
        let tracker = TaskTracker::new();
        exchange.start(&tracker, &stops[1]);
        let hash = sha256(TOKEN.as_bytes()).map(|byte| format!("{byte:02x}")).concat();
        let settings = gateway::Settings {
            limits,
            operators: [("anna".to_owned(), hash)].into(),
            ..gateway::Settings::default()
        };
        let router = gateway::router(exchange.clone(), settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = tls(&authority, &dir);
        let served = tokio::spawn(serve(listener, acceptor, router, limits, stops[0].clone()));
        Self { address, exchange, supplier, authority, dir, stops, served, tracker }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A package of one body, signed by the supplier.
    pub(crate) fn package(&self, id: PackageId) -> Vec<u8> {
        self.package_of(id, 1)
    }

    /// A package of so many bodies, signed by the supplier.
    pub(crate) fn package_of(&self, id: PackageId, records: u64) -> Vec<u8> {
        let key = self.supplier.key_pem().unwrap();
        let signer = Signer::from_pem(&key, &self.supplier.certificate_pem().unwrap()).unwrap();
        signer.sign_enveloped(&unsigned(id, records)).unwrap()
    }

    /// Fails if anything of a package was stored or left behind.
    pub(crate) async fn holds_nothing(&self) {
        let sql = "SELECT (SELECT count(*) FROM package) + (SELECT count(*) FROM attempt) \
            + (SELECT count(*) FROM content) + (SELECT count(*) FROM outbox)";
        let row = self.exchange.db().query_one(sql, vec![]).await.unwrap().unwrap();
        assert_eq!(row.get::<i64>(0).unwrap(), 0, "rows of a package that was refused");
        let left = std::fs::read_dir(self.dir.path().join("spool")).unwrap().count();
        assert_eq!(left, 0, "files in the spool");
    }

    pub(crate) async fn close(self) {
        self.stops[0].cancel();
        self.served.await.unwrap();
        self.stops[1].cancel();
        self.tracker.close();
        let ended = tokio::time::timeout(Duration::from_secs(10), self.tracker.wait()).await;
        ended.expect("a task of the exchange does not end");
    }
}

async fn register(db: &Db, authority: &Authority, supplier: &Issued) {
    let admin = Admin::new(db.clone(), Clock::System, "test".to_owned());
    let facts = |issued: &Issued| Facts::read(&issued.certificate_der().unwrap()).unwrap();
    admin.trust(&facts(authority.issued())).await.unwrap();
    let new = NewSupplier {
        mnemonic: SUPPLIER.to_owned(),
        name: "Дневник".to_owned(),
        kind: "diary".to_owned(),
        limited: false,
        strict_checksums: false,
        test_packages: false,
    };
    admin.register_supplier(&new, &[facts(supplier)]).await.unwrap();
}

pub(crate) fn new_id() -> PackageId {
    PackageId(Uuid::new_v4())
}

/// A package before signing.
pub(crate) fn unsigned(id: PackageId, records: u64) -> Vec<u8> {
    let header = Header {
        package_id: id,
        supplier: SUPPLIER.to_owned(),
        schema_version: "1.0".to_owned(),
        package_type: "DIARY.BODIES".to_owned(),
        mode: Mode::Updated,
        scope: Scope::Region,
        sequence: None,
        previous_sequence: None,
        snapshot_at: snapshot_at(),
        school_year: None,
        dictionaries: Vec::new(),
        counts: vec![(Kind::ManagementBody, records)],
        test: false,
        correlation: None,
    };
    let mut writer = Writer::new(Vec::new(), "package", &header).unwrap();
    for number in 1..=records {
        let (external, name) = (format!("B{number}"), format!("Управление образования № {number}"));
        let fields = [("ExternalId", Some(external.as_str())), ("FullName", Some(name.as_str()))];
        writer.record(Kind::ManagementBody, fields).unwrap();
    }
    writer.finish().unwrap()
}

fn snapshot_at() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 9, 1, 6, 0, 0).unwrap()
}
