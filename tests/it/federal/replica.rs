//! GetChangedSince through the door while processes write: gateways take packages, workers apply them, long
//! transactions end in another order than they began, and a copy built from pages alone equals the registry.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use kontingent::args;
use kontingent::codec::node::Node;
use kontingent::exchange::admin::Admin;
use kontingent::model::clock::Clock;
use kontingent::model::package::Mode;
use kontingent::storage::db::{Db, Tx};
use kontingent::storage::federal_system::Described;
use kontingent::trust::authority::{KeyKind, Request, Usage};
use kontingent::trust::certificate::Facts;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::changes::{Copy, entities, registry};
use super::message::{Message, content};
use super::restart::Client;
use super::world::{find, signer, validity};
use crate::kill::Site;
use crate::stack::{Flavour, Ground, drop_database, header, package_of, persons, required};

/// Packages of each supplier, and persons that each of them adds.
const PACKAGES: usize = 14;
const PERSONS: usize = 8;

/// First id of what no package brings.
const FIRST: i64 = 1 << 40;

/// Changes in a page.
const PAGE: usize = 23;

/// The longest that all may take.
const PATIENCE: Duration = Duration::from_mins(3);

/// What a supplier says in one of its packages, which is all that it knows: some persons are new, some have
/// changed, and some telephones are gone.
fn said(ground: &Ground, which: usize, number: usize) -> (Uuid, Vec<u8>) {
    let supplier = &ground.suppliers[which];
    let mut header = header(supplier);
    header.mode = Mode::All;
    // In this order, whichever worker has them: an older snapshot would close what a newer one has brought.
    header.sequence = Some(number as u64 + 1);
    header.previous_sequence = (number > 0).then_some(number as u64);
    let mut all = persons(which * 10_000, (number + 1) * PERSONS);
    for (index, person) in all.iter_mut().enumerate() {
        // A fifth of them moves each time.
        person.1.push(("BirthPlace", format!("Город {}", (number + index) / 5)));
    }
    let told = |index: usize| index % 9 != 4 || index + PERSONS > number * PERSONS;
    let telephones: Vec<bool> = (0..all.len()).map(told).collect();
    (header.package_id.0, package_of(supplier, header, &all, &telephones))
}

/// Sends the packages of a supplier, each as soon as the one before is registered: a snapshot that is weighed
/// against half of the one before it would be held back for an operator.
async fn supply(ground: Arc<Ground>, which: usize, address: String) {
    let client = reqwest::Client::new();
    for number in 0..PACKAGES {
        let (id, document) = said(&ground, which, number);
        loop {
            let request = client.put(format!("{address}/api/v1/packages/{id}"));
            let request = request.header("content-type", "application/xml");
            match request.body(document.clone()).send().await {
                Ok(answer) if answer.status().is_success() => break,
                Ok(answer) if answer.status().is_client_error() => {
                    panic!("{}: {}", answer.status(), answer.text().await.unwrap())
                }
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        let sql = "SELECT 1 FROM package WHERE package_id = $1 AND state = 'registered'";
        while ground.db.query_one(sql, args![id]).await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Merges persons as an operator will and writes that they are kin, in transactions that begin before those
/// of workers and end after them: what they write has a place behind which others have been told already, if
/// telling did not wait. It is written once and never again: what is skipped stays missing. The persons are of
/// a supplier who sends nothing, so that no package depends on them.
async fn merge(db: Db, over: CancellationToken) -> usize {
    let (mut merged, mut id) = (0, FIRST);
    let log = async |tx: &mut Tx, number: i64, kind: &str, entity: i64| {
        let sql = "INSERT INTO change_log (id, tx, kind, entity_id, supplier_id, package_no, record, as_of, \
            fields, at) VALUES ($1, pg_current_xact_id()::text::bigint, $2, $3, 77, 1, 1, now(), \
            '{}'::json, now())";
        tx.execute(sql, args![number, kind, entity]).await.unwrap();
    };
    while !over.is_cancelled() {
        let (kept, gone) = (id, id + 1);
        let mut tx = db.begin().await.unwrap();
        for person in [kept, gone] {
            let sql = "INSERT INTO person (id, last_name, first_name, sex, birth_date, identity_key, as_of, \
                package_no, version) VALUES ($1, 'Двойник', 'Анна', '2', '2015-03-01', $1, now(), 1, 1)";
            tx.execute(sql, args![person]).await.unwrap();
            log(&mut tx, person, "Person", person).await;
        }
        tx.commit().await.unwrap();
        let mut tx = db.begin().await.unwrap();
        let sql = "INSERT INTO kinship (id, supplier_id, external_id, child_id, adult_id, representative, \
            as_of, package_no, version) VALUES ($1, 77, 'kin' || $1::text, $2, $3, '1', now(), 1, 1)";
        tx.execute(sql, args![id, kept, gone]).await.unwrap();
        log(&mut tx, id + 2, "Kinship", id).await;
        log(&mut tx, id + 3, "Person", gone).await;
        // Workers commit meanwhile what has a later number.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let sql = "UPDATE person SET merged_into = $2 WHERE id = $1";
        tx.execute(sql, args![gone, kept]).await.unwrap();
        tx.commit().await.unwrap();
        merged += 1;
        id += 4;
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    merged
}

/// Asks, pulls the answer, confirms it.
async fn page(client: &Client, cursor: &str) -> Node {
    let cursor = match cursor {
        "" => String::new(),
        cursor => format!("<Cursor>{cursor}</Cursor>"),
    };
    let question =
        content("GetChangedSinceRequest", &format!("{cursor}<PageSize>{PAGE}</PageSize>"));
    let id = super::message::new_id().to_string();
    client.send(&Message::ask(&id, "", &question)).await.body();
    let answer = client.send(&Message::pull("", "")).await;
    client.send(&Message::ack(&answer.id())).await.body();
    find(&answer.body(), "MessagePrimaryContent").children[0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_built_through_the_door_equals_the_registry_while_three_workers_write() {
    kontingent::http::tls::install_provider();
    let ground = Arc::new(Ground::prepare(Flavour::Production).await);
    let site = Site {
        data: ground.directory.path().to_owned(),
        database_url: ground.database_url.clone(),
        broker_url: Some(required("KONTINGENT_TEST_BROKER_URL")),
        prefix: format!("test-{}", Uuid::new_v4().simple()),
    };
    let roles = ["gateway", "worker", "worker", "worker", "federal"];
    // All are free at once: none of them is found twice.
    let free = roles.map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let ports: Vec<u16> = free.iter().map(|free| free.local_addr().unwrap().port()).collect();
    drop(free);
    // The first makes the key of signatures in the common folder; the others find it there.
    let gateway = format!("http://127.0.0.1:{}", ports[0]);
    let mut ports = ports.into_iter();
    let [first, others @ ..] = roles;
    let mut roles = vec![site.start(first, ports.next().unwrap())];
    while reqwest::get(&gateway).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    roles.extend(others.into_iter().zip(ports).map(|(role, port)| site.start(role, port)));
    let address = |role: usize| format!("http://127.0.0.1:{}", roles[role].port);
    let mut random = StdRng::seed_from_u64(3);
    let (name, key, usage) = ("FNS00001", KeyKind::P256, Usage::Signature);
    let request = Request { name, key, validity: validity(0, 9), usage };
    let issued = ground.authority.issue(&request, &mut random).unwrap();
    let facts = Facts::read(&issued.certificate_der().unwrap()).unwrap();
    let admin = Admin::new(ground.db.clone(), Clock::System, "test".to_owned());
    let system = Described { mnemonic: name, name, vip: false, asks: true };
    admin.register_system(system, &facts).await.unwrap();
    let client = Client {
        http: reqwest::Client::new(),
        addresses: [address(4), address(4)],
        turn: AtomicUsize::new(0),
        signer: signer(&issued),
    };

    let suppliers: Vec<_> = (0..ground.suppliers.len())
        .map(|which| tokio::spawn(supply(Arc::clone(&ground), which, address(0))))
        .collect();
    let packages = suppliers.len() * PACKAGES;
    let over = CancellationToken::new();
    let merging = tokio::spawn(merge(ground.db.clone(), over.clone()));
    let (began, mut merged) = (Instant::now(), None);
    let (mut copy, mut cursor, mut pages) = (Copy::new(), String::new(), 0);
    let mut times: BTreeMap<(String, i64), i64> = BTreeMap::new();
    let mut merging = Some(merging);
    loop {
        let told = page(&client, &cursor).await;
        let entities = entities(&told);
        assert!(entities.len() <= PAGE);
        pages += 1;
        for key in entities.keys() {
            *times.entry(key.clone()).or_default() += 1;
        }
        copy.extend(entities);
        cursor = find(&told, "NextCursor").text.clone();
        assert!(began.elapsed() < PATIENCE, "{pages} pages, {} told, {merged:?}", copy.len());
        if merged.is_none() {
            let sql = "SELECT count(*) FROM package WHERE state = 'registered'";
            let row = ground.db.query_one(sql, vec![]).await.unwrap().unwrap();
            if row.get::<i64>(0).unwrap() == packages as i64 {
                over.cancel();
                merged = Some(merging.take().unwrap().await.unwrap());
            }
            continue;
        }
        if find(&told, "More").text == "false" {
            let registry = registry(&ground.db).await;
            // Changes are told once every transaction before them has ended.
            if copy == registry || began.elapsed() + Duration::from_secs(30) > PATIENCE {
                assert_eq!(copy.len(), registry.len());
                assert_eq!(copy, registry);
                break;
            }
        }
    }
    for supplier in suppliers {
        supplier.await.unwrap();
    }
    roles.into_iter().for_each(crate::kill::Role::end);

    // Of all that can happen something has, while pages were read.
    let count = async |sql: &str| {
        ground.db.query_one(sql, vec![]).await.unwrap().unwrap().get::<i64>(0).unwrap()
    };
    let brought = format!("SELECT count(*) FROM person WHERE id < {FIRST}");
    assert_eq!(count(&brought).await, (packages * PERSONS) as i64);
    let closed = count("SELECT count(*) FROM contact WHERE closed_at IS NOT NULL").await;
    let gone = count("SELECT count(*) FROM person WHERE merged_into IS NOT NULL").await;
    assert!(merged > Some(5) && gone > 5 && closed > 10, "{merged:?} merged, {closed} closed");
    let more = "SELECT count(*) FROM (SELECT 1 FROM change_log GROUP BY kind, entity_id \
        HAVING count(*) > 1) many";
    assert!(count(more).await > 50, "changed after they were made");
    assert!(pages > packages, "{pages} pages");
    // Nothing is told more often than it changed, and each as often as at least once.
    let entries = "SELECT kind, entity_id, count(*) FROM change_log GROUP BY kind, entity_id";
    for row in ground.db.query(entries, vec![]).await.unwrap() {
        let key = (row.get(0).unwrap(), row.get(1).unwrap());
        let (told, changed) = (times.get(&key).copied().unwrap_or_default(), row.get(2).unwrap());
        assert!((1..=changed).contains(&told), "{key:?} told {told} times of {changed}");
    }
    // Transactions did end in another order than they began.
    let inverted = "SELECT count(*) FROM change_log a JOIN change_log b ON a.tx < b.tx \
        AND a.kind = 'Kinship' AND b.kind <> 'Kinship' AND b.id < 1::bigint << 40";
    assert!(count(inverted).await > 0);
    let kinds: BTreeSet<&str> = copy.keys().map(|(kind, _)| &**kind).collect();
    assert_eq!(kinds, BTreeSet::from(["Contact", "Kinship", "Person"]));
    ground.db.close().await;
    drop_database(&ground.database_url).await;
}
