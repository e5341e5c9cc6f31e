//! Why a signature that was meant well is refused: what people do to signed documents, tried out.

use crate::codec::c14n::Method;
use crate::codec::digest::Digest;
use crate::codec::form::Form;
use crate::codec::node::Node;
use crate::codec::shape::Spot;
use crate::codec::xml::Limits;
use crate::codec::xmldsig::{EnvelopedSignature, Look};
use crate::model::refusal::{Refusal, RefusalCode};
use crate::trust::TrustStore;

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

/// Hints that follow from the refusal alone.
pub(super) fn of_refusal(refusal: &Refusal) -> Vec<String> {
    let hint = match refusal.code {
        RefusalCode::SigAlgorithm => {
            "Алгоритм не разрешён, ключ другого вида, или на этой машине нет модуля ГОСТ для OpenSSL"
        }
        RefusalCode::CertUntrusted => {
            "Издателя сертификата нет в папке доверия; промежуточные сертификаты приложите к подписи"
        }
        RefusalCode::CertExpired => {
            "Сравните срок сертификата с моментом проверки: прошлое проверяют с --at"
        }
        RefusalCode::CertConstraint => {
            "Назначение сертификата не позволяет подписывать документы, или это сертификат центра"
        }
        RefusalCode::SigMissing => "Подписи нет на том месте, где она должна быть в этом профиле",
        RefusalCode::OperationUnknown => "Профиль не соответствует сообщению",
        RefusalCode::XmlEncoding => {
            "Документ не в той кодировке, которая объявлена, или кодировка не поддерживается"
        }
        _ => return Vec::new(),
    };
    vec![hint.to_owned()]
}

/// Hints for a signature whose structure or reference is refused.
pub(super) fn of_structure(refusal: &Refusal, document: &[u8], limits: Limits) -> Vec<String> {
    let mut hints = of_refusal(refusal);
    match refusal.code {
        RefusalCode::SigWrapping | RefusalCode::SigReference | RefusalCode::SigCoverage => {
            hints.push("подписан не тот элемент".to_owned());
            let named = identified(document, limits);
            let list: Vec<String> =
                named.iter().take(8).map(|(path, id)| format!("{} (#{id})", shown(path))).collect();
            if !list.is_empty() {
                hints.push(format!("Идентификаторы есть у элементов: {}", list.join(", ")));
            }
        }
        RefusalCode::SigDuplicateId => {
            hints
                .push("Один и тот же Id стоит у двух элементов: не ясно, что подписано".to_owned());
        }
        _ => {}
    }
    hints
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
    if right(leaf, signed_info, &swapped(value)) || right(leaf, signed_info, &swapped(&reversed)) {
        return vec!["половины значения подписи переставлены (r и s)".to_owned()];
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

fn shown(path: &[(String, String)]) -> String {
    super::explain::shown(path)
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
