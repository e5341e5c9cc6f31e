//! `/signature`: the workshop, where anybody can see why a signed document is refused.

use std::io::{self, Read};
use std::str::FromStr;
use std::sync::Arc;

use askama::Template;
use axum::extract::multipart::MultipartRejection;
use axum::extract::{Multipart, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};

use crate::codec::xmldsig::TAIL;
use crate::exchange::Exchange;
use crate::exchange::workshop::{Explanation, Profile, Source, Workshop};
use crate::model::refusal::{Refusal, RefusalCode};
use crate::trust::TrustStore;

/// Largest document, in bytes.
pub(super) const MAX_BYTES: usize = 10 << 20;

/// Bytes of a stage that are shown.
const SHOWN: usize = 20_000;

/// Profiles by name, with what they are for.
const PROFILES: [(&str, &str); 5] = [
    ("enveloped", "документ подписан целиком (пакет поставщика)"),
    ("receipt", "наша квитанция"),
    ("smev3", "сообщение СМЭВ 3"),
    ("smev2", "сообщение СМЭВ 2"),
    ("detached", "сообщение SOAP с другой операцией"),
];

#[derive(Default, Template)]
#[template(path = "signature.html")]
struct SignaturePage {
    profile: String,
    operation: String,
    at: String,
    problem: &'static str,
    file: String,
    told: Option<Told>,
}

struct Told {
    accepted: bool,
    verdict: String,
    hints: Vec<String>,
    stages: Vec<Shown>,
}

struct Shown {
    title: String,
    passed: bool,
    refusal: String,
    lines: Vec<String>,
    octets: Option<String>,
}

/// What the form sent.
#[derive(Default)]
struct Sent {
    profile: String,
    operation: String,
    /// Moment of the check as the form has it; empty for now.
    at: String,
    file: String,
    document: Vec<u8>,
}

/// Answers with the empty form.
pub(super) async fn form() -> Response {
    render(
        StatusCode::OK,
        &SignaturePage { profile: "enveloped".to_owned(), ..SignaturePage::default() },
    )
}

/// Judges the document that the form sent. Nothing of it is kept.
pub(super) async fn judge(
    State(exchange): State<Exchange>,
    form: Result<Multipart, MultipartRejection>,
) -> Response {
    let sent = match read(form).await {
        Ok(sent) => sent,
        Err(problem) => {
            let page = SignaturePage { problem, ..SignaturePage::default() };
            return render(StatusCode::BAD_REQUEST, &page);
        }
    };
    let mut page = SignaturePage {
        profile: sent.profile.clone(),
        operation: sent.operation.clone(),
        at: sent.at.clone(),
        file: sent.file.clone(),
        ..SignaturePage::default()
    };
    let name = match sent.profile.as_str() {
        "detached" => format!("detached:{}", sent.operation.trim()),
        name => name.to_owned(),
    };
    let Ok(profile) = Profile::from_str(&name) else {
        page.problem = "Укажите операцию в виде {пространство имён}Элемент";
        return render(StatusCode::BAD_REQUEST, &page);
    };
    let at = match sent.at.trim() {
        "" => Some(exchange.clock().now()),
        text => moment(text),
    };
    let Some(at) = at else {
        page.problem = "Укажите момент проверки как ГГГГ-ММ-ДД или ГГГГ-ММ-ДДTчч:мм, по UTC";
        return render(StatusCode::BAD_REQUEST, &page);
    };
    if sent.document.is_empty() {
        page.problem = "Выберите файл";
        return render(StatusCode::BAD_REQUEST, &page);
    }
    let store = match trust(&exchange, &profile).await {
        Ok(store) => store,
        Err(refusal) => {
            page.problem = refusal.code.text();
            return render(StatusCode::SERVICE_UNAVAILABLE, &page);
        }
    };
    let workshop = Workshop::new(store, at);
    let (document, by) = (sent.document, profile.clone());
    let told = tokio::task::spawn_blocking(move || {
        let open =
            || -> io::Result<Box<dyn Read>> { Ok(Box::new(io::Cursor::new(document.clone()))) };
        let tail = &document[document.len().saturating_sub(TAIL)..];
        workshop.explain(&profile, Source { open: &open, tail })
    });
    match told.await {
        Ok(told) => page.told = Some(shown(&by, told)),
        Err(error) => {
            tracing::error!(%error, "explaining a signature broke off");
            page.problem = "Внутренняя ошибка: документ разобрать не удалось";
        }
    }
    render(StatusCode::OK, &page)
}

/// By whom documents of a profile may be signed.
async fn trust(exchange: &Exchange, profile: &Profile) -> Result<Arc<TrustStore>, Refusal> {
    let common = exchange.trust().await?;
    if *profile != Profile::Receipt {
        return Ok(common);
    }
    // Whoever holds our key needs nobody to vouch for our own receipts.
    let own = exchange.signer().certificate_der().to_vec();
    TrustStore::new(&[own]).map(Arc::new).map_err(|_| RefusalCode::Internal.into())
}

/// A moment as forms have it, in UTC: a day, or a day and a time.
fn moment(text: &str) -> Option<DateTime<Utc>> {
    let time = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"];
    let mut time = time.iter().filter_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    let time = time.next().or_else(|| day().map(|day| day.and_time(NaiveTime::MIN)));
    time.map(|time| time.and_utc())
}

/// Reads the fields of the form.
async fn read(form: Result<Multipart, MultipartRejection>) -> Result<Sent, &'static str> {
    const BROKEN: &str = "Форма получена не полностью, или файл больше 10 МБ";
    let mut form = form.map_err(|_| "Отправьте форму со страницы")?;
    let mut sent = Sent::default();
    while let Some(field) = form.next_field().await.map_err(|_| BROKEN)? {
        match field.name() {
            Some("profile") => sent.profile = field.text().await.map_err(|_| BROKEN)?,
            Some("operation") => sent.operation = field.text().await.map_err(|_| BROKEN)?,
            Some("at") => sent.at = field.text().await.map_err(|_| BROKEN)?,
            Some("file") => {
                sent.file = field.file_name().unwrap_or_default().to_owned();
                sent.document = field.bytes().await.map_err(|_| BROKEN)?.to_vec();
            }
            _ => {}
        }
    }
    Ok(sent)
}

fn shown(profile: &Profile, told: Explanation) -> Told {
    let described = |refusal: &Refusal| profile.line(refusal);
    let stage = |stage: crate::exchange::workshop::Stage| Shown {
        title: stage.title,
        passed: stage.refusal.is_none(),
        refusal: stage.refusal.as_ref().map(&described).unwrap_or_default(),
        lines: stage.lines,
        octets: stage.octets.map(|octets| {
            let text = String::from_utf8_lossy(&octets[..octets.len().min(SHOWN)]).into_owned();
            if octets.len() > SHOWN { format!("{text}…") } else { text }
        }),
    };
    Told {
        accepted: told.refusal.is_none(),
        verdict: told.refusal.as_ref().map(&described).unwrap_or_default(),
        hints: told.hints,
        stages: told.stages.into_iter().map(stage).collect(),
    }
}

fn render(status: StatusCode, page: &SignaturePage) -> Response {
    match page.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "the page of signatures cannot be rendered");
            (StatusCode::INTERNAL_SERVER_ERROR, "Страница временно недоступна").into_response()
        }
    }
}
