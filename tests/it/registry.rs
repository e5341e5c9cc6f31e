//! The registry on both databases: packages of `fixtures/packages/<case>/` go through judging,
//! matching, merging and closing; what comes out stands in `expected.txt` beside them
//! (`KONTINGENT_BLESS=1` writes it anew).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::DateTime;
use kontingent::args;
use kontingent::codec::package::{Reader, Writer};
use kontingent::exchange::apply::{Applier, Batch, Registry};
use kontingent::exchange::closing::Progress;
use kontingent::exchange::evidence;
use kontingent::model::finding::Finding;
use kontingent::model::ids::{PackageId, PackageNo, SupplierId};
use kontingent::model::kind::Kind;
use kontingent::model::package::{Counts, Header, Mode, Scope};
use kontingent::model::record::Value;
use kontingent::model::spec::Storage;
use kontingent::normalise;
use kontingent::storage::db::{Db, DbError};
use kontingent::storage::dictionary::{self, MappedCode};
use kontingent::storage::ids::Ids;
use kontingent::storage::migrate::migrate;
use kontingent::storage::supplier::{self, Supplier};
use uuid::Uuid;

use crate::stack::required;

/// Records a transaction in these tests: few, so that batches have borders.
const BATCH: usize = 4;

/// What became of a package.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    counts: BTreeMap<Kind, Counts>,
    findings: Vec<Finding>,
}

/// A database with suppliers; gone with the folder or the schema.
struct World {
    db: Db,
    registry: Registry,
    _folder: tempfile::TempDir,
}

/// A supplier as the fixtures name them: `…L` may write some organisations only, `…S` is held
/// to check digits.
fn supplier_of(mnemonic: &str) -> Supplier {
    let number = mnemonic.bytes().map(i64::from).sum();
    Supplier {
        id: SupplierId(number),
        mnemonic: mnemonic.to_owned(),
        name: mnemonic.to_owned(),
        kind: "diary".to_owned(),
        blocked: false,
        limited: mnemonic.ends_with('L'),
        strict_checksums: mnemonic.ends_with('S'),
        test_packages: true,
        other_encodings: false,
        created_at: DateTime::UNIX_EPOCH,
    }
}

impl World {
    async fn new(url: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let db = match url {
            None => {
                let path = folder.path().join("kontingent.db");
                Db::connect(&format!("sqlite://{}", path.display()), 4).await.unwrap()
            }
            Some(url) => fresh_schema(url).await,
        };
        migrate(&db).await.unwrap();
        let registry = Registry::new(db.clone(), Ids::new(db.clone()));
        Self { db, registry, _folder: folder }
    }

    /// Applies a package file as the worker does; a guard holds it unless `approved`.
    async fn apply(&self, no: i64, package: &[u8], approved: bool) -> Outcome {
        let header = Reader::new(package).header().unwrap().clone();
        let mut applier = self.begin(no, &header, package).await;
        let mut tx = self.db.begin().await.unwrap();
        let held = applier.weigh(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
        let mut outcome = Outcome { findings: applier.package_findings(), ..Outcome::default() };
        if !held.is_empty() && !approved {
            outcome.findings.extend(held);
            return outcome;
        }
        let rules = applier.rules();
        let mut reader = Reader::new(package);
        let mut records = Vec::new();
        loop {
            let record = reader.next_record().unwrap();
            let ended = record.is_none();
            records.extend(record);
            if records.len() == BATCH || ended {
                let batch = Batch::judge(&records, &rules);
                records.clear();
                let mut tx = self.db.begin().await.unwrap();
                let result = applier.apply(&mut tx, batch).await.unwrap();
                tx.commit().await.unwrap();
                for (kind, counts) in result.counts {
                    outcome.counts.entry(kind).or_default().add(counts);
                }
                outcome.findings.extend(result.findings);
            }
            if ended {
                break;
            }
        }
        outcome.findings.extend(self.close(&applier).await);
        for counts in outcome.counts.values() {
            assert!(counts.balance(), "every record is accounted for: {counts:?}");
        }
        outcome
    }

    async fn begin(&self, no: i64, header: &Header, package: &[u8]) -> Applier {
        let supplier = supplier_of(&header.supplier);
        let mut tx = self.db.begin().await.unwrap();
        supplier::save(&mut tx, &supplier).await.unwrap();
        // The row of the journal that closing looks at.
        let sql = format!(
            "INSERT INTO package (no,supplier_id,package_id,sha256,content_bytes,parts,records,\
             package_type,mode,scope,snapshot_at,test,header,signer_sha256,peer,received_at,state,\
             state_at) VALUES ($1,$2,$3,$4,0,0,0,$5,$6,'REGION',$7,false,'{{}}','','',$7,\
             'received',{}) ON CONFLICT DO NOTHING",
            tx.now_sql()
        );
        let hash = vec![0_u8; 32];
        let args = args![
            no,
            supplier.id.0,
            header.package_id.0,
            hash,
            header.package_type.as_str(),
            header.mode.as_str(),
            header.snapshot_at
        ];
        tx.execute(&sql, args).await.unwrap();
        tx.commit().await.unwrap();
        let mut applier = self.registry.begin(&supplier, PackageNo(no), header).await.unwrap();
        if evidence::is_needed(header) {
            let mut reader = Reader::new(package);
            applier.inform(evidence::collect(&mut reader, &applier.rules()).unwrap());
        }
        applier
    }

    async fn close(&self, applier: &Applier) -> Vec<Finding> {
        let mut progress = Progress::default();
        loop {
            let mut tx = self.db.begin().await.unwrap();
            let more = applier.close(&mut tx, &mut progress).await.unwrap();
            tx.commit().await.unwrap();
            if !more {
                return progress.findings();
            }
        }
    }

    async fn number(&self, sql: &str) -> i64 {
        self.db.query_one(sql, vec![]).await.unwrap().map_or(0, |row| row.get(0).unwrap())
    }

    async fn entries(&self) -> i64 {
        self.number("SELECT count(*) FROM change_log").await
            + self.number("SELECT count(*) FROM performance_change").await
    }
}

async fn fresh_schema(url: &str) -> Db {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let schema = format!("registry_{}_{number}", std::process::id());
    let db = Db::connect(url, 1).await.unwrap();
    db.execute(&format!("CREATE SCHEMA {schema}"), vec![]).await.unwrap();
    db.close().await;
    let joint = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{joint}options=-csearch_path%3D{schema}");
    Db::connect(&url, 8).await.unwrap()
}

fn databases() -> Vec<Option<String>> {
    vec![None, Some(required("KONTINGENT_TEST_DATABASE_URL"))]
}

/// The current values of a kind as `column=value` lists, by registry id, and their cells.
async fn rows(db: &Db, kind: Kind) -> BTreeMap<i64, (bool, Vec<Option<Value>>)> {
    let spec = normalise::spec(kind);
    let columns: Vec<&str> = spec.fields.iter().map(|field| field.column).collect();
    let sql = format!(
        "SELECT id,closed_at IS NOT NULL,{} FROM {} ORDER BY id",
        columns.join(","),
        spec.table
    );
    let mut all = BTreeMap::new();
    for row in db.query(&sql, vec![]).await.unwrap() {
        let cell = |at: usize, storage: Storage| match storage {
            Storage::Text => row.get::<Option<String>>(at).unwrap().map(Value::Text),
            Storage::Integer => row.get::<Option<i64>>(at).unwrap().map(Value::Integer),
            Storage::Date => row.get(at).map(|date: Option<_>| date.map(Value::Date)).unwrap(),
            Storage::Instant => row.get(at).map(|at: Option<_>| at.map(Value::Instant)).unwrap(),
            Storage::Flag => row.get::<Option<bool>>(at).unwrap().map(Value::Flag),
        };
        let fields = spec.fields.iter().enumerate();
        let cells = fields.map(|(at, field)| cell(at + 2, field.ty.storage())).collect();
        all.insert(row.get(0).unwrap(), (row.get(1).unwrap(), cells));
    }
    all
}

/// Folds the history: the newest entry of each column decides. Equal to the current rows.
async fn assert_history_tells_the_same(db: &Db) {
    for kind in Kind::ALL {
        let spec = normalise::spec(kind);
        let table = match kind {
            Kind::Mark | Kind::FinalMark | Kind::Absence => "performance_change",
            _ => "change_log",
        };
        let sql = format!(
            "SELECT entity_id,fields FROM {table} WHERE kind=$1 ORDER BY as_of,package_no,record,id"
        );
        let mut folded: BTreeMap<i64, (bool, Vec<Option<Value>>)> = BTreeMap::new();
        for row in db.query(&sql, args![kind.element()]).await.unwrap() {
            let blank = || (false, vec![None; spec.fields.len()]);
            let entity = folded.entry(row.get(0).unwrap()).or_insert_with(blank);
            let fields: serde_json::Value = row.get(1).unwrap();
            for (column, json) in fields.as_object().unwrap() {
                if column == "closed_at" {
                    entity.0 = !json.is_null();
                } else {
                    let at = spec.column(column).unwrap();
                    let storage = spec.fields[at].ty.storage();
                    entity.1[at] = Value::from_json(storage, json);
                    assert_eq!(entity.1[at].is_none(), json.is_null(), "{column}: {json}");
                }
            }
        }
        assert_eq!(folded, rows(db, kind).await, "history and current values of {kind:?}");
    }
}

/// All that a case has led to, as text.
async fn describe(world: &World) -> String {
    let mut text = String::from("registry\n");
    for kind in Kind::ALL {
        let spec = normalise::spec(kind);
        for (id, (closed, cells)) in rows(&world.db, kind).await {
            write!(text, "  {} {id}", spec.table).unwrap();
            for (field, cell) in spec.fields.iter().zip(cells) {
                if let Some(value) = cell {
                    let value = value.to_json().to_string();
                    write!(text, " {}={}", field.column, value.trim_matches('"')).unwrap();
                }
            }
            text.push_str(if closed { " closed\n" } else { "\n" });
        }
    }
    for (what, sql) in [
        (
            "flag",
            "SELECT 'person '||id||' '||coalesce(quality,'')||CASE WHEN possible_duplicate THEN ' possible_duplicate' ELSE '' END FROM person WHERE quality IS NOT NULL OR possible_duplicate ORDER BY id",
        ),
        (
            "name",
            "SELECT kind||' '||external_id||' of '||supplier_id||' is '||entity_id||', packages '||first_package||'-'||last_package FROM registration ORDER BY entity_id,supplier_id,external_id",
        ),
        (
            "candidate",
            "SELECT rule||' '||person_a||' '||person_b||' '||score FROM merge_candidate ORDER BY id",
        ),
        (
            "deferred",
            "SELECT kind||' '||external_id||' waits for '||missing_kind||' '||missing_external_id||', applied by '||coalesce(CAST(applied_package AS text),'none') FROM deferred_record ORDER BY id",
        ),
    ] {
        for row in world.db.query(sql, vec![]).await.unwrap() {
            writeln!(text, "  {what} {}", row.get::<String>(0).unwrap()).unwrap();
        }
    }
    writeln!(text, "  {} history entries", world.entries().await).unwrap();
    text
}

fn describe_outcome(outcome: &Outcome) -> String {
    let mut text = String::new();
    for (kind, counts) in &outcome.counts {
        writeln!(
            text,
            "  {}: {} = {} created + {} updated + {} unchanged + {} refused + {} superseded",
            kind.element(),
            counts.total,
            counts.created,
            counts.updated,
            counts.unchanged,
            counts.refused,
            counts.superseded
        )
        .unwrap();
    }
    for finding in &outcome.findings {
        writeln!(
            text,
            "  {} {} {}:{} {}{}",
            finding.severity.as_str(),
            finding.code.as_str(),
            finding.record,
            finding.line,
            finding.xpath(),
            finding.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default()
        )
        .unwrap();
    }
    text
}

/// Runs the packages of a case in the order of their names. Names say what is special:
/// `approved` waives the guard, `entrust` entrusts organisation 1 before, `map` maps a code.
async fn run_case(url: Option<&str>, case: &Path) -> String {
    let world = World::new(url).await;
    let mut text = String::new();
    let mut files: Vec<PathBuf> = fs::read_dir(case).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "xml"));
    files.sort();
    for (no, file) in (1..).zip(&files) {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let package = fs::read(file).unwrap();
        let header = Reader::new(package.as_slice()).header().unwrap().clone();
        let id = supplier_of(&header.supplier).id;
        let mut tx = world.db.begin().await.unwrap();
        supplier::save(&mut tx, &supplier_of(&header.supplier)).await.unwrap();
        if name.contains("entrust") {
            supplier::grant(&mut tx, id, 1).await.unwrap();
        }
        if name.contains("map") {
            let mapped = MappedCode {
                supplier: id,
                dictionary: "sex".to_owned(),
                foreign: "М".to_owned(),
                code: "1".to_owned(),
            };
            dictionary::map(&mut tx, &mapped).await.unwrap();
        }
        tx.commit().await.unwrap();
        let approved = name.contains("approved");
        let outcome = world.apply(no, &package, approved).await;
        writeln!(text, "{name}").unwrap();
        text.push_str(&describe_outcome(&outcome));
        assert_history_tells_the_same(&world.db).await;
        let before = describe(&world).await;
        if !outcome.findings.iter().any(|f| f.code.as_str() == "FLK_REF_MISSING") {
            world.apply(no, &package, approved).await;
            let case = case.display();
            assert_eq!(describe(&world).await, before, "{case}/{name} applied twice equals once");
        }
    }
    text.push_str(&describe(&world).await);
    world.db.close().await;
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn each_case_leads_to_what_is_expected_on_both_databases() {
    let bless = std::env::var_os("KONTINGENT_BLESS").is_some();
    let mut cases: Vec<PathBuf> =
        fs::read_dir("fixtures/packages").unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    let mut broken = Vec::new();
    for case in cases {
        for url in databases() {
            let got = run_case(url.as_deref(), &case).await;
            let file = case.join("expected.txt");
            if bless && url.is_none() {
                fs::write(&file, &got).unwrap();
            }
            let expected = fs::read_to_string(&file).unwrap_or_default();
            if got != expected {
                let on = if url.is_some() { "PostgreSQL" } else { "SQLite" };
                broken.push(format!("{} on {on}:\n{got}", case.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The cases again without a word on what is expected: every field of every row has an entry
/// that says who set it, and it is the newest one.
#[tokio::test(flavor = "multi_thread")]
async fn every_field_knows_its_supplier_package_and_time() {
    let world = World::new(None).await;
    for (no, file) in [(1, "1.xml"), (2, "2.xml"), (3, "3.xml")] {
        let package = fs::read(format!("fixtures/packages/e13_two_suppliers/{file}")).unwrap();
        world.apply(no, &package, false).await;
    }
    let sql = "SELECT package_no,supplier_id,record,fields FROM change_log \
        ORDER BY as_of,package_no,record";
    let mut origin = BTreeMap::new();
    for row in world.db.query(sql, vec![]).await.unwrap() {
        let from: (i64, i64, i64) = (row.get(0).unwrap(), row.get(1).unwrap(), row.get(2).unwrap());
        let fields: serde_json::Value = row.get(3).unwrap();
        for (column, _) in fields.as_object().unwrap() {
            origin.insert(column.clone(), from);
        }
    }
    let (diary, garden) = (supplier_of("DIARY0001").id.0, supplier_of("SAD000001").id.0);
    assert_eq!(origin["last_name"], (1, diary, 1));
    assert_eq!(origin["birth_place"], (2, garden, 1), "the newer snapshot wins");
    assert_eq!(origin["citizenship"], (3, diary, 1), "an older one fills what was empty");
    world.db.close().await;
}

/// A package of persons and nothing else, as a supplier would write it.
fn persons(mnemonic: &str, numbers: &[u32], at: &str) -> Vec<u8> {
    let header = Header {
        package_id: PackageId(Uuid::from_u128(u128::from(numbers[0]))),
        supplier: mnemonic.to_owned(),
        schema_version: "1.0".to_owned(),
        package_type: "DIARY.PERSONS".to_owned(),
        mode: Mode::Updated,
        scope: Scope::Region,
        sequence: None,
        previous_sequence: None,
        snapshot_at: at.parse().unwrap(),
        school_year: None,
        dictionaries: Vec::new(),
        counts: vec![(Kind::Person, numbers.len() as u64)],
        test: false,
        correlation: None,
    };
    let mut writer = Writer::new(Vec::new(), "p", &header).unwrap();
    for number in numbers {
        let id = number.to_string();
        let name = format!("Лесов{}", ["а", "ый", "ская", "енко"][(number % 4) as usize]);
        let born = format!("2015-{:02}-{:02}", number / 28 % 12 + 1, number % 28 + 1);
        let snils = snils(*number + 10_000_000);
        let fields = [
            ("ExternalId", Some(id.as_str())),
            ("LastName", Some(name.as_str())),
            ("FirstName", Some("Анна")),
            ("Sex", Some("2")),
            ("BirthDate", Some(born.as_str())),
            ("Snils", Some(snils.as_str())),
        ];
        writer.record(Kind::Person, fields).unwrap();
    }
    writer.finish().unwrap()
}

fn snils(number: u32) -> String {
    let digits = format!("{number:09}");
    let weighed = digits.bytes().zip((1..=9).rev());
    let sum: u32 = weighed.map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    format!("{digits}{:02}", sum % 101 % 100)
}

/// Applies like a worker: a passing failure is tried again from the start.
async fn apply_stubbornly(world: &World, no: i64, package: &[u8]) {
    let header = Reader::new(package).header().unwrap().clone();
    'again: for _ in 0..50 {
        let mut applier = world.begin(no, &header, package).await;
        let rules = applier.rules();
        let mut reader = Reader::new(package);
        let mut records = Vec::new();
        while let Some(record) = reader.next_record().unwrap() {
            records.push(record);
        }
        for part in records.chunks(25) {
            let mut tx = world.db.begin().await.unwrap();
            match applier.apply(&mut tx, Batch::judge(part, &rules)).await {
                Ok(_) => tx.commit().await.unwrap(),
                Err(DbError::Conflict(_) | DbError::Duplicate(_)) => continue 'again,
                Err(error) => panic!("{error:?}"),
            }
        }
        return;
    }
    panic!("no end of conflicts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn suppliers_at_the_same_time_make_one_person_of_one() {
    for url in databases() {
        let world = Arc::new(World::new(url.as_deref()).await);
        let numbers: Vec<u32> = (0..200).collect();
        let mut tasks = Vec::new();
        for (no, mnemonic) in (1..).zip(["A00000001", "B00000002", "C00000003", "D00000004"]) {
            let mut mine = numbers.clone();
            mine.rotate_left(no as usize * 37);
            let at = format!("2026-09-0{no}T00:00:00Z");
            let package = persons(mnemonic, &mine, &at);
            let world = Arc::clone(&world);
            tasks.push(tokio::spawn(async move { apply_stubbornly(&world, no, &package).await }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(world.number("SELECT count(*) FROM person").await, 200);
        assert_eq!(world.number("SELECT count(*) FROM registration").await, 800);
        assert_eq!(world.number("SELECT count(*) FROM merge_candidate").await, 0);
        assert_history_tells_the_same(&world.db).await;
        world.db.close().await;
    }
}
