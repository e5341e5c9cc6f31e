//! A running service for one test, on either stack, with the suppliers of a synthetic region:
//! real HTTP in front, a database and a broker prefix of its own behind.
//!
//! [`Site::finish`] fails the test that leaves a task, a ring in the outbox or an open attempt.

use std::time::{Duration, Instant};

use kontingent::app::service::{Roles, Service};
use kontingent::config::Config;
use kontingent::exchange::Exchange;
use kontingent::exchange::admin::{Admin, NewSupplier};
use kontingent::model::clock::Clock;
use kontingent::model::finding::Finding;
use kontingent::model::ids::PackageNo;
use kontingent::model::package::State;
use kontingent::ops::simulate::keys::{FEDERAL, Keys};
use kontingent::ops::simulate::write::{Content, signed};
use kontingent::ops::simulate::{Package, Supplier};
use kontingent::storage::federal_system::Described;
use kontingent::storage::journal::{conclude, list};
use kontingent::trust::certificate::Facts;
use tempfile::TempDir;
use uuid::Uuid;

use crate::stack::{Flavour, create_database, drop_database, required};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running service.
pub(crate) struct Site {
    pub(crate) service: Service,
    pub(crate) keys: Keys,
    pub(crate) http: reqwest::Client,
    database_url: String,
    _data: TempDir,
}

impl Site {
    /// Starts all roles on free ports, suppliers and the federal system registered.
    pub(crate) async fn start(flavour: Flavour) -> Self {
        let data = TempDir::new().unwrap();
        let mut config = Config::embedded(data.path().to_owned());
        if flavour == Flavour::Production {
            config.database.url = Some(create_database().await);
            config.broker.url = Some(required("KONTINGENT_TEST_BROKER_URL"));
            config.broker.prefix = Some(format!("test-{}", Uuid::new_v4().simple()));
        }
        let database_url = config.database_url().unwrap();
        let service = Service::start(&config, Roles::ALL, Clock::System).await.unwrap();
        let keys = Keys::make(Clock::System.now()).unwrap();
        let http = reqwest::Client::new();
        let site = Self { service, keys, http, database_url, _data: data };
        site.register().await;
        site
    }

    pub(crate) fn exchange(&self) -> &Exchange {
        self.service.exchange()
    }

    /// Address of a path of the doors.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.service.address)
    }

    /// Signs a package and sends it by REST; what is in it, and its number.
    pub(crate) async fn send(&self, package: &Package) -> (Content, PackageNo) {
        let signer = self.keys.supplier_signer(package.supplier).unwrap();
        let (content, bytes) = signed(package, &signer).unwrap();
        let id = content.header.package_id;
        let request = self.http.put(self.url(&format!("/api/v1/packages/{id}")));
        let request = request.header("content-type", "application/xml").body(bytes);
        let answer = request.send().await.unwrap();
        let status = answer.status();
        assert!(status.is_success(), "{}: {}", package.name(), answer.text().await.unwrap());
        let found = list::by_id(self.exchange().db(), id, None).await.unwrap();
        (content, found[0].no)
    }

    /// Waits until no package is on its way to its end; fails when the number stands still.
    pub(crate) async fn until_processed(&self) {
        let received =
            format!("SELECT count(*) FROM package WHERE state = '{}'", State::Received.as_str());
        loop {
            let left = self.count(&received).await;
            if left == 0 {
                return;
            }
            let what = format!("one of {left} packages is processed");
            wait_until(&what, async || self.count(&received).await != left).await;
        }
    }

    /// The findings of the last attempt at a package.
    pub(crate) async fn findings(&self, package: PackageNo) -> Vec<Finding> {
        let db = self.exchange().db();
        let attempts = list::attempts(db, package).await.unwrap();
        conclude::findings(db, attempts[0].id, 0, 1_000_000).await.unwrap()
    }

    /// First column of the first row.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        self.exchange().db().query_one(sql, vec![]).await.unwrap().unwrap().get(0).unwrap()
    }

    /// Stops it; nothing may be left over.
    pub(crate) async fn finish(self) {
        wait_until("the outbox is empty", async || {
            self.count("SELECT count(*) FROM outbox").await == 0
        })
        .await;
        let open = "SELECT count(*) FROM attempt a JOIN package p ON p.no = a.package_no \
            WHERE a.finished_at IS NULL AND p.state <> 'waiting'";
        assert_eq!(self.count(open).await, 0, "attempts were left open");
        let parked = "SELECT count(*) FROM finding WHERE code = 'PARKED'";
        assert_eq!(self.count(parked).await, 0, "packages were parked");
        let stopped = tokio::time::timeout(PATIENCE, self.service.stop()).await;
        stopped.expect("tasks were left running");
        drop_database(&self.database_url).await;
    }

    async fn register(&self) {
        let exchange = self.exchange();
        let admin = Admin::new(exchange.db().clone(), exchange.clock(), "test".to_owned());
        let facts = |pem: Vec<u8>| Facts::read(&pem).unwrap();
        admin.trust(&facts(self.keys.authority_pem().unwrap())).await.unwrap();
        for supplier in Supplier::ALL {
            let new = NewSupplier {
                mnemonic: supplier.mnemonic().to_owned(),
                name: supplier.name().to_owned(),
                kind: supplier.kind().to_owned(),
                limited: false,
                strict_checksums: false,
                test_packages: false,
                other_encodings: false,
            };
            let certificate = facts(self.keys.supplier_pem(supplier).unwrap());
            admin.register_supplier(&new, &[certificate]).await.unwrap();
        }
        let certificate = facts(self.keys.federal_pem().unwrap());
        let system =
            Described {
                mnemonic: FEDERAL, name: "Федеральный сегмент", vip: false, asks: true
            };
        admin.register_system(system, &certificate).await.unwrap();
    }
}

/// Polls until it holds; fails by the name of what did not come.
pub(crate) async fn wait_until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
