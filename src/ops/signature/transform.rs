//! `signature transform`: the exact octets that would be hashed.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result, anyhow};

use crate::codec::c14n::Sink;
use crate::codec::form::{Form, write_form};
use crate::codec::xml::Transcoder;
use crate::exchange::workshop::envelope;
use crate::ops::package::describe;

/// How far the document element is transformed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Exclusive canonicalisation.
    Canonical,
    /// The transform of SMEV after it.
    #[default]
    Smev,
}

/// A sink over a writer, which remembers what went wrong.
struct Output<W: Write> {
    writer: BufWriter<W>,
    result: io::Result<()>,
}

impl<W: Write> Sink for Output<W> {
    fn write(&mut self, bytes: &[u8]) {
        if self.result.is_ok() {
            self.result = self.writer.write_all(bytes);
        }
    }
}

/// Writes the document element of a file in the form of a stage.
///
/// # Errors
/// A file that cannot be read, or has no such form.
pub fn transform(file: &Path, stage: Stage, output: impl Write) -> Result<()> {
    let open = || File::open(file).with_context(|| format!("не читается {}", file.display()));
    let form = Form { smev: stage == Stage::Smev, ..Form::default() };
    let mut limits = envelope().limits;
    limits.comments = true;
    let mut output = Output { writer: BufWriter::new(output), result: Ok(()) };
    // Nothing is written of a document that turns out to have no such form.
    let refused = |refusal| anyhow!("{}: {}", file.display(), describe(&refusal));
    write_form(Transcoder::new(open()?), limits, &form, Nothing).map_err(refused)?;
    write_form(Transcoder::new(open()?), limits, &form, &mut output).map_err(refused)?;
    output.result?;
    output.writer.flush()?;
    Ok(())
}

/// A sink that keeps nothing.
struct Nothing;

impl Sink for Nothing {
    fn write(&mut self, _: &[u8]) {}
}
