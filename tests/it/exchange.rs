//! Accepting: receipts, repetitions, refusals, and what is durable after each.

use kontingent::model::refusal::RefusalCode;
use kontingent::storage::audit::{self, Chain};

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
