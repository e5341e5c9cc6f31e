//! What the schemas do not let a sender say is not taken, let alone handed on: the door and lxml agree on each.

use std::fs;

use kontingent::codec::smev3::Version;

use super::cast::{Cast, PUPIL, id};
use super::message::{File, Message};
use super::world::{Answered, World, try_find};
use crate::interop::python;
use crate::stack::Flavour;

/// Another text in the place of one that stands in a right message.
type Change = (&'static str, &'static str);

const HEADER: &str = "<b:AttachmentHeader><b:contentId>a</b:contentId>";
const STORED: &str = "<b:RefAttachmentHeaderList><b:RefAttachmentHeader><b:uuid>u</b:uuid>\
    <b:Hash>h</b:Hash><b:MimeType>text/plain</b:MimeType></b:RefAttachmentHeader>\
    </b:RefAttachmentHeaderList>";
const PROCESS: &str = "<t:BusinessProcessMetadata><x:P xmlns:x=\"urn:x\" y=\"1\">z</x:P>\
    </t:BusinessProcessMetadata>";
const MARK: &str = "<t:TestMessage/>";
const END: &str = "</t:SenderProvidedRequestData>";

/// Changes of a question with a file inside that no version lets be.
const WRONG: [Change; 34] = [
    ("<t:MessageID>", "<t:MessageID x=\"1\">"),
    (
        "<t:MessageID>",
        "<t:MessageID xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\" i:nil=\"true\">",
    ),
    (
        "<t:MessageID>",
        "<t:MessageID xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\" i:type=\"t:Any\">",
    ),
    (
        "</t:MessageID>",
        "</t:MessageID><t:ReferenceMessageID> 6dfbb380-6827-11ef-9a3b-0242ac110002</t:ReferenceMessageID>",
    ),
    ("</t:MessageID>", "</t:MessageID><t:EOL>2090-01-01 00:00:00Z</t:EOL>"),
    ("</t:MessageID>", "</t:MessageID><t:EOL>2090-01-01T00:00:00z</t:EOL>"),
    ("</t:MessageID>", "</t:MessageID>\u{a0}"),
    (" Id=\"SIGNED_BY_CONSUMER\"", " Id=\"SIGNED_BY_CONSUMER\" x=\"1\""),
    ("<b:MessagePrimaryContent>", "<b:MessagePrimaryContent Id=\"C\">"),
    ("<b:MessagePrimaryContent>", "<b:MessagePrimaryContent>text"),
    (HEADER, "<b:AttachmentHeader>text<b:contentId>a</b:contentId>"),
    (HEADER, "<b:AttachmentHeader x=\"1\"><b:contentId>a</b:contentId>"),
    (HEADER, "<b:AttachmentHeader><b:contentId x=\"1\">a</b:contentId>"),
    (HEADER, "<b:AttachmentHeader><b:contentId>a<b:x/></b:contentId>"),
    (HEADER, "<b:AttachmentHeader><b:contentId>a</b:contentId><b:contentId>a</b:contentId>"),
    (HEADER, "<b:AttachmentHeader><b:contentId>a</b:contentId><t:MessageID/>"),
    (HEADER, "<b:AttachmentHeader><b:contentId>a</b:contentId><b:Archive/>"),
    ("<b:MimeType>", "<b:MimeType>text/plain</b:MimeType><b:MimeType>"),
    ("<b:SignaturePKCS7>", "<b:SignaturePKCS7>MA==</b:SignaturePKCS7><b:SignaturePKCS7>"),
    ("</b:SignaturePKCS7>", "</b:SignaturePKCS7><b:MimeType>text/plain</b:MimeType>"),
    ("</b:AttachmentHeaderList>", "</b:AttachmentHeaderList><b:AttachmentHeaderList/>"),
    ("<b:Hash>", "<b:MimeType>text/plain</b:MimeType><b:Hash>"),
    ("</b:Hash>", "</b:Hash><b:FileName>f</b:FileName>"),
    ("<b:uuid>", "text<b:uuid>"),
    ("<b:uuid>u</b:uuid>", ""),
    ("<b:RefAttachmentHeader>", "<b:RefAttachmentHeader Id=\"R\">"),
    (STORED, "<b:RefAttachmentHeaderList/>"),
    ("<t:BusinessProcessMetadata>", "<t:BusinessProcessMetadata>text"),
    ("<t:BusinessProcessMetadata>", "<t:BusinessProcessMetadata x=\"1\">"),
    ("<t:BusinessProcessMetadata>", "<t:BusinessProcessMetadata><t:MessageID/>"),
    (MARK, "<t:TestMessage x=\"1\"/>"),
    (MARK, "<t:TestMessage>1</t:TestMessage>"),
    (MARK, "<t:TestMessage/><t:TestMessage/>"),
    ("<t:BusinessProcessMetadata>", "<t:PersonalSignature/><t:BusinessProcessMetadata>"),
];

/// What 1.3 alone knows.
const ONLY_IN_13: [Change; 3] = [
    (
        HEADER,
        "<b:AttachmentHeader><b:contentId>a</b:contentId><b:NamespaceUri>urn:a</b:NamespaceUri>",
    ),
    ("</b:uuid>", "</b:uuid><b:FileName>f</b:FileName><b:NamespaceUri>urn:a</b:NamespaceUri>"),
    (
        "</b:SignaturePKCS7>",
        "</b:SignaturePKCS7><b:Archive><b:File><b:Name>n</b:Name><b:NamespaceUri>urn:a</b:NamespaceUri>\
         </b:File></b:Archive>",
    ),
];

/// Changes that every version lets be.
const RIGHT: [Change; 5] = [
    (MARK, "<t:TestMessage ></t:TestMessage>"),
    ("</t:MessageID>", "</t:MessageID>\n<t:EOL> 2090-01-01T00:00:00+03:00 </t:EOL>"),
    ("<x:P", "<y:Q xmlns:y=\"urn:y\"/><x:P"),
    (
        "<t:MessageID>",
        "<t:MessageID xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\" i:schemaLocation=\"urn:x x.xsd\">",
    ),
    ("<b:AttachmentHeader>", "<!-- one --><b:AttachmentHeader>"),
];

#[tokio::test(flavor = "multi_thread")]
async fn what_the_schema_does_not_let_be_is_not_taken_and_what_it_lets_be_is() {
    let world = World::start(Flavour::Embedded).await;
    let cast = Cast::gather(&world).await;
    let files = [File::new("a", b"file", &cast.consumer)];
    let folder = tempfile::tempdir().unwrap();
    for version in Version::ALL {
        // A file of the store that is not there is the only thing wrong with it.
        let ask = || {
            let ask = Message::ask(&id(), "", PUPIL).by(version).with(&files);
            ask.rewritten(END, &format!("{STORED}{PROCESS}{MARK}{END}"))
        };
        let sent = async |ask: Message| {
            let message = ask.signed(&cast.consumer);
            (world.send_by(version, message.clone()).await, message)
        };
        let known = if version == Version::V13 { &ONLY_IN_13[..] } else { &[] };
        for (from, to) in RIGHT.iter().chain(known) {
            let (answered, message) = sent(ask().rewritten(from, to)).await;
            let told = answered.fault();
            assert_eq!(told.local, "AttachmentContentMiscoordination", "{to}: {message}");
        }
        let unknown = if version == Version::V13 { &[] } else { &ONLY_IN_13[..] };
        for (number, (from, to)) in WRONG.iter().chain(unknown).enumerate() {
            let (answered, message) = sent(ask().rewritten(from, to)).await;
            refused(&answered, to);
            let name = format!("{number}-{}.xml", version.types().replace(['/', ':'], "_"));
            fs::write(folder.path().join(name), message).unwrap();
        }
        // Without the file that is not there it is taken and handed out.
        world.send_by(version, ask().rewritten(STORED, "").signed(&cast.consumer)).await.body();
        world.hand_out(version, &Message::take(""), &cast.provider).await;
    }
    python("validate_smev.py", &["--none", folder.path().to_str().unwrap()]);
    world.finish().await;
}

fn refused(answered: &Answered, what: &str) {
    let told = answered.fault();
    assert_eq!(told.local, "InvalidContent", "{what}: {}", answered.xml);
    let error = try_find(&told, "ValidationError").unwrap();
    assert!(error.text.starts_with("строка 1, столбец "), "{what}: {}", error.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_says_what_the_schema_lets_it() {
    let world = World::start(Flavour::Embedded).await;
    let cast = Cast::gather(&world).await;
    for version in Version::ALL {
        let to = cast.reply_to(&world, version, &cast.consumer).await;
        let rejected = "<t:RequestRejected><t:RejectionReasonCode>NO_DATA</t:RejectionReasonCode>\
            <t:RejectionReasonDescription>нет</t:RejectionReasonDescription></t:RequestRejected>";
        for (from, wrong) in [
            ("NO_DATA", " NO_DATA"),
            ("NO_DATA", "NOTHING"),
            ("<t:RequestRejected>", "<t:RequestRejected x=\"1\">"),
            ("<t:RejectionReasonCode>", "<t:RejectionReasonCode x=\"1\">"),
            ("</t:RequestRejected>", "</t:RequestRejected><b:AttachmentHeaderList/>"),
        ] {
            let tell = Message::tell(&id(), &to, rejected).by(version).rewritten(from, wrong);
            refused(&world.send_by(version, tell.signed(&cast.provider)).await, wrong);
        }
        let tell = Message::tell(&id(), &to, rejected).by(version);
        world.send_by(version, tell.signed(&cast.provider)).await.body();
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_of_a_file_is_a_name_that_may_begin_with_a_digit_and_stands_once() {
    let world = World::start(Flavour::Embedded).await;
    let cast = Cast::gather(&world).await;
    let send = async |version, files: &[File]| {
        let ask = Message::ask(&id(), "", PUPIL).by(version).with(files);
        world.send_by(version, ask.signed(&cast.consumer)).await
    };
    let file = |id: &'static str| File::new(id, b"file", &cast.consumer);
    for version in Version::ALL {
        for right in ["7", "0f1e-2d", "_a.b", "файл"] {
            send(version, &[file(right)]).await.body();
        }
        for wrong in ["a b", "-a", ".a", "a:b", "7:b", "SIGNED_BY_CONSUMER"] {
            refused(&send(version, &[file(wrong)]).await, wrong);
        }
        refused(&send(version, &[file("a"), file("a")]).await, "twice");
    }
    // The schemas know no names that begin with a digit.
    world.finish_without_answers().await;
}
