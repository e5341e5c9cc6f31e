//! GetStatus and GetResponse, now and then: what became of answers after the node had taken them. One that
//! it refused later is parked with a refusal in its place, for an operator to decide.

use std::time::{Duration, Instant};

use openssl::sha::sha256;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Adapter;
use super::alarm::{Alarm, count};
use super::deliver::INSTEAD;
use super::link::LinkError;
use super::poll::{doubted, farewell};
use super::trust::Doubt;
use crate::codec::smev3::client::{self, Selector, State, send_response};
use crate::codec::smev3::{Provided, Told, Version};
use crate::exchange::desk::TakeError;
use crate::exchange::seal::sign_call;
use crate::storage::audit::{self, Act};
use crate::storage::mailbox::remote::{self, Fate, NewAnswer, Trouble};

/// How long GetResponse rests after a message in our queue that is not ours to take: whoever it is for
/// shares the queue with us, and must come to it.
const REST: Duration = Duration::from_mins(16);

/// By which operation the node tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Status,
    Response,
}

impl Way {
    fn operation(self) -> &'static str {
        match self {
            Self::Status => "GetStatus",
            Self::Response => "GetResponse",
        }
    }
}

/// What the node tells of a message.
struct Word {
    /// By which id it is confirmed.
    confirmed_by: Uuid,
    /// What became of which message; none when it is an answer to somebody's question.
    state: Option<State>,
    /// Mnemonic of whom it is for; none when the node does not tell.
    recipient: Option<String>,
    /// The document in which it came.
    document: Vec<u8>,
}

/// What was done with a word.
enum Done {
    /// It is confirmed; there may be more.
    Heard,
    /// It is left where it is.
    Left,
}

/// Listens until `stop`.
pub async fn run(adapter: Adapter, stop: CancellationToken) {
    let settings = &adapter.0.settings;
    let mut resting: Option<Instant> = None;
    while !stop.is_cancelled() {
        let ways = [Way::Status, Way::Response];
        for way in ways.into_iter().filter(|way| settings.responses || *way == Way::Status) {
            if way == Way::Response && resting.is_some_and(|since| since.elapsed() < REST) {
                continue;
            }
            let left = tokio::select! {
                biased;
                left = adapter.listen(way) => left,
                () = farewell(&stop) => return,
            };
            resting = (left && way == Way::Response).then(Instant::now);
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(settings.listen) => {}
        }
    }
}

impl Adapter {
    /// Hears all that the node tells one way; whether something was left that is not for us.
    async fn listen(&self, way: Way) -> bool {
        loop {
            let word = match self.word(way).await {
                Ok(Some(word)) => word,
                Ok(None) => return false,
                Err(error) => {
                    // Whether the node is there is for the polls of requests to say.
                    let trouble = error.trouble();
                    count(way.operation(), &trouble);
                    tracing::debug!(fault = trouble.fault, "the node tells nothing of answers");
                    return false;
                }
            };
            match self.hear(way, &word).await {
                Ok(Done::Heard) => {}
                Ok(Done::Left) => return true,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "what the node told of an answer is heard again");
                    return false;
                }
            }
        }
    }

    async fn word(&self, way: Way) -> Result<Option<Word>, LinkError> {
        let (link, at) = (&self.0.link, self.0.exchange.clock().now());
        let version = link.version();
        let call = match way {
            Way::Status => client::get_status(version, at),
            Way::Response => {
                client::get_response(version, &Selector { root: None, node: None, at })
            }
        };
        let answer = link.call(way.operation(), &call).await?;
        let (Some(body), document) = (answer.body, answer.document) else { return Ok(None) };
        let foreign = |error: client::AnswerError| LinkError::Foreign(200, error.to_string());
        Ok(match way {
            Way::Status => {
                let state = client::state(version, &body).map_err(foreign)?;
                state.map(|state| Word {
                    confirmed_by: state.original_id,
                    state: Some(state),
                    recipient: None,
                    document,
                })
            }
            Way::Response => {
                let found = client::returned(version, &body).map_err(foreign)?;
                found.map(|found| Word {
                    confirmed_by: found.message_id,
                    state: State::of_answer(version, &found.provided),
                    recipient: found.recipient,
                    document,
                })
            }
        })
    }

    /// What is done with a word that the node does not vouch for, or that is for somebody else; `None`
    /// when it is to be heard.
    async fn unbelievable(
        &self,
        way: Way,
        word: &Word,
        original: Uuid,
    ) -> Result<Option<Done>, TakeError> {
        let (operation, id) = (way.operation(), word.confirmed_by);
        if let Some(trouble) = self.misdirected(id, word.recipient.as_deref()) {
            count(operation, &trouble);
            self.note_doubt(operation, &trouble).await;
            self.0.alarms.raise(Alarm::Recipient, &trouble, false);
            return Ok(Some(Done::Left));
        }
        match self.vouched(&word.document).await {
            Ok(()) => Ok(None),
            Err(Doubt::Unknown(refusal)) => {
                let trouble = doubted(&refusal, id);
                self.note_doubt(operation, &trouble).await;
                self.0.alarms.raise(Alarm::Trust, &trouble, false);
                Ok(Some(Done::Left))
            }
            Err(Doubt::Broken(refusal)) => {
                let trouble = doubted(&refusal, id);
                count(operation, &Trouble { fault: "SIGNATURE".to_owned(), ..trouble.clone() });
                self.note_doubt(operation, &trouble).await;
                self.0.alarms.raise(Alarm::Signature, &trouble, false);
                // A word of what we have never sent may be a word to somebody else.
                if !remote::is_ours(self.0.exchange.db(), original).await? {
                    return Ok(Some(Done::Left));
                }
                self.acknowledge(id, false).await;
                Ok(Some(Done::Heard))
            }
        }
    }

    /// Writes down what the node told, if it vouches for it, then confirms it.
    async fn hear(&self, way: Way, word: &Word) -> Result<Done, TakeError> {
        let Some(state) = &word.state else {
            tracing::warn!(message.id = %word.confirmed_by, "the queue of answers holds one that is not for us");
            return Ok(Done::Left);
        };
        if let Some(done) = self.unbelievable(way, word, state.original_id).await? {
            return Ok(done);
        }
        let mut tx = self.0.exchange.db().begin().await?;
        let Some(fate) = remote::hear(&mut tx, state.original_id, &state.category).await? else {
            tracing::warn!(message.id = %state.original_id, "the node tells of a message that we have not sent");
            return Ok(Done::Left);
        };
        // Of one that was parked for it before, the node only has to be told that we know.
        let trouble = state.rejection().filter(|_| fate.message == state.original_id);
        if let Some((fault, text)) = trouble {
            let trouble = Trouble { fault, text };
            count(way.operation(), &trouble);
            let fresh = self.refuse_instead(&fate, &trouble)?;
            remote::park_late(&mut tx, &fresh.as_new(&fate), &trouble).await?;
            let detail = json!({ "from": fate.message, "to": fresh.message, "fault": trouble.fault,
                "state": state.category });
            let act = Act {
                actor: fate.asker.clone(),
                action: "federal.reject-late",
                object: format!("message:{}", fate.request),
                detail: Some(detail.to_string()),
            };
            audit::append(&mut tx, self.0.exchange.clock().now(), vec![act]).await?;
            tx.commit().await?;
            self.0.alarms.raise(Alarm::Parked, &trouble, false);
        } else {
            tx.commit().await?;
        }
        self.acknowledge(word.confirmed_by, true).await;
        Ok(Done::Heard)
    }

    /// The refusal that waits in the place of an answer: the node would take the same one no better, and
    /// its content is forgotten.
    fn refuse_instead(&self, fate: &Fate, trouble: &Trouble) -> Result<Instead, TakeError> {
        let message = self.0.desk.message_id(self.0.exchange.clock().now());
        let text = format!(
            "Ответ на запрос был отправлен, но позже отвергнут узлом обмена ({}). Обратитесь в региональный сегмент.",
            trouble.fault
        );
        let version = Version::parse(&fate.version).unwrap_or(Version::V13);
        let told = Told::Rejected(INSTEAD, &text);
        let provided = Provided { message_id: message, to: &fate.reply_to, told };
        let unsigned = send_response(version, &provided, &[]);
        let envelope = sign_call(self.0.exchange.signer(), &unsigned)?;
        Ok(Instead { message, version, envelope })
    }
}

/// A refusal, signed.
struct Instead {
    message: Uuid,
    version: Version,
    envelope: Vec<u8>,
}

impl Instead {
    fn as_new<'a>(&'a self, fate: &'a Fate) -> NewAnswer<'a> {
        NewAnswer {
            request: fate.request,
            message: self.message,
            version: self.version.as_str(),
            reply_to: &fate.reply_to,
            rejection: Some(INSTEAD),
            envelope: &self.envelope,
            sha256: sha256(&self.envelope).to_vec(),
        }
    }
}
