//! The examples of `docs/examples/federal`: conversations through the door, each message written down as
//! it went over the wire. What the service says today must be what the examples show
//! (`KONTINGENT_BLESS=1` writes them anew), and the examples must stand as they are: valid by the
//! schemas, with signatures that verify.

mod book;
mod checks;
mod conversation;
mod faults;
mod masks;
mod questions;

use std::collections::BTreeSet;

use kontingent::codec::smev3::Version;
use kontingent::config::Config;
use kontingent::exchange::admin::NewKind;
use kontingent::model::clock::Clock;
use kontingent::storage::federal_system::Described;
use kontingent::trust::Signer;
use kontingent::trust::certificate::Facts;

use super::world::World;
use crate::stack::Flavour;
use book::Book;
use conversation::Talk;

/// Where the keys of the examples are; what they sign anybody can sign.
const KEYS: &str = "fixtures/keys";

/// The kind of messages that the two systems exchange.
const NAMESPACE: &str = "urn://example/clinic/1.0";

/// Who takes part.
struct Parties {
    /// `SCHOOL01`, which asks.
    consumer: Signer,
    /// `CLINIC01`, which answers.
    provider: Signer,
    /// Signs contents; no system of the exchange.
    official: Signer,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_show_what_the_service_says_and_stand_as_they_are() {
    let (said, faults) = tokio::join!(said(), faults::provoke_all());
    let ((mut book, operations), (refused, declared)) = (said, faults);
    book.append(refused);
    book.compare();
    checks::nothing_is_missing(&book, &operations, &declared);
    checks::all_are_valid(&book);
    checks::signatures_stand(&book);
}

/// All that is said without a fault, and the operations that the node describes.
async fn said() -> (Book, BTreeSet<(String, String)>) {
    let world = World::start_with(Flavour::Embedded, Clock::System, sign_by_known_key).await;
    let parties = register(&world).await;
    let mut book = Book::default();
    let authority = std::fs::read(format!("{KEYS}/ca.crt")).unwrap();
    book.put("ca.pem", "certificate of the authority that issued all certificates here", authority);
    for version in Version::ALL {
        Talk { world: &world, book: &mut book, version, parties: &parties }.all().await;
    }
    conversation::end_lives(&world, &mut book, &parties).await;
    questions::ask_all(&world, &mut book, &parties.consumer).await;
    conversation::late(&world, &mut book, &parties).await;
    let operations = checks::operations(&world).await;
    world.finish().await;
    (book, operations)
}

/// The node signs by a key whose certificate stays the same.
fn sign_by_known_key(config: &mut Config) {
    config.signing.key_file = Some(format!("{KEYS}/supplier-2.key").into());
    config.signing.certificate_file = Some(format!("{KEYS}/supplier-2.crt").into());
}

fn known(name: &str) -> (Signer, Facts) {
    let read = |kind: &str| std::fs::read(format!("{KEYS}/{name}.{kind}")).unwrap();
    let certificate = read("crt");
    (Signer::from_pem(&read("key"), &certificate).unwrap(), Facts::read(&certificate).unwrap())
}

async fn register(world: &World) -> Parties {
    let authority = std::fs::read(format!("{KEYS}/ca.crt")).unwrap();
    world.admin().trust(&Facts::read(&authority).unwrap()).await.unwrap();
    let (consumer, school) = known("supplier-1");
    let (provider, clinic) = known("supplier-3");
    for (mnemonic, name, facts) in
        [("SCHOOL01", "Школьный дневник", school), ("CLINIC01", "Поликлиника", clinic)]
    {
        let system = Described { mnemonic, name, vip: false, asks: true };
        world.admin().register_system(system, &facts).await.unwrap();
    }
    let kind = NewKind {
        code: "clinic.certificate",
        title: "Справка о здоровье",
        provider: "CLINIC01",
        namespace: NAMESPACE,
        request: "CertificateRequest",
        response: "CertificateResponse",
        open_to_all: true,
    };
    world.admin().register_kind(kind).await.unwrap();
    Parties { consumer, provider, official: known("no-key-usage").0 }
}
