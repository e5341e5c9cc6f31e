//! `signature transform`: the exact octets that would be hashed.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::{Result, anyhow, bail};

use super::input::{Input, in_russian};
use crate::codec::c14n::{Method, Sink};
use crate::codec::form::{Element, Form, write_chosen};
use crate::codec::xml::Transcoder;
use crate::exchange::workshop::envelope;
use crate::ops::package::describe;

/// The form that options name.
///
/// # Errors
/// Prefixes with another canonicalisation than the exclusive one.
pub fn form(smev: bool, method: &str, prefixes: Option<&str>) -> Result<Form> {
    let method = match (method, prefixes) {
        ("inclusive" | "inclusive11", Some(_)) => {
            bail!("--prefixes бывает только с exclusive c14n")
        }
        ("inclusive", None) => Method::Inclusive,
        ("inclusive11", None) => Method::Inclusive11,
        (_, list) => {
            let list = list.unwrap_or_default().split_ascii_whitespace();
            let list = list.map(|prefix| if prefix == "#default" { "" } else { prefix });
            Method::Exclusive(list.map(str::to_owned).collect())
        }
    };
    Ok(Form { method, smev })
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

/// Writes an element of a file in a form.
///
/// # Errors
/// A file that cannot be read, or has no such form.
pub fn transform(file: &Path, form: &Form, chosen: Element<'_>, output: impl Write) -> Result<()> {
    let unread = |error| anyhow!("не читается {}: {}", file.display(), in_russian(&error));
    let input = Input::open(file).map_err(unread)?;
    let open = || input.reader().map_err(unread);
    let mut limits = envelope().limits;
    limits.comments = true;
    let mut output = Output { writer: BufWriter::new(output), result: Ok(()) };
    // Nothing is written of a document that turns out to have no such form.
    let refused = |refusal| anyhow!("{}: {}", file.display(), describe(&refusal));
    write_chosen(Transcoder::new(open()?), limits, form, chosen, Nothing).map_err(refused)?;
    write_chosen(Transcoder::new(open()?), limits, form, chosen, &mut output).map_err(refused)?;
    output.result?;
    output.writer.flush()?;
    Ok(())
}

/// A sink that keeps nothing.
struct Nothing;

impl Sink for Nothing {
    fn write(&mut self, _: &[u8]) {}
}
