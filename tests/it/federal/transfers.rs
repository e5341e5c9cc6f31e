//! Transfers to other regions, and ids given to persons: what they change, and that nothing is
//! changed twice.

use std::time::Duration;

use chrono::TimeDelta;
use kontingent::args;
use kontingent::codec::node::Node;
use kontingent::model::clock::Clock;
use kontingent::model::kind::Kind;
use kontingent::model::record::Value;
use kontingent::normalise;
use kontingent::storage::federal;
use kontingent::trust::Signer;
use kontingent::trust::authority::KeyKind;

use super::changes::{Copy, entities};
use super::message::{Message, content, new_id};
use super::records::{apply, lines};
use super::world::{Person, World, find, on_both, try_find};

const REGISTRY: &str = "
    Organisation o1 FullName=Школа_1 Type=12 Status=1 Inn=5900000001 Kpp=590001001 Oktmo=57701000
    Organisation o2 FullName=Школа_искусств Type=15 Status=1 Inn=5900000002
    Person p1 LastName=Сидоров FirstName=Иван MiddleName=Ильич Sex=1 BirthDate=2012-03-04 Snils=11223344595
    Person p2 LastName=Гость FirstName=Яна Sex=2 BirthDate=2011-01-02
    Person p3 LastName=Ким FirstName=Ю Sex=2 BirthDate=2010-01-02
    Membership m1 Person=p1 Organisation=o1 SchoolYear=2020/2021 FromDate=2020-09-01
    Membership m2 Person=p1 Organisation=o2 SchoolYear=2020/2021 FromDate=2020-10-01 ToDate=2035-05-31
    Membership m3 Person=p1 Organisation=o1 SchoolYear=2019/2020 FromDate=2019-09-01 ToDate=2020-05-31
    Membership m4 Person=p3 Organisation=o1 SchoolYear=2021/2022 FromDate=2021-09-01";

fn notice(key: &str, date: &str) -> String {
    format!(
        "{key}<Direction>LEAVING</Direction><Region>66</Region><Date>{date}</Date>\
         <Organisation>Школа 5 г. Екатеринбурга</Organisation><Reason>переезд семьи</Reason>"
    )
}

fn decision(case: &str, decision: &str, date: &str) -> String {
    format!("<CaseID>{case}</CaseID><Decision>{decision}</Decision><Date>{date}</Date>")
}

/// Code of the refusal in an answer.
fn refused(answer: &Node) -> &str {
    find(answer, "Refused").attribute("Code").unwrap()
}

fn state(answer: &Node) -> (&str, bool) {
    let case = find(answer, "TransferCase");
    (case.attribute("State").unwrap(), case.attribute("Repeated").is_some())
}

async fn ask(world: &World, caller: &Signer, root: &str, inside: &str) -> Node {
    world.ask(caller, root, inside).await.unwrap_or_else(|refused| panic!("{}", refused.xml))
}

async fn membership(world: &World, external_id: &str) -> i64 {
    let sql = "SELECT id FROM membership WHERE external_id = $1";
    world.db.query_one(sql, args![external_id]).await.unwrap().unwrap().get(0).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmed_transfer_closes_memberships_once_and_through_the_history() {
    on_both(async |world| {
        let caller = world.system("FNS00001", KeyKind::P256).await;
        let before = Clock::System.now() - TimeDelta::hours(2);
        apply(world, 1, 1, &lines(REGISTRY), before).await.unwrap();
        let person = format!("<RegionalID>{}</RegionalID>", world.registered("p1").await);
        let request = notice(&person, "2021-01-15");

        // A test is answered as if done, and does nothing.
        let id = new_id().to_string();
        let test = Message::test(&id, &content("TransferRequest", &request)).signed(&caller);
        world.send(test).await.body();
        assert_eq!(state(&world.next(&caller).await), ("OPEN", false));
        assert_eq!(world.count("SELECT count(*) FROM transfer_case").await, 0);

        let opened = ask(world, &caller, "TransferRequest", &request).await;
        assert_eq!(state(&opened), ("OPEN", false));
        let by_snils = notice("<Snils>112-233-445 95</Snils>", "2021-01-16");
        let again = ask(world, &caller, "TransferRequest", &by_snils).await;
        assert_eq!(state(&again), ("OPEN", true), "the same move is one case");
        let case = find(&opened, "TransferCase").attribute("CaseID").unwrap().to_owned();
        assert_eq!(find(&again, "TransferCase").attribute("CaseID"), Some(case.as_str()));

        // Confirmed by many messages at once, it is done once.
        let confirm =
            content("TransferConfirmRequest", &decision(&case, "CONFIRMED", "2021-01-20"));
        let sent = (0..6)
            .map(|_| world.send(Message::ask(&new_id().to_string(), "", &confirm).signed(&caller)));
        for taken in futures_util::future::join_all(sent).await {
            taken.body();
        }
        let (m1, m2) = (membership(world, "m1").await, membership(world, "m2").await);
        let mut fresh = 0;
        for _ in 0..6 {
            let answer = world.next(&caller).await;
            let (state, repeated) = state(&answer);
            assert_eq!(state, "CONFIRMED");
            fresh += usize::from(!repeated);
            let closed = find(&answer, "TransferCase").children.iter();
            let closed = closed.filter(|node| node.local == "ClosedMembership");
            let closed: Vec<&str> = closed.map(|node| node.text.as_str()).collect();
            assert_eq!(closed, [m1.to_string(), m2.to_string()]);
        }
        assert_eq!(fresh, 1);
        let other = decision(&case, "DECLINED", "2021-01-20");
        let other = ask(world, &caller, "TransferConfirmRequest", &other).await;
        assert_eq!((state(&other).0, refused(&other)), ("CONFIRMED", "ALREADY_DECIDED"));

        let after = ask(world, &caller, "TransferRequest", &request).await;
        assert_eq!(state(&after), ("CONFIRMED", true), "the notice again, after the decision");
        assert_eq!(find(&after, "TransferCase").attribute("CaseID"), Some(case.as_str()));

        closed_in_the_registry(world, &caller, m1).await;
        suppliers_go_on(world, m1).await;
        let told = "SELECT count(*) FROM disclosure d JOIN disclosure_person p \
            ON p.disclosure_id = d.id WHERE d.question LIKE 'Transfer%' AND p.person_id = $1";
        let p1 = world.registered("p1").await;
        let row = world.db.query_one(told, args![p1]).await.unwrap().unwrap();
        assert_eq!(row.get::<i64>(0).unwrap(), 12, "every question, repeated and refused ones too");
    })
    .await;
}

/// The closing stands in the rows, in the history, in the card and in the changes.
async fn closed_in_the_registry(world: &World, caller: &Signer, m1: i64) {
    assert_history_tells_the_same(world).await;
    let entries = "SELECT count(*) FROM change_log c JOIN transfer_closing t ON t.change_id = c.id \
        AND t.membership_id = c.entity_id WHERE c.kind = 'Membership' AND c.package_no = 0 \
        AND c.supplier_id = 0";
    assert_eq!(world.count(entries).await, 2);
    let version =
        world.db.query("SELECT version, to_date FROM membership WHERE id = $1", args![m1]);
    let row = &version.await.unwrap()[0];
    assert_eq!(row.get::<i64>(0).unwrap(), 2);
    let p1 = format!("<RegionalID>{}</RegionalID>", world.registered("p1").await);
    let card = ask(world, caller, "GetPersonBySnilsRequest", &p1).await;
    assert!(try_find(&card, "Membership").is_none());
    let nobody = ask(world, caller, "TransferRequest", &notice(&p1, "2021-03-15")).await;
    assert_eq!(refused(&nobody), "NO_MEMBERSHIP", "nothing is left to close");
    let mut copy = Copy::new();
    let mut cursor = String::new();
    loop {
        let page = ask(world, caller, "GetChangedSinceRequest", &cursor).await;
        copy.extend(entities(&page));
        cursor = format!("<Cursor>{}</Cursor>", find(&page, "NextCursor").text);
        let field = |name: &str| {
            let fields = copy.get(&("Membership".to_owned(), m1))?.iter();
            fields.into_iter().find(|(field, _)| field == name).map(|(_, value)| value.clone())
        };
        if field("ToDate").as_deref() == Some("2021-01-20") {
            assert_eq!(field("ReasonOut").as_deref(), Some("13"));
            let there = "Школа 5 г. Екатеринбурга (регион 66)";
            assert_eq!(field("Destination").as_deref(), Some(there));
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What a supplier read before the closing changes nothing of it; what it read later does.
async fn suppliers_go_on(world: &World, m1: i64) {
    let to_date = async || {
        let sql = "SELECT to_date, form FROM membership WHERE id = $1";
        let row = world.db.query_one(sql, args![m1]).await.unwrap().unwrap();
        let date = row.get::<Option<chrono::NaiveDate>>(0).unwrap();
        (date.map(|date| date.to_string()), row.get::<Option<String>>(1).unwrap())
    };
    let open = "Membership m1 Person=p1 Organisation=o1 SchoolYear=2020/2021 FromDate=2020-09-01 \
        ToDate= Form=11";
    let now = Clock::System.now();
    apply(world, 1, 2, &lines(open), now - TimeDelta::hours(1)).await.unwrap();
    assert_eq!(to_date().await, (Some("2021-01-20".to_owned()), Some("11".to_owned())));
    assert_history_tells_the_same(world).await;
    apply(world, 1, 3, &lines(open), now + TimeDelta::seconds(1)).await.unwrap();
    assert_eq!(to_date().await.0, None);
    assert_history_tells_the_same(world).await;
}

/// Current memberships are the fold of their history.
async fn assert_history_tells_the_same(world: &World) {
    let spec = normalise::spec(Kind::Membership);
    let sql = "SELECT entity_id, fields FROM change_log WHERE kind = 'Membership' \
        ORDER BY as_of, package_no, record, id";
    let mut folded = std::collections::BTreeMap::new();
    for row in world.db.query(sql, vec![]).await.unwrap() {
        let entity: i64 = row.get(0).unwrap();
        let fields: serde_json::Value = row.get(1).unwrap();
        let cells: &mut Vec<Option<Value>> =
            folded.entry(entity).or_insert_with(|| vec![None; spec.fields.len()]);
        for (column, json) in fields.as_object().unwrap() {
            let at = spec.column(column).unwrap();
            cells[at] = Value::from_json(spec.fields[at].ty.storage(), json);
        }
    }
    let ids: Vec<_> = folded.keys().map(|&id| kontingent::model::ids::EntityId(id)).collect();
    let mut tx = world.db.begin_read().await.unwrap();
    let rows = federal::entities(&mut tx, spec, &ids).await.unwrap();
    assert_eq!(rows.len(), folded.len());
    for (id, entity) in rows {
        assert_eq!(entity.values, folded[&id.0], "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_transfer_that_cannot_be_is_answered_with_its_reason() {
    on_both(async |world| {
        let caller = world.system("FNS00001", KeyKind::P256).await;
        let at = Clock::System.now() - TimeDelta::hours(2);
        apply(world, 1, 1, &lines(REGISTRY), at).await.unwrap();
        let mut tx = world.db.begin().await.unwrap();
        for id in [5_000_001, 5_000_002, 5_000_003] {
            let name = ["Два", "Номера", ""];
            let snils = (id < 5_000_003).then_some("00000000001");
            world.put_person(&mut tx, &Person { id, name, born: "2010-01-01", snils }).await;
        }
        tx.commit().await.unwrap();
        let key =
            async |name: &str| format!("<RegionalID>{}</RegionalID>", world.registered(name).await);
        let ahead = (Clock::System.now() + TimeDelta::days(400)).date_naive().to_string();
        for (key, date, code) in [
            ("<RegionalID>999</RegionalID>".to_owned(), "2021-01-15", "UNKNOWN_PERSON"),
            ("<Snils>00000000009</Snils>".to_owned(), "2021-01-15", "UNKNOWN_PERSON"),
            ("<FederalID>нет</FederalID>".to_owned(), "2021-01-15", "UNKNOWN_PERSON"),
            ("<Snils>00000000001</Snils>".to_owned(), "2021-01-15", "SEVERAL_PERSONS"),
            (key("p2").await, "2021-01-15", "NO_MEMBERSHIP"),
            (key("p1").await, ahead.as_str(), "DATE_AHEAD"),
        ] {
            let answer = ask(world, &caller, "TransferRequest", &notice(&key, date)).await;
            assert_eq!(refused(&answer), code, "{key}");
            assert!(try_find(&answer, "TransferCase").is_none());
        }
        let unknown = decision("6dfbb380-6827-41ef-9a3b-0242ac110002", "CONFIRMED", "2021-01-01");
        let answer = ask(world, &caller, "TransferConfirmRequest", &unknown).await;
        assert_eq!(refused(&answer), "UNKNOWN_CASE");

        // A declined one closes nothing; a confirmed one of somebody merged closes the heir's.
        let notice_of_p1 = notice(&key("p1").await, "2021-01-15");
        let opened = ask(world, &caller, "TransferRequest", &notice_of_p1).await;
        let case = find(&opened, "TransferCase").attribute("CaseID").unwrap();
        let no = decision(case, "DECLINED", "2021-01-17");
        let declined = ask(world, &caller, "TransferConfirmRequest", &no).await;
        assert_eq!(state(&declined), ("DECLINED", false));
        assert_eq!(
            state(&ask(world, &caller, "TransferConfirmRequest", &no).await),
            ("DECLINED", true)
        );
        assert_eq!(world.count("SELECT count(*) FROM transfer_closing").await, 0);

        let notice_of_p3 = notice(&key("p3").await, "2021-01-15");
        let opened = ask(world, &caller, "TransferRequest", &notice_of_p3).await;
        let case = find(&opened, "TransferCase").attribute("CaseID").unwrap().to_owned();
        let p3 = world.registered("p3").await;
        let merge = "UPDATE person SET merged_into = 5000003 WHERE id = $1";
        world.db.execute(merge, args![p3]).await.unwrap();
        let merged = ask(world, &caller, "TransferRequest", &notice_of_p3).await;
        assert_eq!(find(&merged, "Redirect").attribute("To"), Some("5000003"));
        assert_eq!(find(&merged, "TransferCase").attribute("CaseID"), Some(case.as_str()));
        let yes = decision(&case, "CONFIRMED", "2021-01-17");
        let done = ask(world, &caller, "TransferConfirmRequest", &yes).await;
        assert_eq!(find(&done, "ClosedMembership").text, membership(world, "m4").await.to_string());
        let sql = "SELECT to_date FROM membership WHERE external_id = 'm4'";
        let row = world.db.query_one(sql, vec![]).await.unwrap().unwrap();
        let ended: chrono::NaiveDate = row.get(0).unwrap();
        assert_eq!(ended.to_string(), "2021-09-01", "never before its first day");
        assert_history_tells_the_same(world).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn federal_ids_are_given_once_and_told_to_all() {
    on_both(async |world| {
        let caller = world.system("FNS00001", KeyKind::P256).await;
        let other = world.system("PFR00001", KeyKind::P256).await;
        let mut tx = world.db.begin().await.unwrap();
        for id in 1..=6 {
            let person = Person { id, name: ["Ли", "Ян", ""], born: "2010-05-05", snils: None };
            world.put_person(&mut tx, &person).await;
        }
        let merge = "UPDATE person SET merged_into = 2 WHERE id = 3";
        tx.execute(merge, vec![]).await.unwrap();
        tx.commit().await.unwrap();
        let pairs = |pairs: &[(i64, &str)]| {
            let pair = |(id, federal): &(i64, &str)| {
                format!(
                    "<Pair><RegionalID>{id}</RegionalID><FederalID>{federal}</FederalID></Pair>"
                )
            };
            pairs.iter().map(pair).collect::<String>()
        };
        let outcomes = |answer: &Node| {
            let result = |result: &Node| {
                let mut told = result.attribute("Outcome").unwrap().to_owned();
                for name in ["MergedInto", "HeldBy", "HasFederalID"] {
                    let value = result.attribute(name).map(|value| format!(" {name}={value}"));
                    told.push_str(&value.unwrap_or_default());
                }
                told
            };
            answer.children.iter().map(result).collect::<Vec<_>>()
        };
        let asked = pairs(&[
            (1, "F-1"),
            (1, "F-1"),
            (1, "F-9"),
            (4, "F-1"),
            (3, "F-2"),
            (2, "F-2"),
            (77, "F-7"),
        ]);
        let answer = ask(world, &caller, "AssignFederalIdRequest", &asked).await;
        assert_eq!(
            outcomes(&answer),
            [
                "ASSIGNED",
                "ALREADY_ASSIGNED",
                "CONFLICT HasFederalID=F-1",
                "CONFLICT HeldBy=1",
                "REDIRECTED MergedInto=2",
                "ALREADY_ASSIGNED",
                "UNKNOWN_PERSON",
            ]
        );
        let again = ask(world, &caller, "AssignFederalIdRequest", &pairs(&[(1, "F-1")])).await;
        assert_eq!(outcomes(&again), ["ALREADY_ASSIGNED"]);

        // One id for two persons, and two ids for one person, at the same time.
        for (mine, theirs) in [((4, "F-4"), (5, "F-4")), ((6, "F-6"), (6, "F-66"))] {
            let message = |pair, caller: &Signer| {
                let question = content("AssignFederalIdRequest", &pairs(&[pair]));
                Message::ask(&new_id().to_string(), "", &question).signed(caller)
            };
            let (a, b) = tokio::join!(
                world.send(message(mine, &caller)),
                world.send(message(theirs, &other))
            );
            a.body();
            b.body();
            let (a, b) = (world.next(&caller).await, world.next(&other).await);
            let mut told = [outcomes(&a), outcomes(&b)].concat();
            told.sort_unstable();
            assert_eq!(told[0], "ASSIGNED");
            assert!(told[1].starts_with("CONFLICT"), "{told:?}");
        }
        let identities = world.count("SELECT count(*) FROM federal_identity").await;
        assert_eq!(identities, 4);

        // Another system's copy learns of it.
        let mut told = std::collections::BTreeMap::new();
        let mut cursor = String::new();
        while told.len() < 4 {
            let page = ask(world, &other, "GetChangedSinceRequest", &cursor).await;
            for person in &find(&page, "Changes").children {
                if let Some(federal) = person.attribute("FederalID") {
                    let id = person.attribute("RegionalID").unwrap().to_owned();
                    told.insert(id, federal.to_owned());
                }
            }
            cursor = format!("<Cursor>{}</Cursor>", find(&page, "NextCursor").text);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!((told["1"].as_str(), told["2"].as_str()), ("F-1", "F-2"));
        let many: Vec<(i64, &str)> = (1..=1001).map(|id| (id, "F")).collect();
        let refused =
            world.ask(&caller, "AssignFederalIdRequest", &pairs(&many)).await.unwrap_err();
        assert_eq!(refused.fault().local, "InvalidContent");
    })
    .await;
}
