//! Our canonical forms and signatures against those of independent libraries.

use std::fs;
use std::path::Path;

use chrono::{TimeZone as _, Utc};
use kontingent::codec::c14n::Method;
use kontingent::codec::form::{Form, octets};
use kontingent::codec::xml::Limits;
use kontingent::codec::xmldsig::{Envelope, verify_bytes};
use kontingent::trust::certificate::Facts;
use kontingent::trust::{Signer, TrustStore};

use crate::interop::python;

/// Random documents compared.
const DOCUMENTS: usize = 10_000;

fn oracle(arguments: &[&str]) {
    python("xml_oracle.py", arguments);
}

#[test]
fn independent_libraries_agree_on_canonical_forms_and_signatures_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    oracle(&["make", path, "20261121", &DOCUMENTS.to_string(), "fixtures/keys"]);
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    for number in 0..DOCUMENTS {
        let document = read(&format!("{number:04}.xml"));
        let prefixes = String::from_utf8(read(&format!("{number:04}.prefixes"))).unwrap();
        let prefixes = prefixes.split_whitespace().map(str::to_owned).collect();
        let ours = octets(&document, &Form { method: Method::Exclusive(prefixes), smev: false })
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&document)));
        let theirs = read(&format!("{number:04}.c14n"));
        let shown = String::from_utf8_lossy(&document);
        assert_eq!(String::from_utf8_lossy(&ours), String::from_utf8_lossy(&theirs), "{shown}");
    }
    let mut refused = 0;
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_str().unwrap().starts_with("refused-") {
            let document = fs::read(entry.path()).unwrap();
            let shown = String::from_utf8_lossy(&document);
            assert!(octets(&document, &Form::default()).is_err(), "{shown}");
            refused += 1;
        }
    }
    assert!(refused > 5);
    signatures_agree(folder.path());
}

fn signatures_agree(folder: &Path) {
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    let anchor = Facts::read(&fs::read("fixtures/keys/ca.crt").unwrap()).unwrap().der;
    let store = TrustStore::new(&[anchor]).unwrap();
    let at = Utc.with_ymd_and_hms(2027, 1, 1, 0, 0, 0).unwrap();
    for name in ["supplier-1", "supplier-2", "supplier-3"] {
        let key = |end: &str| fs::read(format!("fixtures/keys/{name}.{end}")).unwrap();
        let signer = Signer::from_pem(&key("key"), &key("crt")).unwrap();
        for number in 0..10 {
            let file = format!("signed-{name}-{number}.xml");
            let signature =
                verify_bytes(&read(&file), Envelope::package(Limits::default())).expect(&file);
            assert_eq!(
                store.verify(&signature, at).expect(&file).facts.der,
                signature.certificates[0]
            );
            let signed = signer.sign_enveloped(&read(&format!("plain-{number}.xml"))).unwrap();
            fs::write(folder.join(format!("ours-{name}-{number}.xml")), signed).unwrap();
        }
    }
    oracle(&["verify", folder.to_str().unwrap(), "fixtures/keys/ca.crt"]);
}
