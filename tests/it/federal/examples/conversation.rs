//! Two systems that exchange messages through the node, in each version.

use kontingent::codec::smev3::Version;
use kontingent::model::clock::Clock;
use kontingent::trust::Signer;

use super::super::message::{File, Message, by_snils, content, in_parts, new_id, selector};
use super::super::store::put;
use super::super::world::{Answered, World, find};
use super::book::{Book, Call};
use super::{NAMESPACE, Parties, faults};
use crate::harness::wait_until;

const PLAIN: &str = "text/xml; charset=utf-8";

/// A zip archive with nothing in it.
const ARCHIVE: &[u8] = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// Queue of the answers that nobody else waits for.
const NODE: &str = "late";

/// A conversation in one version.
pub(super) struct Talk<'a> {
    pub(super) world: &'a World,
    pub(super) book: &'a mut Book,
    pub(super) version: Version,
    pub(super) parties: &'a Parties,
}

fn id() -> String {
    new_id().to_string()
}

fn asked() -> String {
    format!(
        "<c:CertificateRequest xmlns:c=\"{NAMESPACE}\" Id=\"PERSONAL_SIGNATURE\">\
         <c:Snils>11223344595</c:Snils><c:Purpose>приём в спортивный класс</c:Purpose>\
         </c:CertificateRequest>"
    )
}

fn told() -> String {
    format!(
        "<c:CertificateResponse xmlns:c=\"{NAMESPACE}\" Id=\"PERSONAL_SIGNATURE\">\
         <c:Group>основная</c:Group><c:IssuedOn>2026-09-01</c:IssuedOn></c:CertificateResponse>"
    )
}

impl Talk<'_> {
    /// Everything that is said in a version.
    pub(super) async fn all(&mut self) {
        self.nothing_waits().await;
        self.a_request_and_its_answers().await;
        self.a_rejection().await;
        self.an_official().await;
        self.files_inside().await;
        self.files_in_parts().await;
        self.files_in_the_store().await;
        self.a_question().await;
        let told = "nothing yet: from this call on, for a day, the node tells here which messages of the \
            caller have been received; what failed is told by GetResponse";
        let what = ["GetStatus", told];
        let consumer = &self.parties.consumer;
        self.call("get-status", what, Message::status(), consumer).await;
    }

    async fn call(
        &mut self,
        name: &str,
        what: [&str; 2],
        message: Message,
        signer: &Signer,
    ) -> Answered {
        let body = message.by(self.version).signed(signer).into_bytes();
        let call = Call { name, what, kind: PLAIN, parts: false, body };
        let answered = self.book.call(self.world, self.version, call).await;
        answered.body();
        answered
    }

    /// Sends without writing it down.
    async fn send(&self, message: Message, signer: &Signer) -> Answered {
        let answered =
            self.world.send_by(self.version, message.by(self.version).signed(signer)).await;
        answered.body();
        answered
    }

    async fn nothing_waits(&mut self) {
        let Parties { consumer, provider, .. } = self.parties;
        let what = ["GetRequest without a selector", "no request waits"];
        self.call("get-request-empty", what, Message::take(""), provider).await;
        let what = ["GetResponse without a selector", "no answer waits"];
        self.call("get-response-empty", what, Message::pull("", ""), consumer).await;
    }

    async fn a_request_and_its_answers(&mut self) {
        let Parties { consumer, provider, .. } = self.parties;
        let message = id();
        let fields = format!(
            "<t:ReferenceMessageID>{message}</t:ReferenceMessageID>\
             <t:TransactionCode>TC-1</t:TransactionCode>"
        );
        let what = ["SendRequest: the consumer asks for a certificate", "it is queued"];
        self.call("send-request", what, Message::ask(&message, &fields, &asked()), consumer).await;
        if self.version.has_queue_statistics() {
            let what = ["GetIncomingQueueStatistics of the provider", "one request waits"];
            let statistics = Message::statistics("");
            self.call("get-incoming-queue-statistics", what, statistics, provider).await;
        }
        let take = Message::take(&selector(NAMESPACE, "CertificateRequest"));
        let what = [
            "GetRequest: the provider calls for requests of a kind",
            "the request, hidden for 15 minutes",
        ];
        let request = self.call("get-request", what, take, provider).await;
        let what = ["Ack: the provider has the request", "confirmed"];
        self.call("ack", what, Message::ack(&request.id()), provider).await;
        let to = find(&request.body(), "ReplyTo").text.clone();

        let what = ["SendResponse with RequestStatus: the provider is at work", "it is queued"];
        self.call("send-response-status", what, Message::progress(&id(), &to), provider).await;
        let what = [
            "GetResponse: the consumer calls for what is next",
            "RequestStatus; the answer is still to come",
        ];
        let status = self.call("get-response-status", what, Message::pull("", ""), consumer).await;
        self.send(Message::ack(&status.id()), consumer).await;

        let answer = Message::answer(&id(), &to, &told());
        let what = ["SendResponse: the answer, To is the ReplyTo of the request", "it is queued"];
        self.call("send-response", what, answer, provider).await;
        let pull = Message::pull(&selector(NAMESPACE, "CertificateResponse"), "");
        let what = ["GetResponse: the consumer calls for answers of a kind", "the answer"];
        let response = self.call("get-response", what, pull, consumer).await;
        self.send(Message::ack(&response.id()), consumer).await;
    }

    /// A request that the provider has and has confirmed; where its answer goes.
    async fn taken(&self) -> String {
        let Parties { consumer, provider, .. } = self.parties;
        self.send(Message::ask(&id(), "", &asked()), consumer).await;
        let request = self.send(Message::take(""), provider).await;
        self.send(Message::ack(&request.id()), provider).await;
        find(&request.body(), "ReplyTo").text.clone()
    }

    async fn a_rejection(&mut self) {
        let Parties { consumer, provider, .. } = self.parties;
        let to = self.taken().await;
        let rejected = "<t:RequestRejected><t:RejectionReasonCode>NO_DATA</t:RejectionReasonCode>\
            <t:RejectionReasonDescription>Пациент не найден</t:RejectionReasonDescription>\
            </t:RequestRejected>";
        let rejected = Message::tell(&id(), &to, rejected);
        let what = ["SendResponse with RequestRejected", "it is queued"];
        self.call("send-response-rejected", what, rejected, provider).await;
        let what = ["GetResponse: the consumer calls for what is next", "RequestRejected: NO_DATA"];
        let pull = Message::pull("", "");
        let rejection = self.call("get-response-rejected", what, pull, consumer).await;
        self.send(Message::ack(&rejection.id()), consumer).await;
    }

    async fn an_official(&mut self) {
        let Parties { consumer, provider, official } = self.parties;
        let ask = Message::ask(&id(), "", &asked());
        let ask = ask.official(official, (NAMESPACE, "CertificateRequest"));
        let what = [
            "SendRequest with the PersonalSignature of an official over the content",
            "it is queued",
        ];
        self.call("send-request-personal", what, ask, consumer).await;
        let what = [
            "GetRequest: the provider calls for what is next",
            "the request with the official's signature, unchanged",
        ];
        let request = self.call("get-request-personal", what, Message::take(""), provider).await;
        self.send(Message::ack(&request.id()), provider).await;
    }

    async fn files_inside(&mut self) {
        let Parties { consumer, provider, .. } = self.parties;
        let files = [File::new("referral", ARCHIVE, consumer)];
        let ask = Message::ask(&id(), "", &asked()).with(&files);
        let what = ["SendRequest with a file in the message and its PKCS#7", "it is queued"];
        self.call("send-request-attachment", what, ask, consumer).await;
        let what = ["GetRequest: the provider calls for what is next", "the request with its file"];
        let request = self.call("get-request-attachment", what, Message::take(""), provider).await;
        self.send(Message::ack(&request.id()), provider).await;
        let files = [File::new("certificate", ARCHIVE, provider)];
        let to = find(&request.body(), "ReplyTo").text.clone();
        let answer = Message::answer(&id(), &to, &told()).with(&files);
        let what = ["SendResponse with a file in the message", "it is queued"];
        self.call("send-response-attachment", what, answer, provider).await;
        let what = ["GetResponse: the consumer calls for what is next", "the answer with its file"];
        let pull = Message::pull("", "");
        let response = self.call("get-response-attachment", what, pull, consumer).await;
        self.send(Message::ack(&response.id()), consumer).await;
    }

    async fn files_in_parts(&mut self) {
        let Parties { consumer, provider, .. } = self.parties;
        let (version, world) = (self.version, self.world);
        let files = [File::new("referral", ARCHIVE, consumer)];
        let ask = Message::ask(&id(), "", &asked()).with(&files).by(version).signed(consumer);
        let (kind, body) = in_parts(&ask, &files);
        let what = [
            "SendRequest by MTOM: the file and its PKCS#7 are parts",
            "it is queued, by MTOM as well",
        ];
        let call = Call { name: "send-request-mtom", what, kind: &kind, parts: false, body };
        self.book.call(world, version, call).await.body();
        let take = Message::take("").by(version).signed(provider);
        let what = ["GetRequest, sent with `Accept: application/xop+xml`", "the request by MTOM"];
        let body = take.into_bytes();
        let call = Call { name: "get-request-mtom", what, kind: PLAIN, parts: true, body };
        let request = self.book.call(world, version, call).await;
        assert_eq!(request.files(), [("referral".to_owned(), ARCHIVE.to_vec())]);
        self.send(Message::ack(&request.id()), provider).await;
    }

    async fn files_in_the_store(&mut self) {
        let Parties { consumer, provider, .. } = self.parties;
        let word = self.world.admin().issue_store_word("SCHOOL01").await.unwrap();
        let stored = put(self.world, "SCHOOL01", &word, ARCHIVE).await.signed(consumer, ARCHIVE);
        let ask = Message::ask(&id(), "", &asked()).with_headers(&stored.header(), &[]);
        let what = ["SendRequest with a file that was put into the store", "it is queued"];
        self.call("send-request-stored", what, ask, consumer).await;
        let what = [
            "GetRequest: the provider calls for what is next",
            "the request with the name and the word to fetch its file with",
        ];
        let request = self.call("get-request-stored", what, Message::take(""), provider).await;
        self.send(Message::ack(&request.id()), provider).await;
    }

    async fn a_question(&mut self) {
        let consumer = &self.parties.consumer;
        let ask = Message::ask(&id(), "", &by_snils("112-233-445 95"));
        let what =
            ["SendRequest with a question of urn:kontingent:federal:1.0", "it is answered already"];
        self.call("send-request-question", what, ask, consumer).await;
        let what = [
            "GetResponse: the consumer calls for what is next",
            "our own answer, signed by the node as its sender too",
        ];
        let pull = Message::pull("", "");
        let response = self.call("get-response-question", what, pull, consumer).await;
        self.send(Message::ack(&response.id()), consumer).await;

        let flawed =
            "<LastName> </LastName><FirstName>Я</FirstName><BirthDate>01.02.2000</BirthDate>";
        let ask = Message::ask(&id(), "", &content("FindPersonRequest", flawed)).by(self.version);
        let refused = self.world.send_by(self.version, ask.signed(consumer)).await;
        let name = format!("{}/faults/invalid-content-question.xml", self.version.as_str());
        faults::put(self.book, &name, "SendRequest with a flawed question", &refused);
    }

    /// A request whose life ends before anybody answers: see [`late`].
    async fn a_life(&mut self) {
        let consumer = &self.parties.consumer;
        let soon = Clock::System.now() + chrono::TimeDelta::minutes(9);
        let fields = format!("<t:NodeID>{NODE}</t:NodeID><t:EOL>{}</t:EOL>", soon.to_rfc3339());
        let what = ["SendRequest with NodeID and EOL", "it is queued"];
        let ask = Message::ask(&id(), &fields, &asked());
        self.call("send-request-eol", what, ask, consumer).await;
    }
}

/// Sends requests, and ends their lives before anybody answers.
pub(super) async fn end_lives(world: &World, book: &mut Book, parties: &Parties) {
    for version in Version::ALL {
        Talk { world, book: &mut *book, version, parties }.a_life().await;
    }
    let past = "UPDATE mailbox_request SET end_of_life = received_at WHERE end_of_life IS NOT NULL";
    world.db.execute(past, vec![]).await.unwrap();
}

/// What the consumer is told of them.
pub(super) async fn late(world: &World, book: &mut Book, parties: &Parties) {
    let told = format!("SELECT count(*) FROM mailbox_message WHERE node_id = '{NODE}'");
    let all = i64::try_from(Version::ALL.len()).unwrap();
    wait_until("late requests are given up", async || world.count(&told).await == all).await;
    for version in Version::ALL {
        let mut talk = Talk { world, book: &mut *book, version, parties };
        let pull = Message::pull("", &format!("<b:NodeID>{NODE}</b:NodeID>"));
        let what = [
            "GetResponse of the same NodeID",
            "AsyncProcessingStatus: the EOL passed without an answer",
        ];
        let word = talk.call("get-response-async-status", what, pull, &parties.consumer).await;
        talk.send(Message::ack(&word.id()), &parties.consumer).await;
    }
}
