//! From delivery to registry and back again: processing, replaying, waiting.

use chrono::TimeDelta;
use kontingent::args;
use kontingent::broker::Task;
use kontingent::exchange::process::Processor;
use kontingent::exchange::replay::{ReplayError, Request};
use kontingent::model::ids::PackageNo;
use kontingent::model::kind::Kind;
use kontingent::model::package::{Mode, State};
use kontingent::storage::journal::list::{self, Filter};

use crate::stack::{Stack, flavours, header, now, package, persons};

fn request(approved: bool) -> Request {
    Request { reason: "проверка".to_owned(), actor: "tester".to_owned(), approved }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_of_a_registered_package_changes_nothing_and_adds_no_history() {
    for flavour in flavours() {
        let stack = Stack::start(flavour).await;
        stack.work();
        let supplier = &stack.suppliers[0];
        let document = package(supplier, header(supplier), &persons(0, 1200));
        let number = stack.deliver(&document).await.unwrap().number;
        stack.until(number, State::Registered).await;
        let before = history(&stack).await;
        let receipt = stack.exchange.receipt(None, stack.package(number).await.package_id).await;
        let attempt = stack.exchange.replay(number, &request(false)).await.unwrap();
        stack.finished(2).await;
        assert_eq!(history(&stack).await, before, "{flavour:?}");
        assert!(before.0 >= 1200);
        let attempts = list::attempts(stack.exchange.db(), number).await.unwrap();
        assert_eq!((attempts[0].id, attempts[0].previous), (attempt, Some(attempts[1].id)));
        assert_eq!(attempts[0].outcome.as_deref(), Some("registered"));
        let counts = attempts[0].counts.clone().unwrap();
        assert!(
            counts.contains(r#""total":1200"#) && counts.contains(r#""unchanged":1200"#),
            "{counts}"
        );
        assert!(receipt.unwrap().concluding);
        stack.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_waits_for_its_predecessor_and_goes_on_when_it_comes() {
    for flavour in flavours() {
        let stack = Stack::start(flavour).await;
        stack.work();
        let supplier = &stack.suppliers[0];
        let mut numbers = Vec::new();
        for sequence in [3_u64, 2, 1] {
            let mut header = header(supplier);
            header.sequence = Some(sequence);
            header.previous_sequence = Some(sequence - 1);
            let from = usize::try_from(sequence).unwrap() * 10;
            let document = package(supplier, header, &persons(from, 5));
            let number = stack.deliver(&document).await.unwrap().number;
            if sequence > 1 {
                stack.until(number, State::Waiting).await;
            }
            numbers.push(number);
        }
        for number in numbers {
            stack.until(number, State::Registered).await;
        }
        stack.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_whose_predecessor_never_comes_is_rejected() {
    for flavour in flavours() {
        let stack = Stack::start(flavour).await;
        stack.work();
        let supplier = &stack.suppliers[0];
        let mut header = header(supplier);
        (header.sequence, header.previous_sequence) = (Some(7), Some(6));
        let document = package(supplier, header, &persons(0, 5));
        let number = stack.deliver(&document).await.unwrap().number;
        stack.until(number, State::Waiting).await;
        let sql = "UPDATE package SET state_at = $1";
        let db = stack.exchange.db();
        db.execute(sql, args![now() - TimeDelta::hours(73)]).await.unwrap();
        kontingent::exchange::sweep::rarely(&stack.exchange).await.unwrap();
        let package = stack.until(number, State::Rejected).await;
        assert_eq!(package.reason.as_deref(), Some("SEQ_TIMEOUT"));
        stack.exchange.replay(number, &request(true)).await.unwrap();
        stack.until(number, State::Registered).await;
        stack.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_closes_too_much_waits_for_an_operator() {
    for flavour in flavours() {
        let stack = Stack::start(flavour).await;
        stack.work();
        let supplier = &stack.suppliers[0];
        let full = |count: usize, minutes: i64| {
            let mut header = header(supplier);
            header.mode = Mode::All;
            header.snapshot_at = now() - TimeDelta::minutes(minutes);
            crate::stack::package_with_contacts(supplier, header, &persons(0, count))
        };
        let number = stack.deliver(&full(20, 9)).await.unwrap().number;
        stack.until(number, State::Registered).await;
        let before = history(&stack).await;
        let number = stack.deliver(&full(5, 8)).await.unwrap().number;
        let package = stack.until(number, State::Waiting).await;
        assert_eq!(package.reason.as_deref(), Some("CLOSING_GUARD"));
        assert_eq!(history(&stack).await, before);
        stack.exchange.replay(number, &request(true)).await.unwrap();
        stack.until(number, State::Registered).await;
        assert!(history(&stack).await > before);
        stack.end().await;
    }
}

/// A full package of so many persons, of so many minutes ago, and its first attempt.
async fn snapshot(stack: &Stack, count: usize, minutes: i64) -> [Task; 1] {
    let supplier = &stack.suppliers[0];
    let mut header = header(supplier);
    header.mode = Mode::All;
    header.snapshot_at = now() - TimeDelta::minutes(minutes);
    let document = crate::stack::package_with_contacts(supplier, header, &persons(0, count));
    let number = stack.deliver(&document).await.unwrap().number;
    let attempt = list::attempts(stack.exchange.db(), number).await.unwrap()[0].id;
    [Task(number, attempt)]
}

/// Of 100 rows one snapshot closes 15 and the next one 15 more. Weighed while the first is being applied by
/// another worker, the second would close 30.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_is_not_held_for_what_another_worker_is_about_to_close() {
    for flavour in flavours() {
        let stack = Stack::start(flavour).await;
        let db = stack.exchange.db();
        let worker = |name: &str| Processor::new(stack.exchange.clone(), name, stack.stop.clone());
        let (first, second) = (worker("first"), worker("second"));
        let snapshot = async |count, minutes| snapshot(&stack, count, minutes).await;
        let state = async |[Task(number, _)]: &[Task; 1]| stack.package(*number).await.state;
        let all = snapshot(100, 9).await;
        first.process(&all).await;
        assert_eq!(state(&all).await, State::Registered);

        let (less, least) = (snapshot(85, 8).await, snapshot(70, 7).await);
        let lease = "UPDATE attempt SET leased_by = $1, leased_until = $2 WHERE id = $3";
        let until = Some(now() + TimeDelta::minutes(5));
        db.execute(lease, args![Some("first"), until, less[0].1.0]).await.unwrap();
        second.process(&least).await;
        assert_eq!(state(&least).await, State::Received, "nothing is decided yet");
        let end = "UPDATE attempt SET leased_by = NULL, leased_until = NULL WHERE id = $1";
        db.execute(end, args![less[0].1.0]).await.unwrap();
        first.process(&less).await;
        assert_eq!(state(&less).await, State::Registered);
        let again = "UPDATE attempt SET next_try_at = NULL WHERE id = $1";
        db.execute(again, args![least[0].1.0]).await.unwrap();
        second.process(&least).await;
        assert_eq!(state(&least).await, State::Registered);
        stack.end().await;
    }
}

/// Of 100 rows a snapshot would close 30, while a later package of the supplier stays half applied.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_does_not_wait_without_end_for_later_packages() {
    for flavour in flavours() {
        let stack = Stack::start(flavour).await;
        let db = stack.exchange.db();
        let worker = Processor::new(stack.exchange.clone(), "first", stack.stop.clone());
        let snapshot = async |count, minutes| snapshot(&stack, count, minutes).await;
        worker.process(&snapshot(100, 9).await).await;
        let (less, later) = (snapshot(70, 8).await, snapshot(100, 7).await);
        let lease = "UPDATE attempt SET leased_by = 'second', leased_until = $1, records_done = 1 \
                     WHERE id = $2";
        let until = Some(now() + TimeDelta::minutes(5));
        db.execute(lease, args![until, later[0].1.0]).await.unwrap();
        worker.process(&less).await;
        assert_eq!(stack.package(less[0].0).await.state, State::Received, "it waits");

        let begun = "UPDATE attempt SET next_try_at = NULL, started_at = $1 WHERE id = $2";
        let long_ago = Some(now() - TimeDelta::minutes(11));
        db.execute(begun, args![long_ago, less[0].1.0]).await.unwrap();
        worker.process(&less).await;
        let package = stack.package(less[0].0).await;
        assert_eq!(package.reason.as_deref(), Some("CLOSING_GUARD"), "an operator decides");
        stack.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_that_deletes_too_much_waits_for_an_operator() {
    for flavour in flavours() {
        let stack = Stack::start(flavour).await;
        stack.work();
        let supplier = &stack.suppliers[0];
        let deliver = async |count: usize, deleted: bool, state: State| {
            let mut header = header(supplier);
            header.counts = vec![(Kind::Person, 1), (Kind::Mark, count as u64)];
            let document = crate::stack::package_of_marks(supplier, &header, count, deleted);
            let number = stack.deliver(&document).await.unwrap().number;
            stack.until(number, state).await
        };
        let deleted = async || {
            let sql = "SELECT count(*) FROM mark WHERE deleted";
            let row = stack.exchange.db().query_one(sql, vec![]).await.unwrap().unwrap();
            row.get::<i64>(0).unwrap()
        };
        deliver(4500, false, State::Registered).await;
        deliver(225, true, State::Registered).await;
        assert_eq!(deleted().await, 225, "a twentieth goes unasked");
        // One that is judged at once, and one that takes a first pass.
        for count in [300, 4400] {
            let package = deliver(count, true, State::Waiting).await;
            assert_eq!(package.reason.as_deref(), Some("DELETING_GUARD"));
            assert_eq!(deleted().await, 225, "{flavour:?}: {count} are too many");
            if count == 4400 {
                stack.exchange.replay(package.no, &request(true)).await.unwrap();
                stack.until(package.no, State::Registered).await;
                assert_eq!(deleted().await, 4400, "{flavour:?}: with an operator's word");
            }
        }
        stack.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replayed_snapshot_closes_nothing_that_a_later_package_of_the_same_instant_brought() {
    for flavour in flavours() {
        let stack = Stack::start(flavour).await;
        stack.work();
        let supplier = &stack.suppliers[0];
        let mut first = header(supplier);
        first.mode = Mode::All;
        let mut second = header(supplier);
        second.snapshot_at = first.snapshot_at;
        let mut numbers = Vec::new();
        for (header, from) in [(first, 0), (second, 5)] {
            let people = persons(from, 5);
            let document = crate::stack::package_with_contacts(supplier, header, &people);
            let number = stack.deliver(&document).await.unwrap().number;
            stack.until(number, State::Registered).await;
            numbers.push(number);
        }
        let before = history(&stack).await;
        stack.exchange.replay(numbers[0], &request(false)).await.unwrap();
        stack.finished(3).await;
        let package = stack.until(numbers[0], State::Registered).await;
        assert_eq!(package.reason, None);
        assert_eq!(history(&stack).await, before);
        stack.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_package_is_judged_and_changes_nothing() {
    for flavour in flavours() {
        let stack = Stack::start(flavour).await;
        stack.work();
        let supplier = &stack.suppliers[0];
        let mut header = header(supplier);
        header.test = true;
        let document = package(supplier, header, &persons(0, 20));
        let number = stack.deliver(&document).await.unwrap().number;
        let package = stack.until(number, State::Registered).await;
        assert_eq!(history(&stack).await, (0, 0));
        let receipt = stack.exchange.receipt(None, package.package_id).await.unwrap();
        assert!(String::from_utf8(receipt.xml).unwrap().contains("TEST_PACKAGE"));
        stack.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replays_by_filter_take_what_they_mean_and_pass_over_what_is_under_way() {
    for flavour in flavours() {
        let stack = Stack::start(flavour).await;
        let supplier = &stack.suppliers[0];
        let document = package(supplier, header(supplier), &persons(0, 5));
        let number = stack.deliver(&document).await.unwrap().number;
        let early = stack.exchange.replay(number, &request(false)).await;
        assert!(matches!(early, Err(ReplayError::Busy)), "received packages are under way");
        let unknown = stack.exchange.replay(PackageNo(1 << 40), &request(false)).await;
        assert!(matches!(unknown, Err(ReplayError::NotFound)));
        stack.work();
        stack.until(number, State::Registered).await;
        let filter = Filter { supplier: Some(supplier.mnemonic.clone()), ..Filter::default() };
        let replayed = stack.exchange.replay_matching(&filter, 10, &request(false)).await.unwrap();
        assert_eq!(replayed.len(), 1);
        let again = stack.exchange.replay_matching(&filter, 10, &request(false)).await.unwrap();
        let done = list::attempts(stack.exchange.db(), number).await.unwrap();
        assert!(
            again.is_empty() || done.iter().filter(|one| one.finished_at.is_some()).count() > 1
        );
        let silent = Request { reason: " ".to_owned(), ..request(false) };
        let silent = stack.exchange.replay(number, &silent).await;
        assert!(matches!(silent, Err(ReplayError::NoReason)));
        stack.end().await;
    }
}

/// Rows of history and of persons.
async fn history(stack: &Stack) -> (i64, i64) {
    let sql = "SELECT (SELECT count(*) FROM change_log), (SELECT count(*) FROM person)";
    let row = stack.exchange.db().query_one(sql, vec![]).await.unwrap().unwrap();
    (row.get(0).unwrap(), row.get(1).unwrap())
}
