//! Scenarios of the sandbox: a TOML file says which messages it is for and what is done with them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Value;

use crate::codec::excerpt::excerpt;
use crate::codec::node::Node;
use crate::codec::shape;
use crate::codec::smev3::{Fault, SignatureFault};
use crate::codec::xml;

/// Operations that a scenario may be for.
const OPERATIONS: [&str; 7] = [
    "SendRequest",
    "SendResponse",
    "GetRequest",
    "GetResponse",
    "GetStatus",
    "Ack",
    "GetIncomingQueueStatistics",
];

/// Codes of a rejection.
const REJECTIONS: [&str; 4] =
    ["ACCESS_DENIED", "NO_DATA", "UNKNOWN_REQUEST_DESCRIPTION", "FAILURE"];

/// Longest delay: what is handed out is hidden for so long only.
const LONGEST: Duration = Duration::from_mins(10);

/// Namespace and local name of a root element.
pub type Root = (String, String);

/// A scenario that can be played.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Name of its file.
    pub name: String,
    /// The operation that it is for.
    pub operation: String,
    /// Root element of the content that it is for; none for any.
    pub root: Option<Root>,
    /// Elements of the content by local name, and the text that they must have.
    when: BTreeMap<String, String>,
    /// What is done.
    pub play: Play,
}

/// What is done with a message.
#[derive(Clone, Debug)]
pub enum Play {
    /// It is refused at the door with this fault, and what is said to be wrong with the signature.
    Fault(String, SignatureFault),
    /// It is taken, and the sandbox answers.
    Answer(Answer),
}

/// What the sandbox answers.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Code and words of a status that goes before.
    pub status: Option<(i32, String)>,
    /// How long it takes.
    pub delay: Duration,
    /// The answer itself; none when it never comes.
    pub last: Option<Last>,
}

/// The last word to a request.
#[derive(Clone, Debug)]
pub enum Last {
    /// A content and its root.
    Content(String, Root),
    /// A rejection: its code and words.
    Rejected(&'static str, String),
}

/// A file that is no scenario: its name, and why in Russian.
pub type Flawed = (String, String);

/// A scenario as it is written.
#[derive(Debug, Deserialize)]
struct Written {
    operation: Option<String>,
    namespace: Option<String>,
    request: Option<String>,
    #[serde(default)]
    when: BTreeMap<String, Value>,
    fault: Option<String>,
    reason: Option<String>,
    answer: Option<String>,
    answer_file: Option<PathBuf>,
    rejected: Option<Said<String>>,
    status: Option<Said<i32>>,
    #[serde(default)]
    delay_seconds: u64,
    /// Keys that there are not.
    #[serde(flatten)]
    unknown: BTreeMap<String, Value>,
}

/// A code and words.
#[derive(Debug, Deserialize)]
struct Said<C> {
    code: C,
    text: String,
}

/// All scenarios of a folder by the names of their files, and those that cannot be played.
///
/// # Errors
/// When the folder cannot be read.
pub fn read(folder: &Path) -> io::Result<(Vec<Scenario>, Vec<Flawed>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    let (mut scenarios, mut flawed) = (Vec::new(), Vec::new());
    for path in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match scenario(&name, &path) {
            Ok(scenario) => scenarios.push(scenario),
            Err(why) => flawed.push((name, why)),
        }
    }
    Ok((scenarios, flawed))
}

impl Scenario {
    /// Whether it is for this message.
    pub fn fits(
        &self,
        operation: &str,
        root: Option<(&str, &str)>,
        content: Option<&Node>,
    ) -> bool {
        let same = |(namespace, local): &Root| root == Some((namespace.as_str(), local.as_str()));
        let told = |(local, text): (&String, &String)| {
            content.is_some_and(|content| has(content, local, text))
        };
        self.operation == operation
            && self.root.as_ref().is_none_or(same)
            && self.when.iter().all(told)
    }

    /// Root of its answer.
    pub fn answered(&self) -> Option<&Root> {
        match &self.play {
            Play::Answer(Answer { last: Some(Last::Content(_, root)), .. }) => Some(root),
            _ => None,
        }
    }
}

/// Whether an element of this local name has this text, at any depth.
fn has(node: &Node, local: &str, text: &str) -> bool {
    let own = node.local == local && node.text.trim() == text;
    own || node.children.iter().any(|child| has(child, local, text))
}

/// The document element of a file, declaration and comments around it left out, and its name.
///
/// # Errors
/// What is wrong with it, in Russian.
pub fn element(document: &[u8]) -> Result<(String, Root), String> {
    let limits = xml::Limits { comments: true, ..shape::limits() };
    let told = |refusal: crate::model::refusal::Refusal| match refusal.place {
        Some(at) => format!("строка {}, столбец {}: {}", at.line, at.column, refusal.code.text()),
        None => refusal.code.text().to_owned(),
    };
    let root = Node::document(document, limits).map_err(told)?;
    if root.namespace.is_empty() {
        return Err(format!("у корневого элемента {} нет пространства имён", root.local));
    }
    let name = [(root.namespace.as_str(), root.local.as_str())];
    let cut = excerpt(document, &name, limits).map_err(told)?;
    Ok((cut.unwrap_or_default(), (root.namespace, root.local)))
}

fn scenario(name: &str, path: &Path) -> Result<Scenario, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("файл не читается: {error}"))?;
    let written: Written = toml::from_str(&text).map_err(|error| {
        let before = error.span().map_or("", |span| text.get(..span.start).unwrap_or(""));
        let line = before.matches('\n').count() + 1;
        format!("строка {line}: это не TOML сценария ({})", error.message())
    })?;
    if let Some(key) = written.unknown.keys().next() {
        return Err(format!("неизвестный ключ «{key}»"));
    }
    let operation = written.operation.clone().unwrap_or_else(|| OPERATIONS[0].to_owned());
    if !OPERATIONS.contains(&operation.as_str()) {
        return Err(format!("operation — одно из {}", OPERATIONS.join(", ")));
    }
    let root = match (&written.namespace, &written.request) {
        (Some(namespace), Some(request)) => Some((namespace.clone(), request.clone())),
        (None, None) => None,
        _ => return Err("namespace и request указываются вместе".to_owned()),
    };
    if operation == OPERATIONS[0] && root.is_none() {
        return Err("нужны namespace и request — корневой элемент запроса".to_owned());
    }
    let when = written.when.iter().map(|(local, value)| Some((local.clone(), plain(value)?)));
    let when = when.collect::<Option<_>>();
    let when = when.ok_or("в [when] бывают строки, целые числа, true и false")?;
    let play = play(&written, &operation, path.parent().unwrap_or(path))?;
    Ok(Scenario { name: name.to_owned(), operation, root, when, play })
}

/// A value as the text of an element.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(truth) => Some(truth.to_string()),
        _ => None,
    }
}

fn play(written: &Written, operation: &str, folder: &Path) -> Result<Play, String> {
    let answers =
        [written.answer.is_some(), written.answer_file.is_some(), written.rejected.is_some()];
    let count = answers.into_iter().filter(|there| *there).count();
    let (status, delay) = (&written.status, Duration::from_secs(written.delay_seconds));
    if let Some(fault) = &written.fault {
        if count > 0 || status.is_some() || !delay.is_zero() {
            return Err("fault — вместо ответа: других действий при нём нет".to_owned());
        }
        if !Fault::NAMES.contains(&fault.as_str()) {
            return Err(format!("fault — одно из {}", Fault::NAMES.join(", ")));
        }
        return Ok(Play::Fault(fault.clone(), reason(written.reason.as_deref())?));
    }
    if written.reason.is_some() {
        return Err("reason бывает только при fault = \"SignatureVerificationFault\"".to_owned());
    }
    if operation != OPERATIONS[0] {
        return Err(format!("для операции {operation} бывает только fault"));
    }
    if count > 1 {
        return Err("нужно что-то одно: answer, answer_file или rejected".to_owned());
    }
    if count == 0 && status.is_none() {
        return Err(
            "нечего делать: нужно answer, answer_file, rejected, status или fault".to_owned()
        );
    }
    if delay > LONGEST {
        return Err(format!("delay_seconds не больше {}", LONGEST.as_secs()));
    }
    let last = last(written, folder)?;
    let status = status.as_ref().map(|said| (said.code, said.text.clone()));
    Ok(Play::Answer(Answer { status, delay, last }))
}

fn last(written: &Written, folder: &Path) -> Result<Option<Last>, String> {
    if let Some(said) = &written.rejected {
        let mut codes = REJECTIONS.into_iter();
        let code = codes.find(|code| *code == said.code);
        let code =
            code.ok_or_else(|| format!("rejected.code — одно из {}", REJECTIONS.join(", ")))?;
        return Ok(Some(Last::Rejected(code, said.text.clone())));
    }
    let content = match (&written.answer, &written.answer_file) {
        (Some(answer), _) => answer.trim().as_bytes().to_vec(),
        (None, Some(file)) => fs::read(folder.join(file))
            .map_err(|error| format!("{} не читается: {error}", file.display()))?,
        (None, None) => return Ok(None),
    };
    let (content, root) = element(&content).map_err(|why| format!("ответ — не XML: {why}"))?;
    Ok(Some(Last::Content(content, root)))
}

/// What is said to be wrong with a signature.
fn reason(written: Option<&str>) -> Result<SignatureFault, String> {
    let Some(written) = written else { return Ok(SignatureFault::SignatureIsInvalid) };
    let mut all = SignatureFault::ALL.into_iter();
    all.find(|reason| reason.as_str() == written).ok_or_else(|| {
        let names = SignatureFault::ALL.map(SignatureFault::as_str);
        format!("reason — одно из {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("x.toml"), text).unwrap();
        let (good, mut flawed) = read(folder.path()).unwrap();
        assert!(good.is_empty(), "{good:?}");
        flawed.remove(0).1
    }

    #[test]
    fn what_is_wrong_with_a_scenario_is_told_in_words() {
        let head = "namespace = 'urn:x'\nrequest = 'Q'\n";
        for (text, said) in [
            ("[", "строка 1: это не TOML сценария"),
            ("request = 'Q'\nanswer = '<a/>'", "namespace и request указываются вместе"),
            ("answer = '<a/>'", "нужны namespace и request"),
            (&format!("{head}answr = '<a/>'"), "неизвестный ключ «answr»"),
            (&format!("{head}answer = '<a'"), "ответ — не XML: "),
            (&format!("{head}answer = '<a/>'"), "ответ — не XML: у корневого элемента a нет"),
            (&format!("{head}answer_file = 'none.xml'"), "none.xml не читается"),
            (head, "нечего делать"),
            (&format!("{head}fault = 'Timeout'"), "fault — одно из AccessDenied"),
            (&format!("{head}fault = 'AccessDenied'\ndelay_seconds = 1"), "fault — вместо ответа"),
            (
                &format!("{head}delay_seconds = 3600\nstatus = {{code = 1, text = ''}}"),
                "delay_seconds",
            ),
            (&format!("{head}rejected = {{ code = 'NO', text = '' }}"), "rejected.code — одно из"),
            ("operation = 'Ack'\nstatus = { code = 1, text = '' }", "бывает только fault"),
        ] {
            assert!(
                told(text).starts_with(said) || told(text).contains(said),
                "{text}: {}",
                told(text)
            );
        }
    }

    #[test]
    fn a_condition_holds_for_an_element_at_any_depth() {
        let folder = tempfile::tempdir().unwrap();
        let text = "namespace = 'urn:x'\nrequest = 'Q'\nanswer = '<?xml version=\"1.0\"?><A xmlns=\"urn:x\"/>'\n\
            [when]\nNumber = 7\n";
        fs::write(folder.path().join("x.toml"), text).unwrap();
        let (scenarios, flawed) = read(folder.path()).unwrap();
        assert!(flawed.is_empty(), "{flawed:?}");
        let fits = |content: &str| {
            let content = Node::document(content.as_bytes(), shape::limits()).unwrap();
            scenarios[0].fits("SendRequest", Some(("urn:x", "Q")), Some(&content))
        };
        assert!(fits("<Q xmlns='urn:x'><D><Number> 7 </Number></D></Q>"));
        assert!(!fits("<Q xmlns='urn:x'><Number>8</Number></Q>"));
        let Play::Answer(Answer { last: Some(Last::Content(content, root)), .. }) =
            &scenarios[0].play
        else {
            panic!()
        };
        assert_eq!((content.as_str(), root.1.as_str()), ("<A xmlns=\"urn:x\"/>", "A"));
    }
}
