//! The adapter: the same questions, asked through a node of the exchange that is not ours. It is
//! polled; what it hands out is answered as if it had come through our door, and the answer sent there.
//!
//! Request and answer are written in one transaction before anything leaves. From then on the answer
//! is sent as it is written, under the same id, until the node has taken it, and the node is told that we
//! have the request. A crash anywhere only makes that happen once more.

mod alarm;
mod deliver;
mod fate;
mod link;
mod poll;
mod trust;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use reqwest::redirect::Policy;
use tokio::sync::Notify;

use crate::codec::smev3::Version;
use crate::exchange::Exchange;
use crate::exchange::adapter::alarm::Alarms;
use crate::exchange::adapter::poll::Notes;
use crate::exchange::desk::Desk;

pub use deliver::run as deliver;
pub use fate::run as listen;
pub use link::{Answer, Link, LinkError};
pub use poll::run as poll;
pub use trust::NodeTrust;

/// How long what is under way may still take when we are told to stop. Cut short it is done again.
const FAREWELL: Duration = Duration::from_secs(5);

/// What the adapter is told by the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address of the node.
    pub url: String,
    /// Version of the exchange that is spoken with it.
    pub version: Version,
    /// Pause between polls when nothing waits.
    pub poll: Duration,
    /// Pause between calls for what became of answers that the node has taken.
    pub listen: Duration,
    /// Whether the queue of answers is ours: the node tells there what it refused later. Where others
    /// share it, messages for them would be hidden from them by our calls.
    pub responses: bool,
    /// How long the node may take to answer.
    pub patience: Duration,
    /// Pause after a failure; each one is twice as long as the last …
    pub first_pause: Duration,
    /// … up to this.
    pub longest_pause: Duration,
    /// Pause while the node does not let us in.
    pub barred_pause: Duration,
}

impl Settings {
    /// The defaults, with this node.
    pub fn new(url: String, version: Version) -> Self {
        Self {
            url,
            version,
            poll: Duration::from_secs(2),
            listen: Duration::from_secs(30),
            responses: true,
            patience: Duration::from_secs(30),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_mins(1),
            barred_pause: Duration::from_mins(3),
        }
    }
}

/// The adapter. Cheap to clone.
#[derive(Clone)]
pub struct Adapter(Arc<Inner>);

struct Inner {
    exchange: Exchange,
    desk: Desk,
    link: Link,
    trust: NodeTrust,
    settings: Settings,
    alarms: Alarms,
    notes: Notes,
    /// There are answers to be sent.
    answers: Notify,
}

impl Adapter {
    /// Answers at this desk; nothing runs until [`poll`], [`deliver`] and [`listen`].
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(
        exchange: &Exchange,
        desk: Desk,
        settings: Settings,
        trust: NodeTrust,
    ) -> Result<Self, reqwest::Error> {
        let client = Client::builder().timeout(settings.patience).redirect(Policy::none());
        let signer = Arc::clone(exchange.signer());
        let link = Link::new(client.build()?, settings.url.clone(), settings.version, signer);
        Ok(Self(Arc::new(Inner {
            exchange: exchange.clone(),
            desk,
            link,
            trust,
            settings,
            alarms: Alarms::default(),
            notes: Notes::default(),
            answers: Notify::new(),
        })))
    }
}

/// Pauses that grow while nothing gets better.
struct Pauses {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Pauses {
    fn new(settings: &Settings) -> Self {
        let (first, longest) = (settings.first_pause, settings.longest_pause);
        Self { first, longest, next: first }
    }

    fn grow(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        pause
    }

    fn reset(&mut self) {
        self.next = self.first;
    }
}
