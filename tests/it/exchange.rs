//! Accepting: receipts, repetitions, refusals, and what is durable after each.

use kontingent::model::package::State;
use kontingent::model::refusal::RefusalCode;
use kontingent::storage::audit::{self, Chain};
use kontingent::worker;

use crate::stack::{Stack, flavours, header, package, persons};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_bytes_get_the_same_receipt_and_other_bytes_are_refused() {
    for flavour in flavours() {
        let stack = Stack::start(flavour).await;
        let supplier = &stack.suppliers[0];
        let header = header(supplier);
        let document = package(supplier, header.clone(), &persons(0, 10));
        let first = stack.deliver(&document).await.unwrap();
        assert!(!first.duplicate);
        let again = stack.deliver(&document).await.unwrap();
        assert!(again.duplicate && again.receipt == first.receipt && again.number == first.number);
        let other = package(supplier, header, &persons(0, 11));
        let refusal = stack.deliver(&other).await.unwrap_err();
        assert_eq!(refusal.code, RefusalCode::IdReused);
        let chain = audit::verify(stack.exchange.db()).await.unwrap();
        assert_eq!(chain, Chain::Intact(1), "{flavour:?}");
        stack.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_deliveries_of_one_package_make_one_package() {
    for flavour in flavours() {
        let stack = Stack::start(flavour).await;
        let supplier = &stack.suppliers[1];
        let document = package(supplier, header(supplier), &persons(0, 3));
        let deliveries = (0..16).map(|_| stack.deliver(&document));
        let accepted = futures_util::future::join_all(deliveries).await;
        let accepted: Vec<_> = accepted.into_iter().map(Result::unwrap).collect();
        assert_eq!(accepted.iter().filter(|one| !one.duplicate).count(), 1);
        assert!(accepted.iter().all(|one| one.receipt == accepted[0].receipt));
        stack.end().await;
    }
}

/// The package in windows-1251 or, without a name, in UTF-16: its canonical form stays what was signed.
fn encoded(document: &[u8], name: Option<&str>) -> Vec<u8> {
    let text = String::from_utf8(document.to_vec()).unwrap();
    let declared = text.replacen("UTF-8", name.unwrap_or("UTF-16"), 1);
    assert_ne!(text, declared);
    match name {
        Some(_) => encoding_rs::WINDOWS_1251.encode(&declared).0.into_owned(),
        None => {
            [0xFEFF].into_iter().chain(declared.encode_utf16()).flat_map(u16::to_le_bytes).collect()
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packages_in_other_encodings_are_taken_from_those_who_may_send_them() {
    let stack = Stack::start(flavours()[0]).await;
    let worker = worker::run(stack.exchange.clone(), stack.stop.clone());
    stack.tracker.spawn(worker);
    let (may, may_not) = (&stack.suppliers[0], &stack.suppliers[1]);
    for name in [Some("windows-1251"), None] {
        let document = package(may, header(may), &persons(0, 5));
        let accepted = stack.deliver(&encoded(&document, name)).await.unwrap();
        let registered = stack.until(accepted.number, State::Registered).await;
        assert_eq!(registered.records, 5);
        let document = package(may_not, header(may_not), &persons(0, 5));
        let refusal = stack.deliver(&encoded(&document, name)).await.unwrap_err();
        assert_eq!(refusal.code, RefusalCode::XmlEncoding);
    }
    let row = stack
        .exchange
        .db()
        .query_one("SELECT count(*) FROM person WHERE last_name LIKE 'Иванов%'", vec![]);
    assert!(row.await.unwrap().unwrap().get::<i64>(0).unwrap() > 0);
    stack.end().await;
}
