//! The suppliers' doors: SOAP intake and REST.

mod openapi;
mod operator;
mod rest;
mod soap;
mod wsdl;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use openssl::sha::sha256;

use crate::codec::receipt::hex;
use crate::exchange::{Exchange, delivery};
use crate::http::guard::Peer;
use crate::http::limits::{Gate, Limits, Misses, PeerKey, Place};
use crate::model::ids::PackageId;
use crate::model::refusal::{Refusal, RefusalCode};
use crate::storage::db::DbError;
use crate::storage::supplier;

/// Deliveries of one peer examined at the same time: all, and those not small.
const DELIVERIES_PER_PEER: usize = 128;
const LARGE_DELIVERIES_PER_PEER: usize = 16;

/// Wrong names of packages one peer may try in a minute.
const MISSES_PER_MINUTE: u32 = 60;

/// What the doors are told by the configuration.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Address suppliers use, for the WSDL; by default what the request was sent to.
    pub public_url: Option<String>,
    /// Limits of connections and bodies.
    pub limits: Limits,
    /// Operators: name → lower-case hex SHA-256 of the token.
    pub operators: BTreeMap<String, String>,
}

/// What the handlers share.
struct Gateway {
    exchange: Exchange,
    settings: Settings,
    deliveries: Gate,
    large: Gate,
    misses: Misses<PeerKey>,
}

/// The routes of the doors: `/ws/intake` and `/api/v1/…`.
pub fn router(exchange: Exchange, settings: Settings) -> Router {
    let gateway = Arc::new(Gateway {
        exchange,
        settings,
        deliveries: Gate::new(DELIVERIES_PER_PEER),
        large: Gate::new(LARGE_DELIVERIES_PER_PEER),
        misses: Misses::new(MISSES_PER_MINUTE, Duration::from_mins(1)),
    });
    soap::routes().merge(rest::routes()).merge(operator::routes()).with_state(gateway)
}

impl Gateway {
    /// Gives the peer a place for one delivery.
    fn admit(&self, peer: &Peer) -> Result<Place, Refusal> {
        self.deliveries.enter(peer.key()).ok_or(RefusalCode::TooManyRequests.into())
    }

    /// Gives the peer a place for one large delivery, if it is one.
    fn admit_large(&self, peer: &Peer, small: bool) -> Result<Option<Place>, Refusal> {
        if small {
            return Ok(None);
        }
        let place = self.large.enter(peer.key());
        place.map(Some).ok_or(RefusalCode::TooManyRequests.into())
    }

    /// The latest receipt of a package, for whoever may know of it.
    async fn receipt(
        &self,
        peer: &Peer,
        supplier: &str,
        package: PackageId,
    ) -> Result<delivery::Receipt, Refusal> {
        self.may_ask(peer, supplier).await?;
        let found = self.exchange.receipt(Some(supplier), package).await;
        self.count_miss(peer, found)
    }

    /// The time stamp on the latest receipt, for whoever may know of it.
    async fn timestamp(
        &self,
        peer: &Peer,
        supplier: &str,
        package: PackageId,
    ) -> Result<Vec<u8>, Refusal> {
        self.may_ask(peer, supplier).await?;
        let found = self.exchange.timestamp(Some(supplier), package).await;
        self.count_miss(peer, found)
    }

    /// Where a package is, for whoever may know of it.
    async fn status(
        &self,
        peer: &Peer,
        supplier: &str,
        package: PackageId,
    ) -> Result<delivery::Status, Refusal> {
        self.may_ask(peer, supplier).await?;
        let found = self.exchange.status(Some(supplier), package).await;
        self.count_miss(peer, found)
    }

    /// Whoever names both the supplier and its package may ask (docs/adr/0003); but a client
    /// certificate must be the supplier's own, and nobody may search.
    async fn may_ask(&self, peer: &Peer, supplier: &str) -> Result<(), Refusal> {
        if !self.misses.may_try(&peer.key()) {
            return Err(RefusalCode::TooManyRequests.into());
        }
        let Some(der) = &peer.certificate else { return Ok(()) };
        let db = self.exchange.db();
        let own = match supplier::by_mnemonic(db, supplier).await.map_err(|error| store(&error))? {
            None => Vec::new(),
            Some(found) => {
                supplier::certificates(db, found.id).await.map_err(|error| store(&error))?
            }
        };
        let shown = hex(&sha256(der));
        if own.iter().any(|certificate| certificate.sha256 == shown) {
            return Ok(());
        }
        self.misses.count(peer.key());
        Err(RefusalCode::NotFound.into())
    }

    fn count_miss<T>(&self, peer: &Peer, found: Result<T, Refusal>) -> Result<T, Refusal> {
        if matches!(&found, Err(refusal) if refusal.code == RefusalCode::NotFound) {
            self.misses.count(peer.key());
        }
        found
    }
}

fn store(error: &DbError) -> Refusal {
    tracing::error!(error = error as &dyn std::error::Error, "the store did not answer");
    RefusalCode::StoreUnavailable.into()
}
