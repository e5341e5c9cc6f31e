//! What commands print on standard output.

use std::io::{self, ErrorKind, Write};

use chrono::{DateTime, Utc};
use serde::Serialize;

/// Columns wider than this are not padded further, so that one long value does not spread a table.
const MAX_PADDING: usize = 64;

/// Prints one line. When nobody reads any more (`kontingent … | head`), the command ends quietly; when
/// standard output cannot be written for another reason, such as a full disk, it ends with 1.
pub fn say(line: impl AsRef<str>) {
    match writeln!(io::stdout(), "{}", line.as_ref()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            eprintln!("Стандартный вывод не принимает: {error}");
            std::process::exit(1)
        }
    }
}

/// Prints one JSON object on one line.
///
/// # Errors
/// When the value cannot be written as JSON.
pub fn say_json(value: &impl Serialize) -> serde_json::Result<()> {
    say(serde_json::to_string(value)?);
    Ok(())
}

/// Prints a list: one JSON object a line, or a table, or `empty` in words when there is nothing.
///
/// # Errors
/// When a value cannot be written as JSON.
pub fn say_list<T: Serialize, const N: usize>(
    items: &[T],
    json: bool,
    empty: &str,
    headers: [&str; N],
    row: impl Fn(&T) -> [String; N],
) -> serde_json::Result<()> {
    if json {
        return items.iter().try_for_each(say_json);
    }
    if items.is_empty() {
        say(empty);
        return Ok(());
    }
    say_table("", headers, &items.iter().map(row).collect::<Vec<_>>());
    Ok(())
}

/// Prints rows under headers, each line after `indent`; what stands in them does not command the terminal.
pub fn say_table<const N: usize>(indent: &str, headers: [&str; N], rows: &[[String; N]]) {
    for line in table(headers, rows) {
        say(format!("{indent}{}", plain(&line)));
    }
}

/// Lays out rows under headers, columns aligned.
fn table<const N: usize>(headers: [&str; N], rows: &[[String; N]]) -> Vec<String> {
    let widest = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([headers[column].chars().count()]).max().unwrap_or(0).min(MAX_PADDING)
    };
    let widths: Vec<usize> = (0..N).map(widest).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let rows = rows.iter().map(|row| line(row.iter().map(String::as_str).collect()));
    std::iter::once(line(headers.to_vec())).chain(rows).collect()
}

/// An instant as people read it here: to the second, in UTC.
pub fn instant(at: DateTime<Utc>) -> String {
    at.format("%d.%m.%Y %H:%M:%S UTC").to_string()
}

/// A calendar day as people read it here.
pub fn day(at: DateTime<Utc>) -> String {
    at.format("%d.%m.%Y").to_string()
}

/// `да` or `нет`.
pub fn yes(flag: bool) -> String {
    if flag { "да" } else { "нет" }.to_owned()
}

/// A number with the Russian word in the form it asks for: 1 запись, 2 записи, 5 записей.
pub fn plural(count: u64, forms: [&str; 3]) -> String {
    let form = match (count % 10, count % 100) {
        (1, tens) if tens != 11 => forms[0],
        (2..=4, tens) if !(12..=14).contains(&tens) => forms[1],
        _ => forms[2],
    };
    format!("{count} {form}")
}

/// A line whose control characters, C1 ones too, are written out; tabs stay.
pub fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for c in line.chars() {
        let turns = matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
        if (c.is_control() && c != '\t') || turns {
            text.extend(c.escape_unicode());
        } else {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_characters() {
        let rows = [["Ёж".to_owned(), "1".to_owned()], ["Лиса".to_owned(), "22".to_owned()]];
        assert_eq!(table(["Имя", "№"], &rows), ["Имя   №", "Ёж    1", "Лиса  22"]);
    }

    #[test]
    fn russian_numbers_agree_with_their_word() {
        let say = |count| plural(count, ["запись", "записи", "записей"]);
        assert_eq!(
            [1, 2, 5, 11, 21, 112].map(say),
            ["1 запись", "2 записи", "5 записей", "11 записей", "21 запись", "112 записей"]
        );
    }

    #[test]
    fn nothing_of_a_document_commands_the_terminal() {
        assert_eq!(plain("а\tb\u{9B}31m\u{1B}[0m\u{202E}"), "а\tb\\u{9b}31m\\u{1b}[0m\\u{202e}");
    }
}
