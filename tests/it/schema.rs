//! The XSDs of the package format and the code give the same verdict on records.
//!
//! `schemas/package/1.0/<Kind>.xsd` and `common.xsd` follow from the tables of kinds
//! (`KONTINGENT_BLESS=1` writes them anew); the verdicts of the schemas are lxml's.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use chrono::NaiveDate;
use kontingent::codec::package::Reader;
use kontingent::model::dictionary::Dictionaries;
use kontingent::model::finding::Code;
use kontingent::model::kind::Kind;
use kontingent::model::package::NAMESPACE;
use kontingent::model::spec::{EXTERNAL_ID_LENGTH, FieldSpec, FieldType};
use kontingent::normalise;
use kontingent::normalise::draft::Rules;
use kontingent::normalise::lexical;

const FOLDER: &str = "schemas/package/1.0";

/// Codes of findings that the schema would have given too.
const OF_SCHEMA: [Code; 4] = [Code::Required, Code::Format, Code::Length, Code::RepeatedElement];

/// Name and definition of the simple type of a field.
fn simple_type(ty: FieldType) -> (String, String) {
    let token = |limit: usize| {
        format!(
            "<xs:restriction base=\"xs:token\"><xs:minLength value=\"1\"/>\
             <xs:maxLength value=\"{limit}\"/></xs:restriction>"
        )
    };
    let pattern = |pattern: &str| {
        format!(
            "<xs:restriction base=\"xs:token\"><xs:pattern value=\"{pattern}\"/></xs:restriction>"
        )
    };
    let numbers = |lengths: &[usize]| {
        // Written out: libxml2 miscounts alternatives with counters.
        let each: Vec<String> = lengths.iter().map(|&length| "[0-9]".repeat(length)).collect();
        pattern(&each.join("|"))
    };
    match ty {
        FieldType::Text(limit) => (format!("Text{limit}"), token(limit)),
        FieldType::PersonName => {
            let mut forbidden = String::new();
            for c in lexical::NAME_FORBIDDEN.chars() {
                match c {
                    '[' | ']' | '\\' | '^' => write!(forbidden, "\\{c}").unwrap(),
                    '&' => forbidden.push_str("&amp;"),
                    '<' => forbidden.push_str("&lt;"),
                    '"' => forbidden.push_str("&quot;"),
                    c => forbidden.push(c),
                }
            }
            let facets = format!(
                "<xs:restriction base=\"xs:token\"><xs:maxLength value=\"{}\"/>\
                 <xs:pattern value=\"[^0-9{forbidden}]+\"/></xs:restriction>",
                lexical::NAME_LENGTH
            );
            ("PersonName".to_owned(), facets)
        }
        FieldType::Date => {
            let facets = "<xs:restriction base=\"xs:date\">\
                <xs:pattern value=\"[0-9]{4}-[0-9]{2}-[0-9]{2}\"/></xs:restriction>";
            ("Date".to_owned(), facets.to_owned())
        }
        FieldType::Instant => {
            let facets = "<xs:restriction base=\"xs:dateTime\"><xs:pattern value=\"\
                [0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\
                (\\.[0-9]{1,9})?(Z|[+\\-](0[0-9]|1[0-3]):[0-5][0-9])\"/></xs:restriction>";
            ("Instant".to_owned(), facets.to_owned())
        }
        FieldType::Integer(from, to) => {
            let facets = format!(
                "<xs:restriction base=\"xs:integer\"><xs:minInclusive value=\"{from}\"/>\
                 <xs:maxInclusive value=\"{to}\"/>\
                 <xs:pattern value=\"0|-?[1-9][0-9]{{0,17}}\"/></xs:restriction>"
            );
            (format!("Integer{from}To{to}"), facets)
        }
        FieldType::Decimal => ("Decimal".to_owned(), pattern("[0-9]{1,9}(\\.[0-9]{1,4})?")),
        FieldType::Flag => ("Flag".to_owned(), pattern("true|false|1|0")),
        FieldType::Code(_) => ("Code".to_owned(), token(lexical::CODE_LENGTH)),
        FieldType::Codes(_) => ("Codes".to_owned(), token(lexical::CODES_LENGTH)),
        FieldType::Snils => {
            let digits = "[0-9]{3}-?[0-9]{3}-?[0-9]{3}[\\- ]?[0-9]{2}";
            ("Snils".to_owned(), pattern(digits))
        }
        FieldType::Inn => ("Inn".to_owned(), numbers(&[10, 12])),
        FieldType::Ogrn => ("Ogrn".to_owned(), numbers(&[13, 15])),
        FieldType::Kpp => ("Kpp".to_owned(), pattern("[0-9]{4}[0-9A-Z]{2}[0-9]{3}")),
        FieldType::Digits(lengths) => {
            let name: Vec<String> = lengths.iter().map(ToString::to_string).collect();
            (format!("Digits{}", name.join("Or")), numbers(lengths))
        }
        FieldType::SchoolYear => ("SchoolYear".to_owned(), pattern("[0-9]{4}/[0-9]{4}")),
        FieldType::Phone => ("Phone".to_owned(), token(lexical::PHONE_LENGTH)),
        FieldType::Email => {
            let facets = format!(
                "<xs:restriction base=\"xs:token\"><xs:maxLength value=\"{}\"/>\
                 <xs:pattern value=\"[^@ ]+@[^@ ]+\"/></xs:restriction>",
                lexical::EMAIL_LENGTH
            );
            ("Email".to_owned(), facets)
        }
        FieldType::Ref(_) => ("Reference".to_owned(), token(EXTERNAL_ID_LENGTH)),
    }
}

fn type_name(field: &FieldSpec) -> String {
    let (name, _) = simple_type(field.ty);
    if field.required { name } else { format!("{name}OrUnset") }
}

fn schema_of(kind: Kind) -> String {
    let spec = normalise::spec(kind);
    let element = kind.element();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    writeln!(
        out,
        "<xs:schema xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" xmlns=\"{NAMESPACE}\" \
         targetNamespace=\"{NAMESPACE}\" elementFormDefault=\"qualified\">\n  \
         <xs:include schemaLocation=\"common.xsd\"/>\n  \
         <xs:complexType name=\"{element}\">\n    \
         <xs:annotation><xs:documentation>{}</xs:documentation></xs:annotation>\n    <xs:all>\n      \
         <xs:element name=\"ExternalId\" type=\"ExternalId\"/>",
        kind.title()
    )
    .unwrap();
    for field in spec.fields {
        let rest = if field.required { "" } else { " minOccurs=\"0\" nillable=\"true\"" };
        let meaning = match field.ty {
            FieldType::Code(dictionary) | FieldType::Codes(dictionary) => dictionary.to_owned(),
            FieldType::Ref(to) => to.element().to_owned(),
            _ => String::new(),
        };
        let ty = type_name(field);
        write!(out, "      <xs:element name=\"{}\" type=\"{ty}\"{rest}", field.element).unwrap();
        if meaning.is_empty() {
            out.push_str("/>\n");
        } else {
            writeln!(
                out,
                "><xs:annotation><xs:documentation>{meaning}</xs:documentation></xs:annotation>\
                 </xs:element>"
            )
            .unwrap();
        }
    }
    out.push_str("    </xs:all>\n  </xs:complexType>\n</xs:schema>\n");
    out
}

fn common_schema() -> String {
    let mut types = BTreeSet::new();
    for kind in Kind::ALL {
        for field in normalise::spec(kind).fields {
            let (name, facets) = simple_type(field.ty);
            // A mandatory value that may be any text must not be the sign of clearing.
            let any = matches!(
                field.ty,
                FieldType::Text(_)
                    | FieldType::PersonName
                    | FieldType::Code(_)
                    | FieldType::Codes(_)
                    | FieldType::Phone
                    | FieldType::Ref(_)
            );
            let unset = format!(
                "<xs:simpleType name=\"{name}OrUnset\"><xs:union memberTypes=\"{name}Any Unset\"/>\
                 </xs:simpleType>"
            );
            if any {
                let base = facets.as_str();
                types.insert(format!("<xs:simpleType name=\"{name}Any\">{base}</xs:simpleType>"));
                types.insert(format!(
                    "<xs:simpleType name=\"{name}\"><xs:restriction base=\"{name}Any\">\
                     <xs:pattern value=\"[^\\-].*|-|-[^1].*|-1.+\"/></xs:restriction>\
                     </xs:simpleType>"
                ));
                types.insert(unset);
            } else {
                types.insert(format!("<xs:simpleType name=\"{name}\">{facets}</xs:simpleType>"));
                types.insert(unset.replace("Any Unset", " Unset"));
            }
        }
    }
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<xs:schema \
         xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" xmlns=\"{NAMESPACE}\" \
         targetNamespace=\"{NAMESPACE}\" elementFormDefault=\"qualified\">\n  \
         <xs:simpleType name=\"ExternalId\"><xs:annotation><xs:documentation>Идентификатор записи \
         у поставщика</xs:documentation></xs:annotation><xs:restriction base=\"xs:token\">\
         <xs:minLength value=\"1\"/><xs:maxLength value=\"{EXTERNAL_ID_LENGTH}\"/>\
         </xs:restriction></xs:simpleType>\n  \
         <xs:simpleType name=\"Unset\"><xs:annotation><xs:documentation>Очистить значение; то же, \
         что xsi:nil</xs:documentation></xs:annotation><xs:restriction base=\"xs:token\">\
         <xs:enumeration value=\"-1\"/></xs:restriction></xs:simpleType>\n"
    );
    for ty in types {
        writeln!(out, "  {ty}").unwrap();
    }
    out.push_str("</xs:schema>\n");
    out
}

fn same_as_file(name: &str, text: &str) {
    let path = Path::new(FOLDER).join(name);
    if std::env::var_os("KONTINGENT_BLESS").is_some() {
        fs::create_dir_all(FOLDER).unwrap();
        fs::write(&path, text).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == text,
        "{name} follows from the tables"
    );
}

#[test]
fn the_schemas_follow_from_the_tables_of_kinds() {
    same_as_file("common.xsd", &common_schema());
    for kind in Kind::ALL {
        same_as_file(&format!("{}.xsd", kind.element()), &schema_of(kind));
    }
}

/// A good value of a field.
fn good(ty: FieldType) -> String {
    match ty {
        FieldType::PersonName => "Ёлкина-Петрова".to_owned(),
        FieldType::Date => "2024-02-29".to_owned(),
        FieldType::Instant => "2026-08-31T10:00:00.5+03:00".to_owned(),
        FieldType::Integer(from, _) => from.to_string(),
        FieldType::Decimal => "1.5".to_owned(),
        FieldType::Flag => "true".to_owned(),
        FieldType::Snils => "112-233-445 95".to_owned(),
        FieldType::Inn => "7707083893".to_owned(),
        FieldType::Ogrn => "1027700132195".to_owned(),
        FieldType::Kpp => "5902AB001".to_owned(),
        FieldType::Digits(lengths) => "1".repeat(lengths[0]),
        FieldType::SchoolYear => "2026/2027".to_owned(),
        FieldType::Email => "a@b".to_owned(),
        _ => "1".to_owned(),
    }
}

/// Values, good and bad, that every type is tried with.
fn values(ty: FieldType) -> Vec<String> {
    let mut all: Vec<String> = [
        "",
        " ",
        "-1",
        " -1 ",
        "-",
        "-12",
        "0",
        "1",
        "-0",
        "+1",
        "01",
        "1.5",
        "1,5",
        "1e9",
        "NaN",
        "true",
        "TRUE",
        "2023-02-29",
        "2024-02-29",
        " 2024-02-29\n",
        "2024-02-29Z",
        "0000-01-01",
        "2024-13-01",
        "24-01-01",
        "02024-01-01",
        "2024-02-29T10:00:00",
        "2024-02-29T10:00:00Z",
        "2024-02-29T24:00:00Z",
        "2024-02-29T23:59:60Z",
        "2024-02-29T10:00:00+14:00",
        "2024-02-29T10:00:00-13:59",
        "2024-02-29t10:00:00z",
        "2024-02-29T10:00:00.Z",
        "2024-02-29 10:00:00Z",
        "2024-02-29T10:00:00.1234567890Z",
        "2024-02-29T10:00Z",
        "11223344595",
        "112-233-44595",
        "112 233 445 95",
        "112-233-445  95",
        "١١٢٢٣٣٤٤٥٩٥",
        "7707083893",
        "770708389",
        "500100732259",
        "1027700132195",
        "304500116000157",
        "59020100x",
        "590201001",
        "5902a1001",
        "2026/2027",
        "2026-2027",
        "26/27",
        "a@b",
        "a@b@c",
        "@b",
        "a b@c",
        "Ёлкина",
        "O'Neill",
        "Иванов1",
        "a<b",
        "a&b",
        "a|b",
        "\"a\"",
        "a\u{200B}b",
        "🙂",
        "a_b",
        "[x]",
        "back\\slash",
        "tab\there",
        "~",
        "^",
        "(a)",
        "é",
        "e\u{301}",
    ]
    .iter()
    .map(ToString::to_string)
    .collect();
    for length in [30, 36, 50, 64, 65, 100, 101, 254, 255, 300, 301, 500, 501, 1000, 1001] {
        all.push("я".repeat(length));
    }
    all.push(good(ty));
    all
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Records of a kind: a good one, and one for each way to break each field.
fn records(kind: Kind) -> Vec<String> {
    let spec = normalise::spec(kind);
    let element = kind.element();
    let base = |skip: &str| {
        let mut fields = String::new();
        for field in spec.fields.iter().filter(|field| field.required && field.element != skip) {
            let value = escape(&good(field.ty));
            write!(fields, "<{0}>{value}</{0}>", field.element).unwrap();
        }
        fields
    };
    let record = |fields: &str| format!("<{element}>{fields}</{element}>");
    let id = "<ExternalId>x</ExternalId>";
    let whole = base("");
    let mut all = vec![
        record(&format!("{id}{whole}")),
        record(&format!("{whole}{id}")),
        record(&whole),
        record(id),
        record(&format!("<ExternalId/>{whole}")),
        record(&format!("<ExternalId xsi:nil=\"true\"/>{whole}")),
        record(&format!("<ExternalId>{}</ExternalId>{whole}", "я".repeat(100))),
        record(&format!("<ExternalId>{}</ExternalId>{whole}", "я".repeat(101))),
        record(&format!("{id}{id}{whole}")),
        record(&format!("{id}{whole}text")),
        record(&format!("{id}{whole}<x:Foreign xmlns:x=\"urn:x\"/>")),
        format!("<{element} note=\"1\">{id}{whole}</{element}>"),
    ];
    for field in spec.fields {
        let (name, value) = (field.element, escape(&good(field.ty)));
        let rest = base(name);
        let mut push = |text: String| all.push(record(&format!("{id}{rest}{text}")));
        push(String::new());
        push(format!("<{name}>{value}</{name}><{name}>{value}</{name}>"));
        push(format!("<{name} xsi:nil=\"true\"/>"));
        push(format!("<{name} xsi:nil=\"1\"></{name}>"));
        // On a mandatory field the schema forbids even this; the code lets it pass.
        if !field.required {
            push(format!("<{name} xsi:nil=\"false\">{value}</{name}>"));
        }
        push(format!("<{name} xsi:nil=\"true\">{value}</{name}>"));
        push(format!("<{name} lang=\"ru\">{value}</{name}>"));
        push(format!("<{name}><b>{value}</b></{name}>"));
        push(format!("<{name}><![CDATA[{value}]]></{name}>"));
        push(format!("<x:{name} xmlns:x=\"urn:x\">{value}</x:{name}>"));
        for value in values(field.ty) {
            push(format!("<{name}>{}</{name}>", escape(&value)));
        }
    }
    all
}

fn package(kind: Kind, record: &str) -> String {
    let block = kind.block();
    format!(
        "<Package xmlns=\"{NAMESPACE}\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
         Id=\"p\"><Header><PackageId>00000000-0000-0000-0000-000000000001</PackageId>\
         <Supplier>S</Supplier><SchemaVersion>1.0</SchemaVersion><Type>T</Type><Mode>ALL</Mode>\
         <Scope>REGION</Scope><SnapshotAt>2026-09-01T00:00:00Z</SnapshotAt><Counts>\
         <Count block=\"{block}\">1</Count></Counts></Header><Data><{block}>{record}</{block}>\
         </Data></Package>"
    )
}

fn code_accepts(kind: Kind, record: &str, rules: &Rules) -> bool {
    let package = package(kind, record);
    let mut reader = Reader::new(package.as_bytes());
    let raw = reader.next_record().unwrap().unwrap();
    let findings = normalise::record(&raw, rules).findings;
    !findings.iter().any(|finding| OF_SCHEMA.contains(&finding.code))
}

/// The verdict of `package.xsd` on each package, by lxml.
const ORACLE: &str = "
import sys
from lxml import etree
schema = etree.XMLSchema(etree.parse(sys.argv[1]))
for line in open(sys.argv[2], encoding='utf-8'):
    text = line.rstrip('\\n').replace('\\u2424', '\\n')
    print('1' if schema.validate(etree.fromstring(text)) else '0')
";

#[test]
fn code_and_schema_give_the_same_verdict() {
    let python = Path::new("target/python/bin/python");
    assert!(python.exists(), "make it with deploy/dev/python");
    let rules = Rules {
        dictionaries: Arc::new(Dictionaries::built_in()),
        supplier: 1,
        versions: Vec::new(),
        strict_checksums: false,
        today: NaiveDate::from_ymd_opt(2026, 9, 1).unwrap(),
    };
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("packages");
    let mut tried = Vec::new();
    let mut lines = String::new();
    for kind in Kind::ALL {
        for record in records(kind) {
            let package = package(kind, &record).replace('\n', "\u{2424}");
            writeln!(lines, "{package}").unwrap();
            tried.push((kind, record));
        }
    }
    fs::write(&list, lines).unwrap();
    let schema = Path::new(FOLDER).join("package.xsd");
    let oracle = Command::new(python).args(["-c", ORACLE]).arg(schema).arg(&list).output().unwrap();
    assert!(oracle.status.success(), "{}", String::from_utf8_lossy(&oracle.stderr));
    let verdicts: Vec<bool> =
        String::from_utf8(oracle.stdout).unwrap().lines().map(|line| line == "1").collect();
    assert_eq!(verdicts.len(), tried.len());
    let mut broken = Vec::new();
    for ((kind, record), schema) in tried.iter().zip(verdicts) {
        let code = code_accepts(*kind, record, &rules);
        if code != schema {
            broken.push(format!("code {code}, schema {schema}: {record}"));
        }
    }
    let first: Vec<&String> = broken.iter().take(40).collect();
    assert!(broken.is_empty(), "{} of {}: {first:#?}", broken.len(), tried.len());
}
