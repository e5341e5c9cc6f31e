//! Hostile requests over raw sockets: every file of `fixtures/hostile/{c,d}` is sent, its answer
//! compared with what the file expects, and afterwards nothing is stored.
//!
//! A file is `key: value` lines, `---`, and the request. `{length}` stands for the length of the
//! body, `{x*N}` for N times `x`. Keys: `expect` (status, code or `-`, fault code), `also` and
//! `absent` (text in the answer), `generate` (a body made here), `end` (`half-close`, `wait`).

use std::fs;
use std::io::{Cursor, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{StreamExt as _, stream};
use kontingent::http::limits::Limits;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::door::Door;

/// Largest body the gateway under test takes.
const BODY_BYTES: u64 = 4 << 20;

struct Case {
    name: String,
    keys: Vec<(String, String)>,
    request: Vec<u8>,
}

impl Case {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let (keys, request) = text.split_once("---\n").unwrap();
        let keys: Vec<(String, String)> = keys
            .lines()
            .map(|line| line.split_once(": ").map(|(k, v)| (k.into(), v.into())).unwrap())
            .collect();
        let (head, body) = request.split_once("\n\n").unwrap();
        let generated = keys.iter().find(|(key, _)| key == "generate");
        let body = match generated {
            Some((_, what)) => generate(what),
            None => expand(body).into_bytes(),
        };
        let head = expand(&head.replace("{length}", &body.len().to_string())).replace('\n', "\r\n");
        let request = [head.as_bytes(), b"\r\n\r\n", &body].concat();
        Self { name: path.display().to_string(), keys, request }
    }

    fn key(&self, key: &str) -> Option<&str> {
        self.keys.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// What is wrong with the answer.
    fn judge(&self, answer: &str) -> Option<String> {
        let expected: Vec<&str> = self.key("expect").unwrap().split(' ').collect();
        let status = answer.split(' ').nth(1).unwrap_or("no answer");
        let answers = answer.matches("HTTP/1.1 ").count();
        let mut wrong = Vec::new();
        if status != expected[0] {
            wrong.push(format!("status {status}"));
        }
        if answers != 1 {
            wrong.push(format!("{answers} answers"));
        }
        let fault = answer.contains("soap:Fault");
        match expected[1] {
            "-" => {}
            code if fault && answer.contains(&format!("<Code>{code}</Code>")) => {}
            code if !fault && answer.contains(&format!("\"code\":\"{code}\"")) => {}
            code => wrong.push(format!("no code {code}")),
        }
        match expected.get(2) {
            Some(&code) if code.starts_with("soap:") && !answer.contains(code) => {
                wrong.push(format!("no {code}"));
            }
            None if fault => wrong.push("a fault".to_owned()),
            _ => {}
        }
        if self.key("also").is_some_and(|text| !answer.contains(text)) {
            wrong.push("text missing".to_owned());
        }
        if self.key("absent").is_some_and(|text| answer.contains(text)) {
            wrong.push("text present".to_owned());
        }
        let told = expected[1] != "-";
        if told && !answer.contains("x-request-id: ") {
            wrong.push("no request id".to_owned());
        }
        (!wrong.is_empty()).then(|| format!("{}: {}\n{answer}\n", self.name, wrong.join(", ")))
    }
}

/// Sends a request as it stands and reads what comes back, a second answer included.
fn send(address: SocketAddr, request: &[u8], end: Option<&str>) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
    // The service may close before it has read all: its answer counts, not our write.
    let sent = stream.write_all(request);
    if end == Some("half-close") && sent.is_ok() {
        stream.shutdown(Shutdown::Write).unwrap();
    }
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        answer.extend_from_slice(&buffer[..count]);
        if whole(&answer) {
            stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Whether the first answer has arrived with all of its body.
fn whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.and_then(|length| length.parse().ok()).is_none_or(|length: usize| body.len() >= length)
}

/// Replaces `{x*N}` by N times `x`, and `{header*N}` by N header lines.
fn expand(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out += before;
        let (what, after) = after.split_once('}').unwrap();
        let (what, count) = what.split_once('*').unwrap();
        let count: usize = count.parse().unwrap();
        match what {
            "header" => out.extend((0..count).map(|number| format!("X-{number}: x\n"))),
            _ => out += &what.repeat(count),
        }
        rest = after;
    }
    out + rest
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zip(names: &[&str], content: &[u8]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for name in names {
        writer.start_file(*name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// An archive with one byte changed, found by what stands before it.
fn patched(marker: &[u8], offset: usize) -> Vec<u8> {
    let mut archive = zip(&["a.xml"], b"<Package/>");
    let at = archive.windows(marker.len()).position(|bytes| bytes == marker).unwrap();
    archive[at + offset] ^= 0x01;
    archive
}

/// Bodies that cannot stand in a text file.
fn generate(what: &str) -> Vec<u8> {
    let small = b"<Package/>";
    let bomb = vec![b' '; 32 << 20];
    match what {
        "chunks-over-the-limit" => {
            let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
            [chunk.repeat(80).as_bytes(), b"0\r\n\r\n"].concat()
        }
        "gzip-bomb" => gzip(&bomb),
        "gzip-in-gzip" => gzip(&gzip(small)),
        "gzip-cut-short" => gzip(small)[..20].to_vec(),
        "gzip-and-more" => [gzip(small), b"more".to_vec()].concat(),
        "zip-bomb" => zip(&["a.xml"], &bomb),
        "zip-two-entries" => zip(&["a.xml", "b.xml"], small),
        "zip-many-entries" => {
            let names: Vec<String> = (0..5000).map(|number| format!("{number}.xml")).collect();
            zip(&names.iter().map(String::as_str).collect::<Vec<_>>(), small)
        }
        "zip-no-entry" => zip(&[], small),
        "zip-parent-path" => zip(&["../a.xml"], small),
        "zip-absolute-path" => zip(&["/etc/a.xml"], small),
        "zip-backslash-path" => zip(&["..\\a.xml"], small),
        "zip-not-xml-name" => zip(&["a.exe"], small),
        "zip-symlink" => {
            let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
            writer.add_symlink("a.xml", "<Package/>", SimpleFileOptions::default()).unwrap();
            writer.finish().unwrap().into_inner()
        }
        "zip-duplicate-names" => {
            let other = zip(&["a.xml", "b.xml"], small);
            let text: Vec<u8> = other;
            replaced(&text, b"b.xml", b"a.xml")
        }
        "zip-encrypted" => patched(b"PK\x03\x04", 6),
        "zip-other-name-in-directory" => patched(b"PK\x01\x02", 46),
        "zip-other-size-in-directory" => patched(b"PK\x01\x02", 24),
        "zip-other-checksum" => patched(b"PK\x03\x04", 14),
        "zip-overlapping-entries" => {
            // Two directory entries that point to the same data.
            let archive = zip(&["a.xml"], small);
            let at = archive.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
            let end = archive.windows(4).position(|bytes| bytes == b"PK\x05\x06").unwrap();
            [&archive[..end], &archive[at..]].concat()
        }
        "zip-and-more" => [zip(&["a.xml"], small), b"more".to_vec()].concat(),
        "zip-cut-short" => {
            let archive = zip(&["a.xml"], small);
            archive[..archive.len() - 8].to_vec()
        }
        "mime-ten-thousand-parts" => {
            let path = "fixtures/hostile/d/13-part-nobody-refers-to.http";
            let text = fs::read_to_string(path).unwrap();
            let body = text.split_once("---\n").unwrap().1.split_once("\n\n").unwrap().1;
            let part =
                body.rsplit_once("--MIME\r\n").unwrap().1.strip_suffix("--MIME--\r\n").unwrap();
            let parts = format!("--MIME\r\n{part}").repeat(10_000);
            body.replace("--MIME--\r\n", &format!("{parts}--MIME--\r\n")).into_bytes()
        }
        other => panic!("no body is called {other}"),
    }
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let found: Vec<usize> =
        (0..=out.len() - from.len()).filter(|&at| &out[at..at + from.len()] == from).collect();
    for at in found {
        out[at..at + to.len()].copy_from_slice(to);
    }
    out
}

fn cases(group: &str) -> Vec<Case> {
    let folder = Path::new("fixtures/hostile").join(group);
    let mut paths: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "http"));
    paths.sort();
    paths.iter().map(|path| Case::read(path)).collect()
}

/// A gateway with low limits and little patience.
fn limits() -> Limits {
    Limits {
        body_bytes: BODY_BYTES,
        body_patience: Duration::from_millis(500),
        head_timeout: Duration::from_secs(2),
        ..Limits::default()
    }
}

async fn check(group: &'static str) {
    let door = Door::open(limits()).await;
    let address = door.address;
    let cases = cases(group);
    let count = cases.len();
    let judged = cases.into_iter().map(|case| {
        let judge = move || case.judge(&send(address, &case.request, case.key("end")));
        tokio::task::spawn_blocking(judge)
    });
    let wrong: Vec<Option<String>> =
        stream::iter(judged).buffered(4).map(Result::unwrap).collect().await;
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{} of {count} cases\n{}", wrong.len(), wrong.join("\n"));
    door.holds_nothing().await;
    door.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_soap_is_answered_as_the_catalogue_says() {
    check("c").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_http_is_answered_as_the_catalogue_says() {
    check("d").await;
}
