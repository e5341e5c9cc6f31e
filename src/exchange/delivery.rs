//! What a door hands in, what it gets back, and the settings that judge between.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::codec::inflate;
use crate::model::ids::{PackageId, PackageNo};
use crate::model::package::{Fate, State};

/// A package as it came to a door.
pub struct Delivery {
    /// Raw bytes as sent, still compressed; errors of reading may carry a refusal.
    pub body: Box<dyn Read + Send>,
    /// Length of the raw bytes, when known.
    pub size_hint: Option<u64>,
    /// The whole body is in memory and small: examine it on this thread.
    pub small: bool,
    /// How it is compressed.
    pub encoding: inflate::Encoding,
    /// The transport said that the document is in UTF-8.
    pub declared_utf8: bool,
    /// Package id named outside of the package, which the header must repeat.
    pub expected_id: Option<PackageId>,
    /// Network address it came from.
    pub peer: String,
    /// DER of the client certificate of the TLS connection.
    pub channel_certificate: Option<Vec<u8>>,
}

/// A package that is durable.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// The signed first receipt.
    pub receipt: Vec<u8>,
    /// Whether it had been accepted before; the receipt is the one given then.
    pub duplicate: bool,
    /// The supplier's id of the package.
    pub package: PackageId,
    /// Our number of the package.
    pub number: PackageNo,
    /// Mnemonic of the supplier.
    pub supplier: String,
}

/// A receipt asked for later.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// The signed document.
    pub xml: Vec<u8>,
    /// Whether it tells what became of the records, rather than only that the package is durable.
    pub concluding: bool,
}

/// Where a package is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Status {
    /// Our number.
    pub number: PackageNo,
    /// The supplier's id.
    pub package: PackageId,
    /// Mnemonic of the supplier.
    pub supplier: String,
    /// Where it is.
    pub state: State,
    /// Why it waits, was rejected or failed: a finding code.
    pub reason: Option<String>,
    /// When it was accepted.
    pub received_at: DateTime<Utc>,
    /// Since when it is in this state, by the database's clock.
    pub state_at: DateTime<Utc>,
    /// Attempts so far.
    pub attempts: u64,
    /// Records in it.
    pub records: u64,
    /// Records already applied by the last attempt.
    pub records_done: u64,
    /// What became of records that had to wait for a reference.
    pub fate: Fate,
}

/// What the exchange is told by the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Folder for bodies too large for memory.
    pub spool: PathBuf,
    /// Limits of decompression.
    pub inflate: inflate::Limits,
    /// Deliveries examined at the same time; more are refused with `TOO_MANY_REQUESTS`.
    pub concurrent_deliveries: usize,
    /// How long a package waits for its predecessor.
    pub gap_wait: Duration,
    /// Packages processed at the same time by one worker.
    pub concurrency: usize,
    /// Records applied in one transaction.
    pub batch: usize,
    /// How long a worker has an attempt before it must renew the lease.
    pub lease: Duration,
    /// Times work on an attempt may begin without progress before it is parked.
    pub tries: u32,
    /// How long the sweep waits before it rings a received package again that nobody took.
    pub patience: Duration,
}

impl Settings {
    /// The defaults, with this spool folder.
    pub fn new(spool: PathBuf) -> Self {
        Self {
            spool,
            inflate: inflate::Limits::default(),
            concurrent_deliveries: 256,
            gap_wait: Duration::from_hours(72),
            concurrency: 2,
            batch: 500,
            lease: Duration::from_secs(15),
            tries: 5,
            patience: Duration::from_secs(30),
        }
    }
}
