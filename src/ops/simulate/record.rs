//! A record of the simulator, before it is written.

use std::borrow::Cow;

use crate::model::finding::Code;
use crate::model::kind::Kind;
use crate::model::record::EXTERNAL_ID;

/// One record, with what processing will say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its kind.
    pub kind: Kind,
    /// The supplier's id.
    pub external_id: String,
    /// Element names and values, in the order of the schema, the id left out.
    pub fields: Vec<(&'static str, Cow<'static, str>)>,
    /// The finding it will give.
    pub expected: Option<Code>,
}

impl Record {
    /// A record without fields.
    pub fn new(kind: Kind, external_id: impl Into<String>) -> Self {
        Self {
            kind,
            external_id: external_id.into(),
            fields: Vec::with_capacity(12),
            expected: None,
        }
    }

    /// Adds a field.
    #[must_use]
    pub fn set(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// Adds a field that may be missing.
    #[must_use]
    pub fn set_some(self, name: &'static str, value: Option<impl Into<Cow<'static, str>>>) -> Self {
        match value {
            Some(value) => self.set(name, value),
            None => self,
        }
    }

    /// Says that processing will find this.
    #[must_use]
    pub fn expect(mut self, code: Option<Code>) -> Self {
        self.expected = code;
        self
    }

    /// All elements, the id first, as the package writer takes them.
    pub fn elements(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let id = (EXTERNAL_ID, Some(self.external_id.as_str()));
        let fields = self.fields.iter().map(|(name, value)| (*name, Some(value.as_ref())));
        std::iter::once(id).chain(fields)
    }
}
