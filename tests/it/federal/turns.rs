//! Long messages take turns at the door; small ones do not wait for them.

use std::sync::Arc;

use kontingent::codec::smev3::Participant;
use kontingent::exchange::desk::Desk;
use kontingent::exchange::seal::Seal;
use kontingent::federal::{Settings, router};
use kontingent::http::serve::serve;
use kontingent::trust::authority::KeyKind;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::message::{Message, by_snils, new_id};
use super::world::World;
use crate::stack::Flavour;

/// One more door of the world's, with so many turns; its address.
async fn door(world: &World, turns: usize, stop: &CancellationToken) -> String {
    let exchange = world.exchange();
    let own = Participant { mnemonic: "KONTINGENT".to_owned(), name: "Регион".to_owned() };
    let desk = Desk::new(exchange, Seal::new(Arc::clone(exchange.signer()), own)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let settings = Settings { turns, ..Settings::default() };
    let limits = settings.limits;
    tokio::spawn(serve(listener, None, router(desk, settings), limits, stop.clone()));
    format!("http://{address}/ws/smev/1.3")
}

async fn post(url: String, message: String) -> u16 {
    let request =
        reqwest::Client::new().post(url).header("content-type", "text/xml; charset=utf-8");
    request.body(message).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_message_waits_for_its_turn_and_a_small_one_for_nobody() {
    let world = World::start(Flavour::Embedded).await;
    let consumer = world.system("IS00001", KeyKind::P256).await;
    world.system("IS00002", KeyKind::P256).await;
    world.kind("Pupil", "IS00002", "urn:example:pupil", true).await;
    let long = || {
        let content = format!(
            "<PupilRequest xmlns='urn:example:pupil'>{}</PupilRequest>",
            "я".repeat(200_000)
        );
        Message::ask(&new_id().to_string(), "", &content).signed(&consumer)
    };
    let stop = CancellationToken::new();
    // No turn comes: whatever is long waits for ever, as it does while another one is judged.
    let shut = door(&world, 0, &stop).await;
    let waiting = tokio::spawn(post(shut.clone(), long()));
    for _ in 0..20 {
        let small = Message::ask(&new_id().to_string(), "", &by_snils("11223344595"));
        assert_eq!(post(shut.clone(), small.signed(&consumer)).await, 200);
    }
    assert!(!waiting.is_finished(), "it has no turn");
    let taken = "SELECT count(*) FROM mailbox_request WHERE root_element = 'PupilRequest'";
    assert_eq!(world.count(taken).await, 0);
    waiting.abort();
    // One after the other they all get through.
    let open = door(&world, 1, &stop).await;
    let sent = (0..3).map(|_| post(open.clone(), long()));
    assert_eq!(futures_util::future::join_all(sent).await, [200; 3]);
    assert_eq!(world.count(taken).await, 3);
    stop.cancel();
    world.finish_without_answers().await;
}
