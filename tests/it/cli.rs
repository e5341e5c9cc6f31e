//! The command line, as operators and suppliers use it: the real binary on an embedded database.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use chrono::TimeDelta;
use kontingent::app::service::{Roles, Service};
use kontingent::config::Config;
use kontingent::http::limits::Limits;
use kontingent::model::clock::Clock;
use kontingent::model::ids::PackageId;
use kontingent::storage::db::Db;
use kontingent::trust::authority::{Authority, Issued, KeyKind, Request, Usage, Validity};
use kontingent::trust::certificate::Facts;
use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

use crate::door::{Door, SUPPLIER};
use crate::stack::{
    Flavour, Person, Stack, create_database, drop_database, header, now, package, persons,
};

/// What a command answered.
struct Answer {
    code: i32,
    out: String,
    err: String,
}

impl Answer {
    #[track_caller]
    fn good(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }

    /// Ended with 1; what it printed, errors last.
    #[track_caller]
    fn bad(self) -> String {
        assert_eq!(self.code, 1, "{}{}", self.out, self.err);
        self.out + &self.err
    }
}

/// A folder in which commands run, and the database they work on.
struct Desk {
    dir: TempDir,
    database: Option<String>,
}

impl Desk {
    fn new() -> Self {
        Self { dir: TempDir::new().unwrap(), database: None }
    }

    fn at(database: String) -> Self {
        Self { database: Some(database), ..Self::new() }
    }

    fn run(&self, arguments: &[&str]) -> Answer {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kontingent"));
        command.args(arguments).current_dir(self.dir.path()).env("USER", "оператор");
        command.env("KONTINGENT_DATA", self.dir.path().join("data"));
        if let Some(url) = &self.database {
            command.env("KONTINGENT_DATABASE__URL", url);
        }
        let output = command.output().unwrap();
        Answer {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Runs SQL on the database of the data folder, behind the program's back.
    async fn meddle(&self, sql: &str) {
        let path = self.dir.path().join("data/kontingent.db");
        let db = Db::connect(&format!("sqlite://{}", path.display()), 1).await.unwrap();
        assert_eq!(db.execute(sql, vec![]).await.unwrap(), 1);
        db.close().await;
    }
}

/// An authority with certificates in files: `ca.pem`, `one.pem`, `two.der`, `old.pem`.
fn certificates(desk: &Desk) {
    let mut random = crate::door::random();
    let at = now();
    let validity = Validity { from: at - TimeDelta::days(30), to: at + TimeDelta::days(90) };
    let authority = Authority::create("УЦ края", validity, &mut random).unwrap();
    let mut issue = |name, validity| -> Issued {
        let request = Request { name, key: KeyKind::P256, validity, usage: Usage::Signature };
        authority.issue(&request, &mut random).unwrap()
    };
    let over = Validity { to: at - TimeDelta::days(1), ..validity };
    let soon = Validity { to: at + TimeDelta::days(30), ..validity };
    desk.write("ca.pem", &authority.issued().certificate_pem().unwrap());
    desk.write("one.pem", &issue("Дневник", soon).certificate_pem().unwrap());
    desk.write("two.der", &issue("Дневник 2", validity).certificate_der().unwrap());
    desk.write("old.pem", &issue("Старый", over).certificate_pem().unwrap());
}

fn json(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "«{part}» is not in:\n{text}");
    }
}

#[test]
fn suppliers_are_administered_and_every_act_is_audited_also_a_failed_one() {
    let desk = Desk::new();
    certificates(&desk);
    says(&desk.run(&["supplier", "list"]).good(), &["Поставщиков нет"]);
    says(&desk.run(&["authority", "add", "one.pem"]).bad(), &["нет признака CA"]);
    let add = ["supplier", "add", "DIARY0001", "--name", "Дневник", "--certificate", "one.pem"];
    says(
        &desk.run(&add).good(),
        &["зарегистрирован", "CN=Дневник", "до конца срока", "не внесён в число доверенных"],
    );
    says(&desk.run(&["authority", "add", "ca.pem"]).good(), &["CN=УЦ края"]);
    let other = ["supplier", "add", "XLS0001", "--name", "Таблицы", "--limited"];
    says(&desk.run(&other).good(), &["Пока за ним нет сертификата"]);

    let taken = desk.run(&["supplier", "add-certificate", "XLS0001", "one.pem"]).bad();
    says(&taken, &["уже зарегистрирован за «DIARY0001»"]);
    let authority = desk.run(&["supplier", "add-certificate", "XLS0001", "ca.pem"]).bad();
    says(&authority, &["удостоверяющему центру"]);
    let der = desk.run(&["supplier", "add-certificate", "XLS0001", "two.der"]).good();
    assert!(!der.contains("ВНИМАНИЕ"), "{der}");
    let old = desk.run(&["supplier", "add-certificate", "XLS0001", "old.pem"]).good();
    says(&old, &["ВНИМАНИЕ: срок сертификата истёк"]);
    says(&desk.run(&["supplier", "grant", "XLS0001", "15"]).bad(), &["нет организации № 15"]);
    desk.run(&["supplier", "block", "DIARY0001"]).good();
    says(&desk.run(&["supplier", "block", "NOBODY"]).bad(), &["«NOBODY» не зарегистрирован"]);
    says(&desk.run(&["supplier", "add", "с пробелом", "--name", "x"]).bad(), &["мнемоникой"]);

    let table = desk.run(&["supplier", "list"]).good();
    says(&table, &["DIARY0001  заблокирован", "XLS0001    действует", "0 организаций"]);
    let list = json(&desk.run(&["supplier", "list", "--json"]).good());
    assert_eq!(list[0]["blocked"], true);
    assert_eq!(list[1]["certificates"].as_array().unwrap().len(), 2);
    let hash = list[1]["certificates"][0]["sha256"].as_str().unwrap().to_uppercase();
    desk.run(&["supplier", "withdraw-certificate", &hash]).good();
    says(&desk.run(&["supplier", "withdraw-certificate", &hash]).bad(), &["не найден"]);
    // 14 acts, of which 7 failed.
    says(&desk.run(&["audit", "verify"]).good(), &["цел: 14 записей"]);
}

#[tokio::test]
async fn a_changed_or_cut_audit_chain_is_noticed_and_its_first_bad_row_named() {
    let desk = Desk::new();
    for mnemonic in ["A", "B", "C"] {
        desk.run(&["supplier", "add", mnemonic, "--name", mnemonic]).good();
    }
    says(&desk.run(&["audit", "verify", "--json"]).good(), &[r#""rows":3"#]);
    desk.meddle("UPDATE audit SET actor = 'другой' WHERE id = 2").await;
    says(&desk.run(&["audit", "verify"]).bad(), &["нарушен: запись № 2"]);
    desk.meddle("UPDATE audit SET actor = 'оператор' WHERE id = 2").await;
    desk.run(&["audit", "verify"]).good();
    desk.meddle("DELETE FROM audit WHERE id = 3").await;
    says(&desk.run(&["audit", "verify", "--json"]).bad(), &[r#""brokenAt":3"#]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn services_that_start_together_in_an_empty_folder_have_one_signing_key() {
    let roles = Roles { gateway: false, worker: false, federal: false, web: false };
    let database = create_database().await;
    for _ in 0..6 {
        let dir = TempDir::new().unwrap();
        let mut config = Config::embedded(dir.path().to_owned());
        config.database.url = Some(database.clone());
        let starting = (0..5).map(|_| {
            let config = config.clone();
            tokio::spawn(async move { Service::start(&config, roles, Clock::System).await })
        });
        let mut used = Vec::new();
        for started in futures_util::future::join_all(starting).await {
            let service = started.unwrap().unwrap();
            used.push(service.exchange().signer().certificate_der().to_vec());
            service.stop().await;
        }
        let kept = fs::read(dir.path().join("signing-certificate.pem")).unwrap();
        let kept = Facts::read(&kept).unwrap().sha256;
        for certificate in used {
            assert_eq!(Facts::read(&certificate).unwrap().sha256, kept, "one key for all of them");
        }
    }
    drop_database(&database).await;
}

#[test]
fn dictionaries_are_loaded_whole_or_not_at_all_and_codes_mapped() {
    let desk = Desk::new();
    desk.write("bad.csv", "dictionary;version;code;title\nsex;k1;1;М\nsex;k1\n".as_bytes());
    says(&desk.run(&["dictionary", "load", "bad.csv"]).bad(), &["bad.csv", "строка 3"]);
    desk.write("bad.csv", "dictionary;version;code;title\nsex;k1;1;М\nsex;k1;ж;Ж\n".as_bytes());
    says(&desk.run(&["dictionary", "load", "bad.csv"]).bad(), &["нет основного кода «ж»"]);
    let list = desk.run(&["dictionary", "list"]).good();
    assert!(list.contains("sex") && !list.contains("k1"), "{list}");
    let codes = "dictionary;version;code;canonical;title\nsex;k1;м;1;Мужской\nsex;k1;ж;2;Женский\n";
    desk.write("codes.csv", codes.as_bytes());
    says(&desk.run(&["dictionary", "load", "codes.csv"]).good(), &["2 кода"]);
    let list = json(&desk.run(&["dictionary", "list", "sex", "--json"]).good());
    let own = list.iter().find(|code| code["code"] == "м").unwrap();
    assert_eq!((&own["canonical"], &own["loaded"]), (&"1".into(), &true.into()));
    says(&desk.run(&["dictionary", "map", "A", "sex", "муж", "1"]).bad(), &["не зарегистрирован"]);
    desk.run(&["supplier", "add", "A", "--name", "А"]).good();
    says(&desk.run(&["dictionary", "map", "A", "sex", "муж", "1"]).good(), &["означает 1"]);
    says(&desk.run(&["dictionary", "map", "A", "sex", "муж", "x"]).bad(), &["нет основного кода"]);
}

#[test]
fn a_mistake_in_the_configuration_is_named() {
    let desk = Desk::new();
    desk.write("k.toml", b"[database]\nurI = \"x\"\n");
    says(&desk.run(&["--config", "k.toml", "check-config"]).bad(), &["urI"]);
    let good = "[http]\ntls_certificate = \"no.pem\"\ntls_key = \"no.pem\"\n\
        [database]\nurl = \"postgres://u:secret@h/d\"\n";
    desk.write("k.toml", good.as_bytes());
    let report = desk.run(&["--config", "k.toml", "check-config"]).bad();
    says(&report, &["http.tls_key: no.pem не читается", "postgres://u:***@h/d"]);
    assert!(!report.contains("secret"));
    let usage = desk.run(&["supplier", "add"]);
    assert_eq!(usage.code, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_validated_without_a_database_and_every_finding_has_its_place() {
    let stack = Stack::start(Flavour::Embedded).await;
    let (desk, supplier) = (Desk::new(), &stack.suppliers[1]);
    let good = package(supplier, header(supplier), &persons(0, 3));
    let good = desk.write("good.xml", &good);
    let mut people = persons(0, 3);
    people[1].1.retain(|(name, _)| *name != "LastName");
    people[1].1.push(("Snils", "123".to_owned()));
    people.push(Person("p-9".to_owned(), vec![("BirthDate", "вчера".to_owned())]));
    let bad = desk.write("bad.xml", &package(supplier, header(supplier), &people));
    let text = fs::read_to_string(&good).unwrap().replace("Пётр", "Пeтр");
    desk.write("changed.xml", text.as_bytes());

    let report = desk.run(&["package", "validate", "good.xml"]).good();
    says(&report, &["DIARY0002", "подпись  верна", "3 записи; Персоны: 3", "0 ошибок"]);
    let report = desk.run(&["package", "validate", "good.xml", "bad.xml", "changed.xml"]).bad();
    says(&report, &["FLK_REQUIRED", "Person «p-1», LastName", "Person «p-9», BirthDate"]);
    says(&report, &["ОТКАЗ    SIG_DIGEST: Документ изменён после подписания"]);
    let report = json(&desk.run(&["package", "validate", "--json", "bad.xml"]).bad());
    assert_eq!((&report[0]["verdict"], &report[0]["records"]), (&"reject".into(), &4.into()));
    let lines = fs::read_to_string(&bad).unwrap();
    let line = 1 + lines.lines().position(|line| line.contains(">p-1<")).unwrap();
    let findings = report[0]["findings"].as_array().unwrap();
    assert!(
        findings.iter().any(|f| f["field"] == "Snils" && f["line"] == line && f["text"] != ""),
        "{findings:?}"
    );
    let missing = desk.run(&["package", "validate", "none.xml"]).bad();
    says(&missing, &["none.xml"]);
    stack.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packages_are_sent_with_a_line_for_each_and_found_in_the_journal() {
    let door = Door::open(Limits::default()).await;
    let desk = Desk::at(door.stack.database_url.clone());
    says(&desk.run(&["package", "list"]).good(), &["Пакетов ещё нет."]);
    let id = Uuid::new_v4();
    let sound = door.package(PackageId(id), 1);
    desk.write("1.xml", &sound);
    let changed = String::from_utf8(door.package(PackageId(Uuid::new_v4()), 1)).unwrap();
    desk.write("2.xml", changed.replacen("</Data>", " </Data>", 1).as_bytes());
    desk.write("3.xml", b"<Package");
    let to = door.url("");
    let files = ["package", "send", "--to", &to, "none.xml", "1.xml", "2.xml", "3.xml"];
    let sent = desk.run(&files).bad();
    says(&sent, &["[1/4] none.xml: НЕ ОТПРАВЛЕН: не удалось прочитать файл"]);
    says(&sent, &["[2/4] 1.xml: принят", "[3/4] 2.xml: ОТКЛОНЁН", "SIG_DIGEST"]);
    says(&sent, &["[4/4] 3.xml: НЕ ОТПРАВЛЕН: XML_MALFORMED", "Принято 1 пакет из 4."]);
    let again = json(&desk.run(&["package", "send", "--json", "--to", &to, "1.xml"]).good());
    assert_eq!(again[0]["outcome"], "duplicate");

    says(&desk.run(&["package", "list"]).good(), &[SUPPLIER, "Принят", &id.to_string()]);
    let none = desk.run(&["package", "list", "--state", "failed"]).good();
    says(&none, &["Пакетов, отвечающих условиям, нет."]);
    let list = json(&desk.run(&["package", "list", "--json"]).good());
    assert_eq!((list.len(), &list[0]["state"]), (1, &"received".into()));
    let number = list[0]["number"].to_string();
    says(&desk.run(&["package", "status", &number]).good(), &["состояние     Принят"]);
    says(&desk.run(&["package", "show", &id.to_string()]).good(), &["Попытки:", "Не окончена"]);
    let receipt = desk.run(&["package", "receipt", &number]).good();
    assert_eq!(receipt.trim_end(), again[0]["receipt"].as_str().unwrap().trim_end());
    let busy = desk.run(&["package", "replay", &number, "--reason", "проба"]).bad();
    says(&busy, &["ещё обрабатывается"]);
    let everything = desk.run(&["package", "replay", "--reason", "проба"]).bad();
    says(&everything, &["условие отбора"]);
    says(&desk.run(&["package", "show", "99"]).bad(), &["пакета № 99 нет"]);
    door.close().await;
    let away = desk.run(&["package", "send", "--to", &to, "--retries", "1", "1.xml"]).bad();
    says(&away, &["шлюз не отвечает; повтор через 1 с", "НЕ ДОСТАВЛЕН", "--to"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_uuid_of_two_suppliers_is_told_apart_by_the_supplier() {
    let stack = Stack::start(Flavour::Embedded).await;
    let id = PackageId(Uuid::new_v4());
    for supplier in &stack.suppliers[..2] {
        let mut header = header(supplier);
        header.package_id = id;
        stack.deliver(&package(supplier, header, &persons(0, 1))).await.unwrap();
    }
    let desk = Desk::at(stack.database_url.clone());
    let id = id.to_string();
    let unclear = desk.run(&["package", "status", &id]).bad();
    says(&unclear, &["DIARY0001", "DIARY0002", "--supplier"]);
    let clear = desk.run(&["package", "status", &id, "--supplier", "DIARY0002"]).good();
    says(&clear, &["поставщика DIARY0002"]);
    stack.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_simulated_region_is_sent_processed_and_replayed_from_the_command_line() {
    let desk = Desk::new();
    desk.run(&["simulate", "--out", "region", "--learners", "40", "--days", "1"]).good();
    desk.run(&["authority", "add", "region/keys/authority.crt"]).good();
    let manifest = fs::read(desk.dir.path().join("region/manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    for supplier in manifest["suppliers"].as_array().unwrap() {
        let text = |key: &str| supplier[key].as_str().unwrap().to_owned();
        let (name, certificate) = (text("mnemonic"), format!("region/{}", text("certificate")));
        let add =
            ["supplier", "add", &name, "--name", &text("name"), "--certificate", &certificate];
        desk.run(&add).good();
    }
    let config = Config::embedded(desk.dir.path().join("data"));
    let service = Service::start(&config, Roles::ALL, Clock::System).await.unwrap();
    let to = format!("http://{}", service.address);
    let packages = manifest["packages"].as_array().unwrap();
    let files = packages.iter().map(|one| format!("region/{}", one["file"].as_str().unwrap()));
    let files: Vec<String> = files.collect();
    let send = ["package", "send", "--to", &to].into_iter().chain(files.iter().map(String::as_str));
    desk.run(&send.collect::<Vec<_>>()).good();
    let until = async |state: &str, count: usize| {
        for _ in 0..300 {
            let list = desk.run(&["package", "list", "--json", "--state", state]).good();
            if json(&list).len() == count {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("{}", desk.run(&["package", "list"]).good());
    };
    until("registered", files.len()).await;
    let receipt = json(&desk.run(&["package", "receipt", "--json", "2"]).good());
    assert_eq!(receipt[0]["final"], true);
    let shown = json(&desk.run(&["package", "show", "--json", "2"]).good());
    let counts = &shown[0]["attempts"][0]["counts"]["Person"];
    assert!(counts["created"].as_u64().unwrap() > 20, "{counts}");
    says(&desk.run(&["package", "show", "2"]).good(), &["Записи:", "Персоны", "Создано"]);
    let replay = ["package", "replay", "--supplier", "DIARY0001", "--reason", "проверка", "--json"];
    let replayed = json(&desk.run(&replay).good()).len();
    assert!(replayed > 1);
    let finished = "SELECT count(*) FROM attempt WHERE outcome = 'registered'";
    let expected = i64::try_from(files.len() + replayed).unwrap();
    for _ in 0..300 {
        let row = service.exchange().db().query_one(finished, vec![]).await.unwrap().unwrap();
        if row.get::<i64>(0).unwrap() == expected {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    until("registered", files.len()).await;
    says(&desk.run(&["package", "show", "2"]).good(), &["проверка", "оператор"]);
    desk.run(&["audit", "verify"]).good();
    service.stop().await;
}

#[test]
fn a_command_whose_reader_has_left_ends_quietly() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("out");
    let out = out.to_str().unwrap();
    let arguments = ["simulate", "--learners", "10", "--days", "1", "--out", out];
    let mut command = Command::new(env!("CARGO_BIN_EXE_kontingent"));
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    assert!(ended.status.success(), "{:?}", ended.status);
}
