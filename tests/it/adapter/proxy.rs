//! What stands between adapter and node: it loses, cuts, changes and repeats what passes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kontingent::codec::smev3::{Fault as Told, Version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

/// What is done to a call.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    Pass,
    /// The connection is closed at once.
    Refuse,
    /// Nothing is answered until the caller has gone.
    Hang,
    /// The node carries it out, and its reply is lost.
    Lose,
    /// Half of the reply.
    Cut,
    /// An error of a gateway, with this status.
    Status(u16),
    /// A page instead of a message, with status 200.
    Html,
    /// The reply in small pieces.
    Slow,
    /// A byte of a signature changes on the way to the node …
    ChangeRequest,
    /// … or on the way back.
    ChangeReply,
    /// The reply speaks of another message.
    Confuse,
    /// The reply speaks of this message.
    Claim(Uuid),
    /// The last message that was handed out, once more.
    Repeat,
    /// A fault of the exchange, which the node knows nothing of.
    Say(Told),
}

/// A call as it came, before anything was done to it.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) operation: String,
    pub(super) body: Vec<u8>,
}

type Plan = Box<dyn FnMut(&str) -> Fault + Send>;

/// A reply: status, headers that matter, body.
#[derive(Clone)]
struct Reply {
    status: u16,
    kind: String,
    body: Vec<u8>,
}

pub(super) struct Proxy {
    pub(super) address: String,
    pub(super) calls: Mutex<Vec<Call>>,
    plan: Mutex<Plan>,
    node: String,
    http: reqwest::Client,
    handed_out: Mutex<Option<Reply>>,
}

impl Proxy {
    /// Stands before the node at `host:port`.
    pub(super) async fn start(node: String) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Arc::new(Self {
            address: listener.local_addr().unwrap().to_string(),
            calls: Mutex::default(),
            plan: Mutex::new(Box::new(|_| Fault::Pass)),
            node,
            http: reqwest::Client::new(),
            handed_out: Mutex::default(),
        });
        let shared = Arc::clone(&proxy);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let proxy = Arc::clone(&shared);
                tokio::spawn(async move { proxy.serve(stream).await });
            }
        });
        proxy
    }

    pub(super) fn plan(&self, plan: impl FnMut(&str) -> Fault + Send + 'static) {
        *self.plan.lock().unwrap() = Box::new(plan);
    }

    /// Does to the next calls of an operation what is listed, to each its own; all else passes.
    pub(super) fn script(&self, operation: &'static str, mut faults: Vec<Fault>) {
        faults.reverse();
        self.plan(move |called| {
            if called == operation { faults.pop().unwrap_or(Fault::Pass) } else { Fault::Pass }
        });
    }

    pub(super) fn count(&self, operation: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|call| call.operation == operation).count()
    }

    async fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let (head, mut body) = read(&mut stream).await?;
        let operation = header(&head, "soapaction")?.trim_matches('"').replace("urn:", "");
        let fault = (self.plan.lock().unwrap())(&operation);
        self.calls.lock().unwrap().push(Call { operation, body: body.clone() });
        match fault {
            Fault::Refuse => return None,
            Fault::Hang => {
                let _ = stream.read(&mut [0]).await;
                return None;
            }
            Fault::Status(status) => {
                let body = b"<html><body>gateway</body></html>".to_vec();
                return write(&mut stream, &Reply { status, kind: "text/html".into(), body }).await;
            }
            Fault::Html => {
                let body = b"<html><body>Sign in</body></html>".to_vec();
                let reply = Reply { status: 200, kind: "text/html".into(), body };
                return write(&mut stream, &reply).await;
            }
            Fault::Say(told) => {
                let body = told.to_xml(Version::V13, "7").into_bytes();
                let reply = Reply { status: 500, kind: "text/xml; charset=utf-8".into(), body };
                return write(&mut stream, &reply).await;
            }
            Fault::ChangeRequest => change(&mut body, b"DigestValue>"),
            _ => {}
        }
        let before = self.handed_out.lock().unwrap().clone();
        let mut reply = match (&fault, before) {
            (Fault::Repeat, Some(before)) => before,
            _ => self.forward(&head, body).await?,
        };
        match fault {
            Fault::Lose => None,
            Fault::Cut => {
                let half = reply.body.len() / 2;
                let sent = response(&reply);
                stream.write_all(&sent[..sent.len() - half]).await.ok()
            }
            Fault::Slow => {
                let sent = response(&reply);
                for piece in sent.chunks(sent.len() / 8 + 1) {
                    stream.write_all(piece).await.ok()?;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Some(())
            }
            Fault::ChangeReply => {
                change(&mut reply.body, b"DigestValue>");
                write(&mut stream, &reply).await
            }
            Fault::Claim(id) => {
                claim(&mut reply.body, id);
                write(&mut stream, &reply).await
            }
            Fault::Confuse => {
                change(&mut reply.body, b"MessageId>");
                write(&mut stream, &reply).await
            }
            _ => write(&mut stream, &reply).await,
        }
    }

    async fn forward(&self, head: &str, body: Vec<u8>) -> Option<Reply> {
        let path = head.split(' ').nth(1)?;
        let mut request = self.http.post(format!("http://{}{path}", self.node)).body(body);
        // Every other reply comes in one part, as from a stack that knows no others.
        let plain = self.calls.lock().unwrap().len().is_multiple_of(2);
        for name in ["content-type", "soapaction", "accept"] {
            if name == "accept" && plain {
                continue;
            }
            if let Some(value) = header(head, name) {
                request = request.header(name, value);
            }
        }
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        let kind = answer.headers().get("content-type")?.to_str().ok()?.to_owned();
        let reply = Reply { status, kind, body: answer.bytes().await.ok()?.to_vec() };
        let message = memchr::memmem::find(&reply.body, b":RequestMessage>").is_some();
        if message {
            *self.handed_out.lock().unwrap() = Some(reply.clone());
        }
        Some(reply)
    }
}

async fn read(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
    let end = loop {
        if let Some(at) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
            break at + 4;
        }
        let count = stream.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length: usize = header(&head, "content-length")?.parse().ok()?;
    while bytes.len() < end + length {
        let count = stream.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
    }
    Some((head, bytes[end..].to_vec()))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(named, _)| named.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn response(reply: &Reply) -> Vec<u8> {
    let Reply { status, kind, body } = reply;
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    [head.into_bytes(), body.clone()].concat()
}

async fn write(stream: &mut TcpStream, reply: &Reply) -> Option<()> {
    stream.write_all(&response(reply)).await.ok()
}

/// Writes another id wherever the message's own stands, if there is one.
fn claim(body: &mut [u8], id: Uuid) {
    let mark = b"MessageId>";
    let Some(at) = memchr::memmem::find(body, mark) else { return };
    let own = body[at + mark.len()..][..36].to_vec();
    while let Some(at) = memchr::memmem::find(body, &own) {
        body[at..at + own.len()].copy_from_slice(id.to_string().as_bytes());
    }
}

/// Changes the first letter or digit behind a mark, if that is there.
fn change(body: &mut [u8], mark: &[u8]) {
    if let Some(at) = memchr::memmem::find(body, mark) {
        let byte = &mut body[at + mark.len()];
        *byte = match *byte {
            b'A' => b'B',
            b'0' => b'1',
            digit if digit.is_ascii_digit() || digit.is_ascii_lowercase() => b'0',
            _ => b'A',
        };
    }
}
