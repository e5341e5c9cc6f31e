//! A record in the making: what it says of each field, and what is wrong with it.

use std::sync::Arc;

use chrono::NaiveDate;

use crate::model::dictionary::{CANONICAL_VERSION, Dictionaries};
use crate::model::finding::{Code, Finding, Severity};
use crate::model::kind::Kind;
use crate::model::record::{EXTERNAL_ID, RawField, RawRecord, RawValue, Setting, Value};
use crate::model::spec::{EXTERNAL_ID_LENGTH, FieldSpec, KindSpec};
use crate::normalise::{self, lexical};

/// What the records of one package are judged by.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Codes.
    pub dictionaries: Arc<Dictionaries>,
    /// Whose records they are.
    pub supplier: i64,
    /// Dictionary names and versions the package declares.
    pub versions: Vec<(String, String)>,
    /// Whether a failed check digit keeps the record out.
    pub strict_checksums: bool,
    /// Day of the snapshot: births lie before its end.
    pub today: NaiveDate,
}

impl Rules {
    /// The version in which the package writes this dictionary.
    pub fn version(&self, dictionary: &str) -> &str {
        let declared = self.versions.iter().find(|(name, _)| name == dictionary);
        match declared {
            Some((_, version)) if self.dictionaries.has_version(dictionary, version) => version,
            _ => CANONICAL_VERSION,
        }
    }

    /// The canonical code for what the supplier wrote.
    pub fn canonical(&self, dictionary: &str, code: &str) -> Option<&str> {
        self.dictionaries.canonical(self.supplier, dictionary, self.version(dictionary), code)
    }

    /// How findings name the dictionary: `citizenship, uftt-b1`.
    pub fn dictionary_name(&self, dictionary: &str) -> String {
        format!("{dictionary}, {}", self.version(dictionary))
    }
}

/// A record, judged alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// Its table and fields.
    pub kind: Kind,
    /// Number in the package.
    pub number: u64,
    /// Line of its start tag.
    pub line: u64,
    /// The supplier's id.
    pub external_id: String,
    /// What it says, one a field of the spec, in its order.
    pub settings: Vec<Setting>,
    /// Line of each field, in the order of the spec; 0 for those left out.
    pub lines: Vec<u64>,
    /// What is wrong with it.
    pub findings: Vec<Finding>,
}

impl Draft {
    /// Whether nothing keeps it out of the registry.
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity != Severity::Error)
    }

    /// Whether it says that it is deleted.
    pub fn deletes(&self) -> bool {
        let place = normalise::spec(self.kind).position("Deleted");
        let setting = place.and_then(|place| self.settings.get(place));
        matches!(setting, Some(Setting::Set(Value::Flag(true))))
    }

    /// Adds a finding about a field, or about the whole record.
    pub fn find(&mut self, code: Code, field: Option<&str>, detail: Option<String>) {
        let place = field.and_then(|field| normalise::spec(self.kind).position(field));
        let line = place.and_then(|place| self.lines.get(place)).copied().unwrap_or_default();
        self.findings.push(Finding {
            code,
            severity: code.severity(),
            kind: Some(self.kind),
            record: self.number,
            external_id: self.external_id.clone(),
            field: field.map(str::to_owned),
            line: if line == 0 { self.line } else { line },
            detail,
        });
    }
}

/// A draft with its spec at hand, as the rules between fields see it.
#[derive(Debug)]
pub struct Checked<'a> {
    /// The draft.
    pub draft: &'a mut Draft,
    /// Its fields.
    pub spec: &'static KindSpec,
    /// What it is judged by.
    pub rules: &'a Rules,
}

impl Checked<'_> {
    /// The new value of a field, if it sets one.
    pub fn value(&self, element: &str) -> Option<&Value> {
        match self.draft.settings.get(self.spec.position(element)?)? {
            Setting::Set(value) => Some(value),
            _ => None,
        }
    }

    /// The new text of a field.
    pub fn text(&self, element: &str) -> Option<&str> {
        match self.value(element)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The new date of a field.
    pub fn date(&self, element: &str) -> Option<NaiveDate> {
        match self.value(element)? {
            Value::Date(date) => Some(*date),
            _ => None,
        }
    }

    /// Replaces the text of a field by its tidy form.
    pub fn put(&mut self, element: &str, text: String) {
        if let Some(at) = self.spec.position(element) {
            self.draft.settings[at] = Setting::Set(Value::Text(text));
        }
    }

    /// Adds a finding about a field.
    pub fn find(&mut self, code: Code, element: &str, detail: impl Into<Option<&'static str>>) {
        let detail = detail.into().map(str::to_owned);
        self.draft.find(code, Some(element), detail);
    }

    /// Adds a checksum finding: a warning, or an error when the supplier is held to it.
    pub fn checksum(&mut self, code: Code, element: &str) {
        self.draft.find(code, Some(element), None);
        if self.rules.strict_checksums
            && let Some(finding) = self.draft.findings.last_mut()
        {
            finding.severity = Severity::Error;
        }
    }

    /// Refuses a date after the day of the snapshot.
    pub fn not_in_future(&mut self, element: &str) {
        let latest = self.rules.today.succ_opt().unwrap_or(self.rules.today);
        if self.date(element).is_some_and(|date| date > latest) {
            self.find(Code::DateRange, element, "дата в будущем");
        }
    }

    /// Refuses an end before its start.
    pub fn in_order(&mut self, start: &str, end: &str) {
        if let (Some(from), Some(to)) = (self.date(start), self.date(end))
            && to < from
        {
            self.find(Code::DateOrder, end, None);
        }
    }
}

/// Reads a record by the lexical rules of its kind.
pub(super) fn draft(raw: &RawRecord, spec: &'static KindSpec, rules: &Rules) -> Draft {
    let mut draft = Draft {
        kind: raw.kind,
        number: raw.number,
        line: raw.line,
        external_id: external_id(raw),
        settings: vec![Setting::Keep; spec.fields.len()],
        lines: vec![0; spec.fields.len()],
        findings: Vec::new(),
    };
    let mut has_id = false;
    let mut expected = 0;
    for field in &raw.fields {
        let at = place(spec, &field.name, expected);
        let Some(at) = at else {
            unknown(&mut draft, field);
            continue;
        };
        expected = at + 1;
        let before = match draft.lines.get_mut(at) {
            Some(line) => std::mem::replace(line, field.line) != 0,
            None => std::mem::replace(&mut has_id, true),
        };
        if before {
            draft.find(Code::RepeatedElement, Some(&field.name), None);
        } else if at < spec.fields.len() {
            take(&mut draft, at, &spec.fields[at], field, rules);
        } else {
            judge_id(&mut draft, field);
        }
    }
    for (place, field) in spec.fields.iter().enumerate() {
        if field.required && draft.lines[place] == 0 {
            draft.find(Code::Required, Some(field.element), None);
        }
    }
    if !has_id {
        draft.find(Code::Required, Some(EXTERNAL_ID), None);
    }
    draft
}

fn external_id(raw: &RawRecord) -> String {
    let id = lexical::collapsed(raw.external_id());
    id.chars().take(EXTERNAL_ID_LENGTH).collect()
}

/// Place of an element in the spec, first where it is expected; the id comes after the last field.
fn place(spec: &KindSpec, name: &str, expected: usize) -> Option<usize> {
    if spec.fields.get(expected).is_some_and(|field| field.element == name) {
        return Some(expected);
    }
    if name == EXTERNAL_ID {
        return Some(spec.fields.len());
    }
    spec.position(name)
}

fn unknown(draft: &mut Draft, field: &RawField) {
    let (code, detail) = match field.value {
        RawValue::Oversize => (Code::RecordSize, Some("не более 1 МиБ".to_owned())),
        RawValue::Malformed => (Code::Format, Some("недопустимое содержимое записи".to_owned())),
        _ => (Code::UnknownElement, None),
    };
    let name: String = field.name.chars().take(EXTERNAL_ID_LENGTH).collect();
    draft.find(code, Some(&name), detail);
}

fn judge_id(draft: &mut Draft, field: &RawField) {
    match &field.value {
        RawValue::Text(text) => {
            let text = lexical::collapsed(text);
            if text.is_empty() {
                draft.find(Code::Required, Some(EXTERNAL_ID), None);
            } else if let Err(wrong) = lexical::limited(&text, EXTERNAL_ID_LENGTH) {
                draft.find(wrong.code, Some(EXTERNAL_ID), wrong.detail);
            }
        }
        RawValue::Nil => draft.find(Code::Required, Some(EXTERNAL_ID), None),
        _ => draft.find(Code::Format, Some(EXTERNAL_ID), None),
    }
}

fn take(draft: &mut Draft, at: usize, spec: &FieldSpec, field: &RawField, rules: &Rules) {
    let text = match &field.value {
        RawValue::Text(text) => lexical::collapsed(text),
        RawValue::Nil => return clear(draft, at, spec),
        _ => {
            let detail = "ожидается простое значение без вложенных элементов".to_owned();
            return draft.find(Code::Format, Some(spec.element), Some(detail));
        }
    };
    if text == "-1" {
        return clear(draft, at, spec);
    }
    if text.is_empty() {
        let (code, detail) = if spec.required {
            (Code::Required, None)
        } else {
            let hint = "пустое значение: не указывайте элемент или очистите его через xsi:nil";
            (Code::Format, Some(hint.to_owned()))
        };
        return draft.find(code, Some(spec.element), detail);
    }
    match lexical::read(spec.ty, &text, rules) {
        Ok(setting) => draft.settings[at] = setting,
        Err(wrong) => draft.find(wrong.code, Some(spec.element), wrong.detail),
    }
}

fn clear(draft: &mut Draft, at: usize, spec: &FieldSpec) {
    if spec.required {
        draft.find(Code::Required, Some(spec.element), None);
    } else {
        draft.settings[at] = Setting::Clear;
    }
}
