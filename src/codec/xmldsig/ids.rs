//! Ids met in a document: what a reference may point at, and that nothing else has the same.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use crate::codec::xml::Start;
use crate::model::refusal::{Refusal, RefusalCode};

/// Most ids in a document: they are remembered, eight bytes each.
const MAX_IDS: usize = 1_000_000;

/// Ids met in a document. None may come twice, whatever the case and the namespace of its attribute.
#[derive(Debug, Default)]
pub(super) struct Ids {
    /// The signed element has been met.
    met: bool,
    /// The id that may be referred to.
    signed: Option<String>,
    others: HashSet<u64>,
    hasher: RandomState,
}

/// Says whether an attribute of this name identifies its element to anyone.
pub(super) fn identifies(local: &str) -> bool {
    local.eq_ignore_ascii_case("id")
}

impl Ids {
    /// Ids of a document whose signed element is `start`.
    pub(super) fn of(start: Start<'_>) -> Result<Self, Refusal> {
        let mut ids = Self::default();
        ids.target(start, "")?;
        Ok(ids)
    }

    /// Takes note of the signed element, which must stand once, and whose id is an attribute of this
    /// namespace.
    pub(super) fn target(&mut self, start: Start<'_>, namespace: &str) -> Result<(), Refusal> {
        if std::mem::replace(&mut self.met, true) {
            let what = "элемент, который должен быть подписан, стоит в сообщении дважды";
            return Err(Refusal::new(RefusalCode::SigWrapping).at(start.place()).detail(what));
        }
        let twice = || Refusal::new(RefusalCode::SigDuplicateId).at(start.place());
        for attribute in start.attributes() {
            if attribute.namespace == namespace && identifies(attribute.local) {
                let met = self.others.contains(&self.hasher.hash_one(attribute.value));
                if met || self.signed.is_some() {
                    return Err(twice());
                }
                self.signed = Some(attribute.value.to_owned());
            }
        }
        for attribute in start.attributes() {
            if attribute.namespace != namespace && identifies(attribute.local) {
                self.note(attribute.value).map_err(|code| Refusal::new(code).at(start.place()))?;
            }
        }
        Ok(())
    }

    /// Whether the signed element has been met.
    pub(super) fn has_target(&self) -> bool {
        self.met
    }

    /// Takes note of the ids of another element.
    pub(super) fn see(&mut self, start: Start<'_>) -> Result<(), Refusal> {
        for attribute in start.attributes() {
            if identifies(attribute.local) {
                self.note(attribute.value).map_err(|code| Refusal::new(code).at(start.place()))?;
            }
        }
        Ok(())
    }

    pub(super) fn note(&mut self, value: &str) -> Result<(), RefusalCode> {
        if self.signed.as_deref() == Some(value) {
            return Err(RefusalCode::SigDuplicateId);
        }
        if self.others.len() >= MAX_IDS {
            return Err(RefusalCode::SigLimit);
        }
        let new = self.others.insert(self.hasher.hash_one(value));
        if new { Ok(()) } else { Err(RefusalCode::SigDuplicateId) }
    }

    /// Judges where a reference points.
    pub(super) fn judge(&self, uri: &str, whole_document: bool) -> Result<(), RefusalCode> {
        if uri.is_empty() && whole_document {
            return Ok(());
        }
        let target = uri.strip_prefix('#').filter(|target| !target.is_empty());
        let target = target.ok_or(RefusalCode::SigReference)?;
        if self.signed.as_deref() == Some(target) {
            return Ok(());
        }
        let met = self.others.contains(&self.hasher.hash_one(target));
        Err(if met { RefusalCode::SigWrapping } else { RefusalCode::SigReference })
    }
}
