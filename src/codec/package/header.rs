//! The `Header` of a package: simple elements in a fixed order.

use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;

use crate::codec::package::SCHEMA_VERSION;
use crate::model::ids::PackageId;
use crate::model::kind::Kind;
use crate::model::package::{Header, Mode, Scope};
use crate::model::refusal::{Refusal, RefusalCode};

/// Elements of the header in the order in which they stand, and whether each must be there.
const ELEMENTS: &[(&str, bool)] = &[
    ("PackageId", true),
    ("Supplier", true),
    ("SchemaVersion", true),
    ("Type", true),
    ("Mode", true),
    ("Scope", true),
    ("Sequence", false),
    ("PreviousSequence", false),
    ("SnapshotAt", true),
    ("SchoolYear", false),
    ("Dictionaries", false),
    ("Counts", true),
    ("Test", false),
    ("Correlation", false),
];

/// Longest text of a header element, in characters.
const LENGTH: usize = 150;

/// More dictionaries than this are nonsense.
const DICTIONARIES: usize = 100;

/// A header being read.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Texts of the elements read, by place in [`ELEMENTS`].
    texts: [Option<String>; ELEMENTS.len()],
    /// Place after the last element.
    next: usize,
    dictionaries: Vec<(String, String)>,
    counts: Vec<(Kind, u64)>,
    /// Block of the `Count` being read.
    block: Option<Kind>,
}

fn bad(field: &str, what: &str) -> Refusal {
    Refusal::new(RefusalCode::PackageHeader).detail(format!("{field}: {what}"))
}

impl Draft {
    /// A child of `Header` begins.
    pub(super) fn begin(&mut self, name: &str) -> Result<(), Refusal> {
        let Some(place) = ELEMENTS.iter().position(|(element, _)| *element == name) else {
            return Err(bad(name, "неизвестный элемент"));
        };
        if place < self.next {
            return Err(bad(name, "элемент повторён или стоит не на месте"));
        }
        let missing = ELEMENTS[self.next..place].iter().find(|(_, required)| *required);
        if let Some((element, _)) = missing {
            return Err(bad(element, "нет обязательного элемента"));
        }
        self.next = place + 1;
        Ok(())
    }

    /// A child of `Dictionaries` or `Counts`, with its attributes by name.
    pub(super) fn begin_item<'a>(
        &mut self,
        name: &str,
        attribute: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<(), Refusal> {
        let parent = ELEMENTS[self.next - 1].0;
        match (parent, name) {
            ("Dictionaries", "Dictionary") => {
                let (Some(name), Some(version)) = (attribute("name"), attribute("version")) else {
                    return Err(bad(name, "нужны атрибуты name и version"));
                };
                let short = name.len() <= LENGTH && version.len() <= LENGTH;
                if !short || self.dictionaries.len() >= DICTIONARIES {
                    return Err(bad("Dictionaries", "слишком длинно"));
                }
                self.dictionaries.push((name.to_owned(), version.to_owned()));
            }
            ("Counts", "Count") => {
                let block = attribute("block").and_then(Kind::of_block);
                let Some(kind) = block else {
                    return Err(bad(name, "нужен атрибут block с именем блока"));
                };
                if self.counts.iter().any(|(known, _)| *known == kind) {
                    return Err(bad(name, "блок указан дважды"));
                }
                self.block = Some(kind);
            }
            _ => return Err(bad(name, "неизвестный элемент")),
        }
        Ok(())
    }

    /// A child of `Dictionaries` or `Counts` ends.
    pub(super) fn end_item(&mut self, text: &str) -> Result<(), Refusal> {
        match self.block.take() {
            Some(kind) => self.counts.push((kind, number("Count", text)?)),
            None if text.trim().is_empty() => {}
            None => return Err(bad("Dictionary", "ожидается пустой элемент")),
        }
        Ok(())
    }

    /// A child of `Header` ends.
    pub(super) fn end(&mut self, text: &str) -> Result<(), Refusal> {
        let place = self.next - 1;
        let name = ELEMENTS[place].0;
        let text = text.trim();
        if text.chars().count() > LENGTH {
            return Err(bad(name, "слишком длинно"));
        }
        if matches!(name, "Dictionaries" | "Counts") && !text.is_empty() {
            return Err(bad(name, "текст вместо элементов"));
        }
        if name == "SchemaVersion" && text != SCHEMA_VERSION {
            return Err(Refusal::new(RefusalCode::SchemaVersion));
        }
        self.texts[place] = Some(text.to_owned());
        Ok(())
    }

    /// The header is complete.
    pub(super) fn finish(&mut self) -> Result<Header, Refusal> {
        if let Some((element, _)) = ELEMENTS[self.next..].iter().find(|(_, required)| *required) {
            return Err(bad(element, "нет обязательного элемента"));
        }
        let id = self.required("PackageId")?;
        let id = Uuid::try_parse(&id).ok().filter(|_| id.len() == 36);
        let mode = match self.required("Mode")?.as_str() {
            "ALL" => Mode::All,
            "UPDATED" => Mode::Updated,
            _ => return Err(bad("Mode", "нужно ALL или UPDATED")),
        };
        Ok(Header {
            package_id: PackageId(id.ok_or_else(|| bad("PackageId", "нужен UUID"))?),
            supplier: self.word("Supplier", 50)?,
            schema_version: SCHEMA_VERSION.to_owned(),
            package_type: self.word("Type", 50)?,
            mode,
            scope: Scope::parse(&self.required("Scope")?)
                .ok_or_else(|| bad("Scope", "нужно REGION или ORG:идентификатор"))?,
            sequence: self.number("Sequence")?,
            previous_sequence: self.number("PreviousSequence")?,
            snapshot_at: self.instant("SnapshotAt")?,
            school_year: self.school_year()?,
            dictionaries: std::mem::take(&mut self.dictionaries),
            counts: std::mem::take(&mut self.counts),
            test: self.flag("Test")?,
            correlation: self.take("Correlation").filter(|text| !text.is_empty()),
        })
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let place = ELEMENTS.iter().position(|(element, _)| *element == name)?;
        self.texts[place].take()
    }

    fn required(&mut self, name: &str) -> Result<String, Refusal> {
        let text = self.take(name).filter(|text| !text.is_empty());
        text.ok_or_else(|| bad(name, "не заполнен"))
    }

    fn word(&mut self, name: &str, length: usize) -> Result<String, Refusal> {
        let text = self.required(name)?;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if text.len() <= length && text.chars().all(fits) {
            Ok(text)
        } else {
            Err(bad(name, "допустимы латинские буквы, цифры, точка, дефис, подчёркивание"))
        }
    }

    fn number(&mut self, name: &str) -> Result<Option<u64>, Refusal> {
        self.take(name).map(|text| number(name, &text)).transpose()
    }

    fn instant(&mut self, name: &str) -> Result<DateTime<Utc>, Refusal> {
        let text = self.required(name)?;
        let at = DateTime::parse_from_rfc3339(&text).map_err(|_| {
            bad(name, "нужен момент с часовым поясом, например 2026-09-01T02:30:00Z")
        })?;
        Ok(at.with_timezone(&Utc).trunc_subsecs(6))
    }

    fn school_year(&mut self) -> Result<Option<String>, Refusal> {
        let Some(text) = self.take("SchoolYear") else { return Ok(None) };
        let years = text.split_once('/').filter(|(from, to)| from.len() == 4 && to.len() == 4);
        let years =
            years.and_then(|(from, to)| Some((from.parse::<u32>().ok()?, to.parse::<u32>().ok()?)));
        match years {
            Some((from, to)) if to == from + 1 => Ok(Some(text)),
            _ => Err(bad("SchoolYear", "нужен учебный год ГГГГ/ГГГГ")),
        }
    }

    fn flag(&mut self, name: &str) -> Result<bool, Refusal> {
        match self.take(name).as_deref() {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(_) => Err(bad(name, "нужно true или false")),
        }
    }
}

fn number(name: &str, text: &str) -> Result<u64, Refusal> {
    let text = text.trim();
    let digits = (1..=18).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    number.ok_or_else(|| bad(name, "нужно целое неотрицательное число"))
}
