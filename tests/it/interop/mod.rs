//! Clients written by others, in another language, against our doors.

use std::path::{Path, PathBuf};
use std::process::Command;

use kontingent::http::limits::Limits;
use kontingent::worker;
use openssl::x509::X509;

use crate::door::{Door, SUPPLIER};

/// Runs a script of this folder; it must succeed.
pub(crate) fn python(script: &str, arguments: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = Command::new(root.join("deploy/dev/python")).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let folder = PathBuf::from(String::from_utf8(made.stdout).unwrap().trim());
    let output = Command::new(folder.join("bin/python"))
        .arg(root.join("tests/it/interop").join(script))
        .args(arguments)
        .current_dir(root)
        .output()
        .unwrap();
    let told = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{script}:\n{}", String::from_utf8_lossy(&told));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_supplier_submits_by_every_way_and_verifies_our_receipts() {
    let door = Door::open(Limits::default()).await;
    let exchange = door.stack.exchange.clone();
    door.stack.tracker.spawn(worker::run(exchange.clone(), door.stack.stop.clone()));
    let folder = door.stack.directory.path();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let own = &door.stack.suppliers[0].issued;
    let key = write("key.pem", &own.key_pem().unwrap());
    let certificate = write("certificate.pem", &own.certificate_pem().unwrap());
    let ours = X509::from_der(exchange.signer().certificate_der()).unwrap().to_pem().unwrap();
    let ours = write("ours.pem", &ours);
    let url = door.url("/ws/intake");
    let client = tokio::task::spawn_blocking(move || {
        python("intake_client.py", &[&url, &key, &certificate, &ours, SUPPLIER]);
    });
    client.await.unwrap();
    door.close().await;
}
