//! The grammar of the command line.

mod ask;
mod federal;
mod sandbox;
mod signature;

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::{Args, Parser, Subcommand};

pub use ask::Ask;
pub use federal::{Disclosures, Federal};
pub use sandbox::Sandbox;
pub use signature::{JudgeBy, KeyBy, Signature};

/// Regional segment of the federal learner-contingent system.
#[derive(Debug, Parser)]
#[command(name = "kontingent", version, about)]
pub struct Cli {
    /// Configuration file.
    #[arg(long, global = true, env = "KONTINGENT_CONFIG")]
    pub config: Option<PathBuf>,
    /// Who acts; kept in the audit.
    #[arg(long, global = true, env = "USER", hide_env_values = true, default_value = "operator")]
    pub actor: String,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the whole system at work on synthetic data, in one process.
    Demo(Demo),
    /// Run an emulator of the exchange of messages, to try a client or a provider against.
    Sandbox(Sandbox),
    /// Run the service.
    Serve(Serve),
    /// Bring the database schema up to date.
    Migrate,
    /// Read the configuration and say whether it is complete.
    CheckConfig,
    /// Make a synthetic region: keys and signed packages as files.
    Simulate(Simulate),
    /// Send, validate, look up and replay packages.
    #[command(subcommand)]
    Package(Package),
    /// Verify, make and explain signatures.
    #[command(subcommand)]
    Signature(Signature),
    /// Manage suppliers and their certificates.
    #[command(subcommand)]
    Supplier(Supplier),
    /// Manage systems of the exchange of messages, federal and of the region.
    #[command(subcommand)]
    Federal(Federal),
    /// Manage certification authorities.
    #[command(subcommand)]
    Authority(Authority),
    /// Manage reference codes.
    #[command(subcommand)]
    Dictionary(Dictionary),
    /// Check the chain of audit rows.
    #[command(subcommand)]
    Audit(Audit),
    /// Measure this machine.
    Bench(Bench),
}

/// `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Port of the web, intake and federal door; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Folder for its data; a temporary one by default.
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// `small` (a town) or `region`.
    #[arg(long, default_value = "small", value_parser = ["small", "region"])]
    pub size: String,
    /// End after the summary.
    #[arg(long)]
    pub once: bool,
    /// Print one JSON object as the last line.
    #[arg(long)]
    pub json: bool,
}

/// `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Roles of this process, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "gateway,worker,federal,web",
        value_parser = ["gateway", "worker", "federal", "web"])]
    pub roles: Vec<String>,
}

/// `simulate`.
#[derive(Debug, Args)]
pub struct Simulate {
    /// Folder to write to.
    #[arg(long)]
    pub out: PathBuf,
    /// Number that decides everything in the region.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Learners in the region.
    #[arg(long, default_value_t = 1000)]
    pub learners: u64,
    /// School days with marks.
    #[arg(long, default_value_t = 5)]
    pub days: u32,
    /// Write all persons of a supplier into one package, however large.
    #[arg(long)]
    pub one_package: bool,
}

/// `package`.
#[derive(Debug, Subcommand)]
pub enum Package {
    /// Send package files to a gateway.
    Send {
        /// Signed packages.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Address of the gateway.
        #[arg(long, default_value = "http://127.0.0.1:8080")]
        to: String,
        /// Certificate of the authority behind the gateway's own, PEM, when the system does not
        /// know it.
        #[arg(long)]
        authority: Option<PathBuf>,
        /// How often a package is sent again when the gateway is away or busy.
        #[arg(long, default_value_t = 4)]
        retries: u32,
        /// One JSON object a package.
        #[arg(long)]
        json: bool,
    },
    /// Check package files as the gateway and the worker would, without a database.
    Validate {
        /// Packages.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Certificate of a trusted authority, PEM or DER; without one any signer will do.
        #[arg(long)]
        authority: Vec<PathBuf>,
        /// Judge as for a supplier whose failed check digits refuse the record.
        #[arg(long)]
        strict_checksums: bool,
        /// One JSON object a package.
        #[arg(long)]
        json: bool,
    },
    /// Say where a package is.
    Status(PackageName),
    /// Print the latest receipt of a package.
    Receipt(PackageName),
    /// List packages, newest first.
    List(PackageFilter),
    /// Show a package: attempts, counts, findings.
    Show {
        /// Which package.
        #[command(flatten)]
        package: PackageName,
        /// Most findings to show.
        #[arg(long, default_value_t = 50)]
        findings: u32,
    },
    /// Process packages again.
    Replay {
        /// Which packages: a number, a UUID, or nothing to use the filter.
        package: Option<String>,
        /// Which packages, when none is named.
        #[command(flatten)]
        filter: PackageFilter,
        /// Why; kept with the new attempt.
        #[arg(long)]
        reason: String,
        /// Waive the guard that holds a snapshot.
        #[arg(long)]
        approve: bool,
    },
}

/// A package by our number or the supplier's UUID.
#[derive(Debug, Args)]
pub struct PackageName {
    /// Our number or the supplier's UUID.
    pub package: String,
    /// Mnemonic of the supplier, when two use the same UUID.
    #[arg(long)]
    pub supplier: Option<String>,
    /// JSON instead of text.
    #[arg(long)]
    pub json: bool,
}

/// Filter of packages; all conditions hold together.
#[derive(Debug, Args)]
pub struct PackageFilter {
    /// `received`, `waiting`, `registered`, `rejected` or `failed`.
    #[arg(long, value_parser = ["received", "waiting", "registered", "rejected", "failed"])]
    pub state: Option<String>,
    /// Mnemonic of the supplier.
    #[arg(long)]
    pub supplier: Option<String>,
    /// Code of a finding or of the reason.
    #[arg(long)]
    pub code: Option<String>,
    /// Received at or after this instant.
    #[arg(long)]
    pub since: Option<DateTime<Utc>>,
    /// Received before this instant.
    #[arg(long)]
    pub until: Option<DateTime<Utc>>,
    /// Most packages to take.
    #[arg(long, default_value_t = 50)]
    pub limit: u32,
    /// Go on below this package number.
    #[arg(long)]
    pub before: Option<i64>,
    /// JSON instead of text.
    #[arg(long)]
    pub json: bool,
}

/// `supplier`.
#[derive(Debug, Subcommand)]
pub enum Supplier {
    /// Register a supplier, or change the one of this mnemonic.
    Add {
        /// Mnemonic, for example DIARY0001.
        mnemonic: String,
        /// Name for people.
        #[arg(long)]
        name: String,
        /// `diary`, `preschool`, `xls` or `other`.
        #[arg(long, default_value = "other", value_parser = ["diary", "preschool", "xls", "other"])]
        kind: String,
        /// Certificates that may sign for it, PEM or DER.
        #[arg(long)]
        certificate: Vec<PathBuf>,
        /// Only the organisations granted to it.
        #[arg(long)]
        limited: bool,
        /// A failed check digit refuses the record.
        #[arg(long)]
        strict_checksums: bool,
        /// Take packages marked as test.
        #[arg(long)]
        test_packages: bool,
        /// Take packages in windows-1251 and UTF-16 too.
        #[arg(long)]
        other_encodings: bool,
    },
    /// List suppliers.
    List {
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Register one more certificate, for example the successor.
    AddCertificate {
        /// Mnemonic.
        mnemonic: String,
        /// PEM or DER file.
        certificate: PathBuf,
    },
    /// Take a certificate back.
    WithdrawCertificate {
        /// Hex SHA-256 of the certificate.
        sha256: String,
    },
    /// List certificates that signed for a supplier, right and trusted, and are not registered.
    Candidates {
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Register such a certificate for the supplier it signed for.
    Approve {
        /// Hex SHA-256 of the certificate.
        sha256: String,
    },
    /// Forget such a certificate.
    Dismiss {
        /// Hex SHA-256 of the certificate.
        sha256: String,
    },
    /// Refuse all packages of a supplier.
    Block {
        /// Mnemonic.
        mnemonic: String,
    },
    /// Take packages again.
    Unblock {
        /// Mnemonic.
        mnemonic: String,
    },
    /// Entrust an organisation to a limited supplier.
    Grant {
        /// Mnemonic.
        mnemonic: String,
        /// Registry number of the organisation.
        organisation: i64,
    },
}

/// `authority`.
#[derive(Debug, Subcommand)]
pub enum Authority {
    /// Trust a certification authority.
    Add {
        /// PEM or DER file.
        certificate: PathBuf,
    },
    /// Trust a certification authority no longer.
    Remove {
        /// Hex SHA-256 of its certificate.
        sha256: String,
    },
    /// List trusted authorities.
    List {
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
}

/// `dictionary`.
#[derive(Debug, Subcommand)]
pub enum Dictionary {
    /// List dictionaries, built in and loaded, or the codes of one.
    List {
        /// Name of the dictionary.
        name: Option<String>,
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Load a CSV file `dictionary;version;code;title`, or with `canonical` before `title`.
    Load {
        /// The file.
        file: PathBuf,
    },
    /// Say what a supplier's code means.
    Map {
        /// Mnemonic of the supplier.
        supplier: String,
        /// Name of the dictionary.
        dictionary: String,
        /// The supplier's code.
        foreign: String,
        /// Our code.
        code: String,
    },
}

/// `audit`.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Check every row against its hash; name the first bad one.
    Verify {
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
}

/// `bench`.
#[derive(Clone, Debug, Args)]
pub struct Bench {
    /// What to measure: `verify`, `signature`, `accept`, `apply`, `federal`, `exchange`, `memory`,
    /// `start`; all by default.
    #[arg(value_parser = ["verify", "signature", "accept", "apply", "federal", "exchange", "memory",
        "start"])]
    pub what: Vec<String>,
    /// PostgreSQL with the right to create databases.
    #[arg(long, env = "KONTINGENT_TEST_DATABASE_URL")]
    pub database: Option<String>,
    /// RabbitMQ.
    #[arg(long, env = "KONTINGENT_TEST_BROKER_URL")]
    pub broker: Option<String>,
    /// Python with `xmlsec` and `signxml`, to compare signatures with: `deploy/dev/python bench`.
    #[arg(long)]
    pub python: Option<PathBuf>,
    /// Persons in the filled registry.
    #[arg(long, default_value_t = 1_000_000)]
    pub persons: u64,
    /// Smaller by this factor, for a quick look.
    #[arg(long, default_value_t = 1)]
    pub divide: u64,
    /// One JSON object a figure.
    #[arg(long)]
    pub json: bool,
}
