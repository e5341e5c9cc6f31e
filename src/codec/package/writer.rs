//! Writing a package, not yet signed.

use std::io::{self, Write};

use chrono::SecondsFormat;

use crate::codec::package::XSI_NAMESPACE;
use crate::codec::xml::{escape_attribute, escape_text};
use crate::model::kind::Kind;
use crate::model::package::{Header, NAMESPACE};

/// Writes a package piece by piece, in constant memory. The header's counts are the caller's to
/// know beforehand; blocks come in the order of [`Kind::ALL`].
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    text: String,
    block: Option<Kind>,
}

/// Texts gathered before they are written out.
const BUFFER: usize = 64 << 10;

impl<W: Write> Writer<W> {
    /// Writes the root's start tag with this `Id`, the header, and opens `Data`.
    ///
    /// # Errors
    /// When writing fails.
    pub fn new(mut out: W, id: &str, header: &Header) -> io::Result<Self> {
        let mut text = String::with_capacity(BUFFER * 2);
        text.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Package xmlns=\"");
        text.push_str(NAMESPACE);
        text.push_str("\" xmlns:xsi=\"");
        text.push_str(XSI_NAMESPACE);
        text.push_str("\" Id=\"");
        escape_attribute(id, &mut text);
        text.push_str("\">\n");
        push_header(&mut text, header);
        text.push_str("<Data>\n");
        out.write_all(text.as_bytes())?;
        text.clear();
        Ok(Self { out, text, block: None })
    }

    /// Writes a record: element names and values in the order given, `None` for nil.
    /// [`EXTERNAL_ID`](crate::model::record::EXTERNAL_ID) is one of them.
    ///
    /// # Errors
    /// When writing fails.
    pub fn record<'a>(
        &mut self,
        kind: Kind,
        fields: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    ) -> io::Result<()> {
        if self.block != Some(kind) {
            self.close_block();
            self.tag("<", kind.block(), ">\n");
            self.block = Some(kind);
        }
        self.tag("<", kind.element(), ">");
        for (name, value) in fields {
            match value {
                Some(value) => {
                    self.tag("<", name, ">");
                    escape_text(value, &mut self.text);
                    self.tag("</", name, ">");
                }
                None => self.tag("<", name, " xsi:nil=\"true\"/>"),
            }
        }
        self.tag("</", kind.element(), ">\n");
        if self.text.len() > BUFFER {
            self.out.write_all(self.text.as_bytes())?;
            self.text.clear();
        }
        Ok(())
    }

    /// Closes the document and hands the sink back.
    ///
    /// # Errors
    /// When writing fails.
    pub fn finish(mut self) -> io::Result<W> {
        self.close_block();
        self.text.push_str("</Data>\n</Package>\n");
        self.out.write_all(self.text.as_bytes())?;
        Ok(self.out)
    }

    fn close_block(&mut self) {
        if let Some(kind) = self.block.take() {
            self.tag("</", kind.block(), ">\n");
        }
    }

    fn tag(&mut self, before: &str, name: &str, after: &str) {
        self.text.push_str(before);
        self.text.push_str(name);
        self.text.push_str(after);
    }
}

fn push_header(out: &mut String, header: &Header) {
    out.push_str("<Header>\n");
    let mut put = |name: &str, value: &str| {
        out.push('<');
        out.push_str(name);
        out.push('>');
        escape_text(value, out);
        out.push_str("</");
        out.push_str(name);
        out.push_str(">\n");
    };
    put("PackageId", &header.package_id.to_string());
    put("Supplier", &header.supplier);
    put("SchemaVersion", &header.schema_version);
    put("Type", &header.package_type);
    put("Mode", header.mode.as_str());
    put("Scope", &header.scope.to_text());
    for (name, value) in
        [("Sequence", header.sequence), ("PreviousSequence", header.previous_sequence)]
    {
        if let Some(value) = value {
            put(name, &value.to_string());
        }
    }
    put("SnapshotAt", &header.snapshot_at.to_rfc3339_opts(SecondsFormat::AutoSi, true));
    if let Some(year) = &header.school_year {
        put("SchoolYear", year);
    }
    push_lists(out, header);
}

fn push_lists(out: &mut String, header: &Header) {
    if !header.dictionaries.is_empty() {
        out.push_str("<Dictionaries>");
        for (name, version) in &header.dictionaries {
            out.push_str("<Dictionary name=\"");
            escape_attribute(name, out);
            out.push_str("\" version=\"");
            escape_attribute(version, out);
            out.push_str("\"/>");
        }
        out.push_str("</Dictionaries>\n");
    }
    out.push_str("<Counts>");
    for (kind, count) in &header.counts {
        out.push_str("<Count block=\"");
        out.push_str(kind.block());
        out.push_str("\">");
        out.push_str(&count.to_string());
        out.push_str("</Count>");
    }
    out.push_str("</Counts>\n");
    if header.test {
        out.push_str("<Test>true</Test>\n");
    }
    if let Some(correlation) = &header.correlation {
        out.push_str("<Correlation>");
        escape_text(correlation, out);
        out.push_str("</Correlation>\n");
    }
    out.push_str("</Header>\n");
}
