//! The first, cheap pass over a package: what later blocks say of the persons in it, and which
//! records a full package mentions. Bounded memory: hashes only.

use std::collections::BTreeMap;
use std::io::Read;

use xxhash_rust::xxh3::xxh3_64;

use crate::codec::package::Reader;
use crate::model::kind::Kind;
use crate::model::package::{Header, Mode};
use crate::model::record::{RawRecord, RawValue, Setting, Value};
use crate::model::refusal::Refusal;
use crate::normalise::draft::{Draft, Rules};
use crate::normalise::{self, address, identity_document, lexical, text};
use crate::storage::registry::matching::Fact;

/// Pairs of person and evidence kept at most (18 MB if all are documents); what comes after is not
/// used for matching.
const PAIRS: usize = 1_100_000;

/// Kinds whose rows a full package closes when it does not mention them.
pub const CLOSED_KINDS: [Kind; 7] = [
    Kind::ClassGroup,
    Kind::IdentityDocument,
    Kind::Address,
    Kind::Contact,
    Kind::Kinship,
    Kind::Membership,
    Kind::Employment,
];

/// Kinds whose records can say that they are deleted.
pub const DELETED_KINDS: [Kind; 3] = [Kind::Mark, Kind::FinalMark, Kind::Absence];

/// So many records of a kind may be deleted at once whatever their share.
pub const DELETES_UNASKED: u64 = 100;

/// What a first pass has gathered.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Hash of a person's external id, and key of a document.
    documents: Vec<(u64, i64)>,
    /// Hash of a person's external id in two halves, and half a hash of another fact: enough to
    /// find two namesakes agree, and a quarter less memory.
    facts: Vec<[u32; 3]>,
    /// Hashes of the records mentioned.
    mentions: Vec<u64>,
    /// Records that delete, by kind.
    deletions: BTreeMap<Kind, u64>,
}

/// Whether a package needs a first pass.
pub fn is_needed(header: &Header) -> bool {
    header.mode == Mode::All || tells_of_persons(header) || may_delete(header)
}

/// Whether the package may delete more than goes unasked.
fn may_delete(header: &Header) -> bool {
    let mut counts = header.counts.iter();
    counts.any(|(kind, count)| DELETED_KINDS.contains(kind) && *count > DELETES_UNASKED)
}

fn tells_of_persons(header: &Header) -> bool {
    let has = |kind: Kind| header.counts.iter().any(|(of, count)| *of == kind && *count > 0);
    has(Kind::Person)
        && [
            Kind::IdentityDocument,
            Kind::Address,
            Kind::Kinship,
            Kind::Membership,
            Kind::Employment,
        ]
        .into_iter()
        .any(has)
}

/// Gathers while records are judged.
#[derive(Debug)]
pub struct Gatherer {
    matching: bool,
    closing: bool,
    evidence: Evidence,
}

impl Gatherer {
    /// Gathers what a package with this header needs; nothing for a test package.
    pub fn new(header: &Header) -> Self {
        let matching = tells_of_persons(header) && !header.test;
        let count = |kinds: &[Kind]| {
            let counts = header.counts.iter().filter(|(kind, _)| matching && kinds.contains(kind));
            counts.map(|(_, count)| usize::try_from(*count).unwrap_or(PAIRS)).sum::<usize>()
        };
        // Room for exactly what there is: growing by doubling would take twice as much.
        let documents = count(&[Kind::IdentityDocument]).min(PAIRS);
        let facts = count(&[Kind::Address, Kind::Membership, Kind::Employment]);
        let facts = facts + 2 * count(&[Kind::Kinship]);
        let evidence = Evidence {
            documents: Vec::with_capacity(documents),
            facts: Vec::with_capacity(facts.min(PAIRS - documents)),
            mentions: Vec::new(),
            deletions: BTreeMap::new(),
        };
        Self { matching, closing: header.mode == Mode::All && !header.test, evidence }
    }

    /// Notes a judged record, sound or not.
    pub fn note(&mut self, draft: &Draft) {
        self.mention(draft.kind, &draft.external_id);
        if self.wants(draft.kind) && draft.is_sound() {
            self.evidence.note(draft);
        }
        if draft.is_sound() && draft.deletes() {
            self.deletion(draft.kind);
        }
    }

    /// What was gathered.
    pub fn finish(mut self) -> Evidence {
        self.evidence.documents.sort_unstable();
        self.evidence.facts.sort_unstable();
        self.evidence.mentions.sort_unstable();
        self.evidence.mentions.dedup();
        self.evidence
    }

    fn wants(&self, kind: Kind) -> bool {
        self.matching && kind > Kind::Person && kind < Kind::Mark
    }

    fn deletion(&mut self, kind: Kind) {
        *self.evidence.deletions.entry(kind).or_default() += 1;
    }

    fn mention(&mut self, kind: Kind, external_id: &str) {
        if self.closing && CLOSED_KINDS.contains(&kind) {
            self.evidence.mentions.push(mention(kind, external_id));
        }
    }
}

/// Reads a package through and gathers what applying and closing need, judging no more than that.
///
/// # Errors
/// What is wrong with the document as a whole.
pub fn collect<R: Read>(reader: &mut Reader<R>, rules: &Rules) -> Result<Evidence, Refusal> {
    let mut gatherer = Gatherer::new(reader.header()?);
    while let Some(raw) = reader.next_record()? {
        if gatherer.wants(raw.kind) {
            gatherer.note(&normalise::record(&raw, rules));
        } else {
            gatherer.mention(raw.kind, &text::collapse(raw.external_id()));
            if deletes(&raw) {
                gatherer.deletion(raw.kind);
            }
        }
    }
    Ok(gatherer.finish())
}

fn deletes(raw: &RawRecord) -> bool {
    match raw.field("Deleted").map(|field| &field.value) {
        Some(RawValue::Text(text)) => lexical::is_true(text.trim()),
        _ => false,
    }
}

/// Hash of a record's kind and external id.
pub(super) fn mention(kind: Kind, external_id: &str) -> u64 {
    xxh3_64(external_id.as_bytes()).wrapping_add(kind.index() as u64)
}

impl Evidence {
    /// Keys of the documents that the package gives a person.
    pub(super) fn documents(&self, external_id: &str) -> Vec<i64> {
        of(&self.documents, external_id)
    }

    /// Hashes of the other facts that the package gives a person.
    pub(super) fn facts(&self, external_id: &str) -> Vec<u32> {
        if self.facts.is_empty() {
            return Vec::new();
        }
        let [high, low] = halves(xxh3_64(external_id.as_bytes()));
        let from = self.facts.partition_point(|[of, rest, _]| (*of, *rest) < (high, low));
        let own = self.facts[from..].iter().take_while(|[of, rest, _]| (*of, *rest) == (high, low));
        own.map(|[_, _, fact]| *fact).collect()
    }

    /// Forgets what is known of persons: none comes any more.
    pub(super) fn forget_persons(&mut self) {
        self.documents = Vec::new();
        self.facts = Vec::new();
    }

    /// Kinds of which the package deletes more than goes unasked, with the number.
    pub(super) fn mass_deletions(&self) -> impl Iterator<Item = (Kind, u64)> {
        let counts = self.deletions.iter().map(|(kind, count)| (*kind, *count));
        counts.filter(|(_, count)| *count > DELETES_UNASKED)
    }

    /// Whether the package mentions a record.
    pub(super) fn mentions(&self, kind: Kind, external_id: &str) -> bool {
        self.mentions.binary_search(&mention(kind, external_id)).is_ok()
    }

    fn note(&mut self, draft: &Draft) {
        let spec = normalise::spec(draft.kind);
        let setting = |column: &str| spec.column(column).and_then(|at| draft.settings.get(at));
        let text = |column: &str| match setting(column) {
            Some(Setting::Set(Value::Text(text))) => text.as_str(),
            _ => "",
        };
        let name = |column: &str| match setting(column) {
            Some(Setting::Refer(_, name)) => name.as_str(),
            _ => "",
        };
        match draft.kind {
            Kind::IdentityDocument => {
                let parts = (text("document_type"), text("series"), text("number"));
                let key = identity_document::document_key(parts.0, parts.1, parts.2);
                if self.documents.len() + self.facts.len() < PAIRS {
                    self.documents.push((xxh3_64(name("person_id").as_bytes()), key));
                }
                if !text("act_number").is_empty() {
                    let act = Fact::BirthAct(text("act_number").to_owned());
                    self.fact(name("person_id"), &act);
                }
            }
            Kind::Address => {
                let key = address::address_key(text("fias_house"), text("flat"), text("full_text"));
                self.fact(name("person_id"), &Fact::Address(key));
            }
            Kind::Membership | Kind::Employment => {
                let organisation = Fact::Organisation(name("organisation_id").to_owned());
                self.fact(name("person_id"), &organisation);
            }
            Kind::Kinship => {
                let (child, adult) = (name("child_id"), name("adult_id"));
                self.fact(child, &Fact::Relative(adult.to_owned()));
                self.fact(adult, &Fact::Relative(child.to_owned()));
            }
            _ => {}
        }
    }

    fn fact(&mut self, person: &str, fact: &Fact) {
        if self.documents.len() + self.facts.len() < PAIRS {
            let [high, low] = halves(xxh3_64(person.as_bytes()));
            self.facts.push([high, low, hash(fact)]);
        }
    }
}

/// Hash by which a fact of the package is compared with one of the registry.
pub(super) fn hash(fact: &Fact) -> u32 {
    let key = match fact {
        Fact::Address(key) => *key,
        Fact::BirthAct(number) => text::key(&["act", &text::fold_tokens(number)]),
        Fact::Organisation(name) => text::key(&["organisation", name]),
        Fact::Relative(name) => text::key(&["relative", name]),
    };
    halves(key.cast_unsigned())[1]
}

/// High and low half.
fn halves(hash: u64) -> [u32; 2] {
    let bytes = hash.to_be_bytes();
    let half =
        |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    [half(0), half(4)]
}

fn of(pairs: &[(u64, i64)], external_id: &str) -> Vec<i64> {
    if pairs.is_empty() {
        return Vec::new();
    }
    let person = xxh3_64(external_id.as_bytes());
    let from = pairs.partition_point(|(of, _)| *of < person);
    pairs[from..].iter().take_while(|(of, _)| *of == person).map(|(_, value)| *value).collect()
}
