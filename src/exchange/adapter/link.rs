//! One call to a node of the exchange: signed, sent, its answer read, whatever comes instead of one.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use mime::Mime;
use reqwest::header::{ACCEPT, CONTENT_TYPE, DATE, HeaderMap};
use reqwest::{Client, Response};

use crate::codec::mtom::{self, Related};
use crate::codec::node::Node;
use crate::codec::smev3::client::{AnswerError, NodeFault, body};
use crate::codec::smev3::{DELIVERY_BYTES, Version, action};
use crate::codec::{soap, xml};
use crate::exchange::seal::{SealError, sign_call};
use crate::storage::mailbox::remote::Trouble;
use crate::trust::Signer;

/// What is taken as an answer: also parts, which stacks of the exchange send even without files.
const TAKEN: &str = "multipart/related; type=\"application/xop+xml\", text/xml";

/// A node of the exchange, and who we are to it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Link {
    client: Client,
    url: String,
    version: Version,
    signer: Arc<Signer>,
}

/// The answer to an operation that was carried out.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The whole message, its parts put back.
    pub document: Vec<u8>,
    /// The element in its body; none when that is empty, which only Ack's may be.
    pub body: Option<Node>,
}

/// Why an operation was not carried out, or it is not known whether it was.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The message was not signed: it did not leave.
    #[error(transparent)]
    Unsigned(#[from] SealError),
    /// No answer, or only the beginning of one.
    #[error("the node does not answer")]
    Silent(#[source] reqwest::Error),
    /// What came is no answer of the exchange to this message: HTTP status, and what it is, in Russian.
    #[error("the node answers with status {0}: {1}")]
    Foreign(u16, String),
    /// The answer says something that it cannot say to this message: our word for it, and in Russian.
    #[error("{1}")]
    Doubtful(&'static str, String),
    /// A fault, and what time it is where it was made.
    #[error("the node answers with the fault {}: {}", .0.element, .0.text)]
    Fault(Box<NodeFault>, Option<DateTime<Utc>>),
}

impl Link {
    /// Calls the node at this address by this client, in this version, as the system of this key.
    pub fn new(client: Client, url: String, version: Version, signer: Arc<Signer>) -> Self {
        Self { client, url, version, signer }
    }

    /// Version of the exchange that is spoken.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Address of the node.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Signs a message and sends it.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn call(&self, operation: &str, envelope: &str) -> Result<Answer, LinkError> {
        self.send(operation, sign_call(&self.signer, envelope)?).await
    }

    /// Sends a message that is signed already.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn send(&self, operation: &str, message: Vec<u8>) -> Result<Answer, LinkError> {
        let request = self.client.post(&self.url).body(message).header(ACCEPT, TAKEN);
        let request = request.header(CONTENT_TYPE, soap::CONTENT_TYPE);
        let request = request.header("soapaction", format!("\"{}\"", action(operation)));
        let response = request.send().await.map_err(LinkError::Silent)?;
        let (status, date) = (response.status(), date(response.headers()));
        let foreign = |what: String| LinkError::Foreign(status.as_u16(), what);
        let document = whole(response).await?.map_err(foreign)?;
        match body(&document, self.version, operation) {
            Ok(body) if status.is_success() => Ok(Answer { document, body }),
            Ok(_) => Err(foreign("ответ на операцию с чужим кодом состояния".to_owned())),
            Err(AnswerError::Fault(fault)) => Err(LinkError::Fault(fault, date)),
            Err(AnswerError::Foreign(what)) => Err(foreign(what)),
        }
    }
}

impl LinkError {
    /// What went wrong as operators see it.
    pub fn trouble(&self) -> Trouble {
        let (fault, text) = match self {
            Self::Unsigned(error) => {
                ("UNSIGNED", format!("Сообщение не подписано нашим ключом ({})", chain(error)))
            }
            Self::Silent(error) if error.is_timeout() => {
                ("TIMEOUT", "Узел не ответил вовремя".to_owned())
            }
            Self::Silent(error) if error.is_connect() => {
                ("UNREACHABLE", format!("С узлом нет соединения: {}", why(error)))
            }
            Self::Silent(error) => ("CUT", format!("Ответ узла оборван: {}", why(error))),
            Self::Foreign(status, what) => ("FOREIGN", format!("HTTP {status}. {what}")),
            Self::Doubtful(fault, text) => (*fault, text.clone()),
            Self::Fault(fault, _) if fault.element.is_empty() => ("Fault", fault.text.clone()),
            Self::Fault(fault, _) => (fault.element.as_str(), fault.text.clone()),
        };
        Trouble { fault: fault.to_owned(), text }
    }
}

/// The whole message, its parts put back; else what came instead of one.
async fn whole(response: Response) -> Result<Result<Vec<u8>, String>, LinkError> {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind: Option<Mime> = kind.and_then(|kind| kind.parse().ok());
    let Some(document) = collect(response).await? else {
        return Ok(Err(format!("ответ длиннее {DELIVERY_BYTES} байт")));
    };
    let Some(kind) = kind.filter(mtom::is_related) else { return Ok(Ok(document)) };
    let pieces = futures_util::stream::iter([Ok::<_, io::Error>(Bytes::from(document))]);
    let limits = xml::Limits { comments: true, ..xml::Limits::of_ours() };
    let joined = match Related::new(&kind, pieces) {
        Ok(related) => related.inlined(limits, DELIVERY_BYTES).await,
        Err(refusal) => Err(refusal),
    };
    Ok(joined.map_err(|refusal| format!("части сообщения не читаются: {refusal}")))
}

/// All bytes of the answer; `None` when they are too many.
async fn collect(response: Response) -> Result<Option<Vec<u8>>, LinkError> {
    let mut pieces = response.bytes_stream();
    let mut all = Vec::new();
    while let Some(piece) = pieces.next().await {
        all.extend_from_slice(&piece.map_err(LinkError::Silent)?);
        if all.len() as u64 > DELIVERY_BYTES {
            return Ok(None);
        }
    }
    Ok(Some(all))
}

/// What time it was where the answer was made.
fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let written = headers.get(DATE)?.to_str().ok()?;
    DateTime::parse_from_rfc2822(written).ok().map(|at| at.with_timezone(&Utc))
}

/// Why nothing came, in Russian, and behind it in the words of the library, which are for whoever looks
/// further.
fn why(error: &reqwest::Error) -> String {
    use io::ErrorKind as Kind;
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    let mut kind = None;
    while let Some(one) = cause {
        kind = one.downcast_ref::<io::Error>().map(io::Error::kind).or(kind);
        cause = one.source();
    }
    let words = match kind {
        Some(Kind::ConnectionRefused) => "соединение отклонено, по этому адресу никто не слушает",
        Some(Kind::HostUnreachable | Kind::NetworkUnreachable) => "адрес недоступен по сети",
        Some(Kind::TimedOut) => "адрес не отвечает",
        Some(Kind::InvalidData) => "TLS не согласован, проверьте сертификат узла",
        _ if error.is_connect() => "соединение не установлено, проверьте адрес, сеть и TLS",
        _ => "соединение разорвано",
    };
    format!("{words} ({})", chain(error))
}

/// An error with all that caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
