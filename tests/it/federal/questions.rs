//! Where a person has learnt, organisations page by page, what the registry does not keep, and
//! whether we are there.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use kontingent::args;
use kontingent::codec::node::Node;
use kontingent::model::clock::Clock;
use kontingent::trust::authority::KeyKind;

use super::records::{apply, lines};
use super::world::{find, on_both, plain, try_find};

const REGISTRY: &str = "
    Organisation o1 FullName=Школа_1 Type=12 Status=1 Inn=5900000001 Kpp=590001001 Ogrn=1025900000001 Oktmo=57701000
    Organisation o2 FullName=Детский_сад_7 Type=11 Status=1 Inn=5900000002 Oktmo=57604401
    Organisation o3 FullName=Школа_искусств Type=15 Status=1 Inn=5900000003 Oktmo=57701000
    Organisation o4 FullName=Филиал Type=12 Status=1 Inn=5900000001 Kpp=590002001 Oktmo=57604000
    ClassGroup c1 Organisation=o1 SchoolYear=2020/2021 Name=1_А Parallel=1
    Person p1 LastName=Сидоров FirstName=Иван MiddleName=Ильич Sex=1 BirthDate=2013-03-04 Snils=11223344595
    Person p2 LastName=Сидоров FirstName=Ваня Sex=1 BirthDate=2013-03-04
    Membership m1 Person=p1 Organisation=o1 ClassGroup=c1 SchoolYear=2020/2021 FromDate=2020-09-01 Form=11 Programme=12 ReasonIn=1
    Membership m2 Person=p1 Organisation=o2 SchoolYear=2016/2017 FromDate=2016-09-01 ToDate=2020-05-31 Programme=11 ReasonOut=10
    Membership m3 Person=p2 Organisation=o3 SchoolYear=2018/2019 FromDate=2018-09-10 Programme=411";

#[tokio::test(flavor = "multi_thread")]
async fn a_trajectory_tells_in_the_order_of_time_where_a_person_has_learnt() {
    on_both(async |world| {
        let caller = world.system("FNS00001", KeyKind::P256).await;
        let at = Clock::System.now() - TimeDelta::hours(1);
        apply(world, 1, 1, &lines(REGISTRY), at).await.unwrap();
        let (p1, p2) = (world.registered("p1").await, world.registered("p2").await);
        let merge = "UPDATE person SET merged_into = $2 WHERE id = $1";
        world.db.execute(merge, args![p2, p1]).await.unwrap();
        let ask = async |key: &str| world.ask(&caller, "GetTrajectoryRequest", key).await.unwrap();

        let told = ask(&format!("<RegionalID>{p2}</RegionalID>")).await;
        let redirect = find(&told, "Redirect");
        assert_eq!(redirect.attribute("To"), Some(p1.to_string().as_str()));
        let trajectory = find(&told, "Trajectory");
        let steps: Vec<&Node> =
            trajectory.children.iter().filter(|node| node.local == "Step").collect();
        let names = steps.iter().map(|step| find(step, "FullName").text.as_str());
        let expected = ["Детский сад 7", "Школа искусств", "Школа 1"];
        assert!(names.eq(expected), "of both records of the person, by first day");
        let school = steps[2];
        for (name, text) in [
            ("Inn", "5900000001"),
            ("Kpp", "590001001"),
            ("Ogrn", "1025900000001"),
            ("Name", "1 А"),
            ("FromDate", "2020-09-01"),
        ] {
            assert_eq!(find(school, name).text, text);
        }
        let title =
            |step: &Node, name: &str| find(step, name).attribute("Title").unwrap().to_owned();
        assert_eq!(title(school, "Type"), "Общеобразовательная организация");
        assert_eq!(title(school, "Form"), "Очно");
        assert_eq!(title(steps[0], "ReasonOut"), "Выпуск");
        assert!(try_find(school, "ToDate").is_none());
        let documents = find(trajectory, "EducationDocuments");
        assert_eq!(find(documents, "NoData").attribute("Code"), Some("NOT_KEPT"));
        assert!(find(documents, "NoData").text.contains("нет данных"));

        let by_snils = ask("<Snils>112-233-445 95</Snils>").await;
        assert_eq!(plain(find(&by_snils, "Trajectory")), plain(trajectory));
        assert!(ask("<RegionalID>999</RegionalID>").await.children.is_empty());
        assert!(ask("<FederalID>нет</FederalID>").await.children.is_empty());
        let logged = "SELECT count(*) FROM disclosure WHERE question = 'GetTrajectoryRequest' \
            AND purpose = 'проверка'";
        assert_eq!(world.count(logged).await, 4);
        let about = "SELECT count(*) FROM disclosure_person p JOIN disclosure d \
            ON d.id = p.disclosure_id WHERE d.question = 'GetTrajectoryRequest'";
        assert_eq!(world.count(about).await, 4, "of both records of the person, twice");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn organisations_come_page_by_page_by_what_is_asked_of_them() {
    on_both(async |world| {
        let caller = world.system("FNS00001", KeyKind::P256).await;
        let stranger = world.system("PFR00001", KeyKind::P256).await;
        let now = Clock::System.now();
        apply(world, 1, 1, &lines(REGISTRY), now - TimeDelta::hours(2)).await.unwrap();
        let ask = async |inside: &str| {
            world.ask(&caller, "GetOrganisationsRequest", inside).await.unwrap()
        };
        let names = |page: &Node| {
            let organisations = page.children.iter().filter(|node| node.local == "Organisation");
            organisations.map(|one| find(one, "FullName").text.clone()).collect::<Vec<_>>()
        };
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = ask(&format!("{cursor}<PageSize>1</PageSize>")).await;
            seen.extend(names(&page));
            assert!(seen.len() <= 4);
            let Some(next) = try_find(&page, "NextCursor") else {
                assert_eq!(find(&page, "More").text, "false");
                break;
            };
            cursor = format!("<Cursor>{}</Cursor>", next.text);
        }
        let each: BTreeSet<&String> = seen.iter().collect();
        assert_eq!((seen.len(), each.len()), (4, 4), "each once");
        let by = async |inside: &str| names(&ask(inside).await);
        assert_eq!(by("<Inn>5900000001</Inn>").await, ["Школа 1", "Филиал"]);
        assert_eq!(by("<Oktmo>57604000</Oktmo>").await, ["Детский сад 7", "Филиал"]);
        assert_eq!(by("<Oktmo>57701000</Oktmo>").await, ["Школа 1", "Школа искусств"]);
        assert_eq!(by("<Inn>5900000001</Inn><Oktmo>57604</Oktmo>").await, ["Филиал"]);
        assert_eq!(by("<Inn>5900000009</Inn>").await, Vec::<String>::new());
        let instant = |at: chrono::DateTime<chrono::Utc>| {
            format!("<ChangedSince>{}</ChangedSince>", at.to_rfc3339())
        };
        assert_eq!(by(&instant(now - TimeDelta::days(1))).await.len(), 4);
        assert_eq!(by(&instant(now + TimeDelta::days(1))).await.len(), 0);

        // A cursor serves whom and what it was given for.
        let filtered = format!("{cursor}<PageSize>1</PageSize>");
        let filtered = format!("<Oktmo>57</Oktmo>{filtered}");
        for (who, question) in [(&caller, filtered.as_str()), (&stranger, cursor.as_str())] {
            let refused = world.ask(who, "GetOrganisationsRequest", question).await.unwrap_err();
            assert_eq!(refused.fault().local, "InvalidContent");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_kept_is_said_so_and_what_is_malformed_is_refused() {
    on_both(async |world| {
        let caller = world.system("FNS00001", KeyKind::P256).await;
        let queue = "<Date>2026-09-01</Date><Oktmo>57701000</Oktmo>";
        let queue = world.ask(&caller, "GetQueueStatisticsRequest", queue).await.unwrap();
        assert_eq!(find(&queue, "NoData").attribute("Code"), Some("NOT_KEPT"));
        let ping = world.ask(&caller, "PingRequest", "").await.unwrap();
        assert_eq!(find(&ping, "Status").text, "ACCEPT");
        let there: chrono::DateTime<chrono::Utc> = find(&ping, "Time").text.parse().unwrap();
        assert!((Clock::System.now() - there).num_seconds().abs() < 60);

        let day = "<Date>2026-09-01</Date>";
        let job = "<JobID>6dfbb380-6827-41ef-9a3b-0242ac110002</JobID>";
        let cases = [
            ("GetOrganisationsRequest", "<PageSize>-1</PageSize>".to_owned()),
            ("GetOrganisationsRequest", "<PageSize>1000000000</PageSize>".to_owned()),
            ("GetOrganisationsRequest", "<Cursor>выдуман</Cursor>".to_owned()),
            ("GetOrganisationsRequest", "<Cursor>AAAAAAAAAAAAAAAAAAAAAAAA</Cursor>".to_owned()),
            ("GetOrganisationsRequest", "<Oktmo>5770100</Oktmo>".to_owned()),
            ("GetOrganisationsRequest", "<Inn>% OR 1=1</Inn>".to_owned()),
            ("GetOrganisationsRequest", "<ChangedSince>2026-09-01</ChangedSince>".to_owned()),
            ("GetBuiltStatisticsRequest", format!("{job}<Page>0</Page>")),
            ("GetBuiltStatisticsRequest", format!("{job}<Page>1000000000</Page>")),
            ("GetBuiltStatisticsRequest", "<JobID>1</JobID>".to_owned()),
            ("GetStatisticsRequest", format!("<Indicator>PUPILS</Indicator>{day}")),
            ("GetStatisticsRequest", format!("<Indicator>ENROLMENTS</Indicator>{day}")),
            (
                "GetStatisticsRequest",
                format!("<Indicator>LEARNERS</Indicator><From>2026-01-01</From>{day}"),
            ),
            (
                "GetStatisticsRequest",
                format!("<Indicator>ENROLMENTS</Indicator><From>2027-01-01</From>{day}"),
            ),
            (
                "GetStatisticsRequest",
                format!("<Indicator>LEARNERS</Indicator>{day}<Breakdown>PERSONS</Breakdown>"),
            ),
            (
                "BuildStatisticsRequest",
                format!("<Indicator>ORGANISATIONS</Indicator>{day}<Breakdown>SEX_AGE</Breakdown>"),
            ),
            ("GetTrajectoryRequest", "<RegionalID>-5</RegionalID>".to_owned()),
            ("TransferRequest", "<RegionalID>5</RegionalID><Direction>BACK</Direction>".to_owned()),
            ("TransferConfirmRequest", "<CaseID>x</CaseID>".to_owned()),
            ("AssignFederalIdRequest", String::new()),
            ("PingRequest", "<Other/>".to_owned()),
        ];
        for (root, inside) in cases {
            let refused = world.ask(&caller, root, &inside).await.unwrap_err();
            assert_eq!(refused.fault().local, "InvalidContent", "{root} {inside}");
        }
        assert_eq!(world.count("SELECT count(*) FROM disclosure").await, 2);
        assert_eq!(world.count("SELECT count(*) FROM statistics_job").await, 0);
    })
    .await;
}
