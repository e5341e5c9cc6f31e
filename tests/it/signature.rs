//! The signature workshop on the command line: the real binary, which loads the GOST engine itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::interop::python;

/// Runs `kontingent signature …`.
fn workshop(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kontingent"))
        .arg("signature")
        .args(arguments)
        .env_remove("OPENSSL_CONF")
        .output()
        .unwrap()
}

/// The answers to files, in their order, and whether the command was content.
pub(crate) fn verify(files: &[String], options: &[&str]) -> (Vec<Value>, bool) {
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let output = workshop(&[&["verify"], &files[..], options].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), files.len(), "{}", String::from_utf8_lossy(&output.stderr));
    (answers, output.status.success())
}

/// Judges the documents of a table whose last column is the code; rows may name a profile.
fn judge_table(folder: &str, documents: &str, profiles: &[(&str, &str)], options: &[&str]) {
    let table = fs::read_to_string(format!("{folder}/expected.tsv")).unwrap();
    let mut wrong = Vec::new();
    for (word, profile) in profiles {
        let rows: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split('\t').collect())
            .filter(|row: &Vec<&str>| row.len() == 2 || row[1] == *word)
            .collect();
        let files: Vec<String> =
            rows.iter().map(|row| format!("{folder}/{documents}{}.xml", row[0])).collect();
        let trust = format!("{folder}/trust");
        let judge = [&["--profile", profile, "--trust", &trust][..], options].concat();
        let (answers, content) = verify(&files, &judge);
        assert_eq!(content, answers.iter().all(|answer| answer["code"] == "OK"));
        assert!(files.len() > 10, "{}", files.len());
        for (row, answer) in rows.iter().zip(&answers) {
            let code = answer["code"].as_str().unwrap();
            assert_eq!(answer["verdict"] == "accept", code == "OK");
            assert_eq!(answer["signer"].is_string(), code == "OK");
            if code != *row.last().unwrap() {
                wrong.push(format!("{}: {code}: {}", row[0], answer["reason"]));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn documents_signed_by_others_get_the_verdicts_written_beside_them() {
    let exchange = "detached:{urn:example:message-exchange:1.0}SendRequest";
    judge_table(
        "fixtures/xmldsig",
        "",
        &[("enveloped", "enveloped"), ("detached", exchange)],
        &["--crl", "fixtures/xmldsig/pki/rsa-ca.crl", "--at", "2027-01-01T00:00:00Z"],
    );
}

#[test]
fn messages_of_smev_get_the_verdicts_written_beside_them() {
    judge_table(
        "fixtures/smev",
        "messages/",
        &[("smev3", "smev3")],
        &["--crl", "fixtures/smev/certs/ca.crl.pem", "--at", "2024-09-01T06:00:00Z"],
    );
}

fn files(folder: &str, end: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.to_str().unwrap().ends_with(end)).collect();
    files.sort();
    assert!(!files.is_empty(), "{folder}");
    files
}

#[test]
fn the_transform_of_smev_gives_the_octets_of_its_examples_and_nothing_for_what_has_no_form() {
    let transform = |path: &Path| workshop(&["transform", path.to_str().unwrap()]);
    for path in files("fixtures/smev/transform", ".in.xml") {
        let output = transform(&path);
        let expected = path.to_str().unwrap().replace(".in.xml", ".out.xml");
        let expected = fs::read_to_string(expected).unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{}", path.display());
        assert!(output.status.success());
    }
    for path in files("fixtures/smev/transform/must_reject", ".xml") {
        let output = transform(&path);
        assert!(!output.status.success() && output.stdout.is_empty(), "{}", path.display());
        assert!(String::from_utf8_lossy(&output.stderr).contains("SIG_C14N"));
    }
}

#[test]
fn messages_of_smev_2_made_by_others_are_judged_by_header_body_and_application_data() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let keys = ["supplier-1.key", "supplier-1.crt", "supplier-2.crt"];
    let keys = keys.map(|name| format!("fixtures/keys/{name}"));
    python("smev2_messages.py", &[&[path], &keys.each_ref().map(String::as_str)[..]].concat());
    fs::create_dir(folder.path().join("trust")).unwrap();
    fs::copy("fixtures/keys/ca.crt", folder.path().join("trust/ca.crt")).unwrap();
    judge_table(path, "", &[("", "smev2")], &["--at", "2027-01-01T00:00:30Z"]);
}
