//! The record kinds of the package format, in the order in which their blocks stand.

use serde::{Deserialize, Serialize};

/// One kind of record. The order is the order of blocks in a package and of application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// Education management body (ОУО).
    ManagementBody,
    /// Education organisation.
    Organisation,
    /// Class or preschool group of one school year.
    ClassGroup,
    /// Natural person: learner, parent or employee.
    Person,
    /// Identity document of a person, birth certificate included.
    IdentityDocument,
    /// Address of a person.
    Address,
    /// Telephone or e-mail of a person.
    Contact,
    /// Child and legal representative.
    Kinship,
    /// Enrolment of a learner in an organisation.
    Membership,
    /// Work of a person in an organisation.
    Employment,
    /// Current mark.
    Mark,
    /// Mark for a period, a year or an examination.
    FinalMark,
    /// Missed lesson.
    Absence,
}

impl Kind {
    /// All kinds, in block order.
    pub const ALL: [Self; 13] = [
        Self::ManagementBody,
        Self::Organisation,
        Self::ClassGroup,
        Self::Person,
        Self::IdentityDocument,
        Self::Address,
        Self::Contact,
        Self::Kinship,
        Self::Membership,
        Self::Employment,
        Self::Mark,
        Self::FinalMark,
        Self::Absence,
    ];

    /// Local name of the record element, also the name stored in the database.
    pub fn element(self) -> &'static str {
        self.names().0
    }

    /// Local name of the block element that holds the records of this kind.
    pub fn block(self) -> &'static str {
        self.names().1
    }

    /// Russian name, as people see it.
    pub fn title(self) -> &'static str {
        self.names().2
    }

    /// The kind whose block has this local name.
    pub fn of_block(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.block() == name)
    }

    /// The kind whose record element has this local name.
    pub fn of_element(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.element() == name)
    }

    /// Place in [`Kind::ALL`], for arrays indexed by kind.
    pub fn index(self) -> usize {
        self as usize
    }

    /// Whether records of this kind are bound to one registry entity across suppliers
    /// (through `registration`), rather than owned by the supplier that sent them.
    pub fn is_matched(self) -> bool {
        matches!(self, Self::ManagementBody | Self::Organisation | Self::Person)
    }

    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::ManagementBody => ("ManagementBody", "ManagementBodies", "Органы управления"),
            Self::Organisation => ("Organisation", "Organisations", "Организации"),
            Self::ClassGroup => ("ClassGroup", "ClassGroups", "Классы и группы"),
            Self::Person => ("Person", "Persons", "Персоны"),
            Self::IdentityDocument => ("IdentityDocument", "IdentityDocuments", "Документы"),
            Self::Address => ("Address", "Addresses", "Адреса"),
            Self::Contact => ("Contact", "Contacts", "Контакты"),
            Self::Kinship => ("Kinship", "Kinships", "Родство"),
            Self::Membership => ("Membership", "Memberships", "Обучение в организациях"),
            Self::Employment => ("Employment", "Employments", "Трудовая деятельность"),
            Self::Mark => ("Mark", "Marks", "Текущие оценки"),
            Self::FinalMark => ("FinalMark", "FinalMarks", "Итоговые оценки"),
            Self::Absence => ("Absence", "Absences", "Пропуски"),
        }
    }
}
