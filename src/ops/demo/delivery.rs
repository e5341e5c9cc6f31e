//! Sends packages over HTTP, and waits until the workers are done with them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Client;

use crate::exchange::Exchange;
use crate::model::ids::PackageNo;
use crate::model::package::State;
use crate::ops::demo::Stage;
use crate::ops::simulate::Package;
use crate::ops::simulate::keys::Keys;
use crate::ops::simulate::write::signed;
use crate::storage::journal::{list, outbox};

/// How long processing may take without the number of waiting packages going down.
const PATIENCE: Duration = Duration::from_mins(2);

/// How often the journal is asked.
const PAUSE: Duration = Duration::from_millis(50);

/// Carries packages to the door.
pub(in crate::ops) struct Courier<'a> {
    client: Client,
    door: String,
    exchange: &'a Exchange,
    keys: &'a Keys,
}

impl<'a> Courier<'a> {
    pub(in crate::ops) fn new(stage: &'a Stage, keys: &'a Keys) -> Self {
        let door = format!("http://{}/api/v1/packages", stage.address);
        Self { client: Client::new(), door, exchange: &stage.exchange, keys }
    }

    /// Signs and sends packages one after the other; their numbers.
    pub(in crate::ops) async fn send(&self, packages: &[Package]) -> Result<Vec<PackageNo>> {
        let bar = progress(packages.len() as u64, "отправлено пакетов");
        let mut numbers = Vec::new();
        for package in packages {
            let signer = self.keys.supplier_signer(package.supplier)?;
            let (content, bytes) = signed(package, &signer)?;
            let id = content.header.package_id;
            let request = self.client.put(format!("{}/{id}", self.door));
            let request = request.header("content-type", "application/xml").body(bytes);
            let answer = request.send().await.context("шлюз не отвечает")?;
            if !answer.status().is_success() {
                bail!("пакет {} не принят: {}", package.name(), answer.text().await?);
            }
            let found = list::by_id(self.exchange.db(), id, None).await?;
            numbers.push(found.first().context("принятого пакета нет в журнале")?.no);
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(numbers)
    }

    /// Waits until no package is on its way.
    pub(in crate::ops) async fn wait_until_processed(&self) -> Result<()> {
        let all = self.on_their_way().await?;
        let bar = progress(all, "обработано пакетов");
        let (mut left, mut since) = (all, Instant::now());
        while left > 0 {
            tokio::time::sleep(PAUSE).await;
            let now = self.on_their_way().await?;
            if now != left {
                (left, since) = (now, Instant::now());
                bar.set_position(all.saturating_sub(left));
            }
            ensure!(since.elapsed() < PATIENCE, "обработка стоит: {left} пакетов не обработано");
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Waits until a package has come to this state.
    pub(in crate::ops) async fn wait_for(&self, package: PackageNo, state: State) -> Result<()> {
        let since = Instant::now();
        loop {
            let db = self.exchange.db();
            let found = list::by_no(db, package).await?.context("пакета нет в журнале")?;
            if found.state == state {
                return self.wait_until_processed().await;
            }
            ensure!(
                since.elapsed() < PATIENCE,
                "пакет № {package} должен был стать «{}», а он «{}»",
                state.title().to_lowercase(),
                found.state.title().to_lowercase()
            );
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn on_their_way(&self) -> Result<u64> {
        let db = self.exchange.db();
        let totals = list::totals(db).await?;
        let received = totals.iter().filter(|(state, _)| *state == State::Received);
        Ok(received.map(|(_, count)| count).sum::<u64>().max(outbox::backlog(db).await?))
    }
}

/// A bar on a terminal, nothing elsewhere.
fn progress(length: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template("   {bar:40} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    bar.with_message(what)
}
