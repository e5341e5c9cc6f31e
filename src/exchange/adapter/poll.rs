//! GetRequest, again and again: what the node hands out is judged, answered and stored.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::alarm::{Alarm, count};
use super::link::LinkError;
use super::trust::Doubt;
use super::verdict::Verdict;
use super::{Adapter, FAREWELL, Pauses};
use crate::codec::smev3::client::{self, Incoming, Selector};
use crate::exchange::desk::{Pulled, Settled, TakeError};
use crate::model::refusal::Refusal;
use crate::storage::audit::{self, Act};
use crate::storage::db::DbError;
use crate::storage::mailbox::remote::{self, Trouble};
use crate::telemetry::{REMOTE_POLLED, REMOTE_REQUESTS_TOTAL};

/// Answers that wait to be sent; at more nothing is pulled.
const FULL: i64 = 1000;

/// How often a request is tried to be answered before it is left to be handed out again.
const TRIES: u32 = 6;

/// Pause between these tries, each one twice as long as the last, and after what is handed out again.
const PAUSE: Duration = Duration::from_millis(100);

/// How often a successful poll is noted for operators.
const NOTED: Duration = Duration::from_secs(15);

/// When polls were last noted, and whether that was a failure.
#[derive(Default)]
pub(super) struct Notes(Mutex<Option<(Instant, bool)>>);

/// What a poll found.
enum Turn {
    /// A message; there may be more.
    Message,
    /// One that was there before, or that nobody vouches for.
    Again,
    /// Nothing.
    Empty,
    /// No answer.
    Away,
    /// We are not let in, or do not know the node.
    Barred,
}

/// Polls until `stop`.
pub async fn run(adapter: Adapter, stop: CancellationToken) {
    let settings = &adapter.0.settings;
    let mut pauses = Pauses::new(settings);
    while !stop.is_cancelled() {
        let turn = tokio::select! {
            biased;
            turn = adapter.pull() => turn,
            () = farewell(&stop) => return,
        };
        let pause = match turn {
            Turn::Message => Duration::ZERO,
            // A node that does not hide what it has handed out would else be asked without end.
            Turn::Again => PAUSE,
            Turn::Empty => settings.poll,
            Turn::Away => pauses.grow(),
            Turn::Barred => settings.barred_pause,
        };
        if !matches!(turn, Turn::Away) {
            pauses.reset();
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Over a moment after `stop`.
pub(super) async fn farewell(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(FAREWELL).await;
}

impl Adapter {
    async fn pull(&self) -> Turn {
        match self.is_full().await {
            Ok(false) => {}
            Ok(true) => return Turn::Empty,
            Err(error) => {
                tracing::warn!(%error, "nothing is pulled: answers could not be stored");
                return Turn::Empty;
            }
        }
        match self.next().await {
            Ok(found) => {
                self.0.alarms.lower(Alarm::Poll);
                let now = self.0.exchange.clock().now();
                #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
                metrics::gauge!(REMOTE_POLLED).set(now.timestamp() as f64);
                self.note(None).await;
                match found {
                    Some((incoming, document)) => self.take(incoming, document).await,
                    None => Turn::Empty,
                }
            }
            Err(error) => {
                let trouble = error.trouble();
                count("GetRequest", &trouble);
                self.note(Some(&trouble)).await;
                let turn = match Verdict::of(&error) {
                    Verdict::Away | Verdict::Later | Verdict::Done => Turn::Away,
                    Verdict::Barred | Verdict::Stale | Verdict::Never => Turn::Barred,
                };
                self.0.alarms.raise(Alarm::Poll, &trouble, matches!(turn, Turn::Away));
                turn
            }
        }
    }

    async fn is_full(&self) -> Result<bool, DbError> {
        let depths = remote::depths(self.0.exchange.db()).await?;
        Ok(depths.waiting >= FULL)
    }

    /// The next message of our queue of requests, with the document in which it came.
    async fn next(&self) -> Result<Option<(Incoming, Vec<u8>)>, LinkError> {
        let link = &self.0.link;
        let at = self.0.exchange.clock().now();
        let call = client::get_request(link.version(), &Selector { root: None, node: None, at });
        let answer = link.call("GetRequest", &call).await?;
        let Some(body) = answer.body else { return Ok(None) };
        let foreign = |error: client::AnswerError| LinkError::Foreign(200, error.to_string());
        let found = client::incoming(link.version(), &body).map_err(foreign)?;
        Ok(found.map(|incoming| (incoming, answer.document)))
    }

    /// Whether a message may be taken: the node vouches for it, and it is for us. Else what is to be done
    /// now.
    async fn admitted(&self, incoming: &Incoming, document: &[u8]) -> Result<(), Turn> {
        let id = incoming.message_id;
        if let Some(trouble) = self.misdirected(id, incoming.recipient.as_deref()) {
            count("GetRequest", &trouble);
            settled("misdirected");
            self.note_doubt("GetRequest", &trouble).await;
            self.0.alarms.raise(Alarm::Recipient, &trouble, false);
            return Err(Turn::Empty);
        }
        match self.vouched(document).await {
            Ok(()) => {
                for alarm in [Alarm::Trust, Alarm::Signature, Alarm::Recipient] {
                    self.0.alarms.lower(alarm);
                }
                Ok(())
            }
            Err(Doubt::Unknown(refusal)) => {
                let trouble = doubted(&refusal, id);
                self.note(Some(&trouble)).await;
                self.note_doubt("GetRequest", &trouble).await;
                self.0.alarms.raise(Alarm::Trust, &trouble, false);
                Err(Turn::Barred)
            }
            Err(Doubt::Broken(refusal)) => Err(self.refuse(id, &refusal).await),
        }
    }

    /// Takes a message that was handed out, if it may be taken.
    async fn take(&self, incoming: Incoming, document: Vec<u8>) -> Turn {
        let id = incoming.message_id;
        if let Err(turn) = self.admitted(&incoming, &document).await {
            return turn;
        }
        match self.answered_before(id).await {
            Ok(true) => {
                settled("repeated");
                self.0.answers.notify_one();
                return Turn::Again;
            }
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, message.id = %id, "a pulled request waits to be handed out again");
                return Turn::Empty;
            }
        }
        let Some(reply_to) = incoming.reply_to.clone() else {
            tracing::warn!(message.id = %id, kind = incoming.message_type, "a message wants no answer");
            self.acknowledge(id, true).await;
            return Turn::Message;
        };
        let peer = authority(&without_user(self.0.link.url())).to_owned();
        let version = self.0.link.version();
        self.settle(&Pulled { version, incoming, reply_to, document, peer }).await
    }

    /// Answers a request, after a moment again when the database does not take it.
    async fn settle(&self, pulled: &Pulled) -> Turn {
        let id = pulled.incoming.message_id;
        for attempt in 0..TRIES {
            match self.0.desk.settle(pulled).await {
                Ok(fate) => {
                    settled(match fate {
                        Settled::Answered => "answered",
                        Settled::Rejected => "rejected",
                        Settled::Known => "repeated",
                    });
                    if fate == Settled::Known && !matches!(self.answered_before(id).await, Ok(true))
                    {
                        tracing::error!(message.id = %id, "a pulled request has the id of one that came through our door");
                        return Turn::Empty;
                    }
                    self.0.answers.notify_one();
                    return Turn::Message;
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, message.id = %id, attempt, "a pulled request is not answered yet");
                }
            }
            tokio::time::sleep(PAUSE * 2_u32.pow(attempt)).await;
        }
        // The node hands it out again: nothing is lost.
        tracing::error!(message.id = %id, "a pulled request waits to be handed out again");
        Turn::Empty
    }

    /// Refuses a message that is not what the node signed: nothing of it is answered. Its id is no more
    /// to be believed than the rest, so one that we know from elsewhere is not told to be refused.
    async fn refuse(&self, id: Uuid, refusal: &Refusal) -> Turn {
        let trouble = doubted(refusal, id);
        count("GetRequest", &Trouble { fault: "SIGNATURE".to_owned(), ..trouble.clone() });
        self.note_doubt("GetRequest", &trouble).await;
        self.0.alarms.raise(Alarm::Signature, &trouble, false);
        settled("refused");
        let act = Act {
            actor: "kontingent".to_owned(),
            action: "federal.refuse",
            object: format!("message:{id}"),
            detail: Some(json!({ "code": refusal.code.as_str() }).to_string()),
        };
        let written = async {
            let db = self.0.exchange.db();
            if remote::is_taken(db, id).await? || remote::is_ours(db, id).await? {
                return Ok(false);
            }
            let mut tx = db.begin().await?;
            audit::append(&mut tx, self.0.exchange.clock().now(), vec![act]).await?;
            tx.commit().await?;
            Ok::<_, DbError>(true)
        };
        match written.await {
            Ok(true) => self.acknowledge(id, false).await,
            Ok(false) => {
                tracing::warn!(message.id = %id, "a changed delivery has the id of a message that we know");
            }
            Err(error) => tracing::warn!(%error, message.id = %id, "a message is not refused yet"),
        }
        // Whoever sends such things is not asked for more as fast as it answers.
        Turn::Again
    }

    /// Whether a request has its answer; the node is then told again that we have the request.
    async fn answered_before(&self, id: Uuid) -> Result<bool, TakeError> {
        let mut tx = self.0.exchange.db().begin().await?;
        let known = remote::repeat(&mut tx, id).await?;
        tx.commit().await?;
        Ok(known)
    }

    /// Confirms a message on which nothing else is to be done. Unless that is heard, it comes again.
    pub(super) async fn acknowledge(&self, id: Uuid, accepted: bool) {
        let link = &self.0.link;
        let call = client::ack(link.version(), id, accepted);
        if let Err(error) = link.call("Ack", &call).await {
            let trouble = error.trouble();
            count("Ack", &trouble);
            tracing::warn!(message.id = %id, fault = trouble.fault, "a message could not be confirmed");
        }
    }

    /// Notes for operators how polling goes.
    async fn note(&self, trouble: Option<&Trouble>) {
        let failed = trouble.is_some();
        {
            let mut last = self.0.notes.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((at, before)) = *last
                && !failed
                && !before
                && at.elapsed() < NOTED
            {
                return;
            }
            *last = Some((Instant::now(), failed));
        }
        let url = without_user(self.0.link.url());
        if let Err(error) = remote::note_poll(self.0.exchange.db(), &url, trouble).await {
            tracing::warn!(%error, "it could not be noted how polling goes");
        }
    }
}

/// Counts a request by what became of it.
fn settled(outcome: &'static str) {
    metrics::counter!(REMOTE_REQUESTS_TOTAL, "outcome" => outcome).increment(1);
}

pub(super) fn doubted(refusal: &Refusal, id: Uuid) -> Trouble {
    let text = format!("Подпись узла под сообщением {id}: {refusal}");
    Trouble { fault: refusal.code.as_str().to_owned(), text }
}

/// An address without the name and the word of a user that it may hold.
fn without_user(url: &str) -> String {
    let host = authority(url);
    let named = host.rsplit_once('@').map_or(host, |(_, host)| host);
    url.replacen(host, named, 1)
}

/// Host and port of an address, with a user if it names one.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}
