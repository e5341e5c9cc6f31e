//! The examples as they are made, beside those in the folder.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use kontingent::codec::mtom;
use kontingent::codec::smev3::Version;

use super::super::world::{Answered, World, roomy};
use super::masks::Masks;

/// Where they are.
pub(super) const FOLDER: &str = "docs/examples/federal";

/// The index: what is said of all of them.
const INTRODUCTION: &str = include_str!("introduction.md");

/// A message or a part of one.
pub(super) struct Example {
    /// Path in the folder.
    pub(super) name: String,
    /// What it is, in a line.
    what: String,
    /// As they went over the wire.
    pub(super) bytes: Vec<u8>,
}

/// All examples, in the order in which they were said.
#[derive(Default)]
pub(super) struct Book {
    pub(super) examples: Vec<Example>,
    http: reqwest::Client,
}

/// A message to be sent and written down, with its answer.
pub(super) struct Call<'a> {
    /// Name of its file without folder and ending.
    pub(super) name: &'a str,
    /// What the message is, and what the answer is.
    pub(super) what: [&'a str; 2],
    /// Its type.
    pub(super) kind: &'a str,
    /// The answer may come in parts.
    pub(super) parts: bool,
    pub(super) body: Vec<u8>,
}

impl Example {
    /// A message in parts put together again; anything else as it is.
    pub(super) fn whole(&self) -> String {
        let bytes = self.bytes.clone();
        let bytes =
            if self.in_parts() { mtom::saved(bytes, roomy(), 64 << 20).unwrap() } else { bytes };
        String::from_utf8(bytes).unwrap()
    }

    /// It is a message of several parts.
    pub(super) fn in_parts(&self) -> bool {
        Path::new(&self.name).extension().is_some_and(|kind| kind == "mime")
    }

    fn path(&self) -> PathBuf {
        Path::new(FOLDER).join(&self.name)
    }

    /// Its text without what differs from run to run.
    fn masked(&self, masks: &mut Masks) -> String {
        let mut heads = String::new();
        if self.in_parts() {
            for line in String::from_utf8_lossy(&self.bytes).lines() {
                if line.starts_with("--") || line.starts_with("Content-") {
                    heads.push_str(line);
                    heads.push('\n');
                }
            }
        }
        heads + &masks.hide(&self.whole())
    }
}

impl Book {
    /// Writes down.
    pub(super) fn put(&mut self, name: &str, what: &str, bytes: impl Into<Vec<u8>>) {
        assert!(self.examples.iter().all(|other| other.name != name), "{name} is there already");
        let (name, what) = (name.to_owned(), what.to_owned());
        self.examples.push(Example { name, what, bytes: bytes.into() });
    }

    /// Puts those of another book behind.
    pub(super) fn append(&mut self, other: Self) {
        for example in other.examples {
            self.put(&example.name, &example.what, example.bytes);
        }
    }

    /// Sends and writes down both what was said and what was answered.
    pub(super) async fn call(
        &mut self,
        world: &World,
        version: Version,
        call: Call<'_>,
    ) -> Answered {
        let mut request = self.http.post(world.url(version)).header("content-type", call.kind);
        if call.parts {
            request = request.header("accept", "application/xop+xml, text/xml");
        }
        let response = request.body(call.body.clone()).send().await.unwrap();
        let status = response.status().as_u16();
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        let bytes = response.bytes().await.unwrap().to_vec();
        let stem = format!("{}/{}", version.as_str(), call.name);
        let mut last = None;
        for (stem, what, kind, bytes) in [
            (stem.clone(), call.what[0], call.kind, call.body),
            (format!("{stem}.answer"), call.what[1], &*kind, bytes),
        ] {
            if kind.starts_with("multipart/related") {
                self.put(&format!("{stem}.mime"), &format!("{what}; `{kind}`"), bytes);
            } else {
                self.put(&format!("{stem}.xml"), what, bytes);
            }
            last = self.examples.last();
        }
        let xml = last.unwrap().whole();
        Answered { status, xml, parts: kind.starts_with("multipart"), file: PathBuf::new() }
    }

    /// Compares what is here with the folder; writes the folder if that is asked for and something differs.
    pub(super) fn compare(&mut self) {
        let index = self.index();
        self.put("README.md", "", index);
        let differs = self.difference();
        if differs.is_some() && std::env::var_os("KONTINGENT_BLESS").is_some() {
            self.write();
        } else if let Some(differs) = differs {
            panic!(
                "{differs}\nKONTINGENT_BLESS=1 cargo test --test it federal::examples writes them anew"
            );
        }
        // What is judged from here on is what is in the folder.
        for example in &mut self.examples {
            example.bytes = fs::read(example.path()).unwrap();
        }
    }

    /// The first difference from the folder.
    fn difference(&self) -> Option<String> {
        let (mut ours, mut theirs) = (Masks::default(), Masks::default());
        for example in &self.examples {
            let Ok(bytes) = fs::read(example.path()) else {
                return Some(format!("{} is missing", example.name));
            };
            let old = Example { bytes, name: example.name.clone(), what: String::new() };
            let (new, old) = match &*example.name {
                "README.md" | "ca.pem" => (example.whole(), old.whole()),
                _ => (example.masked(&mut ours), old.masked(&mut theirs)),
            };
            if new != old {
                let (new, old) = apart(&new, &old);
                let name = &example.name;
                return Some(format!("{name} differs\nin the file: {old}\nnow:         {new}"));
            }
        }
        let stale = self.stale();
        (!stale.is_empty()).then(|| format!("no message is written to {stale:?} any more"))
    }

    /// Files that are none of the examples.
    fn stale(&self) -> Vec<PathBuf> {
        let ours: BTreeSet<PathBuf> = self.examples.iter().map(Example::path).collect();
        let mut folders = vec![PathBuf::from(FOLDER)];
        let mut stale = Vec::new();
        while let Some(folder) = folders.pop() {
            let Ok(inside) = fs::read_dir(folder) else { continue };
            for path in inside.map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                } else if !ours.contains(&path) {
                    stale.push(path);
                }
            }
        }
        stale
    }

    /// All of them at once, so that messages of one conversation fit each other.
    fn write(&self) {
        for path in self.stale() {
            fs::remove_file(path).unwrap();
        }
        for example in &self.examples {
            let path = example.path();
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, &example.bytes).unwrap();
        }
    }

    fn index(&self) -> String {
        let mut text = INTRODUCTION.to_owned();
        let mut listed: Vec<_> = self.examples.iter().collect();
        let folder = |example: &Example| {
            example.name.rsplit_once('/').map(|(folder, _)| folder.to_owned()).unwrap_or_default()
        };
        listed.sort_by_key(|example| folder(example));
        let mut last = None;
        for example in listed {
            let folder = Some(folder(example));
            if folder != last {
                let title = folder.as_deref().filter(|name| !name.is_empty()).unwrap_or("Trust");
                write!(text, "\n## {title}\n\n").unwrap();
                last = folder;
            }
            let file = example.name.rsplit('/').next().unwrap();
            writeln!(text, "- [`{file}`]({}): {}", example.name, example.what).unwrap();
        }
        text
    }
}

/// Where two texts part, with what stands around.
fn apart<'a>(new: &'a str, old: &'a str) -> (&'a str, &'a str) {
    let same = new.bytes().zip(old.bytes()).take_while(|(a, b)| a == b).count();
    let around = |text: &'a str| {
        let from = text.floor_char_boundary(same.saturating_sub(60));
        let to = text.floor_char_boundary((same + 120).min(text.len()));
        &text[from..to]
    };
    (around(new), around(old))
}
