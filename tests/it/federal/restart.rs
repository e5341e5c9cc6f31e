//! kill -9 of the exchange under load, and a database that goes away: every request that was taken has one
//! answer, which is handed out in order, once for each time it was out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kontingent::args;
use kontingent::codec::smev3::Version;
use kontingent::storage::audit::{self, Chain};
use kontingent::storage::db::Db;
use kontingent::trust::Signer;
use kontingent::trust::authority::KeyKind;
use openssl::sha::sha256;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::cast::{Cast, operations};
use super::faults::{failure, judge};
use super::message::{Message, by_snils, new_id};
use super::world::{Answered, Person, World, find};
use crate::harness::wait_until;
use crate::kill::{Site, free_port};
use crate::stack::Flavour;

/// Processes killed.
const KILLS: usize = 200;

/// Systems that ask, and how many pull for each: two for the first.
const CONSUMERS: usize = 4;

const NAMESPACE: &str = "urn:example:pupil";

/// What was handed out to whoever pulled.
#[derive(Clone, Debug)]
struct Got {
    /// Id of the answer.
    answer: Uuid,
    /// The request that it answers.
    request: Uuid,
    /// Hash of the data of its sender.
    content: [u8; 32],
    /// It was not confirmed.
    left: bool,
}

/// A system that calls one of two processes, the other when one is away.
pub(super) struct Client {
    pub(super) http: reqwest::Client,
    pub(super) addresses: [String; 2],
    pub(super) turn: AtomicUsize,
    pub(super) signer: Signer,
}

impl Client {
    /// Sends until a process answers that is not about to end.
    pub(super) async fn send(&self, message: &Message) -> Answered {
        let signed = message.signed(&self.signer);
        loop {
            let address = &self.addresses[self.turn.load(Ordering::Relaxed) % 2];
            let request = self.http.post(format!("{address}/ws/smev/1.3"));
            let request = request.header("content-type", "text/xml").body(signed.clone());
            if let Ok(response) = request.send().await
                && let (status, Ok(xml)) = (response.status().as_u16(), response.text().await)
                && !xml.contains("SMEVFailure")
            {
                return Answered { status, xml, parts: false, file: PathBuf::new() };
            }
            self.turn.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends a message that may have been taken before.
    async fn deliver(&self, message: &Message, settled: &str) {
        let answered = self.send(message).await;
        if answered.status != 200 {
            assert_eq!(answered.fault().local, settled, "{}", answered.xml);
        }
    }

    /// The next message of a queue, none when nothing waits.
    async fn next(&self, call: &Message) -> Option<Answered> {
        let answered = self.send(call).await;
        (!answered.body().children.is_empty()).then_some(answered)
    }
}

/// Asks one question after the other, each until it is taken; ids in this order.
async fn asks(client: Arc<Client>, over: CancellationToken) -> Vec<(Uuid, bool)> {
    let mut asked = Vec::new();
    while !over.is_cancelled() {
        let (id, own) = (new_id(), asked.len() % 2 == 0);
        let content = if own {
            by_snils("11223344595")
        } else {
            format!("<PupilRequest xmlns='{NAMESPACE}'/>")
        };
        client.deliver(&Message::ask(&id.to_string(), "", &content), "MessageIsAlreadySent").await;
        asked.push((id, own));
    }
    asked
}

/// Pulls answers and confirms most of them, until `over` and nothing waits.
async fn pulls(client: Arc<Client>, over: CancellationToken, seed: u64) -> Vec<Got> {
    let mut random = StdRng::seed_from_u64(seed);
    let (pull, mut got) = (Message::pull("", ""), Vec::new());
    loop {
        let over = over.is_cancelled();
        let Some(answered) = client.next(&pull).await else {
            if over {
                return got;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let left = random.random_range(0..10) == 0;
        got.push(read(&answered, left));
        if !left {
            // A confirmation whose answer was lost is one that was given.
            client.deliver(&Message::ack(&answered.id()), "TargetMessageIsNotFound").await;
        }
    }
}

fn read(answered: &Answered, left: bool) -> Got {
    let body = answered.body();
    let begin = answered.xml.find("<t:SenderProvidedResponseData").unwrap();
    let end = answered.xml.find("<t:MessageMetadata>").unwrap();
    Got {
        answer: answered.id().parse().unwrap(),
        request: find(&body, "OriginalMessageId").text.parse().unwrap(),
        content: sha256(&answered.xml.as_bytes()[begin..end]),
        left,
    }
}

/// What a provider did.
#[derive(Debug, Default)]
struct Provided {
    /// Requests that were handed out to it, in this order.
    taken: Vec<Uuid>,
    /// Requests in the order in which it answered them.
    answered: Vec<Uuid>,
}

/// Answers what waits, each request by one message however often it comes.
async fn provides(
    client: Arc<Client>,
    over: CancellationToken,
    answers: Arc<Mutex<HashMap<String, String>>>,
) -> Provided {
    let (take, mut provided) = (Message::take(""), Provided::default());
    loop {
        let over = over.is_cancelled();
        let Some(request) = client.next(&take).await else {
            if over {
                return provided;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        provided.taken.push(request.id().parse().unwrap());
        let (id, fresh) = (request.id(), new_id().to_string());
        let answer = answers.lock().unwrap().entry(id.clone()).or_insert(fresh.clone()).clone();
        let to = find(&request.body(), "ReplyTo").text.clone();
        let content = format!("<PupilResponse xmlns='{NAMESPACE}'>{id}</PupilResponse>");
        client.deliver(&Message::answer(&answer, &to, &content), "MessageIsAlreadySent").await;
        provided.answered.extend((answer == fresh).then(|| id.parse::<Uuid>().unwrap()));
        client.deliver(&Message::ack(&id), "TargetMessageIsNotFound").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_exchange_at_any_point_loses_doubles_and_reorders_nothing() {
    let world = World::start(Flavour::Production).await;
    let mut tx = world.db.begin().await.unwrap();
    let name = ["Семёнова", "Анна", "Петровна"];
    let anna = Person { id: 10, name, born: "2015-03-01", snils: Some("11223344595") };
    world.put_person(&mut tx, &anna).await;
    tx.commit().await.unwrap();
    let site = Site {
        data: world.dir.path().to_owned(),
        database_url: world.database_url.clone(),
        broker_url: None,
        prefix: "none".to_owned(),
    };
    let mut roles = [0; 2].map(|_| site.start("federal", free_port()));
    let addresses = [&roles[0], &roles[1]].map(|role| format!("http://127.0.0.1:{}", role.port));
    let client = async |mnemonic: &str, turn: usize| {
        let signer = world.system(mnemonic, KeyKind::P256).await;
        let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
        let turn = AtomicUsize::new(turn);
        Arc::new(Client { http, addresses: addresses.clone(), turn, signer })
    };
    let provider = client("IS00000", 0).await;
    world.kind("Pupil", "IS00000", NAMESPACE, true).await;
    let mut consumers = Vec::new();
    for number in 1..=CONSUMERS {
        consumers.push(client(&format!("IS0000{number}"), number).await);
    }
    let (asked_over, pulled_over) = (CancellationToken::new(), CancellationToken::new());
    let answers = Arc::new(Mutex::new(HashMap::new()));
    let provide = |over: &CancellationToken| {
        tokio::spawn(provides(Arc::clone(&provider), over.clone(), Arc::clone(&answers)))
    };
    let providers = [provide(&pulled_over), provide(&pulled_over)];
    let askers: Vec<_> = consumers
        .iter()
        .map(|one| tokio::spawn(asks(Arc::clone(one), asked_over.clone())))
        .collect();
    // Two pull from the queue of the first.
    let pullers: Vec<_> = (0..=CONSUMERS)
        .map(|number| {
            let one = Arc::clone(&consumers[number % CONSUMERS]);
            tokio::spawn(pulls(one, pulled_over.clone(), number as u64))
        })
        .collect();

    let mut random = StdRng::seed_from_u64(0x6b69_6c6c);
    for _ in 0..KILLS {
        // One of the two stays while the other begins: else nothing would ever be asked.
        let which = random.random_range(0..2);
        let other = &addresses[1 - which];
        wait_until("the other process serves", async || serves(other).await).await;
        tokio::time::sleep(Duration::from_millis(random.random_range(0..100))).await;
        site.kill(&mut roles[which]);
    }
    // On a slow machine little is asked between two kills.
    let asked = "SELECT count(*) FROM mailbox_request";
    wait_until("enough was asked", async || world.count(asked).await > KILLS as i64).await;
    asked_over.cancel();
    pulled_over.cancel();
    let (mut asked, mut chains, mut handed_on) = (Vec::new(), Vec::new(), Vec::new());
    for asker in askers {
        let line = asker.await.unwrap();
        chains.push(line.iter().filter(|(_, own)| *own).map(|(id, _)| *id).collect());
        handed_on.push(line.iter().filter(|(_, own)| !own).map(|(id, _)| *id).collect());
        asked.extend(line);
    }
    let mut taken = Vec::new();
    for provider in providers {
        let Provided { taken: line, answered } = provider.await.unwrap();
        taken.push(line);
        chains.push(answered);
    }
    let mut got = Vec::new();
    for puller in pullers {
        got.push(puller.await.unwrap());
    }
    // What was out when its receiver was told nothing of it comes back after 15 minutes.
    let lapse = "UPDATE mailbox_message SET leased_until = queued_at WHERE acknowledged_at IS NULL";
    world.db.execute(lapse, vec![]).await.unwrap();
    let late = provide(&pulled_over).await.unwrap().taken;
    let mut later = Vec::new();
    for consumer in &consumers {
        later.push(drain(consumer).await);
    }
    for role in roles {
        role.end();
    }
    check(&world, &asked, &got, &later).await;
    let requests = |line: &Vec<Got>| line.iter().map(|one| one.request).collect();
    let lines: Vec<Vec<Uuid>> = got.iter().chain(&later).map(requests).collect();
    check_order(&chains, &lines);
    // Requests came to their provider in the order of each consumer, to one of its two callers each, and
    // again only when 15 minutes had passed.
    check_order(&handed_on, &taken);
    check_order(&handed_on, &[late]);
    let mut out = BTreeSet::new();
    for request in taken.iter().flatten() {
        assert!(out.insert(*request), "{request} was handed out twice at a time");
    }
    world.finish_without_answers().await;
}

async fn serves(address: &str) -> bool {
    reqwest::get(format!("{address}/ws/smev/1.3?wsdl")).await.is_ok()
}

/// Pulls and confirms all that waits.
async fn drain(client: &Client) -> Vec<Got> {
    let (pull, mut got) = (Message::pull("", ""), Vec::new());
    while let Some(answered) = client.next(&pull).await {
        got.push(read(&answered, false));
        client.deliver(&Message::ack(&answered.id()), "TargetMessageIsNotFound").await;
    }
    got
}

async fn check(world: &World, asked: &[(Uuid, bool)], got: &[Vec<Got>], later: &[Vec<Got>]) {
    let own = asked.iter().filter(|(_, own)| *own).count() as i64;
    let taken = asked.len() as i64;
    assert!(taken > KILLS as i64, "only {taken} were asked");
    let sql = "SELECT request_id FROM mailbox_message WHERE queue = 'response'";
    let rows = world.db.query(sql, vec![]).await.unwrap();
    let answered: BTreeSet<Uuid> = rows.iter().map(|row| row.get(0).unwrap()).collect();
    let requests: BTreeSet<Uuid> = asked.iter().map(|(id, _)| *id).collect();
    assert_eq!(answered, requests, "every request that was taken is answered");
    assert_eq!(rows.len(), answered.len(), "once");
    assert_eq!(world.count("SELECT count(*) FROM mailbox_request").await, taken);
    assert_eq!(world.count("SELECT count(*) FROM disclosure").await, own);
    let waiting = "SELECT count(*) FROM mailbox_message WHERE acknowledged_at IS NULL";
    assert_eq!(world.count(waiting).await, 0);

    // Who pulled has seen them all, and the same each time.
    let mut seen: BTreeMap<Uuid, (Uuid, [u8; 32])> = BTreeMap::new();
    for one in got.iter().chain(later).flatten() {
        let known = *seen.entry(one.request).or_insert((one.answer, one.content));
        assert_eq!(known, (one.answer, one.content), "another answer to {}", one.request);
    }
    assert_eq!(seen.keys().copied().collect::<BTreeSet<_>>(), requests);
    // While it was out nobody else got it; what was left or lost came again, later.
    let mut out = BTreeSet::new();
    for one in got.iter().flatten() {
        assert!(out.insert(one.answer), "{} was handed out twice at a time", one.answer);
    }
    let left: BTreeSet<Uuid> =
        got.iter().flatten().filter(|one| one.left).map(|one| one.answer).collect();
    let again: BTreeSet<Uuid> = later.iter().flatten().map(|one| one.answer).collect();
    assert!(left.is_subset(&again) && !left.is_empty());
    assert!(matches!(audit::verify(&world.db).await.unwrap(), Chain::Intact(_)));
}

/// What was put into queues one after the other comes out so, whoever pulls.
fn check_order(chains: &[Vec<Uuid>], lines: &[Vec<Uuid>]) {
    for line in lines {
        let came: HashMap<Uuid, usize> =
            line.iter().enumerate().map(|(at, request)| (*request, at)).collect();
        for chain in chains {
            let places = chain.iter().filter_map(|request| came.get(request));
            assert!(places.is_sorted(), "out of order");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_every_operation_fails_on_our_side_and_works_again_after() {
    let world = World::start(Flavour::Production).await;
    let cast = Cast::gather(&world).await;
    let (server, name) = world.database_url.rsplit_once('/').unwrap();
    let server = Db::connect(&format!("{server}/postgres"), 1).await.unwrap();
    let allow = async |allowed: bool| {
        let sql = format!("ALTER DATABASE \"{name}\" ALLOW_CONNECTIONS {allowed}");
        server.query(&sql, vec![]).await.unwrap();
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
        server.query(sql, args![name]).await.unwrap();
    };
    let send = async |message: &Message, version, signer: &Signer| {
        world.send_by(version, message.signed(signer)).await
    };
    allow(false).await;
    for version in Version::ALL {
        for (message, signer) in operations(&cast, version, "x") {
            judge(&failure(&message), version, &send(&message, version, signer).await);
        }
    }
    allow(true).await;
    wait_until("the database is back", async || {
        send(&Message::status(), Version::V13, &cast.consumer).await.status == 200
    })
    .await;
    for version in Version::ALL {
        for (message, signer) in operations(&cast, version, "x") {
            let answered = send(&message, version, signer).await;
            match message.operation() {
                "SendResponse" => assert_eq!(answered.fault().local, "RecipientIsNotFound"),
                "Ack" => assert_eq!(answered.fault().local, "TargetMessageIsNotFound"),
                _ => assert_eq!(answered.status, 200, "{}", answered.xml),
            }
        }
    }
    server.close().await;
    world.finish().await;
}
