//! Every stage of checking a signature, and in plain words what is wrong.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Profile, Source, Workshop, diagnose, whole};
use crate::codec::digest::Digest;
use crate::codec::form::Form;
use crate::codec::node::Node;
use crate::codec::shape::{Plan, Spot};
use crate::codec::xml::Limits;
use crate::codec::xmldsig::{Look, digest_uri};
use crate::model::refusal::Refusal;
use crate::trust::certificate::Facts;
use crate::trust::store::signer_of;

/// One stage.
#[derive(Clone, Debug, Default)]
pub struct Stage {
    /// What was done.
    pub title: String,
    /// Lines of what was found.
    pub lines: Vec<String>,
    /// The bytes that it made, to be looked at.
    pub octets: Option<Vec<u8>>,
    /// What is wrong; nothing when it passed.
    pub refusal: Option<Refusal>,
}

/// What was seen of a document.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// Stages in their order, of all signatures.
    pub stages: Vec<Stage>,
    /// The verdict, the same as that of [`Workshop::verify`].
    pub refusal: Option<Refusal>,
    /// What probably happened, in Russian.
    pub hints: Vec<String>,
}

impl Workshop {
    /// Judges a document, which is read whole, and tells each stage.
    pub fn explain(&self, profile: &Profile, source: Source<'_>) -> Explanation {
        let refusal = self.verify(profile, source).err();
        let mut told = Explanation { stages: Vec::new(), refusal, hints: Vec::new() };
        if let Err(refusal) = self.tell(profile, source, &mut told) {
            told.hints.extend(diagnose::of_refusal(&refusal));
            let title = "Чтение документа".to_owned();
            told.stages.push(Stage { title, refusal: Some(refusal), ..Stage::default() });
        }
        told
    }

    fn tell(
        &self,
        profile: &Profile,
        source: Source<'_>,
        told: &mut Explanation,
    ) -> Result<(), Refusal> {
        let document = whole(source.open)?;
        let limits = profile.limits();
        let root = Node::document(&document, Limits { comments: true, ..limits })?;
        told.stages.push(Stage {
            title: "Чтение документа".to_owned(),
            lines: vec![format!(
                "{} байт, корень {{{}}}{}",
                document.len(),
                root.namespace,
                root.local
            )],
            ..Stage::default()
        });
        let plan = match profile {
            Profile::Enveloped | Profile::Receipt => {
                let spot = Spot::of_root(&root.namespace, &root.local);
                Plan { spots: vec![spot], ..Plan::default() }
            }
            _ => self.plan(profile, &document)?,
        };
        for spot in &plan.spots {
            self.tell_signature(spot, &document, limits, told);
        }
        Ok(())
    }

    /// Adds the stages of one signature, as far as they go.
    fn tell_signature(&self, spot: &Spot, document: &[u8], limits: Limits, told: &mut Explanation) {
        let title = format!("{}: структура и ссылка", spot.role.name());
        let mut structure = Stage { title, ..Stage::default() };
        structure.lines.push(format!("должен быть подписан {}", shown(&spot.signed)));
        let look = match spot.look(document, limits) {
            Ok(look) => look,
            Err(refusal) => {
                told.hints.extend(diagnose::of_structure(&refusal, document, limits));
                structure.refusal = Some(refusal);
                told.stages.push(structure);
                return;
            }
        };
        structure.lines.extend(described(&look));
        told.stages.push(structure);
        let before = told.stages.len();
        told.stages.extend(forms(spot, &look, document, limits));
        if told.stages[before..].iter().any(|stage| stage.refusal.is_some()) {
            told.hints.extend(diagnose::of_digest(spot, &look, document, limits));
        }
        told.stages.push(Stage {
            title: "SignedInfo в канонической форме".to_owned(),
            lines: vec![format!("{} байт", look.signature.signed_info.len())],
            octets: Some(look.signature.signed_info.clone()),
            refusal: None,
        });
        self.tell_certificate(&look, told);
    }

    /// Adds the stages of certificate and value.
    fn tell_certificate(&self, look: &Look, told: &mut Explanation) {
        let mut certificates = Stage {
            title: "Сертификат и путь доверия".to_owned(),
            ..Stage::default()
        };
        for facts in look.signature.certificates.iter().filter_map(|der| Facts::read(der).ok()) {
            let day = |time: chrono::DateTime<chrono::Utc>| time.format("%d.%m.%Y").to_string();
            let dates = format!("с {} по {}", day(facts.not_before), day(facts.not_after));
            certificates.lines.push(format!("{}; действует {dates}", facts.subject));
        }
        let leaf = signer_of(&look.signature.certificates).cloned().unwrap_or_default();
        certificates.refusal = self.store.judge(&leaf, &look.signature.certificates, self.at).err();
        if let Some(refusal) = &certificates.refusal {
            told.hints.extend(diagnose::of_refusal(refusal));
        }
        told.stages.push(certificates);
        let signature = &look.signature;
        let right = self.store.value_is_right(
            signature.algorithm,
            &leaf,
            &signature.signed_info,
            &signature.value,
        );
        let mut value =
            Stage { title: "Значение подписи".to_owned(), ..Stage::default() };
        value.lines.push(format!("{} байт", signature.value.len()));
        if !right {
            value.refusal = Some(crate::model::refusal::RefusalCode::SigValue.into());
            told.hints.extend(diagnose::of_value(&self.store, signature));
        }
        told.stages.push(value);
    }
}

/// What a signature says of itself.
fn described(look: &Look) -> Vec<String> {
    let form = &look.signature.profile.form;
    let mut lines = vec![
        format!("ссылка: {}", if look.uri.is_empty() { "весь документ" } else { &look.uri }),
        format!("алгоритм подписи: {}", look.signature.algorithm.uri()),
        format!("алгоритм хэша: {}", digest_uri(look.signature.profile.digest)),
        format!("каноническая форма: {}", diagnose::method_name(&form.method)),
    ];
    lines.push(format!("преобразование СМЭВ: {}", if form.smev { "да" } else { "нет" }));
    if look.enveloped {
        lines.push("подпись исключена из подписанного (enveloped-signature)".to_owned());
    }
    lines
}

/// The stages from the signed element to its hash.
fn forms(spot: &Spot, look: &Look, document: &[u8], limits: Limits) -> Vec<Stage> {
    let profile = &look.signature.profile;
    let canonical = Form { smev: false, ..profile.form.clone() };
    let mut wanted = vec![("Каноническая форма подписанного", canonical)];
    if profile.form.smev {
        wanted.push(("После преобразования СМЭВ", profile.form.clone()));
    }
    let mut stages = Vec::new();
    let mut last = Vec::new();
    for (title, form) in wanted {
        let mut stage = Stage { title: title.to_owned(), ..Stage::default() };
        match spot.octets(document, look.enveloped, limits, &form) {
            Ok(octets) => {
                stage.lines.push(format!("{} байт", octets.len()));
                last.clone_from(&octets);
                stage.octets = Some(octets);
            }
            Err(refusal) => stage.refusal = Some(refusal),
        }
        stages.push(stage);
    }
    let found = Digest::of(profile.digest, &last);
    let mut hash = Stage { title: "Хэш".to_owned(), ..Stage::default() };
    hash.lines.push(format!("в подписи: {}", STANDARD.encode(&look.signature.digest)));
    hash.lines.push(format!("найден:    {}", STANDARD.encode(&found)));
    if found != look.signature.digest {
        hash.refusal = Some(crate::model::refusal::RefusalCode::SigDigest.into());
    }
    stages.push(hash);
    stages
}

/// A path for people.
pub(super) fn shown(path: &[(String, String)]) -> String {
    path.iter().map(|(_, local)| local.as_str()).collect::<Vec<_>>().join("/")
}
