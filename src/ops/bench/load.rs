//! A closed-loop HTTP load generator: so many connections, each sending its next request
//! when the last was answered. Raw sockets, so that it costs little of the machine it measures.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// A request as it goes over the wire, head and body.
pub type Request = Bytes;

/// What a run of the generator saw.
#[derive(Clone, Debug, Default)]
pub struct Load {
    /// Wall time from the first request to the last answer.
    pub elapsed: Duration,
    /// Time of each request, sorted.
    pub latencies: Vec<Duration>,
    /// Answers that were not 2xx.
    pub failures: usize,
}

impl Load {
    /// Requests answered per second.
    pub fn per_second(&self) -> f64 {
        let count = u32::try_from(self.latencies.len()).unwrap_or(u32::MAX);
        f64::from(count) / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// The latency below which this share (0 to 100 percent) of requests lies.
    pub fn percentile(&self, percent: usize) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get(last * percent / 100).copied().unwrap_or_default()
    }
}

/// Sends every request once over `connections` connections.
///
/// # Errors
/// When a connection cannot be made or breaks.
pub async fn run(address: SocketAddr, requests: Vec<Request>, connections: usize) -> Result<Load> {
    let requests = Arc::new(requests);
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        tasks.spawn(connection(address, Arc::clone(&requests), Arc::clone(&next)));
    }
    let mut load = Load::default();
    while let Some(done) = tasks.join_next().await {
        let (latencies, failures) = done??;
        load.latencies.extend(latencies);
        load.failures += failures;
    }
    load.elapsed = begun.elapsed();
    load.latencies.sort_unstable();
    Ok(load)
}

async fn connection(
    address: SocketAddr,
    requests: Arc<Vec<Request>>,
    next: Arc<AtomicUsize>,
) -> Result<(Vec<Duration>, usize)> {
    let mut stream = TcpStream::connect(address).await.context("the server does not answer")?;
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(16 * 1024);
    let (mut latencies, mut failures) = (Vec::new(), 0);
    while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
        let begun = Instant::now();
        stream.write_all(request).await?;
        let (status, _) = answer(&mut stream, &mut buffer).await?;
        latencies.push(begun.elapsed());
        failures += usize::from(!(200..300).contains(&status));
    }
    Ok((latencies, failures))
}

/// Reads one answer with a `Content-Length`; returns its status and where its body begins in the
/// buffer.
pub(super) async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<(u16, usize)> {
    buffer.clear();
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
            let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"))
                .and_then(|value| value.trim().parse::<usize>().ok())
                .context("the answer has no Content-Length")?;
            while buffer.len() < end + 4 + length {
                more(stream, buffer).await?;
            }
            return Ok((status.context("the answer has no status")?, end + 4));
        }
        more(stream, buffer).await?;
    }
}

async fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<()> {
    if stream.read_buf(buffer).await? == 0 {
        bail!("the server closed the connection");
    }
    Ok(())
}

/// A `PUT` of an XML body, ready to send.
pub fn put(host: SocketAddr, path: &str, body: &[u8]) -> Request {
    let head = format!(
        "PUT {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/xml\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat().into()
}

/// A SOAP `POST`, ready to send.
pub fn soap(host: SocketAddr, path: &str, action: &str, body: &[u8]) -> Request {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/xml; charset=utf-8\r\n\
         SOAPAction: \"{action}\"\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat().into()
}
