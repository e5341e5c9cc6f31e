//! What becomes of messages after they were taken: GetStatus tells who listens that they have reached their
//! receivers, GetResponse tells of what was refused later.

use std::time::Duration;

use chrono::TimeDelta;
use kontingent::args;
use kontingent::codec::smev3::Version;
use kontingent::model::clock::Clock;
use kontingent::trust::Signer;
use kontingent::trust::authority::KeyKind;

use super::message::{Message, by_snils};
use super::queues::{PUPIL, id, root};
use super::world::{Answered, World, find, on_both, try_find, worth};
use crate::harness::wait_until;

/// The state that GetStatus tells next, by the message that it is about; nothing when there is none.
async fn state(world: &World, version: Version, who: &Signer) -> Option<(String, String)> {
    let answered = world.send_by(version, Message::status().by(version).signed(who)).await;
    let body = answered.body();
    let status = try_find(&body, "AsyncProcessingStatus")?;
    let worth = worth([&answered]).remove(0);
    assert_eq!(worth["SMEVSignature"]["valid"], true, "{worth}");
    assert!(try_find(status, "SmevFault").is_none());
    let text = |name| find(status, name).text.clone();
    Some((text("OriginalMessageId"), text("StatusCategory")))
}

async fn ack(world: &World, version: Version, message: &str, who: &Signer) -> Answered {
    world.send_by(version, Message::ack(message).by(version).signed(who)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_calls_for_states_is_told_once_which_messages_have_reached_their_receivers() {
    on_both(async |world| {
        let consumer = world.system("IS00001", KeyKind::P256).await;
        let provider = world.system("IS00002", KeyKind::P256).await;
        world.kind("Pupil", "IS00002", PUPIL, true).await;
        let ask = async |version: Version| {
            let asked = id();
            let ask = Message::ask(&asked, "", &root(PUPIL, "PupilRequest")).by(version);
            world.send_by(version, ask.signed(&consumer)).await.body();
            let request = world.hand_out(version, &Message::take(""), &provider).await;
            (asked, request)
        };
        // Nobody listens: nothing is kept for them.
        let (_, request) = ask(Version::V13).await;
        world.ack(Version::V13, &request, &provider).await;
        assert_eq!(world.count("SELECT count(*) FROM mailbox_status").await, 0);
        for who in [&consumer, &provider] {
            assert_eq!(state(world, Version::V13, who).await, None, "from now on");
        }
        let words = [
            (Version::V11, "underProcessing", "responseIsDelivered"),
            (Version::V12, "messageIsDelivered", "messageIsDelivered"),
            (Version::V13, "messageIsDelivered", "messageIsDelivered"),
        ];
        for (version, taken, delivered) in words {
            let (asked, request) = ask(version).await;
            assert_eq!(state(world, version, &consumer).await, None, "it is out");
            world.ack(version, &request, &provider).await;
            assert_eq!(state(world, version, &provider).await, None, "it has sent nothing yet");
            let told = state(world, version, &consumer).await;
            assert_eq!(told, Some((asked.clone(), taken.to_owned())));
            assert_eq!(state(world, version, &consumer).await, None, "hidden while it is out");
            let lapse = "UPDATE mailbox_status SET leased_until = queued_at";
            world.db.execute(lapse, vec![]).await.unwrap();
            let late = ack(world, version, &asked, &consumer).await;
            assert_eq!(late.fault().local, "TargetMessageIsNotFound", "it went back");
            assert_eq!(state(world, version, &consumer).await, told, "and comes again");
            let stranger = ack(world, version, &asked, &provider).await;
            assert_eq!(stranger.fault().local, "TargetMessageIsNotFound");
            assert_eq!(ack(world, version, &asked, &consumer).await.body().local, "AckResponse");
            let twice = ack(world, version, &asked, &consumer).await;
            assert_eq!(twice.fault().local, "TargetMessageIsNotFound");

            let (to, answer) = (find(&request.body(), "ReplyTo").text.clone(), id());
            let message = Message::answer(&answer, &to, &root(PUPIL, "PupilResponse")).by(version);
            world.send_by(version, message.signed(&provider)).await.body();
            let response = world.hand_out(version, &Message::pull("", ""), &consumer).await;
            world.ack(version, &response, &consumer).await;
            let told = state(world, version, &provider).await;
            assert_eq!(told, Some((answer.clone(), delivered.to_owned())));
            assert_eq!(ack(world, version, &answer, &provider).await.body().local, "AckResponse");
            assert_eq!(state(world, version, &consumer).await, None);
        }
        // What we answer ourselves has no other receiver; what a receiver refuses was not received.
        let own = Message::ask(&id(), "", &by_snils("11223344595")).signed(&consumer);
        world.send(own).await.body();
        let (asked, _) = ask(Version::V13).await;
        world.send(Message::confirm(&asked, false).signed(&provider)).await.body();
        assert_eq!(state(world, Version::V13, &consumer).await, None);
        // After a day without a call nobody listens any more.
        let past = Clock::System.now() - TimeDelta::days(2);
        let sql = "UPDATE mailbox_poll SET polled_at = $1 WHERE queue = 'status'";
        world.db.execute(sql, args![past]).await.unwrap();
        let (_, request) = ask(Version::V13).await;
        world.ack(Version::V13, &request, &provider).await;
        assert_eq!(world.count("SELECT count(*) FROM mailbox_status").await, 0);
    })
    .await;
}

/// An answer that is taken in this version and waits; its id and that of its request.
async fn answered(
    world: &World,
    version: Version,
    (consumer, provider): (&Signer, &Signer),
    fields: &str,
) -> (String, String) {
    let (asked, answer) = (id(), id());
    let ask = Message::ask(&asked, fields, &root(PUPIL, "PupilRequest")).by(version);
    world.send_by(version, ask.signed(consumer)).await.body();
    let request = world.hand_out(version, &Message::take(""), provider).await;
    world.ack(version, &request, provider).await;
    let to = find(&request.body(), "ReplyTo").text.clone();
    for message in [
        Message::progress(&id(), &to),
        Message::answer(&answer, &to, &root(PUPIL, "PupilResponse")),
    ] {
        world.send_by(version, message.by(version).signed(provider)).await.body();
    }
    (asked, answer)
}

/// What GetResponse tells of a message that was refused later: the message, its state, the fault.
async fn word(world: &World, version: Version, who: &Signer) -> [String; 3] {
    let got = world.hand_out(version, &Message::pull("", ""), who).await;
    let body = got.body();
    let status = find(&body, "AsyncProcessingStatus");
    let fault = find(find(status, "SmevFault"), "Code").text.clone();
    world.ack(version, &got, who).await;
    let text = |name| find(status, name).text.clone();
    [text("OriginalMessageId"), text("StatusCategory"), fault]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_will_pull_is_taken_back_and_both_sides_are_told() {
    on_both(async |world| {
        let consumer = world.system("IS00001", KeyKind::P256).await;
        let provider = world.system("IS00002", KeyKind::P256).await;
        let leaving = world.system("IS00003", KeyKind::P256).await;
        world.kind("Pupil", "IS00002", PUPIL, true).await;
        let soon = Clock::System.now() + TimeDelta::minutes(9);
        let fields = format!("<t:EOL>{}</t:EOL>", soon.to_rfc3339());
        let both = (&consumer, &provider);
        let mut lost = Vec::new();
        for version in Version::ALL {
            lost.push(answered(world, version, both, &fields).await);
        }
        // One without an end, and one that is out when its end comes: these stay.
        let (_, stays) = answered(world, Version::V13, both, "").await;
        let past =
            "UPDATE mailbox_request SET end_of_life = received_at WHERE end_of_life IS NOT NULL";
        world.db.execute(past, vec![]).await.unwrap();
        let acts = "SELECT count(*) FROM audit WHERE action = 'federal.take-back'";
        wait_until("answers are taken back", async || world.count(acts).await == 3).await;
        for (version, (asked, answer)) in Version::ALL.into_iter().zip(&lost) {
            let old = version == Version::V11;
            let category = if old { "requestIsRejectedBySmev" } else { "responseIsRejectedBySmev" };
            let late = "EndOfLifeReached".to_owned();
            let told = word(world, version, &provider).await;
            assert_eq!(told, [answer.clone(), category.to_owned(), late.clone()]);
            // What waits first is what was not lost: it was put there before the words.
            if old {
                for content in ["RequestStatus", "MessagePrimaryContent"] {
                    let got = world.hand_out(version, &Message::pull("", ""), &consumer).await;
                    assert!(try_find(&got.body(), content).is_some());
                    assert_eq!(content == "RequestStatus", got.id() != stays);
                    world.ack(version, &got, &consumer).await;
                }
            }
            let told = word(world, version, &consumer).await;
            assert_eq!(told, [asked.clone(), "requestIsRejectedBySmev".to_owned(), late]);
        }
        for who in [&provider, &consumer] {
            assert!(world.empty(Version::V13, &Message::pull("", ""), who).await);
        }

        // Who asked is shut out: for a day that may be mended. Told in another version than it was sent in.
        let (asked, answer) = answered(world, Version::V12, (&leaving, &provider), "").await;
        world.admin().block_system("IS00003", true).await.unwrap();
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(world.count(acts).await, 3);
        let sql = "UPDATE mailbox_message SET queued_at = $1 WHERE acknowledged_at IS NULL";
        let past = Clock::System.now() - TimeDelta::days(2);
        world.db.execute(sql, args![past]).await.unwrap();
        wait_until("it is taken back", async || world.count(acts).await == 4).await;
        let told = word(world, Version::V11, &provider).await;
        let category = "requestIsRejectedBySmev".to_owned();
        assert_eq!(told, [answer, category.clone(), "RecipientIsNotFound".to_owned()]);
        world.admin().block_system("IS00003", false).await.unwrap();
        let told = loop {
            // Within a second it is let in again.
            let pull = Message::pull("", "").signed(&leaving);
            if world.send(pull).await.status == 200 {
                break word_that_is_out(world, &leaving).await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        assert_eq!(told, [asked, category, "EndOfLifeReached".to_owned()]);
    })
    .await;
}

/// The same when it has been handed out, and not confirmed.
async fn word_that_is_out(world: &World, who: &Signer) -> [String; 3] {
    let sql = "UPDATE mailbox_message SET leased_until = queued_at WHERE acknowledged_at IS NULL";
    world.db.execute(sql, vec![]).await.unwrap();
    word(world, Version::V13, who).await
}
