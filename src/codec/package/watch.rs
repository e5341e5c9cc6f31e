//! Watching a package while its signature is being verified.

use crate::codec::package::{Outline, Step};
use crate::codec::xml::Event;
use crate::model::kind::Kind;
use crate::model::package::Header;
use crate::model::refusal::{Place, Refusal, RefusalCode};

/// What was seen of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its header.
    pub header: Header,
    /// Records per kind, by place in [`Kind::ALL`]; they agree with the header.
    pub counts: [u64; Kind::ALL.len()],
    /// Records in all.
    pub records: u64,
}

/// Fed with the events that a signature covers; keeps the header and counts the records.
#[derive(Debug, Default)]
pub struct Watch {
    outline: Outline,
    /// The first thing wrong with the structure.
    refusal: Option<Refusal>,
}

impl Watch {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next event. `place` is only asked for when the package is refused.
    ///
    /// # Errors
    /// `PACKAGE_ROOT`, `SCHEMA_VERSION`, `PACKAGE_HEADER`, `PACKAGE_BLOCK`, `COUNT_MISMATCH`.
    pub fn event(
        &mut self,
        event: &Event<'_>,
        place: impl FnOnce() -> Place,
    ) -> Result<(), Refusal> {
        match self.outline.event(event) {
            Ok(_) => Ok(()),
            Err(refusal) => Err(refusal.at(place())),
        }
    }

    /// Takes the next event and keeps a refusal for [`Watch::finish`], so that a bad signature
    /// is told before a bad structure.
    pub fn note(&mut self, event: &Event<'_>, place: impl FnOnce() -> Place) {
        if self.refusal.is_none()
            && let Err(refusal) = self.event(event, place)
        {
            self.refusal = Some(refusal);
        }
    }

    /// The header, once it has been seen.
    pub fn header(&self) -> Option<&Header> {
        self.outline.header()
    }

    /// Hands over what was seen, after the last event.
    ///
    /// # Errors
    /// A noted refusal, or that of an incomplete package.
    pub fn finish(mut self) -> Result<Seen, Refusal> {
        if let Some(refusal) = self.refusal.take() {
            return Err(refusal);
        }
        let step = self.outline.event(&Event::Eof)?;
        debug_assert_eq!(step, Step::End);
        let counts = *self.outline.counts();
        let header = self.outline.into_header();
        let header = header.ok_or(Refusal::new(RefusalCode::PackageHeader))?;
        Ok(Seen { header, counts, records: counts.iter().sum() })
    }
}
