//! Signatures that we make, judged by others: xmlsec1, and OpenSSL's engine over lxml's canonical octets.
//! Keys come from PEM, PKCS#12 and a PKCS#11 token (SoftHSM).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use chrono::TimeDelta;
use kontingent::trust::authority::{Authority, KeyKind, Request, Usage, Validity};
use kontingent::trust::gost;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::interop::python;
use crate::signature::verify;
use crate::stack::now;

const DOCUMENT: &str = "<p:Order xmlns:p=\"urn:example:order\" xmlns:unused=\"urn:unused\" Id=\"order\" b='2' a=\"1\">\n\
    <p:Text>Ёлка &gt; &amp; ]]&gt; \t</p:Text><p:Empty/><p:Sum><![CDATA[<7>]]></p:Sum>\n</p:Order>";
const TOKEN_LIBRARY: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "1234";

/// Whether a test may go on: OpenSSL reads its configuration once, so a test that needs GOST in its own
/// process is run by another that was begun with the engine, and ends here when it has passed there.
pub(crate) fn goes_on_with_gost(test: &str) -> bool {
    if gost::available() {
        return true;
    }
    #[expect(clippy::disallowed_methods, reason = "who began this process tells it by a variable")]
    let begun = std::env::var("OPENSSL_CONF").is_ok();
    assert!(!begun, "no GOST R 34.10-2012 here: install libengine-gost-openssl");
    let bench = Bench::new();
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args([test, "--exact", "--nocapture"]).env("OPENSSL_CONF", bench.path("openssl.cnf"));
    let output = again.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("1 passed"), "{told}{errors}");
    false
}

/// A folder with keys, a configuration of OpenSSL with the engine, and a token.
pub(crate) struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let bench = Self { dir: tempfile::tempdir().unwrap() };
        fs::write(
            bench.path("openssl.cnf"),
            "openssl_conf = init\n[init]\nengines = engines\n[engines]\ngost = gost\n[gost]\nengine_id = gost\n\
             default_algorithms = ALL\n[req]\ndistinguished_name = name\n[name]\n",
        )
        .unwrap();
        let tokens = bench.path("tokens");
        fs::create_dir(&tokens).unwrap();
        let softhsm = format!("directories.tokendir = {}\n", tokens.display());
        fs::write(bench.path("softhsm.conf"), softhsm).unwrap();
        fs::write(bench.path("pin"), format!("{PIN}\n")).unwrap();
        fs::write(bench.path("order.xml"), DOCUMENT).unwrap();
        fs::create_dir(bench.path("trust")).unwrap();
        fs::copy("fixtures/keys/ca.crt", bench.path("trust/ca.crt")).unwrap();
        bench
    }

    /// A file of this name.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs a tool in the folder.
    fn run(&self, tool: &str, arguments: &str) -> Output {
        Command::new(tool)
            .args(arguments.split_whitespace())
            .current_dir(&self.dir)
            .env("OPENSSL_CONF", self.path("openssl.cnf"))
            .env("SOFTHSM2_CONF", self.path("softhsm.conf"))
            .output()
            .unwrap()
    }

    #[track_caller]
    fn good(&self, tool: &str, arguments: &str) -> Vec<u8> {
        let output = self.run(tool, arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{tool} {arguments}: {errors}");
        output.stdout
    }

    /// Makes a GOST authority and a key that it certifies.
    pub(crate) fn gost_key(&self, name: &str, bits: &str, set: &str) {
        let hash = format!("md_gost12_{bits}");
        for (key, parameters) in [(format!("ca-{name}"), set), (name.to_owned(), set)] {
            self.good(
                "openssl",
                &format!("genpkey -algorithm gost2012_{bits} -pkeyopt paramset:{parameters} -out {key}.key"),
            );
        }
        self.good(
            "openssl",
            &format!(
                "req -x509 -new -key ca-{name}.key -{hash} -subj /CN=ca-{name} -days 30 \
                 -addext basicConstraints=critical,CA:TRUE -out trust/{name}.crt"
            ),
        );
        self.good(
            "openssl",
            &format!("req -new -key {name}.key -{hash} -subj /CN={name} -out {name}.csr"),
        );
        fs::write(
            self.path("leaf.ext"),
            "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n",
        )
        .unwrap();
        self.good(
            "openssl",
            &format!(
                "x509 -req -in {name}.csr -{hash} -days 30 -CA trust/{name}.crt -CAkey ca-{name}.key \
                 -CAcreateserial -extfile leaf.ext -out {name}.crt"
            ),
        );
    }

    /// Signs the order with these options of `signature sign`, into a file of this name.
    #[track_caller]
    fn sign(&self, name: &str, options: &str) {
        let command =
            format!("signature sign order.xml --profile enveloped --output {name} {options}");
        self.good(env!("CARGO_BIN_EXE_kontingent"), &command);
    }

    /// Judges files by `signature verify` and this profile; all must be accepted.
    #[track_caller]
    fn accepted(&self, profile: &str, names: &[&str]) {
        let files: Vec<String> =
            names.iter().map(|name| self.path(name).to_str().unwrap().to_owned()).collect();
        let trust = self.path("trust");
        let (answers, content) =
            verify(&files, &["--profile", profile, "--trust", trust.to_str().unwrap()]);
        assert!(content, "{answers:#?}");
    }
}

fn key_file(name: &str, end: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/keys");
    root.join(format!("{name}.{end}")).display().to_string()
}

fn fixture(name: &str) -> String {
    format!("--key {} --certificate {}", key_file(name, "key"), key_file(name, "crt"))
}

#[test]
fn what_we_sign_with_rsa_and_ecdsa_xmlsec_verifies() {
    let bench = Bench::new();
    let rsa = fixture("supplier-1");
    for (name, options) in [
        ("rsa.xml", rsa.clone()),
        ("rsa-512.xml", format!("{rsa} --algorithm rsa-sha512")),
        ("p256.xml", fixture("supplier-3")),
        ("p384.xml", fixture("p384")),
    ] {
        bench.sign(name, &options);
        let known = "--trusted-pem trust/ca.crt --id-attr:Id Order";
        bench.good("xmlsec1", &format!("--verify {known} {name}"));
        let broken = fs::read_to_string(bench.path(name)).unwrap().replace("<7>", "<8>");
        fs::write(bench.path("broken.xml"), broken).unwrap();
        assert!(!bench.run("xmlsec1", &format!("--verify {known} broken.xml")).status.success());
        bench.accepted("enveloped", &[name]);
    }
    // This version of xmlsec1 has no PSS.
    bench.sign("pss.xml", &format!("{rsa} --algorithm rsa-pss-sha256 --smev"));
    bench.sign("pss-512.xml", &format!("{rsa} --algorithm rsa-pss-sha512"));
    bench.accepted("enveloped", &["pss.xml", "pss-512.xml"]);
    let p384 = bench.run(
        env!("CARGO_BIN_EXE_kontingent"),
        &format!(
            "signature sign order.xml --profile enveloped {} --algorithm rsa-sha256",
            fixture("p384")
        ),
    );
    assert!(!p384.status.success());
}

#[test]
fn messages_of_smev_2_get_both_signatures_which_xmlsec_verifies() {
    let bench = Bench::new();
    let body = "<s:Body><x:Call xmlns:x='urn:service'><m:MessageData><m:AppData Id=\"app\"><x:Order>Ёлка &gt;</x:Order>\
        </m:AppData></m:MessageData></x:Call></s:Body>";
    for (name, header) in [
        ("no-header", ""),
        ("empty", "<s:Header a='/>' />"),
        ("other", "<s:Header><x/></s:Header>"),
    ] {
        let message = format!(
            "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:m=\"http://smev.gosuslugi.ru/rev120315\">\
             {header}{body}</s:Envelope>"
        );
        fs::write(bench.path("message.xml"), message).unwrap();
        let sign = |file: &str, options: &str| {
            let command = format!("signature sign {file} --profile smev2 {options}");
            bench.good(env!("CARGO_BIN_EXE_kontingent"), &command);
        };
        sign("message.xml", &format!("--personal --output personal.xml {}", fixture("supplier-3")));
        sign("personal.xml", &format!("--output {name}.xml {}", fixture("supplier-1")));
        bench.accepted("smev2", &[&format!("{name}.xml")]);
        let certificate = |name: &str| format!("--pubkey-cert-pem {}", key_file(name, "crt"));
        let ids = "--id-attr:Id http://schemas.xmlsoap.org/soap/envelope/:Body \
            --id-attr:Id http://smev.gosuslugi.ru/rev120315:AppData";
        for (place, signer) in [("Security", "supplier-1"), ("AppData", "supplier-3")] {
            let node =
                format!("--node-xpath //*[local-name()='{place}']/*[local-name()='Signature']");
            bench.good(
                "xmlsec1",
                &format!("--verify {} {ids} {node} {name}.xml", certificate(signer)),
            );
        }
        let again = format!("signature sign {name}.xml --profile smev2 {}", fixture("supplier-1"));
        let again = bench.run(env!("CARGO_BIN_EXE_kontingent"), &again);
        assert!(String::from_utf8_lossy(&again.stderr).contains("уже есть"));
    }
}

#[test]
fn what_we_sign_with_gost_the_engine_verifies_over_the_octets_of_another_canonicaliser() {
    let bench = Bench::new();
    for (name, bits, set) in [("tca", "256", "TCA"), ("xa", "256", "XA"), ("wide", "512", "A")] {
        bench.gost_key(name, bits, set);
        bench.sign(&format!("{name}.xml"), &format!("--key {name}.key --certificate {name}.crt"));
        let (document, folder) = (bench.path(&format!("{name}.xml")), bench.dir.path());
        python("signature_oracle.py", &[document.to_str().unwrap(), folder.to_str().unwrap()]);
        let hash = format!("-md_gost12_{bits}");
        let digest = bench.good("openssl", &format!("dgst {hash} -binary content"));
        assert_eq!(digest, fs::read(bench.path("digest")).unwrap(), "{name}");
        bench.good("openssl", &format!("x509 -in {name}.crt -pubkey -noout -out {name}.pub"));
        let verify = format!("dgst {hash} -verify {name}.pub -signature value signed-info");
        bench.good("openssl", &verify);
        bench.sign(
            &format!("{name}-smev.xml"),
            &format!("--smev --key {name}.key --certificate {name}.crt"),
        );
        bench.accepted("enveloped", &[&format!("{name}.xml"), &format!("{name}-smev.xml")]);
    }
}

#[test]
fn keys_come_from_pkcs_12_and_from_a_token_as_well() {
    let bench = Bench::new();
    let key = |name: &str| {
        fs::canonicalize(format!("fixtures/keys/{name}")).unwrap().display().to_string()
    };
    bench.good(
        "openssl",
        &format!(
            "pkcs12 -export -inkey {} -in {} -passout pass:{PIN} -out key.p12",
            key("supplier-1.key"),
            key("supplier-1.crt")
        ),
    );
    bench.sign("pkcs12.xml", "--pkcs12 key.p12 --password-file pin");
    bench.good(
        "softhsm2-util",
        &format!("--init-token --free --label bench --so-pin {PIN} --pin {PIN}"),
    );
    for (label, id, name) in [("rsa", "01", "supplier-1"), ("ec", "02", "supplier-3")] {
        let pkcs8 =
            format!("pkcs8 -topk8 -nocrypt -in {} -out {label}.key", key(&format!("{name}.key")));
        bench.good("openssl", &pkcs8);
        let import =
            format!("--import {label}.key --token bench --label {label} --id {id} --pin {PIN}");
        bench.good("softhsm2-util", &import);
        let token = format!(
            "--pkcs11-module {TOKEN_LIBRARY} --token bench --password-file pin --certificate {}",
            key(&format!("{name}.crt"))
        );
        bench.sign(&format!("token-{label}.xml"), &format!("{token} --token-key {label}"));
        if label == "rsa" {
            let pss = format!("{token} --token-key rsa --algorithm rsa-pss-sha256");
            bench.sign("token-pss.xml", &pss);
        }
        let other = format!("{token} --token-key none");
        let refused = bench.run(
            env!("CARGO_BIN_EXE_kontingent"),
            &format!("signature sign order.xml --profile enveloped {other}"),
        );
        assert!(
            String::from_utf8_lossy(&refused.stderr).contains("no private key is labelled none")
        );
    }
    bench.accepted("enveloped", &["pkcs12.xml", "token-rsa.xml", "token-pss.xml", "token-ec.xml"]);
}

#[test]
fn certificates_of_authorities_on_the_way_go_along_and_a_key_that_verify_refuses_signs_nothing() {
    let bench = Bench::new();
    let random = &mut StdRng::seed_from_u64(31);
    let at = now();
    let validity = Validity { from: at - TimeDelta::days(1), to: at + TimeDelta::days(100) };
    let root = Authority::create("Корень", validity, random).unwrap();
    let middle = root.intermediate("Промежуточный", validity, random).unwrap();
    let pem = |authority: &Authority| authority.issued().certificate_pem().unwrap();
    fs::write(bench.path("trust/root.crt"), pem(&root)).unwrap();
    for (name, key) in [("leaf", KeyKind::P256), ("weak", KeyKind::Rsa(1024))] {
        let request = Request { name, key, validity, usage: Usage::Signature };
        let issued = middle.issue(&request, random).unwrap();
        let chain = [issued.certificate_pem().unwrap(), pem(&middle), pem(&root)].concat();
        fs::write(bench.path(&format!("{name}.pem")), chain).unwrap();
        fs::write(bench.path(&format!("{name}.key")), issued.key_pem().unwrap()).unwrap();
    }
    bench.sign("chain.xml", "--key leaf.key --certificate leaf.pem");
    let export = "pkcs12 -export -inkey leaf.key -in leaf.pem -passout pass:1234 -out leaf.p12";
    bench.good("openssl", export);
    bench.sign("pkcs12.xml", "--pkcs12 leaf.p12 --password-file pin");
    bench.accepted("enveloped", &["chain.xml", "pkcs12.xml"]);
    let signed = fs::read_to_string(bench.path("chain.xml")).unwrap();
    // The root is what whoever verifies has already.
    assert_eq!(signed.matches("<ds:X509Certificate>").count(), 2);
    let weak = "signature sign order.xml --profile enveloped --output weak.xml --key weak.key \
        --certificate weak.pem";
    let refused = bench.run(env!("CARGO_BIN_EXE_kontingent"), weak);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("1024"));
    assert!(!refused.status.success() && !bench.path("weak.xml").exists());
}

#[test]
fn the_octets_of_an_element_are_those_that_its_signature_hashes_in_each_form() {
    let bench = Bench::new();
    bench.sign("signed.xml", &fixture("supplier-3"));
    let transform = |file: &str, options: &str| {
        let command = format!("signature transform {file} --stage c14n {options}");
        bench.good(env!("CARGO_BIN_EXE_kontingent"), &command)
    };
    // Without the signature the signed document is the one that was signed.
    assert_eq!(transform("signed.xml", "--enveloped"), transform("order.xml", ""));
    assert_ne!(transform("signed.xml", ""), transform("order.xml", ""));
    fs::write(bench.path("in.xml"), "<a xmlns:x='urn:x' xml:lang='ru'><b Id='b'><c/></b></a>")
        .unwrap();
    assert_eq!(transform("in.xml", "--id b"), b"<b Id=\"b\"><c></c></b>");
    for method in ["inclusive", "inclusive11"] {
        assert_eq!(
            transform("in.xml", &format!("--id b --method {method}")),
            b"<b xmlns:x=\"urn:x\" Id=\"b\" xml:lang=\"ru\"><c></c></b>"
        );
    }
    assert_eq!(
        transform("in.xml", "--id b --prefixes x"),
        b"<b xmlns:x=\"urn:x\" Id=\"b\"><c></c></b>"
    );
    let none = "signature transform in.xml --id none";
    assert!(!bench.run(env!("CARGO_BIN_EXE_kontingent"), none).status.success());
}
