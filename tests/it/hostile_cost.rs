//! What hostile documents and certificates cost, and whom they may seem to be.

use std::fs;
use std::process::Command;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use kontingent::codec::c14n::Method;
use kontingent::codec::form::{Form, write_form};
use kontingent::codec::shape;
use kontingent::codec::xml::Limits;
use kontingent::codec::xmldsig::{Envelope, EnvelopedSignature, verify_bytes};
use kontingent::model::clock::Clock;
use kontingent::model::refusal::RefusalCode;
use kontingent::trust::authority::{Authority, Issued, KeyKind, Request, Usage, Validity};
use kontingent::trust::certificate::Facts;
use kontingent::trust::{Signer, TrustStore};
use openssl::asn1::{Asn1Object, Asn1OctetString, Asn1Time};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::x509::{X509, X509Extension};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rustix::time::{ClockId, clock_gettime};

/// Processor time of this thread for some work.
fn cost(work: impl FnOnce()) -> Duration {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
    };
    let before = now();
    work();
    now().saturating_sub(before)
}

fn canonical(document: &str, form: &Form) {
    let _ = write_form(document.as_bytes(), shape::limits(), form, Vec::new());
}

#[test]
fn what_a_document_costs_grows_with_its_length_not_with_its_square() {
    let smev = Form { smev: true, ..Form::default() };
    let inclusive = Form { method: Method::Inclusive, smev: false };
    let prefixes: Vec<String> = (0..100).map(|number| format!("p{number}")).collect();
    let listed = Form { method: Method::Exclusive(prefixes.clone()), smev: false };
    let scope = (0..4)
        .map(|step| {
            let declared = (step * 25..step * 25 + 25)
                .map(|number| format!(" xmlns:p{number}='urn:{number}'"))
                .collect::<Vec<_>>()
                .concat();
            format!("<x:e xmlns:x='urn:x'{declared}>")
        })
        .collect::<Vec<_>>()
        .concat();
    let soap = "http://schemas.xmlsoap.org/soap/envelope/";
    let wsse = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
    let cases: [(&str, usize, &dyn Fn(usize)); 4] = [
        ("blank references through the transform of SMEV", 20_000, &|count| {
            canonical(&format!("<a xmlns='urn:a'>{}</a>", "&#32; ".repeat(count)), &smev);
        }),
        ("many namespaces in scope, inclusive", 10_000, &|count| {
            let inside = "<x:f/>".repeat(count);
            canonical(&format!("{scope}{inside}{}", "</x:e>".repeat(4)), &inclusive);
        }),
        ("a long list of prefixes", 10_000, &|count| {
            let inside = "<x:f/>".repeat(count);
            canonical(&format!("{scope}{inside}{}", "</x:e>".repeat(4)), &listed);
        }),
        ("many security headers", 4_000, &|count| {
            let headers = (0..count)
                .map(|number| format!("<w:Security xmlns:w='{wsse}' s:actor='urn:{number}'/>"))
                .collect::<Vec<_>>()
                .concat();
            let message = format!(
                "<s:Envelope xmlns:s='{soap}'><s:Header>{headers}</s:Header><s:Body><a/></s:Body></s:Envelope>"
            );
            let _ = shape::smev2(message.as_bytes(), Clock::System.now());
        }),
    ];
    for (name, count, work) in cases {
        work(100);
        let (once, more) = (cost(|| work(count)), cost(|| work(6 * count)));
        let grown = more.as_secs_f64() / once.as_secs_f64().max(1e-4);
        assert!(grown < 18.0, "{name}: six times as much cost {grown:.1} times as much");
    }
}

#[test]
fn a_message_of_too_many_elements_is_refused_before_it_fills_the_memory() {
    let message = format!("<a>{}</a>", "<b/>".repeat(200_000));
    let refused = shape::smev3(message.as_bytes()).unwrap_err();
    assert_eq!(refused.code, RefusalCode::XmlElements);
}

/// Runs its arguments and tells the lines they wrote, their greatest resident memory in KiB and their processor
/// time in seconds.
const MEASURE: &str = "import resource, subprocess, sys
told = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE).stdout
spent = resource.getrusage(resource.RUSAGE_CHILDREN)
print(told.count(b'\\n'), spent.ru_maxrss, spent.ru_utime + spent.ru_stime)";

#[test]
fn all_hostile_fixtures_together_take_less_than_a_second_and_64_megabytes() {
    let folder = fs::read_dir("fixtures/xmldsig/hostile").unwrap();
    let files: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() > 50, "{}", files.len());
    let mut measure = Command::new("python3");
    measure.args(["-c", MEASURE, env!("CARGO_BIN_EXE_kontingent"), "signature", "verify"]);
    measure.args(["--profile", "enveloped", "--trust", "fixtures/xmldsig/trust"]).args(&files);
    let told = String::from_utf8(measure.output().unwrap().stdout).unwrap();
    let figures: Vec<f64> = told.split_whitespace().map(|word| word.parse().unwrap()).collect();
    let [verdicts, memory, seconds] = figures[..] else { panic!("{told}") };
    assert_eq!(verdicts as usize, files.len());
    assert!(memory < 65_536.0 && seconds < 1.0, "{told}");
}

fn validity(now: DateTime<Utc>) -> Validity {
    Validity { from: now - TimeDelta::days(1), to: now + TimeDelta::days(100) }
}

fn issue(authority: &Authority, name: &str, random: &mut StdRng) -> Issued {
    let validity = validity(Clock::System.now());
    let request = Request { name, key: KeyKind::P256, validity, usage: Usage::Signature };
    authority.issue(&request, random).unwrap()
}

/// A signature of this key with this certificate in it.
fn signed(issued: &Issued, certificate: Vec<u8>) -> EnvelopedSignature {
    let key = issued.key_pem().unwrap();
    let signer = Signer::from_pem(&key, &issued.certificate_pem().unwrap()).unwrap();
    let document = signer.sign_enveloped(b"<a Id=\"x\"/>").unwrap();
    let mut signature = verify_bytes(&document, Envelope::package(Limits::default())).unwrap();
    signature.certificates = vec![certificate];
    signature
}

/// The same certificate with an extension that holds these bytes, issued anew.
fn with_extension(authority: &Authority, issued: &Issued, bytes: &[u8]) -> Vec<u8> {
    let old = X509::from_der(&issued.certificate_der().unwrap()).unwrap();
    let issuer = X509::from_der(&authority.issued().certificate_der().unwrap()).unwrap();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_serial_number(old.serial_number()).unwrap();
    builder.set_subject_name(old.subject_name()).unwrap();
    builder.set_issuer_name(issuer.subject_name()).unwrap();
    builder.set_pubkey(&old.public_key().unwrap()).unwrap();
    let now = Clock::System.now().timestamp();
    builder.set_not_before(&Asn1Time::from_unix(now - 86_400).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::from_unix(now + 86_400).unwrap()).unwrap();
    let comment = Asn1Object::from_str("1.3.6.1.4.1.99999.1").unwrap();
    let content = Asn1OctetString::new_from_bytes(bytes).unwrap();
    let extension = X509Extension::new_from_der(&comment, false, &content).unwrap();
    builder.append_extension(extension).unwrap();
    let key = PKey::private_key_from_pem(&authority.issued().key_pem().unwrap()).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    builder.build().to_der().unwrap()
}

#[test]
fn a_certificate_is_its_der_whatever_else_stands_in_it_or_behind_it() {
    let random = &mut StdRng::seed_from_u64(11);
    let now = Clock::System.now();
    let authority = Authority::create("Root", validity(now), random).unwrap();
    let (victim, mallory) =
        (issue(&authority, "Жертва", random), issue(&authority, "Мэллори", random));
    let anchor = authority.issued().certificate_der().unwrap();
    let store = TrustStore::new(&[anchor]).unwrap();
    let own = mallory.certificate_der().unwrap();
    let pem = victim.certificate_pem().unwrap();
    let behind = [own.as_slice(), pem.as_slice()].concat();
    let refused = store.verify(&signed(&mallory, behind), now).unwrap_err();
    assert_eq!(refused.code, RefusalCode::SigKeyInfo);
    let inside = with_extension(&authority, &mallory, &pem);
    let facts = store.verify(&signed(&mallory, inside.clone()), now).unwrap().facts.clone();
    assert_eq!(facts.subject, "CN=Мэллори");
    assert_eq!(facts, Facts::of_der(&inside).unwrap());
    assert_eq!(Facts::read(&inside).unwrap(), facts, "nor does an administrator's file");
    assert_eq!(Facts::read(&pem).unwrap().subject, "CN=Жертва");
}

#[test]
fn a_chain_that_somebody_else_sent_changes_nothing_for_the_owner() {
    let random = &mut StdRng::seed_from_u64(12);
    let now = Clock::System.now();
    let root = Authority::create("Root", validity(now), random).unwrap();
    let middle = root.intermediate("Middle", validity(now), random).unwrap();
    let issued = issue(&middle, "Школа", random);
    let store = TrustStore::new(&[root.issued().certificate_der().unwrap()]).unwrap();
    let chain = middle.issued().certificate_der().unwrap();
    let mut bare = signed(&issued, issued.certificate_der().unwrap());
    let missing = |signature: &EnvelopedSignature| store.verify(signature, now).unwrap_err().code;
    assert_eq!(missing(&bare), RefusalCode::CertUntrusted);
    bare.certificates.push(chain);
    store.verify(&bare, now).unwrap();
    bare.certificates.pop();
    assert_eq!(missing(&bare), RefusalCode::CertUntrusted, "the same whatever came before");
}
