//! `/queues`: the queues of the exchange of messages: how many wait, since when, who does not poll.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};

use crate::exchange::Exchange;
use crate::exchange::silence::Trouble;
use crate::storage::mailbox::{self, Queue, QueueState};

#[derive(Template)]
#[template(path = "queues.html")]
struct QueuesPage {
    at: String,
    queues: Vec<Row>,
}

struct Row {
    system: String,
    queue: &'static str,
    node: String,
    waiting: i64,
    out: i64,
    deliveries: i64,
    age: String,
    polled: String,
    trouble: &'static str,
}

/// Answers with the page.
pub(super) async fn page(State(exchange): State<Exchange>) -> Response {
    let now = exchange.clock().now();
    let queues = match mailbox::queues(exchange.db()).await {
        Ok(queues) => queues.into_iter().map(|queue| row(queue, now)).collect(),
        Err(error) => {
            tracing::error!(%error, "the queues cannot be read");
            return (StatusCode::SERVICE_UNAVAILABLE, "Очереди временно недоступны")
                .into_response();
        }
    };
    let page = QueuesPage { at: instant(now), queues };
    match page.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => {
            tracing::error!(%error, "the page of queues cannot be rendered");
            (StatusCode::SERVICE_UNAVAILABLE, "Страница временно недоступна").into_response()
        }
    }
}

fn row(queue: QueueState, now: DateTime<Utc>) -> Row {
    let trouble = Trouble::of(&queue, now).map_or("", Trouble::text);
    Row {
        system: queue.system,
        queue: match queue.queue {
            Queue::Request => "запросы",
            Queue::Response => "ответы",
            Queue::Status => "состояния",
        },
        node: queue.node,
        waiting: queue.waiting,
        out: queue.out,
        deliveries: queue.deliveries,
        age: queue.oldest.map(|at| age(now - at)).unwrap_or_default(),
        polled: queue.polled.map_or_else(|| "никогда".to_owned(), instant),
        trouble,
    }
}

/// An age as people say it: the two largest units.
fn age(age: TimeDelta) -> String {
    let seconds = age.num_seconds().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} с"),
        (0, 0, _) => format!("{minutes} мин"),
        (0, _, _) => format!("{hours} ч {minutes} мин"),
        _ => format!("{days} дн. {hours} ч"),
    }
}

fn instant(at: DateTime<Utc>) -> String {
    at.format("%d.%m.%Y %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_by_their_largest_units() {
        let cases =
            [(5, "5 с"), (65, "1 мин"), (3_700, "1 ч 1 мин"), (90_000, "1 дн. 1 ч"), (-3, "0 с")];
        for (seconds, expected) in cases {
            assert_eq!(age(TimeDelta::seconds(seconds)), expected);
        }
    }
}
