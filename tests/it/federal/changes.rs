//! GetChangedSince: a copy built from it alone equals the registry, whoever writes meanwhile.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use kontingent::args;
use kontingent::codec::federal;
use kontingent::codec::node::Node;
use kontingent::codec::soap;
use kontingent::exchange::apply::{Batch, Registry};
use kontingent::model::clock::Clock;
use kontingent::model::federal::{Answer, KINDS, Page};
use kontingent::model::ids::{EntityId, PackageId, PackageNo, SupplierId};
use kontingent::model::kind::Kind;
use kontingent::model::package::{Header, Mode, Scope};
use kontingent::model::record::{EXTERNAL_ID, RawField, RawRecord, RawValue};
use kontingent::normalise;
use kontingent::storage::db::DbError;
use kontingent::storage::supplier::Supplier;
use kontingent::trust::Signer;
use kontingent::trust::authority::KeyKind;
use uuid::Uuid;

use super::message::{Message, content, new_id};
use super::world::{Answered, World, find, on_both};

/// Packages each writer applies, and persons in a package.
const PACKAGES: usize = 30;
const PERSONS: usize = 4;

/// A federal copy: attributes and fields by kind and id.
type Copy = BTreeMap<(String, i64), Vec<(String, String)>>;

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_built_from_pages_alone_equals_the_registry_while_writers_write() {
    on_both(async |world| {
        let caller = world.system("FNS00001", KeyKind::P256).await;
        let writers = async {
            tokio::join!(write(world, 1), write(world, 2));
            finish_some(world).await;
        };
        let mut writers = std::pin::pin!(writers);
        let (mut copy, mut cursor, mut written) = (Copy::new(), String::new(), None);
        loop {
            let page = tokio::select! {
                biased;
                page = next_page(world, &caller, &cursor, 37) => page,
                () = &mut writers, if written.is_none() => {
                    written = Some(Instant::now());
                    continue;
                }
            };
            assert!(find(&page, "Changes").children.len() <= 37);
            copy.extend(entities(&page));
            cursor = find(&page, "NextCursor").text.clone();
            let Some(since) = written else { continue };
            if find(&page, "More").text == "false" {
                let registry = registry(world).await;
                // Changes are told once every transaction before them has ended.
                if copy == registry || since.elapsed() > Duration::from_secs(30) {
                    assert_eq!(copy.len(), registry.len());
                    assert_eq!(copy, registry);
                    break;
                }
            }
        }
        let kinds: std::collections::BTreeSet<&str> =
            copy.keys().map(|(kind, _)| &**kind).collect();
        assert_eq!(kinds.len(), KINDS.len(), "{kinds:?}");
        let has = |name: &str| copy.values().flatten().any(|(attribute, _)| attribute == name);
        assert!(has("@MergedInto") && has("@Closed"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_tells_only_the_kinds_asked_for_and_its_cursor_serves_only_them() {
    on_both(async |world| {
        let caller = world.system("FNS00001", KeyKind::P256).await;
        let stranger = world.system("PFR00001", KeyKind::P256).await;
        write(world, 1).await;
        let kinds = "<Kinds>Organisation Person</Kinds>";
        let page = ask(world, &caller, kinds).await.unwrap();
        let told = entities(&page);
        assert!(told.keys().all(|(kind, _)| kind == "Organisation" || kind == "Person"));
        assert!(told.len() > PACKAGES * PERSONS / 2);
        let cursor = format!("<Cursor>{}</Cursor>", find(&page, "NextCursor").text);
        let rest = ask(world, &caller, &format!("{cursor}{kinds}")).await.unwrap();
        assert!(find(&rest, "Changes").children.is_empty());
        assert_eq!(find(&rest, "More").text, "false");
        for (who, question) in [
            (&caller, cursor.clone()),
            (&caller, format!("{cursor}<Kinds>Organisation</Kinds>")),
            (&stranger, format!("{cursor}{kinds}")),
        ] {
            let refused = ask(world, who, &question).await.unwrap_err();
            assert_eq!(refused.fault().local, "InvalidContent", "{question}");
        }
    })
    .await;
}

async fn next_page(world: &World, caller: &Signer, cursor: &str, size: usize) -> Node {
    let cursor = match cursor {
        "" => String::new(),
        cursor => format!("<Cursor>{cursor}</Cursor>"),
    };
    ask(world, caller, &format!("{cursor}<PageSize>{size}</PageSize>")).await.unwrap()
}

/// Asks, pulls the answer and confirms it.
async fn ask(world: &World, caller: &Signer, inside: &str) -> Result<Node, Answered> {
    let question = content("GetChangedSinceRequest", inside);
    let message = Message::ask(&new_id().to_string(), "", &question).signed(caller);
    let taken = world.send(message).await;
    if taken.status != 200 {
        return Err(taken);
    }
    let answer = world.send(Message::pull("", "").signed(caller)).await.body();
    let id = &find(find(&answer, "MessageMetadata"), "MessageId").text;
    world.send(Message::ack(id).signed(caller)).await.body();
    Ok(find(&answer, "MessagePrimaryContent").children[0].clone())
}

fn entities(page: &Node) -> Copy {
    let told = find(page, "Changes").children.iter().map(|entity| {
        let id = entity.attribute("RegionalID").unwrap().parse().unwrap();
        let attributes =
            entity.attributes.iter().map(|(_, name, v)| (format!("@{name}"), v.clone()));
        let fields = entity.children.iter().map(|field| (field.local.clone(), field.text.clone()));
        ((entity.local.clone(), id), attributes.chain(fields).collect())
    });
    told.collect()
}

/// The registry itself, in the same form.
async fn registry(world: &World) -> Copy {
    let mut all = Vec::new();
    let mut tx = world.db.begin_read().await.unwrap();
    for kind in KINDS {
        let spec = normalise::spec(kind);
        let rows = tx.query(&format!("SELECT id FROM {}", spec.table), vec![]).await.unwrap();
        let ids: Vec<EntityId> = rows.iter().map(|row| EntityId(row.get(0).unwrap())).collect();
        let found = kontingent::storage::federal::entities(&mut tx, spec, &ids).await.unwrap();
        all.extend(found.into_values());
    }
    let page = Page { entities: all, next: String::new(), more: false };
    let xml = soap::envelope(&federal::answer(&Answer::ChangedSince(page)));
    entities(&Answered { status: 200, xml, parts: false, file: PathBuf::new() }.body())
}

/// One supplier's packages, applied one after another.
async fn write(world: &World, supplier: i64) {
    let registry = Registry::new(world.db.clone(), world.ids.clone());
    for number in 0..PACKAGES {
        let records = records(supplier, number);
        loop {
            match apply(world, &registry, supplier, number, &records).await {
                Ok(()) => break,
                Err(DbError::Conflict(_) | DbError::Duplicate(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
    }
}

async fn apply(
    world: &World,
    registry: &Registry,
    id: i64,
    number: usize,
    records: &[RawRecord],
) -> Result<(), DbError> {
    let supplier = Supplier {
        id: SupplierId(id),
        mnemonic: format!("DIARY{id:04}"),
        name: "Дневник".to_owned(),
        kind: "diary".to_owned(),
        blocked: false,
        limited: false,
        strict_checksums: false,
        test_packages: false,
        other_encodings: false,
        created_at: Clock::System.now(),
    };
    let header = Header {
        package_id: PackageId(Uuid::new_v4()),
        supplier: supplier.mnemonic.clone(),
        schema_version: "1.0".to_owned(),
        package_type: "DIARY.PERSONS".to_owned(),
        mode: Mode::Updated,
        scope: Scope::Region,
        sequence: None,
        previous_sequence: None,
        snapshot_at: Clock::System.now(),
        school_year: None,
        dictionaries: Vec::new(),
        counts: Vec::new(),
        test: false,
        correlation: None,
    };
    let package = PackageNo(id * 1_000 + i64::try_from(number).unwrap());
    let mut applier = registry.begin(&supplier, package, &header).await?;
    let batch = Batch::judge(records, &applier.rules());
    let mut tx = world.db.begin().await?;
    let result = applier.apply(&mut tx, batch).await?;
    let refused: u64 = result.counts.values().map(|counts| counts.refused).sum();
    assert_eq!(refused, 0, "{:?}", result.findings);
    tx.commit().await
}

/// New persons with all that belongs to them, and changes of older ones.
fn records(supplier: i64, package: usize) -> Vec<RawRecord> {
    let mut all: Vec<(Kind, String, Vec<(&str, String)>)> = Vec::new();
    let mut add = |kind, id: String, fields: &[(&'static str, &str)]| {
        all.push((kind, id, fields.iter().map(|(name, v)| (*name, (*v).to_owned())).collect()));
    };
    let (year, organisation, class) =
        ("2026/2027", format!("o{}", package % 3), format!("c{}", package % 5));
    let body = format!("Комитет {supplier}");
    add(Kind::ManagementBody, "b".to_owned(), &[("FullName", &body), ("Level", "1")]);
    let (name, inn) = (
        format!("Школа {supplier}.{}", package % 3),
        format!("{}", 7_700_000_000 + supplier * 10 + i64::try_from(package % 3).unwrap()),
    );
    add(
        Kind::Organisation,
        organisation.clone(),
        &[
            ("FullName", &name),
            ("Type", "12"),
            ("Status", "1"),
            ("Inn", &inn),
            ("ManagementBody", "b"),
        ],
    );
    add(
        Kind::ClassGroup,
        class.clone(),
        &[("Organisation", &organisation), ("SchoolYear", year), ("Name", &class)],
    );
    for index in 0..PERSONS {
        let number = package * PERSONS + index;
        let surname = format!("Иванов{}", ["а", "б", "в", "г"][index].repeat(number / 8 + 1));
        let born = format!("20{:02}-0{supplier}-1{index}", package % 10 + 5);
        let person = format!("p{number}");
        let place = format!("Город {number}");
        add(
            Kind::Person,
            person.clone(),
            &[
                ("LastName", &surname),
                ("FirstName", "Пётр"),
                ("Sex", "1"),
                ("BirthDate", &born),
                ("BirthPlace", &place),
            ],
        );
    }
    if package > 0 {
        let number = (package - 1) * PERSONS;
        let born = format!("20{:02}-0{supplier}-10", (package - 1) % 10 + 5);
        let surname = format!("Иванов{}", "а".repeat(number / 8 + 1));
        add(
            Kind::Person,
            format!("p{number}"),
            &[
                ("LastName", &surname),
                ("FirstName", "Пётр"),
                ("Sex", "1"),
                ("BirthDate", &born),
                ("BirthPlace", ""),
            ],
        );
    }
    let adult = format!("p{}", package * PERSONS);
    for index in 0..PERSONS {
        let person = format!("p{}", package * PERSONS + index);
        let person = person.as_str();
        let number = format!("{supplier}{package:03}{index}");
        add(
            Kind::IdentityDocument,
            format!("d{number}"),
            &[("Person", person), ("Type", "11"), ("Number", &number)],
        );
        add(
            Kind::Address,
            format!("a{number}"),
            &[("Person", person), ("Kind", "1"), ("Text", &number)],
        );
        add(
            Kind::Contact,
            format!("t{number}"),
            &[("Person", person), ("Kind", "2"), ("Value", &number)],
        );
        add(
            Kind::Membership,
            format!("m{number}"),
            &[
                ("Person", person),
                ("Organisation", &organisation),
                ("ClassGroup", &class),
                ("SchoolYear", year),
                ("FromDate", "2026-09-01"),
            ],
        );
        add(
            Kind::Employment,
            format!("e{number}"),
            &[
                ("Person", &adult),
                ("Organisation", &organisation),
                ("Position", "Учитель"),
                ("FromDate", "2026-09-01"),
            ],
        );
    }
    all.sort_by_key(|(kind, ..)| kind.index());
    let record =
        |(at, (kind, id, fields)): (usize, (Kind, String, Vec<(&str, String)>))| RawRecord {
            kind,
            number: at as u64 + 1,
            line: at as u64 + 1,
            fields: [(EXTERNAL_ID, id)]
                .into_iter()
                .chain(fields)
                .map(|(name, value)| RawField {
                    name: name.to_owned(),
                    line: at as u64 + 1,
                    value: if value.is_empty() { RawValue::Nil } else { RawValue::Text(value) },
                })
                .collect(),
        };
    all.into_iter().enumerate().map(record).collect()
}

/// Merges two persons, closes a contact, and makes a kinship, as operators and snapshots do.
async fn finish_some(world: &World) {
    let mut tx = world.db.begin().await.unwrap();
    let rows = tx.query("SELECT id FROM person ORDER BY id LIMIT 3", vec![]).await.unwrap();
    let ids: Vec<i64> = rows.iter().map(|row| row.get(0).unwrap()).collect();
    tx.execute("UPDATE person SET merged_into = $2 WHERE id = $1", args![ids[1], ids[0]])
        .await
        .unwrap();
    world.log(&mut tx, Kind::Person, ids[1]).await;
    let row = tx.query_one("SELECT min(id) FROM contact", vec![]).await.unwrap().unwrap();
    let contact: i64 = row.get(0).unwrap();
    let at = Clock::System.now() - TimeDelta::seconds(1);
    tx.execute("UPDATE contact SET closed_at = $2 WHERE id = $1", args![contact, at])
        .await
        .unwrap();
    world.log(&mut tx, Kind::Contact, contact).await;
    let sql = "INSERT INTO kinship (id, supplier_id, external_id, child_id, adult_id, \
        representative, as_of, package_no, version) VALUES (1, 1, 'k', $1, $2, '1', $3, 1, 1)";
    tx.execute(sql, args![ids[2], ids[0], at]).await.unwrap();
    world.log(&mut tx, Kind::Kinship, 1).await;
    tx.commit().await.unwrap();
}
