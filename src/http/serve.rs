//! Listens and serves: HTTP/1.1 in the clear, HTTP/1.1 or HTTP/2 over TLS.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::guard::{self, Peer};
use crate::http::idle::Requests;
use crate::http::limits::{Gate, Limits, PeerKey, network};
use crate::http::stall::Stalling;

/// Bytes of a connection's read buffer; larger pieces of a body cost fewer wake-ups.
const READ_BUFFER_BYTES: usize = 128 << 10;

/// Streams of one HTTP/2 connection.
const STREAMS: u32 = 100;

/// What a connection over the limit is told, in the clear.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Serves `router` on `listener` until `stop`, then lets open requests finish.
///
/// Handlers find [`Peer`] and [`crate::http::problem::RequestId`] among a request's extensions.
/// Returns when all connections are closed, at the latest after [`Limits::drain`].
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let door = Door { router, tls, limits, stop: stop.clone(), cut: CancellationToken::new() };
    let places = Arc::new(Semaphore::new(limits.connections));
    let gate = Gate::new(limits.connections.div_ceil(2));
    let open = TaskTracker::new();
    loop {
        let (stream, address) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let own = gate.enter(PeerKey::Address(network(address.ip())));
        let place = own.zip(Arc::clone(&places).try_acquire_owned().ok());
        let Some(place) = place else {
            tracing::warn!(peer = %address, "too many connections");
            if door.tls.is_none() {
                open.spawn(turn_away(stream));
            }
            continue;
        };
        let door = door.clone();
        open.spawn(async move {
            door.welcome(stream, address).await;
            drop(place);
        });
    }
    drop(listener);
    open.close();
    if tokio::time::timeout(limits.drain, open.wait()).await.is_err() {
        tracing::warn!(connections = open.len(), "connections are cut");
        door.cut.cancel();
        open.wait().await;
    }
}

async fn turn_away(mut stream: TcpStream) {
    let told = async {
        stream.write_all(BUSY).await?;
        stream.shutdown().await
    };
    // Nobody is owed more than an attempt.
    tokio::time::timeout(Duration::from_secs(1), told).await.ok();
}

#[derive(Clone)]
struct Door {
    router: Router,
    tls: Option<TlsAcceptor>,
    limits: Limits,
    /// No new requests.
    stop: CancellationToken,
    /// No patience left.
    cut: CancellationToken,
}

impl Door {
    async fn welcome(&self, stream: TcpStream, address: SocketAddr) {
        stream.set_nodelay(true).ok();
        let stream = Stalling::new(stream, self.limits.write_patience);
        let Some(tls) = &self.tls else {
            return self.http1(stream, Peer { address, certificate: None, secure: false }).await;
        };
        let shaken = tokio::time::timeout(self.limits.head_timeout, tls.accept(stream)).await;
        let stream = match shaken {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                return tracing::debug!(peer = %address, %error, "TLS handshake failed");
            }
            Err(_elapsed) => return tracing::debug!(peer = %address, "TLS handshake too slow"),
        };
        let session = stream.get_ref().1;
        let shown = session.peer_certificates().and_then(<[_]>::first);
        let certificate = shown.map(|der| Arc::from(der.as_ref()));
        let peer = Peer { address, certificate, secure: true };
        match session.alpn_protocol() {
            Some(b"h2") => self.http2(stream, peer).await,
            _ => self.http1(stream, peer).await,
        }
    }

    async fn http1(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
    ) {
        let service = service_fn(|request: hyper::Request<Incoming>| {
            guard::answer(self.router.clone(), peer.clone(), self.limits, request)
        });
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(self.limits.head_timeout)
                .max_header_size(self.limits.head_bytes)
                .max_buf_size(READ_BUFFER_BYTES)
                .serve_connection(TokioIo::new(stream), service)
        );
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.cut.cancelled() => return,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection => ended,
                    () = self.cut.cancelled() => return,
                }
            }
        };
        report(ended, peer.address);
    }

    async fn http2(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
    ) {
        let address = peer.address;
        let (router, limits) = (self.router.clone(), self.limits);
        let requests = Requests::default();
        let counted = requests.clone();
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let busy = counted.begin();
            let answer = guard::answer(router.clone(), peer.clone(), limits, request);
            async move {
                let answered = answer.await;
                drop(busy);
                answered
            }
        });
        let head_bytes = u32::try_from(self.limits.head_bytes).unwrap_or(u32::MAX);
        let mut connection = pin!(
            http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(STREAMS)
                .max_header_list_size(head_bytes)
                .keep_alive_interval(self.limits.head_timeout)
                .keep_alive_timeout(self.limits.head_timeout)
                .serve_connection(TokioIo::new(stream), service)
        );
        let over = async {
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = requests.idle(limits.head_timeout) => {}
            }
        };
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.cut.cancelled() => return,
            () = over => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection => ended,
                    () = self.cut.cancelled() => return,
                }
            }
        };
        report(ended, address);
    }
}

fn report(ended: hyper::Result<()>, address: SocketAddr) {
    if let Err(error) = ended {
        tracing::debug!(peer = %address, %error, "a connection ended early");
    }
}
