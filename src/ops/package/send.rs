//! `package send`: packages from files to a gateway over HTTP, one after the other.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use reqwest::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
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
    /// It never left: the file is no package.
    Unreadable(Refusal),
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

    /// Sends one file under the package id in its header.
    async fn put(&self, file: &Path) -> Result<(Option<Header>, Sent)> {
        let unreadable = || format!("не удалось прочитать файл {}", file.display());
        let mut reader = Reader::new(open(file).with_context(unreadable)?);
        let header = match reader.header() {
            Ok(header) => header.clone(),
            Err(refusal) => return Ok((None, Sent::Unreadable(refusal))),
        };
        let body = tokio::fs::File::open(file).await.with_context(unreadable)?;
        let length = body.metadata().await.with_context(unreadable)?.len();
        let url = format!("{}/api/v1/packages/{}", self.address, header.package_id);
        let mut request = self.client.put(url).header(CONTENT_LENGTH, length);
        request = match encoding(file).with_context(unreadable)? {
            Encoding::Plain => request.header(CONTENT_TYPE, "application/xml"),
            Encoding::Gzip => {
                request.header(CONTENT_TYPE, "application/xml").header(CONTENT_ENCODING, "gzip")
            }
            Encoding::Zip => request.header(CONTENT_TYPE, "application/zip"),
        };
        let answer = request.body(Body::wrap_stream(ReaderStream::new(body))).send().await;
        let sent = match answer {
            Ok(response) => read_answer(response).await,
            Err(error) => Sent::Unreachable(error),
        };
        Ok((Some(header), sent))
    }
}

async fn read_answer(response: reqwest::Response) -> Sent {
    let status = response.status();
    match response.text().await {
        Err(error) => Sent::Unreachable(error),
        Ok(receipt) if status.is_success() => {
            Sent::Accepted { duplicate: status == StatusCode::OK, receipt }
        }
        Ok(text) => {
            let problem = serde_json::from_str(&text).unwrap_or_default();
            Sent::Refused(status, problem)
        }
    }
}

/// Sends files in order and prints a line for each; says whether all were accepted.
///
/// # Errors
/// A file that cannot be read.
pub async fn send(gateway: &Gateway, files: &[PathBuf], json: bool) -> Result<bool> {
    let mut accepted = 0;
    for (index, file) in files.iter().enumerate() {
        let (header, sent) = gateway.put(file).await?;
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
        Sent::Unreadable(refusal) => format!("НЕ ОТПРАВЛЕН: {}", describe(refusal)),
        Sent::Unreachable(error) => format!("НЕ ДОСТАВЛЕН, {package}: {}", chain(error)),
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
        Sent::Refused(status, problem) => {
            report["status"] = json!(status.as_u16());
            report["refusal"] = json!({
                "code": problem.code,
                "title": problem.title,
                "detail": problem.detail,
                "place": problem.place,
                "correlationId": problem.correlation_id,
            });
            "refused"
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
