//! Alarms of the adapter: a gauge while they last, and one line in the log when they begin and end.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::verdict::label;
use crate::storage::mailbox::remote::Trouble;
use crate::telemetry::{REMOTE_ALARM, REMOTE_FAULTS_TOTAL};

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Alarm {
    /// The node does not answer polls, or does not let us in.
    Poll,
    /// The node does not take answers, or does not let us in.
    Send,
    /// It is not known whose signature the node makes.
    Trust,
    /// The signature of a message did not stand; it was refused.
    Signature,
    /// The node hands out what is addressed to somebody else.
    Recipient,
    /// Answers are parked: the node refused them for good.
    Parked,
    /// The node finds ids too old that are fresh by our clock.
    Clock,
}

impl Alarm {
    fn name(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Send => "send",
            Self::Trust => "trust",
            Self::Signature => "signature",
            Self::Recipient => "recipient",
            Self::Parked => "parked",
            Self::Clock => "clock",
        }
    }
}

/// Alarms that last, each with the fault for which it was raised.
#[derive(Default)]
pub(super) struct Alarms(Mutex<BTreeMap<Alarm, String>>);

impl Alarms {
    /// Raises an alarm; one that lasts for the same reason is not told again. What may pass by itself is
    /// told more quietly.
    pub(super) fn raise(&self, alarm: Alarm, trouble: &Trouble, passing: bool) {
        let mut raised = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = raised.insert(alarm, trouble.fault.clone());
        metrics::gauge!(REMOTE_ALARM, "what" => alarm.name()).set(1.0);
        if before.as_ref() == Some(&trouble.fault) {
            return;
        }
        let (alarm, fault, text) = (alarm.name(), trouble.fault.as_str(), trouble.text.as_str());
        if passing {
            tracing::warn!(alarm, fault, text, "the exchange with the remote node is disturbed");
        } else {
            tracing::error!(alarm, fault, text, "the exchange with the remote node needs a person");
        }
    }

    /// What was wrong is right again.
    pub(super) fn lower(&self, alarm: Alarm) {
        let mut raised = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = raised.remove(&alarm);
        metrics::gauge!(REMOTE_ALARM, "what" => alarm.name()).set(0.0);
        if before.is_some() {
            tracing::info!(alarm = alarm.name(), "the exchange with the remote node goes on");
        }
    }
}

/// Counts a fault.
pub(super) fn count(operation: &'static str, trouble: &Trouble) {
    let fault = label(&trouble.fault);
    metrics::counter!(REMOTE_FAULTS_TOTAL, "operation" => operation, "fault" => fault).increment(1);
}
