//! A package as the exchange sees it: its header, its states, its counts.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::model::ids::PackageId;
use crate::model::kind::Kind;

/// Namespace of the package format.
pub const NAMESPACE: &str = "urn:kontingent:package:1.0";

/// The `Header` of a package, read in the same pass that verified its signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// UUID given by the supplier; its idempotency key.
    pub package_id: PackageId,
    /// Mnemonic of the supplier, for example `DIARY0001`.
    pub supplier: String,
    /// Version of the format, `1.0`.
    pub schema_version: String,
    /// Type of the package, for example `DIARY.PERSONS`.
    pub package_type: String,
    /// Everything in scope, or only what changed.
    pub mode: Mode,
    /// Region, or one organisation.
    pub scope: Scope,
    /// Number in the row of (supplier, type, scope), from 1.
    pub sequence: Option<u64>,
    /// The number of the package before this one; absent or 0 for the first.
    pub previous_sequence: Option<u64>,
    /// Instant at which the supplier read its data; decides what is newer.
    pub snapshot_at: DateTime<Utc>,
    /// School year `2026/2027`.
    pub school_year: Option<String>,
    /// Dictionary name and version, as declared.
    pub dictionaries: Vec<(String, String)>,
    /// Number of records per block, as declared.
    pub counts: Vec<(Kind, u64)>,
    /// A package that must not change the registry.
    pub test: bool,
    /// Id of the conversation that asked for this package.
    pub correlation: Option<String>,
}

/// What a package covers of its scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Mode {
    /// A snapshot: what is not mentioned has ended.
    All,
    /// Changes only.
    Updated,
}

impl Mode {
    /// The word on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "ALL",
            Self::Updated => "UPDATED",
        }
    }
}

/// Part of the region that a package speaks of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// All that the supplier knows.
    Region,
    /// One organisation, by the supplier's external id of it.
    Organisation(String),
}

impl Scope {
    /// The text on the wire: `REGION` or `ORG:<external id>`.
    pub fn to_text(&self) -> String {
        match self {
            Self::Region => "REGION".to_owned(),
            Self::Organisation(id) => format!("ORG:{id}"),
        }
    }

    /// Reads [`Scope::to_text`] back.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("ORG:") {
            Some(id) if !id.is_empty() => Some(Self::Organisation(id.to_owned())),
            None if text == "REGION" => Some(Self::Region),
            _ => None,
        }
    }
}

/// Where a package is. There is no "processing": its attempts say that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Durable, receipted, not yet applied.
    Received,
    /// Predecessor missing, or held for an operator.
    Waiting,
    /// Applied; the final receipt tells what became of each record.
    Registered,
    /// Understood, and unacceptable as a whole.
    Rejected,
    /// Our side could not finish; an operator's replay is needed.
    Failed,
}

impl State {
    /// All states.
    pub const ALL: [Self; 5] =
        [Self::Received, Self::Waiting, Self::Registered, Self::Rejected, Self::Failed];

    /// The word on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Waiting => "waiting",
            Self::Registered => "registered",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
        }
    }

    /// Reads [`State::as_str`] back.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// The word officials see.
    pub fn title(self) -> &'static str {
        match self {
            Self::Received => "Принят",
            Self::Waiting => "Ожидает",
            Self::Registered => "Зарегистрирован",
            Self::Rejected => "Отклонён",
            Self::Failed => "Ошибка обработки",
        }
    }
}

/// What became of the records of one block.
/// `total` is always the sum of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Records read.
    pub total: u64,
    /// New to the registry.
    pub created: u64,
    /// Changed something.
    pub updated: u64,
    /// Changed nothing.
    pub unchanged: u64,
    /// Not applied, because of an error finding.
    pub refused: u64,
    /// Not applied, because the registry or the package itself holds something newer.
    pub superseded: u64,
}

impl Counts {
    /// Adds another block's or batch's counts.
    pub fn add(&mut self, other: Self) {
        self.total += other.total;
        self.created += other.created;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.refused += other.refused;
        self.superseded += other.superseded;
    }

    /// Whether every record is accounted for.
    pub fn balance(self) -> bool {
        self.total == self.created + self.updated + self.unchanged + self.refused + self.superseded
    }
}

/// What became of the records of a package that had to wait for a reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Fate {
    /// Still waiting.
    pub waiting: u64,
    /// Applied when the reference had come.
    pub applied: u64,
    /// Waited in vain: the finding in the receipt is final.
    pub expired: u64,
}
