//! A broker that goes away and comes back, and what passes through it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kontingent::broker::{Doorbell, Rabbit};
use kontingent::model::package::State;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::invariants::assert_at_rest;
use crate::stack::{Flavour, Stack, header, package, persons, required};

/// A TCP proxy that can be cut, and remembers what clients sent.
struct Proxy {
    url: String,
    open: Arc<AtomicBool>,
    cut: Mutex<CancellationToken>,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl Proxy {
    async fn start(broker_url: &str) -> Arc<Self> {
        let address = broker_url.rsplit_once('@').unwrap().1.split('/').next().unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().to_string();
        let proxy = Arc::new(Self {
            url: broker_url.replace(&address, &own),
            open: Arc::new(AtomicBool::new(true)),
            cut: Mutex::new(CancellationToken::new()),
            sent: Arc::default(),
        });
        let shared = Arc::clone(&proxy);
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                if !shared.open.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&address).await else { continue };
                let cut = shared.cut.lock().unwrap().clone();
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                let sent = Some(Arc::clone(&shared.sent));
                tokio::spawn(carry(from_client, to_server, cut.clone(), sent));
                tokio::spawn(carry(from_server, to_client, cut, None));
            }
        });
        proxy
    }

    fn stop(&self) {
        self.open.store(false, Ordering::SeqCst);
        self.cut.lock().unwrap().cancel();
    }

    fn resume(&self) {
        *self.cut.lock().unwrap() = CancellationToken::new();
        self.open.store(true, Ordering::SeqCst);
    }
}

async fn carry(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    cut: CancellationToken,
    keep: Option<Arc<Mutex<Vec<u8>>>>,
) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = tokio::select! {
            () = cut.cancelled() => return,
            read = from.read(&mut buffer) => read,
        };
        let Ok(count @ 1..) = read else { return };
        if let Some(keep) = &keep {
            keep.lock().unwrap().extend_from_slice(&buffer[..count]);
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packages_are_accepted_without_a_broker_and_processed_when_it_is_back() {
    let broker = required("KONTINGENT_TEST_BROKER_URL");
    let proxy = Proxy::start(&broker).await;
    let prefix = format!("test-{}", Uuid::new_v4().simple());
    let doorbell = Doorbell::Rabbit(Rabbit::new(&proxy.url, &prefix).unwrap());
    let stack = Stack::start_with(Flavour::Production, doorbell, |_| {}).await;
    stack.work();
    let mut numbers = Vec::new();
    for n in 0..60 {
        match n {
            15 => proxy.stop(),
            30 => proxy.resume(),
            // Cut in the middle of whatever is under way, the broker staying up.
            40 | 45 | 50 => {
                proxy.stop();
                proxy.resume();
            }
            _ => {}
        }
        let supplier = &stack.suppliers[n % 3];
        let document = package(supplier, header(supplier), &persons(n * 10, 10));
        numbers.push(stack.deliver(&document).await.unwrap().number);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for number in numbers {
        stack.until(number, State::Registered).await;
    }
    assert_at_rest(stack.exchange.db(), 60).await;
    let sent = proxy.sent.lock().unwrap().clone();
    for secret in ["Иванов", "<Person", "DIARY0001", "p-1"] {
        let found = sent.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{secret} went through the broker");
    }
    assert!(sent.windows(9).any(|window| window == br#""tasks":["#), "ids did");
    stack.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_new_and_empty_broker_never_heard_of_is_rung_again() {
    let broker = required("KONTINGENT_TEST_BROKER_URL");
    let prefix = format!("test-{}", Uuid::new_v4().simple());
    let rabbit = Rabbit::new(&broker, &prefix).unwrap();
    let doorbell = Doorbell::Rabbit(rabbit.clone());
    let stack = Stack::start_with(Flavour::Production, doorbell, |_| {}).await;
    let supplier = &stack.suppliers[0];
    let document = package(supplier, header(supplier), &persons(0, 10));
    let number = stack.deliver(&document).await.unwrap().number;
    let partition = kontingent::broker::partition(&supplier.mnemonic);
    while rabbit.depth(partition).await != Some(1) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let connection = rabbit.connect().await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let queue = rabbit.names().queue(partition);
    channel.queue_delete(queue, lapin::options::QueueDeleteOptions::default()).await.unwrap();
    stack.work();
    stack.until(number, State::Registered).await;
    assert_at_rest(stack.exchange.db(), 1).await;
    stack.end().await;
}
