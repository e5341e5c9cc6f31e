//! Findings: what is wrong with one record. Values, never errors.

use serde::{Deserialize, Serialize};

use crate::model::kind::Kind;

/// Whether a finding keeps the record out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    /// The record is refused; its neighbours are not.
    Error,
    /// The record is applied with a flag.
    Warning,
}

impl Severity {
    /// The word on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Warning => "WARNING",
        }
    }
}

/// One thing wrong in one record, or in the package as a whole (`kind` absent).
/// Holds the supplier's own id and no other data of the record: safe for receipts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable code.
    pub code: Code,
    /// Error or warning; usually [`Code::severity`].
    pub severity: Severity,
    /// Kind of the record.
    pub kind: Option<Kind>,
    /// Number of the record in the package, from 1; 0 for the package.
    pub record: u64,
    /// The supplier's id of the record.
    pub external_id: String,
    /// Element name of the field.
    pub field: Option<String>,
    /// Line in the package, from 1.
    pub line: u64,
    /// What to add to the text of the code: a limit, a dictionary, a rule. No personal data.
    pub detail: Option<String>,
}

impl Finding {
    /// A finding about the package as a whole.
    pub fn of_package(code: Code, detail: Option<String>) -> Self {
        Self {
            code,
            severity: code.severity(),
            kind: None,
            record: 0,
            external_id: String::new(),
            field: None,
            line: 1,
            detail,
        }
    }

    /// Russian text: what is wrong and what to do.
    pub fn text(&self) -> String {
        match &self.detail {
            Some(detail) => format!("{} ({detail})", self.code.text()),
            None => self.code.text().to_owned(),
        }
    }

    /// Path of the place: `/Package/Data/Persons/Person[ExternalId='…']/Snils`.
    pub fn xpath(&self) -> String {
        let Some(kind) = self.kind else { return "/Package".to_owned() };
        let quote = if self.external_id.contains('\'') { '"' } else { '\'' };
        let record = format!(
            "/Package/Data/{}/{}[ExternalId={quote}{}{quote}]",
            kind.block(),
            kind.element(),
            self.external_id
        );
        match &self.field {
            Some(field) => format!("{record}/{field}"),
            None => record,
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $severity:ident, $text:literal;)+) => {
        /// Stable codes of findings, the catalogue that receipts, pages and docs print from.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $code)] $name,)+
        }

        impl Code {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The stable code.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// Default severity; a supplier's setting may raise a checksum warning to an error.
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)+ }
            }

            /// Russian text: what is wrong and what to do.
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

codes! {
    /// Mandatory field missing.
    Required = "FLK_REQUIRED", Error, "Не заполнено обязательное поле";
    /// Value does not follow the lexical rule.
    Format = "FLK_FORMAT", Error, "Значение не соответствует формату";
    /// Value too long.
    Length = "FLK_LENGTH", Error, "Значение длиннее допустимого";
    /// Element the schema does not know.
    UnknownElement = "FLK_UNKNOWN_ELEMENT", Warning, "Неизвестный элемент пропущен; проверьте имя и версию схемы";
    /// The same field twice in one record.
    RepeatedElement = "FLK_REPEATED_ELEMENT", Error, "Элемент указан в записи более одного раза";
    /// Record larger than the limit.
    RecordSize = "FLK_RECORD_SIZE", Error, "Запись больше допустимого размера";
    /// Code not in the dictionary.
    Dictionary = "FLK_DICT", Error, "Код отсутствует в справочнике";
    /// Declared dictionary version is not ours.
    DictionaryVersion = "FLK_DICT_VERSION", Warning, "Версия справочника отличается от действующей";
    /// Date outside its sensible range.
    DateRange = "FLK_DATE_RANGE", Error, "Дата вне допустимого диапазона";
    /// End before start.
    DateOrder = "FLK_DATE_ORDER", Error, "Дата окончания раньше даты начала";
    /// Insurance number fails its check digits.
    SnilsChecksum = "FLK_SNILS_CHECKSUM", Warning, "Контрольное число СНИЛС неверно; запись принята с пометкой";
    /// Taxpayer number fails its check digits.
    InnChecksum = "FLK_INN_CHECKSUM", Warning, "Контрольное число ИНН неверно; запись принята с пометкой";
    /// Registration number fails its check digit.
    OgrnChecksum = "FLK_OGRN_CHECKSUM", Warning, "Контрольное число ОГРН неверно; запись принята с пометкой";
    /// Series or number does not fit the type of document.
    DocumentFormat = "FLK_DOC_FORMAT", Warning, "Серия или номер не соответствуют виду документа; запись принята с пометкой";
    /// Referenced record is neither in the package nor registered.
    ReferenceMissing = "FLK_REF_MISSING", Error, "Запись, на которую указывает ссылка, не найдена; пришлите её и повторите";
    /// The same record again in one package; the last one wins.
    DuplicateInPackage = "FLK_DUP_IN_PACKAGE", Warning, "Запись повторяется в пакете; применена последняя";
    /// Age does not fit the role or class.
    AgeClass = "FLK_AGE_CLASS", Warning, "Возраст не соответствует классу или роли";
    /// Two memberships of one role in one organisation overlap.
    MembershipOverlap = "FLK_MEMBERSHIP_OVERLAP", Warning, "Периоды обучения пересекаются";
    /// Mark outside its system.
    MarkRange = "FLK_MARK_RANGE", Error, "Оценка не соответствует системе оценивания";
    /// Child not younger than the parent.
    KinshipAge = "FLK_KINSHIP_AGE", Error, "Ребёнок не младше законного представителя";
    /// One insurance number, two persons.
    SnilsConflict = "SNILS_CONFLICT", Error, "СНИЛС уже принадлежит другой персоне; запись отложена для проверки";
    /// External id used again for another person.
    IdentityDrift = "IDENTITY_DRIFT", Error, "Под этим идентификатором зарегистрирована другая персона; запись не применена";
    /// Looks like a registered person; kept apart for an operator.
    MergeCandidate = "MERGE_CANDIDATE", Warning, "Похожая персона уже есть в реестре; создана отдельная запись, совпадение передано оператору";
    /// Older than what is registered.
    Superseded = "STALE_CHANGE", Warning, "В реестре уже есть более новые данные; запись не применена";
    /// Organisation not entrusted to this supplier.
    ScopeForbidden = "SCOPE_FORBIDDEN", Error, "Поставщик не имеет права на записи этой организации";
    /// Bidirectional, zero-width or look-alike characters in a name.
    SuspiciousText = "FLK_SUSPICIOUS_TEXT", Warning, "В имени необычные символы или буквы разных алфавитов";
    /// Package without records.
    EmptyPackage = "EMPTY_PACKAGE", Warning, "В пакете нет ни одной записи";
    /// Every record was refused.
    AllRejected = "ALL_REJECTED", Warning, "Ни одна запись пакета не применена";
    /// Snapshot would close too much.
    ClosingGuard = "CLOSING_GUARD", Error, "Полный пакет закрыл бы более 20 % записей; ожидает решения оператора";
    /// A package would delete more of the supplier's records than may go unasked.
    DeletingGuard = "DELETING_GUARD", Error, "Пакет удалил бы более 5 % записей; ожидает решения оператора";
    /// A deletion of a record that was never sent.
    DeleteUnknown = "DELETE_UNKNOWN", Warning, "Удаляемой записи нет в реестре; сохранена только отметка об удалении";
    /// Records closed because a snapshot no longer mentions them.
    ClosedBySnapshot = "CLOSED_BY_SNAPSHOT", Warning, "Записи закрыты: полный пакет их не содержит";
    /// Predecessor missing.
    SequenceGap = "SEQ_GAP", Warning, "Предыдущий пакет ещё не поступил; пакет ожидает его";
    /// Predecessor never came.
    SequenceTimeout = "SEQ_TIMEOUT", Error, "Предыдущий пакет не поступил в срок; пришлите полный пакет (ALL)";
    /// Test package: checked, not applied.
    TestPackage = "TEST_PACKAGE", Warning, "Тестовый пакет проверен, данные не изменены";
    /// Processing crashed or failed repeatedly.
    Parked = "PARKED", Error, "Обработка прервана несколько раз подряд; пакет отложен до решения оператора";
    /// Stored bytes no longer match their hash.
    EvidenceCorrupt = "EVIDENCE_CORRUPT", Error, "Сохранённый пакет повреждён; обработка остановлена";
}

impl Code {
    /// Reads [`Code::as_str`] back.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }
}
