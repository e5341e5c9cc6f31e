//! The suppliers' doors: a package goes in by every way there is and comes back as a receipt.

use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kontingent::codec::xml::Limits as XmlLimits;
use kontingent::codec::xmldsig::{Envelope, verify_bytes};
use kontingent::http::limits::Limits;
use kontingent::http::tls::{acceptor, install_provider};
use kontingent::model::ids::PackageId;
use kontingent::trust::authority::{Authority, KeyKind, Request, Usage, Validity};
use reqwest::{Certificate, Client, Identity, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::door::{Door, TOKEN, new_id, random};
use crate::stack::now;

/// Persons of a package over 256 KiB, which is not kept in memory.
const MANY: usize = 2_000;

fn client() -> Client {
    install_provider();
    Client::new()
}

async fn put(door: &Door, id: PackageId, kind: &str, coding: &str, body: Vec<u8>) -> Response {
    let request = client().put(door.url(&format!("/api/v1/packages/{id}")));
    let request = request.header("content-type", kind).header("content-encoding", coding);
    request.body(body).send().await.unwrap()
}

/// Checks that a document is a receipt, signed by us, about this package.
fn check_receipt(door: &Door, id: PackageId, receipt: &[u8]) {
    let signature = verify_bytes(receipt, Envelope::package(XmlLimits::default())).unwrap();
    let ours = door.stack.exchange.signer().certificate_der();
    assert_eq!(signature.certificates[0], ours);
    assert!(String::from_utf8_lossy(receipt).contains(&id.to_string()));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("package.xml", SimpleFileOptions::default()).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap().into_inner()
}

#[tokio::test]
async fn a_repeated_package_gets_the_same_receipt_and_other_bytes_are_refused() {
    let door = Door::open(Limits::default()).await;
    for count in [1, MANY] {
        let id = new_id();
        let package = door.package(id, count);
        let first = put(&door, id, "application/xml", "identity", package.clone()).await;
        assert_eq!(first.status(), StatusCode::ACCEPTED);
        let place = first.headers()["location"].to_str().unwrap().to_owned();
        assert!(first.headers().contains_key("x-request-id"));
        let receipt = first.bytes().await.unwrap();
        check_receipt(&door, id, &receipt);

        for (kind, coding, body) in [
            ("application/xml", "identity", package.clone()),
            ("application/xml; charset=UTF-8", "gzip", gzip(&package)),
            ("application/zip", "identity", zip(&package)),
        ] {
            let again = put(&door, id, kind, coding, body).await;
            assert_eq!(again.status(), StatusCode::OK, "{kind} {coding}");
            assert_eq!(again.bytes().await.unwrap(), receipt, "{kind} {coding}");
        }
        let asked = client().get(door.url(&place)).send().await.unwrap();
        assert_eq!(asked.headers()["x-receipt"], "first");
        assert_eq!(asked.bytes().await.unwrap(), receipt);

        let other = door.package(id, count + 1);
        let refused = put(&door, id, "application/xml", "identity", other).await;
        assert_eq!(refused.status(), StatusCode::CONFLICT);
        assert_eq!(refused.json::<Value>().await.unwrap()["code"], "ID_REUSED");
    }
    let misnamed = put(&door, new_id(), "application/xml", "", door.package(new_id(), 1)).await;
    assert_eq!(misnamed.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let misnamed =
        put(&door, new_id(), "application/zip", "identity", zip(&door.package(new_id(), 1)));
    assert_eq!(misnamed.await.json::<Value>().await.unwrap()["code"], "PACKAGE_ID_MISMATCH");
    assert_eq!(door.spooled(), 0);
    door.close().await;
}

const INTAKE: &str = "urn:kontingent:intake:1.0";

fn envelope(request: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\">\
         <e:Header/><e:Body>{request}</e:Body></e:Envelope>"
    )
}

fn submit(id: PackageId, encoding: &str, content: &str) -> String {
    envelope(&format!(
        "<k:SubmitPackageRequest xmlns:k=\"{INTAKE}\"><k:PackageId>{id}</k:PackageId>\
         <k:Encoding>{encoding}</k:Encoding><k:Content>{content}</k:Content></k:SubmitPackageRequest>"
    ))
}

async fn soap(door: &Door, kind: &str, body: Vec<u8>) -> (StatusCode, String) {
    let request = client().post(door.url("/ws/intake")).header("content-type", kind);
    let response = request.header("soapaction", "\"\"").body(body).send().await.unwrap();
    (response.status(), response.text().await.unwrap())
}

/// The text of the first element with this local name, written without a prefix.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let after = xml.split_once(&format!("<{name}>"))?.1;
    Some(after.split_once(&format!("</{name}>"))?.0)
}

#[tokio::test]
async fn soap_takes_packages_inline_and_attached_in_every_encoding() {
    let door = Door::open(Limits::default()).await;
    for count in [1, MANY] {
        let id = new_id();
        let package = door.package(id, count);
        let mut receipts = Vec::new();
        for (encoding, bytes) in
            [("plain", package.clone()), ("gzip", gzip(&package)), ("zip", zip(&package))]
        {
            // Lines of 76 characters, as most clients write them.
            let text = STANDARD.encode(&bytes);
            let lines: Vec<&str> =
                text.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
            let inline = submit(id, encoding, &lines.join("\r\n"));
            receipts.push(soap(&door, "text/xml; charset=utf-8", inline.into_bytes()).await);

            let include =
                "<x:Include xmlns:x=\"http://www.w3.org/2004/08/xop/include\" href=\"cid:p%40k\"/>";
            let root = submit(id, encoding, include);
            let head = format!(
                "--b\r\nContent-Type: application/xop+xml; charset=UTF-8; type=\"text/xml\"\r\n\
                 Content-ID: <r@k>\r\n\r\n{root}\r\n--b\r\nContent-Type: application/octet-stream\r\n\
                 Content-Transfer-Encoding: binary\r\nContent-ID: <p@k>\r\n\r\n"
            );
            let body = [head.as_bytes(), &bytes, b"\r\n--b--\r\n"].concat();
            let kind = "multipart/related; boundary=b; type=\"application/xop+xml\"; \
                start=\"<r@k>\"; start-info=\"text/xml\"";
            receipts.push(soap(&door, kind, body).await);
        }
        let (_, first) = receipts[0].clone();
        assert_eq!(element(&first, "Duplicate"), Some("false"), "{first}");
        let receipt = element(&first, "Receipt").unwrap();
        check_receipt(&door, id, &STANDARD.decode(receipt).unwrap());
        for (status, answer) in &receipts[1..] {
            assert_eq!(*status, StatusCode::OK, "{answer}");
            assert_eq!(element(answer, "Duplicate"), Some("true"));
            assert_eq!(element(answer, "Receipt"), Some(receipt));
        }
        let question = |name: &str| {
            envelope(&format!(
                "<{name} xmlns=\"{INTAKE}\"><Supplier>DIARY0001</Supplier>\
                 <PackageId>{id}</PackageId></{name}>"
            ))
        };
        let (_, told) = soap(&door, "text/xml", question("GetReceiptRequest").into_bytes()).await;
        assert_eq!(element(&told, "Receipt"), Some(receipt));
        assert_eq!(element(&told, "Final"), Some("false"));
        let (_, told) = soap(&door, "text/xml", question("GetPackageStatusRequest").into()).await;
        assert_eq!(element(&told, "State"), Some("received"));
        assert_eq!(element(&told, "Records"), Some(count.to_string().as_str()));
    }
    let ping = envelope(&format!("<PingRequest xmlns=\"{INTAKE}\"/>"));
    let (_, told) = soap(&door, "text/xml", ping.into_bytes()).await;
    assert_eq!(element(&told, "Version"), Some(env!("CARGO_PKG_VERSION")));
    assert_eq!(door.spooled(), 0);
    door.close().await;
}

#[tokio::test]
async fn a_fault_says_code_place_and_correlation() {
    let door = Door::open(Limits::default()).await;
    let id = new_id();
    let package = String::from_utf8(door.package(id, 2)).unwrap().replacen("Иванов", "Петров", 1);
    let inline = submit(id, "plain", &STANDARD.encode(&package));
    let request = client().post(door.url("/ws/intake")).header("content-type", "text/xml");
    let response = request.header("x-request-id", "our-42").body(inline).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(response.headers()["x-request-id"], "our-42");
    let fault = response.text().await.unwrap();
    assert_eq!(element(&fault, "faultcode"), Some("soap:Client"));
    assert_eq!(element(&fault, "Code"), Some("SIG_DIGEST"));
    assert_eq!(element(&fault, "CorrelationId"), Some("our-42"));
    assert_eq!(element(&fault, "Retryable"), Some("false"));
    door.holds_nothing().await;
    door.close().await;
}

#[tokio::test]
async fn only_who_knows_supplier_and_package_gets_answers_and_nobody_may_search() {
    let door = Door::open(Limits::default()).await;
    let id = new_id();
    put(&door, id, "application/xml", "identity", door.package(id, 1)).await;
    let ask = async |id: PackageId, supplier: &str, what: &str| {
        let url = door.url(&format!("/api/v1/packages/{id}/{what}?supplier={supplier}"));
        client().get(url).send().await.unwrap()
    };
    let status: Value = ask(id, "DIARY0001", "status").await.json().await.unwrap();
    assert_eq!(status["state"], "received");
    assert_eq!(status["packageId"], id.to_string());
    for (supplier, what) in [("DIARY0002", "status"), ("NOBODY", "receipt")] {
        assert_eq!(ask(id, supplier, what).await.status(), StatusCode::NOT_FOUND);
    }
    let mut statuses = Vec::new();
    for _ in 0..60 {
        statuses.push(ask(new_id(), "DIARY0001", "receipt").await.status());
    }
    assert_eq!(statuses.iter().filter(|&&status| status == StatusCode::NOT_FOUND).count(), 58);
    let limited = ask(id, "DIARY0001", "status").await;
    assert_eq!(limited.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(limited.headers().contains_key("retry-after"));
    door.close().await;
}

#[tokio::test]
async fn operators_need_a_token_to_read_the_journal_and_to_replay() {
    let door = Door::open(Limits::default()).await;
    let mut numbers = Vec::new();
    for _ in 0..3 {
        let id = new_id();
        put(&door, id, "application/xml", "identity", door.package(id, 1)).await;
        numbers.push(id);
    }
    let get = async |path: &str, token: &str| {
        let url = door.url(&format!("/api/v1/operator/{path}"));
        client().get(url).bearer_auth(token).send().await.unwrap()
    };
    assert_eq!(get("packages", "guess").await.status(), StatusCode::UNAUTHORIZED);
    let page: Value = get("packages?limit=2", TOKEN).await.json().await.unwrap();
    let rows = page["packages"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["packageId"], numbers[2].to_string());
    let rest = format!("packages?limit=2&before={}", page["next"]);
    let rest: Value = get(&rest, TOKEN).await.json().await.unwrap();
    assert_eq!(rest["packages"][0]["packageId"], numbers[0].to_string());
    assert_eq!(rest["next"], Value::Null);
    let none: Value = get("packages?state=failed", TOKEN).await.json().await.unwrap();
    assert_eq!(none["packages"], json!([]));
    for (path, code) in [
        ("packages?limit=0", "PAGING"),
        ("packages?limit=1001", "PAGING"),
        ("packages?state=lost", "REQUEST_INVALID"),
        ("packages?offset=5", "REQUEST_INVALID"),
        ("packages/77777", "NOT_FOUND"),
    ] {
        let refused: Value = get(path, TOKEN).await.json().await.unwrap();
        assert_eq!(refused["code"], code, "{path}");
    }
    let number = &rows[0]["number"];
    let shown: Value = get(&format!("packages/{number}"), TOKEN).await.json().await.unwrap();
    assert_eq!(shown["attempts"][0]["number"], 1);
    assert_eq!(shown["findings"], json!([]));

    let replay = async |path: &str, order: Value, token: &str| {
        let url = door.url(&format!("/api/v1/operator/{path}"));
        let request = client().post(url).bearer_auth(token).json(&order);
        request.send().await.unwrap()
    };
    let one = format!("packages/{number}/replay");
    assert_eq!(replay(&one, json!({"reason": "x"}), "guess").await.status(), 401);
    let nameless: Value = replay(&one, json!({"reason": " "}), TOKEN).await.json().await.unwrap();
    assert_eq!(nameless["code"], "REQUEST_INVALID");
    // Nobody has processed it yet.
    let busy: Value = replay(&one, json!({"reason": "сбой"}), TOKEN).await.json().await.unwrap();
    assert_eq!(busy["code"], "BUSY");
    let sql = "UPDATE package SET state = 'failed' WHERE no > 0";
    door.stack.exchange.db().execute(sql, vec![]).await.unwrap();
    let sql = "UPDATE attempt SET finished_at = requested_at, due_at = NULL WHERE id > 0";
    door.stack.exchange.db().execute(sql, vec![]).await.unwrap();
    let done = replay(&one, json!({"reason": "сбой"}), TOKEN).await;
    assert_eq!(done.status(), StatusCode::ACCEPTED);
    let order = json!({"reason": "сбой", "filter": {"state": "failed"}, "limit": 1});
    let done: Value = replay("replays", order, TOKEN).await.json().await.unwrap();
    assert_eq!(done["replayed"].as_array().map(Vec::len), Some(1));
    let shown: Value = get(&format!("packages/{number}"), TOKEN).await.json().await.unwrap();
    assert_eq!(shown["attempts"][0]["number"], 2);
    assert_eq!(shown["attempts"][0]["actor"], "anna");
    door.close().await;
}

#[tokio::test]
async fn the_openapi_document_tells_the_truth() {
    let door = Door::open(Limits::default()).await;
    let id = new_id();
    put(&door, id, "application/xml", "identity", door.package(id, 1)).await;
    let url = door.url("/api/v1/openapi.json");
    let document: Value = client().get(url).send().await.unwrap().json().await.unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 10);
    for (path, operations) in paths {
        let real = path.replace("{id}", &id.to_string()).replace("{no}", "1");
        for (method, operation) in operations.as_object().unwrap() {
            let method = method.to_uppercase().parse().unwrap();
            let url = door.url(&format!(
                "{real}?{}",
                if real.contains(&id.to_string()) { "supplier=DIARY0001" } else { "" }
            ));
            let mut request = client().request(method, url).bearer_auth(TOKEN);
            if operation.get("requestBody").is_some() {
                request = if path.contains("{id}") {
                    request.header("content-type", "application/xml").body(door.package(id, 1))
                } else {
                    request.json(&json!({"reason": "x", "filter": {"state": "failed"}}))
                };
            }
            let response = request.send().await.unwrap();
            let status = response.status().as_str().to_owned();
            let told = &operation["responses"][&status];
            assert!(told.is_object(), "{path} answers {status}");
            let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
            let documented = told["content"].as_object().map(|kinds| kinds.contains_key(&kind));
            let problem = kind == "application/problem+json" && told.get("$ref").is_some();
            assert!(documented == Some(true) || problem, "{path} {status} {kind}");
            if kind == "application/json" && response.status() == StatusCode::OK {
                let body: Value = response.json().await.unwrap();
                check_schema(&document, &told["content"][&kind]["schema"], &body, path);
            }
        }
    }
    door.close().await;
}

/// Checks that an object has every member the schema requires, and no other that it names none of.
fn check_schema(document: &Value, schema: &Value, value: &Value, place: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let target = document.pointer(name.trim_start_matches('#')).unwrap();
        return check_schema(document, target, value, place);
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        check_schema(document, part, value, place);
    }
    if let Some(items) = schema.get("items") {
        for item in value.as_array().unwrap() {
            check_schema(document, items, item, place);
        }
    }
    let Some(properties) = schema["properties"].as_object() else { return };
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(value.get(name.as_str().unwrap()).is_some(), "{place}: {name} is missing");
    }
    for (name, schema) in properties {
        if let Some(member) = value.get(name).filter(|member| !member.is_null()) {
            check_schema(document, schema, member, place);
        }
    }
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Speaks TLS as localhost, and trusts clients of the same authority.
fn tls(authority: &Authority, folder: &Path) -> TlsAcceptor {
    let validity = Validity {
        from: now() - chrono::TimeDelta::days(1),
        to: now() + chrono::TimeDelta::days(9),
    };
    let usage = Usage::Server(vec!["localhost".to_owned()]);
    let request = Request { name: "localhost", key: KeyKind::P256, validity, usage };
    let issued = authority.issue(&request, &mut random()).unwrap();
    let certificate = write(folder, "tls.pem", &issued.certificate_pem().unwrap());
    let key = write(folder, "tls.key", &issued.key_pem().unwrap());
    let roots = write(folder, "ca.pem", &authority.issued().certificate_pem().unwrap());
    acceptor(&certificate, &key, Some(&roots)).unwrap()
}

#[tokio::test]
async fn a_client_certificate_must_belong_to_the_supplier() {
    install_provider();
    let door =
        Door::open_with(Limits::default(), |authority, folder| Some(tls(authority, folder))).await;
    let root = door.stack.authority.issued().certificate_pem().unwrap();
    let visitor = |number: Option<usize>| {
        let builder = Client::builder().tls_certs_only([Certificate::from_pem(&root).unwrap()]);
        let builder = match number.map(|number| &door.stack.suppliers[number].issued) {
            None => builder,
            Some(own) => {
                let pem = [own.certificate_pem().unwrap(), own.key_pem().unwrap()].concat();
                builder.identity(Identity::from_pem(&pem).unwrap())
            }
        };
        builder.build().unwrap()
    };
    let base = format!("https://localhost:{}", door.address.port());
    for (who, status) in [(None, 202), (Some(0), 202), (Some(1), 403)] {
        let id = new_id();
        let url = format!("{base}/api/v1/packages/{id}");
        let request = visitor(who).put(url).header("content-type", "application/xml");
        let response = request.body(door.package(id, 1)).send().await.unwrap();
        assert_eq!(response.status(), status, "{who:?}");
        if status == 403 {
            assert_eq!(response.json::<Value>().await.unwrap()["code"], "CHANNEL_SIGNER");
            continue;
        }
        let url = format!("{base}/api/v1/packages/{id}/receipt?supplier=DIARY0001");
        for (who, status) in [(None, 200), (Some(0), 200), (Some(1), 404)] {
            let response = visitor(who).get(&url).send().await.unwrap();
            assert_eq!(response.status(), status, "{who:?}");
        }
    }
    let wsdl = visitor(None).get(format!("{base}/ws/intake?wsdl")).send().await.unwrap();
    assert!(wsdl.text().await.unwrap().contains(&format!("{base}/ws/intake")));
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_of_http_2_is_closed_though_its_peer_answers_pings() {
    install_provider();
    let limits = Limits { head_timeout: Duration::from_secs(1), ..Limits::default() };
    let door = Door::open_with(limits, |authority, folder| Some(tls(authority, folder))).await;
    let mut roots = RootCertStore::empty();
    let root = door.stack.authority.issued().certificate_der().unwrap();
    roots.add(root.into()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(door.address).await.unwrap();
    let connecting = TlsConnector::from(Arc::new(config));
    let stream = connecting.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let wsdl = hyper::Request::get("https://localhost/ws/intake?wsdl");
    let answer = sender.send_request(wsdl.body(String::new()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    drop(answer);
    let ended = tokio::time::timeout(Duration::from_mins(1), connection).await;
    assert!(ended.unwrap().unwrap().is_ok() && sender.is_closed());
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_half_of_the_connections() {
    let door = Door::open(Limits { connections: 6, ..Limits::default() }).await;
    let opened = async |from: [u8; 4]| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        let mut stream = socket.connect(door.address).await.unwrap();
        stream.write_all(b"GET /ws/intake?wsdl HTTP/1.1\r\nHost: k\r\n\r\n").await.unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        (String::from_utf8(status.to_vec()).unwrap(), stream)
    };
    let mut held = Vec::new();
    for expected in ["200", "200", "200", "503"] {
        let (status, stream) = opened([127, 0, 0, 2]).await;
        assert_eq!(status, format!("HTTP/1.1 {expected}"));
        held.push(stream);
    }
    assert_eq!(opened([127, 0, 0, 1]).await.0, "HTTP/1.1 200", "another address has its own");
    door.close().await;
}

/// Begins an upload of unknown length over 256 KiB and stays there.
async fn dangling(door: &Door) -> TcpStream {
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    let head = format!(
        "PUT /api/v1/packages/{} HTTP/1.1\r\nHost: k\r\nContent-Type: application/xml\r\n\
         Transfer-Encoding: chunked\r\n\r\n50000\r\n",
        new_id()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let package = door.package(new_id(), MANY);
    stream.write_all(&package[..0x50000]).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn one_peer_gets_no_more_than_its_places() {
    let door = Door::open(Limits::default()).await;
    let mut uploads = Vec::new();
    for _ in 0..16 {
        uploads.push(dangling(&door).await);
    }
    let id = new_id();
    let package = door.package(id, MANY);
    let busy = loop {
        let answer = put(&door, id, "application/xml", "identity", package.clone()).await;
        // Until the sixteen have arrived there is a place.
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            break answer;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(busy.headers()["retry-after"], "5");
    assert_eq!(busy.json::<Value>().await.unwrap()["code"], "TOO_MANY_REQUESTS");
    let small = new_id();
    let answer = put(&door, small, "application/xml", "identity", door.package(small, 1)).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED, "small ones have places of their own");
    drop(uploads);
    while put(&door, id, "application/xml", "identity", package.clone()).await.status() == 429 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_under_way_is_answered_before_the_door_closes() {
    let door = Door::open(Limits::default()).await;
    let id = new_id();
    let package = door.package(id, 1);
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    let head = format!(
        "PUT /api/v1/packages/{id} HTTP/1.1\r\nHost: k\r\nContent-Type: application/xml\r\n\
         Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        package.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The handler has begun when it asks for the body.
    let mut told = [0; 25];
    stream.read_exact(&mut told).await.unwrap();
    assert_eq!(&told[..], b"HTTP/1.1 100 Continue\r\n\r\n");
    let mut idle = TcpStream::connect(door.address).await.unwrap();
    let (address, stop) = (door.address, door.stop.clone());
    stop.cancel();
    while TcpStream::connect(address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stream.write_all(&package).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    // Closed, or reset while it still waited to be accepted.
    let read = idle.read(&mut [0; 1]).await;
    assert!(matches!(read, Ok(0) | Err(_)), "an idle connection is closed");
    door.close().await;
}

#[tokio::test]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let limits = Limits { head_timeout: Duration::from_millis(200), ..Limits::default() };
    let door = Door::open(limits).await;
    for sent in [&b""[..], b"GET /api/v1/limits HTTP/1.1\r\nHost:"] {
        let mut stream = TcpStream::connect(door.address).await.unwrap();
        stream.write_all(sent).await.unwrap();
        let closed = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut [0; 64])).await;
        assert_eq!(closed.expect("closed in time").unwrap_or(0), 0);
    }
    door.close().await;
}
