//! The grammar of `federal`.

use std::path::PathBuf;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::{Args, Subcommand};
use uuid::Uuid;

use crate::app::cli::Ask;

/// `federal`.
#[derive(Debug, Subcommand)]
pub enum Federal {
    /// Register a system of the exchange of messages, or one more certificate of it.
    Add {
        /// Mnemonic.
        mnemonic: String,
        /// Name for people.
        #[arg(long)]
        name: String,
        /// Its certificate, PEM or DER.
        #[arg(long)]
        certificate: PathBuf,
        /// Its requests go before those of others.
        #[arg(long)]
        vip: bool,
        /// It may ask about persons, as a new one may.
        #[arg(long, conflicts_with = "no_questions")]
        questions: bool,
        /// It exchanges messages with others through us and may not ask about persons.
        #[arg(long)]
        no_questions: bool,
    },
    /// List them.
    List {
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Deny a system access.
    Block {
        /// Mnemonic.
        mnemonic: String,
    },
    /// Let it in again.
    Unblock {
        /// Mnemonic.
        mnemonic: String,
    },
    /// Register a kind of messages that a system answers, or one more version of its schema.
    AddKind {
        /// Our word for it, for example clinic.certificate.
        code: String,
        /// Name for people.
        #[arg(long)]
        title: String,
        /// Mnemonic of the system that answers.
        #[arg(long)]
        provider: String,
        /// Namespace of the root elements.
        #[arg(long)]
        namespace: String,
        /// Local name of the root of a request.
        #[arg(long)]
        request: String,
        /// Local name of the root of an answer.
        #[arg(long)]
        response: String,
        /// Every registered system may ask, without grant-kind.
        #[arg(long)]
        open: bool,
    },
    /// Let a system ask requests of a kind.
    GrantKind {
        /// The kind.
        code: String,
        /// Mnemonic of the system.
        mnemonic: String,
    },
    /// Make the word by which a system may put large files into the store.
    StoreAccount {
        /// Mnemonic of the system.
        mnemonic: String,
    },
    /// List kinds of messages.
    Kinds {
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Show queues: how many messages wait, for how long, who has not polled.
    Queues {
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Show how the remote node answers, and which answers wait to be sent there.
    Remote {
        /// Send the parked answer to this request again.
        #[arg(long)]
        again: Option<Uuid>,
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Ask a question as a system of the exchange, and print the answer.
    Ask(Ask),
    /// Show who was told about persons: who asked about whom, when, why, and what was answered.
    Disclosures(Disclosures),
}

/// `federal disclosures`; all conditions hold together. The newest come first.
#[derive(Debug, Args)]
pub struct Disclosures {
    /// Who was told about this person: insurance number (11 digits) or registry id.
    #[arg(long)]
    pub person: Option<String>,
    /// What this system was told: its mnemonic.
    #[arg(long)]
    pub system: Option<String>,
    /// Told at or after this day or instant.
    #[arg(long, value_parser = moment)]
    pub since: Option<DateTime<Utc>>,
    /// Told before this day or instant.
    #[arg(long, value_parser = moment)]
    pub until: Option<DateTime<Utc>>,
    /// Most disclosures to show.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Go on below this disclosure: the last id of the page before.
    #[arg(long)]
    pub before: Option<i64>,
    /// JSON instead of text.
    #[arg(long)]
    pub json: bool,
}

/// An instant, or the beginning of a day by UTC.
fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    let day = text.parse::<NaiveDate>().map(|day| day.and_time(NaiveTime::MIN).and_utc());
    let wanted = |_| "нужен день 2026-01-31 или момент 2026-01-31T10:00:00Z".to_owned();
    day.or_else(|_| text.parse()).map_err(wanted)
}
