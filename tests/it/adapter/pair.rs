//! Two services: the node of the federal exchange, whose registry answers nothing, and the region,
//! whose adapter polls it through a proxy. And a federal system that asks at the node.

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{NaiveDate, TimeDelta};
use kontingent::app::service::{Roles, Service};
use kontingent::args;
use kontingent::codec::smev3::client::{
    Question, Returned, Selector, ack, get_response, returned, send_request,
};
use kontingent::codec::smev3::{Participant, Version};
use kontingent::config::Config;
use kontingent::exchange::adapter::{self, Adapter, Link, NodeTrust, Settings};
use kontingent::exchange::admin::{Admin, NewKind};
use kontingent::exchange::desk::Desk;
use kontingent::exchange::seal::Seal;
use kontingent::model::clock::Clock;
use kontingent::model::federal::{NAMESPACE, Topic};
use kontingent::storage::db::Db;
use kontingent::storage::federal_system::Described;
use kontingent::trust::authority::{Authority, Issued, KeyKind, Request, Usage, Validity};
use kontingent::trust::certificate::Facts;
use kontingent::trust::{Signer, TrustStore};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::{ContextV1, Timestamp, Uuid};

use super::proxy::Proxy;
use crate::stack::{Flavour, create_database, drop_database, now};

/// A kind of messages of which the region knows nothing.
pub(super) const FOREIGN: &str = "urn:foreign:1.0";

/// One service with its data.
pub(super) struct Node {
    pub(super) service: Service,
    pub(super) db: Db,
    pub(super) config: Config,
    pub(super) dir: TempDir,
}

/// A federal system that asks at the node.
pub(super) struct Asker {
    link: Link,
    sequence: ContextV1,
    asked: AtomicU64,
}

pub(super) struct Pair {
    pub(super) remote: Node,
    pub(super) region: Node,
    pub(super) proxy: Arc<Proxy>,
    pub(super) asker: Asker,
    pub(super) blocked: Asker,
    authority: Authority,
}

/// The tasks of an adapter.
pub(super) struct Running(Vec<JoinHandle<()>>);

impl Running {
    /// Drops the tasks wherever they are.
    pub(super) async fn kill(self) {
        for task in &self.0 {
            task.abort();
        }
        for task in self.0 {
            assert!(task.await.unwrap_err().is_cancelled());
        }
    }
}

fn validity() -> Validity {
    Validity { from: now() - TimeDelta::days(30), to: now() + TimeDelta::days(30) }
}

fn issue(authority: &Authority, name: &str) -> Issued {
    let mut random = StdRng::seed_from_u64(name.len() as u64);
    let request =
        Request { name, key: KeyKind::P256, validity: validity(), usage: Usage::Signature };
    authority.issue(&request, &mut random).unwrap()
}

fn facts(issued: &Issued) -> Facts {
    Facts::read(&issued.certificate_der().unwrap()).unwrap()
}

impl Node {
    async fn start(flavour: Flavour, issued: &Issued, answers: bool, clock: Clock) -> Self {
        let dir = TempDir::new().unwrap();
        let mut config = Config::embedded(dir.path().to_owned());
        if flavour == Flavour::Production {
            config.database.url = Some(create_database().await);
        }
        let [key, certificate] = ["key.pem", "certificate.pem"].map(|name| dir.path().join(name));
        fs::write(&key, issued.key_pem().unwrap()).unwrap();
        fs::write(&certificate, issued.certificate_pem().unwrap()).unwrap();
        config.signing.key_file = Some(key);
        config.signing.certificate_file = Some(certificate);
        config.federal.answers = answers;
        let service = Self::serve(&config, clock).await;
        Self { db: service.exchange().db().clone(), service, config, dir }
    }

    async fn serve(config: &Config, clock: Clock) -> Service {
        let roles = Roles { gateway: false, worker: false, federal: true, web: false };
        Service::start(config, roles, clock).await.unwrap()
    }

    /// The same data, served anew by this clock.
    pub(super) async fn restart(self, clock: Clock) -> Self {
        let Self { service, config, dir, .. } = self;
        service.stop().await;
        let service = Self::serve(&config, clock).await;
        Self { db: service.exchange().db().clone(), service, config, dir }
    }

    async fn stop(self) {
        self.service.stop().await;
        drop_database(&self.config.database_url().unwrap()).await;
    }

    pub(super) async fn count(&self, sql: &str) -> i64 {
        self.db.query_one(sql, vec![]).await.unwrap().unwrap().get(0).unwrap()
    }

    pub(super) async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.db.query(sql, vec![]).await.unwrap();
        rows.iter().map(|row| row.get(0).unwrap()).collect()
    }

    pub(super) async fn put_person(&self, id: i64, last_name: &str, snils: Option<&str>) {
        let born: NaiveDate = "2015-03-01".parse().unwrap();
        let sql = format!(
            "INSERT INTO person (id, last_name, first_name, sex, birth_date, snils, identity_key, \
             as_of, package_no, version) VALUES ($1, $2, 'Анна', '2', $3, $4, $5, {}, 1, 1)",
            self.db.now_sql()
        );
        let values = args![id, last_name, born, snils, id];
        self.db.execute(&sql, values).await.unwrap();
    }
}

impl Node {
    /// A system that a pulled request has named, known beforehand.
    pub(super) async fn put_system(&self, mnemonic: &str) {
        let sql = format!(
            "INSERT INTO federal_system (id, mnemonic, name, status, created_at) \
             VALUES (9000, $1, $1, 'active', {})",
            self.db.now_sql()
        );
        self.db.execute(&sql, args![mnemonic]).await.unwrap();
    }

    pub(super) async fn log_person(&self, id: i64) {
        let now = self.db.now_sql();
        let sql = format!(
            "INSERT INTO change_log (id, tx, kind, entity_id, supplier_id, package_no, record, \
             as_of, fields, at) VALUES ($1, 1, 'Person', $1, 1, 1, 1, {now}, '{{}}', {now})"
        );
        self.db.execute(&sql, args![id]).await.unwrap();
    }
}

impl Pair {
    pub(super) async fn start(flavour: Flavour) -> Self {
        Self::start_by(flavour, Clock::System).await
    }

    /// The same, the region's clock being this one.
    pub(super) async fn start_by(flavour: Flavour, clock: Clock) -> Self {
        let mut random = StdRng::seed_from_u64(1);
        let authority = Authority::create("Test CA", validity(), &mut random).unwrap();
        let [node, own, asking, blocked] = ["NODE", "REGION77", "FNS00001", "MVD000002"]
            .map(|name| (name, issue(&authority, name)));
        let remote = Node::start(flavour, &node.1, false, Clock::System).await;
        let region = Node::start(flavour, &own.1, true, clock).await;
        for (service, answers) in [(&remote, false), (&region, true)] {
            let admin = Admin::new(service.db.clone(), Clock::System, "test".to_owned());
            admin.trust(&facts(authority.issued())).await.unwrap();
            if !answers {
                register(&admin.without_own_answers(), &[&own, &asking, &blocked]).await;
            }
        }
        let proxy = Proxy::start(remote.service.address.to_string()).await;
        let address = remote.service.address;
        let asker = |issued: &Issued, number| Asker {
            link: Link::new(
                reqwest::Client::new(),
                format!("http://{address}/ws/smev/1.3"),
                Version::V13,
                Arc::new(signer(issued)),
            ),
            sequence: ContextV1::new(number),
            asked: AtomicU64::new(0),
        };
        let (asker, blocked) = (asker(&asking.1, 1), asker(&blocked.1, 2));
        Self { remote, region, proxy, asker, blocked, authority }
    }

    pub(super) fn trust(&self) -> NodeTrust {
        let anchor = self.authority.issued().certificate_der().unwrap();
        NodeTrust::Own(Arc::new(TrustStore::new(&[anchor]).unwrap()))
    }

    /// Files with the certificate of the authority that issued all certificates here, and with that of
    /// another one.
    pub(super) fn authorities(&self) -> [String; 2] {
        let mut random = StdRng::seed_from_u64(2);
        let other = Authority::create("Other CA", validity(), &mut random).unwrap();
        [("ours.pem", &self.authority), ("other.pem", &other)].map(|(name, authority)| {
            let file = self.region.dir.path().join(name);
            fs::write(&file, authority.issued().certificate_pem().unwrap()).unwrap();
            file.to_str().unwrap().to_owned()
        })
    }

    /// The adapter begins to work.
    pub(super) fn run(&self) -> Running {
        self.run_as(Version::V13, self.trust())
    }

    pub(super) fn run_as(&self, version: Version, trust: NodeTrust) -> Running {
        self.run_named("REGION77", version, trust)
    }

    /// The adapter of a system of another name begins to work, by the same key.
    pub(super) fn run_named(&self, mnemonic: &str, version: Version, trust: NodeTrust) -> Running {
        let exchange = self.region.service.exchange();
        let own = Participant { mnemonic: mnemonic.to_owned(), name: "Регион".to_owned() };
        let desk = Desk::new(exchange, Seal::new(Arc::clone(exchange.signer()), own)).unwrap();
        let url = format!("http://{}/ws/smev/{}", self.proxy.address, version.as_str());
        let settings = Settings {
            poll: Duration::from_millis(50),
            listen: Duration::from_millis(200),
            patience: Duration::from_secs(1),
            first_pause: Duration::from_millis(50),
            longest_pause: Duration::from_millis(400),
            barred_pause: Duration::from_millis(500),
            ..Settings::new(url, version)
        };
        let adapter = Adapter::new(exchange, desk, settings, trust).unwrap();
        let stop = CancellationToken::new();
        Running(vec![
            tokio::spawn(adapter::poll(adapter.clone(), stop.clone())),
            tokio::spawn(adapter::listen(adapter.clone(), stop.clone())),
            tokio::spawn(adapter::deliver(adapter, stop)),
        ])
    }

    /// What the node has handed out and nobody has confirmed comes back, as after 15 minutes.
    pub(super) async fn lapse(&self) {
        let sql = "UPDATE mailbox_message SET leased_until = NULL \
            WHERE acknowledged_at IS NULL AND queue = 'request'";
        self.remote.db.execute(sql, vec![]).await.unwrap();
    }

    /// Waits until `sql` counts so many in the region.
    pub(super) async fn until(&self, sql: &str, count: i64) {
        for round in 0..600 {
            if self.region.count(sql).await == count {
                return;
            }
            if round % 20 == 19 {
                self.lapse().await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let rows = "SELECT state || ' ' || coalesce(fault, '') || ' ' || coalesce(fault_text, '') \
            FROM remote_answer";
        panic!("{sql}: {} {:#?}", self.region.count(sql).await, self.region.texts(rows).await);
    }

    pub(super) async fn stop(self) {
        self.region.stop().await;
        self.remote.stop().await;
    }
}

/// Who is known at the node, and that the region answers the questions of the federal segment.
async fn register(admin: &Admin, systems: &[&(&str, Issued)]) {
    for (mnemonic, issued) in systems {
        let system = Described { mnemonic, name: mnemonic, vip: false, asks: true };
        admin.register_system(system, &facts(issued)).await.unwrap();
    }
    let own = Topic::ALL.map(|topic| (NAMESPACE, topic.request(), topic.response()));
    for (namespace, request, response) in own.into_iter().chain([(FOREIGN, "Ask", "Told")]) {
        let new = NewKind {
            code: request,
            title: request,
            provider: "REGION77",
            namespace,
            request,
            response,
            open_to_all: true,
        };
        admin.register_kind(new).await.unwrap();
    }
}

fn signer(issued: &Issued) -> Signer {
    Signer::from_pem(&issued.key_pem().unwrap(), &issued.certificate_pem().unwrap()).unwrap()
}

/// Content of a question of the federal segment.
pub(super) fn content(root: &str, inside: &str) -> String {
    format!("<{root} xmlns=\"{NAMESPACE}\"><Purpose>проверка</Purpose>{inside}</{root}>")
}

impl Asker {
    pub(super) async fn ask(&self, content: &str, test: bool) -> Uuid {
        let seconds = now().timestamp().unsigned_abs();
        let at = Timestamp::from_unix(&self.sequence, seconds, now().timestamp_subsec_nanos());
        let number = self.asked.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let message_id = Uuid::new_v1(at, &[3, 1, number[4], number[5], number[6], number[7]]);
        let question = Question {
            message_id,
            reference_id: message_id,
            transaction_code: Some("код"),
            node: None,
            end_of_life: None,
            content,
            headers: &[],
            test,
        };
        let message = send_request(self.link.version(), &question, &[]);
        self.link.call("SendRequest", &message).await.unwrap();
        message_id
    }

    /// Takes all answers that wait, by the question.
    pub(super) async fn answers(&self) -> HashMap<Uuid, Vec<Returned>> {
        let version = self.link.version();
        let mut found: HashMap<Uuid, Vec<Returned>> = HashMap::new();
        loop {
            let selector = Selector { root: None, node: None, at: now() };
            let call = get_response(version, &selector);
            let answer = self.link.call("GetResponse", &call).await.unwrap();
            let Some(one) = returned(version, &answer.body.unwrap()).unwrap() else { return found };
            self.link.call("Ack", &ack(version, one.message_id, true)).await.unwrap();
            found.entry(one.original_id.unwrap()).or_default().push(one);
        }
    }
}
