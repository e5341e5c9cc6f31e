//! A client of the federal door: signs, sends, takes the answer, confirms.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::Client;
use uuid::{ContextV1, Timestamp, Uuid};

use crate::codec::node::Node;
use crate::codec::smev3::Version;
use crate::codec::soap::{ENVELOPE, Envelope};
use crate::codec::xml::Limits;
use crate::codec::xmldsig::Detached;
use crate::model::clock::Clock;
use crate::model::federal::NAMESPACE;
use crate::trust::Signer;

/// Version of the exchange that it speaks.
const VERSION: Version = Version::V13;

/// Node part of message ids.
const NODE: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// A system of the federal segment.
pub struct FederalClient {
    client: Client,
    door: String,
    signer: Signer,
    clock: Clock,
    sequence: ContextV1,
}

impl FederalClient {
    /// A system that signs with this key and asks at this address, `host:port`.
    pub fn new(address: std::net::SocketAddr, signer: Signer, clock: Clock) -> Self {
        let door = format!("http://{address}/ws/smev/1.3");
        Self { client: Client::new(), door, signer, clock, sequence: ContextV1::new(1) }
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
        let id = self.new_id();
        let content =
            format!("<{root} xmlns=\"{NAMESPACE}\"><Purpose>{purpose}</Purpose>{inside}</{root}>");
        let data = format!(
            "<t:SenderProvidedRequestData Id=\"R\"><t:MessageID>{id}</t:MessageID>\
             <b:MessagePrimaryContent>{content}</b:MessagePrimaryContent>\
             </t:SenderProvidedRequestData>"
        );
        let begun = Instant::now();
        self.call("SendRequest", (VERSION.types(), "SenderProvidedRequestData"), &data).await?;
        let sent = begun.elapsed();
        let data = format!(
            "<b:MessageTypeSelector Id=\"S\"><b:NamespaceURI>{NAMESPACE}</b:NamespaceURI>\
             <b:RootElementLocalName>{root}</b:RootElementLocalName>\
             <b:Timestamp>{}</b:Timestamp></b:MessageTypeSelector>",
            self.clock.now().to_rfc3339()
        );
        let answer =
            self.call("GetResponse", (VERSION.basic(), "MessageTypeSelector"), &data).await?;
        let original = find(&answer, "OriginalMessageId").map(|node| node.text.trim());
        ensure!(original == Some(id.to_string().as_str()), "почтовый ящик не отдал ответ");
        let provided =
            find(&answer, "SenderProvidedResponseData").context("в ответе нет данных")?;
        let message = find(provided, "MessageID").context("у ответа нет номера")?.text.clone();
        let data = format!(
            "<b:AckTargetMessage Id=\"A\" accepted=\"true\">{message}</b:AckTargetMessage>"
        );
        self.call("Ack", (VERSION.basic(), "AckTargetMessage"), &data).await?;
        Ok((provided.clone(), sent))
    }

    /// Signs and sends one message; the element in the body of the answer.
    async fn call(&self, what: &str, signed: (&'static str, &str), data: &str) -> Result<Node> {
        let operation = format!("{what}Request");
        let (types, basic) = (VERSION.types(), VERSION.basic());
        let message = format!(
            "<soap:Envelope xmlns:soap=\"{ENVELOPE}\"><soap:Header/><soap:Body>\
             <t:{operation} xmlns:t=\"{types}\" xmlns:b=\"{basic}\">{data}\
             <t:CallerInformationSystemSignature></t:CallerInformationSystemSignature>\
             </t:{operation}></soap:Body></soap:Envelope>"
        );
        let above =
            [(ENVELOPE, "Envelope"), (ENVELOPE, "Body"), (VERSION.types(), operation.as_str())];
        let [envelope, body, request] = above;
        let place = Detached {
            signed: &[envelope, body, request, signed],
            holder: &[
                envelope,
                body,
                request,
                (VERSION.types(), "CallerInformationSystemSignature"),
            ],
        };
        let message =
            self.signer.sign_detached(message.as_bytes(), place, &self.signer.recipe().smev())?;
        let request = self.client.post(&self.door);
        let request = request.header("content-type", "text/xml; charset=utf-8").body(message);
        let answer = request.send().await.context("федеральная дверь не отвечает")?;
        let (status, xml) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{what}: {status} {xml}");
        let mut envelope = Envelope::open(xml.as_bytes(), Limits::default(), &[])?;
        let (namespace, local) = envelope.operation();
        let (namespace, local) = (namespace.to_owned(), local.to_owned());
        Ok(Node::rest(envelope.reader(), &namespace, &local)?)
    }

    fn new_id(&self) -> Uuid {
        let now = self.clock.now();
        let seconds = now.timestamp().unsigned_abs();
        let at = Timestamp::from_unix(&self.sequence, seconds, now.timestamp_subsec_nanos());
        Uuid::new_v1(at, &NODE)
    }
}

/// The first element of this local name, from the top.
pub fn find<'n>(node: &'n Node, local: &str) -> Option<&'n Node> {
    if node.local == local {
        return Some(node);
    }
    node.children.iter().find_map(|child| find(child, local))
}
