//! The roles of one process, put together, started and stopped.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::health::{self, Probes};
use crate::app::key;
use crate::app::remote;
use crate::app::watched;
use crate::broker::{Doorbell, InProcess, Rabbit};
use crate::codec::smev3::Participant;
use crate::codec::streebog::Streebog;
use crate::config::Config;
use crate::exchange::adapter;
use crate::exchange::delivery::Settings;
use crate::exchange::desk::{Desk, give_up_late};
use crate::exchange::revocation::{self, Responder};
use crate::exchange::sandbox::{self, Sandbox};
use crate::exchange::seal::Seal;
use crate::exchange::statistics;
use crate::exchange::timestamp::{self, Stamper};
use crate::exchange::{Exchange, Parts};
use crate::federal;
use crate::gateway;
use crate::http::limits::Limits;
use crate::http::{serve, tls};
use crate::model::clock::Clock;
use crate::storage::db::Db;
use crate::storage::migrate;
use crate::telemetry::start_metrics;
use crate::trust::TrustStore;
use crate::trust::crl::Stale;
use crate::trust::folder::{Folder, Watched};
use crate::trust::gost;
use crate::trust::ocsp::Statuses;
use crate::web;
use crate::worker;

/// Connections in the pool, unless configured.
const CONNECTIONS: u32 = 16;

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// Suppliers' doors.
    pub gateway: bool,
    /// Processing.
    pub worker: bool,
    /// The federal segment's door.
    pub federal: bool,
    /// Pages.
    pub web: bool,
}

impl Roles {
    /// Everything.
    pub const ALL: Self = Self { gateway: true, worker: true, federal: true, web: true };

    /// The roles with these names.
    pub fn named(names: &[String]) -> Self {
        let has = |name: &str| names.iter().any(|given| given == name);
        Self {
            gateway: has("gateway"),
            worker: has("worker"),
            federal: has("federal"),
            web: has("web"),
        }
    }
}

/// A running service.
pub struct Service {
    /// Address of the doors and pages.
    pub address: SocketAddr,
    /// Address of health and metrics.
    pub health: SocketAddr,
    exchange: Exchange,
    /// Ends the doors and the worker's listening.
    doors: CancellationToken,
    /// Ends what serves them, after they have drained.
    engine: CancellationToken,
    open_doors: TaskTracker,
    engines: TaskTracker,
}

impl Service {
    /// Starts the roles. When this returns, the addresses answer.
    ///
    /// # Errors
    /// What is missing or misconfigured, by name.
    pub async fn start(config: &Config, roles: Roles, clock: Clock) -> Result<Self> {
        Self::start_as(config, roles, clock, None).await
    }

    /// Starts all roles as a sandbox, whose scenarios are in this folder.
    ///
    /// # Errors
    /// As [`Service::start`]; and a database that has been used for something else.
    pub async fn start_sandbox(config: &Config, clock: Clock, scenarios: PathBuf) -> Result<Self> {
        Self::start_as(config, Roles::ALL, clock, Some(scenarios)).await
    }

    async fn start_as(
        config: &Config,
        roles: Roles,
        clock: Clock,
        scenarios: Option<PathBuf>,
    ) -> Result<Self> {
        tls::install_provider();
        let metrics = start_metrics();
        let statuses = Statuses::default();
        let exchange = exchange(config, clock, &statuses, scenarios).await?;
        watched::watch(config, &exchange)?;
        let (doors, engine) = (CancellationToken::new(), CancellationToken::new());
        let (open_doors, engines) = (TaskTracker::new(), TaskTracker::new());
        exchange.start(&engines, &engine);
        if roles.worker {
            if let Some(stamper) = stamper(config)? {
                engines.spawn(timestamp::run(exchange.clone(), stamper, engine.clone()));
            }
            open_doors.spawn(worker::run(exchange.clone(), doors.clone()));
        }
        // Each process asks for itself: what a responder said is not stored.
        let url = config.trust.ocsp_url.clone();
        let responder = url.map(|url| Responder::new(url, statuses)).transpose()?;
        engines.spawn(revocation::run(exchange.clone(), responder, engine.clone()));
        let desk = roles.federal.then(|| desk(config, &exchange)).transpose()?;
        if let Some(desk) = &desk {
            engines.spawn(statistics::run(exchange.clone(), engine.clone()));
            engines.spawn(give_up_late(desk.clone(), engine.clone()));
            if let Some(adapter) = remote::adapter(config, &exchange, desk)? {
                open_doors.spawn(adapter::poll(adapter.clone(), doors.clone()));
                engines.spawn(adapter::listen(adapter.clone(), engine.clone()));
                engines.spawn(adapter::deliver(adapter, engine.clone()));
            }
        }
        let public = TcpListener::bind(config.http.listen)
            .await
            .with_context(|| format!("http.listen {} cannot be used", config.http.listen))?;
        let address = public.local_addr()?;
        let limits = Limits { body_bytes: config.limits.body_bytes, ..Limits::default() };
        let acceptor = match (&config.http.tls_certificate, &config.http.tls_key) {
            (Some(chain), Some(key)) => {
                Some(tls::acceptor(chain, key, config.http.client_authorities.as_deref())?)
            }
            _ => None,
        };
        let router = router(config, roles, &exchange, desk, limits);
        open_doors.spawn(serve::serve(public, acceptor, router, limits, doors.clone()));

        let private = TcpListener::bind(config.health.listen)
            .await
            .with_context(|| format!("health.listen {} cannot be used", config.health.listen))?;
        let health = private.local_addr()?;
        let probes = health::router(Probes { db: exchange.db().clone(), metrics });
        engines.spawn(serve::serve(private, None, probes, Limits::default(), engine.clone()));
        tracing::info!(%address, %health, ?roles, "serving");
        Ok(Self { address, health, exchange, doors, engine, open_doors, engines })
    }

    /// The exchange behind the doors.
    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// Closes the doors, lets what was taken finish, ends.
    pub async fn stop(self) {
        self.doors.cancel();
        self.open_doors.close();
        self.open_doors.wait().await;
        self.engine.cancel();
        self.engines.close();
        self.engines.wait().await;
        self.exchange.db().close().await;
    }
}

/// Puts the exchange together; nothing of it runs yet.
async fn exchange(
    config: &Config,
    clock: Clock,
    statuses: &Statuses,
    scenarios: Option<PathBuf>,
) -> Result<Exchange> {
    let spool = config.data.join("spool");
    fs::create_dir_all(&spool)
        .with_context(|| format!("the folder {} cannot be made", spool.display()))?;
    let url = config.database_url()?;
    let connections = config.database.connections.unwrap_or(CONNECTIONS);
    let db = Db::connect(&url, connections).await.context("the database does not answer")?;
    if scenarios.is_some() {
        sandbox::allow(&db).await?;
    }
    migrate::migrate(&db).await.context("the schema cannot be brought up to date")?;
    let sandbox = if let Some(scenarios) = scenarios {
        Some(Sandbox::open(&db, scenarios, clock.now()).await?)
    } else {
        sandbox::refuse(&db).await?;
        None
    };
    let doorbell = match config.broker_url()? {
        Some(url) => {
            let prefix = config.broker.prefix.as_deref().unwrap_or("kontingent");
            Doorbell::Rabbit(Rabbit::new(&url, prefix).context("broker.url cannot be used")?)
        }
        None => Doorbell::InProcess(InProcess::new()),
    };
    let mut settings = Settings::new(spool);
    settings.inflate.document_bytes = config.limits.package_bytes;
    settings.concurrent_deliveries = config.limits.concurrent_deliveries;
    settings.concurrency = config.worker.concurrency;
    settings.gap_wait = Duration::from_secs(config.worker.gap_wait_seconds);
    settings.answers = config.federal.answers;
    let signer = key::signer(config, clock.now())?;
    let stale = if config.trust.refuse_stale_crl { Stale::Refuse } else { Stale::Accept };
    let trust = config.trust.folder.clone().map(|path| Watched { path, stale });
    let statuses = config.trust.ocsp_url.is_some().then(|| (statuses.clone(), stale));
    tell_what_is_verified();
    Ok(Exchange::new(Parts { db, clock, signer, trust, statuses, doorbell, settings, sandbox }))
}

/// The configured authority of time stamps.
fn stamper(config: &Config) -> Result<Option<Stamper>> {
    let Some(url) = config.timestamp.url.clone() else { return Ok(None) };
    let trust = config.timestamp.trust.as_ref().context("timestamp.url needs timestamp.trust")?;
    let folder = Folder::read(trust, Stale::Accept).context("timestamp.trust cannot be read")?;
    anyhow::ensure!(!folder.anchors.is_empty(), "timestamp.trust holds no authority");
    let trust = TrustStore::new(&folder.anchors)?.with_crls(folder.crls);
    Ok(Some(Stamper::new(url, trust)?))
}

/// Says at the start which signatures can be verified here, and which cannot.
fn tell_what_is_verified() {
    let streebog = Streebog::kernel();
    if gost::available() {
        tracing::info!(streebog, "signatures verified: RSA, ECDSA, GOST R 34.10-2012");
    } else {
        tracing::warn!(
            streebog,
            "signatures verified: RSA, ECDSA; NOT GOST R 34.10-2012, for which OpenSSL has no engine here \
             (Debian: libengine-gost-openssl)"
        );
    }
}

/// The desk of the exchange of messages, under our name.
fn desk(config: &Config, exchange: &Exchange) -> Result<Desk> {
    let own = Participant {
        mnemonic: config.federal.mnemonic.clone(),
        name: config.federal.name.clone(),
    };
    Ok(Desk::new(exchange, Seal::new(Arc::clone(exchange.signer()), own))?)
}

fn router(
    config: &Config,
    roles: Roles,
    exchange: &Exchange,
    desk: Option<Desk>,
    limits: Limits,
) -> Router {
    let mut router = Router::new();
    if roles.gateway {
        let settings = gateway::Settings {
            public_url: config.http.public_url.clone(),
            limits,
            operators: config.operators.clone(),
        };
        router = router.merge(gateway::router(exchange.clone(), settings));
    }
    if let Some(desk) = desk {
        let settings = federal::Settings {
            public_url: config.http.public_url.clone(),
            limits,
            message_bytes: config.limits.message_bytes,
            message_age: Duration::from_secs(config.federal.message_age_hours * 3600),
            ..federal::Settings::default()
        };
        router = router.merge(federal::router(desk, settings));
    }
    if roles.web {
        router = router.merge(web::router(exchange.clone()));
    }
    router
}
