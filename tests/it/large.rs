//! A package of a hundred thousand records, and what goes on beside it.

use std::time::{Duration, Instant};

use kontingent::model::package::State;
use kontingent::storage::journal::conclude::findings;
use kontingent::storage::journal::list;

use crate::invariants::assert_at_rest;
use crate::stack::{Stack, flavours, header, package, package_with_contacts, persons};

/// Persons of the package; each has a telephone.
const PERSONS: usize = 50_000;

/// The person whose birth date is missing.
const BAD: usize = 31_415;

/// Longest time the package may take, on the slowest machine.
const PATIENCE: Duration = Duration::from_mins(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_records_are_applied_while_other_suppliers_deliver() {
    for flavour in flavours() {
        let stack = Stack::start(flavour).await;
        stack.work();
        let (large, other) = (&stack.suppliers[0], &stack.suppliers[1]);
        let mut people = persons(0, PERSONS);
        people[BAD].1.retain(|(name, _)| *name != "BirthDate");
        let document = package_with_contacts(large, header(large), &people);
        let number = stack.deliver(&document).await.unwrap().number;
        let begun = Instant::now();
        let mut beside = 0;
        while stack.package(number).await.state != State::Registered {
            let small = package(other, header(other), &persons(PERSONS + 3 * beside, 3));
            stack.deliver(&small).await.unwrap();
            beside += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert!(begun.elapsed() < PATIENCE, "{:?}", stack.package(number).await);
        }
        let attempts = list::attempts(stack.exchange.db(), number).await.unwrap();
        let counts = attempts[0].counts.as_deref().unwrap();
        for kind in ["Person", "Contact"] {
            let balanced = format!(r#""{kind}":{{"total":50000,"created":49999"#);
            assert!(counts.contains(&balanced), "{counts}");
        }
        let found = findings(stack.exchange.db(), attempts[0].id, 0, 10).await.unwrap();
        let found: Vec<_> = found.iter().map(|one| (one.code.as_str(), one.record)).collect();
        let (person, contact) = (BAD as u64 + 1, (PERSONS + BAD) as u64 + 1);
        assert_eq!(found, [("FLK_REQUIRED", person), ("FLK_REF_MISSING", contact)]);
        stack.finished(beside as i64 + 1).await;
        assert_at_rest(stack.exchange.db(), beside as i64 + 1).await;
        stack.end().await;
    }
}
