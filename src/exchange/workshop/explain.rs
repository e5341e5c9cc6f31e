//! Every stage of checking a signature, and in plain words what is wrong.

use super::{Profile, Source, Workshop, diagnose, envelope, place, root_name, whole};
use crate::codec::shape::{Plan, Spot};
use crate::codec::xml::Limits;
use crate::codec::xmldsig::{EnvelopedSignature, Look, digest_uri};
use crate::model::refusal::{Refusal, RefusalCode};
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
    /// Stages in their order, of all signatures. When the document is refused, one of them is why.
    pub stages: Vec<Stage>,
    /// The verdict, the same as that of [`Workshop::judge`].
    pub refusal: Option<Refusal>,
    /// What probably happened and what to do, in Russian.
    pub hints: Vec<String>,
}

impl Stage {
    pub(super) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }
}

impl Explanation {
    /// Adds a hint, once.
    fn hint(&mut self, hint: String) {
        if !self.hints.contains(&hint) {
            self.hints.push(hint);
        }
    }

    /// Sees to it that the verdict is that of a stage, and that it comes with advice.
    fn settle(&mut self, profile: &Profile) {
        let Some(refusal) = self.refusal.clone() else { return };
        let code = refusal.code;
        let told = self.stages.iter().filter_map(|stage| stage.refusal.as_ref());
        if !told.clone().any(|stage| stage.code == code) {
            self.stages
                .push(Stage {
                    refusal: Some(refusal.clone()), ..Stage::new("Проверка в целом")
                });
        }
        if let Some(advice) = profile.advice(&refusal) {
            self.hint(advice);
        }
        // Where nothing could be tried out, what the code means is all that is known.
        let plain = match code {
            RefusalCode::SigDigest => "подписанное содержимое изменено после подписания",
            RefusalCode::SigValue => "подпись сделана другим ключом, или SignedInfo изменён",
            _ => return,
        };
        if self.hints.is_empty() {
            self.hint(plain.to_owned());
        }
    }
}

impl Workshop {
    /// Judges a document and tells each stage, whose bytes are shown of documents that may be read whole.
    pub fn explain(&self, profile: &Profile, source: Source<'_>) -> Explanation {
        let refusal = self.judge(profile, source).refusal;
        let mut told = Explanation { stages: Vec::new(), refusal, hints: Vec::new() };
        match whole(source.open) {
            Ok(document) => self.tell(profile, source, &document, &mut told),
            Err(refusal) if profile.is_whole() && refusal.code == RefusalCode::LimitBytes => {
                self.tell_of_large(profile, source, &mut told);
            }
            Err(refusal) => {
                told.stages
                    .push(Stage {
                        refusal: Some(refusal), ..Stage::new("Чтение документа")
                    });
            }
        }
        told.settle(profile);
        told
    }

    fn tell(&self, profile: &Profile, source: Source<'_>, document: &[u8], told: &mut Explanation) {
        let limits = if profile.is_whole() { envelope().limits } else { profile.limits() };
        let mut reading = Stage::new("Чтение документа");
        let root = root_name(document, Limits { comments: true, ..limits });
        let unread = |refusal: &&Refusal| diagnose::is_of_reading(refusal.code);
        reading.refusal = told.refusal.as_ref().filter(unread).cloned();
        let (namespace, local) = match root {
            Ok(root) => root,
            Err(refusal) => {
                reading.refusal.get_or_insert(refusal);
                return told.stages.push(reading);
            }
        };
        reading.lines.push(format!("{} байт, корень {{{namespace}}}{local}", document.len()));
        let broken = reading.refusal.is_some();
        told.stages.push(reading);
        if broken {
            return;
        }
        let plan = if profile.is_whole() {
            Ok(Plan { spots: vec![Spot::of_root(&namespace, &local)], ..Plan::default() })
        } else {
            self.plan(profile, document)
        };
        let plan = match plan {
            Ok(plan) => plan,
            Err(refusal) => {
                let stage = Stage::new("Состав сообщения: какие подписи в нём должны быть");
                return told.stages.push(Stage { refusal: Some(refusal), ..stage });
            }
        };
        for spot in &plan.spots {
            let judged = if profile.is_whole() {
                self.enveloped_digest(profile, source)
            } else {
                spot.verify(document, limits)
            };
            self.tell_signature(profile, spot, judged.err(), (document, limits), told);
        }
        self.tell_rest(plan, told);
    }

    /// Adds the stages of files, and what the message itself does wrong.
    fn tell_rest(&self, plan: Plan, told: &mut Explanation) {
        for attachment in &plan.attachments {
            let mut stage = Stage::new(format!("Вложение {}: подпись PKCS#7", attachment.id));
            stage.lines.push(format!("{} байт", attachment.content.len()));
            match self.file(attachment) {
                Ok(file) => stage.lines.push(file.signer.facts.subject.clone()),
                Err(refusal) => stage.refusal = Some(refusal),
            }
            told.stages.push(stage);
        }
        if let Some(flaw) = plan.flaw {
            told.stages.push(Stage {
                refusal: Some(flaw), ..Stage::new("Содержание сообщения")
            });
        }
    }

    /// Adds the stages of one signature, as far as they go; `judged` is what is wrong with its structure
    /// or its hash.
    fn tell_signature(
        &self,
        profile: &Profile,
        spot: &Spot,
        judged: Option<Refusal>,
        (document, limits): (&[u8], Limits),
        told: &mut Explanation,
    ) {
        let whose = if profile.is_whole() { "Подпись" } else { spot.role.name() };
        let mut structure = Stage::new(format!("{whose}: структура и ссылка"));
        structure.lines.push(format!("должен быть подписан {}", place::named(&spot.signed)));
        let of_octets = |refusal: &Refusal| {
            matches!(refusal.code, RefusalCode::SigDigest | RefusalCode::SigC14n)
        };
        let (octets, other) = match judged {
            Some(refusal) if of_octets(&refusal) => (Some(refusal), None),
            other => (None, other),
        };
        structure.refusal = other;
        let look = match spot.look(document, limits) {
            Ok(look) => look,
            Err(refusal) => {
                let refusal = structure.refusal.get_or_insert(refusal).clone();
                told.hints.extend(diagnose::of_structure(&refusal, document, limits));
                return told.stages.push(structure);
            }
        };
        structure.lines.push(format!(
            "ссылка: {}",
            if look.uri.is_empty() { "весь документ" } else { &look.uri }
        ));
        if let Some(refusal) = &structure.refusal {
            told.hints.extend(diagnose::of_structure(refusal, document, limits));
        }
        told.stages.push(structure);
        let algorithms = self.algorithms(&look);
        let admitted = algorithms.refusal.is_none();
        told.stages.push(algorithms);
        let forms = diagnose::forms(spot, &look, document, limits, octets);
        let changed = forms.last().is_some_and(|hash| {
            hash.refusal.as_ref().is_some_and(|refusal| refusal.code == RefusalCode::SigDigest)
        });
        told.stages.extend(forms);
        if changed && admitted {
            told.hints.extend(diagnose::of_digest(spot, &look, document, limits));
        }
        self.tell_value(profile, &look.signature, told);
    }

    /// What a signature says of its algorithms, and whether they count.
    fn algorithms(&self, look: &Look) -> Stage {
        let mut stage = Stage::new("Алгоритмы");
        let profile = &look.signature.profile;
        stage.lines = vec![
            format!("подпись: {}", look.signature.algorithm.uri()),
            format!("хэш: {}", digest_uri(profile.digest)),
            format!("каноническая форма: {}", diagnose::method_name(&profile.form.method)),
            format!("преобразование СМЭВ: {}", if profile.form.smev { "да" } else { "нет" }),
        ];
        if look.enveloped {
            stage.lines.push("подпись исключена из подписанного (enveloped-signature)".to_owned());
        }
        stage.refusal = self.store.admit(&look.signature).err();
        stage
    }

    /// Adds the stages of certificate and value.
    fn tell_value(
        &self,
        profile: &Profile,
        signature: &EnvelopedSignature,
        told: &mut Explanation,
    ) {
        told.stages.push(Stage {
            lines: vec![format!("{} байт", signature.signed_info.len())],
            octets: Some(signature.signed_info.clone()),
            ..Stage::new("SignedInfo в канонической форме")
        });
        let leaf = signer_of(&signature.certificates).cloned().unwrap_or_default();
        let certificates = self.path(&leaf, &signature.certificates);
        if let Some(advice) = certificates.refusal.as_ref().and_then(|it| profile.advice(it)) {
            told.hint(advice);
        }
        told.stages.push(certificates);
        let EnvelopedSignature { algorithm, signed_info, value, .. } = signature;
        let mut stage = Stage::new("Значение подписи");
        stage.lines.push(format!("{} байт", value.len()));
        stage.refusal = self.store.judge_value(*algorithm, &leaf, signed_info, value).err();
        match &stage.refusal {
            Some(refusal) if refusal.code == RefusalCode::SigValue => {
                told.hints.extend(diagnose::of_value(&self.store, signature));
            }
            Some(refusal) => {
                profile.advice(refusal).into_iter().for_each(|advice| told.hint(advice));
            }
            None => {}
        }
        told.stages.push(stage);
    }

    /// The stage of the path from a signer to a trusted authority.
    fn path(&self, leaf: &[u8], certificates: &[Vec<u8>]) -> Stage {
        let mut stage = Stage::new("Сертификат и путь доверия");
        let path = self.store.told(leaf, certificates, self.at);
        let last = path.certificates.len().saturating_sub(1);
        for (number, facts) in path.certificates.iter().enumerate() {
            let day = |time: chrono::DateTime<chrono::Utc>| time.format("%d.%m.%Y").to_string();
            let who = match number {
                0 => "подписант",
                number if number == last && path.whole => "доверенный центр",
                _ => "центр",
            };
            let dates = format!("с {} по {}", day(facts.not_before), day(facts.not_after));
            let wrong =
                if path.wrong == Some(number) { " — отказ из-за него" } else { "" };
            let subject = &facts.subject;
            stage.lines.push(format!("{}. {who}: {subject}; действует {dates}{wrong}", number + 1));
        }
        if !path.whole {
            stage.lines.push("до доверенного центра путь не ведёт".to_owned());
        }
        match self.store.judge(leaf, certificates, self.at) {
            Ok(signer) if !self.store.knows_revocation(&signer, self.at) => {
                let stale = "ВНИМАНИЕ: свежих сведений об отзыве нет, список отзыва просрочен";
                stage.lines.push(stale.to_owned());
            }
            Ok(_) => {}
            Err(refusal) => stage.refusal = Some(refusal),
        }
        stage
    }

    /// Tells of a document that is too large to be shown: it is judged as a stream.
    fn tell_of_large(&self, profile: &Profile, source: Source<'_>, told: &mut Explanation) {
        let mut reading = Stage::new("Чтение документа");
        let limit = super::MAX_MESSAGE >> 20;
        reading.lines.push(format!(
            "документ больше {limit} МиБ: он проверен целиком, но байты шагов показать нельзя"
        ));
        let unread = |refusal: &&Refusal| diagnose::is_of_reading(refusal.code);
        reading.refusal = told.refusal.as_ref().filter(unread).cloned();
        let broken = reading.refusal.is_some();
        told.stages.push(reading);
        if broken {
            return;
        }
        let mut stage = Stage::new("Подпись: структура, ссылка и хэш");
        match self.enveloped_digest(profile, source) {
            Ok(signature) => {
                stage.lines.push(format!("подпись: {}", signature.algorithm.uri()));
                stage.lines.push(format!("хэш: {}", digest_uri(signature.profile.digest)));
                stage.refusal = self.store.admit(&signature).err();
                told.stages.push(stage);
                self.tell_value(profile, &signature, told);
            }
            Err(refusal) => told.stages.push(Stage { refusal: Some(refusal), ..stage }),
        }
    }
}
