//! The adapter against our own node over the network, through a proxy that does what networks do:
//! every question asked there gets one answer, the same, whoever dies when.

mod doubts;
mod pair;
mod proxy;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use kontingent::codec::node::Node as Element;
use kontingent::codec::smev3::{Content, ContentError, Fault as Told, SignatureFault, Version};
use kontingent::exchange::adapter::NodeTrust;
use kontingent::exchange::admin::Admin;
use kontingent::model::clock::Clock;
use kontingent::storage::audit::{self, Chain};
use kontingent::storage::mailbox::remote;
use kontingent::trust::TrustStore;
use kontingent::trust::authority::{Authority, Validity};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;
use uuid::Uuid;

use crate::interop::python;
use crate::stack::{Flavour, flavours, now};

use pair::{FOREIGN, Pair, content};
use proxy::{Fault, Proxy};

const WAITING: &str = "SELECT count(*) FROM remote_answer WHERE state = 'waiting'";
const DONE: &str =
    "SELECT count(*) FROM remote_answer WHERE state = 'sent' AND acknowledged_at IS NOT NULL";

/// What must come of a question.
#[derive(Clone, Debug, PartialEq)]
enum Wanted {
    /// The card of the person with this number.
    Snils(String),
    /// A federal id is given to this person, or would be.
    Assigned,
    /// A refusal.
    Code(&'static str),
}

fn snils(number: usize) -> String {
    format!("{:011}", 10_000_000_000 + number)
}

fn by_snils(number: usize) -> String {
    content("GetPersonBySnilsRequest", &format!("<Snils>{}</Snils>", snils(number)))
}

/// The first element of this name below.
fn find<'n>(node: &'n Element, local: &str) -> Option<&'n Element> {
    let mut children = node.children.iter();
    children.find_map(|child| if child.local == local { Some(child) } else { find(child, local) })
}

/// What an answer says.
fn told(found: &kontingent::codec::smev3::client::Returned) -> Wanted {
    match &found.sent.as_ref().unwrap().data.content {
        Content::Primary(root) if root.local == "AssignFederalIdResponse" => Wanted::Assigned,
        Content::Primary(root) => Wanted::Snils(find(root, "Snils").unwrap().text.clone()),
        Content::Rejected(why) => {
            assert!(why[0].description.chars().any(|c| ('а'..='я').contains(&c)), "{why:?}");
            let codes = ["ACCESS_DENIED", "UNKNOWN_REQUEST_DESCRIPTION", "FAILURE"];
            Wanted::Code(codes.into_iter().find(|code| *code == why[0].code).unwrap())
        }
        other => panic!("{other:?}"),
    }
}

/// Asks all kinds of questions; what must come of each.
async fn ask_all(pair: &Pair, cards: usize) -> HashMap<Uuid, Wanted> {
    let mut wanted = HashMap::new();
    for number in 0..cards {
        let id = i64::try_from(number).unwrap() + 100;
        let name = format!("Иванова{}", "а".repeat(number));
        pair.region.put_person(id, &name, Some(&snils(number))).await;
        let asked = pair.asker.ask(&by_snils(number), number % 2 == 0).await;
        wanted.insert(asked, Wanted::Snils(snils(number)));
    }
    for number in 0..6 {
        let inside = format!(
            "<Pair><RegionalID>{}</RegionalID><FederalID>F{number}</FederalID></Pair>",
            100 + number
        );
        let asked = pair.asker.ask(&content("AssignFederalIdRequest", &inside), number >= 4).await;
        wanted.insert(asked, Wanted::Assigned);
    }
    for (content, code) in [
        (content("GetPersonBySnilsRequest", "<Snils>одиннадцать</Snils>"), "FAILURE"),
        (content("GetChangedSinceRequest", "<Cursor>выдуман</Cursor>"), "FAILURE"),
        (format!("<Ask xmlns=\"{FOREIGN}\"/>"), "UNKNOWN_REQUEST_DESCRIPTION"),
    ] {
        wanted.insert(pair.asker.ask(&content, false).await, Wanted::Code(code));
    }
    wanted
}

/// Every other call of an operation meets with something, each time with something else. A question is
/// never changed: it would be refused.
fn rough(proxy: &Arc<Proxy>) {
    let mut calls: HashMap<String, usize> = HashMap::new();
    proxy.plan(move |operation| {
        let call = calls.entry(operation.to_owned()).or_default();
        *call += 1;
        let faults = [
            Fault::Lose,
            Fault::Refuse,
            Fault::Cut,
            Fault::Status(503),
            Fault::Repeat,
            Fault::Confuse,
            Fault::Hang,
            Fault::Html,
            Fault::Slow,
            Fault::Say(Told::SmevFailure),
            Fault::ChangeReply,
            Fault::Status(504),
            Fault::ChangeRequest,
            Fault::Say(Told::SenderIsNotRegistered),
        ];
        if (*call).is_multiple_of(2) {
            return Fault::Pass;
        }
        let overflow =
            Fault::Say(Told::DestinationOverflow { destination: "очередь".into() });
        match (operation, faults[*call / 2 % faults.len()].clone()) {
            ("GetRequest", Fault::ChangeReply | Fault::Confuse) => Fault::Slow,
            ("SendResponse" | "Ack", Fault::Repeat) => overflow,
            (_, fault) => fault,
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_question_is_answered_once_whatever_the_wire_does_and_however_often_the_adapter_dies()
{
    futures_util::future::join_all(flavours().into_iter().map(survive)).await;
}

async fn survive(flavour: Flavour) {
    let pair = Pair::start(flavour).await;
    let mut wanted = ask_all(&pair, 24).await;
    rough(&pair.proxy);
    let mut random = StdRng::seed_from_u64(6);
    for death in 0..8 {
        let running = pair.run();
        tokio::time::sleep(Duration::from_millis(random.random_range(30..700))).await;
        running.kill().await;
        pair.lapse().await;
        if death == 5 {
            let block = "UPDATE federal_system SET status = 'blocked' WHERE mnemonic = $1";
            let denied = pair.blocked.ask(&by_snils(0), false).await;
            pair.region.put_system("MVD000002").await;
            pair.region.db.execute(block, kontingent::args!["MVD000002"]).await.unwrap();
            wanted.insert(denied, Wanted::Code("ACCESS_DENIED"));
        }
    }
    let total = i64::try_from(wanted.len()).unwrap();
    let running = pair.run();
    pair.until(DONE, total).await;
    running.kill().await;
    check(&pair, &wanted).await;
    pair.stop().await;
}

/// One answer to each question, the right one; each sent with the same bytes however often; traces.
async fn check(pair: &Pair, wanted: &HashMap<Uuid, Wanted>) {
    let mut answers = pair.asker.answers().await;
    answers.extend(pair.blocked.answers().await);
    assert_eq!(answers.len(), wanted.len());
    for (id, wanted) in wanted {
        let found = &answers[id];
        assert_eq!(found.len(), 1, "{id}");
        assert_eq!(told(&found[0]), *wanted, "{id}");
    }
    let mut bodies: HashMap<Uuid, HashSet<Vec<u8>>> = HashMap::new();
    for operation in ["GetRequest", "SendResponse", "Ack"] {
        let calls = pair.proxy.count(operation);
        assert!(calls > wanted.len() + 14, "{operation} met with everything: {calls} calls");
    }
    for call in pair.proxy.calls.lock().unwrap().iter() {
        if call.operation == "SendResponse" {
            let text = String::from_utf8_lossy(&call.body);
            let id = text.split("<t:MessageID>").nth(1).unwrap()[..36].parse().unwrap();
            bodies.entry(id).or_default().insert(call.body.clone());
        }
    }
    assert_eq!(bodies.len(), wanted.len(), "each answer has one id");
    assert!(bodies.values().all(|same| same.len() == 1), "it is sent again as it is");
    let total = i64::try_from(wanted.len()).unwrap();
    let refused = wanted.values().filter(|wanted| matches!(wanted, Wanted::Code(_))).count();
    let region = &pair.region;
    let origin = "SELECT count(*) FROM mailbox_request WHERE origin = 'remote'";
    assert_eq!(region.count(origin).await, total);
    let disclosed = region.count("SELECT count(*) FROM disclosure").await;
    assert_eq!(disclosed, total - i64::try_from(refused).unwrap());
    assert_eq!(
        region.count("SELECT count(*) FROM federal_identity").await,
        4,
        "tests change nothing"
    );
    let sent = "SELECT count(*) FROM audit WHERE action = 'federal.sent'";
    assert_eq!(region.count(sent).await, total);
    let kept = "SELECT count(*) FROM remote_answer WHERE envelope IS NOT NULL";
    assert_eq!(region.count(kept).await, 0, "what is sent is forgotten");
    for db in [&region.db, &pair.remote.db] {
        assert!(matches!(audit::verify(db).await.unwrap(), Chain::Intact(_)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_question_is_refused_and_an_unknown_signer_refuses_nothing() {
    for flavour in flavours() {
        let pair = Pair::start(flavour).await;
        pair.region.put_person(100, "Иванова", Some(&snils(0))).await;
        pair.proxy.script("GetRequest", vec![Fault::ChangeReply]);
        pair.asker.ask(&by_snils(0), false).await;
        let running = pair.run();
        let refused = "SELECT count(*) FROM audit WHERE action = 'federal.refuse'";
        pair.until(refused, 1).await;
        let accepted =
            "SELECT count(*) FROM mailbox_message WHERE queue = 'request' AND NOT accepted";
        while pair.remote.count(accepted).await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        running.kill().await;
        assert_eq!(pair.region.count("SELECT count(*) FROM mailbox_request").await, 0);

        let mut random = StdRng::seed_from_u64(9);
        let validity =
            Validity { from: now() - TimeDelta::days(1), to: now() + TimeDelta::days(1) };
        let other = Authority::create("Another CA", validity, &mut random).unwrap();
        let store = TrustStore::new(&[other.issued().certificate_der().unwrap()]).unwrap();
        let asked = pair.asker.ask(&by_snils(0), false).await;
        let acks = pair.proxy.count("Ack");
        let running = pair.run_as(Version::V13, NodeTrust::Own(Arc::new(store)));
        while pair.region.texts("SELECT coalesce(fault, '') FROM remote_node").await
            != ["CERT_UNTRUSTED"]
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        running.kill().await;
        assert_eq!(pair.proxy.count("Ack"), acks, "it stays at the node");
        assert_eq!(pair.region.count("SELECT count(*) FROM mailbox_request").await, 0);
        let running = pair.run();
        pair.until(DONE, 1).await;
        running.kill().await;
        assert_eq!(told(&pair.asker.answers().await[&asked][0]), Wanted::Snils(snils(0)));
        pair.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_fault_of_the_node_has_its_consequence() {
    for flavour in flavours() {
        let pair = Pair::start(flavour).await;
        pair.region.put_person(100, "Иванова", Some(&snils(0))).await;
        let ask = async || pair.asker.ask(&by_snils(0), false).await;
        let invalid = || {
            let error = ContentError { position: -1, text: "не по схеме".to_owned() };
            Fault::Say(Told::InvalidContent(vec![error]))
        };
        let running = pair.run();

        // It says that it was taken before: that is success, for an answer it never got, too.
        let before = Fault::Say(Told::MessageIsAlreadySent(Uuid::nil()));
        pair.proxy.script("SendResponse", vec![before]);
        ask().await;
        pair.until(DONE, 1).await;
        assert!(pair.asker.answers().await.is_empty());

        // It finds it invalid, once: perhaps it was changed on the way.
        pair.proxy.script("SendResponse", vec![invalid()]);
        let asked = ask().await;
        pair.until(DONE, 2).await;
        assert_eq!(told(&pair.asker.answers().await[&asked][0]), Wanted::Snils(snils(0)));

        // It will never take it: a refusal goes instead, once.
        pair.proxy.script("SendResponse", vec![invalid(), invalid()]);
        let asked = ask().await;
        pair.until(DONE, 3).await;
        assert_eq!(told(&pair.asker.answers().await[&asked][0]), Wanted::Code("FAILURE"));

        // Nor the refusal: it is parked, the node knows that we have the request, an operator decides.
        pair.proxy.script("SendResponse", vec![invalid(), invalid(), invalid()]);
        let asked = ask().await;
        let parked = "SELECT count(*) FROM remote_answer \
            WHERE state = 'parked' AND acknowledged_at IS NOT NULL AND fault = 'InvalidContent'";
        pair.until(parked, 1).await;
        let listed = remote::unfinished(&pair.region.db, 10).await.unwrap();
        assert!(listed[0].trouble.as_ref().unwrap().text.contains("не по схеме"));
        let admin = Admin::new(pair.region.db.clone(), Clock::System, "оператор".to_owned());
        admin.send_again(asked).await.unwrap();
        assert!(admin.send_again(asked).await.is_err(), "it is not parked any more");
        pair.until(DONE, 4).await;
        assert_eq!(told(&pair.asker.answers().await[&asked][0]), Wanted::Code("FAILURE"));

        // A fresh id is too old for it: one of the clocks is wrong, the id stays.
        let stale = || Fault::Say(Told::StaleMessageId);
        pair.proxy.script("SendResponse", vec![stale(), stale()]);
        let sent = pair.proxy.count("SendResponse");
        let asked = ask().await;
        pair.until(DONE, 5).await;
        assert_eq!(pair.proxy.count("SendResponse"), sent + 3);
        assert_eq!(told(&pair.asker.answers().await[&asked][0]), Wanted::Snils(snils(0)));

        // It confirms another message than was sent: whether ours was taken shows when it is sent again.
        pair.proxy.script("SendResponse", vec![Fault::Confuse]);
        let sent = pair.proxy.count("SendResponse");
        let asked = ask().await;
        pair.until(DONE, 6).await;
        assert_eq!(pair.proxy.count("SendResponse"), sent + 2);
        assert_eq!(pair.asker.answers().await[&asked].len(), 1);

        // An Ack that comes too late does no harm.
        pair.proxy.script("Ack", vec![Fault::Say(Told::TargetMessageIsNotFound("x".into()))]);
        ask().await;
        pair.until(DONE, 7).await;

        // We are not let in: all stop but for a try now and then.
        let signature = SignatureFault::CertificateIsExpired;
        let barred = Told::SignatureVerification(signature, "Срок действия истёк".to_owned());
        pair.proxy.plan(move |operation| match operation {
            "SendResponse" => Fault::Say(barred.clone()),
            _ => Fault::Pass,
        });
        let sent = pair.proxy.count("SendResponse");
        for _ in 0..12 {
            ask().await;
        }
        pair.until(WAITING, 12).await;
        tokio::time::sleep(Duration::from_millis(1200)).await;
        let tried = pair.proxy.count("SendResponse") - sent;
        assert!((1..=20).contains(&tried), "{tried}");
        pair.proxy.plan(|_| Fault::Pass);
        pair.until(DONE, 19).await;
        running.kill().await;
        pair.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_has_waited_for_more_than_a_day_gets_a_fresh_id() {
    let yesterday = Clock::Fixed(now() - TimeDelta::hours(25));
    let mut pair = Pair::start_by(Flavour::Embedded, yesterday).await;
    pair.region.put_person(100, "Иванова", Some(&snils(0))).await;
    pair.proxy.plan(|operation| match operation {
        "SendResponse" => Fault::Status(503),
        _ => Fault::Pass,
    });
    let asked = pair.asker.ask(&by_snils(0), false).await;
    let running = pair.run();
    pair.until(WAITING, 1).await;
    running.kill().await;
    let id = "SELECT envelope_sha256 FROM remote_answer";
    let first: Vec<u8> =
        pair.region.db.query_one(id, vec![]).await.unwrap().unwrap().get(0).unwrap();
    pair.region = pair.region.restart(Clock::System).await;
    pair.proxy.plan(|_| Fault::Pass);
    let running = pair.run();
    pair.until(DONE, 1).await;
    running.kill().await;
    let last: Vec<u8> =
        pair.region.db.query_one(id, vec![]).await.unwrap().unwrap().get(0).unwrap();
    assert_ne!(first, last);
    assert_eq!(told(&pair.asker.answers().await[&asked][0]), Wanted::Snils(snils(0)));
    let replaced = "SELECT count(*) FROM audit WHERE action = 'federal.replace'";
    assert_eq!(pair.region.count(replaced).await, 1);
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_versions_are_spoken_by_their_schemas_and_long_answers_come_as_files() {
    let pair = Pair::start(Flavour::Embedded).await;
    for number in 0..1000 {
        let name = format!("{}{number}", "Ы".repeat(700));
        pair.region.put_person(100 + number, &name, None).await;
        pair.region.log_person(100 + number).await;
    }
    pair.region.put_person(99, "Иванова", Some(&snils(0))).await;
    for (version, done) in Version::ALL.into_iter().zip([2, 4, 6]) {
        let running = pair.run_as(version, pair.trust());
        let card = pair.asker.ask(&by_snils(0), false).await;
        let page = content("GetChangedSinceRequest", "<PageSize>1000</PageSize>");
        let page = pair.asker.ask(&page, false).await;
        pair.until(DONE, done).await;
        running.kill().await;
        let answers = pair.asker.answers().await;
        assert_eq!(told(&answers[&card][0]), Wanted::Snils(snils(0)));
        let files = &answers[&page][0].sent.as_ref().unwrap().attachments;
        assert_eq!(files.len(), 1, "{version:?}");
    }
    let folder = pair.region.dir.path().join("sent");
    fs::create_dir(&folder).unwrap();
    for (number, call) in pair.proxy.calls.lock().unwrap().iter().enumerate() {
        fs::write(folder.join(format!("{number:04}.xml")), &call.body).unwrap();
    }
    python("validate_smev.py", &[folder.to_str().unwrap()]);
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_role_polls_the_configured_node_and_operators_see_how_it_goes() {
    let mut pair = Pair::start(Flavour::Embedded).await;
    pair.region.put_person(100, "Иванова", Some(&snils(0))).await;
    let remote = &mut pair.region.config.federal.remote;
    remote.url = Some(format!("http://{}/ws/smev/1.2", pair.proxy.address));
    remote.version = "1.2".to_owned();
    remote.certificate = Some(pair.remote.dir.path().join("certificate.pem"));
    remote.poll_seconds = 1;
    "REGION77".clone_into(&mut pair.region.config.federal.mnemonic);
    pair.proxy.script("SendResponse", vec![Fault::Status(503); 3]);
    let asked = pair.asker.ask(&by_snils(0), false).await;
    pair.region = pair.region.restart(Clock::System).await;
    pair.until(WAITING, 1).await;
    while pair.proxy.count("SendResponse") == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let attempt = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kontingent"));
        let url = pair.region.config.federal.remote.url.clone().unwrap();
        command.env("KONTINGENT_DATA", pair.region.dir.path());
        command.env("KONTINGENT_FEDERAL__REMOTE__URL", url);
        let output = command.args(arguments).output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.success(), text)
    };
    let kontingent = |arguments: &[&str]| {
        let (good, text) = attempt(arguments);
        assert!(good, "{text}");
        text
    };
    let shown = kontingent(&["federal", "remote", "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["waiting"], &shown["parked"]), (&1.into(), &0.into()));
    assert_eq!(shown["answers"][0]["request"], asked.to_string());
    assert_eq!(shown["answers"][0]["asker"], "FNS00001");
    assert!(kontingent(&["federal", "remote"]).contains("ждёт отправки"));
    assert!(kontingent(&["check-config"]).contains("/ws/smev/1.2, версия 1.3, опрос раз в 2 с"));
    pair.until(DONE, 1).await;
    assert_eq!(told(&pair.asker.answers().await[&asked][0]), Wanted::Snils(snils(0)));
    let node = format!("http://{}/ws/smev/1.3", pair.remote.service.address);
    let [key, certificate] = ["key.pem", "certificate.pem"]
        .map(|name| pair.region.dir.path().join(name).to_str().unwrap().to_owned());
    let asking = ["federal", "ask", "--to", &node, "--key", &key, "--certificate", &certificate];
    let answer = kontingent(&[&asking[..], &["--purpose", "проверка", "PingRequest"]].concat());
    assert!(answer.contains("PingResponse") && answer.contains("не проверена"), "{answer}");
    // Who issued the node's certificate, and an authority that did not.
    let [ours, other] = pair.authorities();
    let ping = ["--purpose", "проверка", "PingRequest", "--trust"];
    let (good, text) = attempt(&[&asking[..], &ping, &[&other]].concat());
    assert!(!good && text.contains("CERT_UNTRUSTED") && !text.contains("PingResponse"), "{text}");
    let unconfirmed = "SELECT count(*) FROM mailbox_message WHERE acknowledged_at IS NULL";
    assert_eq!(pair.remote.count(unconfirmed).await, 1);
    let answer = kontingent(&[&asking[..], &ping, &[&ours]].concat());
    assert!(answer.contains("PingResponse") && !answer.contains("не проверена"), "{answer}");
    let health = format!("http://{}/metrics", pair.region.service.health);
    let metrics = reqwest::get(health).await.unwrap().text().await.unwrap();
    assert!(
        metrics.is_empty() || metrics.contains("federal_remote"),
        "of another recorder, or ours"
    );
    pair.stop().await;
}

/// What the node tells of answers that it had taken: recorded when they arrived, parked when it refused them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_refused_after_it_was_taken_is_parked_for_an_operator_and_one_received_is_noted()
{
    let told = "SELECT count(*) FROM remote_answer WHERE told = 'messageIsDelivered'";
    let parked = "SELECT count(*) FROM remote_answer \
        WHERE state = 'parked' AND fault = 'RecipientIsNotFound' AND told LIKE '%IsRejectedBySmev'";
    for (flavour, version) in flavours().into_iter().zip([Version::V13, Version::V11]) {
        let pair = Pair::start(flavour).await;
        pair.region.put_person(100, "Иванова", Some(&snils(0))).await;
        // The node tells who listens.
        let running = pair.run_as(version, pair.trust());
        while pair.proxy.count("GetStatus") == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let received = pair.asker.ask(&by_snils(0), false).await;
        pair.until(DONE, 1).await;
        assert_eq!(pair.asker.answers().await[&received].len(), 1);
        let delivered = told.replace(
            "messageIsDelivered",
            if version == Version::V11 { "responseIsDelivered" } else { "messageIsDelivered" },
        );
        pair.until(&delivered, 1).await;

        // Who asked is shut out before he has pulled, for longer than a day. The word of it is lost once
        // on its way, and once more what we say to that.
        let lost = pair.blocked.ask(&by_snils(0), false).await;
        pair.until(DONE, 2).await;
        let admin = Admin::new(pair.remote.db.clone(), Clock::System, "test".to_owned());
        admin.block_system("MVD000002", true).await.unwrap();
        pair.proxy.script("GetResponse", vec![Fault::Lose, Fault::Status(503)]);
        let past = "UPDATE mailbox_message SET queued_at = '2024-01-01T00:00:00+00:00' \
            WHERE acknowledged_at IS NULL AND queue = 'response'";
        pair.remote.db.execute(past, vec![]).await.unwrap();
        let lapse = "UPDATE mailbox_message SET leased_until = NULL WHERE acknowledged_at IS NULL";
        let mut rounds = 0;
        while pair.region.count(parked).await == 0 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            pair.remote.db.execute(lapse, vec![]).await.unwrap();
            rounds += 1;
            assert!(rounds < 100, "the answer is not parked");
        }
        let waits = "SELECT count(*) FROM mailbox_message m JOIN federal_system s ON s.id = m.system_id \
            WHERE s.mnemonic = 'REGION77' AND m.acknowledged_at IS NULL";
        while pair.remote.count(waits).await > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let listed = remote::unfinished(&pair.region.db, 10).await.unwrap();
        assert_eq!((listed.len(), listed[0].request), (1, lost));
        assert_eq!(listed[0].rejection.as_deref(), Some("FAILURE"), "a refusal waits instead");
        let words = &listed[0].trouble.as_ref().unwrap().text;
        assert!(words.starts_with("Невозможно определить получателя"), "{words}");
        let act = "SELECT count(*) FROM audit WHERE action = 'federal.reject-late'";
        assert_eq!(pair.region.count(act).await, 1);
        // The node is told; nothing is sent until an operator says so.
        let sent = pair.proxy.count("SendResponse");
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(pair.proxy.count("SendResponse"), sent);
        let admin = Admin::new(pair.region.db.clone(), Clock::System, "оператор".to_owned());
        admin.send_again(lost).await.unwrap();
        // The request is closed there: it is refused for good, and parked once more.
        while pair.proxy.count("SendResponse") == sent {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        pair.until("SELECT count(*) FROM remote_answer WHERE state = 'parked'", 1).await;
        running.kill().await;
        pair.stop().await;
    }
}

/// The queue of answers has one for somebody else: it is left there, and not called for again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_to_others_is_left_in_the_queue() {
    let pair = Pair::start(Flavour::Embedded).await;
    let sql = "UPDATE mailbox_message SET system_id = (SELECT id FROM federal_system \
        WHERE mnemonic = 'REGION77'), leased_until = NULL WHERE queue = 'response'";
    pair.region.put_person(100, "Иванова", Some(&snils(0))).await;
    let running = pair.run();
    pair.asker.ask(&by_snils(0), false).await;
    pair.until(DONE, 1).await;
    running.kill().await;
    pair.remote.db.execute(sql, vec![]).await.unwrap();
    let (running, calls) = (pair.run(), pair.proxy.count("GetStatus"));
    while pair.proxy.count("GetStatus") < calls + 5 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    running.kill().await;
    let handed = "SELECT deliveries FROM mailbox_message \
        WHERE queue = 'response' AND acknowledged_at IS NULL";
    assert_eq!(pair.remote.count(handed).await, 1, "it was seen once, and not confirmed");
    pair.stop().await;
}
