//! Every fault that the description of an operation declares, by real input, on every version: its
//! element, its namespace, its wording.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use kontingent::args;
use kontingent::codec::node::Node;
use kontingent::codec::smev3::Version;
use kontingent::codec::xml::Limits;
use kontingent::model::clock::Clock;
use kontingent::storage::federal_system::Described;
use kontingent::trust::Signer;
use kontingent::trust::authority::KeyKind;
use kontingent::trust::certificate::Facts;
use uuid::Uuid;

use super::cast::{Cast, NAMESPACE, PUPIL, id, operations, root};
use super::message::{File, Message, altered, by_snils, headers, selector};
use super::store::put;
use super::world::{Answered, World, find, signer, try_find, validity};
use crate::stack::Flavour;

/// Declared for an operation, and no node of ours has an occasion for it: operation, fault, why. There is
/// none: what the description declares, somebody gets.
pub(super) const NO_OCCASION: [(&str, &str, &str); 0] = [];

/// Elements of the schemas of faults that the description gives to no operation, and why.
const NO_OPERATION: [(&str, &str); 1] =
    [("RequestIsNotFound", "only the withdrawn CancelRequest had it")];

/// A message and the fault that it must get.
pub(super) struct Case {
    pub(super) operation: &'static str,
    pub(super) fault: &'static str,
    /// What it says of a signature.
    pub(super) reason: &'static str,
    /// How the description begins.
    said: String,
    pub(super) body: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_declared_fault_is_told_on_every_version_in_the_words_of_the_recommendations() {
    let world = World::start(Flavour::Embedded).await;
    let (mut provoked, mut address) = (BTreeSet::new(), String::new());
    // Before there is a kind of messages that is open to all.
    let (mute, said) = mute(&world).await;
    for version in Version::ALL {
        let (operation, fault) = ("GetStatus", "UnknownMessageType");
        let body = Message::status().by(version).signed(&mute);
        let case = Case { operation, fault, reason: "", said: said.clone(), body };
        judge(&case, version, &world.send_by(version, case.body.clone()).await);
        provoked.insert((version, operation.to_owned(), fault.to_owned()));
    }
    let cast = Cast::gather(&world).await;
    for version in Version::ALL {
        let (cases, to) = cases(&world, &cast, version).await;
        for case in cases {
            let answered = world.send_by(version, case.body.clone()).await;
            judge(&case, version, &answered);
            if !case.fault.is_empty() {
                provoked.insert((version, case.operation.to_owned(), case.fault.to_owned()));
            }
        }
        address = to;
    }
    let mut warm = 0;
    world.db.close().await;
    for version in Version::ALL {
        for (message, signer) in operations(&cast, version, &address) {
            let answered = world.send_by(version, message.signed(signer)).await;
            judge(&failure(&message), version, &answered);
            warm += 1;
            let told = (version, message.operation().to_owned(), "SMEVFailure".to_owned());
            provoked.insert(told);
        }
    }
    assert_eq!(warm, 20);
    for version in Version::ALL {
        let declared = declared(&world, version).await;
        let mut left = declared.clone();
        for (_, operation, fault) in provoked.iter().filter(|told| told.0 == version) {
            let known = left.remove(&(operation.clone(), fault.clone()));
            // What МР says in words and the WSDL does not.
            let known = known || (operation == "SendResponse" && fault == "AccessDenied");
            assert!(known, "{version:?} {operation} {fault} is not declared");
        }
        let none =
            NO_OCCASION.map(|(operation, fault, _)| (operation.to_owned(), fault.to_owned()));
        assert_eq!(left, BTreeSet::from(none), "{version:?}: declared, and nobody gets it");
        // Every fault that the schema has is one of an operation.
        let mut known: BTreeSet<String> = declared.into_iter().map(|(_, fault)| fault).collect();
        known.extend(NO_OPERATION.map(|(fault, _)| fault.to_owned()));
        assert_eq!(elements(&world, version).await, known, "{version:?}");
    }
    world.finish().await;
}

/// A version's messages with their faults, in the order in which they must be sent, versions too; and
/// where an answer goes. A case without a fault is a message that must be taken.
pub(super) async fn cases(world: &World, cast: &Cast, version: Version) -> (Vec<Case>, String) {
    let to = cast.reply_to(world, version, &cast.consumer).await;
    let full = cast.reply_to(world, version, &cast.full).await;
    if version == Version::V11 {
        fill(world, "IS00004").await;
        // What an operator changes counts within a second: who is blocked may not sign as an official.
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }
    let mut cases = of_signatures(cast, version, &to);
    cases.extend(of_sending(cast, version));
    cases.extend(of_answering(cast, version, &to, &full));
    cases.extend(of_queues(cast, version));
    cases.extend(of_files(cast, version, &to));
    cases.extend(of_store(world, cast, version, &to).await);
    (cases, to)
}

/// Faults of signatures, senders and envelopes, which every operation has.
fn of_signatures(cast: &Cast, version: Version, to: &str) -> Vec<Case> {
    let verification = "SignatureVerificationFault";
    let mut cases = Vec::new();
    for (message, sender) in operations(cast, version, to) {
        let operation = message.operation();
        let mut add = |fault, reason, said: &str, body: String| {
            cases.push(Case { operation, fault, reason, said: said.to_owned(), body });
        };
        let mut broken = |reason, said: &str, body: String| {
            add(verification, reason, &format!("SMEV-100:{said}"), body);
        };
        let signed = message.signed(sender);
        broken("NoSignatureFound", "Отсутствует ЭП-ОВ", message.unsigned());
        let unmatched = "ЭП-ОВ не соответствует подписанным данным: ";
        let changed = altered(&signed);
        broken("SignatureIsInvalid", unmatched, changed);
        let elsewhere = signed.replacen("URI=\"#", "URI=\"#x", 1);
        let target = message.target();
        let astray =
            format!("{unmatched}Ссылка подписи недопустима: в URI нужен Id элемента {target}");
        broken("IncorrectSignatureTarget", &astray, elsewhere);
        let (before, value) = signed.split_once("<ds:SignatureValue>").unwrap();
        let after = value.split_once("</ds:SignatureValue>").unwrap().1;
        broken("PoorSOAPEnvelopeFormat", unmatched, format!("{before}{after}"));
        let ended = "Срок действия сертификата истёк. Сертификат действителен до ";
        broken("CertificateIsExpired", ended, message.signed(&cast.expired));
        let early = "Срок действия сертификата не начался. Сертификат действителен с ";
        broken("CertificateIsExpired", early, message.signed(&cast.early));
        broken("CertificateIsNotFound", "Сертификат выдан не", message.signed(&cast.foreign));
        let unregistered = "Информационная система не зарегистрирована в СМЭВ.";
        add("SenderIsNotRegistered", "", unregistered, message.signed(&cast.unknown));
        let (closed, said) = match operation {
            "SendRequest" | "SendResponse" => ("AccessDenied", "Доступ запрещён"),
            _ => ("SenderIsNotRegistered", unregistered),
        };
        add(closed, "", said, message.signed(&cast.blocked));
        let end = "</t:CallerInformationSystemSignature>";
        let extra = signed.replacen(end, &format!("{end}<t:X/>"), 1);
        add("InvalidContent", "", "SMEV-403:Нарушен формат бизнес-конверта.", extra);
    }
    cases
}

/// Faults of ids, which both Send* have.
fn of_ids(operation: &'static str, signed: impl Fn(&str) -> String) -> Vec<Case> {
    let day = TimeDelta::hours(25);
    let old = Clock::System.now() - day;
    let form = "SMEV-300:Недопустимый формат идентификатора сообщения. См. RFC-4122.";
    let stale = "SMEV-300:Timestamp идентификатора сообщения слишком давний.";
    let ids = [
        (id().to_uppercase(), "InvalidMessageIdFormat", form),
        (Uuid::new_v4().to_string(), "InvalidMessageIdFormat", form),
        (String::new(), "InvalidMessageIdFormat", form),
        (made_at(old), "StaleMessageId", stale),
        (made_at(old + day + day), "StaleMessageId", stale),
    ];
    let case = |(id, fault, said): (String, &'static str, &str)| Case {
        operation,
        fault,
        reason: "",
        said: said.to_owned(),
        body: signed(&id),
    };
    ids.into_iter().map(case).collect()
}

/// An id of version 1 made at this time.
fn made_at(at: DateTime<Utc>) -> String {
    let at = uuid::Timestamp::from_unix(uuid::NoContext, at.timestamp().unsigned_abs(), 0);
    Uuid::new_v1(at, &[1; 6]).to_string()
}

fn of_sending(cast: &Cast, version: Version) -> Vec<Case> {
    let signed = |id: &str, fields: &str, content: &str| {
        Message::ask(id, fields, content).by(version).signed(&cast.consumer)
    };
    let mut cases = of_ids("SendRequest", |id| signed(id, "", PUPIL));
    let mut add = |fault, said: String, body| {
        cases.push(Case { operation: "SendRequest", fault, reason: "", said, body });
    };
    let sent = id();
    // The first of the two is taken: see `judge`.
    for fault in ["", "MessageIsAlreadySent"] {
        let said = format!("SMEV-301:Сообщение с идентификатором {sent} было послано ранее.");
        add(fault, said, signed(&sent, "", PUPIL));
    }
    let past = "<t:EOL>2024-09-01T09:00:00+03:00</t:EOL>";
    let said = "Превышено время жизни сообщения.";
    add("EndOfLifeReached", said.to_owned(), signed(&id(), past, PUPIL));
    let said = "Неподдерживаемый тип запроса.";
    add("BusinessDataTypeIsNotSupported", said.to_owned(), signed(&id(), "", &root("Unknown")));
    let said = format!(
        "Попытка послать сообщение {{{NAMESPACE}}}PupilResponse через метод sendRequest, в то время как \
         этот тип сообщений зарегистрирован как"
    );
    add("BusinessDataTypeIsNotSupported", said, signed(&id(), "", &root("PupilResponse")));
    let denied = "Доступ запрещён".to_owned();
    add("AccessDenied", denied, signed(&id(), "", &root("ClosedRequest")));
    let said = format!(
        "Невозможно определить получателя для сообщения. Полное имя корневого элемента: \
         {{{NAMESPACE}}}OrphanRequest"
    );
    add("RecipientIsNotFound", said, signed(&id(), "", &root("OrphanRequest")));
    let full = "SMEV-600:Очередь, в которую должно быть отправлено сообщение, переполнена.";
    add("DestinationOverflow", full.to_owned(), signed(&id(), "", &root("FullRequest")));
    let own = Message::ask(&id(), "", &by_snils("11223344595")).by(version);
    add("DestinationOverflow", full.to_owned(), own.signed(&cast.full));
    let code = "<t:TransactionCode>07\u{85}42</t:TransactionCode>";
    add(
        "TransactionCodeInvalid",
        "Недопустимый код транзакции.".to_owned(),
        signed(&id(), code, PUPIL),
    );
    let official = Message::ask(&id(), "", "<PupilRequest xmlns='urn:example:pupil' Id='P'/>");
    let official = official.by(version).official(&cast.blocked, (NAMESPACE, "PupilRequest"));
    // Older versions have no fault of its own for that.
    let personal = if version == Version::V13 { "PersonalAccessDenied" } else { "AccessDenied" };
    add(personal, "Доступ запрещён".to_owned(), official.signed(&cast.consumer));
    let bad = "<FindPersonRequest xmlns='urn:kontingent:federal:1.0'/>";
    let said = "SMEV-403:Нарушен формат бизнес-конверта.";
    add("InvalidContent", said.to_owned(), signed(&id(), "", bad));
    cases
}

fn of_answering(cast: &Cast, version: Version, to: &str, full: &str) -> Vec<Case> {
    let signed = |message: Message| message.by(version).signed(&cast.provider);
    let mut cases = of_ids("SendResponse", |id| signed(Message::progress(id, to)));
    let mut add = |fault, said: String, message| {
        let body = signed(message);
        cases.push(Case { operation: "SendResponse", fault, reason: "", said, body });
    };
    let sent = id();
    for fault in ["", "MessageIsAlreadySent"] {
        let said = format!("SMEV-301:Сообщение с идентификатором {sent} было послано ранее.");
        add(fault, said, Message::progress(&sent, to));
    }
    let forged = "eyJzaWQiOjEsIm1pZCI6IjEiLCJlb2wiOjB9";
    let said = format!(
        "Невозможно определить получателя для ответа на запрос. Адресная информация: {forged}"
    );
    add("RecipientIsNotFound", said, Message::progress(&id(), forged));
    let said = "Содержимое ответа не соответствует виду сведений запроса.";
    let wrong = "IncorrectResponseContentType";
    add(wrong, said.to_owned(), Message::answer(&id(), to, &root("OtherResponse")));
    let asynchronous = format!(
        "<t:AsyncProcessingStatus><t:OriginalMessageId>{sent}</t:OriginalMessageId>\
         <t:StatusCategory>underProcessing</t:StatusCategory></t:AsyncProcessingStatus>"
    );
    add(wrong, said.to_owned(), Message::tell(&id(), to, &asynchronous));
    let said = "Неподдерживаемый тип запроса.".to_owned();
    let content = "<PupilResponse xmlns='urn:example:pupil' Id='P'/>";
    let official = Message::answer(&id(), to, content).by(version);
    let official = official.official(&cast.blocked, (NAMESPACE, "PupilResponse"));
    add("AccessDenied", "Доступ запрещён".to_owned(), official);
    let unknown = Message::answer(&id(), to, &root("Unknown"));
    add("BusinessDataTypeIsNotSupported", said, unknown);
    let said = "SMEV-600:Очередь, в которую должно быть отправлено сообщение, переполнена.";
    add("DestinationOverflow", said.to_owned(), Message::progress(&id(), full));
    cases
}

fn of_queues(cast: &Cast, version: Version) -> Vec<Case> {
    let name = Facts::read(cast.consumer.certificate_der()).unwrap().subject;
    let unknown = format!(
        "Входящая очередь запрошенного типа сообщений, принадлежащая пользователю {name} не \
         зарегистрирована в СМЭВ"
    );
    let missing = id();
    let untaken = format!("SMEV-501:Сообщение {missing} не найдено среди неподтверждённых.");
    let other = selector(NAMESPACE, "Unknown");
    let cases = [
        ("UnknownMessageType", unknown.clone(), Message::take(&other)),
        ("UnknownMessageType", unknown, Message::pull(&other, "")),
        ("TargetMessageIsNotFound", untaken, Message::ack(&missing)),
    ];
    let case = |(fault, said, message): (_, _, Message)| Case {
        operation: message.operation(),
        fault,
        reason: "",
        said,
        body: message.by(version).signed(&cast.consumer),
    };
    cases.into_iter().map(case).collect()
}

fn of_files(cast: &Cast, version: Version, to: &str) -> Vec<Case> {
    let answer = || Message::answer(&id(), to, &root("PupilResponse"));
    let file = |name| File::new(name, b"file", &cast.provider);
    let (a, b) = (file("a"), file("b"));
    let (one, both) = ([a.clone()], [a, b]);
    let huge = File { id: "a", bytes: vec![7; (5 << 20) + 1], pkcs7: vec![1] };
    let store = "<b:RefAttachmentHeaderList><b:RefAttachmentHeader><b:uuid>u</b:uuid><b:Hash>h</b:Hash>\
        <b:MimeType>application/zip</b:MimeType></b:RefAttachmentHeader></b:RefAttachmentHeaderList>";
    let coordination = "AttachmentContentMiscoordination";
    let mut cases = Vec::new();
    for (message, sender) in
        [(Message::ask(&id(), "", PUPIL), &cast.consumer), (answer(), &cast.provider)]
    {
        let (operation, message) = (message.operation(), message.by(version));
        let signed = |fault, reason, said: &str, message: Message| {
            let body = message.signed(sender);
            Case { operation, fault, reason, said: said.to_owned(), body }
        };
        let with = |headers: &str, files: &[File]| message.clone().with_headers(headers, files);
        let alone = "Количество вложений - 1, нет ни одного заголовка.";
        cases.push(signed(coordination, "", alone, with("", &one)));
        let fewer = "Количество вложений - 2, количество заголовков - 1";
        cases.push(signed(coordination, "", fewer, with(&headers(&one, ""), &both)));
        let more = "Количество вложений - 1, количество заголовков - 2";
        cases.push(signed(coordination, "", more, with(&headers(&both, ""), &one)));
        let other = "Вложение [Id=\"b\"] не имеет заголовка.";
        cases.push(signed(coordination, "", other, with(&headers(&one, ""), &both[1..])));
        let stored = "Некорректная информация о фтп вложениях; message id = ";
        cases.push(signed(coordination, "", stored, with(store, &[])));
        // Judged before the signature, whose making would take long.
        let body = message.clone().with(std::slice::from_ref(&huge)).unsigned();
        let size = "Превышен максимально допустимый суммарный размер присоединённых файлов.";
        let (fault, said) = ("AttachmentSizeLimitExceeded", size.to_owned());
        cases.push(Case { operation, fault, reason: "", said, body });
        // A file is covered by its own signature alone.
        let uncovered = headers(&one, "").replace("SignaturePKCS7>", "X>");
        let (before, after) = uncovered.split_once("<b:X>").unwrap();
        let uncovered = format!("{before}{}", after.split_once("</b:X>").unwrap().1);
        let verification = "SignatureVerificationFault";
        let said = "SMEV-100:Проверка подписи на вложении a: подпись отсутствует";
        cases.push(signed(verification, "NoSignatureFound", said, with(&uncovered, &one)));
        let changed = [File { bytes: b"other".to_vec(), ..one[0].clone() }];
        let said = "SMEV-100:Проверка подписи на вложении a: ";
        cases.push(signed(
            verification,
            "SignatureIsInvalid",
            said,
            message.clone().with(&changed),
        ));
    }
    cases
}

/// Files of the store that are too large for a message, and too many for their receiver: as large as the
/// database is told they are.
async fn of_store(world: &World, cast: &Cast, version: Version, to: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    // Its answer waits for the consumer.
    let own = Message::ask(&id(), "", &by_snils("11223344595")).by(version);
    world.send_by(version, own.signed(&cast.consumer)).await.body();
    for (mnemonic, sender, message) in [
        ("IS00001", &cast.consumer, Message::ask(&id(), "", PUPIL)),
        ("IS00002", &cast.provider, Message::answer(&id(), to, &root("PupilResponse"))),
    ] {
        let word = world.admin().issue_store_word(mnemonic).await.unwrap();
        let (operation, message) = (message.operation(), message.by(version));
        for (bytes, fault, said) in [
            (
                (1_i64 << 30) + 1,
                "AttachmentSizeLimitExceeded",
                "Превышен максимально допустимый суммарный \
                размер присоединённых ftp файлов.",
            ),
            (1, "QuoteLimitExceeded", "Квота на файловое хранилище для получателя превышена!"),
        ] {
            let stored = put(world, mnemonic, &word, b"x").await;
            let sql = "UPDATE store_file SET size_bytes = $2 WHERE uuid = $1";
            world.db.execute(sql, args![stored.folder.as_str(), bytes]).await.unwrap();
            let body = message.clone().with_headers(&stored.header(), &[]).signed(sender);
            cases.push(Case { operation, fault, reason: "", said: said.to_owned(), body });
        }
    }
    // What waits for either of them already.
    for (number, system) in ["IS00001", "IS00002"].iter().enumerate() {
        let sql = "INSERT INTO store_file (uuid, no, system_id, name, size_bytes, message_id, uploaded_at) \
            SELECT $1, $2, s.id, 'x', $3, (SELECT message_id FROM mailbox_message m WHERE m.system_id = s.id \
            AND acknowledged_at IS NULL LIMIT 1), $4 FROM federal_system s WHERE mnemonic = $5 \
            ON CONFLICT DO NOTHING";
        let (no, now) = (-1 - number as i64, Clock::System.now());
        let values = args![*system, no, 8_i64 << 30, now, *system];
        world.db.execute(sql, values).await.unwrap();
    }
    cases
}

/// The answer is this fault of this version, in these words; or there is none to be.
pub(super) fn judge(case: &Case, version: Version, answered: &Answered) {
    if case.fault.is_empty() {
        answered.body();
        return;
    }
    let Case { operation, fault, reason, .. } = case;
    assert_eq!(answered.status, 500, "{version:?} {operation} {fault} {reason}: {}", answered.xml);
    let (soap, told) = (answered.soap_fault(), answered.fault());
    let about = format!("{version:?} {}: {}", case.operation, answered.xml);
    assert_eq!((told.local.as_str(), told.namespace.as_str()), (case.fault, version.faults()));
    let said = &find(&told, "Description").text;
    assert!(said.starts_with(&case.said), "{} {about}", case.said);
    let reason = try_find(&told, "SignatureVerificationFault").map_or("", |node| &node.text);
    assert_eq!(reason, case.reason, "{about}");
    // The same without the number that stands before it.
    let numbered = said.starts_with("SMEV-").then(|| said.split_once(':').unwrap().1);
    assert_eq!(find(&soap, "faultstring").text, numbered.unwrap_or(said), "{about}");
    let ours = ["SMEVFailure", "DestinationOverflow"].contains(&case.fault);
    let side = if ours { "soap:Server" } else { "soap:Client" };
    assert_eq!(find(&soap, "faultcode").text, side, "{about}");
    match case.fault {
        "InvalidContent" => {
            let error = find(&told, "ValidationError");
            assert_ne!(error.attribute("errorPosition"), Some("-1"), "{about}");
            assert!(error.text.starts_with("строка 1, столбец "), "{about}");
        }
        "AttachmentSizeLimitExceeded" => {
            let size = |name| find(&told, name).text.parse::<i64>().unwrap();
            let permitted = size("PermittedTotalAttachmentSize");
            assert!([5 << 20, 1 << 30].contains(&permitted), "{about}");
            assert_eq!(size("RealTotalAttachmentSize"), permitted + 1, "{about}");
        }
        "QuoteLimitExceeded" => {
            assert_eq!(find(&told, "RemainedTotalQuoteSize").text, "0");
            // A small file counts as more than it has.
            assert_eq!(find(&told, "RealTotalAttachmentSize").text, "65536");
        }
        "BusinessDataTypeIsNotSupported" => {
            assert_eq!(find(&told, "RootElementNamespaceURI").text, NAMESPACE);
        }
        "DestinationOverflow" => {
            assert!(find(&told, "DestinationName").text.starts_with("IS00004."), "{about}");
        }
        _ => {}
    }
}

pub(super) fn failure(message: &Message) -> Case {
    Case {
        operation: message.operation(),
        fault: "SMEVFailure",
        reason: "",
        said: "Ошибка СМЭВ. Обратитесь в службу технической поддержки.".to_owned(),
        body: String::new(),
    }
}

/// Fills both queues of a system, behind what waits there.
async fn fill(world: &World, mnemonic: &str) {
    let system = "SELECT id FROM federal_system WHERE mnemonic = $1";
    let row = world.db.query_one(system, args![mnemonic]).await.unwrap().unwrap();
    let system: i64 = row.get(0).unwrap();
    let far = Clock::System.now() + TimeDelta::days(9000);
    for queue in ["request", "response"] {
        let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) \
            INSERT INTO mailbox_message (message_id, queue, system_id, node_id, request_id, message_type, \
            priority, version, content_sha256, attachments, queued_at, sequence, deliveries) \
            SELECT randomblob(16), $1, $2, '', (SELECT message_id FROM mailbox_request LIMIT 1), 'Full', 1, \
            '1.3', x'', 0, $3, i, 0 FROM n";
        world.db.execute(sql, args![queue, system, far]).await.unwrap();
    }
}

/// Operations with the faults that the description we serve declares for them.
pub(super) async fn declared(world: &World, version: Version) -> BTreeSet<(String, String)> {
    let (status, wsdl) = world.get(&format!("/ws/smev/{}?wsdl", version.as_str())).await;
    assert_eq!(status, 200);
    let root = Node::document(wsdl.as_bytes(), Limits::default()).unwrap();
    let attribute = |node: &Node, name| node.attribute(name).unwrap().to_owned();
    let bare = |name: String| name.rsplit(':').next().unwrap().to_owned();
    let element = |message: &str| {
        let mut messages = root.children.iter().filter(|node| node.local == "message");
        let found = messages.find(|node| attribute(node, "name") == message).unwrap();
        bare(attribute(find(found, "part"), "element"))
    };
    let of_operation = |operation: &Node| {
        let faults = operation.children.iter().filter(|node| node.local == "fault");
        let name = attribute(operation, "name");
        let faults = faults.map(|fault| element(&bare(attribute(fault, "message"))));
        faults.map(|fault| (name.clone(), fault)).collect::<Vec<_>>()
    };
    let operations = find(&root, "portType").children.iter();
    operations.filter(|node| node.local == "operation").flat_map(of_operation).collect()
}

/// Names of the faults that the schema we serve has.
async fn elements(world: &World, version: Version) -> BTreeSet<String> {
    let name = format!("smev-message-exchange-faults-{}.xsd", version.as_str());
    let (status, schema) = world.get(&format!("/ws/smev/{name}")).await;
    assert_eq!(status, 200);
    let root = Node::document(schema.as_bytes(), Limits::default()).unwrap();
    let elements = root.children.iter().filter(|node| node.local == "element");
    elements.map(|node| node.attribute("name").unwrap().to_owned()).collect()
}

/// A system that may send nothing, and so has no queue of states; what it is told.
async fn mute(world: &World) -> (Signer, String) {
    let issued = world.issue("MUTE", KeyKind::P256, validity(0, 10));
    let facts = Facts::read(&issued.certificate_der().unwrap()).unwrap();
    let (mnemonic, name) = ("IS00009", "");
    world.describe(Described { mnemonic, name, vip: false, asks: false }, &facts).await;
    let said = format!(
        "Входящая очередь запрошенного типа сообщений, принадлежащая пользователю {} не \
         зарегистрирована в СМЭВ",
        facts.subject
    );
    (signer(&issued), said)
}
