//! kill -9 of gateways and workers at random points under load: nothing lost, nothing twice, no
//! human hand.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::invariants::assert_at_rest;
use crate::stack::{Flavour, Ground, drop_database, flavours, header, package, persons, required};

/// Packages of each sender; sent until the kills are over, at least so many.
const SENDERS: usize = 3;

/// A process of the service that is started again whenever it was killed.
pub(crate) struct Role {
    roles: &'static str,
    pub(crate) port: u16,
    child: Child,
}

/// What processes of the service share.
pub(crate) struct Site {
    pub(crate) data: std::path::PathBuf,
    pub(crate) database_url: String,
    pub(crate) broker_url: Option<String>,
    pub(crate) prefix: String,
}

impl Site {
    pub(crate) fn start(&self, roles: &'static str, port: u16) -> Role {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kontingent"));
        command
            .args(["serve", "--roles", roles])
            .env("KONTINGENT_DATA", &self.data)
            .env("KONTINGENT_DATABASE__URL", &self.database_url)
            .env("KONTINGENT_BROKER__PREFIX", &self.prefix)
            .env("KONTINGENT_HTTP__LISTEN", format!("127.0.0.1:{port}"))
            .env("KONTINGENT_HEALTH__LISTEN", "127.0.0.1:0")
            .env("KONTINGENT_LOG__FILTER", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log(&self.data));
        if let Some(url) = &self.broker_url {
            command.env("KONTINGENT_BROKER__URL", url);
        }
        Role { roles, port, child: command.spawn().unwrap() }
    }

    /// Kills a process and starts it again.
    pub(crate) fn kill(&self, role: &mut Role) {
        role.child.kill().unwrap();
        role.child.wait().unwrap();
        *role = self.start(role.roles, role.port);
    }
}

impl Role {
    /// Kills the process for good.
    pub(crate) fn end(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn log(data: &Path) -> Stdio {
    let file = std::fs::File::options().create(true).append(true).open(data.join("log"));
    file.unwrap().into()
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_any_process_at_any_point_loses_and_doubles_nothing() {
    kontingent::http::tls::install_provider();
    for flavour in flavours() {
        let ground = Ground::prepare(flavour).await;
        let site = Site {
            data: ground.directory.path().to_owned(),
            database_url: ground.database_url.clone(),
            broker_url: match flavour {
                Flavour::Embedded => None,
                Flavour::Production => Some(required("KONTINGENT_TEST_BROKER_URL")),
            },
            prefix: format!("test-{}", Uuid::new_v4().simple()),
        };
        let (mut roles, kills) = match flavour {
            Flavour::Embedded => (vec![site.start("gateway,worker", free_port())], 15),
            Flavour::Production => {
                (vec![site.start("gateway", free_port()), site.start("worker", free_port())], 50)
            }
        };
        let address = format!("http://127.0.0.1:{}", roles[0].port);
        let (ground, sent) = (Arc::new(ground), Arc::new(AtomicUsize::new(0)));
        let over = CancellationToken::new();
        let senders: Vec<_> = (0..SENDERS)
            .map(|which| {
                let (ground, sent) = (Arc::clone(&ground), Arc::clone(&sent));
                tokio::spawn(send(ground, sent, which, address.clone(), over.clone()))
            })
            .collect();
        let mut random = StdRng::seed_from_u64(0x6b69_6c6c);
        for _ in 0..kills {
            tokio::time::sleep(Duration::from_millis(random.random_range(100..900))).await;
            let which = random.random_range(0..roles.len());
            site.kill(&mut roles[which]);
        }
        over.cancel();
        for sender in senders {
            sender.await.unwrap();
        }
        let packages = i64::try_from(sent.load(Ordering::SeqCst)).unwrap();
        settle(&ground, packages).await;
        roles.into_iter().for_each(Role::end);
        assert_at_rest(&ground.db, packages).await;
        let row = ground.db.query_one("SELECT count(*) FROM person", vec![]).await.unwrap();
        assert_eq!(row.unwrap().get::<i64>(0).unwrap(), packages * 20, "{flavour:?}");
        ground.db.close().await;
        drop_database(&ground.database_url).await;
    }
}

/// Sends packages of 20 new persons one after the other, each until it is taken.
async fn send(
    ground: Arc<Ground>,
    sent: Arc<AtomicUsize>,
    which: usize,
    address: String,
    over: CancellationToken,
) {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
    let supplier = &ground.suppliers[which];
    while !over.is_cancelled() {
        let header = header(supplier);
        let url = format!("{address}/api/v1/packages/{}", header.package_id);
        // Numbers a name apart, so that no two persons look alike to the registry.
        let number = sent.fetch_add(1, Ordering::SeqCst);
        let document = package(supplier, header, &persons(number * 20, 20));
        loop {
            let request = client.put(&url).header("content-type", "application/xml");
            match request.body(document.clone()).send().await {
                Ok(answer) if answer.status().is_success() => break,
                Ok(answer) if answer.status().is_client_error() => {
                    panic!("{}: {}", answer.status(), answer.text().await.unwrap())
                }
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// Waits until every package has come to its end and every ring was sent.
async fn settle(ground: &Ground, packages: i64) {
    let sql = "SELECT count(*) FROM package WHERE state = 'registered'";
    let began = Instant::now();
    loop {
        let row = ground.db.query_one(sql, vec![]).await.unwrap().unwrap();
        let registered: i64 = row.get(0).unwrap();
        if registered == packages {
            return;
        }
        if began.elapsed() > Duration::from_mins(2) {
            let log = std::fs::read_to_string(ground.directory.path().join("log")).unwrap();
            let tail: Vec<&str> = log.lines().rev().take(30).collect();
            panic!("{registered} of {packages} registered\n{}", tail.join("\n"));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
