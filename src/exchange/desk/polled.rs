//! When each queue was last noted as polled, so that it is noted once a minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::storage::mailbox::{NODES, Place};

/// How often a queue that is polled is noted as such.
const NOTED: TimeDelta = TimeDelta::minutes(1);

/// What was noted of each system's queues. A system names its nodes as it likes: so many are remembered.
#[derive(Debug, Default)]
pub(super) struct Polled(Mutex<HashMap<i64, HashMap<Place, DateTime<Utc>>>>);

impl Polled {
    /// Whether a queue that is polled now is to be noted, after which it is not for a minute.
    pub(super) fn is_due(&self, place: &Place, now: DateTime<Utc>) -> bool {
        let mut systems = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let noted = systems.entry(place.system).or_default();
        let fresh = |at: DateTime<Utc>| now - at < NOTED;
        if noted.get(place).is_some_and(|&at| fresh(at)) {
            return false;
        }
        if noted.len() >= NODES && !place.node.is_empty() {
            noted.retain(|_, &mut at| fresh(at));
            if noted.len() >= NODES {
                return false;
            }
        }
        noted.insert(place.clone(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::mailbox::Queue;

    #[test]
    fn a_system_that_invents_nodes_is_remembered_no_longer_than_others() {
        let polled = Polled::default();
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let place =
            |system, node: &str| Place { system, queue: Queue::Response, node: node.to_owned() };
        let invented = |at| {
            let due = |number: &usize| polled.is_due(&place(1, &number.to_string()), at);
            (0..5 * NODES).filter(due).count()
        };
        assert_eq!(invented(now), NODES);
        assert_eq!(invented(now), 0);
        assert!(polled.is_due(&place(1, ""), now), "its common queue is noted all the same");
        assert!(polled.is_due(&place(2, "x"), now), "others are not in the way");
        assert!(!polled.is_due(&place(2, "x"), now));
        assert_eq!(invented(now + NOTED), NODES);
        let kept: usize = polled.0.lock().unwrap().values().map(HashMap::len).sum();
        assert!(kept <= NODES + 2, "{kept}");
    }
}
