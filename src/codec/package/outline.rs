//! The structure of a package, judged event by event: root, header, blocks in their order,
//! record elements, counts. Fields of records are the caller's.

use crate::codec::package::header::Draft;
use crate::codec::package::{SCHEMA_VERSION, SIGNATURE_NAMESPACE};
use crate::codec::xml::{Event, Start};
use crate::model::kind::Kind;
use crate::model::package::{Header, NAMESPACE};
use crate::model::refusal::{Refusal, RefusalCode};

/// What an event meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Part of the structure; nothing to do.
    Structure,
    /// The header has just ended.
    Header,
    /// A record begins.
    Record(Kind),
    /// Inside a record.
    Inside,
    /// A record has just ended.
    RecordEnd,
    /// Inside the signature.
    Signature,
    /// The document has ended and is complete.
    End,
}

/// Where the outline is among the children of the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Start,
    Header,
    AfterHeader,
    Data,
    AfterData,
    Signature,
}

/// Follows the events of one document.
#[derive(Debug)]
pub struct Outline {
    part: Part,
    draft: Draft,
    text: String,
    header: Option<Header>,
    block: Option<Kind>,
    seen: [bool; Kind::ALL.len()],
    counts: [u64; Kind::ALL.len()],
    depth: usize,
}

impl Default for Outline {
    fn default() -> Self {
        Self::new()
    }
}

impl Outline {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self {
            part: Part::Start,
            draft: Draft::default(),
            text: String::new(),
            header: None,
            block: None,
            seen: [false; Kind::ALL.len()],
            counts: [0; Kind::ALL.len()],
            depth: 0,
        }
    }

    /// The header, once it has ended.
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// Gives the header away.
    pub fn into_header(self) -> Option<Header> {
        self.header
    }

    /// Records begun so far, by place in [`Kind::ALL`].
    pub fn counts(&self) -> &[u64; Kind::ALL.len()] {
        &self.counts
    }

    /// Takes the next event.
    ///
    /// # Errors
    /// `PACKAGE_ROOT`, `SCHEMA_VERSION`, `PACKAGE_HEADER`, `PACKAGE_BLOCK`, `COUNT_MISMATCH`,
    /// without the place.
    pub fn event(&mut self, event: &Event<'_>) -> Result<Step, Refusal> {
        match event {
            Event::Start(start) => {
                self.depth = start.depth();
                self.start(*start)
            }
            Event::Text(text) => self.text(text),
            Event::End(end) => {
                self.depth = end.depth() - 1;
                self.end()
            }
            Event::Instruction(_) => Err(RefusalCode::XmlPi.into()),
            Event::Eof => self.finish(),
        }
    }

    fn start(&mut self, start: Start<'_>) -> Result<Step, Refusal> {
        match (self.part, start.depth()) {
            (Part::Signature, _) => return Ok(Step::Signature),
            (Part::Data, depth) if depth > 4 => return Ok(Step::Inside),
            (Part::Start, 1) => return root(start).map(|()| Step::Structure),
            _ => {}
        }
        if start.depth() == 2 {
            return self.part_of_root(start);
        }
        if start.namespace() != NAMESPACE {
            let code = match self.part {
                Part::Header => RefusalCode::PackageHeader,
                _ => RefusalCode::PackageBlock,
            };
            return Err(unexpected(code, start));
        }
        match (self.part, start.depth()) {
            (Part::Header, 3) => {
                self.text.clear();
                self.draft.begin(start.local())?;
                Ok(Step::Structure)
            }
            (Part::Header, 4) => {
                self.text.clear();
                self.draft.begin_item(start.local(), |name| start.attribute("", name))?;
                Ok(Step::Structure)
            }
            (Part::Data, 3) => self.block(start),
            (Part::Data, 4) => self.record(start),
            (Part::Header, _) => Err(unexpected(RefusalCode::PackageHeader, start)),
            _ => Err(unexpected(RefusalCode::PackageBlock, start)),
        }
    }

    fn part_of_root(&mut self, start: Start<'_>) -> Result<Step, Refusal> {
        self.part = match self.part {
            Part::Start if start.is(NAMESPACE, "Header") => Part::Header,
            Part::AfterHeader if start.is(NAMESPACE, "Data") => Part::Data,
            Part::AfterData if start.is(SIGNATURE_NAMESPACE, "Signature") => Part::Signature,
            Part::Start => {
                let refusal = Refusal::new(RefusalCode::PackageHeader);
                return Err(refusal.detail("первым в пакете стоит Header"));
            }
            _ => return Err(unexpected(RefusalCode::PackageBlock, start)),
        };
        Ok(if self.part == Part::Signature { Step::Signature } else { Step::Structure })
    }

    fn block(&mut self, start: Start<'_>) -> Result<Step, Refusal> {
        let Some(kind) = Kind::of_block(start.local()) else {
            return Err(unexpected(RefusalCode::PackageBlock, start));
        };
        if self.seen[kind.index()..].contains(&true) {
            return Err(unexpected(RefusalCode::PackageBlock, start));
        }
        self.seen[kind.index()] = true;
        self.block = Some(kind);
        Ok(Step::Structure)
    }

    fn record(&mut self, start: Start<'_>) -> Result<Step, Refusal> {
        match self.block {
            Some(kind) if kind.element() == start.local() => {
                self.counts[kind.index()] += 1;
                Ok(Step::Record(kind))
            }
            _ => Err(unexpected(RefusalCode::PackageBlock, start)),
        }
    }

    fn text(&mut self, text: &str) -> Result<Step, Refusal> {
        match (self.part, self.depth) {
            (Part::Signature, _) => return Ok(Step::Signature),
            (Part::Data, depth) if depth >= 4 => return Ok(Step::Inside),
            (Part::Header, depth) if depth >= 3 => {
                self.text.push_str(text);
                return Ok(Step::Structure);
            }
            _ => {}
        }
        if text.bytes().all(|byte| byte.is_ascii_whitespace()) {
            return Ok(Step::Structure);
        }
        let code = match self.part {
            Part::Start => RefusalCode::PackageRoot,
            Part::Header => RefusalCode::PackageHeader,
            _ => RefusalCode::PackageBlock,
        };
        Err(Refusal::new(code).detail("текст между элементами"))
    }

    /// After an end tag; `depth` is that of the parent.
    fn end(&mut self) -> Result<Step, Refusal> {
        match (self.part, self.depth) {
            (Part::Signature, 1) => self.part = Part::AfterData,
            (Part::Signature, _) => return Ok(Step::Signature),
            (Part::Header, 3) => self.draft.end_item(&std::mem::take(&mut self.text))?,
            (Part::Header, 2) => self.draft.end(&std::mem::take(&mut self.text))?,
            (Part::Header, 1) => {
                self.part = Part::AfterHeader;
                self.header = Some(self.draft.finish()?);
                return Ok(Step::Header);
            }
            (Part::Data, 3) => return Ok(Step::RecordEnd),
            (Part::Data, 2) => self.block = None,
            (Part::Data, 1) => {
                self.part = Part::AfterData;
                self.compare()?;
            }
            (Part::Data, _) => return Ok(Step::Inside),
            _ => {}
        }
        Ok(Step::Structure)
    }

    fn compare(&self) -> Result<(), Refusal> {
        let declared = self.header.as_ref().map(|header| header.counts.as_slice());
        let declared = declared.unwrap_or_default();
        for kind in Kind::ALL {
            let expected = declared.iter().find(|(block, _)| *block == kind);
            let expected = expected.map_or(0, |(_, count)| *count);
            let found = self.counts[kind.index()];
            if expected != found {
                let block = kind.block();
                let detail = format!("{block}: в заголовке {expected}, в пакете {found}");
                return Err(Refusal::new(RefusalCode::CountMismatch).detail(detail));
            }
        }
        Ok(())
    }

    fn finish(&self) -> Result<Step, Refusal> {
        match self.part {
            Part::AfterData => Ok(Step::End),
            Part::AfterHeader => {
                Err(Refusal::new(RefusalCode::PackageBlock).detail("в пакете нет Data"))
            }
            _ => Err(Refusal::new(RefusalCode::PackageHeader).detail("в пакете нет Header")),
        }
    }
}

fn root(start: Start<'_>) -> Result<(), Refusal> {
    if start.is(NAMESPACE, "Package") {
        return match start.attribute("", "Id") {
            Some(id) if !id.is_empty() => Ok(()),
            _ => Err(Refusal::new(RefusalCode::PackageRoot).detail("нет атрибута Id")),
        };
    }
    let family = NAMESPACE.trim_end_matches(SCHEMA_VERSION);
    if start.local() == "Package" && start.namespace().starts_with(family) {
        return Err(Refusal::new(RefusalCode::SchemaVersion));
    }
    Err(Refusal::new(RefusalCode::PackageRoot))
}

fn unexpected(code: RefusalCode, start: Start<'_>) -> Refusal {
    let name: String = start.local().chars().take(100).collect();
    Refusal::new(code).detail(name)
}
