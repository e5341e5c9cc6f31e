//! A fault of each kind, of each version, as the door says it.

use std::collections::BTreeSet;

use kontingent::codec::smev3::Version;

use super::super::cast::{Cast, operations};
use super::super::faults::{NO_OCCASION, cases, declared};
use super::super::world::{Answered, World, find, try_find};
use super::book::Book;
use super::masks::Masks;
use super::questions::kebab;
use crate::stack::Flavour;

/// Provokes all faults that the descriptions declare and something leads to; and says which these are, as
/// names of files.
pub(super) async fn provoke_all() -> (Book, BTreeSet<String>) {
    let world = World::start(Flavour::Embedded).await;
    let cast = Cast::gather(&world).await;
    let mut book = Book::default();
    let (mut wanted, mut address) = (BTreeSet::new(), String::new());
    for version in Version::ALL {
        let (cases, to) = cases(&world, &cast, version).await;
        for case in cases {
            let name = name(version, case.fault, case.reason);
            if case.fault.is_empty() {
                world.send_by(version, case.body).await.body();
            } else if book.examples.iter().all(|example| example.name != name) {
                let answered = world.send_by(version, case.body).await;
                put(&mut book, &name, case.operation, &answered);
            }
        }
        for (operation, fault) in declared(&world, version).await {
            let none =
                NO_OCCASION.iter().any(|&(from, name, _)| (from, name) == (&*operation, &*fault));
            if !none && fault != "SignatureVerificationFault" {
                wanted.insert(name(version, &fault, ""));
            }
        }
        address = to;
    }
    world.db.close().await;
    for version in Version::ALL {
        let (message, sender) = operations(&cast, version, &address).remove(0);
        let answered = world.send_by(version, message.signed(sender)).await;
        let name = name(version, "SMEVFailure", "");
        put(&mut book, &name, message.operation(), &answered);
    }
    world.finish().await;
    (book, wanted)
}

/// A name of a file.
fn name(version: Version, fault: &str, reason: &str) -> String {
    let dash = if reason.is_empty() { "" } else { "-" };
    let version = version.as_str();
    format!("{version}/faults/{}{dash}{}.xml", kebab(fault), kebab(reason))
}

/// Writes a fault down.
pub(super) fn put(book: &mut Book, name: &str, operation: &str, answered: &Answered) {
    let fault = answered.fault();
    let reason = try_find(&fault, "SignatureVerificationFault");
    let reason = reason.map_or_else(String::new, |reason| format!(", `{}`", reason.text));
    let said = Masks::default().hide(&find(&answered.soap_fault(), "faultstring").text);
    let said = said.replace("{id 1}", "…").replace("{word}", "…");
    let what = format!("`{}`{reason}, here of {operation}: «{said}»", fault.local);
    book.put(name, &what, answered.xml.clone());
}
