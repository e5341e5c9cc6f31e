//! SendResponse and Ack: an answer is sent as it is written until the node has taken it, then the node
//! is told that we have the request.

use std::time::Duration;

use futures_util::future::join_all;
use openssl::sha::sha256;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::alarm::{Alarm, count};
use super::link::LinkError;
use super::poll::farewell;
use super::verdict::{Verdict, has_aged};
use super::{Adapter, Pauses};
use crate::codec::smev3::client::{self, renumbered, send_response};
use crate::codec::smev3::{Provided, Told, Version};
use crate::exchange::desk::TakeError;
use crate::exchange::seal::sign_call;
use crate::storage::audit::{self, Act};
use crate::storage::mailbox::remote::{self, Due, NewAnswer, Trouble};
use crate::telemetry::REMOTE_ANSWERS;

/// Answers sent at the same time; one while the node is disturbed.
const BATCH: i64 = 8;

/// The refusal that takes the place of an answer that the node refuses for good.
pub(super) const INSTEAD: &str = "FAILURE";

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mood {
    /// Nothing was due.
    Idle,
    /// What was due was tried; there may be more.
    Well,
    /// The node is away.
    Away,
    /// The node does not let us in.
    Barred,
}

/// Sends what waits until `stop`.
pub async fn run(adapter: Adapter, stop: CancellationToken) {
    let settings = &adapter.0.settings;
    let (mut pauses, mut most) = (Pauses::new(settings), BATCH);
    while !stop.is_cancelled() {
        let mood = tokio::select! {
            biased;
            mood = adapter.send_some(most) => mood,
            () = farewell(&stop) => return,
        };
        let pause = match mood {
            Mood::Idle => settings.poll,
            Mood::Well => Duration::ZERO,
            Mood::Away => pauses.grow(),
            Mood::Barred => settings.barred_pause,
        };
        most = if mood > Mood::Well { 1 } else { BATCH };
        if mood == Mood::Well {
            pauses.reset();
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
            () = adapter.0.answers.notified(), if mood == Mood::Idle => {}
        }
    }
}

impl Adapter {
    /// Tries what is due, at most so much.
    async fn send_some(&self, most: i64) -> Mood {
        let due = match self.claim(most).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "answers to the remote node could not be looked at");
                return Mood::Idle;
            }
        };
        let moods = join_all(due.iter().map(|due| async {
            self.advance(due).await.unwrap_or_else(|error| {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, message.id = %due.request, "an answer is tried again");
                Mood::Well
            })
        }));
        let mood = moods.await.into_iter().max().unwrap_or(Mood::Idle);
        self.measure().await;
        mood
    }

    async fn claim(&self, most: i64) -> Result<Vec<Due>, TakeError> {
        // Long enough for both messages of an answer; who dies leaves it for that long.
        let seconds = self.0.settings.patience.as_secs() * 2 + 1;
        let mut tx = self.0.exchange.db().begin().await?;
        let due = remote::claim(&mut tx, most, seconds).await?;
        tx.commit().await?;
        Ok(due)
    }

    /// Brings an answer as far as it goes.
    async fn advance(&self, due: &Due) -> Result<Mood, TakeError> {
        if let Some(message) = &due.envelope {
            match self.send(due, message).await {
                Ok(()) => self.taken(due, None).await?,
                Err(error) if Verdict::of(&error) == Verdict::Done => {
                    self.taken(due, Some(&error)).await?;
                }
                Err(error) => return self.not_taken(due, message, &error).await,
            }
            self.0.alarms.lower(Alarm::Send);
            self.0.alarms.lower(Alarm::Clock);
        }
        if due.unconfirmed { self.confirm(due).await } else { Ok(Mood::Well) }
    }

    async fn send(&self, due: &Due, message: &[u8]) -> Result<(), LinkError> {
        let link = &self.0.link;
        let answer = link.send("SendResponse", message.to_vec()).await?;
        let foreign = |error: client::AnswerError| LinkError::Foreign(200, error.to_string());
        let body = answer.body.ok_or_else(|| LinkError::Foreign(200, "пустой ответ".to_owned()))?;
        let taken = client::taken(link.version(), &body).map_err(foreign)?;
        if taken.message_id.is_some_and(|id| id != due.message) {
            let text = "Узел подтвердил другое сообщение".to_owned();
            return Err(LinkError::Doubtful("CORRELATION", text));
        }
        // Only a changed answer is doubted: whether it was taken shows when it is sent again.
        if taken.signed && self.is_changed(&answer.document).await {
            let text = "Подпись узла под подтверждением не сошлась".to_owned();
            let trouble = Trouble { fault: "SIGNATURE".to_owned(), text: text.clone() };
            self.note_doubt("SendResponse", &trouble).await;
            return Err(LinkError::Doubtful("SIGNATURE", text));
        }
        Ok(())
    }

    /// The node has the answer: from this call, or as it says from one whose end we did not see.
    async fn taken(&self, due: &Due, before: Option<&LinkError>) -> Result<(), TakeError> {
        if let Some(error) = before {
            count("SendResponse", &error.trouble());
        }
        let mut tx = self.0.exchange.db().begin().await?;
        if remote::sent(&mut tx, due.request, due.message).await? {
            let detail = json!({ "message": due.message, "before": before.is_some() });
            let act = act("federal.sent", due, &detail);
            audit::append(&mut tx, self.0.exchange.clock().now(), vec![act]).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// The node has not taken the answer: what that means for it.
    async fn not_taken(
        &self,
        due: &Due,
        message: &[u8],
        error: &LinkError,
    ) -> Result<Mood, TakeError> {
        let trouble = error.trouble();
        count("SendResponse", &trouble);
        match Verdict::of(error) {
            Verdict::Away => {
                self.0.alarms.raise(Alarm::Send, &trouble, true);
                self.put_off(due, self.pause(due), &trouble).await?;
                Ok(Mood::Away)
            }
            Verdict::Barred => {
                self.0.alarms.raise(Alarm::Send, &trouble, false);
                self.put_off(due, self.0.settings.barred_pause, &trouble).await?;
                Ok(Mood::Barred)
            }
            Verdict::Stale => self.renumber(due, message, error, &trouble).await,
            // Once it may be that our message was changed on the way.
            Verdict::Never if due.fault.as_ref() != Some(&trouble.fault) => {
                self.put_off(due, self.pause(due), &trouble).await?;
                Ok(Mood::Well)
            }
            Verdict::Never if due.rejection.is_some() => self.park(due, &trouble).await,
            Verdict::Never => self.reject_instead(due, &trouble).await,
            Verdict::Later | Verdict::Done => {
                self.put_off(due, self.pause(due), &trouble).await?;
                Ok(Mood::Well)
            }
        }
    }

    /// Gives the answer another id, if that helps.
    async fn renumber(
        &self,
        due: &Due,
        message: &[u8],
        error: &LinkError,
        trouble: &Trouble,
    ) -> Result<Mood, TakeError> {
        let now = self.0.exchange.clock().now();
        let node = match error {
            LinkError::Fault(_, date) => *date,
            _ => None,
        };
        let fresh = self.0.desk.message_id(now);
        let text = String::from_utf8_lossy(message);
        match renumbered(&text, due.message, fresh) {
            Some(unsigned) if has_aged(due.message, now, node) => {
                self.replace(due, fresh, &unsigned, due.rejection.as_deref(), trouble).await
            }
            _ => {
                self.0.alarms.raise(Alarm::Clock, trouble, false);
                self.put_off(due, self.0.settings.longest_pause, trouble).await?;
                Ok(Mood::Well)
            }
        }
    }

    /// Answers with a refusal instead of what the node does not take.
    async fn reject_instead(&self, due: &Due, trouble: &Trouble) -> Result<Mood, TakeError> {
        let fresh = self.0.desk.message_id(self.0.exchange.clock().now());
        let text = format!(
            "Ответ на запрос построен, но не принят узлом обмена ({}). Обратитесь в региональный сегмент.",
            trouble.fault
        );
        let told = Told::Rejected(INSTEAD, &text);
        let provided = Provided { message_id: fresh, to: &due.reply_to, told };
        let unsigned = send_response(version(due), &provided, &[]);
        tracing::warn!(message.id = %due.request, fault = trouble.fault, "an answer is refused by the node");
        self.replace(due, fresh, &unsigned, Some(INSTEAD), trouble).await
    }

    async fn replace(
        &self,
        due: &Due,
        fresh: Uuid,
        unsigned: &str,
        rejection: Option<&str>,
        trouble: &Trouble,
    ) -> Result<Mood, TakeError> {
        let envelope = sign_call(self.0.exchange.signer(), unsigned)?;
        let new = NewAnswer {
            request: due.request,
            message: fresh,
            version: version(due).as_str(),
            reply_to: &due.reply_to,
            rejection,
            sha256: sha256(&envelope).to_vec(),
            envelope: &envelope,
        };
        let mut tx = self.0.exchange.db().begin().await?;
        if remote::replace(&mut tx, due.message, &new, trouble).await? {
            let detail = json!({ "from": due.message, "to": fresh, "fault": trouble.fault,
                "rejection": rejection });
            let act = act("federal.replace", due, &detail);
            audit::append(&mut tx, self.0.exchange.clock().now(), vec![act]).await?;
        }
        tx.commit().await?;
        Ok(Mood::Well)
    }

    async fn park(&self, due: &Due, trouble: &Trouble) -> Result<Mood, TakeError> {
        let mut tx = self.0.exchange.db().begin().await?;
        if remote::park(&mut tx, due.request, due.message, trouble).await? {
            let act = act("federal.park", due, &json!({ "fault": trouble.fault }));
            audit::append(&mut tx, self.0.exchange.clock().now(), vec![act]).await?;
        }
        tx.commit().await?;
        self.0.alarms.raise(Alarm::Parked, trouble, false);
        Ok(Mood::Well)
    }

    /// Tells the node that we have the request.
    async fn confirm(&self, due: &Due) -> Result<Mood, TakeError> {
        let link = &self.0.link;
        let told = link.call("Ack", &client::ack(link.version(), due.request, true)).await;
        let Err(error) = told else {
            self.0.alarms.lower(Alarm::Send);
            remote::confirmed(self.0.exchange.db(), due.request).await?;
            return Ok(Mood::Well);
        };
        let trouble = error.trouble();
        count("Ack", &trouble);
        let barred = self.0.settings.barred_pause;
        let (mood, pause) = match Verdict::of(&error) {
            // It was confirmed before, or the node has taken it back and hands it out again.
            Verdict::Done => {
                remote::confirmed(self.0.exchange.db(), due.request).await?;
                return Ok(Mood::Well);
            }
            Verdict::Away => (Mood::Away, self.pause(due)),
            Verdict::Later => (Mood::Well, self.pause(due)),
            Verdict::Barred => (Mood::Barred, barred),
            Verdict::Stale | Verdict::Never => (Mood::Well, barred),
        };
        if mood > Mood::Well {
            self.0.alarms.raise(Alarm::Send, &trouble, mood == Mood::Away);
        }
        self.put_off(due, pause, &trouble).await?;
        Ok(mood)
    }

    /// How long an answer waits after it has been tried so often.
    fn pause(&self, due: &Due) -> Duration {
        let settings = &self.0.settings;
        let doublings = u32::try_from(due.tries.clamp(1, 16) - 1).unwrap_or(0);
        (settings.first_pause * 2_u32.pow(doublings)).min(settings.longest_pause)
    }

    async fn put_off(
        &self,
        due: &Due,
        pause: Duration,
        trouble: &Trouble,
    ) -> Result<(), TakeError> {
        let db = self.0.exchange.db();
        Ok(remote::put_off(db, due.request, pause.as_secs(), trouble).await?)
    }

    /// Shows how many answers are where.
    #[expect(clippy::cast_precision_loss, reason = "counts of rows")]
    async fn measure(&self) {
        match remote::depths(self.0.exchange.db()).await {
            Ok(depths) => {
                let show = |state: &'static str, count: i64| {
                    metrics::gauge!(REMOTE_ANSWERS, "state" => state).set(count as f64);
                };
                show("waiting", depths.waiting);
                show("unconfirmed", depths.unconfirmed);
                show("parked", depths.parked);
                if depths.parked == 0 {
                    self.0.alarms.lower(Alarm::Parked);
                }
            }
            Err(error) => tracing::warn!(%error, "answers to the remote node could not be counted"),
        }
    }
}

/// Version in which an answer is written.
fn version(due: &Due) -> Version {
    Version::parse(&due.version).unwrap_or(Version::V13)
}

fn act(action: &'static str, due: &Due, detail: &serde_json::Value) -> Act {
    Act {
        actor: due.asker.clone(),
        action,
        object: format!("message:{}", due.request),
        detail: Some(detail.to_string()),
    }
}
