//! Reference codes: loading lists, mapping suppliers' own codes.

use std::collections::HashSet;

use serde_json::json;

use crate::exchange::admin::{Admin, AdminError};
use crate::model::dictionary::{CANONICAL_VERSION, Dictionaries};
use crate::storage::dictionary::{self, DictionaryCode, MappedCode};
use crate::storage::supplier;

/// First line of a file of codes; `canonical` may be left out when it is the code itself.
const HEADERS: [&str; 2] =
    ["dictionary;version;code;canonical;title", "dictionary;version;code;title"];

/// No supplier has this number, so that only common codes are found.
const NOBODY: i64 = 0;

/// What is wrong with a file of codes. The text is for the administrator.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsvError {
    /// The first line is not a known one.
    #[error("первая строка должна быть «{}» или «{}»", HEADERS[0], HEADERS[1])]
    Header,
    /// A line has too few columns.
    #[error("строка {0}: не хватает столбцов")]
    Columns(usize),
    /// A column is empty or too long.
    #[error("строка {0}: пустое или слишком длинное значение")]
    Value(usize),
    /// A code stands twice.
    #[error("строка {0}: код уже указан выше")]
    Repeated(usize),
}

/// Reads a file of codes: a header line, then one code a line, columns separated by semicolons.
/// The title is the rest of the line.
///
/// # Errors
/// Names the first bad line.
pub fn read_csv(text: &str) -> Result<Vec<DictionaryCode>, CsvError> {
    let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    let header = lines.next().map_or("", |(_, line)| line.trim());
    let columns = match HEADERS.iter().position(|known| header.eq_ignore_ascii_case(known)) {
        Some(0) => 5,
        Some(_) => 4,
        None => return Err(CsvError::Header),
    };
    let mut seen = HashSet::new();
    let mut codes = Vec::new();
    for (index, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let number = index + 1;
        let parts: Vec<String> = line.splitn(columns, ';').map(unquote).collect();
        let [dictionary, version, code, .., title] = parts.as_slice() else {
            return Err(CsvError::Columns(number));
        };
        if parts.len() != columns {
            return Err(CsvError::Columns(number));
        }
        if !parts[..columns - 1].iter().all(|part| is_code(part)) || title.chars().count() > 500 {
            return Err(CsvError::Value(number));
        }
        if !seen.insert([dictionary.clone(), version.clone(), code.clone()]) {
            return Err(CsvError::Repeated(number));
        }
        codes.push(DictionaryCode {
            dictionary: dictionary.clone(),
            version: version.clone(),
            code: code.clone(),
            canonical: parts[columns - 2].clone(),
            title: title.clone(),
        });
    }
    Ok(codes)
}

impl Admin {
    /// Adds codes; those that are there get the new meaning and title. All or none.
    ///
    /// # Errors
    /// [`AdminError::CodeUnknown`].
    pub async fn load_dictionary(&self, codes: &[DictionaryCode]) -> Result<(), AdminError> {
        let lists: HashSet<String> =
            codes.iter().map(|code| format!("{}:{}", code.dictionary, code.version)).collect();
        let mut lists: Vec<String> = lists.into_iter().collect();
        lists.sort();
        let detail = json!({"codes": codes.len(), "lists": lists});
        let mut known = self.dictionaries().await?;
        self.perform("dictionary.load", "dictionary".to_owned(), detail, async |tx, _| {
            for code in codes.iter().filter(|code| code.version == CANONICAL_VERSION) {
                known.add(&code.dictionary, CANONICAL_VERSION, &code.code, &code.canonical);
            }
            for code in codes {
                check_canonical(&known, &code.dictionary, &code.canonical)?;
            }
            Ok(dictionary::load(tx, codes).await?)
        })
        .await
    }

    /// Says what a supplier's own code means.
    ///
    /// # Errors
    /// [`AdminError::SupplierUnknown`], [`AdminError::Code`], [`AdminError::CodeUnknown`].
    pub async fn map_code(
        &self,
        mnemonic: &str,
        dictionary: &str,
        foreign: &str,
        code: &str,
    ) -> Result<(), AdminError> {
        let known = supplier::by_mnemonic(&self.db, mnemonic).await?;
        let dictionaries = self.dictionaries().await?;
        let object = format!("supplier:{mnemonic}");
        let detail = json!({"dictionary": dictionary, "foreign": foreign, "code": code});
        self.perform("dictionary.map", object, detail, async |tx, _| {
            let known = known.ok_or_else(|| AdminError::SupplierUnknown(mnemonic.to_owned()))?;
            if ![dictionary, foreign, code].into_iter().all(is_code) {
                return Err(AdminError::Code);
            }
            check_canonical(&dictionaries, dictionary, code)?;
            let mapped = MappedCode {
                supplier: known.id,
                dictionary: dictionary.to_owned(),
                foreign: foreign.to_owned(),
                code: code.to_owned(),
            };
            Ok(dictionary::map(tx, &mapped).await?)
        })
        .await
    }

    /// The codes that come with the program, and the loaded ones.
    async fn dictionaries(&self) -> Result<Dictionaries, AdminError> {
        let mut all = Dictionaries::built_in();
        for code in dictionary::codes(&self.db).await? {
            all.add(&code.dictionary, &code.version, &code.code, &code.canonical);
        }
        Ok(all)
    }
}

/// A canonical code stands for itself in the version whose codes are stored.
fn check_canonical(known: &Dictionaries, dictionary: &str, code: &str) -> Result<(), AdminError> {
    match known.canonical(NOBODY, dictionary, CANONICAL_VERSION, code) {
        Some(itself) if itself == code => Ok(()),
        _ => Err(AdminError::CodeUnknown(dictionary.to_owned(), code.to_owned())),
    }
}

fn is_code(text: &str) -> bool {
    (1..=100).contains(&text.chars().count())
}

/// Spreadsheets put quotes around a value that holds a separator, and double the quotes in it.
fn unquote(text: &str) -> String {
    let text = text.trim();
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_codes_is_read_with_and_without_canonical_codes() {
        let codes = read_csv(
            "\u{feff}dictionary;version;code;title\r\nsex;2;1;\"Мужской; \"\"м\"\"\"\r\n\r\n",
        )
        .unwrap();
        assert_eq!(codes.len(), 1);
        assert_eq!((codes[0].canonical.as_str(), codes[0].title.as_str()), ("1", "Мужской; \"м\""));
        let codes =
            read_csv("dictionary;version;code;canonical;title\nsex;2;m;1;Мужской\n").unwrap();
        assert_eq!((codes[0].code.as_str(), codes[0].canonical.as_str()), ("m", "1"));
    }

    #[test]
    fn the_first_bad_line_is_named() {
        let head = "dictionary;version;code;title";
        assert_eq!(read_csv("sex;2;1;М"), Err(CsvError::Header));
        assert_eq!(read_csv(&format!("{head}\nsex;2;1")), Err(CsvError::Columns(2)));
        assert_eq!(read_csv(&format!("{head}\nsex;2;1;М\nsex;;2;Ж")), Err(CsvError::Value(3)));
        assert_eq!(read_csv(&format!("{head}\nsex;2;1;М\nsex;2;1;М")), Err(CsvError::Repeated(3)));
    }
}
