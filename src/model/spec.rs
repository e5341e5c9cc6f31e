//! How a record kind is described: the table from which reading, checking,
//! applying and history follow. One `KindSpec` a kind, in `normalise/<kind>.rs`.

use crate::model::kind::Kind;
use crate::model::record::Value;

/// Longest external id, in characters.
pub const EXTERNAL_ID_LENGTH: usize = 100;

/// A record kind: its table and its fields.
#[derive(Debug)]
pub struct KindSpec {
    /// Which kind.
    pub kind: Kind,
    /// Registry table of current values.
    pub table: &'static str,
    /// Fields besides `ExternalId`, in the order of the XSD and of the columns.
    pub fields: &'static [FieldSpec],
    /// Columns that follow from the fields: search keys, marks of quality.
    pub derived: &'static [Derived],
    /// Computes the values of `derived` from the values of `fields`, both in order.
    pub derive: fn(&[Option<Value>]) -> Vec<Option<Value>>,
}

/// A column that follows from the fields; it is not part of the history.
#[derive(Debug)]
pub struct Derived {
    /// Column of the registry table.
    pub column: &'static str,
    /// Its type.
    pub storage: Storage,
}

impl KindSpec {
    /// Index of the field with this element name.
    pub fn position(&self, element: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.element == element)
    }

    /// Index of the field with this column.
    pub fn column(&self, column: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.column == column)
    }
}

/// One field of a record kind.
#[derive(Debug)]
pub struct FieldSpec {
    /// Element local name.
    pub element: &'static str,
    /// Column of the registry table.
    pub column: &'static str,
    /// Lexical rule and storage type.
    pub ty: FieldType,
    /// Whether a record without it is refused, be it new or known.
    pub required: bool,
}

impl FieldSpec {
    /// A field that every record has.
    pub const fn required(element: &'static str, column: &'static str, ty: FieldType) -> Self {
        Self { element, column, ty, required: true }
    }

    /// A field that a record may leave out (keep the value) or clear.
    pub const fn optional(element: &'static str, column: &'static str, ty: FieldType) -> Self {
        Self { element, column, ty, required: false }
    }
}

/// Lexical rule of a field; the storage type follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// Any text up to so many characters.
    Text(usize),
    /// A part of a person's name, up to 100 characters: letters, spaces, hyphens, apostrophes, dots.
    PersonName,
    /// Date `YYYY-MM-DD`, no zone.
    Date,
    /// RFC 3339 instant with zone.
    Instant,
    /// Whole number in the closed range.
    Integer(i64, i64),
    /// Decimal number in digits with a dot, stored as text.
    Decimal,
    /// `true`, `false`, `1`, `0`.
    Flag,
    /// Code of this dictionary.
    Code(&'static str),
    /// Several codes of this dictionary, separated by spaces.
    Codes(&'static str),
    /// Insurance number, stored as 11 digits.
    Snils,
    /// Taxpayer number, 10 or 12 digits.
    Inn,
    /// State registration number, 13 or 15 digits.
    Ogrn,
    /// Reason code of tax registration: nine characters, the fifth and sixth may be letters.
    Kpp,
    /// Digits only, one of these lengths.
    Digits(&'static [usize]),
    /// `2026/2027`: the second year follows the first.
    SchoolYear,
    /// Telephone as written, up to 100 characters.
    Phone,
    /// E-mail address.
    Email,
    /// External id of another record of the same supplier.
    Ref(Kind),
}

impl FieldType {
    /// How it is stored.
    pub fn storage(self) -> Storage {
        match self {
            Self::Date => Storage::Date,
            Self::Instant => Storage::Instant,
            Self::Integer(..) | Self::Ref(_) => Storage::Integer,
            Self::Flag => Storage::Flag,
            _ => Storage::Text,
        }
    }
}

/// Column type behind a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// `text`.
    Text,
    /// `bigint`.
    Integer,
    /// `date`.
    Date,
    /// `timestamptz`.
    Instant,
    /// `boolean`.
    Flag,
}
