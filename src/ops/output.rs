//! What commands print on standard output.

use serde::Serialize;

/// Prints one line.
#[expect(clippy::print_stdout, reason = "a command's answer goes to standard output")]
pub fn say(line: impl AsRef<str>) {
    println!("{}", line.as_ref());
}

/// Prints one JSON object on one line.
///
/// # Errors
/// When the value cannot be written as JSON.
pub fn say_json(value: &impl Serialize) -> serde_json::Result<()> {
    say(serde_json::to_string(value)?);
    Ok(())
}
