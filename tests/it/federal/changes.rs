//! GetChangedSince: a copy built from it alone equals the registry, whoever writes meanwhile.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use kontingent::args;
use kontingent::codec::federal;
use kontingent::codec::node::Node;
use kontingent::codec::soap;
use kontingent::model::clock::Clock;
use kontingent::model::federal::{Answer, KINDS, Page};
use kontingent::model::ids::EntityId;
use kontingent::model::kind::Kind;
use kontingent::model::record::RawRecord;
use kontingent::normalise;
use kontingent::storage::db::{Db, DbError};
use kontingent::storage::migrate;
use kontingent::trust::Signer;
use kontingent::trust::authority::KeyKind;

use super::records::{apply, raw};
use super::world::{Answered, World, find, on_both};
use crate::stack::Flavour;

/// Packages each writer applies, and persons in a package.
const PACKAGES: usize = 30;
const PERSONS: usize = 4;

/// A federal copy: attributes and fields by kind and id.
pub(super) type Copy = BTreeMap<(String, i64), Vec<(String, String)>>;

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_built_from_pages_alone_equals_the_registry_while_writers_write() {
    on_both(async |world| {
        let caller = world.system("FNS00001", KeyKind::P256).await;
        let other = world.system("PFR00001", KeyKind::P256).await;
        let writers = async {
            tokio::join!(write(world, 1), write(world, 2), act(world, &other), finish_some(world));
        };
        let mut writers = std::pin::pin!(writers);
        let (mut copy, mut cursor, mut written) = (Copy::new(), String::new(), None);
        let mut times: BTreeMap<(String, i64), i64> = BTreeMap::new();
        loop {
            // Never given up half-way: its answer would wait for the next question.
            let from = cursor.clone();
            let mut asking = std::pin::pin!(next_page(world, &caller, &from, 37));
            let page = loop {
                tokio::select! {
                    biased;
                    page = &mut asking => break page,
                    () = &mut writers, if written.is_none() => written = Some(Instant::now()),
                }
            };
            assert!(find(&page, "Changes").children.len() <= 37);
            let told = entities(&page);
            for key in told.keys() {
                *times.entry(key.clone()).or_default() += 1;
            }
            copy.extend(told);
            cursor = find(&page, "NextCursor").text.clone();
            let Some(since) = written else { continue };
            if find(&page, "More").text == "false" {
                let registry = registry(&world.db).await;
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
        assert!(has("@MergedInto") && has("@Closed") && has("@FederalID") && has("ReasonOut"));
        let entries = "SELECT kind, entity_id, count(*) FROM change_log GROUP BY kind, entity_id";
        for row in world.db.query(entries, vec![]).await.unwrap() {
            let key = (row.get(0).unwrap(), row.get(1).unwrap());
            let told = times.get(&key).copied().unwrap_or_default();
            let changed: i64 = row.get(2).unwrap();
            assert!((1..=changed).contains(&told), "{key:?} told {told} times of {changed}");
        }
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
        // Changes are told once every transaction before them has ended, of other tests as well.
        let all = world.count("SELECT (SELECT count(*) FROM person) + count(*) FROM organisation");
        let all = usize::try_from(all.await).unwrap();
        let page = loop {
            let page = ask(world, &caller, kinds).await.unwrap();
            if entities(&page).len() == all {
                break page;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
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

#[tokio::test(flavor = "multi_thread")]
async fn a_database_restored_into_another_cluster_tells_what_it_holds_and_then_what_is_new() {
    let world = World::start(Flavour::Production).await;
    let caller = world.system("FNS00001", KeyKind::P256).await;
    write(&world, 1).await;
    // As a copy is whose transactions had greater numbers than those of the cluster it is restored into.
    let ahead = "UPDATE change_log SET tx = tx + 1000000000000";
    world.db.execute(ahead, vec![]).await.unwrap();
    assert!(entities(&next_page(&world, &caller, "", 1000).await).is_empty());
    migrate::migrate(&world.db).await.unwrap();
    let (mut copy, mut cursor) = (Copy::new(), String::new());
    follow(&world, &caller, &mut copy, &mut cursor).await;
    write(&world, 2).await;
    // It is found out once: another start changes nothing.
    migrate::migrate(&world.db).await.unwrap();
    follow(&world, &caller, &mut copy, &mut cursor).await;
    let shifts = "SELECT count(DISTINCT tx / 1000000000000) FROM change_log";
    assert_eq!(world.count(shifts).await, 1, "what is new has its place behind");
    world.finish().await;
}

/// Reads on until the copy equals the registry: changes are told once every transaction before them has
/// ended.
async fn follow(world: &World, caller: &Signer, copy: &mut Copy, cursor: &mut String) {
    let (all, begun) = (registry(&world.db).await, Instant::now());
    while *copy != all {
        assert!(begun.elapsed() < Duration::from_secs(30), "not all comes");
        let page = next_page(world, caller, cursor, 1000).await;
        cursor.clone_from(&find(&page, "NextCursor").text);
        copy.extend(entities(&page));
    }
}

async fn next_page(world: &World, caller: &Signer, cursor: &str, size: usize) -> Node {
    let cursor = match cursor {
        "" => String::new(),
        cursor => format!("<Cursor>{cursor}</Cursor>"),
    };
    ask(world, caller, &format!("{cursor}<PageSize>{size}</PageSize>")).await.unwrap()
}

async fn ask(world: &World, caller: &Signer, inside: &str) -> Result<Node, Answered> {
    world.ask(caller, "GetChangedSinceRequest", inside).await
}

pub(super) fn entities(page: &Node) -> Copy {
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
pub(super) async fn registry(db: &Db) -> Copy {
    let mut all = Vec::new();
    let mut tx = db.begin_read().await.unwrap();
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
    for number in 0..PACKAGES {
        let records = records(supplier, number);
        loop {
            match apply(world, supplier, number, &records, Clock::System.now()).await {
                Ok(()) => break,
                Err(DbError::Conflict(_) | DbError::Duplicate(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
    }
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
    raw(all)
}

/// Gives persons ids and moves them to another region while suppliers write.
async fn act(world: &World, caller: &Signer) {
    for number in 0..8 {
        let newest = "SELECT max(person_id) FROM membership WHERE to_date IS NULL";
        let person = loop {
            let row = world.db.query_one(newest, vec![]).await.unwrap().unwrap();
            match row.get::<Option<i64>>(0).unwrap() {
                Some(person) => break format!("<RegionalID>{person}</RegionalID>"),
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        let pair = format!("<Pair>{person}<FederalID>F-{number}</FederalID></Pair>");
        world.ask(caller, "AssignFederalIdRequest", &pair).await.unwrap();
        let notice = format!(
            "{person}<Direction>ARRIVED</Direction><Region>66</Region><Date>2026-10-01</Date>\
             <Organisation>Школа</Organisation><Reason>переезд</Reason>"
        );
        let opened = world.ask(caller, "TransferRequest", &notice).await.unwrap();
        let case = find(&opened, "TransferCase").attribute("CaseID").unwrap();
        let decision =
            format!("<CaseID>{case}</CaseID><Decision>CONFIRMED</Decision><Date>2026-10-01</Date>");
        world.ask(caller, "TransferConfirmRequest", &decision).await.unwrap();
    }
}

/// Merges two persons, closes a contact, and makes a kinship, as operators and snapshots do, while others
/// write.
async fn finish_some(world: &World) {
    let there = "SELECT count(*) FROM (SELECT 1 FROM contact LIMIT 3) c";
    while world.count(there).await < 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
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
