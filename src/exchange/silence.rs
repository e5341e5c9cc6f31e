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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::mailbox::Queue;

    #[test]
    fn only_a_queue_in_which_something_waits_has_a_trouble() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::hours(1);
        let trouble = |waiting, deliveries, minutes: Option<i64>| {
            let polled = minutes.map(|minutes| now - TimeDelta::minutes(minutes));
            let (system, node, oldest) = ("A".to_owned(), String::new(), None);
            let queue = Queue::Request;
            let out = 0;
            Trouble::of(
                &QueueState { system, queue, node, waiting, out, deliveries, oldest, polled },
                now,
            )
        };
        assert_eq!(trouble(0, 9, None), None);
        assert_eq!(trouble(1, 0, None), Some(Trouble::NeverPolled));
        assert_eq!(trouble(1, 9, Some(16)), Some(Trouble::NotPolled));
        assert_eq!(trouble(1, 5, Some(15)), Some(Trouble::NotConfirmed));
        assert_eq!(trouble(1, 4, Some(15)), None);
    }
}
