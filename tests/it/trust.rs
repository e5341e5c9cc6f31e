//! Whom we trust and until when: dates, revocation, stale and foreign lists, other paths, planned
//! successors, warnings before the end.

use std::collections::BTreeMap;
use std::fs;

use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};
use kontingent::codec::xml::Limits;
use kontingent::codec::xmldsig::{Envelope, EnvelopedSignature, verify_bytes};
use kontingent::exchange::admin::Admin;
use kontingent::exchange::expiry::{self, Dated};
use kontingent::model::clock::Clock;
use kontingent::trust::authority::{Authority, Issued, KeyKind, Request, Usage, Validity};
use kontingent::trust::certificate::Facts;
use kontingent::trust::crl::{Crls, Stale};
use kontingent::trust::folder::{Folder, Watched};
use kontingent::trust::{Signer, TrustStore};
use openssl::asn1::{Asn1Object, Asn1OctetString, Asn1Time};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::x509::extension::AuthorityKeyIdentifier;
use openssl::x509::{X509, X509CrlBuilder, X509Extension, X509RevokedBuilder};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::stack::{Flavour, Stack, now};

fn day(year: i32, month: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(year, month, 1, 0, 0, 0).unwrap()
}

fn validity(from: i32, to: i32) -> Validity {
    Validity { from: day(from, 1), to: day(to, 1) }
}

fn leaf(authority: &Authority, name: &str, random: &mut StdRng) -> Issued {
    let validity = validity(2026, 2028);
    let request = Request { name, key: KeyKind::P256, validity, usage: Usage::Signature };
    authority.issue(&request, random).unwrap()
}

fn signed(issued: &Issued) -> EnvelopedSignature {
    let key = issued.key_pem().unwrap();
    let signer = Signer::from_pem(&key, &issued.certificate_pem().unwrap()).unwrap();
    let document = signer.sign_enveloped(b"<a Id=\"x\"> </a>").unwrap();
    verify_bytes(&document, Envelope::package(Limits::default())).unwrap()
}

fn der(authority: &Authority) -> Vec<u8> {
    authority.issued().certificate_der().unwrap()
}

/// A list of this authority, signed by the key of `signer`, that revokes these certificates.
fn crl(
    issuer: &Authority,
    signer: &Authority,
    revoked: &[&Issued],
    next: DateTime<Utc>,
) -> Vec<u8> {
    let time = |at: DateTime<Utc>| Asn1Time::from_unix(at.timestamp()).unwrap();
    let certificate = X509::from_der(&der(issuer)).unwrap();
    let mut builder = X509CrlBuilder::new().unwrap();
    builder.set_issuer_name(certificate.subject_name()).unwrap();
    builder.set_last_update(&time(day(2026, 6))).unwrap();
    builder.set_next_update(&time(next)).unwrap();
    for issued in revoked {
        let certificate = X509::from_der(&issued.certificate_der().unwrap()).unwrap();
        let mut entry = X509RevokedBuilder::new().unwrap();
        entry.set_serial_number(certificate.serial_number()).unwrap();
        entry.set_revocation_date(&time(day(2026, 6))).unwrap();
        builder.add_revoked(entry.build()).unwrap();
    }
    let maker = X509::builder().unwrap();
    let context = maker.x509v3_context(Some(&certificate), None);
    let identifier = AuthorityKeyIdentifier::new().keyid(true).build(&context).unwrap();
    builder.append_extension(identifier).unwrap();
    let number = Asn1Object::from_str("2.5.29.20").unwrap();
    let one = Asn1OctetString::new_from_bytes(&[2, 1, 1]).unwrap();
    builder.append_extension(X509Extension::new_from_der(&number, false, &one).unwrap()).unwrap();
    let key = PKey::private_key_from_pem(&signer.issued().key_pem().unwrap()).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    builder.build().unwrap().to_pem().unwrap()
}

fn word(store: &TrustStore, signature: &EnvelopedSignature, at: DateTime<Utc>) -> &'static str {
    store.verify(signature, at).map_or_else(|refusal| refusal.code.as_str(), |_| "OK")
}

#[test]
fn revocation_and_dates_decide_by_lists_that_the_issuer_signed() {
    let random = &mut StdRng::seed_from_u64(7);
    let root = Authority::create("Root", validity(2025, 2035), random).unwrap();
    let other = Authority::create("Root", validity(2025, 2035), random).unwrap();
    let (good, bad) = (leaf(&root, "Хороший", random), leaf(&root, "Плохой", random));
    let (good_signature, bad_signature) = (signed(&good), signed(&bad));
    let fresh = day(2027, 6);
    let cases: [(&str, Option<Vec<u8>>, Stale, DateTime<Utc>, &str, &str); 8] = [
        ("no list", None, Stale::Refuse, day(2027, 1), "OK", "OK"),
        (
            "fresh",
            Some(crl(&root, &root, &[&bad], fresh)),
            Stale::Refuse,
            day(2027, 1),
            "OK",
            "CERT_REVOKED",
        ),
        (
            "stale",
            Some(crl(&root, &root, &[&bad], fresh)),
            Stale::Accept,
            day(2027, 7),
            "OK",
            "CERT_REVOKED",
        ),
        (
            "stale, refused",
            Some(crl(&root, &root, &[&bad], fresh)),
            Stale::Refuse,
            day(2027, 7),
            "CERT_STATUS",
            "CERT_REVOKED",
        ),
        (
            "by another key",
            Some(crl(&root, &other, &[&bad], fresh)),
            Stale::Refuse,
            day(2027, 7),
            "OK",
            "OK",
        ),
        ("of nobody", Some(crl(&root, &root, &[], fresh)), Stale::Accept, day(2027, 1), "OK", "OK"),
        ("before its time", None, Stale::Accept, day(2025, 12), "CERT_EXPIRED", "CERT_EXPIRED"),
        ("after its time", None, Stale::Accept, day(2028, 2), "CERT_EXPIRED", "CERT_EXPIRED"),
    ];
    for (name, list, stale, at, expected, expected_bad) in cases {
        let mut crls = Crls::new(stale);
        if let Some(list) = list {
            crls.add(&list).unwrap();
        }
        let store = TrustStore::new(&[der(&root)]).unwrap().with_crls(crls);
        // Twice: the second answer comes from the cache.
        for _ in 0..2 {
            assert_eq!(word(&store, &good_signature, at), expected, "{name}");
            assert_eq!(word(&store, &bad_signature, at), expected_bad, "{name}");
        }
    }
}

#[test]
fn a_revoked_authority_below_the_root_takes_its_signers_with_it_and_a_second_path_still_leads() {
    let random = &mut StdRng::seed_from_u64(8);
    let root = Authority::create("Root", validity(2025, 2035), random).unwrap();
    let middle = root.intermediate("Middle", validity(2025, 2035), random).unwrap();
    let issued = leaf(&middle, "Школа", random);
    let mut signature = signed(&issued);
    signature.certificates.push(der(&middle));
    let mut crls = Crls::default();
    crls.add(&crl(&root, &root, &[middle.issued()], day(2027, 6))).unwrap();
    let store = TrustStore::new(&[der(&root)]).unwrap().with_crls(crls);
    assert_eq!(word(&store, &signature, day(2027, 1)), "CERT_REVOKED");
    // The authority below is an anchor of its own: its path needs no root.
    let anchored = TrustStore::new(&[der(&middle)]).unwrap();
    assert_eq!(word(&anchored, &signature, day(2027, 1)), "OK");
    let both = TrustStore::new(&[der(&root), der(&middle)]).unwrap();
    assert_eq!(word(&both, &signature, day(2027, 1)), "OK");
}

#[test]
fn a_folder_of_trust_gives_authorities_and_lists_and_trusts_no_signer_in_it() {
    let random = &mut StdRng::seed_from_u64(9);
    let root = Authority::create("Root", validity(2025, 2035), random).unwrap();
    let issued = leaf(&root, "Школа", random);
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("leaf.pem", &issued.certificate_pem().unwrap());
    write("notes.txt", b"ours");
    let watched = Watched { path: folder.path().to_owned(), stale: Stale::Accept };
    let judge = |found: Folder| {
        let store = TrustStore::new(&found.anchors).unwrap().with_crls(found.crls);
        word(&store, &signed(&issued), day(2027, 1))
    };
    let empty = watched.state().unwrap();
    let found = watched.read().unwrap();
    assert_eq!((found.anchors.len(), found.ignored.len()), (0, 2));
    assert_eq!(judge(found), "CERT_UNTRUSTED");
    write("root.der", &der(&root));
    assert_ne!(watched.state().unwrap(), empty);
    assert_eq!(judge(watched.read().unwrap()), "OK");
    write("root.crl", &crl(&root, &root, &[&issued], day(2027, 6)));
    assert_eq!(judge(watched.read().unwrap()), "CERT_REVOKED");
    assert!(Folder::read(&folder.path().join("none"), Stale::Accept).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_threshold_before_a_certificate_ends_warns_once() {
    let stack = Stack::start(Flavour::Embedded).await;
    let supplier = &stack.suppliers[0];
    let mut warned = BTreeMap::new();
    let owner = supplier.mnemonic.clone();
    let end = X509::from_der(&supplier.issued.certificate_der().unwrap()).unwrap();
    let since = Asn1Time::from_unix(0).unwrap().diff(end.not_after()).unwrap();
    let end = Utc.timestamp_opt(i64::from(since.days) * 86_400 + i64::from(since.secs), 0).unwrap();
    let mut told = Vec::new();
    for days in [100, 61, 60, 59, 31, 30, 14, 8, 7, 2, 1, 0, -1, -5] {
        let now = end - TimeDelta::days(days);
        let warnings = expiry::look(&stack.exchange, now, &mut warned).await;
        if warnings.iter().any(|warning| warning.owner == owner) {
            told.push(days);
        }
    }
    assert_eq!(told, [60, 30, 14, 7, 1, 0]);
    stack.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_successor_that_will_be_accepted_quiets_the_warning_of_a_certificate_that_ends() {
    let stack = Stack::start(Flavour::Embedded).await;
    let random = &mut StdRng::seed_from_u64(12);
    let supplier = &stack.suppliers[2];
    let (owner, end) = (supplier.mnemonic.as_str(), now() + TimeDelta::days(120));
    let admin = Admin::new(stack.exchange.db().clone(), Clock::System, "test".to_owned());
    let stranger = Authority::create("Stranger", validity(2025, 2045), random).unwrap();
    let mut issue = |authority: &Authority, name: &str, to| {
        let validity = Validity { from: now() - TimeDelta::hours(1), to };
        let request = Request { name, key: KeyKind::P256, validity, usage: Usage::Signature };
        let issued = authority.issue(&request, random).unwrap();
        Facts::read(&issued.certificate_der().unwrap()).unwrap()
    };
    admin.withdraw_certificate(&supplier.certificate.sha256).await.unwrap();
    admin.add_certificate(owner, &issue(&stack.authority, "Первый", end)).await.unwrap();
    let now = end - TimeDelta::days(20);
    let mut warned = BTreeMap::new();
    let told = async |warned: &mut BTreeMap<String, i64>, now| -> Vec<bool> {
        let warnings = expiry::look(&stack.exchange, now, warned).await;
        let ours = warnings.iter().filter(|warning| warning.owner == owner);
        ours.map(|warning| warning.succeeded).collect()
    };
    // Nobody whom we trust issued it: it would be refused, however long it lasts.
    let useless = issue(&stranger, "Чужой", end + TimeDelta::days(900));
    admin.add_certificate(owner, &useless).await.unwrap();
    assert_eq!(told(&mut warned, now).await, [false]);
    let good = issue(&stack.authority, "Преемник", end + TimeDelta::days(100));
    admin.add_certificate(owner, &good).await.unwrap();
    assert_eq!(told(&mut warned, now).await, [true]);
    assert!(told(&mut warned, end - TimeDelta::hours(30)).await.is_empty());
    admin.withdraw_certificate(&good.sha256).await.unwrap();
    assert_eq!(told(&mut warned, end - TimeDelta::hours(30)).await, [false]);
    // Files that the configuration names are watched with all others.
    stack.exchange.watch(Dated::of("tls", owner, &useless));
    assert_eq!(told(&mut warned, useless.not_after - TimeDelta::days(3)).await.len(), 3);
    stack.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_could_never_sign_is_not_registered() {
    let stack = Stack::start(Flavour::Embedded).await;
    let random = &mut StdRng::seed_from_u64(13);
    let admin = Admin::new(stack.exchange.db().clone(), Clock::System, "test".to_owned());
    let owner = stack.suppliers[0].mnemonic.as_str();
    for (key, usage, why) in [
        (KeyKind::Rsa(1024), Usage::Signature, "1024"),
        (KeyKind::P256, Usage::Encipherment, "keyUsage"),
    ] {
        let validity = validity(2026, 2028);
        let request = Request { name: "Негодный", key, validity, usage };
        let issued = stack.authority.issue(&request, random).unwrap();
        let facts = Facts::read(&issued.certificate_der().unwrap()).unwrap();
        let refused = admin.add_certificate(owner, &facts).await.unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
    stack.end().await;
}
