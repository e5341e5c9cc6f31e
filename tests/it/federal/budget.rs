//! What large messages cost before anybody knows who sent them, and that the largest one arrives.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use kontingent::codec::smev3::{MESSAGE_BYTES, Version};
use kontingent::codec::xml;
use kontingent::config::Config;
use kontingent::exchange::adapter::Link;
use kontingent::model::clock::Clock;
use kontingent::trust::authority::KeyKind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::cast::{Cast, NAMESPACE, id};
use super::message::{File, Message, by_snils, new_id};
use super::world::{World, find};
use crate::stack::Flavour;

const MIB: usize = 1 << 20;

/// A body of 1 MiB of which the last byte is missing, in one part or in several.
async fn half_sent(world: &World, related: bool) -> TcpStream {
    let (kind, begin) = if related {
        (
            "multipart/related; type=\"application/xop+xml\"; boundary=B",
            "--B\r\nContent-Type: application/xop+xml\r\n\r\n<a>",
        )
    } else {
        ("text/xml", "<a>")
    };
    let address = world.address();
    let host = address.strip_prefix("http://").unwrap();
    let head = format!(
        "POST /ws/smev/1.3 HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\n\
         Content-Length: {MIB}\r\n\r\n{begin}"
    );
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; MIB - begin.len() - 1]).await.unwrap();
    stream
}

/// The answer, if it comes in this time.
async fn answer(stream: &mut TcpStream, within: u64) -> Option<String> {
    let mut told = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(within), stream.read(&mut told));
    let length = read.await.ok()?.unwrap();
    Some(String::from_utf8_lossy(&told[..length]).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn half_sent_messages_hold_no_more_than_the_budget_and_small_ones_get_in() {
    let little = |config: &mut Config| config.limits.message_bytes = 8 * MIB;
    let world = World::start_with(Flavour::Embedded, Clock::System, little).await;
    let caller = world.system("FNS00001", KeyKind::P256).await;
    let mut streams = join_all((0..32).map(|number| half_sent(&world, number % 2 == 0))).await;
    let told = join_all(streams.iter_mut().map(|stream| answer(stream, 3))).await;
    let mut held = Vec::new();
    for (stream, told) in streams.into_iter().zip(told) {
        let Some(told) = told else {
            held.push(stream);
            continue;
        };
        assert!(told.starts_with("HTTP/1.1 429"), "{told}");
        assert!(told.contains("retry-after: 5\r\n"), "{told}");
    }
    // All of one address, which holds no more than half.
    assert!((1..=4).contains(&held.len()), "{} are held", held.len());

    let ask = || Message::ask(&new_id().to_string(), "", &by_snils("11223344595"));
    world.send(ask().signed(&caller)).await.body();
    let file = [File::new("_1", &vec![7; 5 * MIB / 2], &caller)];
    let large = ask().with(&file).signed(&caller);
    assert_eq!(world.send(large.clone()).await.status, 429);

    // What is under way goes on to its end, and who stops in the middle is cut off.
    let mut first = held.remove(0);
    first.write_all(b"x").await.unwrap();
    assert!(answer(&mut first, 5).await.unwrap().starts_with("HTTP/1.1 400"));
    for told in join_all(held.iter_mut().map(|stream| answer(stream, 20))).await {
        assert!(told.unwrap().starts_with("HTTP/1.1 408"));
    }
    world.send(large).await.body();
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_message_that_is_taken_is_handed_out_to_our_own_adapter() {
    let world = World::start(Flavour::Embedded).await;
    let cast = Cast::gather(&world).await;
    let of = |bytes: usize| {
        let text = "x".repeat(bytes);
        let content = format!("<PupilRequest xmlns='{NAMESPACE}'>{text}</PupilRequest>");
        Message::ask(&id(), "", &content).signed(&cast.consumer)
    };
    let most = usize::try_from(MESSAGE_BYTES).unwrap();
    let around = of(0).len();
    assert_eq!(world.send(of(most - around + 1)).await.status, 413);
    let largest = of(most - around);
    assert_eq!(largest.len(), most);
    world.send(largest).await.body();
    // The same of elements.
    let of = |elements: usize| {
        let inside = "<x/>".repeat(elements);
        let content = format!("<PupilRequest xmlns='{NAMESPACE}'>{inside}</PupilRequest>");
        Message::ask(&id(), "", &content).signed(&cast.consumer)
    };
    let most_elements = xml::Limits::default().tree_elements;
    let elements = |message: String| message.matches('<').count() - message.matches("</").count();
    // Envelope, Header, Body and operation are not counted, and what stands empty with an end tag is.
    let around = elements(of(0)) - 4;
    let refused = world.send(of(most_elements - around + 1)).await.soap_fault();
    assert_eq!(find(&refused, "faultcode").text, "soap:Client");
    world.send(of(most_elements - around)).await.body();
    let (client, url) = (reqwest::Client::new(), world.url(Version::V13));
    let link = Link::new(client, url, Version::V13, Arc::new(cast.provider.clone()));
    let mut lengths = Vec::new();
    for _ in 0..2 {
        let call = Message::take("").signed(&cast.provider).into_bytes();
        let handed = link.send("GetRequest", call).await.unwrap();
        lengths.push(handed.document.len());
        assert_eq!(handed.body.unwrap().children[0].local, "RequestMessage");
    }
    assert!(lengths[0] > most);
    world.finish_without_answers().await;
}
