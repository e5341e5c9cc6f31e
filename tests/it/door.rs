//! A gateway on a free port over a whole exchange.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use kontingent::broker::{Doorbell, InProcess};
use kontingent::gateway;
use kontingent::http::limits::Limits;
use kontingent::http::serve::serve;
use kontingent::model::ids::PackageId;
use kontingent::trust::authority::Authority;
use openssl::sha::sha256;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::stack::{Flavour, Stack, header, package, persons};

/// Mnemonic of the first supplier.
pub(crate) const SUPPLIER: &str = "DIARY0001";

/// Token of the operator `anna`.
pub(crate) const TOKEN: &str = "token-of-anna";

/// A gateway that serves.
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    pub(crate) stack: Stack,
    pub(crate) stop: CancellationToken,
    served: JoinHandle<()>,
}

impl Door {
    /// Opens a door in the clear.
    pub(crate) async fn open(limits: Limits) -> Self {
        Self::open_with(limits, |_, _| None).await
    }

    /// Opens a door; `tls` makes an acceptor of an authority and a folder for files.
    pub(crate) async fn open_with(
        limits: Limits,
        tls: impl FnOnce(&Authority, &Path) -> Option<TlsAcceptor>,
    ) -> Self {
        let doorbell = Doorbell::InProcess(InProcess::new());
        let stack = Stack::start_with(Flavour::Embedded, doorbell, |parts| {
            parts.settings.spool = parts.settings.spool.join("spool");
            std::fs::create_dir(&parts.settings.spool).unwrap();
        })
        .await;
        let hash = sha256(TOKEN.as_bytes()).map(|byte| format!("{byte:02x}")).concat();
        let settings = gateway::Settings {
            limits,
            operators: [("anna".to_owned(), hash)].into(),
            ..gateway::Settings::default()
        };
        let router = gateway::router(stack.exchange.clone(), settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = tls(&stack.authority, stack.directory.path());
        let stop = CancellationToken::new();
        let served = tokio::spawn(serve(listener, acceptor, router, limits, stop.clone()));
        Self { address, stack, stop, served }
    }

    /// Address of a path, in the clear.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A package of the first supplier with so many persons.
    pub(crate) fn package(&self, id: PackageId, count: usize) -> Vec<u8> {
        let supplier = &self.stack.suppliers[0];
        let mut header = header(supplier);
        header.package_id = id;
        package(supplier, header, &persons(1, count))
    }

    /// Fails if anything of a package was stored or left behind.
    pub(crate) async fn holds_nothing(&self) {
        let sql = "SELECT (SELECT count(*) FROM package) + (SELECT count(*) FROM attempt) \
            + (SELECT count(*) FROM content) + (SELECT count(*) FROM outbox)";
        let row = self.stack.exchange.db().query_one(sql, vec![]).await.unwrap().unwrap();
        assert_eq!(row.get::<i64>(0).unwrap(), 0, "rows of a package that was refused");
        assert_eq!(self.spooled(), 0, "files in the spool");
    }

    /// Number of files in the spool.
    pub(crate) fn spooled(&self) -> usize {
        std::fs::read_dir(self.stack.directory.path().join("spool")).unwrap().count()
    }

    /// Stops the door, then the exchange.
    pub(crate) async fn close(self) {
        self.stop.cancel();
        let served = tokio::time::timeout(Duration::from_secs(20), self.served).await;
        served.expect("the door drains").unwrap();
        self.stack.end().await;
    }
}

/// A package id never used before.
pub(crate) fn new_id() -> PackageId {
    PackageId(Uuid::new_v4())
}

/// Randomness for serial numbers of certificates.
pub(crate) fn random() -> StdRng {
    StdRng::from_os_rng()
}
