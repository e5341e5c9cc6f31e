//! Documents broken at random, the same ones each time.

use std::fs;

use rand::Rng as _;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// Pieces that parsers stumble over.
const PIECES: [&str; 24] = [
    "<",
    ">",
    "/>",
    "&",
    "&amp;",
    "&#0;",
    "&#xD;",
    "]]>",
    "<![CDATA[",
    "<!--",
    "-->",
    "<?a b?>",
    "xmlns=\"\"",
    "xmlns:p=\"urn:q\"",
    "p:",
    ":",
    "\"",
    "'",
    "\r",
    "\r\n",
    "\u{7F}",
    "\u{85}",
    "\u{FFFE}",
    " xml:lang=\"ru\"",
];

/// Makes broken documents out of good ones.
pub(crate) struct Mutator {
    random: StdRng,
    seeds: Vec<Vec<u8>>,
}

impl Mutator {
    /// Out of the XML files of these folders.
    pub(crate) fn new(seed: u64, folders: &[&str]) -> Self {
        let mut seeds = Vec::new();
        for folder in folders {
            let mut paths: Vec<_> =
                fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
            paths.sort();
            let read = paths.iter().filter(|path| path.extension().is_some_and(|end| end == "xml"));
            seeds.extend(
                read.map(|path| fs::read(path).unwrap()).filter(|seed| seed.len() < 20_000),
            );
        }
        assert!(seeds.len() > 10);
        Self { random: StdRng::seed_from_u64(seed), seeds }
    }

    /// The next document: one to three changes of a good one.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        let number = self.random.random_range(0..self.seeds.len());
        let mut document = self.seeds[number].clone();
        for _ in 0..self.random.random_range(1..=3) {
            self.change(&mut document);
        }
        document
    }

    fn change(&mut self, document: &mut Vec<u8>) {
        if document.is_empty() {
            return;
        }
        let length = document.len();
        let at = self.random.random_range(0..length);
        let end = (at + self.random.random_range(1..60)).min(length);
        match self.random.random_range(0..6) {
            0 => document[at] ^= 1 << self.random.random_range(0..8),
            1 => drop(document.drain(at..end)),
            2 => {
                let piece = PIECES[self.random.random_range(0..PIECES.len())];
                document.splice(at..at, piece.bytes());
            }
            3 => {
                let copied = document[at..end].to_vec();
                let to = self.random.random_range(0..=length);
                document.splice(to..to, copied);
            }
            4 => document.truncate(at),
            _ => {
                let other = self.random.random_range(0..self.seeds.len());
                let from = self.random.random_range(0..self.seeds[other].len().max(1));
                let to = (from + 200).min(self.seeds[other].len());
                let borrowed = self.seeds[other][from..to].to_vec();
                document.splice(at..end, borrowed);
            }
        }
    }
}
