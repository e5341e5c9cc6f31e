//! The synthetic region through the whole service, and the demonstration that is made of it.

use std::collections::BTreeSet;
use std::process::Command;

use kontingent::ops::simulate::Region;
use kontingent::ops::simulate::people::Flaw;
use serde_json::Value;

use crate::harness::Site;
use crate::stack::flavours;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processing_finds_exactly_what_the_manifest_says() {
    for flavour in flavours() {
        let site = Site::start(flavour).await;
        let region = small_region_with_every_flaw();
        let mut sent = Vec::new();
        for package in region.packages(1) {
            let (content, number) = site.send(&package).await;
            sent.push((package.name(), content, number));
        }
        site.until_processed().await;
        for (name, content, number) in sent {
            let found = site.findings(number).await.into_iter();
            let mut found: Vec<_> = found.map(|f| (f.code.as_str(), f.external_id)).collect();
            let expected = content.expected.into_iter();
            let mut expected: Vec<_> = expected.map(|e| (e.code, e.external_id)).collect();
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "{name} on {flavour:?}");
        }
        site.finish().await;
    }
}

/// The first seed whose region has all that can be wrong.
fn small_region_with_every_flaw() -> Region {
    let has = |region: &Region, flaw| (0..region.learners).any(|l| region.flaw_of(l) == Some(flaw));
    let mut regions = (1..).map(|seed| Region::new(seed, 480));
    regions.find(|region| Flaw::ALL.iter().all(|flaw| has(region, *flaw))).unwrap()
}

#[test]
fn the_demonstration_ends_well_and_says_in_one_line_what_it_did() {
    let output = Command::new(env!("CARGO_BIN_EXE_kontingent"))
        .args(["demo", "--once", "--json"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{text}{errors}");
    let report: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let keys: BTreeSet<_> = report.as_object().unwrap().keys().map(String::as_str).collect();
    let promised = [
        "web",
        "intake",
        "smev",
        "rest",
        "metrics",
        "logins",
        "packages",
        "records",
        "findings",
        "replayed",
        "federal_answers",
    ];
    assert_eq!(keys, BTreeSet::from(promised));
    for counted in ["packages", "records", "findings", "replayed", "federal_answers"] {
        assert!(report[counted].as_u64().unwrap() > 0, "{counted} in {report}");
    }
    // One was rejected for a gap, one held by the snapshot guard.
    assert_eq!(report["replayed"], 2);
}
