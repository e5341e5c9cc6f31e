//! What comes at the same instant: a status with the last answer, a request with an answer of the same id,
//! a call with another that is taking what waits.

use std::time::Duration;

use kontingent::args;
use kontingent::codec::smev3::Version;
use kontingent::trust::authority::KeyKind;
use uuid::Uuid;

use super::message::{Message, by_snils};
use super::queues::{PUPIL, ask, id, lapse, root, take};
use super::world::{World, find, on_both, try_find};
use crate::stack::Flavour;

/// Statuses and the last answer to one request, all sent at the same time.
#[tokio::test(flavor = "multi_thread")]
async fn a_status_sent_with_the_last_answer_comes_before_it_or_not_at_all() {
    on_both(async |world| {
        let consumer = world.system("IS00001", KeyKind::P256).await;
        let provider = world.system("IS00002", KeyKind::P256).await;
        world.kind("Pupil", "IS00002", PUPIL, true).await;
        let (mut before, mut late) = (0, 0);
        for round in 0..12 {
            ask(world, &consumer, "", &root(PUPIL, "PupilRequest")).await;
            let request = world.hand_out(Version::V13, &Message::take(""), &provider).await;
            let to = find(&request.body(), "ReplyTo").text.clone();
            world.ack(Version::V13, &request, &provider).await;
            let mut messages: Vec<Message> =
                (0..6).map(|_| Message::progress(&id(), &to)).collect();
            let last = Message::answer(&id(), &to, &root(PUPIL, "PupilResponse"));
            messages.insert(round % 6, last);
            let sent = messages.iter().map(|message| world.send(message.signed(&provider)));
            let answers = futures_util::future::join_all(sent).await;
            let refused = answers.iter().filter(|answered| answered.status != 200);
            late +=
                refused.map(|told| assert_eq!(told.fault().local, "RecipientIsNotFound")).count();
            let taken = answers.iter().filter(|answered| answered.status == 200).count();
            for place in 1..=taken {
                let got = world.hand_out(Version::V13, &Message::pull("", ""), &consumer).await;
                let content = try_find(&got.body(), "MessagePrimaryContent").is_some();
                assert_eq!(content, place == taken, "round {round}: {place} of {taken}");
                world.ack(Version::V13, &got, &consumer).await;
            }
            before += taken - 1;
            assert!(world.empty(Version::V13, &Message::pull("", ""), &consumer).await);
        }
        assert!(before > 0 && late > 0, "{before} before, {late} late: nothing raced");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_and_an_answer_of_one_id_at_the_same_time_are_one_taken_and_one_sent_already() {
    on_both(async |world| {
        let consumer = world.system("IS00001", KeyKind::P256).await;
        let provider = world.system("IS00002", KeyKind::P256).await;
        world.kind("Pupil", "IS00002", PUPIL, true).await;
        let (mut requests, mut answers) = (0, 0);
        for round in 0..24 {
            ask(world, &consumer, "", &root(PUPIL, "PupilRequest")).await;
            let open = world.hand_out(Version::V13, &Message::take(""), &provider).await;
            let to = find(&open.body(), "ReplyTo").text.clone();
            world.ack(Version::V13, &open, &provider).await;
            // Every other one of ours, which is answered under another id.
            let (both, own) = (id(), by_snils("11223344595"));
            let content = if round % 2 == 0 { root(PUPIL, "PupilRequest") } else { own };
            let request = Message::ask(&both, "", &content).signed(&consumer);
            let answer =
                Message::answer(&both, &to, &root(PUPIL, "PupilResponse")).signed(&provider);
            // Whichever is slower to be judged begins.
            let pause = Duration::from_micros(700 * (round % 6));
            let (request, answer) = tokio::join!(
                async {
                    if round % 4 < 2 {
                        tokio::time::sleep(pause).await;
                    }
                    world.send(request).await
                },
                async {
                    if round % 4 >= 2 {
                        tokio::time::sleep(pause).await;
                    }
                    world.send(answer).await
                },
            );
            let (taken, refused) =
                if request.status == 200 { (&request, &answer) } else { (&answer, &request) };
            taken.body();
            assert_eq!(refused.fault().local, "MessageIsAlreadySent", "round {round}");
            requests += usize::from(request.status == 200);
            answers += usize::from(answer.status == 200);
            let wanted: Uuid = both.parse().unwrap();
            let count = async |table: &str| {
                let sql = format!("SELECT count(*) FROM {table} WHERE message_id = $1");
                let row = world.db.query_one(&sql, args![wanted]).await.unwrap().unwrap();
                row.get::<i64>(0).unwrap()
            };
            let [asked, waits] = [count("mailbox_request").await, count("mailbox_message").await];
            match (request.status == 200, round % 2 == 0) {
                (true, true) => assert_eq!((asked, waits), (1, 1), "it waits for its provider"),
                (true, false) => assert_eq!((asked, waits), (1, 0), "it is answered"),
                (false, _) => assert_eq!((asked, waits), (0, 1), "it is an answer"),
            }
        }
        assert!(requests > 0 && answers > 0, "{requests} requests, {answers} answers");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_finds_what_another_call_has_begun_to_take_and_left() {
    // On SQLite calls take turns.
    let world = World::start(Flavour::Production).await;
    let consumer = world.system("IS00001", KeyKind::P256).await;
    let provider = world.system("IS00002", KeyKind::P256).await;
    world.kind("Pupil", "IS00002", PUPIL, true).await;
    let asked = ask(&world, &consumer, "", &root(PUPIL, "PupilRequest")).await;
    let begin = async || {
        let mut tx = world.db.begin().await.unwrap();
        let sql = "SELECT message_id FROM mailbox_message WHERE message_id = $1 FOR UPDATE";
        tx.query_one(sql, args![asked.parse::<Uuid>().unwrap()]).await.unwrap().unwrap();
        tx
    };
    // Another process has begun to take it, and dies.
    let other = begin().await;
    let (taken, ()) = tokio::join!(take(&world, "", &provider), async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        drop(other);
    });
    assert_eq!(taken.as_ref(), Some(&asked));
    // It takes it: nothing waits.
    lapse(&world, &asked).await;
    let mut other = begin().await;
    let (taken, ()) = tokio::join!(take(&world, "", &provider), async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        let sql = "UPDATE mailbox_message SET leased_until = now() + interval '1 hour' \
            WHERE message_id = $1";
        other.execute(sql, args![asked.parse::<Uuid>().unwrap()]).await.unwrap();
        other.commit().await.unwrap();
    });
    assert_eq!(taken, None);
    // It does neither: that is not an empty queue.
    lapse(&world, &asked).await;
    let other = begin().await;
    let answered = world.send(Message::take("").signed(&provider)).await;
    assert_eq!(answered.fault().local, "SMEVFailure");
    drop(other);
    // Many call for as many messages: each gets one, and only then the queue is empty.
    let mut wanted = vec![asked];
    for _ in 0..24 {
        wanted.push(ask(&world, &consumer, "", &root(PUPIL, "PupilRequest")).await);
    }
    let calls = (0..wanted.len()).map(|_| take(&world, "", &provider));
    let mut taken: Vec<_> = futures_util::future::join_all(calls).await;
    taken.sort();
    wanted.sort();
    assert_eq!(taken, wanted.into_iter().map(Some).collect::<Vec<_>>());
    assert_eq!(take(&world, "", &provider).await, None);
    world.finish().await;
}
