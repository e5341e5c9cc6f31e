//! `manifest.json`: what the simulator wrote.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::ops::simulate::keys::FEDERAL;
use crate::ops::simulate::people::{DIRTY_PER_THOUSAND, Flaw};
use crate::ops::simulate::plan::Package;
use crate::ops::simulate::region::Region;
use crate::ops::simulate::supplier::Supplier;
use crate::ops::simulate::write::{Content, Expected};

/// The whole file.
#[derive(Debug, Serialize)]
pub struct Manifest {
    seed: u64,
    learners: u64,
    school_year: String,
    authority: &'static str,
    suppliers: Vec<Party>,
    federal: Party,
    dirty_learners_per_thousand: u64,
    flaws: BTreeMap<String, u64>,
    packages: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Party {
    mnemonic: &'static str,
    name: &'static str,
    kind: &'static str,
    certificate: String,
    key: String,
}

#[derive(Debug, Serialize)]
struct Entry {
    file: String,
    package_id: String,
    supplier: &'static str,
    r#type: String,
    mode: &'static str,
    scope: String,
    sequence: u64,
    records: BTreeMap<&'static str, u64>,
    expected_findings: Vec<Expected>,
}

impl Manifest {
    /// Of a region, packages not yet added.
    pub fn new(region: &Region) -> Self {
        let dirty = (0..region.learners).filter_map(|learner| region.flaw_of(learner));
        let mut flaws = BTreeMap::new();
        for flaw in dirty {
            *flaws.entry(format!("{flaw:?} {}", Flaw::code(flaw).as_str())).or_default() += 1;
        }
        let suppliers = Supplier::ALL.map(|s| Party::new(s.mnemonic(), s.name(), s.kind()));
        Self {
            seed: region.seed,
            learners: region.learners,
            school_year: region.school_year(),
            authority: "keys/authority.crt",
            suppliers: suppliers.into(),
            federal: Party::new(FEDERAL, "Федеральный сегмент", "federal"),
            dirty_learners_per_thousand: DIRTY_PER_THOUSAND,
            flaws,
            packages: Vec::new(),
        }
    }

    /// Adds a package that was written to this file.
    pub fn add(&mut self, file: String, package: &Package, content: Content) {
        let header = content.header;
        self.packages.push(Entry {
            file,
            package_id: header.package_id.to_string(),
            supplier: package.supplier.mnemonic(),
            r#type: header.package_type,
            mode: header.mode.as_str(),
            scope: header.scope.to_text(),
            sequence: package.sequence,
            records: header.counts.iter().map(|(kind, n)| (kind.element(), *n)).collect(),
            expected_findings: content.expected,
        });
    }
}

impl Party {
    fn new(mnemonic: &'static str, name: &'static str, kind: &'static str) -> Self {
        let (certificate, key) = (format!("keys/{mnemonic}.crt"), format!("keys/{mnemonic}.key"));
        Self { mnemonic, name, kind, certificate, key }
    }
}
