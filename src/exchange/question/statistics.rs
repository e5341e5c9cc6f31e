//! Counts at once, counts to be built, and what was built.

use uuid::Uuid;

use crate::exchange::question::{Asker, QuestionError, random_id};
use crate::model::federal::statistics::{Built, BuiltPage, StatisticsQuery, Table};
use crate::model::federal::transfer::Denial;
use crate::model::federal::{Answer, Fetch};
use crate::normalise::suppression;
use crate::storage::db::{DbError, Tx};
use crate::storage::federal::job::{self, JobState};
use crate::storage::federal::statistics;

/// Most jobs of one system that wait.
const WAITING: usize = 20;

/// Counts, and leaves out what might let somebody be recognised.
///
/// # Errors
/// Any [`DbError`].
pub(in crate::exchange) async fn count(
    tx: &mut Tx,
    query: &StatisticsQuery,
) -> Result<Table, DbError> {
    let mut table = statistics::table(tx, query).await?;
    suppression::suppress(&mut table);
    Ok(table)
}

pub(super) async fn at_once(tx: &mut Tx, query: &StatisticsQuery) -> Result<Answer, DbError> {
    Ok(Answer::Statistics { query: query.clone(), table: count(tx, query).await? })
}

/// Orders a job; the same order again while the first waits finds that one.
pub(super) async fn order(
    tx: &mut Tx,
    asker: Asker<'_>,
    query: &StatisticsQuery,
) -> Result<Result<Uuid, Denial>, QuestionError> {
    let query = serde_json::to_string(query).map_err(QuestionError::Damaged)?;
    let waiting = job::waiting(tx, asker.system).await?;
    if let Some((job, _)) = waiting.iter().find(|(_, waits)| *waits == query) {
        return Ok(Ok(*job));
    }
    if waiting.len() >= WAITING {
        return Ok(Err(Denial::TooManyJobs));
    }
    let id = random_id()?;
    job::order(tx, id, asker.system, &query, asker.now).await?;
    Ok(Ok(id))
}

pub(super) async fn fetch(
    tx: &mut Tx,
    asker: Asker<'_>,
    wanted: Fetch,
) -> Result<Built, QuestionError> {
    let Some(job) = job::find(tx, asker.system, wanted.job).await? else {
        return Ok(Built::Denied(Denial::UnknownJob));
    };
    let built_at = match (job.state, job.built_at) {
        (JobState::Ordered, _) => {
            return Ok(Built::Process { job: job.id, asked_at: job.ordered_at });
        }
        (JobState::Built, Some(built_at)) => built_at,
        (JobState::Forgotten, _) => return Ok(Built::Denied(Denial::JobForgotten)),
        (JobState::Failed | JobState::Built, _) => return Ok(Built::Denied(Denial::JobFailed)),
    };
    let Some(page) = job::page(tx, job.id, wanted.page).await? else {
        return Ok(Built::Denied(Denial::NoPage));
    };
    let content: BuiltPage = serde_json::from_slice(&page).map_err(QuestionError::Damaged)?;
    let query = serde_json::from_str(&job.query).map_err(QuestionError::Damaged)?;
    let (page, pages) = (wanted.page, job.pages);
    Ok(Built::Result { job: job.id, built_at, query, page, pages, content })
}
