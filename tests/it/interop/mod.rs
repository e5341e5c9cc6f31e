//! Clients written by others, in another language, against our doors.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kontingent::http::limits::Limits;
use kontingent::worker;
use openssl::x509::X509;

use crate::door::{Door, SUPPLIER};

/// Runs a script of this folder; it must succeed.
pub(crate) fn python(script: &str, arguments: &[&str]) {
    ask_python(script, arguments, b"");
}

/// Runs a script of this folder on this input; what it prints. It must succeed.
pub(crate) fn ask_python(script: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new(environment("python").join("bin/python"));
    run(command.arg(folder().join(script)).args(arguments), input)
}

/// Runs a script of this folder by node on this input; what it prints. It must succeed.
pub(crate) fn ask_node(script: &str, input: &[u8]) -> Vec<u8> {
    let mut command = Command::new("node");
    command.arg(folder().join(script)).env("NODE_PATH", environment("node"));
    run(command.env("PYTHON", environment("python").join("bin/python")), input)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn folder() -> PathBuf {
    root().join("tests/it/interop")
}

/// Where `deploy/dev/<name>` installs what scripts need.
fn environment(name: &str) -> PathBuf {
    let made = Command::new(root().join("deploy/dev").join(name)).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    PathBuf::from(String::from_utf8(made.stdout).unwrap().trim())
}

fn run(command: &mut Command, input: &[u8]) -> Vec<u8> {
    // The configuration of OpenSSL is ours, theirs is their own.
    let command = command.current_dir(root()).env_remove("OPENSSL_CONF").stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // One that reads nothing may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{command:?}:\n{told}{errors}");
    output.stdout
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
