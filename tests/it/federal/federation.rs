//! Two systems of the region that exchange messages through us: the request of one reaches the other,
//! its answer comes back, and what both said arrives as they said it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kontingent::codec::form::Form;
use kontingent::codec::shape::{self, Role};
use kontingent::codec::smev3::Version;
use kontingent::trust::Signer;
use kontingent::trust::authority::KeyKind;

use super::message::{File, Message, by_snils, headers, new_id};
use super::world::{Answered, World, find, on_both, signer, try_find, validity, worth};
use crate::signature::verify;
use crate::stack::Flavour;

const NAMESPACE: &str = "urn:example:pupil";

/// A content with what is easily lost on the way.
fn root(name: &str) -> String {
    format!(
        "<p:{name} xmlns:p=\"{NAMESPACE}\" Id=\"PERSONAL\" a='&gt;&#9;'><p:Имя>Ёлка &amp; &#x451; \r\n\
         </p:Имя><p:Empty/><![CDATA[<p:Not xmlns:p=\"{}\"/>]]></p:{name}>",
        Version::V13.types()
    )
}

/// Two systems, the kind of messages between them, and an official.
struct Pair {
    consumer: Signer,
    provider: Signer,
    official: Signer,
}

async fn pair(world: &World) -> Pair {
    let consumer = world.system("IS00001", KeyKind::P256).await;
    let provider = world.system("IS00002", KeyKind::P256).await;
    world.kind("Pupil", "IS00002", NAMESPACE, true).await;
    let official = signer(&world.issue("Иванов И. И.", KeyKind::P256, validity(0, 10)));
    Pair { consumer, provider, official }
}

fn id() -> String {
    new_id().to_string()
}

/// The text of the content, markup resolved, as it must be on both sides.
fn told(answered: &Answered) -> (String, String) {
    let root = find(&answered.body(), "MessagePrimaryContent").children[0].clone();
    (root.local.clone(), format!("{:?}{}{:?}", root.attributes, root.text, strip(&root)))
}

fn strip(node: &kontingent::codec::node::Node) -> Vec<(String, String)> {
    node.children.iter().map(|child| (child.local.clone(), child.text.clone())).collect()
}

fn mnemonic(answered: &Answered, role: &str) -> String {
    find(find(find(&answered.body(), "MessageMetadata"), role), "Mnemonic").text.clone()
}

fn text(answered: &Answered, name: &str) -> String {
    find(&answered.body(), name).text.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_reaches_its_provider_and_the_answer_who_asked_with_their_signatures_standing() {
    on_both(async |world| {
        let Pair { consumer, provider, official } = pair(world).await;
        let mut handed_out = Vec::new();
        for version in Version::ALL {
            let (send, send_by) = (
                async |message: Message, who: &Signer| {
                    world.send_by(version, message.by(version).signed(who)).await
                },
                version,
            );
            let (asked, chain) = (id(), id());
            let fields = format!(
                "<t:ReferenceMessageID>{chain}</t:ReferenceMessageID>\
                 <t:TransactionCode>код &amp; 1</t:TransactionCode>"
            );
            let ask = Message::ask(&asked, &fields, &root("PupilRequest"));
            let ask = ask.official(&official, (NAMESPACE, "PupilRequest"));
            let taken = send(ask, &consumer).await;
            assert_eq!(taken.id(), asked);
            assert_eq!(text(&taken, "Status"), "requestIsQueued");
            assert_eq!(mnemonic(&taken, "Recipient"), "IS00002");
            assert!(world.empty(version, &Message::take(""), &consumer).await, "not its queue");

            let request = world.hand_out(send_by, &Message::take(""), &provider).await;
            assert_eq!(request.id(), asked);
            assert_eq!(text(&request, "MessageType"), "REQUEST");
            assert_eq!(mnemonic(&request, "Sender"), "IS00001");
            assert_eq!(mnemonic(&request, "Recipient"), "IS00002");
            let to = text(&request, "ReplyTo");
            assert!(to.len() <= 4000 && !to.contains(&asked), "{to}");
            world.ack(version, &request, &provider).await;

            send(Message::progress(&id(), &to), &provider).await.body();
            let progress = world.hand_out(version, &Message::pull("", ""), &consumer).await;
            assert_eq!(text(&progress, "OriginalMessageId"), asked);
            assert_eq!(text(&progress, "StatusCode"), "7");
            world.ack(version, &progress, &consumer).await;

            let (answer, last) = (id(), root("PupilResponse"));
            let message = Message::answer(&answer, &to, &last);
            let message = message.official(&official, (NAMESPACE, "PupilResponse"));
            let taken = send(message, &provider).await;
            assert_eq!(mnemonic(&taken, "Recipient"), "IS00001");
            let response = world.hand_out(version, &Message::pull("", ""), &consumer).await;
            assert_eq!(response.id(), answer);
            assert_eq!(text(&response, "MessageType"), "RESPONSE");
            assert_eq!(mnemonic(&response, "Sender"), "IS00002");
            assert_eq!(text(&response, "OriginalMessageId"), asked);
            assert_eq!(text(&response, "OriginalTransactionCode"), "код & 1");
            assert_eq!(text(&response, "ReferenceMessageID"), chain);
            assert_eq!(text(&response, "To"), to);
            world.ack(version, &response, &consumer).await;
            let (asked_for, got) = (told(&request), told(&response));
            assert_eq!(asked_for.0, "PupilRequest");
            assert_eq!((got.0.as_str(), &got.1), ("PupilResponse", &asked_for.1));

            let refused = send(Message::ask(&id(), "", &root("PupilRequest")), &consumer).await;
            assert_eq!(refused.status, 200);
            let request = world.hand_out(version, &Message::take(""), &provider).await;
            let rejected = "<t:RequestRejected><t:RejectionReasonCode>NO_DATA</t:RejectionReasonCode>\
                <t:RejectionReasonDescription>нет</t:RejectionReasonDescription></t:RequestRejected>";
            let rejected = Message::tell(&id(), &text(&request, "ReplyTo"), rejected);
            send(rejected, &provider).await.body();
            let rejection = world.hand_out(version, &Message::pull("", ""), &consumer).await;
            assert_eq!(text(&rejection, "RejectionReasonCode"), "NO_DATA");
            world.ack(version, &request, &provider).await;
            world.ack(version, &rejection, &consumer).await;
            assert!(world.empty(version, &Message::take(""), &provider).await);
            assert!(world.empty(version, &Message::pull("", ""), &consumer).await);
            handed_out.extend([request, progress, response, rejection]);
        }
        for (message, worth) in handed_out.iter().zip(worth(&handed_out)) {
            for holder in ["SMEVSignature", "SenderInformationSystemSignature"] {
                assert_eq!(worth[holder]["valid"], true, "{worth}: {}", message.xml);
            }
            let official = try_find(&message.body(), "PersonalSignature").is_some();
            assert_eq!(worth.get("PersonalSignature").is_some(), official);
            assert!(!official || worth["PersonalSignature"]["valid"] == true, "{worth}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn systems_of_different_versions_understand_each_other_without_signatures_that_would_not_stand()
 {
    on_both(async |world| {
        let Pair { consumer, provider, official } = pair(world).await;
        let (asks, answers) = (
            [File::new("request.zip", b"\0\r\n--MIME\r\n\xff", &consumer)],
            [File::new("answer.zip", &[7; 3000], &provider)],
        );
        let mut handed_out = Vec::new();
        for from in Version::ALL {
            for to in Version::ALL.into_iter().filter(|to| *to != from) {
                // What 1.3 alone says of files.
                let more = |version| match version {
                    Version::V13 => "<b:NamespaceUri>urn:file</b:NamespaceUri>",
                    _ => "",
                };
                let asked = id();
                let ask = Message::ask(&asked, "", &root("PupilRequest"))
                    .with_headers(&headers(&asks, more(from)), &asks)
                    .official(&official, (NAMESPACE, "PupilRequest"))
                    .by(from);
                world.send_by(from, ask.signed(&consumer)).await.body();
                let request = world.hand_out(to, &Message::take(""), &provider).await;
                assert_eq!(request.id(), asked);
                assert_eq!(request.files(), [("request.zip".to_owned(), asks[0].bytes.clone())]);
                world.ack(to, &request, &provider).await;
                let reply_to = text(&request, "ReplyTo");
                let answer = Message::answer(&id(), &reply_to, &root("PupilResponse"))
                    .with_headers(&headers(&answers, more(to)), &answers)
                    .official(&official, (NAMESPACE, "PupilResponse"))
                    .by(to);
                world.send_by(to, answer.signed(&provider)).await.body();
                let response = world.hand_out(from, &Message::pull("", ""), &consumer).await;
                assert_eq!(response.files(), [("answer.zip".to_owned(), answers[0].bytes.clone())]);
                world.ack(from, &response, &consumer).await;
                assert_eq!(told(&request).1, told(&response).1);
                for (message, file) in [(&request, &asks[0]), (&response, &answers[0])] {
                    let pkcs7 = STANDARD.encode(&file.pkcs7);
                    assert_eq!(text(message, "SignaturePKCS7"), pkcs7);
                }
                handed_out.extend([request, response]);
            }
        }
        for worth in worth(&handed_out) {
            assert!(worth.get("SenderInformationSystemSignature").is_none(), "{worth}");
            assert_eq!(worth["SMEVSignature"]["valid"], true, "{worth}");
            assert_eq!(worth["PersonalSignature"]["valid"], true, "{worth}");
        }
        // What we answer ourselves we sign in the version in which it is asked for.
        let ask = Message::ask(&id(), "", &by_snils("11223344595")).by(Version::V11);
        world.send_by(Version::V11, ask.signed(&consumer)).await.body();
        let answer = world.hand_out(Version::V12, &Message::pull("", ""), &consumer).await;
        let worth = worth([&answer]).remove(0);
        assert_eq!(worth["SenderInformationSystemSignature"]["valid"], true, "{worth}");
    })
    .await;
}

/// A content that uses the prefixes of the envelope, and none, for names of the exchange itself.
fn clashing(name: &str) -> String {
    format!(
        "<p:{name} xmlns:p=\"{NAMESPACE}\" Id=\"PERSONAL\" b:mark=\"1\"><t:Message >b:TypeName</t:Message>\
         <Bare kind='t:Some'/><b:Inner xmlns:t=\"urn:own\"><t:Own/></b:Inner></p:{name}>"
    )
}

/// Canonical octets of what an official signed.
fn signed_octets(document: &str) -> Vec<u8> {
    let plan = shape::smev3(document.as_bytes()).unwrap();
    let spot = plan.spots.iter().find(|spot| spot.role == Role::Personal).unwrap();
    spot.octets(document.as_bytes(), false, shape::limits(), &Form::default()).unwrap()
}

/// The text inside an element of this name, whatever its prefix.
fn inside<'x>(document: &'x str, name: &str) -> &'x str {
    let open = document.find(&format!(":{name}")).unwrap();
    let begin = open + document[open..].find('>').unwrap() + 1;
    let end = document.rfind(&format!(":{name}>")).unwrap();
    &document[begin..document[..end].rfind("</").unwrap()]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_content_passes_between_versions_byte_for_byte_with_what_its_prefixes_mean() {
    let world = World::start(Flavour::Embedded).await;
    let Pair { consumer, provider, official } = pair(&world).await;
    let mut handed_out = Vec::new();
    for from in Version::ALL {
        for to in Version::ALL {
            let ask = Message::ask(&id(), "", &clashing("PupilRequest"));
            let ask = ask.official(&official, (NAMESPACE, "PupilRequest")).by(from);
            let types = format!("xmlns:t=\"{}\"", from.types());
            let bare = format!("{types} xmlns=\"{}\"", from.types());
            let sent = ask.sealed(ask.unsigned().replacen(&types, &bare, 1), &consumer);
            world.send_by(from, sent.clone()).await.body();
            let request = world.hand_out(to, &Message::take(""), &provider).await;
            world.ack(to, &request, &provider).await;
            let content = "MessagePrimaryContent";
            assert_eq!(inside(&request.xml, content), inside(&sent, content), "{from:?} {to:?}");
            let (before, after) = (signed_octets(&sent), signed_octets(&request.xml));
            assert_eq!(String::from_utf8(after), String::from_utf8(before), "{from:?} {to:?}");
            let data = find(&request.body(), "SenderProvidedRequestData").clone();
            assert!(data.children.iter().all(|child| child.namespace.ends_with(to.as_str())));
            handed_out.push(request);
        }
    }
    for worth in worth(&handed_out) {
        assert_eq!(worth["SMEVSignature"]["valid"], true, "{worth}");
        assert_eq!(worth["PersonalSignature"]["valid"], true, "{worth}");
    }
    let trust = world.dir.path().join("trusted");
    std::fs::create_dir(&trust).unwrap();
    let authority = world.authority.issued().certificate_pem().unwrap();
    std::fs::write(trust.join("authority.pem"), authority).unwrap();
    std::fs::copy(world.dir.path().join("signing-authority.pem"), trust.join("own.pem")).unwrap();
    let files = handed_out.iter().map(|message| message.file.display().to_string());
    let files: Vec<String> = files.collect();
    let judged = verify(&files, &["--profile", "smev3", "--trust", trust.to_str().unwrap()]);
    assert!(judged.1, "what a node hands out across versions is a good delivery: {:#?}", judged.0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_taken_only_from_the_provider_for_a_request_that_waits() {
    on_both(async |world| {
        let Pair { consumer, provider, .. } = pair(world).await;
        let other = world.system("IS00003", KeyKind::P256).await;
        world.kind("Other", "IS00003", NAMESPACE, true).await;
        let ask = async |name: &str, provider: &Signer| {
            let ask = Message::ask(&id(), "", &root(name));
            world.send(ask.signed(&consumer)).await.body();
            let request = world.hand_out(Version::V13, &Message::take(""), provider).await;
            world.ack(Version::V13, &request, provider).await;
            text(&request, "ReplyTo")
        };
        let (first, second) = (ask("PupilRequest", &provider).await, ask("PupilRequest", &provider).await);
        let foreign = ask("OtherRequest", &other).await;
        let own = Message::ask(&id(), "", &by_snils("11223344595"));
        world.send(own.signed(&consumer)).await.body();
        let own = text(&world.hand_out(Version::V13, &Message::pull("", ""), &consumer).await, "To");
        let refused = async |to: &str, who: &Signer| {
            let answer = Message::answer(&id(), to, &root("PupilResponse")).signed(who);
            let fault = world.send(answer).await.fault();
            assert_eq!(fault.local, "RecipientIsNotFound", "{to}");
            let said = &find(&fault, "Description").text;
            assert!(said.ends_with(&format!("Адресная информация: {to}")), "{said}");
        };
        let half = first.len() / 2;
        let changed = |at: usize| {
            let letter = if first.as_bytes()[at] == b'x' { "y" } else { "x" };
            format!("{}{letter}{}", &first[..at], &first[at + 1..])
        };
        for forged in [
            changed(0),
            changed(half),
            changed(first.len() - 2),
            format!("{}{}", &first[..half], &second[half..]),
            first[..half].to_owned(),
            format!("{first}{second}"),
            "eyJzaWQiOjEsIm1pZCI6IjEiLCJlb2wiOjB9".to_owned(),
            "x".repeat(4000),
        ] {
            refused(&forged, &provider).await;
        }
        refused(&foreign, &provider).await;
        refused(&first, &other).await;
        refused(&first, &consumer).await;
        refused(&own, &consumer).await;
        refused(&own, &provider).await;
        let answers = (0..5).map(|_| Message::answer(&id(), &first, &root("PupilResponse")));
        let sent = answers.map(|answer| world.send(answer.signed(&provider)));
        let sent = futures_util::future::join_all(sent).await;
        assert_eq!(sent.iter().filter(|answered| answered.status == 200).count(), 1);
        refused(&first, &provider).await;
        let late = world.send(Message::progress(&id(), &first).signed(&provider)).await;
        assert_eq!(late.fault().local, "RecipientIsNotFound", "after the last answer");
        world.send(Message::answer(&id(), &second, &root("PupilResponse")).signed(&provider)).await.body();
        let answers = "SELECT count(*) FROM mailbox_message WHERE queue = 'response' AND sender_id IS NOT NULL";
        assert_eq!(world.count(answers).await, 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_arrive_as_they_were_sent_inside_the_message_and_in_parts() {
    on_both(async |world| {
        let Pair { consumer, provider, .. } = pair(world).await;
        let version = Version::V12;
        // A line end at either end, and something that looks like our boundary.
        let odd = b"\r\n--kontingent-f0e1b9a7c5d34682-part--\r\n\0\xff".to_vec();
        let large: Vec<u8> = (0..800_000_u32).map(|n| (n % 251) as u8).collect();
        let files = |signer| [File::new("odd", &odd, signer), File::new("large", &large, signer)];
        let (asks, answers) = (files(&consumer), files(&provider));
        let same = |files: &[File]| -> Vec<(String, Vec<u8>)> {
            files.iter().map(|file| (file.id.to_owned(), file.bytes.clone())).collect()
        };
        let xop = [("content-type", "text/xml"), ("accept", "application/xop+xml, text/xml")];
        let mut handed_out = Vec::new();
        for (sent_in_parts, taken_in_parts) in [(false, true), (true, false)] {
            let send = async |message: Message, files: &[File], who: &Signer| {
                let xml = message.by(version).signed(who);
                if sent_in_parts {
                    world.send_parts(version, &xml, files).await
                } else {
                    world.send_by(version, xml).await
                }
            };
            let take = async |call: Message, who: &Signer| {
                let call = call.by(version).signed(who);
                let headers = if taken_in_parts { &xop[..] } else { &xop[..1] };
                let answered = world.post(version, headers, call).await;
                assert_eq!(answered.parts, taken_in_parts);
                answered
            };
            let ask = Message::ask(&id(), "", &root("PupilRequest")).with(&asks);
            let taken = send(ask, &asks, &consumer).await;
            assert_eq!(taken.parts, sent_in_parts, "who sends parts takes parts");
            taken.body();
            let request = take(Message::take(""), &provider).await;
            assert_eq!(request.files(), same(&asks));
            let to = text(&request, "ReplyTo");
            let answer = Message::answer(&id(), &to, &root("PupilResponse")).with(&answers);
            send(answer, &answers, &provider).await.body();
            let response = take(Message::pull("", ""), &consumer).await;
            assert_eq!(response.files(), same(&answers));
            world.ack(version, &request, &provider).await;
            world.ack(version, &response, &consumer).await;
            handed_out.extend([request, response]);
        }
        for worth in worth(&handed_out) {
            assert_eq!(worth["SMEVSignature"]["valid"], true, "{worth}");
            assert_eq!(worth["SenderInformationSystemSignature"]["valid"], true, "{worth}");
        }
        assert_eq!(world.count("SELECT count(*) FROM mailbox_attachment").await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_much_as_is_permitted_is_taken_and_handed_out() {
    let world = World::start(Flavour::Embedded).await;
    let Pair { consumer, provider, .. } = pair(&world).await;
    let files = [File::new("most", &vec![9; 5 << 20], &consumer)];
    let ask = Message::ask(&id(), "", &root("PupilRequest")).with(&files).signed(&consumer);
    world.send_parts(Version::V13, &ask, &files).await.body();
    let request = world.hand_out(Version::V13, &Message::take(""), &provider).await;
    assert_eq!(request.files()[0].1.len(), 5 << 20);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_taken_can_be_handed_out() {
    on_both(async |world| {
        let Pair { consumer, provider, .. } = pair(world).await;
        let many = |from: usize| -> String {
            let declared = (from..from + 30).map(|n| format!(" xmlns:n{n}=\"urn:n{n}\""));
            declared.collect::<Vec<_>>().concat()
        };
        let nest = |name: &str, depth: usize| {
            let (open, close) = (format!("<{name}>"), format!("</{name}>"));
            format!("{}{}", open.repeat(depth), close.repeat(depth))
        };
        let message = || Message::ask(&id(), "", &root("PupilRequest"));
        let plain = message();
        let strange = [
            plain.unsigned().replacen("SIGNED_BY_CONSUMER", "SIGNED_BY_SMEV", 1),
            message().unsigned().replacen("SIGNED_BY_CONSUMER", "SIGNED_BY_SME&#86;", 1),
            message().unsigned().replacen("\"PERSONAL\"", "\"SIGNED_BY_SMEV\"", 1),
            // Namespaces of all elements around go along.
            message()
                .unsigned()
                .replacen("<soap:Body>", &format!("<soap:Body{}>", many(0)), 1)
                .replacen("<soap:Envelope", &format!("<soap:Envelope{}", many(30)), 1),
            // As deep as can be, and two deeper when handed out.
            message().unsigned().replacen("<p:Empty/>", &nest("p:Deep", 64 - 6), 1),
            message().unsigned().replacen("<p:Empty/>", "<?pi inside?><p:Empty/><!-- - -->", 1),
            format!("\u{feff}{}", message().unsigned()),
            message().unsigned().replace(" xmlns:t=", "\r\n\txmlns:t \r\n= "),
            message().unsigned().replacen(
                "<soap:Header/>",
                "<!-- here --><soap:Header><x/></soap:Header>",
                1,
            ),
        ];
        let mut handed_out = Vec::new();
        for (number, envelope) in strange.into_iter().enumerate() {
            let sealed = plain.sealed(envelope, &consumer);
            let taken = world.send(sealed).await;
            assert_eq!(taken.status, 200, "{number}: {}", taken.xml);
            let other = if number % 2 == 0 { Version::V13 } else { Version::V11 };
            let request = world.hand_out(other, &Message::take(""), &provider).await;
            assert_eq!(request.id(), taken.id(), "{number}");
            world.ack(other, &request, &provider).await;
            handed_out.push((other, request));
        }
        let judged = worth(handed_out.iter().map(|(_, request)| request));
        for ((version, request), worth) in handed_out.iter().zip(judged) {
            assert_eq!(worth["SMEVSignature"]["valid"], true, "{worth}: {}", request.xml);
            if *version == Version::V13 {
                let sender = &worth["SenderInformationSystemSignature"];
                assert_eq!(sender["valid"], true, "{worth}: {}", request.xml);
            }
        }
    })
    .await;
}
