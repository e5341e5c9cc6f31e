//! `package send`: packages from files to a gateway over HTTP, one after the other.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Body, Certificate, Client, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::io::ReaderStream;

use crate::codec::inflate::Encoding;
use crate::codec::package::Reader;
use crate::exchange::document;
use crate::http::tls::install_provider;
use crate::model::package::Header;
use crate::model::refusal::{Place, Refusal};
use crate::ops::output::{plural, say, say_json};
use crate::ops::package::{describe, encoding, one_line, open};

/// Pause before a package is sent again; each one is twice as long as the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Longest pause that a gateway may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A gateway to send to.
pub struct Gateway {
    client: Client,
    address: String,
}

/// What became of one file.
enum Sent {
    Accepted {
        duplicate: bool,
        receipt: String,
    },
    Refused(StatusCode, Problem),
    /// The gateway is busy, and takes it after this pause.
    Busy(StatusCode, Problem, Duration),
    /// It never left: the file is no package.
    Unreadable(Refusal),
    /// It never left: there is no such file, or it cannot be read.
    Missing(std::io::Error),
    /// The gateway did not answer.
    Unreachable(reqwest::Error),
}

/// A problem document (RFC 9457), as far as people need it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Problem {
    code: String,
    title: String,
    detail: Option<String>,
    place: Option<Place>,
    correlation_id: Option<String>,
}

impl Gateway {
    /// The gateway at `address`, for example `http://127.0.0.1:8080`; over TLS it may also have a
    /// certificate of the authority in this PEM file.
    ///
    /// # Errors
    /// A file that is no certificate.
    pub fn new(address: &str, authority: Option<&Path>) -> Result<Self> {
        install_provider();
        let mut builder = Client::builder();
        if let Some(file) = authority {
            let unreadable = || format!("не удалось прочитать сертификат {}", file.display());
            let pem = fs::read(file).with_context(unreadable)?;
            let certificate = Certificate::from_pem(&pem).with_context(unreadable)?;
            builder = builder.tls_certs_merge([certificate]);
        }
        let client = builder.build().context("не удалось подготовить соединение")?;
        Ok(Self { client, address: address.trim_end_matches('/').to_owned() })
    }

    /// Sends one file under the package id in its header, again while that may help: the same
    /// package twice is one package.
    async fn deliver(&self, file: &Path, retries: u32) -> (Option<Header>, Sent) {
        let header = match read_header(file) {
            Ok(Ok(header)) => header,
            Ok(Err(refusal)) => return (None, Sent::Unreadable(refusal)),
            Err(error) => return (None, Sent::Missing(error)),
        };
        let (mut pause, mut left) = (FIRST_PAUSE, retries);
        loop {
            let sent = self.put(file, &header).await.unwrap_or_else(Sent::Missing);
            let wait = match &sent {
                Sent::Unreachable(_) => pause,
                Sent::Busy(_, _, wait) => (*wait).max(pause),
                _ => return (Some(header), sent),
            };
            if left == 0 {
                return (Some(header), sent);
            }
            eprintln!("{}: {}", file.display(), again(&sent, wait));
            tokio::time::sleep(wait).await;
            pause *= 2;
            left -= 1;
        }
    }

    async fn put(&self, file: &Path, header: &Header) -> std::io::Result<Sent> {
        let body = tokio::fs::File::open(file).await?;
        let length = body.metadata().await?.len();
        let url = format!("{}/api/v1/packages/{}", self.address, header.package_id);
        let mut request = self.client.put(url).header(CONTENT_LENGTH, length);
        request = match encoding(file)? {
            Encoding::Plain => request.header(CONTENT_TYPE, "application/xml"),
            Encoding::Gzip => {
                request.header(CONTENT_TYPE, "application/xml").header(CONTENT_ENCODING, "gzip")
            }
            Encoding::Zip => request.header(CONTENT_TYPE, "application/zip"),
        };
        let answer = request.body(Body::wrap_stream(ReaderStream::new(body))).send().await;
        Ok(match answer {
            Ok(response) => read_answer(response).await,
            Err(error) => Sent::Unreachable(error),
        })
    }
}

fn read_header(file: &Path) -> std::io::Result<Result<Header, Refusal>> {
    let mut reader = Reader::new(open(file)?);
    Ok(reader.header().cloned())
}

async fn read_answer(response: reqwest::Response) -> Sent {
    let status = response.status();
    let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let wait = wait.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    match response.text().await {
        Err(error) => Sent::Unreachable(error),
        Ok(receipt) if status.is_success() => {
            Sent::Accepted { duplicate: status == StatusCode::OK, receipt }
        }
        Ok(text) => {
            let problem = serde_json::from_str(&text).unwrap_or_default();
            match status {
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                    Sent::Busy(status, problem, wait.unwrap_or_default().min(LONGEST_PAUSE))
                }
                _ => Sent::Refused(status, problem),
            }
        }
    }
}

fn again(sent: &Sent, wait: Duration) -> String {
    let why = match sent {
        Sent::Busy(status, problem, _) => problem.text(*status),
        _ => "шлюз не отвечает".to_owned(),
    };
    format!("{why}; повтор через {} с", wait.as_secs())
}

/// Sends files in order and prints a line for each; says whether all were accepted. What fails
/// keeps none of the others back.
///
/// # Errors
/// Output that cannot be written.
pub async fn send(gateway: &Gateway, files: &[PathBuf], retries: u32, json: bool) -> Result<bool> {
    let mut accepted = 0;
    for (index, file) in files.iter().enumerate() {
        let (header, sent) = gateway.deliver(file, retries).await;
        accepted += usize::from(matches!(sent, Sent::Accepted { .. }));
        if json {
            say_json(&report(file, header.as_ref(), &sent))?;
        } else {
            let progress = format!("[{}/{}]", index + 1, files.len());
            say(format!("{progress} {}: {}", file.display(), verdict(header.as_ref(), &sent)));
        }
    }
    if !json && files.len() > 1 {
        let count = u64::try_from(accepted).unwrap_or(u64::MAX);
        let packages = plural(count, ["пакет", "пакета", "пакетов"]);
        say(format!("Принято {packages} из {}.", files.len()));
    }
    Ok(accepted == files.len())
}

fn verdict(header: Option<&Header>, sent: &Sent) -> String {
    let package = header.map(|header| header.package_id.to_string()).unwrap_or_default();
    match sent {
        Sent::Accepted { duplicate: false, .. } => format!("принят, {package}"),
        Sent::Accepted { duplicate: true, .. } => format!("уже был принят, {package}"),
        Sent::Refused(status, problem) => format!("ОТКЛОНЁН, {package}: {}", problem.text(*status)),
        Sent::Busy(status, problem, _) => {
            format!("НЕ ДОСТАВЛЕН, {package}: {}; повторите позже", problem.text(*status))
        }
        Sent::Missing(error) => format!("НЕ ОТПРАВЛЕН: не удалось прочитать файл: {error}"),
        Sent::Unreadable(refusal) => format!("НЕ ОТПРАВЛЕН: {}", describe(refusal)),
        Sent::Unreachable(error) => format!(
            "НЕ ДОСТАВЛЕН, {package}: шлюз не отвечает, проверьте адрес (--to) и повторите: {}",
            chain(error)
        ),
    }
}

fn report(file: &Path, header: Option<&Header>, sent: &Sent) -> Value {
    let mut report = json!({
        "file": file.display().to_string(),
        "packageId": header.map(|header| header.package_id),
        "supplier": header.map(|header| &header.supplier),
    });
    let outcome = match sent {
        Sent::Accepted { duplicate, receipt } => {
            report["receipt"] = json!(receipt);
            if *duplicate { "duplicate" } else { "accepted" }
        }
        Sent::Refused(status, problem) | Sent::Busy(status, problem, _) => {
            report["status"] = json!(status.as_u16());
            report["refusal"] = json!({
                "code": problem.code,
                "title": problem.title,
                "detail": problem.detail,
                "place": problem.place,
                "correlationId": problem.correlation_id,
            });
            if matches!(sent, Sent::Busy(..)) { "busy" } else { "refused" }
        }
        Sent::Missing(error) => {
            report["error"] = json!(error.to_string());
            "missing"
        }
        Sent::Unreadable(refusal) => {
            report["refusal"] = document::refusal(refusal);
            "unreadable"
        }
        Sent::Unreachable(error) => {
            report["error"] = json!(chain(error));
            "unreachable"
        }
    };
    report["outcome"] = json!(outcome);
    report
}

impl Problem {
    fn text(&self, status: StatusCode) -> String {
        if self.code.is_empty() {
            return format!("ответ {status} без объяснения; верен ли адрес?");
        }
        let text = one_line(&self.code, &self.title, self.detail.as_deref(), self.place);
        match &self.correlation_id {
            Some(number) => format!("{text}, номер обращения {number}"),
            None => text,
        }
    }
}

/// An error with what caused it, in one line.
fn chain(error: &reqwest::Error) -> String {
    let first: &dyn std::error::Error = error;
    let causes = std::iter::successors(Some(first), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
