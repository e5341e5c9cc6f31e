//! The package format `urn:kontingent:package:1.0`: reading, watching and writing it.
//!
//! [`Watch`] follows the events of the pass that verifies the signature; [`Reader`] yields the
//! records afterwards from the same bytes; both judge the structure by one [`Outline`].

mod header;
mod outline;
mod reader;
mod watch;
mod writer;

pub use outline::{Outline, Step};
pub use reader::Reader;
pub use watch::{Seen, Watch};
pub use writer::Writer;

/// Version of the format, as `SchemaVersion` has it.
pub const SCHEMA_VERSION: &str = "1.0";

/// Namespace of XML signatures.
pub const SIGNATURE_NAMESPACE: &str = "http://www.w3.org/2000/09/xmldsig#";

/// Namespace of `xsi:nil`.
pub const XSI_NAMESPACE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// Largest record, in bytes of names and texts.
pub const RECORD_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;
    use crate::codec::xml::{self, Event, Limits};
    use crate::model::ids::PackageId;
    use crate::model::kind::Kind;
    use crate::model::package::{Header, Mode, Scope};
    use crate::model::record::RawValue;
    use crate::model::refusal::{Refusal, RefusalCode};

    fn header() -> Header {
        Header {
            package_id: PackageId(Uuid::from_u128(7)),
            supplier: "DIARY0001".to_owned(),
            schema_version: SCHEMA_VERSION.to_owned(),
            package_type: "DIARY.PERSONS".to_owned(),
            mode: Mode::Updated,
            scope: Scope::Organisation("ш-1".to_owned()),
            sequence: Some(2),
            previous_sequence: Some(1),
            snapshot_at: DateTime::from_timestamp(1_788_220_800, 0).unwrap(),
            school_year: Some("2026/2027".to_owned()),
            dictionaries: vec![("citizenship".to_owned(), "uftt-b2".to_owned())],
            counts: vec![(Kind::Person, 1), (Kind::Contact, 2)],
            test: false,
            correlation: Some("разговор & 1".to_owned()),
        }
    }

    fn package() -> String {
        let mut writer = Writer::new(Vec::new(), "p", &header()).unwrap();
        let person = [("ExternalId", Some("1")), ("LastName", Some("<Ёлкин>")), ("Snils", None)];
        writer.record(Kind::Person, person).unwrap();
        writer.record(Kind::Contact, [("ExternalId", Some("2"))]).unwrap();
        writer.record(Kind::Contact, [("ExternalId", Some("3"))]).unwrap();
        String::from_utf8(writer.finish().unwrap()).unwrap()
    }

    fn watch(package: &str) -> Result<Seen, Refusal> {
        let mut reader = xml::Reader::new(package.as_bytes(), Limits::default());
        let mut watch = Watch::new();
        loop {
            let (event, at) = reader.step()?;
            if matches!(event, Event::Eof) {
                return watch.finish();
            }
            watch.event(&event, || at.place())?;
        }
    }

    fn read(package: &str) -> Result<usize, Refusal> {
        let mut reader = Reader::new(package.as_bytes());
        reader.header()?;
        let mut records = 0;
        while reader.next_record()?.is_some() {
            records += 1;
        }
        Ok(records)
    }

    #[test]
    fn what_was_written_is_read_and_seen() {
        let package = package();
        let seen = watch(&package).unwrap();
        assert_eq!((seen.header, seen.records), (header(), 3));
        let mut reader = Reader::new(package.as_bytes());
        assert_eq!(*reader.header().unwrap(), header());
        let person = reader.next_record().unwrap().unwrap();
        assert_eq!((person.external_id(), person.number), ("1", 1));
        let name = &person.field("LastName").unwrap().value;
        assert_eq!(*name, RawValue::Text("<Ёлкин>".to_owned()));
        assert_eq!(person.field("Snils").unwrap().value, RawValue::Nil);
        assert_eq!(reader.next_record().unwrap().unwrap().kind, Kind::Contact);
        assert_eq!(reader.next_record().unwrap().unwrap().number, 3);
        assert_eq!(reader.next_record().unwrap(), None);
    }

    #[test]
    fn a_broken_structure_is_refused_with_its_code() {
        let header = "</Header>";
        for (what, by, code) in [
            (":package:1.0", ":package:9.0", RefusalCode::SchemaVersion),
            (":package:1.0", ":other:1.0", RefusalCode::PackageRoot),
            (" Id=\"p\"", "", RefusalCode::PackageRoot),
            (">1.0<", ">1.1<", RefusalCode::SchemaVersion),
            ("<Supplier>DIARY0001</Supplier>", "", RefusalCode::PackageHeader),
            ("UPDATED", "SOME", RefusalCode::PackageHeader),
            ("ORG:ш-1", "ORG:", RefusalCode::PackageHeader),
            ("<Mode>", "<Test>1</Test><Mode>", RefusalCode::PackageHeader),
            (header, "<New/></Header>", RefusalCode::PackageHeader),
            (header, "text</Header>", RefusalCode::PackageHeader),
            ("Persons>", "Peoples>", RefusalCode::PackageBlock),
            ("<Persons>", "<Persons><Contact/>", RefusalCode::PackageBlock),
            ("</Data>", "<Persons></Persons></Data>", RefusalCode::PackageBlock),
            ("</Data>", "</Data><Data></Data>", RefusalCode::PackageBlock),
            ("<Persons>", "<Persons>text", RefusalCode::PackageBlock),
            (">2</Count>", ">3</Count>", RefusalCode::CountMismatch),
            ("</Contacts>", "<Contact/></Contacts>", RefusalCode::CountMismatch),
        ] {
            let broken = package().replace(what, by);
            let refusal = watch(&broken).unwrap_err();
            assert_eq!(refusal.code, code, "{what} -> {by}");
            assert!(refusal.place.is_some(), "{what} -> {by}");
            assert_eq!(read(&broken).unwrap_err().code, code, "{what} -> {by}");
        }
    }

    #[test]
    fn a_record_that_is_too_large_is_told_and_passed_over() {
        let long = "<Note>".to_owned() + &"x".repeat(600_000) + "</Note>";
        let inside = format!("<ExternalId>2</ExternalId>{long}{long}");
        let package = package().replace("<ExternalId>2</ExternalId>", &inside);
        let mut reader = Reader::new(package.as_bytes());
        reader.next_record().unwrap();
        let large = reader.next_record().unwrap().unwrap();
        assert_eq!(large.external_id(), "2");
        assert_eq!(large.fields.last().unwrap().value, RawValue::Oversize);
        assert_eq!(reader.next_record().unwrap().unwrap().external_id(), "3");
    }
}
