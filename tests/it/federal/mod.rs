//! The federal door over HTTP, on both databases: operations and their faults, the mailbox,
//! the questions. Every message taken and every answer is checked against the schemas we publish.

mod budget;
mod cast;
mod changes;
mod differential;
mod disclosures;
mod examples;
mod faults;
mod federation;
mod hostile;
mod message;
mod peers;
mod questions;
mod queues;
mod races;
mod records;
mod replica;
mod restart;
mod sandbox;
mod statistics;
mod status;
mod store;
mod strict;
mod transfers;
mod turns;
mod vectors;
mod world;

use chrono::TimeDelta;
use kontingent::args;
use kontingent::model::clock::Clock;
use kontingent::model::federal::KINDS;
use kontingent::normalise;
use kontingent::storage::audit::{self, Chain};
use kontingent::trust::authority::{KeyKind, Request, Usage};

use message::{Message, altered, by_snils, content, new_id};
use world::{Answered, Person, find, on_both, signer, try_find, validity};

const SNILS: &str = "11223344595";

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_through_the_queue_and_leaves_its_traces() {
    on_both(async |world| {
        let caller = world.system("FNS00001", KeyKind::Rsa(2048)).await;
        let mut tx = world.db.begin().await.unwrap();
        let anna = Person {
            id: 10,
            name: ["Семёнова", "Анна", "Петровна"],
            born: "2015-03-01",
            snils: Some(SNILS),
        };
        world.put_person(&mut tx, &anna).await;
        world.put_document(&mut tx, 20, 10, "123456").await;
        world.put_membership(&mut tx, 30, 10, None).await;
        world
            .put_membership(&mut tx, 31, 10, Some(Clock::System.now() - TimeDelta::days(90)))
            .await;
        tx.commit().await.unwrap();

        let id = new_id().to_string();
        let fields = format!(
            "<t:ReferenceMessageID>{id}</t:ReferenceMessageID>\
             <t:TransactionCode>код &amp; услуга</t:TransactionCode>"
        );
        let ask = Message::ask(&id, &fields, &by_snils("112-233-445 95"));
        let taken = world.send(ask.signed(&caller)).await.body();
        assert_eq!(find(&taken, "Status").text, "requestIsQueued");
        assert_eq!(find(&taken, "MessageId").text, id);

        let pulled = world.send(Message::pull("", "").signed(&caller)).await.body();
        assert_eq!(find(&pulled, "OriginalMessageId").text, id);
        assert_eq!(find(&pulled, "OriginalTransactionCode").text, "код & услуга");
        assert_eq!(find(&pulled, "Snils").text, SNILS);
        assert_eq!(find(&pulled, "Number").text, "123456");
        let card = find(&pulled, "PersonCard");
        assert_eq!(card.children.len(), 3, "the ended membership is not told");
        let answer = find(find(&pulled, "MessageMetadata"), "MessageId").text.clone();
        let acknowledged = world.send(Message::ack(&answer).signed(&caller)).await.body();
        assert_eq!(acknowledged.local, "AckResponse");
        let empty = world.send(Message::pull("", "").signed(&caller)).await.body();
        assert!(empty.children.is_empty());

        let told = "SELECT person_id FROM disclosure d JOIN disclosure_person p \
            ON p.disclosure_id = d.id WHERE d.purpose = 'проверка'";
        assert_eq!(world.count(told).await, 10);
        let kept = "SELECT count(*) FROM mailbox_message WHERE content IS NOT NULL";
        assert_eq!(world.count(kept).await, 0, "what is acknowledged is forgotten");
        let acts = "SELECT count(*) FROM audit WHERE action LIKE 'federal.%'";
        assert_eq!(world.count(acts).await, 2);
        assert!(matches!(audit::verify(&world.db).await.unwrap(), Chain::Intact(_)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_come_first_in_first_out_hidden_while_leased_and_return_to_the_head() {
    on_both(async |world| {
        let caller = world.system("FNS00001", KeyKind::P256).await;
        let stranger = world.system("PFR00001", KeyKind::P256).await;
        let mut asked = Vec::new();
        for _ in 0..3 {
            let id = new_id().to_string();
            world.send(Message::ask(&id, "", &by_snils(SNILS)).signed(&caller)).await.body();
            asked.push(id);
        }
        let node = "<t:NodeID>узел 1</t:NodeID>";
        let other = new_id().to_string();
        let likeness =
            "<LastName>Я</LastName><FirstName>Я</FirstName><BirthDate>2000-01-01</BirthDate>";
        let find_person = content("FindPersonRequest", likeness);
        world.send(Message::ask(&other, node, &find_person).signed(&caller)).await.body();

        let pull = Message::pull("", "").signed(&caller);
        let original =
            |answered: &Answered| find(&answered.body(), "OriginalMessageId").text.clone();
        let first = world.send(pull.clone()).await;
        assert_eq!(original(&first), asked[0]);
        assert_eq!(original(&world.send(pull.clone()).await), asked[1]);
        assert!(
            world.send(Message::pull("", "").signed(&stranger)).await.body().children.is_empty()
        );

        let answer = find(find(&first.body(), "MessageMetadata"), "MessageId").text.clone();
        let lapse = "UPDATE mailbox_message SET leased_until = queued_at WHERE request_id = $1";
        let id: uuid::Uuid = asked[0].parse().unwrap();
        world.db.execute(lapse, args![id]).await.unwrap();
        let late = world.send(Message::ack(&answer).signed(&caller)).await;
        assert_eq!(late.fault().local, "TargetMessageIsNotFound");
        assert_eq!(original(&world.send(pull.clone()).await), asked[0], "back at the head");
        let foreign = world.send(Message::ack(&answer).signed(&stranger)).await;
        assert_eq!(foreign.fault().local, "TargetMessageIsNotFound");
        world.send(Message::ack(&answer).signed(&caller)).await.body();
        let twice = world.send(Message::ack(&answer).signed(&caller)).await;
        assert_eq!(twice.fault().local, "TargetMessageIsNotFound");

        let select = |root: &str| {
            let ns = "<b:NamespaceURI>urn:kontingent:federal:1.0</b:NamespaceURI>";
            format!("{ns}<b:RootElementLocalName>{root}</b:RootElementLocalName>")
        };
        let wanted = Message::pull(&select("FindPersonResponse"), "").signed(&caller);
        assert!(world.send(wanted).await.body().children.is_empty(), "it waits for its node");
        let node = "<b:NodeID>узел 1</b:NodeID>";
        let wanted = Message::pull(&select("FindPersonRequest"), node).signed(&caller);
        assert_eq!(original(&world.send(wanted).await), other);
        let last = Message::pull(&select("GetPersonBySnilsResponse"), "").signed(&caller);
        assert_eq!(original(&world.send(last).await), asked[2]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_sent_many_times_at_once_is_taken_once() {
    on_both(async |world| {
        let caller = world.system("FNS00001", KeyKind::P256).await;
        let id = new_id().to_string();
        let message = Message::ask(&id, "", &by_snils(SNILS)).signed(&caller);
        let sent = (0..8).map(|_| world.send(message.clone()));
        let answers = futures_util::future::join_all(sent).await;
        let (taken, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 200);
        assert_eq!(taken.len(), 1);
        for answered in refused {
            let fault = answered.fault();
            assert_eq!(fault.local, "MessageIsAlreadySent");
            let text = format!("SMEV-301:Сообщение с идентификатором {id} было послано ранее.");
            assert_eq!(find(&fault, "Description").text, text);
        }
        assert_eq!(world.count("SELECT count(*) FROM mailbox_message").await, 1);
        assert_eq!(world.count("SELECT count(*) FROM disclosure").await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_message_is_answered_with_the_declared_fault() {
    on_both(async |world| {
        let caller = world.system("FNS00001", KeyKind::P256).await;
        let blocked = world.system("FNS00002", KeyKind::P256).await;
        let block = "UPDATE federal_system SET status = 'blocked' WHERE mnemonic = 'FNS00002'";
        world.db.execute(block, vec![]).await.unwrap();
        let good = by_snils(SNILS);
        let now = new_id().to_string();
        let refused = async |message: String, fault: &str, reason: &str| {
            let answered = world.send(message).await;
            let told = answered.fault();
            let said = try_find(&told, "SignatureVerificationFault").map_or("", |n| &n.text);
            assert_eq!((told.local.as_str(), said), (fault, reason), "{}", answered.xml);
        };
        let ask = |id: &str, fields: &str, inside: &str| {
            Message::ask(id, fields, inside).signed(&caller)
        };

        let spaced = format!("{now} ");
        let upper = "6DFBB380-6827-11EF-9A3B-0242AC110002";
        for id in [upper, &spaced, "x", "00000000-0000-4000-8000-000000000000"] {
            refused(ask(id, "", &good), "InvalidMessageIdFormat", "").await;
        }
        let stale = "6dfbb380-6827-11ef-9a3b-0242ac110002";
        refused(ask(stale, "", &good), "StaleMessageId", "").await;
        let past = "<t:EOL>2024-09-01T09:00:00+03:00</t:EOL>";
        refused(ask(&now, past, &good), "EndOfLifeReached", "").await;
        refused(ask(&now, "", "<x:Y xmlns:x='urn:x'/>"), "BusinessDataTypeIsNotSupported", "").await;
        let pull = Message::pull(
            "<b:NamespaceURI>urn:x</b:NamespaceURI><b:RootElementLocalName>Y</b:RootElementLocalName>",
            "",
        );
        refused(pull.signed(&caller), "UnknownMessageType", "").await;
        refused(Message::ack(&now).signed(&caller), "TargetMessageIsNotFound", "").await;

        let verification = "SignatureVerificationFault";
        for message in [Message::ask(&now, "", &good), Message::pull("", ""), Message::ack(&now)] {
            refused(message.unsigned(), verification, "NoSignatureFound").await;
            let signed = message.signed(&caller);
            let changed = altered(&signed);
            refused(changed, verification, "SignatureIsInvalid").await;
            let elsewhere = signed.replace("URI=\"#", "URI=\"#x");
            refused(elsewhere, verification, "IncorrectSignatureTarget").await;
            for id in ["", "another"] {
                let forged = wrapped(&message.signed(&caller), id);
                refused(forged, verification, "IncorrectSignatureTarget").await;
            }
            let sends = message.operation().starts_with("Send");
            let closed = if sends { "AccessDenied" } else { "SenderIsNotRegistered" };
            refused(message.signed(&blocked), closed, "").await;
            let unknown = signer(&world.issue("unknown", KeyKind::P256, validity(0, 10)));
            refused(message.signed(&unknown), "SenderIsNotRegistered", "").await;
            let expired = world.issue("expired", KeyKind::P256, validity(-20, -10));
            refused(message.signed(&signer(&expired)), verification, "CertificateIsExpired").await;
            let request = Request { name: "x", key: KeyKind::P256, validity: validity(0, 9), usage: Usage::Signature };
            let own = foreign_authority().issue(&request, &mut random()).unwrap();
            refused(message.signed(&signer(&own)), verification, "CertificateIsNotFound").await;
        }
        assert_eq!(world.count("SELECT count(*) FROM mailbox_request").await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_breaks_its_schema_is_told_every_place() {
    on_both(async |world| {
        let caller = world.system("FNS00001", KeyKind::P256).await;
        let flaws = async |inside: String| {
            let id = new_id().to_string();
            let answered = world.send(Message::ask(&id, "", &inside).signed(&caller)).await;
            let fault = answered.fault();
            assert_eq!(fault.local, "InvalidContent", "{}", answered.xml);
            let errors = fault.children.iter().filter(|node| node.local == "ValidationError");
            errors.map(|node| (node.attribute("errorPosition").unwrap().to_owned(), node.text.clone())).collect::<Vec<_>>()
        };
        let both = "<LastName> </LastName><FirstName>Я</FirstName><BirthDate>01.02.2000</BirthDate>";
        let found = flaws(content("FindPersonRequest", both)).await;
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().all(|(at, text)| at != "-1" && text.contains("строка 1, столбец")));
        let none = "<GetPersonBySnilsRequest xmlns='urn:kontingent:federal:1.0'><Purpose> </Purpose><Snils>1</Snils></GetPersonBySnilsRequest>";
        assert_eq!(flaws(none.to_owned()).await.len(), 2, "no purpose, no answer");
        for page in ["0", "1001", "-1", "1000000000", "x"] {
            let inside = format!("<PageSize>{page}</PageSize>");
            assert_eq!(flaws(content("GetChangedSinceRequest", &inside)).await.len(), 1, "{page}");
        }
        for inside in ["<Cursor>invented</Cursor>", "<Kinds>Mark</Kinds>", "<Other/>"] {
            assert_eq!(flaws(content("GetChangedSinceRequest", inside)).await.len(), 1, "{inside}");
        }

        let text = Message::pull("", "").signed(&caller);
        let other = world.send(text.replace("GetResponseRequest", "CancelRequest")).await;
        assert_eq!(other.status, 500);
        assert!(other.xml.contains("Операция не поддерживается"), "{}", other.xml);
        let plain = world.send("<html/>").await;
        assert_eq!(plain.status, 400);
        let dtd = format!("<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>{text}");
        assert_eq!(find(&world.send(dtd).await.soap_fault(), "faultcode").text, "soap:Client");
        let headless = text.replace("<b:Timestamp>", "<b:Time>").replace("</b:Timestamp>", "</b:Time>");
        assert_eq!(world.send(headless).await.fault().local, "InvalidContent");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn merged_unknown_and_several_persons_get_defined_answers() {
    on_both(async |world| {
        let caller = world.system("FNS00001", KeyKind::P256).await;
        let mut tx = world.db.begin().await.unwrap();
        let person =
            |id, first, snils| Person { id, name: ["Ли", first, ""], born: "2010-05-05", snils };
        for p in [
            person(1, "Ян", Some(SNILS)),
            person(2, "Ян", None),
            person(3, "Иван", Some(SNILS)),
            person(4, "Ян", None),
        ] {
            world.put_person(&mut tx, &p).await;
        }
        world.put_document(&mut tx, 9, 3, "777").await;
        for (from, to) in [(4_i64, 2_i64), (2, 1)] {
            tx.execute("UPDATE person SET merged_into = $2 WHERE id = $1", args![from, to])
                .await
                .unwrap();
        }
        let sql = format!("INSERT INTO federal_identity VALUES ('F-3', 3, {})", tx.now_sql());
        tx.execute(&sql, vec![]).await.unwrap();
        tx.commit().await.unwrap();

        let told = async |inside: String| {
            let id = new_id().to_string();
            world.send(Message::ask(&id, "", &inside).signed(&caller)).await.body();
            let answered = world.send(Message::pull("", "").signed(&caller)).await.body();
            find(&answered, "MessagePrimaryContent").children[0].clone()
        };
        let ids = |node: &kontingent::codec::node::Node| {
            let mut found = Vec::new();
            for child in &node.children {
                let person = if child.local == "Redirect" { child } else { &child.children[0] };
                let id = person.attribute("RegionalID").or(person.attribute("From")).unwrap();
                found.push(format!("{}{id}", &child.local[..1]));
            }
            found
        };
        let by = |key: &str| content("GetPersonBySnilsRequest", key);
        assert_eq!(ids(&told(by_snils("00000000000")).await), Vec::<String>::new());
        assert_eq!(ids(&told(by_snils(SNILS)).await), ["P1", "P3"]);
        assert_eq!(ids(&told(by("<RegionalID>4</RegionalID>")).await), ["R4", "P1"]);
        assert_eq!(ids(&told(by("<RegionalID>99</RegionalID>")).await), Vec::<String>::new());
        assert_eq!(ids(&told(by("<FederalID>F-3</FederalID>")).await), ["P3"]);
        let like = |rest: &str| {
            let name = "<LastName>ЛИ</LastName><FirstName>Ян</FirstName>";
            content("FindPersonRequest", &format!("{name}<BirthDate>2010-05-05</BirthDate>{rest}"))
        };
        assert_eq!(ids(&told(like("")).await), ["C1"]);
        let document =
            "<Document><Type>1</Type><Series>45 00</Series><Number>777</Number></Document>";
        assert_eq!(ids(&told(like(document)).await), ["C1", "C3"]);
        for (less, found) in [
            ("<Number>777</Number>", &["C1", "C3"][..]),
            ("<Series>4500</Series><Number>777</Number>", &["C1", "C3"]),
            ("<Type>1</Type><Number>777</Number>", &["C1", "C3"]),
            ("<Type>2</Type><Number>777</Number>", &["C1"]),
            ("<Series>4501</Series><Number>777</Number>", &["C1"]),
        ] {
            let document = format!("<Document>{less}</Document>");
            assert_eq!(ids(&told(like(&document)).await), found, "{less}");
        }
    })
    .await;
}

#[test]
fn the_schema_of_answers_has_the_fields_of_the_registry() {
    let schema = std::fs::read_to_string("schemas/federal/1.0/federal-1.0.xsd").unwrap();
    for kind in KINDS {
        let spec = normalise::spec(kind);
        let begin = schema.find(&format!("<xs:complexType name=\"{}\">", kind.element())).unwrap();
        let text = schema[begin..].split("</xs:complexType>").next().unwrap();
        let named = text.lines().filter_map(|line| {
            let rest = line.trim().strip_prefix("<xs:element name=\"")?;
            Some((rest.split('"').next()?, !rest.contains("minOccurs=\"0\"")))
        });
        let fields = spec.fields.iter().map(|field| (field.element, field.required));
        assert!(named.eq(fields), "{kind:?}");
    }
}

/// The signed element moved into the header, and a copy of it, perhaps with another `Id`, left
/// in the place where it counts.
fn wrapped(signed: &str, id: &str) -> String {
    let operation = signed.find("<t:").unwrap();
    let begin = operation + signed[operation..].find('>').unwrap() + 1;
    let end = signed.find("<t:CallerInformationSystemSignature>").unwrap();
    let declared = &signed[operation..begin];
    let namespaces = &declared[declared.find(" xmlns").unwrap()..declared.len() - 1];
    let element = &signed[begin..end];
    let header = format!("<soap:Header><x{namespaces}>{element}</x></soap:Header>");
    let copy = match id {
        "" => element.to_owned(),
        id => element.replacen("Id=\"", &format!("Id=\"{id}"), 1),
    };
    let body = format!("{}{copy}{}", &signed[..begin], &signed[end..]);
    body.replacen("<soap:Header/>", &header, 1)
}

fn random() -> rand::rngs::StdRng {
    rand::SeedableRng::seed_from_u64(7)
}

fn foreign_authority() -> kontingent::trust::authority::Authority {
    let validity = validity(0, 100);
    kontingent::trust::authority::Authority::create("Another CA", validity, &mut random()).unwrap()
}
