//! `/`: what this is, how many packages are where, what came last.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

use crate::exchange::Exchange;
use crate::model::package::State as PackageState;
use crate::storage::db::DbError;
use crate::storage::journal::list::{self, Filter};

/// Packages shown.
const LAST: i64 = 15;

#[derive(Template)]
#[template(path = "status.html")]
struct StatusPage {
    totals: Vec<Total>,
    packages: Vec<Row>,
}

struct Total {
    title: &'static str,
    count: u64,
}

struct Row {
    number: i64,
    supplier: String,
    package_type: String,
    records: u64,
    received_at: String,
    state: &'static str,
    reason: String,
}

/// Answers with the page.
pub(super) async fn page(State(exchange): State<Exchange>) -> Response {
    let page = collect(&exchange).await;
    let html = match page.as_ref().map(Template::render) {
        Ok(Ok(html)) => return Html(html).into_response(),
        Ok(Err(error)) => {
            tracing::error!(%error, "the status page cannot be rendered");
            "Страница временно недоступна"
        }
        Err(error) => {
            tracing::error!(%error, "the journal cannot be read");
            "Журнал временно недоступен"
        }
    };
    (StatusCode::SERVICE_UNAVAILABLE, html).into_response()
}

async fn collect(exchange: &Exchange) -> Result<StatusPage, DbError> {
    let totals = list::totals(exchange.db()).await?;
    let packages = list::page(exchange.db(), &Filter::default(), LAST).await?;
    let total = |(state, count): (PackageState, u64)| Total { title: state.title(), count };
    Ok(StatusPage {
        totals: totals.into_iter().map(total).collect(),
        packages: packages
            .into_iter()
            .map(|package| Row {
                number: package.no.0,
                supplier: package.supplier,
                package_type: package.header.package_type,
                records: package.records,
                received_at: package.received_at.format("%d.%m.%Y %H:%M:%S").to_string(),
                state: package.state.title(),
                reason: package.reason.unwrap_or_default(),
            })
            .collect(),
    })
}
