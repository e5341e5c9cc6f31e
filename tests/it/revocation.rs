//! Certificates that nobody has registered yet, and certificates that are revoked while the service
//! runs: a real responder (`openssl ocsp`) behind a real socket, and its faults.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use kontingent::broker::{Doorbell, InProcess};
use kontingent::exchange::admin::Admin;
use kontingent::exchange::revocation::{Responder, turn};
use kontingent::http::tls;
use kontingent::model::clock::Clock;
use kontingent::storage::candidate;
use kontingent::trust::Signer;
use kontingent::trust::authority::{KeyKind, Request, Usage, Validity};
use kontingent::trust::crl::Stale;
use kontingent::trust::ocsp::Statuses;
use openssl::x509::X509;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tempfile::TempDir;

use crate::stack::{Flavour, Stack, TestSupplier, flavours, header, now, package, persons};

/// What the responder does with a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Good,
    Revoked,
    /// It does not know the certificate.
    Unknown,
    Busy,
    Garbage,
    /// Somebody signs whom the issuer never authorised.
    Stranger,
    /// An answer that was given for another certificate.
    Another,
}

/// A responder of the stack's authority, for its first supplier.
struct Authority {
    dir: TempDir,
    manner: Mutex<Manner>,
}

impl Authority {
    fn new(stack: &Stack) -> Self {
        let authority = Self { dir: TempDir::new().unwrap(), manner: Mutex::new(Manner::Good) };
        let write =
            |name: &str, bytes: &[u8]| fs::write(authority.dir.path().join(name), bytes).unwrap();
        write("ca.crt", &stack.authority.issued().certificate_pem().unwrap());
        write("ca.key", &stack.authority.issued().key_pem().unwrap());
        write("other.crt", &stack.suppliers[1].issued.certificate_pem().unwrap());
        write("other.key", &stack.suppliers[1].issued.key_pem().unwrap());
        let serial = |supplier: &TestSupplier| {
            let der = supplier.issued.certificate_der().unwrap();
            let serial = X509::from_der(&der).unwrap().serial_number().to_bn().unwrap();
            serial.to_hex_str().unwrap().to_string()
        };
        let row =
            |state: &str, supplier| format!("{state}\t{}\tunknown\t/CN=x\n", serial(supplier));
        let first = &stack.suppliers[0];
        write("good", row("V\t401231235959Z\t", first).as_bytes());
        write("revoked", row("R\t401231235959Z\t261101000000Z", first).as_bytes());
        write("unknown", b"");
        authority
    }

    fn answer(&self, question: &[u8]) -> Response {
        let manner = *self.manner.lock().unwrap();
        let (index, signer) = match manner {
            Manner::Busy => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
            Manner::Garbage => return b"<html>".to_vec().into_response(),
            Manner::Revoked => ("revoked", "ca"),
            Manner::Unknown => ("unknown", "ca"),
            Manner::Stranger => ("good", "other"),
            Manner::Good | Manner::Another => ("good", "ca"),
        };
        fs::write(self.dir.path().join("question"), question).unwrap();
        let asked = match manner {
            Manner::Another => "-issuer ca.crt -cert other.crt",
            _ => "-reqin question",
        };
        let arguments = format!(
            "ocsp -index {index} -CA ca.crt -rsigner {signer}.crt -rkey {signer}.key -nmin 5 {asked} -respout answer"
        );
        let mut command = Command::new("openssl");
        command.args(arguments.split_whitespace()).current_dir(&self.dir);
        let output = command.env_remove("OPENSSL_CONF").output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{manner:?}: {errors}");
        fs::read(self.dir.path().join("answer")).unwrap().into_response()
    }
}

async fn serve(authority: Arc<Authority>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = |Shared(authority): Shared<Arc<Authority>>, question: Bytes| async move {
        tokio::task::spawn_blocking(move || authority.answer(&question)).await.unwrap()
    };
    let router = Router::new().route("/ocsp", post(answer)).with_state(authority);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}/ocsp")
}

/// The code with which a package of the first supplier is refused, or how it was marked.
async fn delivered(stack: &Stack, number: usize) -> String {
    let supplier = &stack.suppliers[0];
    let document = package(supplier, header(supplier), &persons(10 * number, 1));
    match stack.deliver(&document).await {
        Ok(accepted) => stack.package(accepted.number).await.revocation,
        Err(refusal) => refusal.code.as_str().to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_responder_s_word_counts_and_its_silence_is_marked_or_refused_as_configured() {
    tls::install_provider();
    for (stale, silence) in [(Stale::Accept, "unknown"), (Stale::Refuse, "CERT_STATUS")] {
        let silent =
            [Manner::Busy, Manner::Garbage, Manner::Unknown, Manner::Stranger, Manner::Another];
        for (number, manner) in silent.into_iter().enumerate() {
            let statuses = Statuses::default();
            let doorbell = Doorbell::InProcess(InProcess::new());
            let stack = Stack::start_with(Flavour::Embedded, doorbell, |parts| {
                parts.statuses = Some((statuses.clone(), stale));
            })
            .await;
            let authority = Arc::new(Authority::new(&stack));
            let responder = Responder::new(serve(Arc::clone(&authority)).await, statuses).unwrap();
            let mut marked = BTreeSet::new();
            let mut be = async |manner| {
                *authority.manner.lock().unwrap() = manner;
                turn(&stack.exchange, Some(&responder), &mut marked).await.unwrap();
            };
            be(manner).await;
            assert_eq!(delivered(&stack, 0).await, silence, "{manner:?}");
            if number > 0 {
                stack.end().await;
                continue;
            }
            be(Manner::Good).await;
            assert_eq!(delivered(&stack, 1).await, "known");
            let marks = async || {
                let rows = stack
                    .exchange
                    .db()
                    .query("SELECT revocation FROM package ORDER BY no", vec![])
                    .await
                    .unwrap();
                rows.iter().map(|row| row.get::<String>(0).unwrap()).collect::<Vec<_>>()
            };
            assert!(marks().await.iter().all(|mark| mark == "known"));
            be(Manner::Revoked).await;
            assert_eq!(delivered(&stack, 2).await, "CERT_REVOKED");
            assert!(marks().await.iter().all(|mark| mark == "revoked"));
            // A revocation is for ever, whatever is said later.
            be(Manner::Busy).await;
            assert_eq!(delivered(&stack, 3).await, "CERT_REVOKED");
            stack.end().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_that_nobody_registered_waits_for_approval() {
    for flavour in flavours() {
        let stack = Stack::start(flavour).await;
        let random = &mut StdRng::seed_from_u64(4);
        let validity = Validity {
            from: now() - Duration::from_hours(1),
            to: now() + Duration::from_hours(100),
        };
        let request =
            Request {
                name: "Преемник", key: KeyKind::P256, validity, usage: Usage::Signature
            };
        let issued = stack.authority.issue(&request, random).unwrap();
        let signer =
            Signer::from_pem(&issued.key_pem().unwrap(), &issued.certificate_pem().unwrap())
                .unwrap();
        let old = &stack.suppliers[0];
        let successor = TestSupplier {
            mnemonic: old.mnemonic.clone(),
            signer,
            certificate: old.certificate.clone(),
            issued,
        };
        let document = package(&successor, header(&successor), &persons(0, 1));
        for _ in 0..2 {
            let refused = stack.deliver(&document).await.unwrap_err();
            assert_eq!(refused.code.as_str(), "CERT_UNKNOWN");
        }
        // A package whose signature is wrong tells nothing.
        let forged = String::from_utf8(document.clone()).unwrap().replace("UPDATED", "ALL");
        assert_eq!(stack.deliver(forged.as_bytes()).await.unwrap_err().code.as_str(), "SIG_DIGEST");
        let mut waiting = Vec::new();
        for _ in 0..100 {
            waiting = candidate::list(stack.exchange.db()).await.unwrap();
            if waiting.first().is_some_and(|found| found.packages == 2) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let [found] = &waiting[..] else { panic!("{waiting:?}") };
        assert_eq!((found.supplier.as_str(), found.packages), (old.mnemonic.as_str(), 2));
        assert_eq!(found.certificate.subject, "CN=Преемник");
        let admin = Admin::new(stack.exchange.db().clone(), Clock::System, "оператор".to_owned());
        admin.approve_certificate(&found.certificate.sha256.to_uppercase()).await.unwrap();
        assert!(candidate::list(stack.exchange.db()).await.unwrap().is_empty());
        tokio::time::sleep(Duration::from_millis(1100)).await;
        stack.deliver(&document).await.unwrap();
        let again = admin.approve_certificate(&found.certificate.sha256).await.unwrap_err();
        assert!(again.to_string().contains("нет сертификата"), "{again}");
        stack.end().await;
    }
}
