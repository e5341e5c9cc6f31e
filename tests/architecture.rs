//! The shape of the crate, checked: floors, file headers, sizes of files and functions, comments of tables.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Lowest floor first. A module imports only lower floors, never a neighbour.
const FLOORS: &[&[&str]] = &[
    &["model", "telemetry"],
    &["codec"],
    &["normalise", "storage", "broker", "trust", "http"],
    &["exchange"],
    &["gateway", "worker", "federal", "web", "ops"],
    &["config"],
    &["app", "main", "lib"],
];

/// Longest production file, in lines, inline tests not counted.
const MAX_FILE_LINES: usize = 500;

/// Longest function, in lines from its `fn` to its closing brace.
const MAX_FUNCTION_LINES: usize = 60;

#[test]
fn lower_floors_never_import_upper_ones() {
    let floor: BTreeMap<&str, usize> = FLOORS
        .iter()
        .enumerate()
        .flat_map(|(height, names)| names.iter().map(move |&name| (name, height)))
        .collect();
    let mut broken = Vec::new();
    for file in rust_files(Path::new("src")) {
        let module = top_module(&file);
        let Some(&here) = floor.get(module.as_str()) else {
            broken.push(format!("{}: module `{module}` has no floor", file.display()));
            continue;
        };
        for imported in imports(&code(&file)) {
            let allowed = floor
                .get(imported.as_str())
                .is_none_or(|&there| there < here || imported == module);
            if !allowed {
                broken.push(format!("{}: `{module}` imports `{imported}`", file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn every_file_says_what_it_is_and_stays_short() {
    let mut broken = Vec::new();
    for file in rust_files(Path::new("src")) {
        let text = fs::read_to_string(&file).unwrap();
        if !text.starts_with("//! ") {
            broken.push(format!("{}: no `//!` header", file.display()));
        }
        let lines = production(&text).lines().count();
        if lines > MAX_FILE_LINES {
            broken.push(format!("{}: {lines} lines", file.display()));
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn every_function_fits_a_screen() {
    let mut broken = Vec::new();
    for file in rust_files(Path::new("src")) {
        let text = fs::read_to_string(&file).unwrap();
        let mut open: Option<(usize, usize, String)> = None;
        for (number, line) in production(&text).lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let words = line.trim_start();
            if open.is_none() && is_function(words) {
                open = Some((number, indent, words.to_owned()));
            }
            if let Some((start, depth, name)) = &open
                && indent == *depth
                && (words == "}" || words.ends_with(" }") || words.ends_with(';'))
            {
                if number - start >= MAX_FUNCTION_LINES {
                    broken.push(format!("{}:{}: {name}", file.display(), start + 1));
                }
                open = None;
            }
        }
    }
    assert!(broken.is_empty(), "functions over {MAX_FUNCTION_LINES} lines:\n{}", broken.join("\n"));
}

#[test]
fn every_table_and_column_has_a_comment() {
    let mut broken = Vec::new();
    for entry in fs::read_dir("migrations").unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let (mut table, mut above) = (None, "");
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix("CREATE TABLE ") {
                if !above.starts_with("--") {
                    broken.push(format!("{}: table {name} has no comment", path.display()));
                }
                table = Some(name.trim_end_matches('(').trim());
            } else if line.starts_with(')') {
                table = None;
            } else if let Some(table) = table {
                let first = line.split_whitespace().next().unwrap_or_default();
                let constraint = first.chars().next().is_none_or(|c| !c.is_lowercase());
                if !constraint && !line.contains("-- ") {
                    broken.push(format!("{}: {table}.{first} has no comment", path.display()));
                }
            }
            above = line;
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

fn is_function(words: &str) -> bool {
    let words = words.trim_start_matches("pub ").trim_start_matches("pub(crate) ");
    let words = words.trim_start_matches("const ").trim_start_matches("async ");
    words.starts_with("fn ")
}

fn production(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text)
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn top_module(file: &Path) -> String {
    let first = file.strip_prefix("src").unwrap().components().next().unwrap();
    first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// The file without its comment lines: a doc link is no dependency.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<&str>>().join("\n")
}

/// First path segments after `crate::`, also inside `crate::{a::b, c}`.
fn imports(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, marker) in source.match_indices("crate::") {
        let rest = &source[at + marker.len()..];
        match rest.strip_prefix('{') {
            None => found.push(identifier(rest)),
            Some(group) => {
                let end = group.find("};").unwrap_or(group.len());
                found.extend(group[..end].split(',').map(|item| identifier(item.trim())));
            }
        }
    }
    found
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}
