//! Configuration: defaults, then a TOML file, then `KONTINGENT_SECTION__KEY` variables.
//!
//! Any secret can be given as `<key>_file`: the path of a file that holds it.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::codec::smev3::Version;
use crate::telemetry::LogFormat;

/// Everything the service can be told.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder for the embedded database, the spool and generated keys. Default `data`.
    #[serde(default = "default_data")]
    pub data: PathBuf,
    /// Where packages, registry and mailbox live.
    #[serde(default)]
    pub database: Database,
    /// The doorbell.
    #[serde(default)]
    pub broker: Broker,
    /// The public door.
    #[serde(default)]
    pub http: Http,
    /// Health and metrics, on a port of their own.
    #[serde(default)]
    pub health: Health,
    /// The key that signs receipts and federal answers.
    #[serde(default)]
    pub signing: Signing,
    /// Whom we trust besides the authorities in the database.
    #[serde(default)]
    pub trust: Trust,
    /// Time stamps on receipts.
    #[serde(default)]
    pub timestamp: Timestamp,
    /// What is taken and how much of it.
    #[serde(default)]
    pub limits: Limits,
    /// Processing.
    #[serde(default)]
    pub worker: Worker,
    /// The federal segment's door.
    #[serde(default)]
    pub federal: Federal,
    /// Operators allowed on the operator REST calls: name → lower-case hex SHA-256 of the token.
    #[serde(default)]
    pub operators: BTreeMap<String, String>,
    /// Logging.
    #[serde(default)]
    pub log: Log,
}

/// `[database]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `postgres://…` or `sqlite://PATH`. Default: SQLite in the data folder.
    pub url: Option<String>,
    /// File that holds the URL.
    pub url_file: Option<PathBuf>,
    /// Connections in the pool. Default 16.
    pub connections: Option<u32>,
}

/// `[broker]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Broker {
    /// `amqp://…` or `amqps://…`. Default: in-process, for one process only.
    pub url: Option<String>,
    /// File that holds the URL.
    pub url_file: Option<PathBuf>,
    /// Prefix of all queue and exchange names. Default `kontingent`.
    pub prefix: Option<String>,
}

/// `[http]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Address to listen on. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// Address suppliers use, for WSDLs. Default: what the request was sent to.
    pub public_url: Option<String>,
    /// PEM file with our certificate chain: switches TLS on.
    pub tls_certificate: Option<PathBuf>,
    /// PEM file with its key.
    pub tls_key: Option<PathBuf>,
    /// PEM file with authorities of client certificates, which are then asked for, not demanded.
    pub client_authorities: Option<PathBuf>,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: None,
            tls_certificate: None,
            tls_key: None,
            client_authorities: None,
        }
    }
}

/// `[health]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Health {
    /// Address to listen on. Default `127.0.0.1:8081`.
    pub listen: SocketAddr,
}

impl Default for Health {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8081)) }
    }
}

/// `[signing]`. Without it a key is made in the data folder at the first start.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Signing {
    /// PEM file with the private key: RSA, EC P-256 or P-384, GOST R 34.10-2012.
    pub key_file: Option<PathBuf>,
    /// PEM file with the certificate; also of a key in a token.
    pub certificate_file: Option<PathBuf>,
    /// PKCS#12 file with both instead.
    pub pkcs12_file: Option<PathBuf>,
    /// Library of a PKCS#11 token that has the key instead.
    pub pkcs11_module: Option<PathBuf>,
    /// Label of the token.
    pub token: Option<String>,
    /// Label of the key in the token.
    pub token_key: Option<String>,
    /// File with the password of the PKCS#12 file, or with the PIN of the token.
    pub password_file: Option<PathBuf>,
}

/// `[trust]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trust {
    /// Folder with certificates of authorities and lists of revoked certificates; read again when a
    /// file changes.
    pub folder: Option<PathBuf>,
    /// Whether signers of an authority are refused when its list of revoked certificates is overdue, or
    /// when the responder says nothing of them. Default no: what they send is marked.
    pub refuse_stale_crl: bool,
    /// Address of a responder that is asked about all registered certificates (OCSP). Default none.
    pub ocsp_url: Option<String>,
}

/// `[timestamp]`. Without a URL receipts carry no time stamps.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timestamp {
    /// Address of an authority that speaks RFC 3161 over HTTP.
    pub url: Option<String>,
    /// Folder with the certificates behind its own, or one file.
    pub trust: Option<PathBuf>,
}

/// `[limits]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest package after decompression, in bytes. Default 2 GiB.
    pub package_bytes: u64,
    /// Largest request body, in bytes. Default 2 GiB.
    pub body_bytes: u64,
    /// Deliveries examined at the same time. Default 256.
    pub concurrent_deliveries: usize,
    /// Federal messages received or judged at the same time, in bytes together. Default 256 MiB.
    pub message_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            package_bytes: 2 << 30,
            body_bytes: 2 << 30,
            concurrent_deliveries: 256,
            message_bytes: 256 << 20,
        }
    }
}

/// `[worker]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Worker {
    /// Packages processed at the same time. Default 2.
    pub concurrency: usize,
    /// Seconds a package waits for its predecessor. Default 259200: three days.
    pub gap_wait_seconds: u64,
}

impl Default for Worker {
    fn default() -> Self {
        Self { concurrency: 2, gap_wait_seconds: 72 * 3600 }
    }
}

/// `[federal]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Federal {
    /// Our mnemonic in the federal exchange, also at the remote node: what that hands out for another one
    /// is not taken. Default `KONTINGENT`.
    pub mnemonic: String,
    /// Our name in the federal exchange. Default `Региональный сегмент`.
    pub name: String,
    /// Hours for which a message id is fresh. Default 24.
    pub message_age_hours: u64,
    /// Whether we answer the questions of the federal segment from our registry. Default yes; a node
    /// that only carries messages has a provider registered for them.
    pub answers: bool,
    /// Another node of the exchange, through which we are asked the same questions.
    pub remote: Remote,
}

/// `[federal.remote]`. With a URL that node is polled for questions by the role `federal`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Remote {
    /// Address of the node's service, in the version spoken with it. Default none.
    pub url: Option<String>,
    /// Version of the exchange: 1.1, 1.2 or 1.3. Default 1.3.
    pub version: String,
    /// PEM file with the node's own certificates: no other signs for it.
    pub certificate: Option<PathBuf>,
    /// Folder with the authorities behind the node's certificate, or one file. Default: whom we trust anyway.
    pub trust: Option<PathBuf>,
    /// Seconds between polls when nothing waits. Default 2.
    pub poll_seconds: u64,
    /// Seconds between calls for what became of answers that the node has taken. Default 30.
    pub listen_seconds: u64,
    /// Whether the queue of answers at the node is ours alone, so that GetResponse may be called. Default true.
    pub responses: bool,
    /// Seconds the node may take to answer. Default 30.
    pub timeout_seconds: u64,
}

impl Default for Remote {
    fn default() -> Self {
        Self {
            url: None,
            version: "1.3".to_owned(),
            certificate: None,
            trust: None,
            poll_seconds: 2,
            listen_seconds: 30,
            responses: true,
            timeout_seconds: 30,
        }
    }
}

impl Default for Federal {
    fn default() -> Self {
        Self {
            mnemonic: "KONTINGENT".to_owned(),
            name: "Региональный сегмент".to_owned(),
            message_age_hours: 24,
            answers: true,
            remote: Remote::default(),
        }
    }
}

/// `[log]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Filter, `info` or `kontingent=debug,warn`. Default `info`.
    pub filter: String,
    /// `text` or `json`. Default `text`.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Text }
    }
}

fn default_data() -> PathBuf {
    PathBuf::from("data")
}

impl Config {
    /// Reads the configuration of this process.
    ///
    /// # Errors
    /// Names the key that is unknown or of the wrong type, or the file that cannot be read.
    pub fn load(file: Option<&Path>) -> Result<Self> {
        Self::read(file, std::env::vars().collect())
    }

    /// The embedded default, all state in one folder, listening on free ports.
    pub fn embedded(data: PathBuf) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            data,
            database: Database::default(),
            broker: Broker::default(),
            http: Http { listen: any, ..Http::default() },
            health: Health { listen: any },
            signing: Signing::default(),
            trust: Trust::default(),
            timestamp: Timestamp::default(),
            limits: Limits::default(),
            worker: Worker::default(),
            federal: Federal::default(),
            operators: BTreeMap::new(),
            log: Log::default(),
        }
    }

    fn read(file: Option<&Path>, environment: HashMap<String, String>) -> Result<Self> {
        let ours = environment
            .into_iter()
            .filter(|(name, _)| name.contains("__") || name == "KONTINGENT_DATA")
            .collect();
        let variables = config::Environment::with_prefix("KONTINGENT")
            .prefix_separator("_")
            .separator("__")
            .try_parsing(true)
            .source(Some(ours));
        let mut builder = config::Config::builder();
        if let Some(file) = file {
            builder = builder.add_source(config::File::from(file).format(config::FileFormat::Toml));
        }
        let config: Self = builder
            .add_source(variables)
            .build()
            .and_then(config::Config::try_deserialize)
            .context("the configuration cannot be read")?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        let http = &self.http;
        ensure!(
            http.tls_certificate.is_some() == http.tls_key.is_some(),
            "http.tls_certificate and http.tls_key go together"
        );
        ensure!(
            http.client_authorities.is_none() || http.tls_certificate.is_some(),
            "http.client_authorities needs http.tls_certificate"
        );
        let signing = &self.signing;
        let key = signing.key_file.is_some() || signing.pkcs11_module.is_some();
        ensure!(
            key == signing.certificate_file.is_some(),
            "signing.certificate_file goes together with signing.key_file or signing.pkcs11_module"
        );
        let sources = [&signing.key_file, &signing.pkcs12_file, &signing.pkcs11_module];
        ensure!(
            sources.iter().filter(|source| source.is_some()).count() <= 1,
            "of signing.key_file, signing.pkcs12_file and signing.pkcs11_module only one may be given"
        );
        ensure!(
            self.timestamp.url.is_none() || self.timestamp.trust.is_some(),
            "timestamp.url needs timestamp.trust"
        );
        ensure!(
            self.limits.message_bytes >= 32 << 20,
            "limits.message_bytes, of which one address has half, needs twice the largest federal message, of 16 MiB"
        );
        self.federal.check()?;
        for (name, hash) in &self.operators {
            let hex = hash.len() == 64 && hash.chars().all(|c| c.is_ascii_hexdigit());
            ensure!(hex, "operators.{name} is not the hex SHA-256 of a token");
        }
        Ok(())
    }

    /// The database URL, from the key, its file, or the data folder.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn database_url(&self) -> Result<String> {
        let given = secret(self.database.url.as_deref(), self.database.url_file.as_deref())?;
        Ok(given
            .unwrap_or_else(|| format!("sqlite://{}", self.data.join("kontingent.db").display())))
    }

    /// The broker URL, if there is a broker.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn broker_url(&self) -> Result<Option<String>> {
        secret(self.broker.url.as_deref(), self.broker.url_file.as_deref())
    }
}

impl Federal {
    fn check(&self) -> Result<()> {
        let Remote { url, version, certificate, trust, poll_seconds, .. } = &self.remote;
        let (listen_seconds, timeout_seconds) =
            (&self.remote.listen_seconds, &self.remote.timeout_seconds);
        let known = Version::parse(version).is_some();
        ensure!(known, "federal.remote.version {version} is none of 1.1, 1.2, 1.3");
        ensure!(
            *poll_seconds > 0 && *timeout_seconds > 0 && *listen_seconds > 0,
            "federal.remote.poll_seconds, listen_seconds and timeout_seconds are at least 1"
        );
        ensure!(
            certificate.is_none() || trust.is_none(),
            "federal.remote.certificate and federal.remote.trust exclude each other"
        );
        let Some(url) = url else { return Ok(()) };
        ensure!(
            url.starts_with("http://") || url.starts_with("https://"),
            "federal.remote.url is not an address http:// or https://"
        );
        ensure!(self.answers, "federal.remote.url needs federal.answers: it is we who answer");
        Ok(())
    }
}

fn secret(value: Option<&str>, file: Option<&Path>) -> Result<Option<String>> {
    match (value, file) {
        (Some(value), _) => Ok(Some(value.to_owned())),
        (None, Some(file)) => {
            let text = fs::read_to_string(file)
                .with_context(|| format!("{} cannot be read", file.display()))?;
            Ok(Some(text.trim().to_owned()))
        }
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Config> {
        let map = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Config::read(None, map)
    }

    #[test]
    fn variables_override_defaults_and_foreign_ones_are_left_alone() {
        let config = read(&[
            ("KONTINGENT_DATABASE__URL", "postgres://x/y"),
            ("KONTINGENT_WORKER__CONCURRENCY", "4"),
            ("KONTINGENT_TEST_DATABASE_URL", "ignored"),
        ])
        .unwrap();
        assert_eq!(config.database_url().unwrap(), "postgres://x/y");
        assert_eq!(config.worker.concurrency, 4);
    }

    #[test]
    fn the_example_has_every_key_and_says_the_defaults() {
        let text = include_str!("../deploy/config.example.toml");
        let folder = tempfile::tempdir().unwrap();
        let load = |text: &str| {
            let file = folder.path().join("config.toml");
            fs::write(&file, text).unwrap();
            Config::read(Some(&file), HashMap::new())
        };
        let told = format!("{:?}", load(text).unwrap());
        assert_eq!(told, format!("{:?}", read(&[]).unwrap()));
        // Behind a single # stand keys that exist.
        for line in text.lines().filter_map(|line| line.strip_prefix('#')) {
            let Some((key, _)) = line.split_once(" = ") else { continue };
            let plain = |c: char| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit();
            if key.chars().all(plain) {
                let with = text.replacen(&format!("#{line}"), line, 1);
                let error = load(&with).err().map(|error| format!("{error:#}"));
                assert!(error.is_none_or(|error| !error.contains("unknown field")), "{key}");
            }
        }
    }

    #[test]
    fn an_unknown_key_is_named() {
        let error = read(&[("KONTINGENT_DATABASE__URI", "x")]).unwrap_err();
        assert!(format!("{error:#}").contains("uri"), "{error:#}");
    }

    #[test]
    fn the_remote_node_is_on_by_its_address() {
        let url = ("KONTINGENT_FEDERAL__REMOTE__URL", "http://smev/ws");
        let version = ("KONTINGENT_FEDERAL__REMOTE__VERSION", "1.2");
        let config = read(&[url, version]).unwrap();
        assert_eq!(config.federal.remote.version, "1.2");
        assert_eq!(config.federal.remote.url.as_deref(), Some("http://smev/ws"));
        for wrong in [
            ("KONTINGENT_FEDERAL__REMOTE__URL", "smev:5000"),
            ("KONTINGENT_FEDERAL__REMOTE__VERSION", "2.0"),
            ("KONTINGENT_FEDERAL__REMOTE__POLL_SECONDS", "0"),
            ("KONTINGENT_FEDERAL__ANSWERS", "false"),
        ] {
            assert!(read(&[url, wrong]).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn half_a_key_pair_is_refused() {
        assert!(read(&[("KONTINGENT_SIGNING__KEY_FILE", "key.pem")]).is_err());
    }
}
