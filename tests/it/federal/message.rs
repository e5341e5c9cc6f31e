//! Messages as a federal system makes them.

use std::sync::LazyLock;

use kontingent::codec::smev3::Version;
use kontingent::codec::soap::ENVELOPE;
use kontingent::codec::xmldsig::Detached;
use kontingent::model::clock::Clock;
use kontingent::trust::Signer;
use uuid::{ContextV1, Timestamp, Uuid};

/// Version of the exchange that messages are of, unless said otherwise.
const VERSION: Version = Version::V13;

static SEQUENCE: LazyLock<ContextV1> = LazyLock::new(|| ContextV1::new(42));

/// A new message id.
pub(super) fn new_id() -> Uuid {
    let now = Clock::System.now();
    let seconds = now.timestamp().unsigned_abs();
    let at = Timestamp::from_unix(&*SEQUENCE, seconds, now.timestamp_subsec_nanos());
    Uuid::new_v1(at, &[3, 2, 1, 4, 5, 6])
}

/// A message to be signed: which operation, which child of it, and their XML.
#[derive(Clone, Debug)]
pub(super) struct Message {
    operation: &'static str,
    signed: (&'static str, &'static str),
    data: String,
}

impl Message {
    /// A question; `fields` stand between MessageID and the content.
    pub(super) fn ask(id: &str, fields: &str, content: &str) -> Self {
        let data = format!(
            "<t:SenderProvidedRequestData Id=\"SIGNED_BY_CONSUMER\"><t:MessageID>{id}</t:MessageID>\
             {fields}<b:MessagePrimaryContent>{content}</b:MessagePrimaryContent>\
             </t:SenderProvidedRequestData>"
        );
        let signed = (VERSION.types(), "SenderProvidedRequestData");
        Self { operation: "SendRequestRequest", signed, data }
    }

    /// A question marked as a test.
    pub(super) fn test(id: &str, content: &str) -> Self {
        let Self { operation, signed, data } = Self::ask(id, "", content);
        let mark = "<t:TestMessage/></t:SenderProvidedRequestData>";
        Self { operation, signed, data: data.replace("</t:SenderProvidedRequestData>", mark) }
    }

    /// A call for the next answer.
    pub(super) fn pull(selector: &str, node: &str) -> Self {
        let data = format!(
            "<b:MessageTypeSelector Id=\"SIGNED_BY_CALLER\">{selector}\
             <b:Timestamp>{}</b:Timestamp>{node}</b:MessageTypeSelector>",
            Clock::System.now().to_rfc3339()
        );
        Self {
            operation: "GetResponseRequest",
            signed: (VERSION.basic(), "MessageTypeSelector"),
            data,
        }
    }

    /// A confirmation.
    pub(super) fn ack(id: &str) -> Self {
        let data =
            format!("<b:AckTargetMessage Id=\"A\" accepted=\"true\">{id}</b:AckTargetMessage>");
        Self { operation: "AckRequest", signed: (VERSION.basic(), "AckTargetMessage"), data }
    }

    /// The envelope with an empty holder for the signature.
    pub(super) fn unsigned(&self) -> String {
        let Self { operation, data, .. } = self;
        let (types, basic) = (VERSION.types(), VERSION.basic());
        format!(
            "<soap:Envelope xmlns:soap=\"{ENVELOPE}\"><soap:Header/><soap:Body>\
             <t:{operation} xmlns:t=\"{types}\" xmlns:b=\"{basic}\">{data}\
             <t:CallerInformationSystemSignature></t:CallerInformationSystemSignature>\
             </t:{operation}></soap:Body></soap:Envelope>"
        )
    }

    /// The envelope with the signature of this system.
    pub(super) fn signed(&self, signer: &Signer) -> String {
        let above = [(ENVELOPE, "Envelope"), (ENVELOPE, "Body"), (VERSION.types(), self.operation)];
        let [envelope, body, operation] = above;
        let place = Detached {
            signed: &[envelope, body, operation, self.signed],
            holder: &[
                envelope,
                body,
                operation,
                (VERSION.types(), "CallerInformationSystemSignature"),
            ],
        };
        let signed = signer
            .sign_detached(self.unsigned().as_bytes(), place, &signer.recipe().smev())
            .unwrap();
        String::from_utf8(signed).unwrap()
    }
}

/// Content of a question, in our namespace.
pub(super) fn content(root: &str, inside: &str) -> String {
    format!(
        "<{root} xmlns=\"urn:kontingent:federal:1.0\"><Purpose>проверка</Purpose>{inside}</{root}>"
    )
}

/// The question for a person by insurance number.
pub(super) fn by_snils(snils: &str) -> String {
    content("GetPersonBySnilsRequest", &format!("<Snils>{snils}</Snils>"))
}
