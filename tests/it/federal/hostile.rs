//! What no right client sends, and what happens to right ones: envelopes, multipart, clients that leave.

use std::time::Duration;

use chrono::TimeDelta;
use kontingent::codec::smev3::Version;
use kontingent::model::clock::Clock;
use kontingent::trust::authority::KeyKind;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::cast::{Cast, NAMESPACE, PUPIL, id};
use super::message::{File, Message, RELATED, by_snils, headers, in_parts, multipart, new_id};
use super::world::{Answered, World, find, on_both, try_find};
use crate::harness::wait_until;
use crate::stack::Flavour;

const SNILS: &str = "11223344595";

fn ask() -> Message {
    Message::ask(&new_id().to_string(), "", &by_snils(SNILS))
}

fn code(answered: &Answered) -> String {
    find(&answered.soap_fault(), "faultcode").text.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_that_is_none_of_ours_is_told_what_it_is() {
    let world = World::start(Flavour::Embedded).await;
    let caller = world.system("FNS00001", KeyKind::P256).await;
    for version in Version::ALL {
        let send = async |envelope: String| world.send_by(version, envelope).await;
        let good = ask().by(version).signed(&caller);
        let newer = "http://www.w3.org/2003/05/soap-envelope";
        let other = good.replace("http://schemas.xmlsoap.org/soap/envelope/", newer);
        assert_eq!(code(&send(other).await), "soap:VersionMismatch");
        let demand = "<soap:Header><x:Y xmlns:x='urn:x' soap:mustUnderstand='1'/></soap:Header>";
        let demanding = good.replace("<soap:Header/>", demand);
        assert_eq!(code(&send(demanding).await), "soap:MustUnderstand");
        let body = &good[good.find("<soap:Body>").unwrap()..good.find("</soap:Envelope>").unwrap()];
        let inside = &body["<soap:Body>".len()..body.len() - "</soap:Body>".len()];
        for broken in [
            good.replace(body, &format!("{body}{body}")),
            good.replace(body, ""),
            good.replace(body, "<soap:Body/>"),
            good.replace(inside, &format!("{inside}{inside}")),
            good.replace("<soap:Header/>", "<soap:Header/><soap:Header/>"),
            good.replace("<soap:Header/>", "")
                .replace("</soap:Body>", "</soap:Body><soap:Header/>"),
            good.replace("</soap:Envelope>", ""),
            format!("<!DOCTYPE a [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>{good}"),
            good.replace("SendRequestRequest", "CancelRequest"),
        ] {
            let answered = send(broken.clone()).await;
            assert_eq!(code(&answered), "soap:Client", "{broken}");
            assert!(try_find(&answered.soap_fault(), "detail").unwrap().children.is_empty());
        }
        for other in ["<html/>", "", "GET", "\u{feff}"] {
            assert_eq!(send(other.to_owned()).await.status, 400, "{other}");
        }
        let encoded = format!("<?xml version='1.0' encoding='windows-1251'?>{good}");
        assert!(matches!(send(encoded).await.status, 400 | 415 | 500));
        for wrong in Version::ALL.into_iter().filter(|other| *other != version) {
            let answered = world.send_by(wrong, good.clone()).await;
            let said = find(&answered.soap_fault(), "faultstring").text.clone();
            let address = format!("её адрес /ws/smev/{}", version.as_str());
            assert!(said.contains(&address), "{said}");
        }
        if version == Version::V13 {
            let none = Message::statistics("").by(version).signed(&caller);
            assert_eq!(code(&send(none).await), "soap:Client");
        }
        for (action, right) in [
            ("urn:SendRequest", true),
            ("\"urn:SendRequest\"", true),
            ("\"\"", true),
            ("", true),
            ("urn:Ack", false),
            ("SendRequest", false),
        ] {
            let headers = [("content-type", "text/xml;charset=UTF-8"), ("soapaction", action)];
            let message = ask().by(version).signed(&caller);
            let answered = world.post(version, &headers, message).await;
            assert_eq!(answered.status, if right { 200 } else { 500 }, "{action}");
        }
        for kind in ["text/plain", "application/json", "text/xml; charset=windows-1251", "x", ""] {
            let headers = [("content-type", kind)];
            assert_eq!(world.post(version, &headers, good.clone()).await.status, 415, "{kind}");
        }
    }
    let taken = world.count("SELECT count(*) FROM mailbox_request").await;
    assert_eq!(taken, 3 * 4, "those with a right action");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_descriptions_and_schemas_are_served_and_each_names_where_it_is() {
    let world = World::start(Flavour::Embedded).await;
    let mut schemas = 0;
    for version in Version::ALL {
        let (status, wsdl) = world.get(&format!("/ws/smev/{}?wsdl", version.as_str())).await;
        assert_eq!(status, 200);
        let location = format!("location=\"{}\"", world.url(version));
        assert_eq!(wsdl.matches(&location).count(), 1, "{wsdl}");
        for import in wsdl.split("schemaLocation=\"").skip(1) {
            let url = import.split('"').next().unwrap();
            let path =
                url.strip_prefix(&world.address()).map_or(format!("/ws/smev/{url}"), str::to_owned);
            assert_eq!(world.get(&path).await.0, 200, "{path}");
            schemas += 1;
        }
    }
    assert!(schemas >= 3 * 3, "{schemas}");
    for other in [
        "/ws/smev/1.3?xsd=../../etc/passwd",
        "/ws/smev/../../Cargo.toml",
        "/ws/smev/..%2f..%2fCargo.toml?wsdl",
        "/ws/smev/x.xsd",
        "/ws/smev/1.3",
        "/ws/smev/1.4?wsdl",
    ] {
        assert_eq!(world.get(other).await.0, 404, "{other}");
    }
    world.finish_without_answers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_multipart_that_does_not_hold_together_is_refused_whole() {
    let world = World::start(Flavour::Embedded).await;
    let caller = world.system("FNS00001", KeyKind::P256).await;
    let file = File::new("a", b"one\r\n--MIM two", &caller);
    let message = ask().with(std::slice::from_ref(&file)).signed(&caller);
    let (kind, good) = in_parts(&message, std::slice::from_ref(&file));
    let text = String::from_utf8_lossy(&good).into_owned();
    let envelope = text.split("\r\n\r\n").nth(1).unwrap().split("\r\n--MIME").next().unwrap();
    let root = |xml: &str| {
        let kind = "application/xop+xml; charset=UTF-8; type=\"text/xml\"";
        (kind, "root@client".to_owned(), xml.as_bytes().to_vec())
    };
    let part = |number: usize, bytes: &[u8]| {
        ("application/octet-stream", format!("{number}@urn://client"), bytes.to_vec())
    };
    let (pkcs7, bytes) = (part(0, &file.pkcs7), part(1, &file.bytes));
    let nested = ("multipart/mixed; boundary=x", bytes.1.clone(), bytes.2.clone());
    let many: Vec<_> = (2..110).map(|number| part(number, b"x")).collect();
    let second = envelope.replace("cid:1@", "cid:0@");
    assert_ne!(second, envelope);
    let of = |parts: Vec<(&'static str, String, Vec<u8>)>| multipart(&parts);
    let refused = |body: Vec<u8>| (kind.clone(), body);
    let start = RELATED.replace("root@client", "else@client");
    for (what, (kind, body)) in [
        ("no root", refused(of(vec![pkcs7.clone(), bytes.clone()]))),
        ("start names another", (start, good.clone())),
        ("a part is missing", refused(of(vec![root(envelope), pkcs7.clone()]))),
        (
            "twice the same id",
            refused(of(vec![root(envelope), pkcs7.clone(), bytes.clone(), pkcs7.clone()])),
        ),
        (
            "nothing refers to one",
            refused(of(vec![root(envelope), pkcs7.clone(), bytes.clone(), part(2, b"x")])),
        ),
        (
            "one is referred to twice",
            refused(of(vec![root(&second), pkcs7.clone(), bytes.clone()])),
        ),
        ("a multipart inside", refused(of(vec![root(envelope), pkcs7.clone(), nested]))),
        (
            "very many",
            refused(of([vec![root(envelope), pkcs7.clone(), bytes.clone()], many].concat())),
        ),
        ("a transfer encoding", refused(replaced(&good, "Encoding: binary", "Encoding: base64"))),
        (
            "an endless header",
            refused(replaced(
                &good,
                "Content-ID",
                &format!("X: {}\r\nContent-ID", "x".repeat(200_000)),
            )),
        ),
        ("it breaks off", refused(good[..good.len() - 20].to_vec())),
        ("nothing at all", refused(b"--MIME--\r\n".to_vec())),
    ] {
        let answered = world.post(Version::V13, &[("content-type", &kind)], body).await;
        assert_eq!(answered.status, 400, "{what}: {}", answered.xml);
        assert!(answered.xml.contains("MIME_STRUCTURE"), "{what}: {}", answered.xml);
    }
    for kind in [
        "multipart/related; boundary=MIME",
        "multipart/mixed; boundary=MIME; type=\"application/xop+xml\"",
    ] {
        let answered = world.post(Version::V13, &[("content-type", kind)], good.clone()).await;
        assert_eq!(answered.status, 415, "{kind}");
    }
    let huge = of(vec![root(envelope), pkcs7.clone(), part(1, &vec![0; 17 << 20])]);
    assert_eq!(world.post(Version::V13, &[("content-type", &kind)], huge).await.status, 413);
    // A file that its signature does not cover.
    let other = of(vec![root(envelope), pkcs7, part(1, b"another file")]);
    let answered = world.post(Version::V13, &[("content-type", &kind)], other).await;
    assert_eq!(answered.fault().local, "SignatureVerificationFault");
    assert_eq!(world.count("SELECT count(*) FROM mailbox_request").await, 0);
    assert_eq!(world.post(Version::V13, &[("content-type", &kind)], good).await.status, 200);
    world.finish().await;
}

/// The last place where it stands, other text in it.
fn replaced(body: &[u8], from: &str, to: &str) -> Vec<u8> {
    let at = memchr::memmem::rfind(body, from.as_bytes()).unwrap();
    [&body[..at], to.as_bytes(), &body[at + from.len()..]].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_before_the_answer_and_sends_again_is_answered_once() {
    on_both(async |world| {
        let caller = world.system("FNS00001", KeyKind::P256).await;
        world.send(ask().signed(&caller)).await.body();
        let mut ids = Vec::new();
        for pause in [0, 1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96] {
            let id = new_id().to_string();
            let message = Message::ask(&id, "", &by_snils(SNILS)).signed(&caller);
            let address = world.address();
            let host = address.strip_prefix("http://").unwrap();
            let mut stream = TcpStream::connect(host).await.unwrap();
            let head = format!(
                "POST /ws/smev/1.3 HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/xml\r\n\
                 Content-Length: {}\r\n\r\n{message}",
                message.len()
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(pause)).await;
            drop(stream);
            let again = world.send(message.clone()).await;
            if again.status != 200 {
                assert_eq!(again.fault().local, "MessageIsAlreadySent");
            }
            // The same id with other words is the same message.
            let other = Message::ask(&id, "", &by_snils("00000000000")).signed(&caller);
            assert_eq!(world.send(other).await.fault().local, "MessageIsAlreadySent");
            ids.push(id);
        }
        let answers = "SELECT count(*) FROM mailbox_message";
        wait_until("all are answered", async || world.count(answers).await >= 13).await;
        assert_eq!(world.count(answers).await, 13);
        let twice = "SELECT count(*) FROM (SELECT request_id FROM mailbox_message \
            GROUP BY request_id HAVING count(*) > 1) t";
        assert_eq!(world.count(twice).await, 0);
        assert_eq!(world.count("SELECT count(*) FROM disclosure").await, 13);
        if world.db.is_postgres() {
            // No connection was left in the middle of a transaction.
            let open = "SELECT count(*) FROM pg_stat_activity \
                WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
            wait_until("all connections are at rest", async || world.count(open).await == 0).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_signature_does_not_hold_is_not_taken() {
    let world = World::start(Flavour::Embedded).await;
    let cast = Cast::gather(&world).await;
    for version in Version::ALL {
        // The transform of SMEV drops blanks between instructions; whoever reads the text does not.
        let name = "<PupilRequest xmlns='urn:example:pupil'>Иванов</PupilRequest>";
        let signed = Message::ask(&id(), "", name).by(version).signed(&cast.consumer);
        let split = signed.replace("Иванов", "Ива<?x?> <?x?>нов");
        refused(&world, version, split).await;
        world.send_by(version, signed).await.body();

        let official = |before: &str| {
            let root = "<PupilRequest xmlns='urn:example:pupil' Id='P'/>";
            let ask = Message::ask(&id(), "", &format!("{before}{root}")).by(version);
            ask.official(&cast.consumer, (NAMESPACE, "PupilRequest")).signed(&cast.consumer)
        };
        let beside = world.send_by(version, official("не подписано ")).await.fault();
        assert_eq!(beside.local, "InvalidContent");
        world.send_by(version, official("")).await.body();
    }
    world.finish().await;
}

async fn refused(world: &World, version: Version, message: String) {
    let fault = world.send_by(version, message).await.fault();
    assert_eq!(fault.local, "SignatureVerificationFault");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_made_long_ago_is_handed_nothing() {
    let world = World::start(Flavour::Embedded).await;
    let cast = Cast::gather(&world).await;
    let now = Clock::System.now();
    let told = |hours: i64, zone: &str| {
        (now + TimeDelta::hours(hours)).format(&format!("%Y-%m-%dT%H:%M:%S{zone}")).to_string()
    };
    for version in Version::ALL {
        let calls = [Message::take(""), Message::pull("", ""), Message::status()];
        for call in calls.map(|call| call.by(version)) {
            for stale in
                [told(-49, "Z"), told(1, "Z"), told(-63, ""), "2019-01-01T00:00:00Z".into()]
            {
                let call = call.clone().dated(&stale).signed(&cast.provider);
                let fault = world.send_by(version, call).await.fault();
                assert_eq!(fault.local, "InvalidContent", "{stale}");
            }
            for fresh in [told(-47, "Z"), told(0, "Z"), told(10, ""), told(-60, "")] {
                let call = call.clone().dated(&fresh).signed(&cast.provider);
                world.send_by(version, call).await.body();
            }
        }
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_in_a_senders_signature_is_never_that_of_ours() {
    let world = World::start(Flavour::Embedded).await;
    let cast = Cast::gather(&world).await;
    for version in Version::ALL {
        let signed = Message::ask(&id(), "", PUPIL).by(version).signed(&cast.consumer);
        // Nothing covers the signature itself.
        let taken =
            signed.replace("<ds:SignatureValue>", "<ds:SignatureValue Id=\"SIGNED_BY_SMEV\">");
        assert_ne!(taken, signed);
        world.send_by(version, taken).await.body();
        let handed = world.hand_out(version, &Message::take(""), &cast.provider).await;
        assert_eq!(handed.xml.matches("Id=\"SIGNED_BY_SMEV\"").count(), 1, "{}", handed.xml);
        assert!(handed.xml.contains("URI=\"#SIGNED_BY_SMEV_\""));
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_takes_so_many_statuses_and_then_its_answer() {
    let world = World::start(Flavour::Embedded).await;
    let cast = Cast::gather(&world).await;
    let to = cast.reply_to(&world, Version::V13, &cast.consumer).await;
    for _ in 0..100 {
        world.send(Message::progress(&id(), &to).signed(&cast.provider)).await.body();
    }
    let fault = world.send(Message::progress(&id(), &to).signed(&cast.provider)).await.fault();
    assert_eq!(fault.local, "DestinationOverflow");
    let answer = Message::answer(&id(), &to, "<PupilResponse xmlns='urn:example:pupil'/>");
    world.send(answer.signed(&cast.provider)).await.body();
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_kind_is_none_of_the_schema_is_not_handed_on() {
    let world = World::start(Flavour::Embedded).await;
    let cast = Cast::gather(&world).await;
    let files = [File::new("a", b"file", &cast.consumer)];
    let stored = "<b:RefAttachmentHeaderList><b:RefAttachmentHeader><b:uuid>u</b:uuid><b:Hash>h</b:Hash>\
        <b:MimeType>application/zip</b:MimeType></b:RefAttachmentHeader></b:RefAttachmentHeaderList>";
    let good = "<b:MimeType>application/zip</b:MimeType>";
    let kind = |kind: &str| format!("<b:MimeType>{kind}</b:MimeType>");
    for version in Version::ALL {
        let ask = |headers: &str, files: &[File]| {
            let ask = Message::ask(&id(), "", PUPIL).by(version).with_headers(headers, files);
            world.send_by(version, ask.signed(&cast.consumer))
        };
        let header = headers(&files, "");
        for wrong in
            ["", "zip", "x/zip", "application/zip; q=1", " application/zip", "text/ж", "text/a/b"]
        {
            for answered in [
                ask(&header.replace(good, &kind(wrong)), &files).await,
                ask(&stored.replace(good, &kind(wrong)), &[]).await,
            ] {
                let fault = answered.fault();
                assert_eq!(fault.local, "InvalidContent", "{wrong}");
                assert!(find(&fault, "ValidationError").text.contains("MimeType"), "{wrong}");
            }
        }
        assert_eq!(ask(&header.replace(good, ""), &files).await.fault().local, "InvalidContent");
        for right in ["text/", "image/svg+xml", "application/vnd.ms-excel"] {
            ask(&header.replace(good, &kind(right)), &files).await.body();
        }
    }
    world.finish().await;
}
