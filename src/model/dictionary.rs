//! Versioned reference codes: what a supplier's code means here.
//!
//! Two published lists of the same dictionaries contradict each other; both are known by version,
//! and every code is turned into the canonical one before it is stored.

use std::collections::HashMap;
use std::sync::OnceLock;

/// The version whose codes are stored.
pub const CANONICAL_VERSION: &str = "uftt-b1";

/// Dictionaries that come with the program: `dictionary;version;code;canonical;title` lines.
const BUILT_IN: &str = include_str!("dictionary.csv");

/// One code of one version of a dictionary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name of the dictionary, for example `identity-document`.
    pub dictionary: &'static str,
    /// Version of the list.
    pub version: &'static str,
    /// Code in this version.
    pub code: &'static str,
    /// The same in [`CANONICAL_VERSION`].
    pub canonical: &'static str,
    /// Russian title.
    pub title: &'static str,
}

/// The codes that come with the program.
pub fn built_in() -> &'static [Entry] {
    static ENTRIES: OnceLock<Vec<Entry>> = OnceLock::new();
    ENTRIES.get_or_init(|| BUILT_IN.lines().skip(1).filter_map(entry).collect())
}

fn entry(line: &'static str) -> Option<Entry> {
    let mut parts = line.split(';');
    let mut next = || parts.next();
    Some(Entry {
        dictionary: next()?,
        version: next()?,
        code: next()?,
        canonical: next()?,
        title: next()?,
    })
}

/// All dictionaries in memory, with the maps of suppliers.
#[derive(Clone, Debug, Default)]
pub struct Dictionaries {
    /// Dictionary and version to code to canonical code.
    codes: HashMap<String, HashMap<String, HashMap<String, Box<str>>>>,
    /// Supplier's number to dictionary to its code to canonical code.
    maps: HashMap<i64, HashMap<String, HashMap<String, Box<str>>>>,
}

impl Dictionaries {
    /// Those that come with the program.
    pub fn built_in() -> Self {
        let mut all = Self::default();
        for entry in built_in() {
            all.add(entry.dictionary, entry.version, entry.code, entry.canonical);
        }
        all
    }

    /// Adds a code of a version and what it means canonically.
    pub fn add(&mut self, dictionary: &str, version: &str, code: &str, canonical: &str) {
        let versions = self.codes.entry(dictionary.to_owned()).or_default();
        let codes = versions.entry(version.to_owned()).or_default();
        codes.insert(code.to_owned(), canonical.into());
    }

    /// Adds a supplier's own code and what it means canonically.
    pub fn map(&mut self, supplier: i64, dictionary: &str, foreign: &str, canonical: &str) {
        let maps = self.maps.entry(supplier).or_default();
        let map = maps.entry(dictionary.to_owned()).or_default();
        map.insert(foreign.to_owned(), canonical.into());
    }

    /// Whether this version of the dictionary is known.
    pub fn has_version(&self, dictionary: &str, version: &str) -> bool {
        self.codes.get(dictionary).is_some_and(|versions| versions.contains_key(version))
    }

    /// The canonical code for what a supplier wrote: its own map first, then the declared version.
    pub fn canonical(
        &self,
        supplier: i64,
        dictionary: &str,
        version: &str,
        code: &str,
    ) -> Option<&str> {
        let own = || self.maps.get(&supplier)?.get(dictionary)?.get(code);
        let listed = || self.codes.get(dictionary)?.get(version)?.get(code);
        own().or_else(listed).map(AsRef::as_ref)
    }
}
