//! What must always hold, whatever happened.

use kontingent::args;
use kontingent::broker::{Message, Task, partition};
use kontingent::model::ids::AttemptId;
use kontingent::model::package::{Counts, Fate, State};
use kontingent::storage::audit::{self, Chain};
use kontingent::storage::db::Db;
use kontingent::storage::journal::attempt::{self, Claim};
use kontingent::storage::journal::list;
use kontingent::storage::registry::deferred;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::stack::{Person, Stack, flavours, header, package, package_of_contacts, persons};

/// Checks a database at rest: every package has come to an end, records balance, nothing is
/// left to ring, the audit chain is whole.
pub(crate) async fn assert_at_rest(db: &Db, packages: i64) {
    let one = async |sql: &str| {
        let row = db.query_one(sql, vec![]).await.unwrap().unwrap();
        row.get::<i64>(0).unwrap()
    };
    assert_eq!(one("SELECT count(*) FROM package").await, packages);
    assert_eq!(one("SELECT count(*) FROM package WHERE state <> 'registered'").await, 0);
    assert_eq!(one("SELECT count(*) FROM attempt WHERE finished_at IS NULL").await, 0);
    assert_eq!(one("SELECT count(*) FROM attempt WHERE number > 1").await, 0, "no human hand");
    let sql = "SELECT count(*) FROM receipt r JOIN package p ON p.no = r.package_no";
    assert_eq!(one(sql).await, packages * 2, "a first and a final receipt each");
    let sql = "SELECT p.records, a.counts FROM package p JOIN attempt a ON a.package_no = p.no";
    for row in db.query(sql, vec![]).await.unwrap() {
        let counts: BTreeMap<String, Counts> =
            serde_json::from_str(&row.get::<String>(1).unwrap()).unwrap();
        let total: u64 = counts.values().map(|counts| counts.total).sum();
        assert_eq!(i64::try_from(total).unwrap(), row.get::<i64>(0).unwrap());
        assert!(counts.values().all(|counts| counts.balance()));
    }
    assert!(matches!(audit::verify(db).await.unwrap(), Chain::Intact(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_record_is_one_finding_and_its_neighbours_are_applied() {
    for flavour in flavours() {
        let stack = Stack::start(flavour).await;
        stack.work();
        let supplier = &stack.suppliers[0];
        let mut people = persons(0, 1500);
        people[700].1.retain(|(name, _)| *name != "BirthDate");
        for field in ["BirthPlace", "Snils"] {
            people[900].1.push((field, "х".repeat(300_000)));
        }
        let document = package(supplier, header(supplier), &people);
        let number = stack.deliver(&document).await.unwrap().number;
        let package = stack.until(number, State::Registered).await;
        let receipt = stack.exchange.receipt(None, package.package_id).await.unwrap();
        let xml = String::from_utf8(receipt.xml).unwrap();
        assert!(xml.contains(r#"total="1500" created="1498""#), "{xml}");
        for (code, record) in [("FLK_REQUIRED", 701), ("FLK_RECORD_SIZE", 901)] {
            assert!(xml.contains(code), "{xml}");
            assert!(xml.contains(&format!("<Record>{record}</Record>")), "{xml}");
        }
        assert_at_rest(stack.exchange.db(), 1).await;
        stack.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_waits_a_week_for_the_person_it_belongs_to_and_not_longer() {
    for flavour in flavours() {
        let stack = Stack::start(flavour).await;
        stack.work();
        let (supplier, db) = (&stack.suppliers[0], stack.exchange.db());
        let people = persons(0, 2);
        let contacts = package_of_contacts(supplier, header(supplier), &people);
        let number = stack.deliver(&contacts).await.unwrap().number;
        stack.until(number, State::Registered).await;
        let fate = async || deferred::fate(db, number).await.unwrap();
        assert_eq!(fate().await, Fate { waiting: 2, ..Fate::default() });
        let late = "UPDATE deferred_record SET expires_at = parked_at WHERE external_id = 'c-p-1'";
        db.execute(late, vec![]).await.unwrap();
        let document = package(supplier, header(supplier), &people);
        let persons = stack.deliver(&document).await.unwrap().number;
        stack.until(persons, State::Registered).await;
        assert_eq!(fate().await, Fate { waiting: 0, applied: 1, expired: 1 });
        let id = stack.package(number).await.package_id;
        assert_eq!(stack.exchange.status(None, id).await.unwrap().fate, fate().await);
        let row = db.query_one("SELECT count(*) FROM contact", vec![]).await.unwrap().unwrap();
        assert_eq!(row.get::<i64>(0).unwrap(), 1);
        stack.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ring_that_comes_again_and_again_changes_nothing() {
    for flavour in flavours() {
        let stack = Stack::start(flavour).await;
        stack.work();
        let supplier = &stack.suppliers[0];
        let document = package(supplier, header(supplier), &persons(0, 40));
        let number = stack.deliver(&document).await.unwrap().number;
        let attempt = list::attempts(stack.exchange.db(), number).await.unwrap()[0].id;
        let tasks = vec![Task(number, attempt), Task(number, AttemptId(1 << 50))];
        let message = Message { partition: partition(&supplier.mnemonic), tasks };
        stack.exchange.doorbell().ring(&vec![message.clone(); 20]).await;
        stack.until(number, State::Registered).await;
        stack.exchange.doorbell().ring(&vec![message; 20]).await;
        let other = package(supplier, header(supplier), &persons(0, 40));
        let last = stack.deliver(&other).await.unwrap().number;
        stack.until(last, State::Registered).await;
        assert_at_rest(stack.exchange.db(), 2).await;
        assert_eq!(tries(&stack, attempt).await, 1);
        stack.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_that_kills_its_worker_is_parked_and_its_neighbours_live() {
    for flavour in flavours() {
        let stack = Stack::start(flavour).await;
        let supplier = &stack.suppliers[0];
        let mut numbers = Vec::new();
        for n in 0..4 {
            let document = package(supplier, header(supplier), &persons(n * 10, 10));
            numbers.push(stack.deliver(&document).await.unwrap().number);
        }
        let db = stack.exchange.db();
        let attempts = list::attempts(db, numbers[1]).await.unwrap();
        for n in 0..stack.exchange.settings().tries {
            // A worker that claims and is never heard of again.
            let mut tx = db.begin().await.unwrap();
            let name = format!("dead-{n}");
            let lease = Duration::from_secs(1);
            let one = [attempts[0].id];
            let claimed = attempt::claim(&mut tx, &name, lease, &one, Claim::Any).await.unwrap();
            assert_eq!(claimed, one);
            tx.commit().await.unwrap();
            let sql = "UPDATE attempt SET leased_until = requested_at WHERE id = $1";
            db.execute(sql, args![one[0].0]).await.unwrap();
        }
        stack.work();
        let parked = stack.until(numbers[1], State::Failed).await;
        assert_eq!(parked.reason.as_deref(), Some("PARKED"));
        for number in [numbers[0], numbers[2], numbers[3]] {
            stack.until(number, State::Registered).await;
        }
        stack.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_corrupt_package_is_never_applied() {
    for flavour in flavours() {
        let stack = Stack::start(flavour).await;
        let supplier = &stack.suppliers[0];
        let good = package(supplier, header(supplier), &persons(0, 10));
        let other = package(supplier, header(supplier), &persons(50, 10));
        let good = stack.deliver(&good).await.unwrap().number;
        let other = stack.deliver(&other).await.unwrap().number;
        let db = stack.exchange.db();
        // Another intact frame in its place, so that only the hash of the whole can tell.
        let sql = "UPDATE content SET bytes = (SELECT bytes FROM content WHERE package_no = $2) \
            WHERE package_no = $1";
        db.execute(sql, args![good.0, other.0]).await.unwrap();
        stack.work();
        let package = stack.until(good, State::Failed).await;
        assert_eq!(package.reason.as_deref(), Some("EVIDENCE_CORRUPT"));
        stack.until(other, State::Registered).await;
        let row = db.query_one("SELECT count(*) FROM person", vec![]).await.unwrap().unwrap();
        assert_eq!(row.get::<i64>(0).unwrap(), 10);
        stack.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_whose_state_was_changed_by_another_hand_is_left_alone() {
    for flavour in flavours() {
        let stack = Stack::start(flavour).await;
        let supplier = &stack.suppliers[0];
        let document = package(supplier, header(supplier), &persons(0, 10));
        let number = stack.deliver(&document).await.unwrap().number;
        let db = stack.exchange.db();
        let attempt = list::attempts(db, number).await.unwrap()[0].id;
        let sql = "UPDATE attempt SET leased_by = 'another', leased_until = $1 WHERE id = $2";
        let later = crate::stack::now() + chrono::TimeDelta::seconds(3);
        db.execute(sql, args![later, attempt.0]).await.unwrap();
        stack.work();
        let next = package(supplier, header(supplier), &persons(20, 10));
        let next = stack.deliver(&next).await.unwrap().number;
        stack.until(next, State::Registered).await;
        assert_eq!(stack.package(number).await.state, State::Received);
        // The other hand lets go without a word: its lease runs out, and the sweep rings.
        let sql = "UPDATE attempt SET due_at = leased_until WHERE id = $1";
        db.execute(sql, args![attempt.0]).await.unwrap();
        stack.until(number, State::Registered).await;
        assert_at_rest(stack.exchange.db(), 2).await;
        stack.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_package_and_one_of_bad_records_only_end_with_a_word_about_it() {
    for flavour in flavours() {
        let stack = Stack::start(flavour).await;
        stack.work();
        let supplier = &stack.suppliers[0];
        let empty = package(supplier, header(supplier), &[]);
        let nameless: Vec<Person> = (0..3).map(|n| Person(format!("x-{n}"), vec![])).collect();
        let bad = package(supplier, header(supplier), &nameless);
        for (document, code) in [(empty, "EMPTY_PACKAGE"), (bad, "ALL_REJECTED")] {
            let number = stack.deliver(&document).await.unwrap().number;
            let package = stack.until(number, State::Registered).await;
            let receipt = stack.exchange.receipt(None, package.package_id).await.unwrap();
            assert!(String::from_utf8(receipt.xml).unwrap().contains(code));
        }
        assert_at_rest(stack.exchange.db(), 2).await;
        stack.end().await;
    }
}

async fn tries(stack: &Stack, attempt: AttemptId) -> i64 {
    let sql = "SELECT tries FROM attempt WHERE id = $1";
    let row = stack.exchange.db().query_one(sql, args![attempt.0]).await.unwrap().unwrap();
    row.get(0).unwrap()
}
