//! `signature explain`: each stage of checking one document, in Russian.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};

use super::input::{Input, in_russian};
use super::verify::Judge;
use crate::exchange::workshop::{Profile, Source};
use crate::ops::output::{plain, say};

/// Bytes of a stage that are shown; the rest goes to files.
const SHOWN: usize = 600;

/// Explains a document; says whether it is accepted. `stages` is a folder for the bytes of each
/// stage.
///
/// # Errors
/// A file that cannot be read or written.
pub fn explain(
    file: &Path,
    profile: &Profile,
    judge: &Judge,
    stages: Option<&Path>,
) -> Result<bool> {
    let workshop = judge.workshop()?;
    let input = Input::open(file)
        .map_err(|error| anyhow!("не читается {}: {}", file.display(), in_russian(&error)))?;
    let open = || input.reader();
    let told = workshop.explain(profile, Source { open: &open, tail: input.tail() });
    // What stands in a document must not command the terminal.
    let say = |line: String| say(plain(&line));
    say(file.display().to_string());
    for (number, stage) in told.stages.iter().enumerate() {
        let mark = if stage.refusal.is_some() { "НЕТ" } else { "да " };
        say(format!("[{mark}] {}. {}", number + 1, stage.title));
        stage.lines.iter().for_each(|line| say(format!("        {line}")));
        if let Some(octets) = &stage.octets {
            show(octets, number + 1, stages)?;
        }
        if let Some(refusal) = &stage.refusal {
            say(format!("        {}", profile.line(refusal)));
        }
    }
    match &told.refusal {
        None => say("ИТОГ: подпись принята".to_owned()),
        Some(refusal) => say(format!("ИТОГ: отказ, {}", profile.line(refusal))),
    }
    told.hints.iter().for_each(|hint| say(format!("Похоже: {hint}")));
    Ok(told.refusal.is_none())
}

/// Shows the beginning of a stage's bytes, and writes them all to the folder when there is one.
fn show(octets: &[u8], number: usize, folder: Option<&Path>) -> Result<()> {
    let text = String::from_utf8_lossy(&octets[..octets.len().min(SHOWN)]);
    let more = if octets.len() > SHOWN { " …" } else { "" };
    for line in text.lines() {
        say(plain(&format!("        | {line}")));
    }
    if !more.is_empty() {
        say(format!("        | … ещё {} байт", octets.len() - SHOWN));
    }
    if let Some(folder) = folder {
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("{number:02}.octets"));
        fs::write(&path, octets).with_context(|| path.display().to_string())?;
        say(format!("        записано в {}", path.display()));
    }
    Ok(())
}
