//! What is wrong with a queue, as operators are told on the page and by the command.

use chrono::{DateTime, TimeDelta, Utc};

use crate::storage::mailbox::QueueState;

/// A queue in which something waits that nobody has polled for so long is pointed out.
const SILENCE: TimeDelta = TimeDelta::minutes(15);

/// So many deliveries of one message are pointed out: its receiver does not confirm it.
const DELIVERIES: i64 = 5;

/// Why what waits in a queue does not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nobody has ever polled it.
    NeverPolled,
    /// Nobody has polled it for a quarter of an hour.
    NotPolled,
    /// It is handed out again and again.
    NotConfirmed,
}

impl Trouble {
    /// What is wrong with a queue at this time; nothing is when it is empty.
    pub fn of(queue: &QueueState, now: DateTime<Utc>) -> Option<Self> {
        match queue.polled {
            _ if queue.waiting == 0 => None,
            None => Some(Self::NeverPolled),
            Some(at) if now - at > SILENCE => Some(Self::NotPolled),
            Some(_) if queue.deliveries >= DELIVERIES => Some(Self::NotConfirmed),
            Some(_) => None,
        }
    }

    /// Name of it in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NeverPolled => "neverPolled",
            Self::NotPolled => "notPolled",
            Self::NotConfirmed => "notConfirmed",
        }
    }

    /// Russian words for it.
    pub fn text(self) -> &'static str {
        match self {
            Self::NeverPolled => "никто ни разу не опросил",
            Self::NotPolled => "давно не опрашивают",
            Self::NotConfirmed => "выдают, но не подтверждают",
        }
    }
}
