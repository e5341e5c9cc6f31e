//! Why a signature that was meant well is refused: what people do to signed documents, tried out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::explain::Stage;
use crate::codec::c14n::Method;
use crate::codec::digest::Digest;
use crate::codec::form::Form;
use crate::codec::node::Node;
use crate::codec::shape::Spot;
use crate::codec::xml::Limits;
use crate::codec::xmldsig::{EnvelopedSignature, Look};
use crate::model::refusal::{Refusal, RefusalCode};
use crate::trust::TrustStore;
use crate::trust::suite;

/// Most elements with ids whose hashes are tried, and most bytes read for that.
const MAX_ELEMENTS: usize = 64;
const MAX_BYTES: usize = 16 << 20;

/// The name of a canonicalisation for people.
pub(super) fn method_name(method: &Method) -> &'static str {
    match method {
        Method::Exclusive(prefixes) if prefixes.is_empty() => "exclusive c14n",
        Method::Exclusive(_) => "exclusive c14n с PrefixList",
        Method::Inclusive => "inclusive c14n 1.0",
        Method::Inclusive11 => "inclusive c14n 1.1",
    }
}

/// Whether a refusal is one of reading, before any signature is looked at.
pub(super) fn is_of_reading(code: RefusalCode) -> bool {
    let name = code.as_str();
    name.starts_with("XML_")
        || matches!(code, RefusalCode::LimitBytes | RefusalCode::Base64 | RefusalCode::Mime)
        || matches!(code, RefusalCode::EmptyBody | RefusalCode::Internal)
}

/// Hints for a signature that refers to the wrong element.
pub(super) fn of_structure(refusal: &Refusal, document: &[u8], limits: Limits) -> Vec<String> {
    let aside = refusal.detail.as_deref().is_some_and(|detail| {
        // It does not refer to anything, or carries what it must not.
        detail.contains("URI") || detail.contains("быть не может") || detail.contains("нет ds:Ref")
    });
    let astray = matches!(refusal.code, RefusalCode::SigWrapping | RefusalCode::SigReference);
    if !astray || aside {
        return Vec::new();
    }
    let named = identified(document, limits);
    let list: Vec<String> =
        named.iter().take(8).map(|(path, id)| format!("{} (#{id})", shown(path))).collect();
    let mut hints = vec!["подписан не тот элемент".to_owned()];
    if !list.is_empty() {
        hints.push(format!("Идентификаторы есть у элементов: {}", list.join(", ")));
    }
    hints
}

/// The stages from the signed element to its hash; `judged` is what verification says of them.
pub(super) fn forms(
    spot: &Spot,
    look: &Look,
    document: &[u8],
    limits: Limits,
    judged: Option<Refusal>,
) -> Vec<Stage> {
    let profile = &look.signature.profile;
    let canonical = Form { smev: false, ..profile.form.clone() };
    let mut wanted = vec![("Каноническая форма подписанного", canonical)];
    if profile.form.smev {
        wanted.push(("После преобразования СМЭВ", profile.form.clone()));
    }
    let mut stages = Vec::new();
    let mut last = Vec::new();
    for (title, form) in wanted {
        let mut stage = Stage::new(title);
        match spot.octets(document, look.enveloped, limits, &form) {
            Ok(octets) => {
                stage.lines.push(format!("{} байт", octets.len()));
                last.clone_from(&octets);
                stage.octets = Some(octets);
            }
            Err(refusal) => stage.refusal = Some(refusal),
        }
        stages.push(stage);
        if stages.last().is_some_and(|stage| stage.refusal.is_some()) {
            // What has no form has no hash, and nothing is known of changes.
            return stages;
        }
    }
    let found = Digest::of(profile.digest, &last);
    let mut hash = Stage::new("Хэш");
    hash.lines.push(format!("в подписи: {}", STANDARD.encode(&look.signature.digest)));
    if found == look.signature.digest || judged.is_some() {
        hash.lines.push(format!("найден:    {}", STANDARD.encode(&found)));
    } else {
        hash.lines.push("совпал вместе с инструкциями, которые стоят вне корня".to_owned());
    }
    hash.refusal = judged;
    stages.push(hash);
    stages
}

/// Hints for a hash that differs: other forms, other elements, blanks that were added.
pub(super) fn of_digest(spot: &Spot, look: &Look, document: &[u8], limits: Limits) -> Vec<String> {
    let profile = &look.signature.profile;
    let matches = |spot: &Spot, enveloped, document: &[u8], form: &Form| {
        let octets = spot.octets(document, enveloped, limits, form);
        octets.is_ok_and(|octets| Digest::of(profile.digest, &octets) == look.signature.digest)
    };
    for method in [Method::default(), Method::Inclusive, Method::Inclusive11] {
        for smev in [false, true] {
            let form = Form { method: method.clone(), smev };
            if form != profile.form && matches(spot, look.enveloped, document, &form) {
                return vec![other_form(&profile.form, &form)];
            }
        }
    }
    let most = (MAX_BYTES / document.len().max(1)).min(MAX_ELEMENTS);
    for (path, id) in identified(document, limits).into_iter().take(most) {
        let other = spot.signing(path.clone());
        if path != spot.signed && matches(&other, look.enveloped, document, &profile.form) {
            return vec![format!(
                "подписан не тот элемент: хэш соответствует элементу {} (#{id})",
                shown(&path)
            )];
        }
    }
    let bare = without_blanks(document);
    if matches(spot, look.enveloped, &bare, &profile.form) {
        return vec!["после подписания в документ добавлены отступы или переводы строк".to_owned()];
    }
    vec!["подписанное содержимое изменено после подписания".to_owned()]
}

/// What another form says of how the document was signed.
fn other_form(used: &Form, right: &Form) -> String {
    match (used.smev, right.smev) {
        (false, true) => {
            "нет преобразования СМЭВ: хэш посчитан с ним, а в подписи оно не указано".to_owned()
        }
        (true, false) => {
            "нет преобразования СМЭВ: в подписи оно указано, а хэш посчитан без него".to_owned()
        }
        _ => format!(
            "в подписи указана форма {}, а хэш посчитан по форме {}",
            method_name(&used.method),
            method_name(&right.method)
        ),
    }
}

/// Hints for a value that is wrong though the hash may be right.
pub(super) fn of_value(store: &TrustStore, signature: &EnvelopedSignature) -> Vec<String> {
    let EnvelopedSignature { algorithm, signed_info, value, certificates, .. } = signature;
    let right = |certificate: &[u8], message: &[u8], value: &[u8]| {
        store.value_is_right(*algorithm, certificate, message, value)
    };
    let leaf = certificates.first().map(Vec::as_slice).unwrap_or_default();
    if right(leaf, &without_blanks(signed_info), value) {
        return vec!["изменены пробелы внутри SignedInfo".to_owned()];
    }
    let reversed: Vec<u8> = value.iter().rev().copied().collect();
    if right(leaf, signed_info, &reversed) {
        return vec!["байты значения подписи стоят в обратном порядке".to_owned()];
    }
    let swapped = |value: &[u8]| {
        let (first, second) = value.split_at(value.len() / 2);
        [second, first].concat()
    };
    if right(leaf, signed_info, &swapped(value)) {
        return vec!["половины значения подписи переставлены (r и s)".to_owned()];
    }
    if right(leaf, signed_info, &swapped(&reversed)) {
        return vec![
            "байты внутри каждой половины значения (r и s) стоят в обратном порядке".to_owned(),
        ];
    }
    if suite::plain_ecdsa(*algorithm, value).is_some_and(|plain| right(leaf, signed_info, &plain)) {
        return vec!["значение ECDSA записано в DER: нужны r и s подряд, равной длины".to_owned()];
    }
    if certificates.iter().skip(1).any(|other| right(other, signed_info, value)) {
        return vec!["сертификат подписанта должен стоять в KeyInfo первым".to_owned()];
    }
    vec!["подпись сделана другим ключом, или SignedInfo изменён после подписания".to_owned()]
}

/// Elements with an id of their own: their paths and the ids.
fn identified(document: &[u8], limits: Limits) -> Vec<(Vec<(String, String)>, String)> {
    fn walk(
        node: &Node,
        path: &mut Vec<(String, String)>,
        found: &mut Vec<(Vec<(String, String)>, String)>,
    ) {
        path.push((node.namespace.clone(), node.local.clone()));
        let mut ids =
            node.attributes.iter().filter(|(_, local, _)| local.eq_ignore_ascii_case("id"));
        if let Some((_, _, id)) = ids.next() {
            found.push((path.clone(), id.clone()));
        }
        node.children.iter().for_each(|child| walk(child, path, found));
        path.pop();
    }
    let mut found = Vec::new();
    if let Ok(root) = Node::document(document, limits) {
        walk(&root, &mut Vec::new(), &mut found);
    }
    found
}

/// A path for people.
fn shown(path: &[(String, String)]) -> String {
    path.iter().map(|(_, local)| local.as_str()).collect::<Vec<_>>().join("/")
}

/// The same markup with nothing but blanks between tags left out.
fn without_blanks(markup: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(markup.len());
    let mut at = 0;
    while at < markup.len() {
        kept.push(markup[at]);
        at += 1;
        if kept.last() == Some(&b'>') {
            let blanks = markup[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            if markup.get(at + blanks) == Some(&b'<') {
                at += blanks;
            }
        }
    }
    kept
}
