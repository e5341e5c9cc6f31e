//! `kontingent demo`: the whole system at work on a synthetic region, over real HTTP.

pub(in crate::ops) mod cast;
pub(in crate::ops) mod delivery;
mod federal;
mod mend;
mod summary;

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::Result;

use crate::exchange::Exchange;
use crate::ops::demo::delivery::Courier;
use crate::ops::demo::federal::Federal;
use crate::ops::output::{say, say_json};
use crate::ops::simulate::Region;
use crate::ops::simulate::keys::Keys;

pub use summary::Addresses;

/// Learners of a region of size `region`.
const REGION_LEARNERS: u64 = 12_000;

/// Learners of a region of size `small`.
const SMALL_LEARNERS: u64 = 1_000;

/// How long a package waits for its predecessor on the stage of a demonstration: nobody wants to
/// watch for three days.
pub const GAP_WAIT_SECONDS: u64 = 1;

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
    /// Nothing stays up afterwards.
    pub once: bool,
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

    mend::refuse_a_gap_and_replay(stage, &courier, &region).await?;
    mend::hold_a_snapshot_and_replay(stage, &courier, &region).await?;

    say("5. Федеральный сегмент спрашивает о человеке и об изменениях по SOAP (СМЭВ 3).");
    let answers = Federal::new(stage, &keys)?.ask(&region).await?;

    let summary = summary::Summary::collect(stage, answers).await?;
    summary.print(begun.elapsed());
    if options.once {
        say("\nБез --once система остаётся работать, и на неё можно посмотреть.");
    } else {
        summary.print_addresses();
    }
    if options.json {
        say_json(&summary.report())?;
    }
    Ok(summary.is_good())
}
