//! `kontingent demo`: the whole system at work on a synthetic region, over real HTTP.

mod cast;
mod delivery;
mod federal;
mod summary;

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::exchange::Exchange;
use crate::exchange::replay::Request;
use crate::model::package::State;
use crate::ops::demo::delivery::Courier;
use crate::ops::demo::federal::Federal;
use crate::ops::output::{say, say_json};
use crate::ops::simulate::Region;
use crate::ops::simulate::keys::Keys;
use crate::storage::journal::list;

pub use summary::Addresses;

/// Learners of a region of size `region`.
const REGION_LEARNERS: u64 = 12_000;

/// Learners of a region of size `small`.
const SMALL_LEARNERS: u64 = 1_000;

/// School days with marks.
const DAYS: u32 = 3;

/// The running service that the demonstration plays on.
pub struct Stage {
    /// Address of the doors and pages.
    pub address: SocketAddr,
    /// Address of health and metrics.
    pub health: SocketAddr,
    /// The exchange behind the doors, for what operators do.
    pub exchange: Exchange,
}

/// What to show.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Many schools rather than a few.
    pub large: bool,
    /// One JSON object as the last line.
    pub json: bool,
}

/// Plays the demonstration and prints its summary; says whether all went as it should.
///
/// # Errors
/// What went wrong, in Russian.
pub async fn run(stage: &Stage, options: Options) -> Result<bool> {
    let begun = Instant::now();
    let clock = stage.exchange.clock();
    // Another region every time, so that the demonstration can be repeated on one database.
    let seed = clock.now().timestamp().unsigned_abs();
    let region = Region::new(seed, if options.large { REGION_LEARNERS } else { SMALL_LEARNERS });
    say(format!(
        "1. Создаём регион: {} учащихся, {} поставщика данных, у каждого свой ключ подписи.",
        region.learners, 3
    ));
    let keys = Keys::make(clock.now())?;
    cast::register(&stage.exchange, &keys).await?;

    say("2. Поставщики подписывают пакеты и отправляют их по HTTP.");
    let courier = Courier::new(stage, &keys);
    courier.send(&region.packages(DAYS)).await?;
    courier.wait_until_processed().await?;

    say("3. Садик присылает полный пакет, в котором нет половины групп: система его не применяет.");
    let held = courier.send(&[region.halved_kindergarten()]).await?;
    let held = *held.first().context("пакет не отправлен")?;
    courier.wait_until_processed().await?;
    let package = list::by_no(stage.exchange.db(), held).await?.context("пакет не найден")?;
    ensure!(package.state == State::Waiting, "пакет № {held} должен был ждать решения оператора");
    say("   Оператор убедился, что группы действительно закрыты, и запустил пакет повторно.");
    let request = Request {
        reason: "Поставщик подтвердил закрытие групп (звонок заведующей)".to_owned(),
        actor: "operator-demo".to_owned(),
        approved: true,
    };
    stage.exchange.replay(held, &request).await?;
    courier.wait_until_processed().await?;

    say("4. Федеральный сегмент спрашивает о человеке и об изменениях по SOAP (СМЭВ 3).");
    let answers = Federal::new(stage, &keys)?.ask(&region).await?;

    let summary = summary::Summary::collect(stage, 1, answers).await?;
    summary.print(begun.elapsed());
    if options.json {
        say_json(&summary.report())?;
    }
    Ok(summary.is_good())
}
