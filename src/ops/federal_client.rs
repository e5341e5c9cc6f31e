//! A client of the federal door: signs, sends, takes the answer, confirms.

use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use reqwest::Client;
use uuid::{ContextV1, Timestamp, Uuid};

use crate::codec::node::Node;
use crate::codec::shape;
use crate::codec::smev3::Version;
use crate::codec::soap::{ENVELOPE, Envelope};
use crate::model::clock::Clock;
use crate::model::federal::NAMESPACE;
use crate::trust::Signer;

/// Longest answer in a file, unpacked, in bytes.
const MOST_UNPACKED: u64 = 256 << 20;

/// Version of the exchange that it speaks.
const VERSION: Version = Version::V13;

/// Node part of message ids.
const NODE: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// Messages of a system of the federal segment, signed. Cheap to clone.
#[derive(Clone)]
pub struct Messages {
    signer: Arc<Signer>,
    clock: Clock,
    sequence: Arc<ContextV1>,
}

impl Messages {
    /// Signs with this key.
    pub fn new(signer: Signer, clock: Clock) -> Self {
        Self { signer: Arc::new(signer), clock, sequence: Arc::new(ContextV1::new(1)) }
    }

    /// A question: its id and the message.
    ///
    /// # Errors
    /// When the key does not sign.
    pub fn ask(&self, root: &str, inside: &str, purpose: &str) -> Result<(Uuid, Vec<u8>)> {
        let id = self.new_id();
        let content =
            format!("<{root} xmlns=\"{NAMESPACE}\"><Purpose>{purpose}</Purpose>{inside}</{root}>");
        let data = format!(
            "<t:SenderProvidedRequestData Id=\"R\"><t:MessageID>{id}</t:MessageID>\
             <b:MessagePrimaryContent>{content}</b:MessagePrimaryContent>\
             </t:SenderProvidedRequestData>"
        );
        Ok((id, self.message("SendRequest", &data)?))
    }

    /// A call for the next answer to questions with this root element.
    ///
    /// # Errors
    /// When the key does not sign.
    pub fn pull(&self, root: &str) -> Result<Vec<u8>> {
        let data = format!(
            "<b:MessageTypeSelector Id=\"S\"><b:NamespaceURI>{NAMESPACE}</b:NamespaceURI>\
             <b:RootElementLocalName>{root}</b:RootElementLocalName>\
             <b:Timestamp>{}</b:Timestamp></b:MessageTypeSelector>",
            self.clock.now().to_rfc3339()
        );
        self.message("GetResponse", &data)
    }

    /// A confirmation of the answer of this id.
    ///
    /// # Errors
    /// When the key does not sign.
    pub fn ack(&self, id: &str) -> Result<Vec<u8>> {
        let data =
            format!("<b:AckTargetMessage Id=\"A\" accepted=\"true\">{id}</b:AckTargetMessage>");
        self.message("Ack", &data)
    }

    fn message(&self, operation: &str, data: &str) -> Result<Vec<u8>> {
        let (types, basic) = (VERSION.types(), VERSION.basic());
        let message = format!(
            "<soap:Envelope xmlns:soap=\"{ENVELOPE}\"><soap:Header/><soap:Body>\
             <t:{operation}Request xmlns:t=\"{types}\" xmlns:b=\"{basic}\">{data}\
             <t:CallerInformationSystemSignature></t:CallerInformationSystemSignature>\
             </t:{operation}Request></soap:Body></soap:Envelope>"
        );
        let plan = shape::smev3(message.as_bytes())?;
        let spot = plan.spots.first().context("в сообщении нечего подписывать")?;
        let recipe = self.signer.recipe().smev();
        Ok(self.signer.sign_spot(message.as_bytes(), spot, &recipe)?)
    }

    fn new_id(&self) -> Uuid {
        let now = self.clock.now();
        let seconds = now.timestamp().unsigned_abs();
        let at = Timestamp::from_unix(&*self.sequence, seconds, now.timestamp_subsec_nanos());
        Uuid::new_v1(at, &NODE)
    }
}

/// The id of the answer in an answer to GetResponse; none when nothing waits.
pub fn answer_id(message: &[u8]) -> Option<String> {
    let root = Node::document(message, shape::limits()).ok()?;
    let provided = find(&root, "SenderProvidedResponseData")?;
    find(provided, "MessageID").map(|id| id.text.clone())
}

/// A system of the federal segment that asks over HTTP.
pub struct FederalClient {
    client: Client,
    door: String,
    messages: Messages,
}

impl FederalClient {
    /// A system that signs with this key and asks at this address, `host:port`.
    pub fn new(address: std::net::SocketAddr, signer: Signer, clock: Clock) -> Self {
        let door = format!("http://{address}/ws/smev/{}", VERSION.as_str());
        Self { client: Client::new(), door, messages: Messages::new(signer, clock) }
    }

    /// Sends a question, takes the answer out of the mailbox, confirms it; the data of the answer.
    ///
    /// # Errors
    /// When a message is answered with a fault, or the mailbox does not hold the answer.
    pub async fn answer(&self, root: &str, inside: &str, purpose: &str) -> Result<Node> {
        Ok(self.timed_answer(root, inside, purpose).await?.0)
    }

    /// As [`FederalClient::answer`], with the time until the question was taken and answered into
    /// the mailbox.
    ///
    /// # Errors
    /// The same.
    pub async fn timed_answer(
        &self,
        root: &str,
        inside: &str,
        purpose: &str,
    ) -> Result<(Node, Duration)> {
        let (id, ask) = self.messages.ask(root, inside, purpose)?;
        let begun = Instant::now();
        self.call("SendRequest", ask).await?;
        let sent = begun.elapsed();
        let answer = self.call("GetResponse", self.messages.pull(root)?).await?;
        let original = find(&answer, "OriginalMessageId").map(|node| node.text.trim());
        ensure!(original == Some(id.to_string().as_str()), "почтовый ящик не отдал ответ");
        let provided =
            find(&answer, "SenderProvidedResponseData").context("в ответе нет данных")?;
        let message = find(provided, "MessageID").context("у ответа нет номера")?.text.clone();
        self.call("Ack", self.messages.ack(&message)?).await?;
        match find(provided, "Attached") {
            Some(_) => Ok((attached(&answer)?, sent)),
            None => Ok((provided.clone(), sent)),
        }
    }

    /// Sends one message; the element in the body of the answer.
    async fn call(&self, operation: &str, message: Vec<u8>) -> Result<Node> {
        let request = self.client.post(&self.door);
        let request = request.header("content-type", "text/xml; charset=utf-8").body(message);
        let answer = request.send().await.context("федеральная дверь не отвечает")?;
        let (status, xml) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{operation}: {status} {xml}");
        let mut envelope = Envelope::open(xml.as_bytes(), shape::limits(), &[])?;
        let (namespace, local) = envelope.operation();
        let (namespace, local) = (namespace.to_owned(), local.to_owned());
        Ok(Node::rest(envelope.reader(), &namespace, &local)?)
    }
}

/// The answer in the file beside a message whose content only refers to it.
fn attached(answer: &Node) -> Result<Node> {
    let content = find(answer, "AttachmentContent").context("в ответе нет файла")?;
    let text = find(content, "Content").context("файл пуст")?.text.as_bytes();
    let packed: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let mut document = Vec::new();
    GzDecoder::new(&*STANDARD.decode(packed)?).take(MOST_UNPACKED).read_to_end(&mut document)?;
    Ok(Node::document(&document, shape::limits())?)
}

/// The first element of this local name, from the top.
pub fn find<'n>(node: &'n Node, local: &str) -> Option<&'n Node> {
    if node.local == local {
        return Some(node);
    }
    node.children.iter().find_map(|child| find(child, local))
}
