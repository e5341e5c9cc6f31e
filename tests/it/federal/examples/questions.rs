//! Every question of `urn:kontingent:federal:1.0` and what it is answered, contents alone.

use std::time::Duration;

use chrono::TimeDelta;
use kontingent::args;
use kontingent::codec::node::Node;
use kontingent::model::clock::Clock;
use kontingent::model::kind::Kind;
use kontingent::trust::Signer;

use super::super::message::{Message, content, new_id};
use super::super::records::{apply, lines};
use super::super::world::{World, find};
use super::book::Book;

/// `p1` is one person under two records; `p3` moves away.
const REGISTRY: &str = "
    ManagementBody b1 FullName=Комитет_по_образованию Level=1
    Organisation o1 FullName=Школа_1 Type=12 Status=1 Inn=5900000001 Kpp=590001001 Ogrn=1025900000001 Oktmo=57701000 ManagementBody=b1
    Organisation o2 FullName=Детский_сад_7 Type=11 Status=1 Inn=5900000002 Oktmo=57604401
    ClassGroup c1 Organisation=o1 SchoolYear=2020/2021 Name=1_А Parallel=1
    Person p1 LastName=Сидоров FirstName=Иван MiddleName=Ильич Sex=1 BirthDate=2013-03-04 Snils=11223344595
    Person p2 LastName=Сидоров FirstName=Ваня Sex=1 BirthDate=2013-03-04
    Person p3 LastName=Ким FirstName=Юлия Sex=2 BirthDate=2012-01-02
    Person p4 LastName=Белова FirstName=Анна Sex=2 BirthDate=2012-05-05
    Person p5 LastName=Белова FirstName=Вера Sex=2 BirthDate=2012-06-06
    Person p6 LastName=Сидорова FirstName=Ольга Sex=2 BirthDate=1985-07-07
    IdentityDocument d1 Person=p1 Type=11 Series=VI-ВГ Number=123456
    Address a1 Person=p1 Kind=1 Text=Пермь,_ул._Школьная,_1
    Contact t1 Person=p6 Kind=2 Value=79000000000
    Kinship k1 Child=p1 Adult=p6 Type=1
    Membership m1 Person=p1 Organisation=o1 ClassGroup=c1 SchoolYear=2020/2021 FromDate=2020-09-01 Form=11 Programme=12 ReasonIn=1
    Membership m2 Person=p1 Organisation=o2 SchoolYear=2016/2017 FromDate=2016-09-01 ToDate=2020-05-31 Programme=11 ReasonOut=10
    Membership m3 Person=p3 Organisation=o1 ClassGroup=c1 SchoolYear=2020/2021 FromDate=2020-09-01
    Membership m4 Person=p4 Organisation=o1 ClassGroup=c1 SchoolYear=2020/2021 FromDate=2020-09-01
    Membership m5 Person=p5 Organisation=o1 ClassGroup=c1 SchoolYear=2020/2021 FromDate=2020-09-01
    Employment e1 Person=p6 Organisation=o1 Position=Учитель FromDate=2020-09-01";

/// Asks and writes down.
struct Asking<'a> {
    world: &'a World,
    book: &'a mut Book,
    caller: &'a Signer,
}

/// Asks everything.
pub(super) async fn ask_all(world: &World, book: &mut Book, caller: &Signer) {
    let at = Clock::System.now() - TimeDelta::hours(1);
    apply(world, 1, 1, &lines(REGISTRY), at).await.unwrap();
    let (p1, p2) = (world.registered("p1").await, world.registered("p2").await);
    let merge = "UPDATE person SET merged_into = $2 WHERE id = $1";
    world.db.execute(merge, args![p2, p1]).await.unwrap();
    let mut asking = Asking { world, book, caller };
    asking.persons().await;
    asking.trajectories().await;
    asking.organisations_and_changes().await;
    asking.statistics().await;
    asking.transfers().await;
    asking.federal_ids().await;
    asking.closed().await;
    let what = ["whether we are there", "we are"];
    asking.ask("ping", what, "PingRequest", "").await;
}

/// `GetPersonBySnils` as `get-person-by-snils`.
pub(super) fn kebab(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (at, letter) in letters.iter().enumerate() {
        let after_small = at > 0 && letters[at - 1].is_lowercase();
        let before_small = at > 0 && letters.get(at + 1).is_some_and(|next| next.is_lowercase());
        if letter.is_uppercase() && (after_small || before_small) {
            out.push('-');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

impl Asking<'_> {
    async fn ask(&mut self, name: &str, what: [&str; 2], root: &str, inside: &str) -> Node {
        let question = content(root, inside);
        let ask = Message::ask(&new_id().to_string(), "", &question).signed(self.caller);
        self.world.send(ask).await.body();
        let answered = self.world.send(Message::pull("", "").signed(self.caller)).await;
        self.world.send(Message::ack(&answered.id()).signed(self.caller)).await.body();
        let (_, rest) = answered.xml.split_once("MessagePrimaryContent>").unwrap();
        let (inside, _) = rest.split_once("MessagePrimaryContent>").unwrap();
        let told = &inside[..inside.rfind("</").unwrap()];
        self.book.put(
            &format!("questions/{name}.xml"),
            &format!("`{root}`: {}", what[0]),
            question,
        );
        let answer = find(&answered.body(), "MessagePrimaryContent").children[0].clone();
        let what = format!("`{}`: {}", answer.local, what[1]);
        self.book.put(&format!("questions/{name}.answer.xml"), &what, told);
        answer
    }

    async fn persons(&mut self) {
        let root = "GetPersonBySnilsRequest";
        let key = "<Snils>112-233-445 95</Snils>";
        let what = ["a person by insurance number", "the card"];
        self.ask("get-person-by-snils", what, root, key).await;
        let what = ["a number that nobody has", "no card: unknown in the region"];
        self.ask("get-person-by-snils-unknown", what, root, "<Snils>00000000000</Snils>").await;
        let key = format!("<RegionalID>{}</RegionalID>", self.world.registered("p2").await);
        let what = ["a record that was merged", "Redirect, and the card of the other record"];
        self.ask("get-person-by-snils-merged", what, root, &key).await;
        let root = "FindPersonRequest";
        let name = "<LastName>Сидоров</LastName><FirstName>Иван</FirstName>\
            <MiddleName>Ильич</MiddleName><BirthDate>2013-03-04</BirthDate>";
        let what = ["a person by likeness", "candidates, the best first"];
        self.ask("find-person", what, root, name).await;
        let name = "<LastName>Никто</LastName><FirstName>Нет</FirstName><BirthDate>2001-01-01</BirthDate>\
            <Document><Type>11</Type><Series>VI-ВГ</Series><Number>000000</Number></Document>";
        let what = ["nobody, by likeness and document", "no candidate"];
        self.ask("find-person-unknown", what, root, name).await;
    }

    async fn trajectories(&mut self) {
        let root = "GetTrajectoryRequest";
        let key = "<Snils>112-233-445 95</Snils>";
        let what =
            ["where a person has learnt", "in the order of time; documents are typed «нет данных»"];
        self.ask("get-trajectory", what, root, key).await;
        let key = format!("<RegionalID>{}</RegionalID>", self.world.registered("p2").await);
        let what = ["the same of a merged record", "Redirect, and the trajectory of the person"];
        self.ask("get-trajectory-merged", what, root, &key).await;
        let what = ["of a federal id that nobody has", "no trajectory: unknown in the region"];
        self.ask("get-trajectory-unknown", what, root, "<FederalID>F-0</FederalID>").await;
    }

    async fn organisations_and_changes(&mut self) {
        let root = "GetOrganisationsRequest";
        let what = ["the first page of organisations", "one, and where to go on"];
        let page = self.ask("get-organisations", what, root, "<PageSize>1</PageSize>").await;
        let next =
            format!("<Cursor>{}</Cursor><PageSize>1</PageSize>", find(&page, "NextCursor").text);
        let what = ["the next page, by the cursor", "the last one"];
        self.ask("get-organisations-next", what, root, &next).await;
        let what = ["by ИНН and territory", "what fits both"];
        let filter = "<Inn>5900000001</Inn><Oktmo>57701000</Oktmo>";
        self.ask("get-organisations-filtered", what, root, filter).await;

        let root = "GetChangedSinceRequest";
        let what =
            ["all that is there, from the beginning", "every kind of record; one has MergedInto"];
        let page = self.ask("get-changed-since", what, root, "").await;
        assert_eq!(find(&page, "Changes").children.len(), 20, "every record of the registry");
        let next = format!("<Cursor>{}</Cursor>", find(&page, "NextCursor").text);
        let what = ["what changed after that", "nothing yet"];
        self.ask("get-changed-since-next", what, root, &next).await;
        let what = ["records of two kinds, two a page", "there are more"];
        let kinds = "<Kinds>Organisation Person</Kinds><PageSize>2</PageSize>";
        self.ask("get-changed-since-kinds", what, root, kinds).await;
    }

    /// What a supplier no longer mentions is closed.
    async fn closed(&mut self) {
        let (world, root) = (self.world, "GetChangedSinceRequest");
        let all = world.ask(self.caller, root, "").await.unwrap();
        let after = format!("<Cursor>{}</Cursor>", find(&all, "NextCursor").text);
        let contact = world.count("SELECT id FROM contact").await;
        let mut tx = world.db.begin().await.unwrap();
        let close = "UPDATE contact SET closed_at = $2 WHERE id = $1";
        tx.execute(close, args![contact, Clock::System.now()]).await.unwrap();
        world.log(&mut tx, Kind::Contact, contact).await;
        tx.commit().await.unwrap();
        let what = ["what changed after that", "its supplier does not mention it any more: Closed"];
        self.ask("get-changed-since-closed", what, root, &after).await;
    }

    async fn statistics(&mut self) {
        let query = |breakdown: &str| {
            format!(
                "<Indicator>LEARNERS</Indicator><Date>2020-10-01</Date><Oktmo>57701000</Oktmo>\
                 <Breakdown>{breakdown}</Breakdown>"
            )
        };
        let what = ["learners of a territory by kind of organisation", "the table"];
        let inside = query("ORGANISATION_KIND");
        self.ask("get-statistics", what, "GetStatisticsRequest", &inside).await;
        let what = ["learners by sex and age", "cells of fewer than three persons are suppressed"];
        self.ask("get-statistics-suppressed", what, "GetStatisticsRequest", &query("SEX_AGE"))
            .await;
        let what = ["an order of rows without personal data", "PROCESS, and the number of the job"];
        let persons = query("PERSONS");
        let ordered = self.ask("build-statistics", what, "BuildStatisticsRequest", &persons).await;
        let root = "GetBuiltStatisticsRequest";
        let job = format!("<JobID>{}</JobID>", find(&ordered, "JobID").text);
        while find(&self.world.ask(self.caller, root, &job).await.unwrap(), "Status").text
            == "PROCESS"
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let what = ["what was built", "RESULT with the rows"];
        self.ask("get-built-statistics", what, root, &format!("{job}<Page>1</Page>")).await;
        let job = "<JobID>6dfbb380-6827-41ef-9a3b-0242ac110002</JobID>";
        let what = ["a job that is none of this system", "REJECT: UNKNOWN_JOB"];
        self.ask("get-built-statistics-refused", what, root, job).await;
        let what = ["the queue for places", "typed «нет данных»: the registry does not keep it"];
        let inside = "<Date>2026-09-01</Date><Oktmo>57701000</Oktmo>";
        self.ask("get-queue-statistics", what, "GetQueueStatisticsRequest", inside).await;
    }

    async fn transfers(&mut self) {
        let root = "TransferRequest";
        let person = format!("<RegionalID>{}</RegionalID>", self.world.registered("p3").await);
        let rest = "<Direction>LEAVING</Direction><Region>66</Region><Date>2021-01-15</Date>\
            <Organisation>Школа 5 г. Екатеринбурга</Organisation><Reason>переезд семьи</Reason>";
        let what = ["a person leaves for another region", "the case, OPEN"];
        let case = self.ask("transfer", what, root, &format!("{person}{rest}")).await;
        let what = ["the same move again", "the same case, Repeated"];
        self.ask("transfer-repeated", what, root, &format!("{person}{rest}")).await;
        let what = ["a person that the region does not know", "Refused: UNKNOWN_PERSON"];
        let unknown = format!("<Snils>00000000000</Snils>{rest}");
        self.ask("transfer-unknown", what, root, &unknown).await;

        let root = "TransferConfirmRequest";
        let case = find(&case, "TransferCase").attribute("CaseID").unwrap().to_owned();
        let decide = |decision: &str| {
            format!("<CaseID>{case}</CaseID><Decision>{decision}</Decision><Date>2021-01-20</Date>")
        };
        let what = ["the move has taken place", "CONFIRMED, with what it closed"];
        self.ask("transfer-confirm", what, root, &decide("CONFIRMED")).await;
        let what =
            ["another decision afterwards", "Refused: ALREADY_DECIDED, and the case as it is"];
        self.ask("transfer-confirm-refused", what, root, &decide("DECLINED")).await;
        let what = ["a person who has left the region", "the card without any place of learning"];
        self.ask("get-person-by-snils-left", what, "GetPersonBySnilsRequest", &person).await;
        let what =
            ["where a person learnt who has left", "the last step tells the region and the school"];
        self.ask("get-trajectory-left", what, "GetTrajectoryRequest", &person).await;
        let what = ["a transfer of a person who has left already", "Refused: NO_MEMBERSHIP"];
        let later = format!("{person}{rest}").replace("2021-01-15", "2021-03-15");
        self.ask("transfer-left", what, "TransferRequest", &later).await;
    }

    async fn federal_ids(&mut self) {
        let mut pairs = String::new();
        for (person, federal) in [("p1", "F-1"), ("p2", "F-1"), ("p3", "F-1"), ("p4", "F-4")] {
            let id = self.world.registered(person).await;
            let pair = format!(
                "<Pair><RegionalID>{id}</RegionalID><FederalID>{federal}</FederalID></Pair>"
            );
            pairs.push_str(&pair);
        }
        pairs.push_str("<Pair><RegionalID>999999999</RegionalID><FederalID>F-9</FederalID></Pair>");
        let what = [
            "ids given to five records",
            "assigned, of a merged record, in conflict, assigned, unknown",
        ];
        self.ask("assign-federal-id", what, "AssignFederalIdRequest", &pairs).await;
        let what = ["a person by federal id", "the card with the id"];
        let root = "GetPersonBySnilsRequest";
        self.ask("get-person-by-snils-federal-id", what, root, "<FederalID>F-1</FederalID>").await;
    }
}
