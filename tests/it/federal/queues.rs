//! Queues: who comes first, who sees what, how long a message stays out, and who may not ask at all.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use kontingent::args;
use kontingent::codec::smev3::Version;
use kontingent::exchange::admin::NewKind;
use kontingent::model::clock::Clock;
use kontingent::storage::federal_system::Described;
use kontingent::storage::mailbox::{self, NODES};
use kontingent::trust::Signer;
use kontingent::trust::authority::KeyKind;
use kontingent::trust::certificate::Facts;
use uuid::Uuid;

use super::message::{Message, by_snils, new_id, selector};
use super::world::{Answered, World, find, on_both, signer, try_find, validity};
use crate::harness::wait_until;
use crate::stack::Flavour;

pub(super) const PUPIL: &str = "urn:example:pupil";
const CLASS: &str = "urn:example:class";

pub(super) fn id() -> String {
    new_id().to_string()
}

pub(super) fn root(namespace: &str, name: &str) -> String {
    format!("<{name} xmlns='{namespace}'/>")
}

/// Registers a system of which more is said than its name.
async fn describe(world: &World, mnemonic: &str, vip: bool, asks: bool) -> Signer {
    let issued = world.issue(mnemonic, KeyKind::P256, validity(0, 10));
    let facts = Facts::read(&issued.certificate_der().unwrap()).unwrap();
    world.describe(Described { mnemonic, name: "", vip, asks }, &facts).await;
    signer(&issued)
}

/// Asks the provider of a root; the id of the request.
pub(super) async fn ask(world: &World, who: &Signer, fields: &str, content: &str) -> String {
    let asked = id();
    world.send(Message::ask(&asked, fields, content).signed(who)).await.body();
    asked
}

/// The id of the next request; none when nothing waits.
pub(super) async fn take(world: &World, selector: &str, who: &Signer) -> Option<String> {
    let answered = world.send(Message::take(selector).signed(who)).await;
    (!answered.body().children.is_empty()).then(|| answered.id())
}

/// Ends the time for which a message is out.
pub(super) async fn lapse(world: &World, message: &str) {
    let sql = "UPDATE mailbox_message SET leased_until = queued_at WHERE message_id = $1";
    let message: Uuid = message.parse().unwrap();
    assert_eq!(world.db.execute(sql, args![message]).await.unwrap(), 1);
}

fn original(answered: &Answered) -> String {
    find(&answered.body(), "OriginalMessageId").text.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_wait_in_order_those_of_vip_systems_first_and_a_selector_finds_its_kind() {
    on_both(async |world| {
        let consumer = world.system("IS00001", KeyKind::P256).await;
        let provider = world.system("IS00002", KeyKind::P256).await;
        let vip = describe(world, "VIP0001", true, true).await;
        world.kind("Pupil", "IS00002", PUPIL, true).await;
        world.kind("Class", "IS00002", CLASS, true).await;
        // One more version of the schema of a kind.
        let (code, title, namespace) = ("Pupil", "Pupil", "urn:example:pupil:2");
        let (request, response) = ("Ask", "Tell");
        let provided = "IS00002";
        let kind = NewKind {
            code,
            title,
            provider: provided,
            namespace,
            request,
            response,
            open_to_all: true,
        };
        world.admin().register_kind(kind).await.unwrap();
        let pupil = root(PUPIL, "PupilRequest");
        let mut asked = Vec::new();
        for content in [&pupil, &root(namespace, "Ask"), &root(CLASS, "ClassRequest"), &pupil] {
            asked.push(ask(world, &consumer, "", content).await);
        }
        let first = ask(world, &vip, "", &pupil).await;
        let second = ask(world, &vip, "", &root(CLASS, "ClassRequest")).await;

        let of = |namespace, name| selector(namespace, name);
        // By the root of an answer, of either version: the same kind.
        assert_eq!(take(world, &of(PUPIL, "PupilResponse"), &provider).await, Some(first));
        assert_eq!(take(world, &of(CLASS, "ClassRequest"), &provider).await, Some(second));
        for number in [0, 1, 3] {
            let by = [("Ask", namespace), ("PupilRequest", PUPIL)][number % 2];
            let taken = take(world, &of(by.1, by.0), &provider).await;
            assert_eq!(taken.as_ref(), Some(&asked[number]), "{number}");
        }
        assert_eq!(take(world, &of(namespace, "Tell"), &provider).await, None);
        assert_eq!(take(world, "", &provider).await.as_ref(), Some(&asked[2]));
        assert_eq!(take(world, "", &provider).await, None);
        // Back at its place, not at the end.
        for number in [3, 1] {
            lapse(world, &asked[number]).await;
        }
        assert_eq!(take(world, "", &provider).await.as_ref(), Some(&asked[1]));
        assert_eq!(take(world, "", &provider).await.as_ref(), Some(&asked[3]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_waits_for_the_node_that_asked_and_statistics_count_what_waits() {
    on_both(async |world| {
        let consumer = world.system("IS00001", KeyKind::P256).await;
        let provider = world.system("IS00002", KeyKind::P256).await;
        world.kind("Pupil", "IS00002", PUPIL, true).await;
        let pupil = root(PUPIL, "PupilRequest");
        let question = by_snils("11223344595");
        let (one, two) = ("<t:NodeID>узел 1</t:NodeID>", "<t:NodeID>node2</t:NodeID>");
        let common = ask(world, &consumer, "", &question).await;
        let empty = ask(world, &consumer, "<t:NodeID></t:NodeID>", &question).await;
        let of_one = ask(world, &consumer, one, &question).await;
        let of_two = ask(world, &consumer, two, &pupil).await;
        let request = world.hand_out(Version::V13, &Message::take(""), &provider).await;
        let to = find(&request.body(), "ReplyTo").text.clone();
        let answer = Message::answer(&id(), &to, &root(PUPIL, "PupilResponse"));
        world.send(answer.signed(&provider)).await.body();

        let count = async |version, node: &str, who: &Signer| {
            let message = Message::statistics(node).by(version).signed(who);
            let body = world.send_by(version, message).await.body();
            let attribute = |node: &kontingent::codec::node::Node, name| {
                node.attribute(name).unwrap().to_owned()
            };
            let row = |node| {
                format!(
                    "{}={}",
                    attribute(node, "queueName"),
                    attribute(node, "pendingMessageNumber")
                )
            };
            let mut rows: Vec<String> = body.children.iter().map(row).collect();
            rows.sort();
            rows
        };
        for version in [Version::V11, Version::V12] {
            let all =
                ["IS00001.response.node2=1", "IS00001.response.узел 1=1", "IS00001.response=2"];
            assert_eq!(count(version, "", &consumer).await, all);
            assert_eq!(count(version, two, &consumer).await, all[..1]);
            assert_eq!(
                count(version, "", &provider).await,
                ["IS00002.request=1"],
                "it is still out"
            );
        }
        world.ack(Version::V13, &request, &provider).await;
        assert!(count(Version::V11, "", &provider).await.is_empty());
        for version in Version::ALL {
            let status =
                world.send_by(version, Message::status().by(version).signed(&consumer)).await;
            assert!(status.body().children.is_empty(), "nothing of its own was received since");
        }

        let pull = |node: &str| Message::pull("", node);
        let basic = |node: &str| node.replace("t:NodeID", "b:NodeID");
        let next = async |node: &str| {
            original(&world.hand_out(Version::V13, &pull(node), &consumer).await)
        };
        assert_eq!(next(&basic(two)).await, of_two);
        assert_eq!(next(&basic(one)).await, of_one);
        assert!(world.empty(Version::V13, &pull(&basic(one)), &consumer).await);
        assert_eq!(next("").await, common);
        assert_eq!(next("<b:NodeID/>").await, empty, "an empty node is none");
        assert!(world.empty(Version::V13, &pull("<b:NodeID>3</b:NodeID>"), &consumer).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_out_is_hidden_for_fifteen_minutes_and_either_confirmation_ends_it() {
    on_both(async |world| {
        let consumer = world.system("IS00001", KeyKind::P256).await;
        let provider = world.system("IS00002", KeyKind::P256).await;
        world.kind("Pupil", "IS00002", PUPIL, true).await;
        let first = ask(world, &consumer, "", &root(PUPIL, "PupilRequest")).await;
        let second = ask(world, &consumer, "", &root(PUPIL, "PupilRequest")).await;
        assert_eq!(take(world, "", &provider).await.as_ref(), Some(&first));
        let message: Uuid = first.parse().unwrap();
        let sql = "SELECT delivered_at, leased_until FROM mailbox_message WHERE message_id = $1";
        let row = world.db.query_one(sql, args![message]).await.unwrap().unwrap();
        let [from, to]: [DateTime<Utc>; 2] = [row.get(0).unwrap(), row.get(1).unwrap()];
        assert_eq!((to - from).num_seconds(), 15 * 60);
        assert_eq!(take(world, "", &provider).await.as_ref(), Some(&second), "hidden");
        assert_eq!(take(world, "", &provider).await, None);
        lapse(world, &first).await;
        let late = world.send(Message::ack(&first).signed(&provider)).await;
        assert_eq!(late.fault().local, "TargetMessageIsNotFound", "it went back");
        let again = world.hand_out(Version::V13, &Message::take(""), &provider).await;
        assert_eq!(again.id(), first, "at the head");

        // The receiver did not believe our signature: the message is ignored, and gone as well.
        let no = Message::confirm(&first, false).signed(&provider);
        assert_eq!(world.send(no).await.body().local, "AckResponse");
        let yes = Message::confirm(&second, true).signed(&provider);
        assert_eq!(world.send(yes).await.body().local, "AckResponse");
        for confirmed in [&first, &second] {
            let twice = world.send(Message::ack(confirmed).signed(&provider)).await;
            assert_eq!(twice.fault().local, "TargetMessageIsNotFound");
        }
        for (message, accepted) in [(&first, "NOT accepted"), (&second, "accepted")] {
            let sql = format!(
                "SELECT count(*) FROM mailbox_message WHERE {accepted} AND content IS NULL AND message_id = $1"
            );
            let message: Uuid = message.parse().unwrap();
            let row = world.db.query_one(&sql, args![message]).await.unwrap().unwrap();
            assert_eq!(row.get::<i64>(0).unwrap(), 1, "{accepted}");
        }
        assert_eq!(take(world, "", &provider).await, None);
        // Many confirm at once: a stranger's confirmation changes nothing, and one counts.
        let third = ask(world, &consumer, "", &root(PUPIL, "PupilRequest")).await;
        assert_eq!(take(world, "", &provider).await, Some(third.clone()));
        let senders = (0..16).map(|n| if n % 2 == 0 { &consumer } else { &provider });
        let sent = senders.map(|who| world.send(Message::ack(&third).signed(who)));
        let answers = futures_util::future::join_all(sent).await;
        let done: Vec<usize> =
            answers.iter().enumerate().filter(|(_, a)| a.status == 200).map(|(n, _)| n).collect();
        assert_eq!((done.len(), done[0] % 2), (1, 1), "{done:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_outlives_its_time_ends_with_a_word_of_the_exchange_to_who_asked() {
    on_both(async |world| {
        let consumer = world.system("IS00001", KeyKind::P256).await;
        let provider = world.system("IS00002", KeyKind::P256).await;
        world.kind("Pupil", "IS00002", PUPIL, true).await;
        let soon = Clock::System.now() + TimeDelta::minutes(1);
        let fields = format!("<t:NodeID>n</t:NodeID><t:EOL>{}</t:EOL>", soon.to_rfc3339());
        let mut asked = Vec::new();
        for version in Version::ALL {
            let (id, content) = (id(), root(PUPIL, "PupilRequest"));
            let message = Message::ask(&id, &fields, &content).by(version).signed(&consumer);
            world.send_by(version, message).await.body();
            asked.push(id);
        }
        // One is out, the others wait.
        let out = world.hand_out(Version::V13, &Message::take(""), &provider).await;
        assert_eq!(out.id(), asked[0]);
        let to = find(&out.body(), "ReplyTo").text.clone();
        let past = "UPDATE mailbox_request SET end_of_life = received_at";
        world.db.execute(past, vec![]).await.unwrap();
        let told = "SELECT count(*) FROM mailbox_message WHERE queue = 'response'";
        wait_until("late requests are given up", async || world.count(told).await == 3).await;

        assert_eq!(take(world, "", &provider).await, None);
        let answer = Message::answer(&id(), &to, &root(PUPIL, "PupilResponse")).signed(&provider);
        assert_eq!(world.send(answer).await.fault().local, "RecipientIsNotFound");
        let late = world.send(Message::ack(&asked[0]).signed(&provider)).await;
        assert_eq!(late.fault().local, "TargetMessageIsNotFound");
        let mut seen = Vec::new();
        for version in Version::ALL {
            let pull = Message::pull("", "<b:NodeID>n</b:NodeID>");
            let word = world.hand_out(version, &pull, &consumer).await;
            let body = word.body();
            let status = find(&body, "AsyncProcessingStatus");
            assert_eq!(find(status, "StatusCategory").text, "requestIsRejectedBySmev");
            let details = "Превышено время жизни сообщения.";
            assert_eq!(find(status, "StatusDetails").text, details);
            assert_eq!(find(find(status, "SmevFault"), "Description").text, details);
            assert!(try_find(&body, "MessagePrimaryContent").is_none());
            let inside = find(status, "OriginalMessageId").text.clone();
            assert_eq!(inside, original(&word));
            seen.push(inside);
            world.ack(version, &word, &consumer).await;
        }
        seen.sort();
        asked.sort();
        assert_eq!(seen, asked);
        let acts = "SELECT count(*) FROM audit WHERE action = 'federal.give-up'";
        assert_eq!(world.count(acts).await, 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_are_judged_by_kind_and_system_and_what_an_operator_changes_counts_within_a_second()
{
    on_both(async |world| {
        let consumer = world.system("IS00001", KeyKind::P256).await;
        let provider = world.system("IS00002", KeyKind::P256).await;
        let mute = describe(world, "IS00003", false, false).await;
        world.kind("Pupil", "IS00002", PUPIL, true).await;
        world.kind("Class", "IS00002", CLASS, false).await;
        let (pupil, class) = (root(PUPIL, "PupilRequest"), root(CLASS, "ClassRequest"));
        let fate = async |who: &Signer, content: &str| {
            let answered = world.send(Message::ask(&id(), "", content).signed(who)).await;
            if answered.status == 200 { "taken".to_owned() } else { answered.fault().local }
        };
        let question = by_snils("11223344595");
        assert_eq!(fate(&mute, &question).await, "AccessDenied");
        assert_eq!(fate(&mute, &pupil).await, "taken");
        assert_eq!(fate(&mute, &class).await, "AccessDenied");
        assert_eq!(fate(&consumer, &class).await, "AccessDenied");
        assert_eq!(world.count("SELECT count(*) FROM disclosure").await, 0);
        world.admin().grant_kind("Class", "IS00003").await.unwrap();
        world.admin().block_system("IS00001", true).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1100)).await;
        // The first call after a second reads anew.
        world.send(Message::status().signed(&provider)).await.body();
        assert_eq!(fate(&mute, &class).await, "taken");
        assert_eq!(fate(&consumer, &question).await, "AccessDenied");
        let closed = world.send(Message::pull("", "").signed(&consumer)).await;
        assert_eq!(closed.fault().local, "SenderIsNotRegistered");
        world.admin().block_system("IS00001", false).await.unwrap();
        world.admin().block_system("IS00002", true).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1100)).await;
        world.send(Message::status().signed(&consumer)).await.body();
        assert_eq!(fate(&consumer, &question).await, "taken");
        assert_eq!(fate(&consumer, &pupil).await, "RecipientIsNotFound", "who answers is blocked");
        // Who has just been registered is known at once, and by name.
        let fresh = world.system("IS00009", KeyKind::P256).await;
        let own = world.system("IS00010", KeyKind::P256).await;
        world.kind("New", "IS00010", "urn:example:new", true).await;
        assert_eq!(fate(&fresh, &root("urn:example:new", "NewRequest")).await, "taken");
        let request = world.hand_out(Version::V11, &Message::take(""), &own).await;
        let body = request.body();
        assert_eq!(find(find(&body, "Sender"), "Mnemonic").text, "IS00009");
        assert!(try_find(&body, "SenderInformationSystemSignature").is_none());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_nodes_that_a_system_invents_so_many_are_noted_and_for_a_month() {
    on_both(async |world| {
        let inventor = world.system("IS00001", KeyKind::P256).await;
        let other = world.system("IS00002", KeyKind::P256).await;
        let noted = "SELECT count(*) FROM mailbox_poll";
        let poll = async |who: &Signer, node: &str| {
            let node = format!("<b:NodeID>{node}</b:NodeID>");
            world.send(Message::pull("", &node).signed(who)).await.body();
        };
        poll(&inventor, "первый").await;
        assert_eq!(world.count(noted).await, 1);
        let now = Clock::System.now();
        let mut tx = world.db.begin().await.unwrap();
        for number in 1..NODES {
            let at = now - TimeDelta::days(if number % 2 == 0 { 1 } else { 31 });
            let sql = "INSERT INTO mailbox_poll SELECT id, 'response', $1, $2 FROM federal_system \
                WHERE mnemonic = 'IS00001'";
            tx.execute(sql, args![format!("узел {number}"), at]).await.unwrap();
        }
        tx.commit().await.unwrap();
        let most = i64::try_from(NODES).unwrap();
        poll(&inventor, "ещё один").await;
        assert_eq!(world.count(noted).await, most);
        poll(&inventor, "узел 2").await;
        let again = format!("{noted} WHERE node_id = 'узел 2' AND polled_at > $1");
        let row = world.db.query_one(&again, args![now - TimeDelta::hours(1)]).await.unwrap();
        assert_eq!(row.unwrap().get::<i64>(0).unwrap(), 1, "a known node is noted again");
        poll(&inventor, "").await;
        poll(&other, "узел 1").await;
        assert_eq!(world.count(noted).await, most + 2, "common queues and others have room");

        let mut tx = world.db.begin().await.unwrap();
        assert_eq!(mailbox::forget_polls(&mut tx).await.unwrap(), NODES as u64 / 2);
        tx.commit().await.unwrap();
        poll(&inventor, "ещё два").await;
        assert_eq!(world.count(noted).await, most / 2 + 3, "what is forgotten makes room");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_over_its_quarter_of_a_providers_queue_is_refused_and_another_is_not() {
    let world = World::start(Flavour::Embedded).await;
    let [greedy, other, provider] = ["IS00001", "IS00003", "IS00002"];
    let (greedy, other) =
        (world.system(greedy, KeyKind::P256).await, world.system(other, KeyKind::P256).await);
    world.system(provider, KeyKind::P256).await;
    world.kind("Pupil", provider, "urn:example:pupil", true).await;
    let ask = async |who: &Signer| {
        let content = "<PupilRequest xmlns='urn:example:pupil'/>";
        world.send(Message::ask(&new_id().to_string(), "", content).signed(who)).await
    };
    ask(&greedy).await.body();
    // All but one of its quarter of 10,000: with the next one it is full.
    let fill = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2498) \
        INSERT INTO mailbox_message (message_id, queue, system_id, node_id, request_id, message_type, \
        priority, version, content_sha256, attachments, queued_at, sequence, deliveries, sender_id) \
        SELECT randomblob(16), queue, system_id, node_id, request_id, message_type, priority, version, \
        content_sha256, attachments, queued_at, sequence, deliveries, sender_id FROM n, mailbox_message";
    world.db.execute(fill, vec![]).await.unwrap();
    ask(&greedy).await.body();
    let refused = ask(&greedy).await.fault();
    assert_eq!(refused.local, "DestinationOverflow");
    assert!(find(&refused, "Description").text.starts_with("SMEV-600:"), "{refused:?}");
    ask(&other).await.body();
    let one = "UPDATE mailbox_message SET acknowledged_at = queued_at WHERE message_id = \
        (SELECT message_id FROM mailbox_message WHERE sender_id = \
        (SELECT id FROM federal_system WHERE mnemonic = 'IS00001') LIMIT 1)";
    world.db.execute(one, vec![]).await.unwrap();
    ask(&greedy).await.body();
    assert_eq!(ask(&greedy).await.fault().local, "DestinationOverflow");
    world.finish_without_answers().await;
}
