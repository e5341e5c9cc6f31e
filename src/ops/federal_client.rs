//! A client of the exchange of messages: signs, sends, takes the answer, confirms.

use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use chrono::{DateTime, Utc};
use flate2::read::GzDecoder;
use reqwest::Client;
use uuid::{ContextV1, Timestamp, Uuid};

use crate::codec::node::Node;
use crate::codec::shape;
use crate::codec::smev3::client::{
    Question, Returned, Selector, ack, get_response, returned, send_request,
};
use crate::codec::smev3::{Attachment, Version};
use crate::codec::xml::{self, escape_text};
use crate::exchange::adapter::{Answer, Link, LinkError};
use crate::exchange::seal::sign_call;
use crate::http::tls::install_provider;
use crate::model::clock::Clock;
use crate::model::federal::NAMESPACE;
use crate::ops::output::say;
use crate::trust::{Signer, TrustStore};

/// Longest answer in a file, unpacked, in bytes.
const MOST_UNPACKED: u64 = 256 << 20;

/// Version of the exchange that it speaks, unless said otherwise.
const VERSION: Version = Version::V13;

/// Node part of message ids.
const NODE: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// Pause before an answer is looked for again.
const PAUSE: Duration = Duration::from_secs(1);

/// Messages of a system of the federal segment, signed. Cheap to clone.
#[derive(Clone)]
pub struct Messages {
    version: Version,
    signer: Arc<Signer>,
    clock: Clock,
    sequence: Arc<ContextV1>,
}

impl Messages {
    /// Signs with this key.
    pub fn new(signer: Signer, clock: Clock) -> Self {
        Self::of(VERSION, Arc::new(signer), clock)
    }

    pub(super) fn of(version: Version, signer: Arc<Signer>, clock: Clock) -> Self {
        Self { version, signer, clock, sequence: Arc::new(ContextV1::new(1)) }
    }

    /// A question: its id and the message.
    ///
    /// # Errors
    /// When the key does not sign.
    pub fn ask(&self, root: &str, inside: &str, purpose: &str) -> Result<(Uuid, Vec<u8>)> {
        self.ask_as(&Asking { root, inside, purpose, test: false })
    }

    fn ask_as(&self, asking: &Asking<'_>) -> Result<(Uuid, Vec<u8>)> {
        let content = asking.content();
        let id = self.new_id();
        let question = Question {
            message_id: id,
            reference_id: id,
            transaction_code: None,
            node: None,
            end_of_life: None,
            content: &content,
            headers: &[],
            test: asking.test,
        };
        Ok((id, signed(&self.signer, &send_request(self.version, &question, &[]))?))
    }

    /// A call for the next answer to questions with this root element.
    ///
    /// # Errors
    /// When the key does not sign.
    pub fn pull(&self, root: &str) -> Result<Vec<u8>> {
        let root = Some((NAMESPACE, root));
        let selector = Selector { root, node: None, at: self.now() };
        signed(&self.signer, &get_response(self.version, &selector))
    }

    /// A confirmation of the answer of this id.
    ///
    /// # Errors
    /// When the id is none, or the key does not sign.
    pub fn ack(&self, id: &str) -> Result<Vec<u8>> {
        signed(&self.signer, &ack(self.version, id.trim().parse()?, true))
    }

    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(super) fn new_id(&self) -> Uuid {
        let now = self.now();
        let seconds = now.timestamp().unsigned_abs();
        let at = Timestamp::from_unix(&*self.sequence, seconds, now.timestamp_subsec_nanos());
        Uuid::new_v1(at, &NODE)
    }
}

/// A question.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// Local name of its root.
    pub root: &'a str,
    /// What stands in that behind the purpose, XML.
    pub inside: &'a str,
    /// Why it is asked.
    pub purpose: &'a str,
    /// Marked as a test.
    pub test: bool,
}

impl Asking<'_> {
    /// The question, XML.
    fn content(&self) -> String {
        let mut purpose = String::new();
        escape_text(self.purpose, &mut purpose);
        let Self { root, inside, .. } = self;
        format!("<{root} xmlns=\"{NAMESPACE}\"><Purpose>{purpose}</Purpose>{inside}</{root}>")
    }
}

/// Asks the node at an address and prints the message with the answer, XML. With `trust` the node must
/// have signed it.
///
/// # Errors
/// When a message is answered with a fault, no answer comes in time, or it is not trusted.
pub async fn ask(
    (url, version): (&str, Version),
    signer: Signer,
    trust: Option<&TrustStore>,
    asking: &Asking<'_>,
    wait: Duration,
) -> Result<()> {
    Node::document(asking.content().as_bytes(), shape::limits())
        .map_err(|refusal| anyhow!("вопрос — не XML: {refusal}"))?;
    install_provider();
    let signer = Arc::new(signer);
    let link = Link::new(Client::new(), url.to_owned(), version, Arc::clone(&signer));
    let messages = Messages::of(version, signer, Clock::System);
    let client = FederalClient { link, messages };
    let id = client.send(asking).await?;
    let begun = Instant::now();
    loop {
        match client.next(asking.root).await? {
            // One that is not for us is not confirmed: who asked for it finds it again.
            Some((found, answer)) if found.original_id.is_none_or(|original| original == id) => {
                match trust {
                    Some(trust) => vouched(&answer.document, trust)?,
                    None => eprintln!("Подпись узла под ответом не проверена: нужен --trust"),
                }
                client.confirm(&found).await?;
                say(String::from_utf8_lossy(&answer.document));
                return Ok(());
            }
            Some(_) => {}
            None => tokio::time::sleep(PAUSE).await,
        }
        if begun.elapsed() > wait {
            bail!("запрос {id} принят, ответа за {} с нет", wait.as_secs());
        }
    }
}

/// Whether somebody of this trust signed an answer as its node.
fn vouched(document: &[u8], trust: &TrustStore) -> Result<()> {
    let limits = xml::Limits { comments: true, ..xml::Limits::of_ours() };
    let spot = shape::smev3_of_exchange(document);
    let signature = spot.and_then(|spot| spot.verify(document, limits));
    let judged = signature.and_then(|signature| trust.verify(&signature, Clock::System.now()));
    judged.map(|_| ()).map_err(|refusal| {
        anyhow!("подпись узла под ответом не принята, ответ не подтверждён: {refusal}")
    })
}

/// The id of the answer in an answer to GetResponse; none when nothing waits.
pub fn answer_id(message: &[u8]) -> Option<String> {
    let root = Node::document(message, shape::limits()).ok()?;
    let provided = find(&root, "SenderProvidedResponseData")?;
    find(provided, "MessageID").map(|id| id.text.clone())
}

/// A system of the federal segment that asks over HTTP.
pub struct FederalClient {
    link: Link,
    messages: Messages,
}

impl FederalClient {
    /// A system that signs with this key and asks at this address, `host:port`.
    pub fn new(address: std::net::SocketAddr, signer: Signer, clock: Clock) -> Self {
        let url = format!("http://{address}/ws/smev/{}", VERSION.as_str());
        let messages = Messages::new(signer, clock);
        let link = Link::new(Client::new(), url, VERSION, Arc::clone(&messages.signer));
        Self { link, messages }
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
        let (id, message) = self.messages.ask(root, inside, purpose)?;
        let begun = Instant::now();
        self.call("SendRequest", message).await?;
        let sent = begun.elapsed();
        let found = self.next(root).await?.map(|(found, _)| found);
        let found = found.filter(|found| found.original_id == Some(id));
        let found = found.context("почтовый ящик не отдал ответ")?;
        self.confirm(&found).await?;
        match (find(&found.provided, "Attached"), &found.sent) {
            (Some(_), Ok(data)) => Ok((attached(&data.attachments)?, sent)),
            _ => Ok((found.provided, sent)),
        }
    }

    /// Sends a question; its id.
    ///
    /// # Errors
    /// When it is answered with a fault.
    pub async fn send(&self, asking: &Asking<'_>) -> Result<Uuid> {
        let (id, message) = self.messages.ask_as(asking)?;
        self.call("SendRequest", message).await?;
        Ok(id)
    }

    /// The next answer to a question with this root element, and the message that has it.
    ///
    /// # Errors
    /// When the call is answered with a fault.
    pub async fn next(&self, root: &str) -> Result<Option<(Returned, Answer)>> {
        let answer = self.call("GetResponse", self.messages.pull(root)?).await?;
        let Some(body) = &answer.body else { return Ok(None) };
        Ok(returned(self.link.version(), body)?.map(|found| (found, answer)))
    }

    /// Confirms an answer.
    ///
    /// # Errors
    /// When the call is answered with a fault.
    pub async fn confirm(&self, found: &Returned) -> Result<()> {
        self.call("Ack", self.messages.ack(&found.message_id.to_string())?).await.map(|_| ())
    }

    async fn call(&self, operation: &str, message: Vec<u8>) -> Result<Answer> {
        self.link.send(operation, message).await.map_err(|error| failed(operation, &error))
    }
}

/// A call that was not carried out, in words.
pub(super) fn failed(operation: &str, error: &LinkError) -> anyhow::Error {
    let trouble = error.trouble();
    anyhow!("{operation}: {}: {}", trouble.fault, trouble.text)
}

/// A message, signed.
fn signed(signer: &Signer, envelope: &str) -> Result<Vec<u8>> {
    sign_call(signer, envelope).map_err(|error| anyhow!(LinkError::from(error).trouble().text))
}

/// The answer in the file beside a message whose content only refers to it.
fn attached(files: &[Attachment]) -> Result<Node> {
    let file = files.first().context("в ответе нет файла")?;
    let mut document = Vec::new();
    GzDecoder::new(&*file.bytes).take(MOST_UNPACKED).read_to_end(&mut document)?;
    Ok(Node::document(&document, shape::limits())?)
}

/// The first element of this local name, from the top.
pub fn find<'n>(node: &'n Node, local: &str) -> Option<&'n Node> {
    if node.local == local {
        return Some(node);
    }
    node.children.iter().find_map(|child| find(child, local))
}
