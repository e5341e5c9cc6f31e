//! Time stamps on receipts by a real authority (`openssl ts`) behind a real socket, and what its faults change: an
//! alarm, and nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use kontingent::exchange::timestamp::{self, Stamper};
use kontingent::http::tls;
use kontingent::model::package::State;
use kontingent::storage::journal::timestamp as stored;
use kontingent::trust::TrustStore;
use kontingent::trust::crl::Stale;
use kontingent::trust::folder::Folder;
use kontingent::worker;
use tempfile::TempDir;

use crate::stack::{Stack, flavours, header, package, persons};

/// What the authority does with a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Good,
    Busy,
    Garbage,
    /// Answers an earlier query.
    Stale,
    /// Signs with a certificate that is not for time stamps.
    WrongUsage,
    /// Signs with a certificate that nobody vouches for.
    Untrusted,
}

struct Authority {
    dir: TempDir,
    manner: Mutex<Manner>,
    earlier: Mutex<Option<Vec<u8>>>,
}

impl Authority {
    fn new() -> Self {
        let authority = Self {
            dir: TempDir::new().unwrap(),
            manner: Mutex::new(Manner::Good),
            earlier: Mutex::default(),
        };
        let path = |name: &str| authority.dir.path().join(name);
        for (ca, name, usage) in [
            ("ca", "good", "timeStamping"),
            ("ca", "wrong", "clientAuth"),
            ("other", "untrusted", "timeStamping"),
        ] {
            if !path(&format!("{ca}.crt")).exists() {
                authority.openssl(&format!(
                    "req -x509 -newkey rsa:2048 -nodes -keyout {ca}.key -out {ca}.crt -subj /CN={ca} -days 30"
                ));
            }
            let extensions = format!(
                "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=critical,{usage}\n"
            );
            fs::write(path("leaf.ext"), extensions).unwrap();
            authority.openssl(&format!(
                "req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
            ));
            authority.openssl(&format!(
                "x509 -req -in {name}.csr -CA {ca}.crt -CAkey {ca}.key -CAcreateserial -days 30 -extfile leaf.ext -out {name}.crt"
            ));
        }
        fs::write(path("serial"), "01\n").unwrap();
        fs::write(
            path("tsa.cnf"),
            "[tsa]\ndefault_tsa = one\n[one]\nserial = serial\ndefault_policy = 1.2.3.4\ndigests = sha256\n\
             signer_digest = sha256\ness_cert_id_alg = sha256\n",
        )
        .unwrap();
        authority
    }

    fn run(&self, arguments: &str) -> std::process::Output {
        let mut command = Command::new("openssl");
        command.args(arguments.split_whitespace()).current_dir(&self.dir);
        command.env_remove("OPENSSL_CONF").output().unwrap()
    }

    #[track_caller]
    fn openssl(&self, arguments: &str) {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{arguments}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn answer(&self, query: &[u8]) -> Response {
        let manner = *self.manner.lock().unwrap();
        let query = match manner {
            Manner::Busy => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
            Manner::Garbage => return b"<html>".to_vec().into_response(),
            Manner::Stale => self.earlier.lock().unwrap().clone().unwrap(),
            _ => query.to_vec(),
        };
        *self.earlier.lock().unwrap() = Some(query.clone());
        fs::write(self.dir.path().join("query"), query).unwrap();
        let signer = match manner {
            Manner::WrongUsage => "wrong",
            Manner::Untrusted => "untrusted",
            _ => "good",
        };
        let made = self.run(&format!(
            "ts -reply -config tsa.cnf -queryfile query -signer {signer}.crt -inkey {signer}.key -out answer"
        ));
        if !made.status.success() {
            // openssl itself makes no stamp with a certificate of another use.
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        fs::read(self.dir.path().join("answer")).unwrap().into_response()
    }

    fn be(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    fn trust(&self) -> TrustStore {
        let folder = Folder::read(&self.dir.path().join("ca.crt"), Stale::Accept).unwrap();
        TrustStore::new(&folder.anchors).unwrap()
    }
}

async fn serve(authority: Arc<Authority>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = |Shared(authority): Shared<Arc<Authority>>, query: Bytes| async move {
        tokio::task::spawn_blocking(move || authority.answer(&query)).await.unwrap()
    };
    let router = Router::new().route("/tsa", post(answer)).with_state(authority);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}/tsa")
}

/// Waits until a package's latest receipt has a stamp.
async fn stamped(stack: &Stack, number: kontingent::model::ids::PackageNo) -> Vec<u8> {
    for _ in 0..400 {
        if let Some(token) = stored::latest(stack.exchange.db(), number).await.unwrap() {
            return token;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no stamp on {number:?}");
}

fn file(authority: &Authority, name: &str, bytes: &[u8]) -> PathBuf {
    let path = authority.dir.path().join(name);
    fs::write(&path, bytes).unwrap();
    Path::new(name).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_get_stamps_that_openssl_verifies_and_an_authority_s_faults_stop_nothing() {
    for flavour in flavours() {
        let authority = Arc::new(Authority::new());
        let url = serve(Arc::clone(&authority)).await;
        let stack = Stack::start(flavour).await;
        let exchange = stack.exchange.clone();
        tls::install_provider();
        let stamper = Stamper::new(url, authority.trust()).unwrap();
        stack.tracker.spawn(worker::run(exchange.clone(), stack.stop.clone()));
        stack.tracker.spawn(timestamp::run(exchange.clone(), stamper, stack.stop.clone()));
        let supplier = &stack.suppliers[0];
        let deliver = async |from: usize| {
            let document = package(supplier, header(supplier), &persons(from, 3));
            let accepted = stack.deliver(&document).await.unwrap();
            stack.until(accepted.number, State::Registered).await;
            accepted.number
        };
        let first = deliver(0).await;
        let token = stamped(&stack, first).await;
        let id = stack.package(first).await.header.package_id;
        let receipt = exchange.receipt(None, id).await.unwrap();
        assert!(receipt.concluding);
        file(&authority, "token", &token);
        file(&authority, "receipt", &receipt.xml);
        let verify = "ts -verify -token_in -in token -data receipt -CAfile ca.crt";
        authority.openssl(verify);
        file(&authority, "receipt", &[&receipt.xml[..], b" "].concat());
        assert!(!authority.run(verify).status.success());
        for (number, manner) in
            [Manner::Busy, Manner::Garbage, Manner::Stale, Manner::WrongUsage, Manner::Untrusted]
                .into_iter()
                .enumerate()
        {
            authority.be(manner);
            let package = deliver(10 * (number + 1)).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            let token = stored::latest(exchange.db(), package).await.unwrap();
            assert_eq!(token, None, "{manner:?}");
            if manner == Manner::Untrusted {
                authority.be(Manner::Good);
                stamped(&stack, package).await;
            }
        }
        stack.end().await;
    }
}
