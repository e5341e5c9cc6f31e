//! `kontingent federal disclosures`: who asked about whom, when, why, and what was answered, and that
//! looking at it is written down.

use std::process::Command;

use kontingent::trust::authority::KeyKind;
use serde_json::Value;

use super::message::by_snils;
use super::world::{Person, World, on_both};

const SNILS: &str = "11223344595";

/// Runs the command on the world's database as an inspector.
fn run(world: &World, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kontingent"));
    command.args(["--actor", "инспектор", "federal", "disclosures"]).args(arguments);
    command.env("KONTINGENT_DATA", world.dir.path());
    command.env("KONTINGENT_DATABASE__URL", &world.database_url);
    let output = command.output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.success(), text)
}

fn json(world: &World, arguments: &[&str]) -> Vec<Value> {
    let (good, text) = run(world, &[arguments, &["--json"]].concat());
    assert!(good, "{text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_told_about_a_person_is_found_and_so_is_who_looked_for_that() {
    on_both(async |world| {
        let mut tx = world.db.begin().await.unwrap();
        for (id, last_name, snils) in [(10, "Ли", SNILS), (11, "Ким", "00000000001")] {
            let name = [last_name, "Анна", ""];
            world
                .put_person(&mut tx, &Person { id, name, born: "2015-03-01", snils: Some(snils) })
                .await;
        }
        tx.commit().await.unwrap();
        let (tax, fund) = (
            world.system("FNS00001", KeyKind::P256).await,
            world.system("PFR00001", KeyKind::P256).await,
        );
        let card = |number| format!("<Snils>{number}</Snils>");
        world.ask(&tax, "GetPersonBySnilsRequest", &card(SNILS)).await.unwrap();
        world.ask(&fund, "GetPersonBySnilsRequest", &card(SNILS)).await.unwrap();
        world.ask(&tax, "GetPersonBySnilsRequest", &card("00000000001")).await.unwrap();
        assert!(by_snils(SNILS).contains("<Purpose>проверка"), "why it was asked");

        let about = json(world, &["--person", "112-233-445 95"]);
        let asked: Vec<_> = about.iter().map(|one| one["system"].as_str().unwrap()).collect();
        assert_eq!(asked, ["PFR00001", "FNS00001"], "the newest first");
        let one = &about[0];
        assert_eq!(
            (&one["question"], &one["purpose"]),
            (&"GetPersonBySnilsRequest".into(), &"проверка".into())
        );
        assert!(one["criteria"].to_string().contains(SNILS) && one["at"].is_string(), "{one}");
        assert_eq!(one["persons"], 1);
        assert!(one["answered"].is_object() && one["request"].is_string(), "{one}");
        assert_eq!(json(world, &["--person", "10"]), about, "the same by the registry id");

        let of_tax = json(world, &["--system", "FNS00001"]);
        assert_eq!(of_tax.len(), 2);
        let both = json(world, &["--system", "FNS00001", "--person", "11"]);
        assert_eq!(both, of_tax[..1]);
        // A page, and what follows it.
        let page = json(world, &["--limit", "2"]);
        let last = page[1]["id"].to_string();
        assert_eq!([page, json(world, &["--before", &last])].concat(), json(world, &[]));
        // Several processes number them, each from a block of its own: the time counts.
        let first = "UPDATE disclosure SET at = '2099-01-01T00:00:00.000+00:00' \
            WHERE id = (SELECT min(id) FROM disclosure)";
        world.db.execute(first, vec![]).await.unwrap();
        let all = json(world, &[]);
        let ids: Vec<i64> = all.iter().map(|one| one["id"].as_i64().unwrap()).collect();
        assert_eq!(ids.iter().min(), ids.first(), "{ids:?}");
        let [one, two] = [1, 2].map(|at| ids[at - 1].to_string());
        assert_eq!(json(world, &["--before", &one, "--limit", "1"]), all[1..2]);
        assert_eq!(json(world, &["--before", &two]), all[2..]);
        let at = about[1]["at"].as_str().unwrap();
        assert_eq!(json(world, &["--since", at]).len(), 3);
        assert_eq!(json(world, &["--until", at]).len(), 0, "before the first");
        assert_eq!(json(world, &["--since", "2020-01-01", "--until", "2020-02-01"]).len(), 0);
        assert_eq!(json(world, &["--person", "99"]).len(), 0);

        let (good, text) = run(world, &["--person", SNILS]);
        assert!(good && text.contains("Кто спросил") && text.contains("проверка"), "{text}");
        let (good, text) = run(world, &["--person", "Анна"]);
        assert!(!good && text.contains("СНИЛС"), "{text}");
        let (good, text) = run(world, &["--system", "NOBODY"]);
        assert!(!good && text.contains("NOBODY"), "{text}");
        let looks =
            "SELECT count(*) FROM audit WHERE action = 'disclosure.look' AND actor = 'инспектор'";
        assert_eq!(world.count(looks).await, 16, "also the one that failed");
        let of_anna =
            "SELECT count(*) FROM audit WHERE action = 'disclosure.look' AND object = 'person:10'";
        assert_eq!(world.count(of_anna).await, 3);
        let number = format!("SELECT count(*) FROM audit WHERE detail LIKE '%{SNILS}%'");
        assert_eq!(world.count(&number).await, 0, "ids only");

        let merge = "UPDATE person SET merged_into = 11 WHERE id = 10";
        world.db.execute(merge, vec![]).await.unwrap();
        for person in [SNILS, "00000000001", "10", "11"] {
            assert_eq!(json(world, &["--person", person]).len(), 3, "{person}: under any number");
        }
    })
    .await;
}
