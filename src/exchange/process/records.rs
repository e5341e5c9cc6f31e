//! The records of a document, judged, in batches: those of a small package all at once, those of
//! a large one read ahead on a thread of its own while the batch before is being applied.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::codec::package::Reader;
use crate::exchange::apply::Batch;
use crate::exchange::evidence::{self, Evidence, Gatherer};
use crate::exchange::process::verdict::Trouble;
use crate::model::package::Header;
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
    /// A small package: all are here.
    Here(VecDeque<Batch>),
    /// A large one: read ahead elsewhere.
    Ahead(mpsc::Receiver<Result<Batch, Refusal>>),
}

/// A document being read.
struct Source {
    reader: Reader<FrameReader>,
    rules: Arc<Rules>,
    batch: usize,
}

impl Batches {
    /// Begins after the first `skip` records, on a thread of its own.
    pub(super) fn begin(
        content: &Content,
        rules: Arc<Rules>,
        batch: usize,
        skip: u64,
    ) -> Result<Self, Trouble> {
        let reader = Reader::new(content.frames.reader()?);
        let mut source = Source { reader, rules, batch };
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
            Self::Here(batches) => Ok(batches.pop_front()),
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
        Ok((!records.is_empty()).then(|| Batch::judge(&records, &self.rules)))
    }
}

/// Judges all records of a small package at once, and gathers what they say on the way.
pub(super) fn judge_whole(
    content: &Content,
    header: &Header,
    rules: &Arc<Rules>,
    batch: usize,
) -> Judged<(Evidence, Batches)> {
    let reader = Reader::new(content.frames.reader()?);
    let mut source = Source { reader, rules: Arc::clone(rules), batch };
    let mut gatherer = Gatherer::new(header);
    let mut batches = VecDeque::new();
    loop {
        match source.next() {
            Ok(Some(batch)) => {
                batch.drafts().iter().for_each(|draft| gatherer.note(draft));
                batches.push_back(batch);
            }
            Ok(None) => return Ok(Ok((gatherer.finish(), Batches::Here(batches)))),
            Err(refusal) => return Ok(Err(refusal)),
        }
    }
}

/// The first pass over large packages that need one.
pub(super) async fn gather(content: &Content, rules: &Arc<Rules>) -> Judged<Evidence> {
    let (source, rules) = (content.frames.reader()?, Arc::clone(rules));
    let pass = tokio::task::spawn_blocking(move || collect(source, &rules));
    pass.await.map_err(|error| Trouble::Panic(error.to_string()))
}

fn collect(source: impl Read, rules: &Rules) -> Result<Evidence, Refusal> {
    evidence::collect(&mut Reader::new(source), rules)
}
