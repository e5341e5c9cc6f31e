//! Counts against a registry counted by hand, what is left out of them, and what is built in the
//! background.

use std::time::Duration;

use chrono::TimeDelta;
use kontingent::args;
use kontingent::codec::node::Node;
use kontingent::model::clock::Clock;
use kontingent::model::federal::statistics::{Breakdown, Count, Indicator, StatisticsQuery, Table};
use kontingent::storage::federal::{job, statistics};
use kontingent::trust::Signer;
use kontingent::trust::authority::KeyKind;
use uuid::Uuid;

use super::records::{apply, lines};
use super::world::{World, find, on_both, plain};

/// On 1 October 2021 seven learn in the school, of whom three also in the school of arts, one of
/// them under two records; two are in the kindergarten. One has left the day before, another changed
/// the year in spring.
const REGISTRY: &str = "
    Organisation o1 FullName=Школа Type=12 Status=1 Inn=5900000001 Oktmo=57701000
    Organisation o2 FullName=Сад Type=11 Status=1 Inn=5900000002 Oktmo=57604401
    Organisation o3 FullName=Искусства Type=15 Status=1 Inn=5900000003 Oktmo=57701000
    Organisation o4 FullName=Закрыта Type=12 Status=7 Inn=5900000004 Oktmo=57701000
    Organisation o5 FullName=Колледж Type=13 Status=1 Inn=5900000005 Oktmo=57701000 FoundedOn=2022-01-01
    ClassGroup c5 Organisation=o1 SchoolYear=2021/2022 Name=5 Parallel=5
    ClassGroup c6 Organisation=o1 SchoolYear=2021/2022 Name=6 Parallel=6
    Person p1 LastName=Первый FirstName=А Sex=1 BirthDate=2010-03-01 Snils=11223344595
    Person p2 LastName=Второй FirstName=Б Sex=1 BirthDate=2010-10-01
    Person p3 LastName=Третий FirstName=В Sex=1 BirthDate=2010-10-02
    Person p4 LastName=Четвёртая FirstName=Г Sex=2 BirthDate=2010-05-05
    Person p5 LastName=Пятая FirstName=Д Sex=2 BirthDate=2010-05-06
    Person p6 LastName=Шестая FirstName=Е Sex=2 BirthDate=2010-05-07
    Person p7 LastName=Седьмая FirstName=Ж Sex=2 BirthDate=2010-05-08
    Person p8 LastName=Восьмой FirstName=З Sex=1 BirthDate=2017-01-01
    Person p9 LastName=Девятая FirstName=И Sex=2 BirthDate=2017-02-01
    Person p10 LastName=Десятый FirstName=К Sex=1 BirthDate=2010-04-01
    Person p11 LastName=Первый_он_же FirstName=А Sex=1 BirthDate=2010-03-01
    Membership s1 Person=p1 Organisation=o1 ClassGroup=c5 SchoolYear=2021/2022 FromDate=2021-09-01 ReasonIn=4
    Membership s2 Person=p2 Organisation=o1 ClassGroup=c5 SchoolYear=2021/2022 FromDate=2021-09-01 ReasonIn=4
    Membership s3 Person=p3 Organisation=o1 ClassGroup=c5 SchoolYear=2021/2022 FromDate=2021-09-01 ReasonIn=4
    Membership s4 Person=p4 Organisation=o1 ClassGroup=c5 SchoolYear=2021/2022 FromDate=2021-09-01 ReasonIn=4
    Membership s5 Person=p5 Organisation=o1 ClassGroup=c6 SchoolYear=2021/2022 FromDate=2021-09-01 ReasonIn=2
    Membership s6 Person=p6 Organisation=o1 ClassGroup=c6 SchoolYear=2021/2022 FromDate=2021-09-01 ReasonIn=2
    Membership s7 Person=p7 Organisation=o1 ClassGroup=c6 SchoolYear=2021/2022 FromDate=2021-09-01 ReasonIn=2
    Membership s7b Person=p7 Organisation=o1 SchoolYear=2020/2021 FromDate=2020-09-01 ToDate=2021-05-31 ReasonOut=0
    Membership s10 Person=p10 Organisation=o1 SchoolYear=2020/2021 FromDate=2020-09-01 ToDate=2021-09-30 ReasonOut=13
    Membership a1 Person=p1 Organisation=o3 SchoolYear=2020/2021 FromDate=2020-09-15
    Membership a2 Person=p2 Organisation=o3 SchoolYear=2020/2021 FromDate=2020-09-15
    Membership a4 Person=p4 Organisation=o3 SchoolYear=2020/2021 FromDate=2020-09-15
    Membership a11 Person=p11 Organisation=o3 SchoolYear=2020/2021 FromDate=2020-09-15
    Membership k8 Person=p8 Organisation=o2 SchoolYear=2020/2021 FromDate=2020-09-01
    Membership k9 Person=p9 Organisation=o2 SchoolYear=2020/2021 FromDate=2020-09-01";

const DAY: &str = "2021-10-01";

async fn fill(world: &World) {
    let at = Clock::System.now() - TimeDelta::hours(1);
    apply(world, 1, 1, &lines(REGISTRY), at).await.unwrap();
    let (p1, p11) = (world.registered("p1").await, world.registered("p11").await);
    let merge = "UPDATE person SET merged_into = $2 WHERE id = $1";
    world.db.execute(merge, args![p11, p1]).await.unwrap();
}

/// A table as words: `total 9/13; 12 7/7; ? -`, where `?` is unknown and `-` is left out.
fn told(statistics: &Node) -> String {
    let count = |node: &Node| {
        let number = |name: &str| node.children.iter().find(|child| child.local == name);
        match (number("Persons"), number("Memberships"), number("Organisations")) {
            (Some(persons), Some(memberships), None) => {
                format!("{}/{}", persons.text, memberships.text)
            }
            (None, None, Some(organisations)) => organisations.text.clone(),
            _ => {
                assert_eq!(node.attribute("Suppressed"), Some("true"));
                "-".to_owned()
            }
        }
    };
    let mut words = vec![format!("total {}", count(find(statistics, "Total")))];
    for cell in statistics.children.iter().filter(|node| node.local == "Cell") {
        let at = cell.children.iter().filter(|node| node.local == "Coordinate");
        let at: Vec<&str> = at.map(|node| node.attribute("Code").unwrap_or("?")).collect();
        words.push(format!("{} {}", at.join(","), count(cell)));
    }
    words[1..].sort_unstable();
    words.join("; ")
}

fn query(indicator: &str, from: &str, day: &str, rest: &str) -> String {
    let from = if from.is_empty() { String::new() } else { format!("<From>{from}</From>") };
    format!("<Indicator>{indicator}</Indicator>{from}<Date>{day}</Date>{rest}")
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_are_those_of_a_registry_counted_by_hand() {
    on_both(async |world| {
        let caller = world.system("FNS00001", KeyKind::P256).await;
        fill(world).await;
        let by = |breakdown: &str| format!("<Breakdown>{breakdown}</Breakdown>");
        let within = |oktmo: &str| format!("<Oktmo>{oktmo}</Oktmo>");
        let (kind, reason) = (by("ORGANISATION_KIND"), by("REASON"));
        for (indicator, from, day, rest, expected) in [
            ("LEARNERS", "", DAY, String::new(), "total 9/13"),
            // The kindergarten alone would follow from the total.
            ("LEARNERS", "", DAY, kind.clone(), "total 9/13; 11 -; 12 7/7; 15 -"),
            ("LEARNERS", "", DAY, by("PARALLEL"), "total 9/13; 5 4/4; 6 3/3; ? 5/6"),
            ("LEARNERS", "", DAY, by("SEX_AGE"), "total 9/13; 1,11 -; 1,5 -; 2,11 4/5; 2,4 -"),
            ("LEARNERS", "", DAY, within("57701000"), "total 7/11"),
            ("LEARNERS", "", DAY, within("57604000"), "total -"),
            ("LEARNERS", "", DAY, within("57"), "total 9/13"),
            ("LEARNERS", "", DAY, within("66"), "total 0/0"),
            ("LEARNERS", "", "2021-05-31", String::new(), "total 7/8"),
            ("LEARNERS", "", "2019-01-01", kind.clone(), "total 0/0"),
            ("ENROLMENTS", "2021-09-01", "2021-09-30", reason.clone(), "total 7/7; 2 3/3; 4 4/4"),
            ("ENROLMENTS", "2020-09-01", "2020-09-30", String::new(), "total 7/8"),
            ("WITHDRAWALS", "2021-05-01", "2021-09-30", kind.clone(), "total -; 12 -"),
            ("WITHDRAWALS", "2021-06-01", "2021-09-30", reason, "total -; 13 -"),
            ("ORGANISATIONS", "", DAY, kind.clone(), "total 3; 11 1; 12 1; 15 1"),
            ("ORGANISATIONS", "", "2022-02-01", within("57701"), "total 3"),
        ] {
            let inside = query(indicator, from, day, &rest);
            let answer = world.ask(&caller, "GetStatisticsRequest", &inside).await;
            let answer = answer.unwrap_or_else(|refused| panic!("{inside}: {}", refused.xml));
            assert_eq!(told(find(&answer, "Statistics")), expected, "{inside}");
        }
        let inside = query("LEARNERS", "", DAY, &kind);
        let answer = world.ask(&caller, "GetStatisticsRequest", &inside).await.unwrap();
        let titled = |node: &&Node| node.attribute("Code") == Some("12");
        let cells = find(&answer, "Statistics").children.iter().flat_map(|cell| &cell.children);
        let school = cells.filter(|node| node.local == "Coordinate").find(titled).unwrap();
        assert_eq!(school.attribute("Title"), Some("Общеобразовательная организация"));
        // Before anything is left out: ages are those on 1 January, and so the same all the school year,
        // whoever has a birthday.
        let same = ["1,11 3/6", "1,5 1/1", "2,11 4/5", "2,4 1/1"];
        for day in ["2021-10-01", "2021-10-02", "2021-12-31", "2022-01-01", "2022-08-31"] {
            let raw = uncovered(world, day, Breakdown::SexAge).await;
            assert_eq!(counts(&raw), same, "{day}");
        }
        let next = uncovered(world, "2022-09-01", Breakdown::SexAge).await;
        assert_eq!(counts(&next), ["1,12 3/6", "1,6 1/1", "2,12 4/5", "2,5 1/1"]);
    })
    .await;
}

async fn uncovered(world: &World, day: &str, breakdown: Breakdown) -> Table {
    let query = StatisticsQuery {
        indicator: Indicator::Learners,
        from: None,
        date: day.parse().unwrap(),
        territory: None,
        breakdown,
    };
    let mut tx = world.db.begin_read().await.unwrap();
    statistics::table(&mut tx, &query).await.unwrap()
}

fn counts(table: &Table) -> Vec<String> {
    let cell = |cell: &kontingent::model::federal::statistics::Cell| {
        let at: Vec<String> =
            cell.at.iter().map(|at| at.code.clone().unwrap_or_default()).collect();
        let Some(Count::Learning { persons, memberships }) = cell.count else { panic!() };
        format!("{} {persons}/{memberships}", at.join(","))
    };
    let mut cells: Vec<String> = table.cells.iter().map(cell).collect();
    cells.sort_unstable();
    cells
}

/// Orders, and asks until it is built.
async fn built(world: &World, caller: &Signer, inside: &str) -> (String, Node) {
    let ordered = world.ask(caller, "BuildStatisticsRequest", inside).await.unwrap();
    assert_eq!(find(&ordered, "Status").text, "PROCESS");
    let job = find(&ordered, "JobID").text.clone();
    loop {
        let answer = fetch(world, caller, &job, 1).await;
        if find(&answer, "Status").text != "PROCESS" {
            return (job, answer);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn fetch(world: &World, caller: &Signer, job: &str, page: i64) -> Node {
    let inside = format!("<JobID>{job}</JobID><Page>{page}</Page>");
    world.ask(caller, "GetBuiltStatisticsRequest", &inside).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ordered_is_built_and_tells_of_nobody() {
    on_both(async |world| {
        let caller = world.system("FNS00001", KeyKind::P256).await;
        let stranger = world.system("PFR00001", KeyKind::P256).await;
        fill(world).await;
        let table = query("LEARNERS", "", DAY, "<Breakdown>PARALLEL</Breakdown>");
        let at_once = world.ask(&caller, "GetStatisticsRequest", &table).await.unwrap();
        let (job, answer) = built(world, &caller, &table).await;
        assert_eq!(plain(find(&answer, "Statistics")), plain(find(&at_once, "Statistics")));
        assert_eq!(refusal(&fetch(world, &stranger, &job, 1).await), "REJECT UNKNOWN_JOB");
        assert_eq!(refusal(&fetch(world, &caller, &job, 2).await), "REJECT NO_PAGE");

        let persons = query("LEARNERS", "", DAY, "<Breakdown>PERSONS</Breakdown>");
        let (_, answer) = built(world, &caller, &persons).await;
        let rows = &find(&answer, "Depersonalised").children;
        let shown: Vec<&Node> =
            rows.iter().filter(|row| row.attribute("Suppressed").is_none()).collect();
        assert_eq!((rows.len(), shown.len()), (9, 3), "three alike are told, six are not");
        for row in shown {
            let traits = ["BirthYear", "Sex", "OrganisationKinds"].map(|name| row.attribute(name));
            assert_eq!(traits, [Some("2010"), Some("2"), Some("12")]);
        }
        let pseudonyms: Vec<&str> =
            rows.iter().map(|row| row.attribute("Pseudonym").unwrap()).collect();
        assert!(pseudonyms.is_sorted_by(|a, b| a < b));
        let (other, again) = built(world, &caller, &persons).await;
        let again = plain(find(&again, "Depersonalised"));
        assert_eq!(again, plain(find(&answer, "Depersonalised")), "always the same");
        let text = format!("{answer:?}");
        for personal in ["Первый", "11223344595", "2010-03-01", "RegionalID"] {
            assert!(!text.contains(personal), "{personal}");
        }
        let about = "SELECT count(*) FROM disclosure_person";
        assert_eq!(world.count(about).await, 0, "nobody was told about");
        let nobody = query("LEARNERS", "", "2000-01-01", "<Breakdown>PERSONS</Breakdown>");
        let (_, answer) = built(world, &caller, &nobody).await;
        assert!(find(&answer, "Depersonalised").children.is_empty());

        job::forget(&world.db, Clock::System.now() + TimeDelta::days(8)).await.unwrap();
        assert_eq!(refusal(&fetch(world, &caller, &other, 1).await), "REJECT JOB_FORGOTTEN");
        assert_eq!(world.count("SELECT count(*) FROM statistics_page").await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_wait_are_not_doubled_are_given_up_and_have_a_limit() {
    on_both(async |world| {
        let caller = world.system("FNS00001", KeyKind::P256).await;
        let system = world.count("SELECT id FROM federal_system").await;
        let now = Clock::System.now();
        let held = now + TimeDelta::hours(1);
        let put = async |query: &str, tries: i64, until| {
            let id = Uuid::new_v4();
            let sql = "INSERT INTO statistics_job (id, system_id, query, state, ordered_at, tries, \
                leased_until, pages) VALUES ($1, $2, $3, 'ordered', $4, $5, $6, 0)";
            world.db.execute(sql, args![id, system, query, now, tries, until]).await.unwrap();
            id.to_string()
        };
        let order = StatisticsQuery {
            indicator: Indicator::Learners,
            from: None,
            date: DAY.parse().unwrap(),
            territory: None,
            breakdown: Breakdown::Nothing,
        };
        // Another process is at it.
        let waits = put(&serde_json::to_string(&order).unwrap(), 1, Some(held)).await;
        let answer = fetch(world, &caller, &waits, 1).await;
        assert_eq!(find(&answer, "Status").text, "PROCESS");
        let inside = query("LEARNERS", "", DAY, "");
        let same = world.ask(&caller, "BuildStatisticsRequest", &inside).await.unwrap();
        assert_eq!(find(&same, "JobID").text, waits, "the same order is one job");
        for number in 0..19 {
            put(&number.to_string(), 1, Some(held)).await;
        }
        let more = query("LEARNERS", "", "2021-10-02", "");
        let more = world.ask(&caller, "BuildStatisticsRequest", &more).await.unwrap();
        assert_eq!(refusal(&more), "REJECT TOO_MANY_JOBS");
        let spoilt = put("not a query", 0, None).await;
        loop {
            let answer = fetch(world, &caller, &spoilt, 1).await;
            if find(&answer, "Status").text != "PROCESS" {
                assert_eq!(refusal(&answer), "FAILURE JOB_FAILED", "tried, and given up");
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

fn refusal(answer: &Node) -> String {
    let code = find(answer, "Refused").attribute("Code").unwrap();
    format!("{} {code}", find(answer, "Status").text)
}
