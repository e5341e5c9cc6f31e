//! Reading the records of a package, one after the other.

use std::io::Read;

use crate::codec::package::{Outline, RECORD_BYTES, Step, XSI_NAMESPACE};
use crate::codec::xml::{self, Event, Limits, Start, Transcoder};
use crate::model::kind::Kind;
use crate::model::package::{Header, NAMESPACE};
use crate::model::record::{EXTERNAL_ID, RawField, RawRecord, RawValue};
use crate::model::refusal::{Refusal, RefusalCode};

/// Reads a package in constant memory: header, then records. The signature is passed over:
/// whoever reads has verified it.
#[derive(Debug)]
pub struct Reader<R> {
    xml: xml::Reader<Transcoder<R>>,
    outline: Outline,
    /// Records begun.
    number: u64,
    /// A record whose start tag has been read.
    begun: Option<Kind>,
    /// That start tag has attributes, which records do not have.
    attributes: bool,
    ended: bool,
}

impl<R: Read> Reader<R> {
    /// Reads a package from its first byte.
    pub fn new(source: R) -> Self {
        Self {
            xml: xml::Reader::new(Transcoder::new(source), Limits::default()),
            outline: Outline::new(),
            number: 0,
            begun: None,
            attributes: false,
            ended: false,
        }
    }

    /// The header.
    ///
    /// # Errors
    /// What is wrong with the document up to there.
    pub fn header(&mut self) -> Result<&Header, Refusal> {
        while self.outline.header().is_none() && !self.ended {
            self.step()?;
        }
        self.outline.header().ok_or_else(|| Refusal::new(RefusalCode::PackageHeader))
    }

    /// The next record; `None` when the document has ended and its counts agree.
    ///
    /// # Errors
    /// What is wrong with the document as a whole; what is wrong with a record stands in it.
    pub fn next_record(&mut self) -> Result<Option<RawRecord>, Refusal> {
        while self.begun.is_none() {
            if self.ended {
                return Ok(None);
            }
            self.step()?;
        }
        self.record().map(Some)
    }

    /// Takes one event outside of records.
    fn step(&mut self) -> Result<(), Refusal> {
        let (event, at) = self.xml.step()?;
        match self.outline.event(&event).map_err(|refusal| refusal.at(at.place()))? {
            Step::Record(kind) => {
                self.begun = Some(kind);
                self.attributes =
                    matches!(event, Event::Start(start) if start.attributes().len() > 0);
            }
            Step::End => self.ended = true,
            _ => {}
        }
        Ok(())
    }

    /// Reads the record whose start tag was the last event.
    fn record(&mut self) -> Result<RawRecord, Refusal> {
        let kind = self.begun.take().ok_or_else(|| Refusal::new(RefusalCode::PackageBlock))?;
        self.number += 1;
        let line = self.xml.position().line;
        let fields = Vec::with_capacity(16);
        let mut record = RawRecord { kind, number: self.number, line, fields };
        if self.attributes {
            malform(&mut record);
        }
        let mut bytes = 0;
        let mut field: Option<Open> = None;
        loop {
            let (event, at) = self.xml.step()?;
            let step = self.outline.event(&event).map_err(|refusal| refusal.at(at.place()))?;
            if step == Step::RecordEnd {
                return Ok(record);
            }
            match event {
                Event::Start(start) => match &mut field {
                    None => field = Some(Open::new(start)),
                    Some(open) => open.malformed = true,
                },
                Event::Text(text) => {
                    bytes += text.len();
                    take_text(text, &mut field, &mut record, bytes);
                }
                Event::End(end) => {
                    if end.depth() == 5
                        && let Some(open) = field.take()
                    {
                        bytes += open.name.len();
                        record.fields.push(open.close());
                    }
                }
                Event::Instruction(_) => return Err(Refusal::new(RefusalCode::XmlPi)),
                Event::Eof => return Err(Refusal::new(RefusalCode::XmlMalformed)),
            }
            if bytes > RECORD_BYTES {
                shrink(&mut record);
            }
        }
    }
}

/// A field whose end tag has not come yet.
struct Open {
    name: String,
    line: u64,
    text: String,
    nil: bool,
    malformed: bool,
}

impl Open {
    fn new(start: Start<'_>) -> Self {
        let (mut nil, mut malformed) = (false, start.namespace() != NAMESPACE);
        for attribute in start.attributes() {
            match (attribute.namespace, attribute.local, attribute.value) {
                (XSI_NAMESPACE, "nil", "true" | "1") => nil = true,
                (XSI_NAMESPACE, "nil", "false" | "0")
                | (XSI_NAMESPACE, "schemaLocation" | "noNamespaceSchemaLocation", _) => {}
                _ => malformed = true,
            }
        }
        Self {
            name: start.local().to_owned(),
            line: start.line(),
            text: String::new(),
            nil,
            malformed,
        }
    }

    fn close(self) -> RawField {
        let value = match self {
            Self { malformed: true, .. } => RawValue::Malformed,
            Self { nil: true, text, .. } if text.is_empty() => RawValue::Nil,
            Self { nil: true, .. } => RawValue::Malformed,
            Self { text, .. } => RawValue::Text(text),
        };
        RawField { name: self.name, line: self.line, value }
    }
}

fn take_text(text: &str, field: &mut Option<Open>, record: &mut RawRecord, bytes: usize) {
    match field {
        Some(open) if bytes <= RECORD_BYTES => open.text.push_str(text),
        Some(_) => {}
        None if text.bytes().all(|byte| byte.is_ascii_whitespace()) => {}
        None => malform(record),
    }
}

/// Notes, once, that the record holds what no field is: text or attributes of its own.
fn malform(record: &mut RawRecord) {
    if !record.fields.iter().any(|field| field.name.is_empty()) {
        let line = record.line;
        let value = RawValue::Malformed;
        record.fields.push(RawField { name: String::new(), line, value });
    }
}

/// Lets go of what a record that is too large holds; its id stays if it came early.
fn shrink(record: &mut RawRecord) {
    record.fields.retain(|field| field.name == EXTERNAL_ID && is_short(&field.value));
    record.fields.truncate(1);
    let name = record.kind.element().to_owned();
    record.fields.push(RawField { name, line: record.line, value: RawValue::Oversize });
}

fn is_short(value: &RawValue) -> bool {
    matches!(value, RawValue::Text(text) if text.len() <= 1000)
}
