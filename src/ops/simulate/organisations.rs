//! Records of management bodies, organisations and classes.

use std::borrow::Cow;

use chrono::NaiveDate;

use crate::model::kind::Kind;
use crate::ops::simulate::names::{self, TOWN_COUNT};
use crate::ops::simulate::numbers;
use crate::ops::simulate::people::{Identity, Who};
use crate::ops::simulate::record::Record;
use crate::ops::simulate::region::{Class, Institution, Region, Sort};
use crate::ops::simulate::supplier::Supplier;

impl Supplier {
    /// Its id of a management body; 0 is the regional one, then the districts.
    pub fn body_id(self, body: u64) -> String {
        format!("{}B{body}", self.prefix())
    }

    /// Its id of an organisation.
    pub fn organisation_id(self, institution: Institution) -> String {
        let sort = match institution.sort {
            Sort::School => 'S',
            Sort::Kindergarten => 'K',
            Sort::ArtsHouse => 'H',
        };
        format!("{}{sort}{}", self.prefix(), institution.number)
    }

    /// Its id of a class.
    pub fn class_id(self, class: Class) -> String {
        let letter = ['A', 'B'][usize::from(class.letter != 0)];
        format!("{}-{}{letter}", self.organisation_id(class.institution), class.level)
    }
}

impl Region {
    /// A management body: 0 is the regional one, the districts follow.
    pub fn body_record(&self, supplier: Supplier, body: u64) -> Record {
        let town = self.town(body);
        let (name, level, parent) = match body.checked_sub(1) {
            None => ("Министерство образования Северогорской области".to_owned(), "1", None),
            Some(district) => {
                let number = numbered(district / TOWN_COUNT);
                let name = format!("Управление образования администрации округа {town}{number}");
                (name, "2", Some(supplier.body_id(0)))
            }
        };
        Record::new(Kind::ManagementBody, supplier.body_id(body))
            .set("FullName", name)
            .set("Level", level)
            .set_some("Parent", parent)
            .set("Inn", numbers::inn(9_000_000 + body))
            .set("Ogrn", numbers::ogrn(9_000_000 + body))
            .set("Oktmo", oktmo(body))
            .set("Locality", format!("г. {town}"))
            .set("LegalAddress", format!("г. {town}, ул. Ленина, д. {}", body + 1))
            .set("Phone", format!("+7 900 100-{:02}-{:02}", body / 100 % 100, body % 100))
            .set("Status", "1")
    }

    /// A school, a kindergarten or a house of arts.
    pub fn organisation_record(&self, supplier: Supplier, institution: Institution) -> Record {
        let number = institution.number + 1;
        let (kind, short, of_type, base) = match institution.sort {
            Sort::School => ("Средняя общеобразовательная школа", "МБОУ «СОШ", "12", 0),
            Sort::Kindergarten => ("Детский сад", "МБДОУ «Детский сад", "11", 3_000_000),
            Sort::ArtsHouse => ("Дом детского творчества", "МБУ ДО «ДДТ", "15", 6_000_000),
        };
        let index = base + institution.number;
        let body = self.district(institution) + 1;
        let town = self.town(body);
        let year = i32::try_from(self.draw("founded", index, 1930..2015)).unwrap_or(1980);
        let full = format!(
            "Муниципальное бюджетное образовательное учреждение «{kind} № {number}» г. {town}"
        );
        Record::new(Kind::Organisation, supplier.organisation_id(institution))
            .set("FullName", full)
            .set("ShortName", format!("{short} № {number}»"))
            .set("Type", of_type)
            .set("Status", "1")
            .set("Structure", "1")
            .set("Inn", numbers::inn(index))
            .set("Kpp", "990101001")
            .set("Ogrn", numbers::ogrn(index))
            .set("Oktmo", oktmo(body))
            .set("FounderKind", "3")
            .set("ManagementBody", supplier.body_id(body))
            .set_some("FoundedOn", NaiveDate::from_ymd_opt(year, 9, 1).map(|day| day.to_string()))
            .set("Locality", format!("г. {town}"))
            .set("LegalAddress", self.house(index + 1_000_000, body))
            .set(
                "Phone",
                format!(
                    "+7 900 2{:02}-{:02}-{:02}",
                    index / 10_000 % 100,
                    index / 100 % 100,
                    index % 100
                ),
            )
            .set("Email", format!("org{index}@edu.example"))
            .set_some("Director", self.director(institution))
            .set("Language", "Русский")
    }

    /// A class or group of the school year.
    pub fn class_record(&self, supplier: Supplier, class: Class) -> Record {
        let letter = ["А", "Б"][usize::from(class.letter != 0)];
        let record = Record::new(Kind::ClassGroup, supplier.class_id(class))
            .set("Organisation", supplier.organisation_id(class.institution))
            .set("SchoolYear", self.school_year());
        if class.institution.sort == Sort::Kindergarten {
            return record
                .set("Name", format!("Группа {}–{} лет {letter}", class.level, class.level + 1))
                .set("Parallel", "0")
                .set("Kind", "2")
                .set("Programme", "11")
                .set("Mode", "13")
                .set("Capacity", "25")
                .set("AgeFrom", class.level.to_string())
                .set("AgeTo", (class.level + 1).to_string());
        }
        record
            .set("Name", format!("{} {letter}", class.level))
            .set("Parallel", class.level.to_string())
            .set("Letter", letter)
            .set("Kind", "1")
            .set("Form", "11")
            .set("Shift", if class.letter == 0 { "1" } else { "2" })
            .set("Programme", programme(class.level))
            .set("Capacity", "25")
    }

    /// Town of a management body.
    pub fn town(&self, body: u64) -> &'static str {
        names::town(body.saturating_sub(1))
    }

    /// Address of a house, without flat, in the town of a management body.
    pub fn house(&self, index: u64, body: u64) -> String {
        let street = names::street(self.hash("street", index));
        let house = self.draw("house", index, 1..180);
        format!("г. {}, ул. {street}, д. {house}", self.town(body))
    }

    fn director(&self, institution: Institution) -> Option<String> {
        let index = self.staff_of(institution).next()?;
        let Identity { last, first, middle, .. } = self.identity(Who::Employee(index));
        Some(format!("{last} {first} {middle}"))
    }
}

/// Programme of a parallel.
pub fn programme(level: u64) -> &'static str {
    match level {
        0..=4 => "12",
        5..=9 => "13",
        _ => "14",
    }
}

fn oktmo(body: u64) -> String {
    format!("99{:03}000", body * 3 % 1000)
}

fn numbered(cycle: u64) -> Cow<'static, str> {
    if cycle == 0 { "".into() } else { format!(" № {}", cycle + 1).into() }
}
