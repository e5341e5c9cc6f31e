//! What the adapter does with deliveries that the node does not vouch for, or that are for somebody else:
//! nothing of them is answered, and nothing is confirmed by them that they were not.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use kontingent::codec::smev3::Version;
use kontingent::exchange::adapter::{Link, NodeTrust};
use kontingent::trust::TrustStore;
use kontingent::trust::authority::{Authority, Validity};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::Value;
use uuid::Uuid;

use super::pair::Pair;
use super::proxy::Fault;
use super::{DONE, Wanted, by_snils, snils, told};
use crate::kill::free_port;
use crate::stack::{Flavour, flavours, now};

/// What the node has been told of answers that reached who asked.
const TOLD: &str = "SELECT count(*) FROM remote_answer WHERE told = 'messageIsDelivered'";

/// Bodies of the calls of an operation so far.
fn calls(pair: &Pair, operation: &str) -> Vec<String> {
    let calls = pair.proxy.calls.lock().unwrap();
    let of = calls.iter().filter(|call| call.operation == operation);
    of.map(|call| String::from_utf8_lossy(&call.body).into_owned()).collect()
}

fn refusals(pair: &Pair) -> Vec<String> {
    calls(pair, "Ack").into_iter().filter(|ack| ack.contains("accepted=\"false\"")).collect()
}

/// Waits for so many more calls of an operation.
async fn more_calls(pair: &Pair, operation: &str, more: usize) {
    let before = pair.proxy.count(operation);
    while pair.proxy.count(operation) < before + more {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Trust in an authority that issued none of the certificates.
fn strangers() -> NodeTrust {
    let validity = Validity { from: now() - TimeDelta::days(1), to: now() + TimeDelta::days(1) };
    let other = Authority::create("Another CA", validity, &mut StdRng::seed_from_u64(9)).unwrap();
    NodeTrust::Own(Arc::new(TrustStore::new(&[other.issued().certificate_der().unwrap()]).unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_delivery_confirms_no_other_message_neither_a_question_nor_a_word_of_an_answer() {
    for flavour in flavours() {
        let pair = Pair::start(flavour).await;
        pair.region.put_person(100, "Иванова", Some(&snils(0))).await;
        // The node tells who listens.
        let running = pair.run();
        more_calls(&pair, "GetStatus", 1).await;
        let first = pair.asker.ask(&by_snils(0), false).await;
        pair.until(DONE, 1).await;

        // The next question claims to be the first, which has been answered.
        pair.proxy.script("GetRequest", vec![Fault::Claim(first); 3]);
        let second = pair.asker.ask(&by_snils(0), false).await;
        pair.until(DONE, 2).await;
        assert_eq!(refusals(&pair), Vec::<String>::new(), "the first one was good");

        // A word of an answer claims to be of a message that we have never sent.
        let stranger = Uuid::from_u128(7);
        pair.proxy.plan(move |operation| match operation {
            "GetStatus" => Fault::Claim(stranger),
            _ => Fault::Pass,
        });
        let answers = pair.asker.answers().await;
        assert_eq!(told(&answers[&first][0]), Wanted::Snils(snils(0)));
        assert_eq!(told(&answers[&second][0]), Wanted::Snils(snils(0)));
        more_calls(&pair, "GetStatus", 4).await;
        assert_eq!(refusals(&pair), Vec::<String>::new(), "nobody knows of what it speaks");
        pair.proxy.plan(|_| Fault::Pass);
        let lapse = "UPDATE mailbox_status SET leased_until = NULL";
        while pair.region.count(TOLD).await < 2 {
            pair.remote.db.execute(lapse, vec![]).await.unwrap();
            more_calls(&pair, "GetStatus", 2).await;
        }
        running.kill().await;
        pair.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_addressed_to_somebody_else_is_neither_answered_nor_confirmed() {
    for (flavour, version) in flavours().into_iter().zip([Version::V13, Version::V11]) {
        let pair = Pair::start(flavour).await;
        pair.region.put_person(100, "Иванова", Some(&snils(0))).await;
        let asked = pair.asker.ask(&by_snils(0), false).await;
        let running = pair.run_named("REGION99", version, pair.trust());
        more_calls(&pair, "GetRequest", 5).await;
        running.kill().await;
        assert_eq!(pair.region.count("SELECT count(*) FROM mailbox_request").await, 0);
        assert_eq!(pair.proxy.count("SendResponse") + pair.proxy.count("Ack"), 0);
        let running = pair.run_as(version, pair.trust());
        pair.until(DONE, 1).await;
        running.kill().await;
        assert_eq!(told(&pair.asker.answers().await[&asked][0]), Wanted::Snils(snils(0)));
        pair.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_see_the_last_failure_of_trust_of_each_operation() {
    let pair = Pair::start(Flavour::Embedded).await;
    pair.region.put_person(100, "Иванова", Some(&snils(0))).await;
    let running = pair.run();
    more_calls(&pair, "GetStatus", 1).await;
    pair.asker.ask(&by_snils(0), false).await;
    pair.until(DONE, 1).await;
    running.kill().await;
    // Waits for us at the node: that the answer has arrived, and another question.
    pair.asker.answers().await;
    pair.asker.ask(&by_snils(0), false).await;
    let running = pair.run_as(Version::V13, strangers());
    more_calls(&pair, "GetRequest", 2).await;
    more_calls(&pair, "GetStatus", 2).await;
    running.kill().await;
    // What came since was in order, and is for others.
    let running = pair.run_named("REGION99", Version::V13, pair.trust());
    pair.lapse().await;
    more_calls(&pair, "GetRequest", 3).await;
    running.kill().await;
    let kontingent = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kontingent"));
        command.env("KONTINGENT_DATA", pair.region.dir.path());
        let output = command.args(["federal", "remote"]).args(arguments).output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{text}");
        text
    };
    let shown: Value = serde_json::from_str(&kontingent(&["--json"])).unwrap();
    let doubts = shown["doubts"].as_array().unwrap();
    let told: Vec<_> = doubts.iter().map(|one| (&one["operation"], &one["name"])).collect();
    let named = |operation: &str, name: &str| (operation.into(), name.into());
    let wanted: [(Value, Value); 2] =
        [named("GetRequest", "RECIPIENT"), named("GetStatus", "CERT_UNTRUSTED")];
    assert_eq!(told, wanted.each_ref().map(|(operation, name)| (operation, name)));
    assert!(doubts.iter().all(|one| one["at"].is_string()), "{doubts:?}");
    let text = kontingent(&[]);
    let line = |begin: &str| text.lines().find(|line| line.starts_with(begin)).unwrap().to_owned();
    let (request, status) =
        (line("Последний сбой доверия, GetRequest"), line("Последний сбой доверия, GetStatus"));
    assert!(request.contains("адресовано «REGION77»") && request.contains(" UTC"), "{request}");
    assert!(status.contains("CERT_UNTRUSTED") && status.contains("Подпись узла"), "{status}");
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_on_the_way_is_told_in_russian_under_its_code() {
    let pair = Pair::start(Flavour::Embedded).await;
    let said = "SELECT fault || ': ' || fault_text FROM remote_node WHERE fault IS NOT NULL";
    for (fault, wanted) in [
        (Fault::Refuse, "CUT: Ответ узла оборван: соединение разорвано ("),
        (Fault::Cut, "CUT: Ответ узла оборван: соединение разорвано ("),
        (Fault::Hang, "TIMEOUT: Узел не ответил вовремя"),
        (Fault::Status(503), "FOREIGN: HTTP 503. Это не ответ узла обмена"),
    ] {
        pair.proxy.plan(move |_| fault.clone());
        let running = pair.run();
        more_calls(&pair, "GetRequest", 2).await;
        let told = pair.region.texts(said).await;
        assert!(told[0].starts_with(wanted), "{told:?}");
        running.kill().await;
    }
    let address = format!("http://127.0.0.1:{}/ws/smev/1.3", free_port());
    let signer = Arc::clone(pair.region.service.exchange().signer());
    let link = Link::new(reqwest::Client::new(), address, Version::V13, signer);
    let unsignable = link.call("Ack", "<x/>").await.unwrap_err().trouble();
    assert_eq!(unsignable.fault, "UNSIGNED");
    assert!(unsignable.text.starts_with("Сообщение не подписано нашим ключом ("), "{unsignable:?}");
    let nobody = link.send("Ack", Vec::new()).await.unwrap_err().trouble();
    let words = "С узлом нет соединения: соединение отклонено, по этому адресу никто не слушает (";
    assert_eq!(nobody.fault, "UNREACHABLE");
    assert!(nobody.text.starts_with(words), "{nobody:?}");
    pair.stop().await;
}
