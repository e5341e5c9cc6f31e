//! A record on its way from the package to the registry.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use crate::model::kind::Kind;
use crate::model::spec::Storage;

/// Element that carries the supplier's own id of a record, in every kind.
pub const EXTERNAL_ID: &str = "ExternalId";

/// A record as it was read: nothing judged yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRecord {
    /// Its kind, from the element's name.
    pub kind: Kind,
    /// Number in the package, from 1, over all blocks.
    pub number: u64,
    /// Line of its start tag, from 1.
    pub line: u64,
    /// Child elements in document order; [`EXTERNAL_ID`] is one of them.
    pub fields: Vec<RawField>,
}

impl RawRecord {
    /// The last value given for a field.
    pub fn field(&self, name: &str) -> Option<&RawField> {
        self.fields.iter().rev().find(|field| field.name == name)
    }

    /// The supplier's own id of the record, empty when it has none.
    pub fn external_id(&self) -> &str {
        match self.field(EXTERNAL_ID).map(|field| &field.value) {
            Some(RawValue::Text(text)) => text.trim(),
            _ => "",
        }
    }
}

/// One child element of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawField {
    /// Local name, in the package namespace.
    pub name: String,
    /// Line of its start tag.
    pub line: u64,
    /// What it says.
    pub value: RawValue,
}

/// Content of a field element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawValue {
    /// Whole text, references resolved, not trimmed.
    Text(String),
    /// `xsi:nil="true"`: clear the value.
    Nil,
    /// Something a field cannot be: child elements, text beside them, or a foreign namespace.
    Malformed,
    /// Stands in place of the fields of a record that is larger than the limit.
    Oversize,
}

/// What a record says of one field of the registry.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting {
    /// Not mentioned: keep what is there.
    Keep,
    /// Nil or `-1`: forget it.
    Clear,
    /// The new value.
    Set(Value),
    /// External id of another record of the same supplier, to be resolved to a registry id.
    Refer(Kind, String),
}

/// A checked value of a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// Truth value.
    Flag(bool),
    /// Whole number, also a resolved reference.
    Integer(i64),
    /// Calendar date without zone.
    Date(NaiveDate),
    /// UTC instant.
    Instant(DateTime<Utc>),
    /// Any text, also codes and decimal numbers as written.
    Text(String),
}

impl Value {
    /// The value as the history writes it.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Flag(flag) => (*flag).into(),
            Self::Integer(number) => (*number).into(),
            Self::Date(date) => date.to_string().into(),
            Self::Instant(at) => at.to_rfc3339_opts(SecondsFormat::AutoSi, true).into(),
            Self::Text(text) => text.as_str().into(),
        }
    }

    /// Reads [`Value::to_json`] back; `None` for null and for what does not fit the type.
    pub fn from_json(storage: Storage, json: &serde_json::Value) -> Option<Self> {
        match storage {
            Storage::Flag => json.as_bool().map(Self::Flag),
            Storage::Integer => json.as_i64().map(Self::Integer),
            Storage::Date => json.as_str()?.parse().ok().map(Self::Date),
            Storage::Instant => json.as_str()?.parse().ok().map(Self::Instant),
            Storage::Text => json.as_str().map(|text| Self::Text(text.to_owned())),
        }
    }
}
