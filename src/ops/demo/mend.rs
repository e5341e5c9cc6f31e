//! What goes wrong, and how an operator mends it: packages that are rejected or held, and replayed.

use anyhow::{Context, Result};

use crate::exchange::replay::Request;
use crate::model::ids::PackageNo;
use crate::model::package::State;
use crate::ops::demo::delivery::Courier;
use crate::ops::demo::{DAYS, Stage};
use crate::ops::output::say;
use crate::ops::simulate::{Package, Region};

/// A package of the diary is lost on the way. The next one is rejected after waiting for it in
/// vain, and is replayed when the lost one has been sent again.
pub(super) async fn refuse_a_gap_and_replay(
    stage: &Stage,
    courier: &Courier<'_>,
    region: &Region,
) -> Result<()> {
    say("3. Пакет с оценками потерялся в пути: следующий за ним напрасно ждёт его и отклоняется.");
    let [lost, following] = region.lost_and_following_marks(DAYS);
    let number = send_one(courier, following).await?;
    courier.wait_for(number, State::Rejected).await?;
    say("   Оператор попросил дневник отправить потерянный пакет и повторил отклонённый.");
    let found = send_one(courier, lost).await?;
    courier.wait_for(found, State::Registered).await?;
    let reason = "Дневник отправил потерянный пакет";
    replay(stage, number, reason, false).await?;
    courier.wait_for(number, State::Registered).await
}

/// A kindergarten sends a snapshot without half of its groups: it is held until an operator
/// approves it.
pub(super) async fn hold_a_snapshot_and_replay(
    stage: &Stage,
    courier: &Courier<'_>,
    region: &Region,
) -> Result<()> {
    say("4. Садик присылает полный пакет, в котором нет половины групп: система его не применяет.");
    let held = send_one(courier, region.halved_kindergarten()).await?;
    courier.wait_for(held, State::Waiting).await?;
    say("   Оператор убедился, что группы действительно закрыты, и запустил пакет повторно.");
    let reason = "Поставщик подтвердил закрытие групп (звонок заведующей)";
    replay(stage, held, reason, true).await?;
    courier.wait_for(held, State::Registered).await
}

async fn send_one(courier: &Courier<'_>, package: Package) -> Result<PackageNo> {
    let sent = courier.send(&[package]).await?;
    sent.first().copied().context("пакет не отправлен")
}

async fn replay(stage: &Stage, package: PackageNo, reason: &str, approved: bool) -> Result<()> {
    let actor = "operator-demo".to_owned();
    let request = Request { reason: reason.to_owned(), actor, approved };
    stage.exchange.replay(package, &request).await?;
    Ok(())
}
