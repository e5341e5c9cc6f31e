//! The records of a document, judged, in batches: read ahead on a thread of its own while the
//! batch before is being applied.

use std::io::Read;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::codec::package::Reader;
use crate::exchange::apply::Batch;
use crate::exchange::evidence::{self, Evidence};
use crate::exchange::process::verdict::Trouble;
use crate::model::record::RawRecord;
use crate::model::refusal::Refusal;
use crate::normalise::draft::Rules;
use crate::storage::content::{Content, FrameReader};

/// Batches read ahead.
const AHEAD: usize = 1;

/// What came of reading: a refusal is the document's fault and for ever.
pub(super) type Judged<T> = Result<Result<T, Refusal>, Trouble>;

/// Judged batches to come.
pub(super) enum Batches {
    /// A small package: read when asked for.
    Here(Option<Box<Source>>),
    /// A large one: read ahead elsewhere.
    Ahead(mpsc::Receiver<Result<Batch, Refusal>>),
}

/// A document being read.
pub(super) struct Source {
    reader: Reader<FrameReader>,
    rules: Arc<Rules>,
    batch: usize,
}

impl Batches {
    /// Begins after the first `skip` records.
    pub(super) fn begin(
        content: &Content,
        rules: Arc<Rules>,
        batch: usize,
        (skip, records): (u64, u64),
    ) -> Result<Self, Trouble> {
        let reader = Reader::new(content.frames.reader()?);
        let mut source = Source { reader, rules, batch };
        if records <= batch as u64 && skip == 0 {
            return Ok(Self::Here(Some(Box::new(source))));
        }
        let (sender, receiver) = mpsc::channel(AHEAD);
        tokio::task::spawn_blocking(move || {
            let mut left = skip;
            while left > 0 {
                match source.reader.next_record() {
                    Ok(Some(_)) => left -= 1,
                    Ok(None) => return,
                    Err(refusal) => return drop(sender.blocking_send(Err(refusal))),
                }
            }
            while let Some(batch) = source.next().transpose() {
                let failed = batch.is_err();
                if sender.blocking_send(batch).is_err() || failed {
                    return;
                }
            }
        });
        Ok(Self::Ahead(receiver))
    }

    /// The next batch; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Batch>, Refusal> {
        match self {
            Self::Here(source) => match source.take() {
                Some(mut source) => source.next(),
                None => Ok(None),
            },
            Self::Ahead(receiver) => receiver.recv().await.transpose(),
        }
    }
}

impl Source {
    fn next(&mut self) -> Result<Option<Batch>, Refusal> {
        let mut records: Vec<RawRecord> = Vec::with_capacity(self.batch.min(64));
        while records.len() < self.batch
            && let Some(record) = self.reader.next_record()?
        {
            records.push(record);
        }
        // An end that was not read to is no end: the counts are compared there.
        if records.is_empty() { Ok(None) } else { Ok(Some(Batch::judge(&records, &self.rules))) }
    }
}

/// The first pass over packages that need one.
pub(super) async fn gather(content: &Content, rules: &Arc<Rules>) -> Judged<Evidence> {
    let (source, rules) = (content.frames.reader()?, Arc::clone(rules));
    let pass = tokio::task::spawn_blocking(move || collect(source, &rules));
    pass.await.map_err(|error| Trouble::Panic(error.to_string()))
}

fn collect(source: impl Read, rules: &Rules) -> Result<Evidence, Refusal> {
    evidence::collect(&mut Reader::new(source), rules)
}
