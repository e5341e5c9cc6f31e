//! Files too large for a message: put into the store beforehand, fetched by the receiver of the message
//! with a word that is worth something as long as the message is out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kontingent::args;
use kontingent::codec::smev3::Version;
use kontingent::codec::streebog::Streebog;
use kontingent::trust::Signer;
use kontingent::trust::authority::KeyKind;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Barrier;

use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::pkey::PKey;
use openssl::x509::X509;

use super::cast::foreign;
use super::message::{Message, by_snils, new_id};
use super::world::{Answered, World, find, on_both, signer, validity, worth};
use crate::harness::wait_until;
use crate::stack::{Flavour, flavours};

const NAMESPACE: &str = "urn:example:pupil";

/// Bytes of files that may wait for a receiver, and that a sender may have put and not sent.
const QUOTA: i64 = 8 << 30;

/// As how many bytes a file counts at least.
const LEAST: i64 = 64 << 10;

/// A folder of the store, the name of the file in it, and its hash.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) folder: String,
    pub(super) hash: String,
    /// Detached PKCS#7 over it, DER.
    pub(super) pkcs7: Vec<u8>,
}

impl Stored {
    /// The header by which a message refers to it.
    pub(super) fn header(&self) -> String {
        let Self { folder, hash, pkcs7 } = self;
        let signature = STANDARD.encode(pkcs7);
        let signature = match pkcs7.len() {
            0 => String::new(),
            _ => format!("<b:SignaturePKCS7>{signature}</b:SignaturePKCS7>"),
        };
        format!(
            "<b:RefAttachmentHeaderList><b:RefAttachmentHeader><b:uuid>{folder}</b:uuid>\
             <b:Hash>{hash}</b:Hash><b:MimeType>application/zip</b:MimeType>{signature}\
             </b:RefAttachmentHeader></b:RefAttachmentHeaderList>"
        )
    }

    /// The same with the signature of this system over these bytes.
    pub(super) fn signed(self, signer: &Signer, bytes: &[u8]) -> Self {
        Self { pkcs7: signer.sign_file(bytes).unwrap(), ..self }
    }
}

/// Puts a file into a folder of its own.
pub(super) async fn put(world: &World, mnemonic: &str, word: &str, bytes: &[u8]) -> Stored {
    let folder = id();
    let (status, told) = try_put(world, (mnemonic, word), &folder, "data.zip", bytes).await;
    assert_eq!(status, 201, "{told}");
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["bytes"], bytes.len());
    let hash = told["hash"].as_str().unwrap().to_owned();
    Stored { folder, hash, pkcs7: Vec::new() }
}

async fn try_put(
    world: &World,
    (user, word): (&str, &str),
    folder: &str,
    name: &str,
    bytes: &[u8],
) -> (u16, String) {
    let url = format!("{}/ws/smev/files/{folder}/{name}", world.address());
    let request = reqwest::Client::new().put(url).header("authorization", basic(user, word));
    let response = request.body(bytes.to_vec()).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// Says in the database that a file has so many bytes.
async fn resize(world: &World, stored: &Stored, bytes: i64) {
    let sql = "UPDATE store_file SET size_bytes = $2 WHERE uuid = $1";
    world.db.execute(sql, args![stored.folder.as_str(), bytes]).await.unwrap();
}

/// An upload of which the last byte is missing.
async fn half_put(world: &World, (user, word): (&str, &str)) -> TcpStream {
    let address = world.address();
    let host = address.strip_prefix("http://").unwrap();
    let (folder, basic) = (id(), basic(user, word));
    let head = format!(
        "PUT /ws/smev/files/{folder}/data.zip HTTP/1.1\r\nHost: {host}\r\n\
         Authorization: {basic}\r\nContent-Length: 5\r\n\r\nbyte"
    );
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// What comes back, up to the end of the connection or of what is read at once.
async fn answer(stream: &mut TcpStream) -> String {
    let mut told = vec![0; 4096];
    let length = stream.read(&mut told).await.unwrap();
    String::from_utf8_lossy(&told[..length]).into_owned()
}

async fn fetch(world: &World, user: &str, word: &str, path: &str) -> (u16, Vec<u8>) {
    let url = format!("{}/ws/smev/files{path}", world.address());
    let request = reqwest::Client::new().get(url).header("authorization", basic(user, word));
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.bytes().await.unwrap().to_vec())
}

fn basic(user: &str, word: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{word}")))
}

fn id() -> String {
    new_id().to_string()
}

fn text(answered: &Answered, name: &str) -> String {
    find(&answered.body(), name).text.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_goes_through_the_store_and_is_gone_when_its_message_is_confirmed() {
    on_both(async |world| {
        let consumer = world.system("IS00001", KeyKind::P256).await;
        let provider = world.system("IS00002", KeyKind::P256).await;
        world.kind("Pupil", "IS00002", NAMESPACE, true).await;
        let word =
            |mnemonic| async move { world.admin().issue_store_word(mnemonic).await.unwrap() };
        let words = [word("IS00001").await, word("IS00002").await];
        // More than a piece, once: it takes long to hash.
        let length = if world.db.is_postgres() { (1_u32 << 20) + 9 } else { 9 };
        let bytes: Vec<u8> = (0..length).map(|n| (n % 241) as u8).collect();
        let stored = put(world, "IS00001", &words[0], &bytes).await.signed(&consumer, &bytes);
        let root = |name: &str| format!("<{name} xmlns='{NAMESPACE}'/>");
        let ask = |stored: &Stored| {
            let ask = Message::ask(&id(), "", &root("PupilRequest"));
            ask.with_headers(&stored.header(), &[])
        };
        let refused = async |message: Message, who: &Signer| {
            let fault = world.send(message.signed(who)).await.fault();
            assert_eq!(fault.local, "AttachmentContentMiscoordination");
        };
        let foreign = put(world, "IS00002", &words[1], b"foreign").await;
        let foreign = foreign.signed(&provider, b"foreign");
        let mut hash = Streebog::new_256();
        hash.update(b"foreign");
        assert_eq!(foreign.hash, STANDARD.encode(hash.finish()));
        let wrong = Stored { hash: foreign.hash.clone(), ..stored.clone() };
        let missing = Stored { folder: id(), ..stored.clone() };
        for bad in [&foreign, &wrong, &missing] {
            refused(ask(bad), &consumer).await;
        }
        for (who, folder, name, status) in [
            (("IS00001", "x"), id(), "a", 401),
            (("IS00009", &*words[0]), id(), "a", 401),
            (("IS00002", &*words[0]), id(), "a", 401),
            (("IS00001", &*words[0]), stored.folder.clone(), "a", 409),
            (("IS00001", &*words[0]), id(), "..%2f..%2fetc", 400),
            (("IS00001", &*words[0]), id(), ".hidden", 400),
        ] {
            let (told, problem) = try_put(world, who, &folder, name, b"x").await;
            assert_eq!(told, status, "{folder}/{name}: {problem}");
        }

        world.send(ask(&stored).signed(&consumer)).await.body();
        refused(ask(&stored), &consumer).await;
        let request = world.hand_out(Version::V11, &Message::take(""), &provider).await;
        let [user, password] = ["UserName", "Password"].map(|name| text(&request, name));
        assert_eq!(text(&request, "FileName"), "/data.zip");
        let path = format!("/{}/data.zip", stored.folder);
        assert_eq!(fetch(world, &user, &password, &path).await, (200, bytes.clone()));
        for (user, word, path, status) in [
            (&*user, "x", path.clone(), 401),
            ("IS00001", &*words[0], path.clone(), 401),
            (&*user, &*password, format!("/{}/data.zip", foreign.folder), 401),
            (&*user, &*password, format!("/{}/other", stored.folder), 404),
        ] {
            assert_eq!(fetch(world, user, word, &path).await.0, status, "{path}");
        }

        let to = text(&request, "ReplyTo");
        let answer = Message::answer(&id(), &to, &root("PupilResponse")).by(Version::V12);
        let answer = answer.with_headers(&foreign.header(), &[]).signed(&provider);
        world.send_by(Version::V12, answer).await.body();
        world.ack(Version::V11, &request, &provider).await;
        assert_eq!(fetch(world, &user, &password, &path).await.0, 401, "it is gone");
        let response = world.hand_out(Version::V12, &Message::pull("", ""), &consumer).await;
        let [user, password] = ["UserName", "Password"].map(|name| text(&response, name));
        let path = format!("/{}/data.zip", foreign.folder);
        assert_eq!(fetch(world, &user, &password, &path).await, (200, b"foreign".to_vec()));
        let worth = worth([&response]).remove(0);
        assert_eq!(worth["SMEVSignature"]["valid"], true, "{worth}");
        assert_eq!(worth["SenderInformationSystemSignature"]["valid"], true, "{worth}");
        world.ack(Version::V12, &response, &consumer).await;
        for table in ["store_file", "store_part", "store_pass"] {
            assert_eq!(world.count(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_the_store_is_judged_by_its_signature_as_one_in_the_message() {
    on_both(async |world| {
        let provider = world.system("IS00002", KeyKind::P256).await;
        world.kind("Pupil", "IS00002", NAMESPACE, true).await;
        let word = world.admin().issue_store_word("IS00002").await.unwrap();
        let issued = world.issue("IS000001", KeyKind::Rsa(2048), validity(0, 9));
        world.register("IS00001", &issued).await;
        let consumer = signer(&issued);
        let own = world.admin().issue_store_word("IS00001").await.unwrap();
        // More than a piece, once: it takes long to hash.
        let length = if world.db.is_postgres() { (1_u32 << 20) + 9 } else { 300 };
        let bytes: Vec<u8> = (0..length).map(|n| (n % 239) as u8).collect();
        let ask = Message::ask(&id(), "", &format!("<PupilRequest xmlns='{NAMESPACE}'/>"));
        world.send(ask.signed(&consumer)).await.body();
        let request = world.hand_out(Version::V13, &Message::take(""), &provider).await;
        let to = text(&request, "ReplyTo");

        // A small piece of the file changed, behind what is read first.
        let mut changed = bytes.clone();
        *changed.last_mut().unwrap() ^= 1;
        let expired = signer(&world.issue("expired", KeyKind::P256, validity(-20, -10)));
        let wrong: [(Vec<u8>, &str, &str); 6] = [
            (Vec::new(), "NoSignatureFound", "подпись отсутствует"),
            (provider.sign_file(&changed).unwrap(), "SignatureIsInvalid", "Подпись PKCS#7 не"),
            (vec![0x30, 0], "SignatureIsInvalid", "Нарушена структура подписи PKCS#7"),
            (foreign().sign_file(&bytes).unwrap(), "CertificateIsNotFound", "Сертификат выдан не"),
            (expired.sign_file(&bytes).unwrap(), "CertificateIsExpired", "Срок действия"),
            (provider.sign_file(b"").unwrap(), "SignatureIsInvalid", "Подпись PKCS#7 не"),
        ];
        let theirs = put(world, "IS00002", &word, &bytes).await;
        let mine = match length {
            300 => put(world, "IS00001", &own, &bytes).await,
            _ => put(world, "IS00001", &own, b"mine").await,
        };
        let send = async |stored: &Stored, answer: bool| {
            let name = if answer { "PupilResponse" } else { "PupilRequest" };
            let (content, id) = (format!("<{name} xmlns='{NAMESPACE}'/>"), id());
            let message = if answer {
                Message::answer(&id, &to, &content)
            } else {
                Message::ask(&id, "", &content)
            };
            let who = if answer { &provider } else { &consumer };
            world.send(message.with_headers(&stored.header(), &[]).signed(who)).await
        };
        for (pkcs7, reason, said) in wrong {
            for (stored, answer) in [(&theirs, true), (&mine, false)] {
                if !answer && length > 300 {
                    continue;
                }
                let stored = Stored { pkcs7: pkcs7.clone(), ..stored.clone() };
                let fault = send(&stored, answer).await.fault();
                assert_eq!(fault.local, "SignatureVerificationFault");
                assert_eq!(find(&fault, "SignatureVerificationFault").text, reason);
                let about = format!("SMEV-100:Проверка подписи на вложении {}: ", stored.folder);
                let description = &find(&fault, "Description").text;
                assert!(description.starts_with(&format!("{about}{said}")), "{description}");
            }
        }
        assert_eq!(world.count("SELECT count(message_id) FROM store_file").await, 0);
        // RSA, and the file inside the signature: both are taken where they are right.
        let right = if length == 300 { &bytes[..] } else { b"mine" };
        send(&mine.signed(&consumer, right), false).await.body();
        let small = put(world, "IS00002", &word, b"small").await;
        let inside =
            Stored { pkcs7: with_content(&provider_pem(world), b"small"), ..small.clone() };
        let other = Stored { pkcs7: with_content(&provider_pem(world), b"smell"), ..small };
        let fault = send(&other, true).await.fault();
        assert_eq!(find(&fault, "SignatureVerificationFault").text, "SignatureIsInvalid");
        send(&inside, true).await.body();
        assert_eq!(world.count("SELECT count(message_id) FROM store_file").await, 2);
    })
    .await;
}

/// Key and certificate of a signer whom the exchange trusts.
fn provider_pem(world: &World) -> [Vec<u8>; 2] {
    let issued = world.issue("inside", KeyKind::P256, validity(0, 9));
    [issued.key_pem().unwrap(), issued.certificate_pem().unwrap()]
}

/// PKCS#7 with the file inside.
fn with_content([key, certificate]: &[Vec<u8>; 2], file: &[u8]) -> Vec<u8> {
    let key = PKey::private_key_from_pem(key).unwrap();
    let certificate = X509::from_pem(certificate).unwrap();
    let flags = CMSOptions::BINARY;
    let signed = CmsContentInfo::sign(Some(&certificate), Some(&key), None, Some(file), flags);
    signed.unwrap().to_der().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_put_again_is_the_same_file_and_another_is_told_to_go_elsewhere() {
    for flavour in flavours() {
        let world = World::start(flavour).await;
        world.system("IS00001", KeyKind::P256).await;
        world.system("IS00002", KeyKind::P256).await;
        let word = |mnemonic| {
            let admin = world.admin();
            async move { admin.issue_store_word(mnemonic).await.unwrap() }
        };
        let words = [word("IS00001").await, word("IS00002").await];
        let (own, other) = (("IS00001", &*words[0]), ("IS00002", &*words[1]));
        let folder = id();
        let (status, first) = try_put(&world, own, &folder, "a.zip", b"bytes").await;
        assert_eq!(status, 201, "{first}");
        assert_eq!(try_put(&world, own, &folder, "a.zip", b"bytes").await, (200, first.clone()));
        for (who, name, bytes) in [
            (own, "a.zip", &b"bytez"[..]),
            (own, "a.zip", b"byte"),
            (own, "a.zip", b"bytes and more"),
            (own, "b.zip", b"bytes"),
            (other, "a.zip", b"bytes"),
        ] {
            let (status, told) = try_put(&world, who, &folder, name, bytes).await;
            let told: Value = serde_json::from_str(&told).unwrap();
            assert_eq!((status, &told["code"]), (409, &"FOLDER_TAKEN".into()), "{told}");
            let title = told["title"].as_str().unwrap();
            assert!(title.contains("новым идентификатором") && !title.contains("акет"), "{title}");
        }
        assert_eq!(try_put(&world, own, &folder, "a.zip", b"bytes").await, (200, first));
        let begun = "UPDATE store_file SET hash = NULL";
        world.db.execute(begun, vec![]).await.unwrap();
        let (status, told) = try_put(&world, own, &folder, "a.zip", b"bytes").await;
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!((status, &told["code"]), (409, &"FILE_UNFINISHED".into()), "{told}");
        // No message was sent.
        world.finish_without_answers().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_at_the_same_time_take_no_more_than_is_left_to_their_system() {
    const UPLOADS: i64 = 4;
    const WHOLE: usize = 200 << 10;
    for flavour in flavours() {
        let world = World::start(flavour).await;
        world.system("IS00001", KeyKind::P256).await;
        let word = world.admin().issue_store_word("IS00001").await.unwrap();
        put(&world, "IS00001", &word, b"much").await;
        // Each counts as the least from its beginning; none has room beside another that is there whole.
        let left = WHOLE as i64 + (UPLOADS - 1) * LEAST;
        let much = format!("UPDATE store_file SET size_bytes = {}", QUOTA - left);
        world.db.execute(&much, vec![]).await.unwrap();
        let begun = Arc::new(Barrier::new(5));
        let uploads = (0..UPLOADS).map(|_| {
            let begun = Arc::clone(&begun);
            let rest = stream::once(async move {
                begun.wait().await;
                Ok(b"bytes".to_vec())
            });
            let some: Result<_, std::io::Error> = Ok(vec![0; WHOLE - 5]);
            let body = reqwest::Body::wrap_stream(stream::iter([some]).chain(rest));
            let url = format!("{}/ws/smev/files/{}/data.zip", world.address(), id());
            let request = reqwest::Client::new().put(url);
            let request = request.header("authorization", basic("IS00001", &word)).body(body);
            async move { request.send().await.unwrap().status().as_u16() }
        });
        let release = async {
            while world.count("SELECT count(*) FROM store_file").await < 1 + UPLOADS {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            // What has come takes a while to hash; then all end at the same time.
            tokio::time::sleep(Duration::from_millis(500)).await;
            begun.wait().await;
        };
        let (mut told, ()) = tokio::join!(join_all(uploads), release);
        told.sort_unstable();
        assert_eq!(told, [201, 413, 413, 413]);
        for table in ["store_file", "store_part"] {
            assert_eq!(world.count(&format!("SELECT count(*) FROM {table}")).await, 2, "{table}");
        }
        world.finish_without_answers().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_a_bad_name_is_told_what_it_may_be_called() {
    let world = World::start(Flavour::Embedded).await;
    world.system("IS00001", KeyKind::P256).await;
    let word = world.admin().issue_store_word("IS00001").await.unwrap();
    let own = ("IS00001", &*word);
    let (long, longest) = ("x".repeat(201), "x".repeat(200));
    for name in ["a b.zip", "скан.zip", "scan(1).zip", "a+b.zip", ".hidden", "%20", &long] {
        let (status, told) = try_put(&world, own, &id(), name, b"x").await;
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!((status, &told["code"]), (400, &"REQUEST_INVALID".into()), "{name}: {told}");
        let detail = told["detail"].as_str().unwrap();
        assert!(detail.contains("латинские буквы") && detail.contains("200"), "{detail}");
    }
    assert_eq!(try_put(&world, own, "6f 1d", "a.zip", b"x").await.0, 400);
    for name in ["scan-1_a~.tar.gz", &longest] {
        assert_eq!(try_put(&world, own, &id(), name, b"x").await.0, 201, "{name}");
    }
    world.finish_without_answers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_over_those_of_a_system_or_of_all_are_told_to_come_later() {
    const ALL: i64 = 64;
    const OF_ONE: i64 = 8;
    let world = World::start(Flavour::Embedded).await;
    let names: Vec<String> = (1..=9).map(|number| format!("IS0000{number}")).collect();
    let mut words = Vec::new();
    for name in &names {
        world.system(name, KeyKind::P256).await;
        words.push(world.admin().issue_store_word(name).await.unwrap());
    }
    let who = |place: usize| (&*names[place], &*words[place]);
    let begun = async |count: i64| {
        while world.count("SELECT count(*) FROM store_file").await < count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let busy = async |who| {
        let told = answer(&mut half_put(&world, who).await).await;
        assert!(told.starts_with("HTTP/1.1 429 "), "{told}");
        assert!(told.contains("retry-after: 5\r\n"), "{told}");
        assert!(told.contains("\"code\":\"TOO_MANY_REQUESTS\""), "{told}");
        assert!(told.contains("одновременно загружается не более 8 файлов"), "{told}");
    };

    // Who does not know the word holds no place of the system whose name it gives.
    let strangers: Vec<_> = (0..OF_ONE).map(|_| half_put(&world, (&names[0], "x"))).collect();
    let mut strangers = join_all(strangers).await;
    let mut held = Vec::new();
    for place in 0..8 {
        held.extend(join_all((0..OF_ONE).map(|_| half_put(&world, who(place)))).await);
        begun(held.len() as i64).await;
        if place == 0 {
            busy(who(0)).await;
        }
    }
    assert_eq!(held.len() as i64, ALL);
    busy(who(8)).await;
    for stream in &mut strangers {
        assert!(answer(stream).await.starts_with("HTTP/1.1 401 "));
    }

    // A place is given back by whoever comes to an end, and by whoever leaves.
    held[0].write_all(b"s").await.unwrap();
    assert!(answer(&mut held[0]).await.starts_with("HTTP/1.1 201 "));
    put(&world, who(8).0, who(8).1, b"bytes").await;
    drop(held);
    for place in 0..9 {
        let free = async || {
            let (user, word) = who(place);
            try_put(&world, (user, word), &id(), "data.zip", b"bytes").await.0 == 201
        };
        wait_until("the places are free", free).await;
    }
    let unfinished = "SELECT count(*) FROM store_file WHERE hash IS NULL";
    let gone = async || world.count(unfinished).await == 0;
    wait_until("what broke off is gone", gone).await;
    world.finish_without_answers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sender_fills_no_more_than_a_quarter_of_what_may_wait_for_a_receiver() {
    const QUARTER: i64 = QUOTA / 4;
    const ROUNDS: i64 = 4;
    on_both(async |world| {
        let consumer = world.system("IS00001", KeyKind::P256).await;
        let provider = world.system("IS00002", KeyKind::P256).await;
        let another = world.system("IS00003", KeyKind::P256).await;
        world.kind("Pupil", "IS00002", NAMESPACE, true).await;
        let stored = async |mnemonic, signer: &Signer| {
            let word = world.admin().issue_store_word(mnemonic).await.unwrap();
            put(world, mnemonic, &word, b"").await.signed(signer, b"")
        };
        let ask = async |stored: &Stored, signer: &Signer| {
            let ask = Message::ask(&id(), "", &format!("<PupilRequest xmlns='{NAMESPACE}'/>"));
            world.send(ask.with_headers(&stored.header(), &[]).signed(signer)).await
        };
        let refused = |answered: &Answered, remained: i64| {
            let fault = answered.fault();
            assert_eq!(fault.local, "QuoteLimitExceeded");
            assert_eq!(find(&fault, "RemainedTotalQuoteSize").text, remained.to_string());
            assert_eq!(find(&fault, "RealTotalAttachmentSize").text, LEAST.to_string());
        };
        // Of several at the same time for the last of the room one gets it.
        let one = |answers: &[Answered]| {
            let (taken, late): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 200);
            assert_eq!(taken.len(), 1);
            for answered in late {
                refused(answered, 0);
            }
        };

        let large = stored("IS00001", &consumer).await;
        ask(&large, &consumer).await.body();
        for round in 1..=ROUNDS {
            resize(world, &large, QUARTER - round * LEAST).await;
            let mut files = Vec::new();
            for _ in 0..6 {
                files.push(stored("IS00001", &consumer).await);
            }
            one(&join_all(files.iter().map(|file| ask(file, &consumer))).await);
        }
        resize(world, &large, QUARTER - (ROUNDS + 1) * LEAST + 1).await;
        let next = stored("IS00001", &consumer).await;
        refused(&ask(&next, &consumer).await, LEAST - 1);
        let theirs = stored("IS00003", &another).await;
        ask(&theirs, &another).await.body();
        // What is left to all is told where that is less.
        resize(world, &large, 0).await;
        resize(world, &theirs, QUOTA - (ROUNDS + 1) * LEAST - 1000).await;
        refused(&ask(&next, &consumer).await, 1000);
        resize(world, &theirs, QUOTA - (ROUNDS + 2) * LEAST).await;
        ask(&next, &consumer).await.body();

        // The same of answers, and what is confirmed makes room.
        let mut addresses = Vec::new();
        for _ in 0..=ROUNDS {
            let request = world.hand_out(Version::V13, &Message::take(""), &provider).await;
            addresses.push(text(&request, "ReplyTo"));
        }
        let files = stored("IS00002", &provider);
        let mut files = vec![files.await];
        for _ in 0..ROUNDS {
            files.push(stored("IS00002", &provider).await);
        }
        let answer = async |place: usize| {
            let content = format!("<PupilResponse xmlns='{NAMESPACE}'/>");
            let answer = Message::answer(&id(), &addresses[place], &content);
            world.send(answer.with_headers(&files[place].header(), &[]).signed(&provider)).await
        };
        answer(0).await.body();
        resize(world, &files[0], QUARTER - LEAST).await;
        let answers = join_all((1..files.len()).map(&answer)).await;
        one(&answers);
        let first = world.hand_out(Version::V13, &Message::pull("", ""), &consumer).await;
        world.ack(Version::V13, &first, &consumer).await;
        for place in (1..files.len()).filter(|place| answers[place - 1].status != 200) {
            answer(place).await.body();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_file_takes_64_kib_of_what_its_sender_may_put() {
    const ROUNDS: i64 = 5;
    for flavour in flavours() {
        let world = World::start(flavour).await;
        world.system("IS00001", KeyKind::P256).await;
        world.system("IS00002", KeyKind::P256).await;
        let word = world.admin().issue_store_word("IS00001").await.unwrap();
        let own = ("IS00001", &*word);
        let much = put(&world, own.0, own.1, b"much").await;
        for round in 1..=ROUNDS {
            // Room for one, all but a byte for another.
            resize(&world, &much, QUOTA - (round + 1) * LEAST + 1).await;
            let folders: Vec<String> = (0..8).map(|_| id()).collect();
            let puts = folders.iter().map(|folder| try_put(&world, own, folder, "empty", b""));
            let told: Vec<(u16, String)> = join_all(puts).await;
            assert_eq!(told.iter().filter(|(status, _)| *status == 201).count(), 1);
            for (folder, (status, told)) in folders.iter().zip(told) {
                if status == 201 {
                    // It is there, and takes nothing more.
                    assert_eq!(try_put(&world, own, folder, "empty", b"").await.0, 200);
                    continue;
                }
                let told: Value = serde_json::from_str(&told).unwrap();
                assert_eq!((status, &told["code"]), (413, &"LIMIT_BYTES".into()));
                let detail = told["detail"].as_str().unwrap();
                assert!(detail.contains("считается не меньше чем за 65536"), "{detail}");
            }
        }
        assert_eq!(world.count("SELECT count(*) FROM store_file").await, 1 + ROUNDS);
        let word = world.admin().issue_store_word("IS00002").await.unwrap();
        put(&world, "IS00002", &word, b"").await;
        world.finish_without_answers().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_part_of_a_file_nor_a_compressed_one_is_taken_for_the_file() {
    let world = World::start(Flavour::Embedded).await;
    let caller = world.system("IS00001", KeyKind::P256).await;
    let word = world.admin().issue_store_word("IS00001").await.unwrap();
    let message = Message::ask(&id(), "", &by_snils("11223344595")).signed(&caller);
    let client = reqwest::Client::new();
    let [part, whole] = [("content-range", "bytes 2-4/5"), ("content-encoding", "Identity")];
    let (other, tabs) = (("content-encoding", "gzip"), ("content-encoding", "identity,\tbr"));
    for (headers, status, code, said) in [
        (&[part][..], 400, "CONTENT_RANGE", "целиком, без заголовка Content-Range"),
        (&[("content-range", "bytes */5")], 400, "CONTENT_RANGE", "целиком"),
        (&[part, other], 400, "CONTENT_RANGE", "целиком"),
        (&[other], 415, "CONTENT_ENCODING", "пришлите без сжатия"),
        (&[tabs], 415, "CONTENT_ENCODING", "пришлите без сжатия"),
        (&[whole, other], 415, "CONTENT_ENCODING", "пришлите без сжатия"),
    ] {
        let url = format!("{}/ws/smev/files/{}/data.zip", world.address(), id());
        let file = client.put(url).header("authorization", basic("IS00001", &word)).body("ytes");
        let post = client.post(world.url(Version::V13)).header("content-type", "text/xml");
        for mut request in [file, post.body(message.clone())] {
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let response = request.send().await.unwrap();
            assert_eq!(response.status().as_u16(), status, "{headers:?}");
            let told: Value = response.json().await.unwrap();
            assert_eq!(told["code"], code, "{told}");
            assert!(told["title"].as_str().unwrap().contains(said), "{told}");
        }
    }
    for table in ["store_file", "mailbox_request"] {
        assert_eq!(world.count(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
    }
    let plain = [("content-type", "text/xml"), whole];
    world.post(Version::V13, &plain, message).await.body();
    let url = format!("{}/ws/smev/files/{}/data.zip", world.address(), id());
    let file = client.put(url).header("authorization", basic("IS00001", &word));
    let file = file.header(whole.0, whole.1).body("bytes").send().await.unwrap();
    assert_eq!(file.status().as_u16(), 201);
    world.finish_without_answers().await;
}
