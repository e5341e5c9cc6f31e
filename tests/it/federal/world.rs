//! A running federal door over a database of its own, a registered system that calls it, and
//! a registry to write to.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use kontingent::app::service::{Roles, Service};
use kontingent::args;
use kontingent::codec::mtom;
use kontingent::codec::node::Node;
use kontingent::codec::smev3::Version;
use kontingent::codec::soap::Envelope;
use kontingent::codec::xml::Limits;
use kontingent::config::Config;
use kontingent::exchange::Exchange;
use kontingent::exchange::admin::{Admin, NewKind};
use kontingent::model::clock::Clock;
use kontingent::model::kind::Kind;
use kontingent::normalise::identity_document::document_key;
use kontingent::normalise::person::identity_key;
use kontingent::storage::db::{Db, Tx};
use kontingent::storage::federal_system::Described;
use kontingent::storage::ids::Ids;
use kontingent::trust::Signer;
use kontingent::trust::authority::{Authority, Issued, KeyKind, Request, Usage, Validity};
use kontingent::trust::certificate::Facts;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::Value;
use tempfile::TempDir;

use super::message::{File, Message, content, in_parts, new_id};
use crate::interop::{ask_python, python};
use crate::stack::{Flavour, create_database, drop_database, flavours};

/// A running door.
pub(super) struct World {
    service: Service,
    pub(super) database_url: String,
    pub(super) db: Db,
    pub(super) ids: Ids,
    pub(super) authority: Authority,
    pub(super) dir: TempDir,
    http: reqwest::Client,
    answers: AtomicUsize,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) xml: String,
    /// It came in parts.
    pub(super) parts: bool,
    /// Where it is kept.
    pub(super) file: PathBuf,
}

/// Limits of messages that others accepted: files are one text, and they stand deep.
pub(super) fn roomy() -> Limits {
    Limits {
        depth: 128,
        namespaces: 200,
        namespaces_in_scope: 400,
        text: 64 << 20,
        instructions: 10,
        ..Limits::default()
    }
}

/// A test on SQLite, and on PostgreSQL when there is one.
pub(super) async fn on_both<F: AsyncFn(&World)>(test: F) {
    for flavour in flavours() {
        let world = World::start(flavour).await;
        test(&world).await;
        world.finish().await;
    }
}

impl World {
    pub(super) async fn start(flavour: Flavour) -> Self {
        Self::start_with(flavour, Clock::System, |_| {}).await
    }

    /// The same by another clock and configuration.
    pub(super) async fn start_with(
        flavour: Flavour,
        clock: Clock,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let dir = TempDir::new().unwrap();
        let mut config = Config::embedded(dir.path().to_owned());
        if flavour == Flavour::Production {
            config.database.url = Some(create_database().await);
        }
        change(&mut config);
        let database_url = config.database_url().unwrap();
        let roles = Roles { gateway: false, worker: false, federal: true, web: false };
        let service = Service::start(&config, roles, clock).await.unwrap();
        let db = service.exchange().db().clone();
        let ids = service.exchange().ids().clone();
        let mut random = StdRng::seed_from_u64(1);
        let authority = Authority::create("Test CA", validity(0, 3650), &mut random).unwrap();
        let world = Self {
            db,
            ids,
            authority,
            http: reqwest::Client::new(),
            answers: AtomicUsize::new(0),
            service,
            database_url,
            dir,
        };
        world.ids.warm(&["change_log"]).await.unwrap();
        fs::create_dir(world.dir.path().join("answers")).unwrap();
        let facts = Facts::read(&world.authority.issued().certificate_der().unwrap()).unwrap();
        world.admin().trust(&facts).await.unwrap();
        world
    }

    /// Checks every answer against the schemas, then stops the door.
    pub(super) async fn finish(self) {
        let answers = self.dir.path().join("answers");
        python("validate_smev.py", &[answers.to_str().unwrap()]);
        self.finish_without_answers().await;
    }

    /// Stops the door.
    pub(super) async fn finish_without_answers(self) {
        self.service.stop().await;
        drop_database(&self.database_url).await;
    }

    pub(super) fn exchange(&self) -> &Exchange {
        self.service.exchange()
    }

    pub(super) fn admin(&self) -> Admin {
        Admin::new(self.db.clone(), Clock::System, "test".to_owned())
    }

    pub(super) fn url(&self, version: Version) -> String {
        format!("{}/ws/smev/{}", self.address(), version.as_str())
    }

    pub(super) fn address(&self) -> String {
        format!("http://{}", self.service.address)
    }

    pub(super) fn issue(&self, name: &str, key: KeyKind, validity: Validity) -> Issued {
        let mut random = StdRng::seed_from_u64(name.len() as u64);
        let request = Request { name, key, validity, usage: Usage::Signature };
        self.authority.issue(&request, &mut random).unwrap()
    }

    /// Registers a system with a new key.
    pub(super) async fn system(&self, mnemonic: &str, key: KeyKind) -> Signer {
        let issued = self.issue(mnemonic, key, validity(0, 365));
        self.register(mnemonic, &issued).await;
        signer(&issued)
    }

    pub(super) async fn register(&self, mnemonic: &str, issued: &Issued) {
        let facts = Facts::read(&issued.certificate_der().unwrap()).unwrap();
        self.enrol(mnemonic, &facts).await;
    }

    /// Registers a system by its certificate.
    pub(super) async fn enrol(&self, mnemonic: &str, facts: &Facts) {
        self.describe(Described { mnemonic, name: "", vip: false, asks: true }, facts).await;
    }

    /// Registers a system, named after its mnemonic.
    pub(super) async fn describe(&self, system: Described<'_>, facts: &Facts) {
        let name = format!("Система {}", system.mnemonic);
        let system = Described { name: &name, ..system };
        self.admin().register_system(system, facts).await.unwrap();
    }

    /// Registers a kind of messages whose roots are `<code>Request` and `<code>Response`.
    pub(super) async fn kind(&self, code: &str, provider: &str, namespace: &str, open: bool) {
        let (request, response) = (format!("{code}Request"), format!("{code}Response"));
        let kind = NewKind {
            code,
            title: code,
            provider,
            namespace,
            request: &request,
            response: &response,
            open_to_all: open,
        };
        self.admin().register_kind(kind).await.unwrap();
    }

    /// Sends a message of version 1.3 and keeps the answer for the check against the schemas, and what
    /// was taken as well.
    pub(super) async fn send(&self, message: impl Into<Vec<u8>>) -> Answered {
        self.send_by(Version::V13, message).await
    }

    /// Sends a message of a version.
    pub(super) async fn send_by(&self, version: Version, message: impl Into<Vec<u8>>) -> Answered {
        self.post(version, &[("content-type", "text/xml; charset=utf-8")], message).await
    }

    /// Sends a message whose files are parts of their own.
    pub(super) async fn send_parts(
        &self,
        version: Version,
        message: &str,
        files: &[File],
    ) -> Answered {
        let (kind, body) = in_parts(message, files);
        self.post(version, &[("content-type", &kind)], body).await
    }

    /// Sends anything with these headers. What comes in parts is put together again.
    pub(super) async fn post(
        &self,
        version: Version,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Answered {
        let body: Vec<u8> = body.into();
        let mut request = self.http.post(self.url(version));
        for &(name, value) in headers {
            request = request.header(name, value);
        }
        let response = request.body(body.clone()).send().await.unwrap();
        let status = response.status().as_u16();
        let kind = response.headers()["content-type"].to_str().unwrap();
        let parts = kind.starts_with("multipart/related");
        let mut bytes = response.bytes().await.unwrap().to_vec();
        if parts {
            bytes = mtom::saved(bytes, roomy(), 64 << 20).unwrap();
        }
        let xml = String::from_utf8(bytes).unwrap();
        let number = self.answers.fetch_add(1, Ordering::Relaxed);
        let answers = self.dir.path().join("answers");
        let file = answers.join(format!("{number:05}.xml"));
        fs::write(&file, &xml).unwrap();
        if status == 200 {
            fs::write(answers.join(format!("{number:05}-taken.xml")), body).unwrap();
        }
        Answered { status, xml, parts, file }
    }

    /// Asks, pulls the answer and confirms it: the content of the answer, or the refusal.
    pub(super) async fn ask(
        &self,
        caller: &Signer,
        root: &str,
        inside: &str,
    ) -> Result<Node, Answered> {
        let question = content(root, inside);
        let message = Message::ask(&new_id().to_string(), "", &question).signed(caller);
        let taken = self.send(message).await;
        if taken.status != 200 {
            return Err(taken);
        }
        Ok(self.next(caller).await)
    }

    /// Pulls the next answer and confirms it: its content.
    pub(super) async fn next(&self, caller: &Signer) -> Node {
        let answer = self.send(Message::pull("", "").signed(caller)).await.body();
        let id = &find(find(&answer, "MessageMetadata"), "MessageId").text;
        self.send(Message::ack(id).signed(caller)).await.body();
        find(&answer, "MessagePrimaryContent").children[0].clone()
    }

    /// Registry id of what a supplier calls so, of a kind that belongs to no supplier.
    pub(super) async fn registered(&self, external_id: &str) -> i64 {
        let sql = "SELECT entity_id FROM registration WHERE external_id = $1";
        let row = self.db.query_one(sql, args![external_id]).await.unwrap().unwrap();
        row.get(0).unwrap()
    }

    pub(super) async fn get(&self, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.service.address);
        let response = self.http.get(url).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Calls for the next message of a queue; it must be there.
    pub(super) async fn hand_out(
        &self,
        version: Version,
        call: &Message,
        signer: &Signer,
    ) -> Answered {
        let answered = self.send_by(version, call.clone().by(version).signed(signer)).await;
        assert!(!answered.body().children.is_empty(), "the queue is empty");
        answered
    }

    /// Whether nothing waits in a queue.
    pub(super) async fn empty(&self, version: Version, call: &Message, signer: &Signer) -> bool {
        let call = call.clone().by(version).signed(signer);
        self.send_by(version, call).await.body().children.is_empty()
    }

    /// Confirms a message.
    pub(super) async fn ack(&self, version: Version, answered: &Answered, signer: &Signer) {
        let ack = Message::ack(&answered.id()).by(version).signed(signer);
        assert_eq!(self.send_by(version, ack).await.body().local, "AckResponse");
    }

    /// First column of the first row.
    pub(super) async fn count(&self, sql: &str) -> i64 {
        self.db.query_one(sql, vec![]).await.unwrap().unwrap().get(0).unwrap()
    }
}

impl Answered {
    /// The element in the body, of a message that is no fault.
    pub(super) fn body(&self) -> Node {
        assert_eq!(self.status, 200, "{}", self.xml);
        self.element()
    }

    /// The element in the detail of a fault, with its name.
    pub(super) fn fault(&self) -> Node {
        find(&self.soap_fault(), "detail").children[0].clone()
    }

    /// A fault, of ours or of SOAP.
    pub(super) fn soap_fault(&self) -> Node {
        assert_eq!(self.status, 500, "{}", self.xml);
        let fault = self.element();
        assert_eq!(fault.local, "Fault");
        fault
    }

    /// Id of the message in an answer to Get*, which must not be empty.
    pub(super) fn id(&self) -> String {
        find(find(&self.body(), "MessageMetadata"), "MessageId").text.clone()
    }

    /// Files in a message, put together again.
    pub(super) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let body = self.body();
        let Some(list) = try_find(&body, "AttachmentContentList") else { return Vec::new() };
        let file = |node: &Node| {
            let bytes = STANDARD.decode(&find(node, "Content").text).unwrap();
            (find(node, "Id").text.clone(), bytes)
        };
        list.children.iter().map(file).collect()
    }

    fn element(&self) -> Node {
        let mut envelope = Envelope::open(self.xml.as_bytes(), roomy(), &[]).unwrap();
        let (namespace, local) = envelope.operation();
        let (namespace, local) = (namespace.to_owned(), local.to_owned());
        Node::rest(envelope.reader(), &namespace, &local).unwrap()
    }
}

/// What another verifier says of each signature of messages, by the name of its holder.
pub(super) fn worth<'a>(messages: impl IntoIterator<Item = &'a Answered>) -> Vec<Value> {
    let files = messages.into_iter().map(|message| message.file.to_str().unwrap());
    let arguments: Vec<&str> = std::iter::once("verify").chain(files).collect();
    serde_json::from_slice(&ask_python("smev_sign.py", &arguments, b"")).unwrap()
}

/// The first element of this name below.
pub(super) fn find<'n>(node: &'n Node, local: &str) -> &'n Node {
    try_find(node, local).unwrap_or_else(|| panic!("no {local} in {node:#?}"))
}

pub(super) fn try_find<'n>(node: &'n Node, local: &str) -> Option<&'n Node> {
    let mut children = node.children.iter();
    children.find_map(
        |child| {
            if child.local == local { Some(child) } else { try_find(child, local) }
        },
    )
}

/// An element without the places where it stood.
pub(super) fn plain(node: &Node) -> String {
    let inside: String = node.children.iter().map(plain).collect();
    format!("<{} {:?}>{}{inside}</>", node.local, node.attributes, node.text)
}

pub(super) fn validity(from_days: i64, to_days: i64) -> Validity {
    let now = Clock::System.now();
    Validity {
        from: now + TimeDelta::days(from_days) - TimeDelta::hours(1),
        to: now + TimeDelta::days(to_days),
    }
}

pub(super) fn signer(issued: &Issued) -> Signer {
    Signer::from_pem(&issued.key_pem().unwrap(), &issued.certificate_pem().unwrap()).unwrap()
}

/// A person of the registry, written without a package.
#[derive(Clone, Debug)]
pub(super) struct Person<'a> {
    pub(super) id: i64,
    pub(super) name: [&'a str; 3],
    pub(super) born: &'a str,
    pub(super) snils: Option<&'a str>,
}

impl World {
    /// Writes a change into the log, in the transaction that made it.
    pub(super) async fn log(&self, tx: &mut Tx, kind: Kind, entity: i64) {
        let number = if tx.is_postgres() {
            "pg_current_xact_id()::text::bigint"
        } else {
            "(SELECT coalesce(max(tx),0)+1 FROM change_log)"
        };
        let fields = if tx.is_postgres() { "'{}'::json" } else { "'{}'" };
        let now = tx.now_sql();
        let sql = format!(
            "INSERT INTO change_log (id, tx, kind, entity_id, supplier_id, package_no, record, \
             as_of, fields, at) VALUES ($1, {number}, $2, $3, 1, 1, 1, {now}, {fields}, {now})"
        );
        let id = self.ids.one("change_log").await.unwrap();
        tx.execute(&sql, args![id, kind.element(), entity]).await.unwrap();
    }

    pub(super) async fn put_person(&self, tx: &mut Tx, person: &Person<'_>) {
        let born: NaiveDate = person.born.parse().unwrap();
        let [last, first, middle] = person.name;
        let sql = format!(
            "INSERT INTO person (id, last_name, first_name, middle_name, sex, birth_date, snils, \
             identity_key, as_of, package_no, version) \
             VALUES ($1, $2, $3, $4, '1', $5, $6, $7, {}, 1, 1)",
            tx.now_sql()
        );
        let middle = Some(middle).filter(|name| !name.is_empty());
        let key = identity_key(last, first, middle.unwrap_or_default(), born);
        let values = args![person.id, last, first, middle, born, person.snils, key];
        tx.execute(&sql, values).await.unwrap();
        self.log(tx, Kind::Person, person.id).await;
    }

    pub(super) async fn put_document(&self, tx: &mut Tx, id: i64, person: i64, number: &str) {
        let sql = format!(
            "INSERT INTO identity_document (id, supplier_id, external_id, person_id, \
             document_type, series, number, document_key, as_of, package_no, version) \
             VALUES ($1, 1, $2, $3, '1', '4500', $4, $5, {}, 1, 1)",
            tx.now_sql()
        );
        let values = args![id, id.to_string(), person, number, document_key("1", "4500", number)];
        tx.execute(&sql, values).await.unwrap();
        self.log(tx, Kind::IdentityDocument, id).await;
    }

    pub(super) async fn put_membership(
        &self,
        tx: &mut Tx,
        id: i64,
        person: i64,
        until: Option<DateTime<Utc>>,
    ) {
        let sql = format!(
            "INSERT INTO membership (id, supplier_id, external_id, person_id, organisation_id, \
             school_year, from_date, to_date, as_of, package_no, version) \
             VALUES ($1, 1, $2, $3, 1, '2026/2027', $4, $5, {}, 1, 1)",
            tx.now_sql()
        );
        let from = NaiveDate::from_ymd_opt(2020, 9, 1);
        let until = until.map(|at| at.date_naive());
        let values = args![id, id.to_string(), person, from, until];
        tx.execute(&sql, values).await.unwrap();
        self.log(tx, Kind::Membership, id).await;
    }
}
