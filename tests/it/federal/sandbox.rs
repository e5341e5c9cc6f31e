//! `kontingent sandbox`, the program itself over HTTP: whom it lets in, what it plays, what it asks, and which
//! databases it and the real node refuse.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kontingent::codec::node::Node;
use kontingent::codec::smev3::{Fault, SignatureFault, Version};
use kontingent::trust::Signer;
use kontingent::trust::authority::{Authority, Issued, KeyKind, Request, Usage, Validity};
use tempfile::TempDir;

use super::message::{Message, by_snils, new_id, selector};
use super::world::{Answered, find, roomy, signer, try_find, validity};
use super::{foreign_authority, random};
use crate::interop::python;
use crate::kill::free_port;

const CLINIC: &str = "urn://example/clinic/1.0";

/// How long the emulator may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running sandbox.
struct Sandbox {
    child: Child,
    dir: TempDir,
    door: String,
    http: reqwest::Client,
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sandbox {
    /// Starts one in a new folder, and waits until it has said how to use it.
    fn start() -> Self {
        kontingent::http::tls::install_provider();
        let dir = TempDir::new().unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let mut child = kontingent()
            .arg("sandbox")
            .arg(dir.path().join("box"))
            .args(["--listen", &address])
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(said.any(|line| line.unwrap().contains("Ctrl+C")), "it did not start");
        fs::create_dir(dir.path().join("kept")).unwrap();
        Self { child, dir, door: format!("http://{address}/ws/smev"), http: reqwest::Client::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("box").join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    fn scenario(&self, name: &str, text: &str) {
        fs::write(self.path("scenarios").join(name), text).unwrap();
    }

    /// Insurance number and last name of a person.
    fn person(&self) -> (String, String) {
        let table = fs::read_to_string(self.path("persons.csv")).unwrap();
        let mut fields = table.lines().nth(1).unwrap().split(';').map(str::to_owned);
        (fields.next().unwrap(), fields.next().unwrap())
    }

    /// Sends a message; what comes back is kept for the check against the schemas.
    async fn send(&self, version: Version, message: String) -> Answered {
        let url = format!("{}/{}", self.door, version.as_str());
        let request = self.http.post(url).header("content-type", "text/xml; charset=utf-8");
        let response = request.body(message).send().await.unwrap();
        let status = response.status().as_u16();
        let xml = response.text().await.unwrap();
        let file = self.dir.path().join("kept").join(format!("{}.xml", new_id()));
        fs::write(&file, &xml).unwrap();
        Answered { status, xml, parts: false, file }
    }

    /// The next message of a queue, confirmed, when it has come.
    async fn next(&self, version: Version, call: &Message, caller: &Signer) -> Answered {
        let begun = Instant::now();
        loop {
            let answered = self.send(version, call.clone().by(version).signed(caller)).await;
            if !answered.body().children.is_empty() {
                let ack = Message::ack(&answered.id()).by(version).signed(caller);
                self.send(version, ack).await.body();
                return answered;
            }
            assert!(begun.elapsed() < PATIENCE, "{}", self.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn check_against_the_schemas(&self) {
        python("validate_smev.py", &[self.dir.path().join("kept").to_str().unwrap()]);
    }
}

fn kontingent() -> Command {
    Command::new(env!("CARGO_BIN_EXE_kontingent"))
}

/// Somebody who signs for himself: his certificate is that of an authority, as `openssl req -x509` makes it.
fn stranger(name: &str, dates: Validity) -> Signer {
    signer(Authority::create(name, dates, &mut random()).unwrap().issued())
}

fn issued(name: &str, key: KeyKind) -> Issued {
    let request = Request { name, key, validity: validity(0, 9), usage: Usage::Signature };
    foreign_authority().issue(&request, &mut random()).unwrap()
}

fn certificate_request(number: &str) -> String {
    format!("<CertificateRequest xmlns='{CLINIC}'><Number>{number}</Number></CertificateRequest>")
}

fn ask(version: Version, content: &str) -> Message {
    Message::ask(&new_id().to_string(), "", content).by(version)
}

fn sender(message: &Node) -> String {
    find(find(find(message, "MessageMetadata"), "Sender"), "Mnemonic").text.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_lets_in_whoever_signs_right_and_nobody_else() {
    let sandbox = Sandbox::start();
    let (snils, last_name) = sandbox.person();
    let own = stranger("STRANGER01", validity(0, 9));
    let foreign = signer(&issued("Чужой центр", KeyKind::Rsa(2048)));
    for (caller, version) in [(&own, Version::V13), (&foreign, Version::V11), (&own, Version::V12)]
    {
        let message = ask(version, &by_snils(&snils)).signed(caller);
        let taken = sandbox.send(version, message).await.body();
        assert_eq!(find(&taken, "Status").text, "requestIsQueued");
        let answer = sandbox.next(version, &Message::pull("", ""), caller).await.body();
        assert_eq!(find(&answer, "LastName").text, last_name);
        assert_eq!(sender(&answer), "emu");
    }
    assert!(sandbox.log().contains("Новая тестовая система STRANGER01: CN=STRANGER01"));
    assert!(sandbox.log().contains("Новая тестовая система IS-"), "a name that is no mnemonic");

    // The same name under another key is another system, and whose queue is meant is told apart.
    let namesake = signer(&issued("STRANGER01", KeyKind::P256));
    let message = ask(Version::V13, &by_snils(&snils)).signed(&namesake);
    let taken = sandbox.send(Version::V13, message).await.body();
    assert!(sender(&taken).starts_with("STRANGER01-"), "{taken:?}");
    let pull = Message::pull("", "").signed(&own);
    assert!(sandbox.send(Version::V13, pull).await.body().children.is_empty());

    let late = stranger("LATE", validity(-20, -10));
    let message = ask(Version::V13, &by_snils(&snils));
    let changed = message.signed(&own).replace(&snils, "00000000000");
    let elsewhere = message.signed(&own).replace("URI=\"#", "URI=\"#x");
    for (message, reason) in [
        (changed, SignatureFault::SignatureIsInvalid),
        (elsewhere, SignatureFault::IncorrectSignatureTarget),
        (message.unsigned(), SignatureFault::NoSignatureFound),
        (message.signed(&late), SignatureFault::CertificateIsExpired),
    ] {
        let fault = sandbox.send(Version::V13, message).await.fault();
        assert_eq!(fault.local, "SignatureVerificationFault");
        assert_eq!(find(&fault, "SignatureVerificationFault").text, reason.as_str());
    }
    assert!(!sandbox.log().contains("LATE"), "who signs wrong is not registered");
    sandbox.check_against_the_schemas();
}

#[test]
fn a_folder_has_one_sandbox_at_a_time() {
    let mut sandbox = Sandbox::start();
    let second = |dir: &Path| {
        let mut command = kontingent();
        let command = command.arg("sandbox").arg(dir).args(["--listen", "127.0.0.1:0"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut other = second(&sandbox.path(""));
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = other.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            other.kill().unwrap();
            panic!("it runs beside the first");
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let said = String::from_utf8(other.wait_with_output().unwrap().stderr).unwrap();
    assert!(!status.success() && said.contains("уже работает песочница"), "{said}");
    // When the first one has ended, however it ended, the folder is free.
    sandbox.child.kill().unwrap();
    sandbox.child.wait().unwrap();
    let mut next = second(&sandbox.path(""));
    let mut said = BufReader::new(next.stdout.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().contains("Ctrl+C")), "the folder is free again");
    next.kill().unwrap();
    next.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_answers_rejects_and_fails_as_its_scenarios_say() {
    let sandbox = Sandbox::start();
    let caller = stranger("CLIENT01", validity(0, 9));
    // The scenarios of the first start.
    for version in Version::ALL {
        let refused = ask(version, &certificate_request("13")).signed(&caller);
        let fault = sandbox.send(version, refused).await.fault();
        assert_eq!(
            (fault.local.as_str(), fault.namespace.as_str()),
            ("SMEVFailure", version.faults())
        );
        let asked = ask(version, &certificate_request("5")).signed(&caller);
        sandbox.send(version, asked).await.body();
        let pull = Message::pull(&selector(CLINIC, "CertificateResponse"), "");
        let status = sandbox.next(version, &pull, &caller).await.body();
        assert_eq!(find(find(&status, "RequestStatus"), "StatusCode").text, "1");
        let answer = sandbox.next(version, &pull, &caller).await.body();
        assert_eq!(find(find(&answer, "CertificateResponse"), "Number").text, "77-1");
        assert_eq!(sender(&answer), "emu");
        assert!(try_find(&answer, "SenderInformationSystemSignature").is_some());
    }
    let nobody = certificate_request("5").replace("<Number>", "<Snils>00000000000</Snils><Number>");
    sandbox.send(Version::V13, ask(Version::V13, &nobody).signed(&caller)).await.body();
    let rejected = sandbox.next(Version::V13, &Message::pull("", ""), &caller).await.body();
    assert_eq!(find(&rejected, "RejectionReasonCode").text, "NO_DATA");

    // A file that is no scenario is told, and what it was for is refused by a word of the protocol.
    let head = "namespace = 'urn:x'\nrequest = 'Q'\n";
    sandbox.scenario("q.toml", &format!("{head}answer = '<A'"));
    let message = || ask(Version::V13, "<Q xmlns='urn:x'/>").signed(&caller);
    let fault = sandbox.send(Version::V13, message()).await.fault();
    assert_eq!(fault.local, "BusinessDataTypeIsNotSupported");
    assert!(
        sandbox.log().contains("Сценарий q.toml не действует: ответ — не XML"),
        "{}",
        sandbox.log()
    );
    // Mended, it holds for the next message.
    sandbox.scenario("q.toml", &format!("{head}answer = '<A xmlns=\"urn:x\">я</A>'"));
    sandbox.send(Version::V13, message()).await.body();
    let answer = sandbox.next(Version::V13, &Message::pull("", ""), &caller).await.body();
    assert_eq!(find(&answer, "A").text, "я");
    sandbox.check_against_the_schemas();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_the_exchange_can_be_provoked_in_every_version() {
    let sandbox = Sandbox::start();
    let caller = stranger("CLIENT01", validity(0, 9));
    for name in Fault::NAMES {
        let text = format!(
            "namespace = 'urn:x'\nrequest = 'Q'\nfault = '{name}'\nwhen = {{ Case = '{name}' }}"
        );
        sandbox.scenario(&format!("{name}.toml"), &text);
    }
    for version in Version::ALL {
        for name in Fault::NAMES {
            let content = format!("<Q xmlns='urn:x'><Case>{name}</Case></Q>");
            let fault = sandbox.send(version, ask(version, &content).signed(&caller)).await.fault();
            // What older versions have instead.
            let personal = name == "PersonalAccessDenied" && version != Version::V13;
            let told = if personal { "AccessDenied" } else { name };
            assert_eq!((fault.local.as_str(), fault.namespace.as_str()), (told, version.faults()));
        }
        // A message that is not signed right has its own fault first.
        let content = "<Q xmlns='urn:x'><Case>SMEVFailure</Case></Q>";
        let fault = sandbox.send(version, ask(version, content).unsigned()).await.fault();
        assert_eq!(fault.local, "SignatureVerificationFault");
    }
    sandbox.scenario("ack.toml", "operation = 'Ack'\nfault = 'TargetMessageIsNotFound'");
    let id = new_id().to_string();
    let fault = sandbox.send(Version::V13, Message::ack(&id).signed(&caller)).await.fault();
    assert!(find(&fault, "Description").text.contains(&id), "{fault:?}");
    sandbox.check_against_the_schemas();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_gets_the_requests_of_the_emulator_which_keeps_its_answers() {
    let sandbox = Sandbox::start();
    let provider = stranger("CLINIC01", validity(0, 9));
    let version = Version::V12;
    let folder = sandbox.path("requests").join("CLINIC01");
    fs::create_dir(&folder).unwrap();
    let request = "<?xml version=\"1.0\"?>\n<!-- проверка -->\n<PupilRequest xmlns=\"urn:pupil\"><Id>7</Id></PupilRequest>\n";
    fs::write(folder.join("pupil.xml"), request).unwrap();
    fs::write(folder.join("bare.xml"), "<PupilRequest/>").unwrap();

    let take = Message::take("");
    let asked = sandbox.next(version, &take, &provider).await.body();
    assert_eq!(find(find(&asked, "PupilRequest"), "Id").text, "7");
    assert!(try_find(&asked, "TestMessage").is_some());
    assert_eq!(sender(&asked), "emu");
    let to = &find(&asked, "ReplyTo").text;
    let answers = [
        Message::progress(&new_id().to_string(), to),
        Message::answer(&new_id().to_string(), to, "<PupilAnswer xmlns='urn:any'>8</PupilAnswer>"),
    ];
    for answer in answers {
        sandbox.send(version, answer.by(version).signed(&provider)).await.body();
    }
    let begun = Instant::now();
    let kept = loop {
        let kept = answers_in(&sandbox.path("answers"));
        if kept.len() == 2 {
            break kept;
        }
        assert!(begun.elapsed() < PATIENCE, "{}", sandbox.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let told = |local: &str| {
        kept.iter().any(|file| {
            let root = Node::document(&fs::read(file).unwrap(), roomy()).unwrap();
            try_find(&root, local).is_some()
        })
    };
    assert!(told("RequestStatus") && told("PupilAnswer"), "{kept:?}");
    assert!(kept.iter().all(|file| file.to_str().unwrap().contains("/pupil.")), "{kept:?}");
    // What is no request is put aside, with the reason.
    let begun = Instant::now();
    while !folder.join("bare.refused").exists() {
        assert!(begun.elapsed() < PATIENCE, "{}", sandbox.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let why = fs::read_to_string(sandbox.path("answers/bare.error.txt")).unwrap();
    assert!(why.contains("нет пространства имён"), "{why}");
    sandbox.check_against_the_schemas();
}

fn answers_in(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.to_str().unwrap().ends_with(".answer.xml")).collect()
}

#[test]
fn a_sandbox_is_never_served_and_nothing_else_is_a_sandbox() {
    let sandbox = Sandbox::start();
    let certificate = sandbox.path("keys/FEDERAL01.crt");
    let marked = sandbox.path("");
    drop_keeping(sandbox, |_| {
        for command in [&["serve"][..], &["demo", "--once", "--data", marked.to_str().unwrap()]] {
            let said = refusal(kontingent().args(command).env("KONTINGENT_DATA", &marked));
            assert!(said.contains("это база данных песочницы"), "{said}");
        }
        // What an operator has begun is no sandbox.
        let real = TempDir::new().unwrap();
        let mut add = kontingent();
        add.args(["federal", "add", "IS1", "--name", "Система", "--certificate"]).arg(&certificate);
        assert!(add.env("KONTINGENT_DATA", real.path()).output().unwrap().status.success());
        let said = refusal(kontingent().arg("sandbox").arg(real.path()));
        assert!(said.contains("не песочница, а рабочая база данных"), "{said}");
        assert!(!real.path().join("scenarios").exists(), "nothing is written there");
    });
}

/// Ends the sandbox and goes on with its folder.
fn drop_keeping(mut sandbox: Sandbox, then: impl FnOnce(&Path)) {
    sandbox.child.kill().unwrap();
    sandbox.child.wait().unwrap();
    then(sandbox.dir.path());
}

/// What a command says that must not succeed.
fn refusal(command: &mut Command) -> String {
    let output = command.env("KONTINGENT_HEALTH__LISTEN", "127.0.0.1:0").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    said
}

/// Whoever opens the trust of a real node to anybody meets this test.
#[test]
fn only_the_picture_of_a_sandbox_trusts_anybody() {
    let mut users = Vec::new();
    let mut folders = vec![PathBuf::from("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if fs::read_to_string(&path).unwrap().contains("trusting_anybody") {
                users.push(path);
            }
        }
    }
    users.sort();
    let known = ["src/exchange/parties.rs", "src/trust/store.rs"].map(PathBuf::from);
    assert_eq!(users, known);
}
