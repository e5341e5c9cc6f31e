//! The packages of the benchmark: a diary's learners, each with document, address, telephone,
//! membership and two marks. Student `n` is the same in every run.

use chrono::{DateTime, Days, NaiveDate, SubsecRound, Utc};
use uuid::Uuid;

use crate::codec::package::{SCHEMA_VERSION, Writer};
use crate::model::ids::PackageId;
use crate::model::kind::Kind;
use crate::model::package::{Header, Mode, Scope};

/// Element names and values of one record.
type Fields = Vec<(&'static str, String)>;

/// Records that one student gives.
pub const RECORDS_PER_STUDENT: u64 = 7;

/// Students of one class, and classes of one school.
const CLASS: u64 = 25;
const SCHOOL: u64 = 20 * CLASS;

const FAMILIES: [&str; 16] = [
    "Абрамов",
    "Беляев",
    "Воробьёв",
    "Громов",
    "Дмитриев",
    "Ершов",
    "Жуков",
    "Зайцев",
    "Ильин",
    "Комаров",
    "Лебедев",
    "Морозов",
    "Никитин",
    "Орлов",
    "Павлов",
    "Романов",
];
const NAMES: [&str; 12] = [
    "Александр",
    "Борис",
    "Виктор",
    "Григорий",
    "Дмитрий",
    "Егор",
    "Захар",
    "Иван",
    "Кирилл",
    "Лев",
    "Максим",
    "Николай",
];
const FATHERS: [&str; 8] = [
    "Андреевич",
    "Борисович",
    "Викторович",
    "Георгиевич",
    "Дмитриевич",
    "Егорович",
    "Иванович",
    "Петрович",
];
/// Two-syllable endings that make families of a million students differ.
const SYLLABLES: [&str; 20] = [
    "ба", "ве", "ги", "до", "жу", "за", "ке", "ли", "мо", "ну", "па", "ре", "си", "то", "фу", "ха",
    "це", "чи", "шо", "ща",
];
const SUBJECTS: [&str; 5] = ["Математика", "Русский язык", "История", "Физика", "География"];

/// A header for this supplier, without counts.
pub fn header(supplier: &str, number: u64, snapshot_at: DateTime<Utc>) -> Header {
    Header {
        package_id: PackageId(Uuid::from_u128(
            0x6b6f_6e74_0000_4000_8000_0000_0000_0000 | u128::from(number),
        )),
        supplier: supplier.to_owned(),
        schema_version: SCHEMA_VERSION.to_owned(),
        package_type: "DIARY.ALL".to_owned(),
        mode: Mode::Updated,
        scope: Scope::Region,
        sequence: None,
        previous_sequence: None,
        snapshot_at: snapshot_at.trunc_subsecs(0),
        school_year: Some("2026/2027".to_owned()),
        dictionaries: Vec::new(),
        counts: Vec::new(),
        test: false,
        correlation: None,
    }
}

/// The package of schools and classes that these students need, unsigned.
///
/// # Errors
/// Never on a `Vec`; the writer's signature has it.
pub fn schools(mut header: Header, students: std::ops::Range<u64>) -> std::io::Result<Vec<u8>> {
    let schools = students.start / SCHOOL..students.end.div_ceil(SCHOOL);
    let classes = students.start / CLASS..students.end.div_ceil(CLASS);
    let count = |range: &std::ops::Range<u64>| range.end - range.start;
    header.counts =
        vec![(Kind::Organisation, count(&schools)), (Kind::ClassGroup, count(&classes))];
    let mut writer = Writer::new(Vec::new(), "package", &header)?;
    for n in schools {
        record(&mut writer, Kind::Organisation, &school(n))?;
    }
    for n in classes {
        record(&mut writer, Kind::ClassGroup, &class(n))?;
    }
    writer.finish()
}

/// A package of these students with nothing but their enrolment, unsigned.
///
/// # Errors
/// When writing fails.
pub fn enrolments<W: std::io::Write>(
    out: W,
    mut header: Header,
    range: std::ops::Range<u64>,
) -> std::io::Result<W> {
    let count = range.end - range.start;
    header.counts = vec![(Kind::Person, count), (Kind::Membership, count)];
    let mut writer = Writer::new(out, "package", &header)?;
    for n in range.clone() {
        record(&mut writer, Kind::Person, &person(n))?;
    }
    for n in range {
        record(&mut writer, Kind::Membership, &membership(n))?;
    }
    writer.finish()
}

/// A package of these students, unsigned.
///
/// # Errors
/// When writing fails.
pub fn students<W: std::io::Write>(
    out: W,
    mut header: Header,
    range: std::ops::Range<u64>,
) -> std::io::Result<W> {
    let count = range.end - range.start;
    header.counts = [
        (Kind::Person, count),
        (Kind::IdentityDocument, count),
        (Kind::Address, count),
        (Kind::Contact, count),
        (Kind::Membership, count),
        (Kind::Mark, 2 * count),
    ]
    .to_vec();
    let mut writer = Writer::new(out, "package", &header)?;
    let blocks: [fn(u64) -> Fields; 5] = [person, document, address, contact, membership];
    let kinds =
        [Kind::Person, Kind::IdentityDocument, Kind::Address, Kind::Contact, Kind::Membership];
    for (kind, block) in kinds.into_iter().zip(blocks) {
        for n in range.clone() {
            record(&mut writer, kind, &block(n))?;
        }
    }
    for n in range {
        for mark in mark_pair(n) {
            record(&mut writer, Kind::Mark, &mark)?;
        }
    }
    writer.finish()
}

/// The insurance number of student `n`, 11 digits, valid.
pub fn snils(n: u64) -> String {
    let number = 100_000_000 + n % 800_000_000;
    let digits = format!("{number:09}");
    let sum: u64 =
        digits.bytes().zip([9, 8, 7, 6, 5, 4, 3, 2, 1]).map(|(d, w)| u64::from(d - b'0') * w).sum();
    format!("{digits}{:02}", sum % 101 % 100)
}

fn inn(nine: u64) -> String {
    let digits = format!("{nine:09}");
    let weights = [2, 4, 10, 3, 5, 9, 4, 6, 8];
    let sum: u64 = digits.bytes().zip(weights).map(|(d, w)| u64::from(d - b'0') * w).sum();
    format!("{digits}{}", sum % 11 % 10)
}

fn record<W: std::io::Write>(
    writer: &mut Writer<W>,
    kind: Kind,
    fields: &Fields,
) -> std::io::Result<()> {
    writer.record(kind, fields.iter().map(|(name, value)| (*name, Some(value.as_str()))))
}

fn school(n: u64) -> Fields {
    vec![
        ("ExternalId", format!("s{n}")),
        ("FullName", format!("Средняя общеобразовательная школа № {n}")),
        ("Type", "12".to_owned()),
        ("Status", "1".to_owned()),
        ("Inn", inn(590_000_000 + n)),
    ]
}

fn class(n: u64) -> Fields {
    let parallel = n % 11 + 1;
    vec![
        ("ExternalId", format!("c{n}")),
        ("Organisation", format!("s{}", n * CLASS / SCHOOL)),
        ("SchoolYear", "2026/2027".to_owned()),
        ("Name", format!("{parallel} А")),
        ("Parallel", parallel.to_string()),
    ]
}

fn pick(list: &[&'static str], n: u64) -> &'static str {
    let length = u64::try_from(list.len()).unwrap_or(1);
    list[usize::try_from(n % length).unwrap_or(0)]
}

fn born(n: u64) -> NaiveDate {
    NaiveDate::from_ymd_opt(2010, 1, 1).unwrap_or_default() + Days::new(n * 7 % 3650)
}

fn person(n: u64) -> Fields {
    let spread = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let family = format!(
        "{}{}{}",
        pick(&FAMILIES, spread),
        pick(&SYLLABLES, spread >> 8),
        pick(&SYLLABLES, spread >> 16)
    );
    vec![
        ("ExternalId", format!("p{n}")),
        ("LastName", family),
        ("FirstName", pick(&NAMES, spread >> 24).to_owned()),
        ("MiddleName", pick(&FATHERS, spread >> 30).to_owned()),
        ("Sex", "1".to_owned()),
        ("BirthDate", born(n).to_string()),
        ("BirthPlace", format!("Пермский край, город Пермь, родильный дом № {}", n % 20 + 1)),
        ("Snils", snils(n)),
        ("Citizenship", "1".to_owned()),
    ]
}

fn document(n: u64) -> Fields {
    vec![
        ("ExternalId", format!("d{n}")),
        ("Person", format!("p{n}")),
        ("Type", "11".to_owned()),
        ("Series", format!("II-{}", pick(&["ВГ", "ДЖ", "КЛ", "МН"], n / 1_000_000))),
        ("Number", format!("{:06}", n % 1_000_000)),
        ("Issuer", "Отдел записи актов гражданского состояния города Перми".to_owned()),
        ("IssuedOn", (born(n) + Days::new(20)).to_string()),
    ]
}

fn address(n: u64) -> Fields {
    let (street, house, flat) = (n % 300 + 1, n % 97 + 1, n % 140 + 1);
    vec![
        ("ExternalId", format!("a{n}")),
        ("Person", format!("p{n}")),
        ("Kind", "1".to_owned()),
        ("Text", format!("614000, г. Пермь, ул. {street}-я Садовая, д. {house}, кв. {flat}")),
        ("PostalCode", "614000".to_owned()),
        ("House", house.to_string()),
        ("Flat", flat.to_string()),
    ]
}

fn contact(n: u64) -> Fields {
    vec![
        ("ExternalId", format!("t{n}")),
        ("Person", format!("p{n}")),
        ("Kind", "2".to_owned()),
        ("Value", format!("+7 912 {:03}-{:02}-{:02}", n % 1000, n / 1000 % 100, n / 100_000 % 100)),
    ]
}

fn membership(n: u64) -> Fields {
    vec![
        ("ExternalId", format!("m{n}")),
        ("Person", format!("p{n}")),
        ("Organisation", format!("s{}", n / SCHOOL)),
        ("ClassGroup", format!("c{}", n / CLASS)),
        ("SchoolYear", "2026/2027".to_owned()),
        ("FromDate", "2026-09-01".to_owned()),
    ]
}

fn mark_pair(n: u64) -> [Fields; 2] {
    [0, 1].map(|which| {
        vec![
            ("ExternalId", format!("k{n}-{which}")),
            ("Person", format!("p{n}")),
            ("Subject", pick(&SUBJECTS, n + which).to_owned()),
            ("LessonDate", format!("2026-10-{:02}", n % 28 + 1)),
            ("SetAt", format!("2026-10-{:02}T09:00:00Z", n % 28 + 1)),
            ("Value", (n % 4 + 2).to_string()),
            ("System", "1".to_owned()),
        ]
    })
}
