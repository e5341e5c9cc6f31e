//! Files of a message: their headers among what its sender signs, their bytes beside it.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Version;
use crate::codec::node::{Node, Sequence};
use crate::codec::xml::is_ncname;

/// Most files in a message, or in the store beside it.
const MOST_FILES: usize = 1000;

/// Most characters of a value that the schema does not bound.
const LONGEST: usize = 1000;

/// A file in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Its id in the message.
    pub id: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A file in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileReference {
    /// Id of its folder.
    pub uuid: String,
    /// Base64 of the Streebog hash of its bytes, as written.
    pub hash: String,
    /// Detached PKCS#7 over it, DER.
    pub signature: Option<Vec<u8>>,
}

/// What every sender's data hold.
#[derive(Default)]
pub(super) struct Files {
    /// Headers of files in the message.
    pub headers: Vec<String>,
    /// Files in the store.
    pub references: Vec<FileReference>,
}

/// Headers of files, in the message and in the store.
pub(super) fn files(version: Version, fields: &mut Sequence<'_, '_>) -> Files {
    let basic = version.basic();
    let mut files = Files::default();
    if let Some(list) = fields.optional(basic, "AttachmentHeaderList") {
        let mut headers = fields.inside(list);
        while let Some(node) = headers.optional(basic, "AttachmentHeader") {
            files.headers.extend(header(version, headers.inside(node)));
        }
        some(&mut headers, list);
        headers.finish();
    }
    if let Some(list) = fields.optional(basic, "RefAttachmentHeaderList") {
        let mut headers = fields.inside(list);
        while let Some(node) = headers.optional(basic, "RefAttachmentHeader") {
            files.references.extend(reference(version, headers.inside(node)));
        }
        some(&mut headers, list);
        headers.finish();
    }
    if files.headers.len() + files.references.len() > MOST_FILES {
        fields.flaw(fields.place(), format!("Файлов не более {MOST_FILES}"));
    }
    files
}

/// Id of a file in the message.
fn header(version: Version, mut fields: Sequence<'_, '_>) -> Option<String> {
    let id = fields.required(version.basic(), "contentId");
    let id = id.and_then(|node| fields.text(node, LONGEST));
    namespace(version, &mut fields);
    kind(version, &mut fields);
    signature(version, &mut fields);
    archive(version, &mut fields);
    fields.finish();
    id.map(str::to_owned)
}

fn reference(version: Version, mut fields: Sequence<'_, '_>) -> Option<FileReference> {
    let basic = version.basic();
    let uuid = fields.required(basic, "uuid").and_then(|node| fields.text(node, LONGEST));
    if version == Version::V13 {
        fields.optional(basic, "FileName").and_then(|node| fields.text(node, LONGEST));
    }
    namespace(version, &mut fields);
    let hash = fields.required(basic, "Hash").and_then(|node| fields.text(node, LONGEST));
    kind(version, &mut fields);
    let signature = signature(version, &mut fields);
    archive(version, &mut fields);
    fields.finish();
    Some(FileReference { uuid: uuid?.to_owned(), hash: hash?.to_owned(), signature })
}

/// Namespace of a file's content, of which 1.3 alone knows, as it does of names and archives.
fn namespace(version: Version, fields: &mut Sequence<'_, '_>) {
    if version == Version::V13
        && let Some(node) = fields.optional(version.basic(), "NamespaceUri")
    {
        fields.text(node, LONGEST);
    }
}

/// Judges the kind of a file, which its receiver is told as it stands.
fn kind(version: Version, fields: &mut Sequence<'_, '_>) {
    const FAMILIES: [&str; 5] = ["text", "image", "audio", "video", "application"];
    let Some(node) = fields.required(version.basic(), "MimeType") else { return };
    let Some(written) = fields.exact(node, LONGEST) else { return };
    let usual = |c: char| c.is_ascii_alphanumeric() || "-+.".contains(c);
    let right = written
        .split_once('/')
        .is_some_and(|(family, kind)| FAMILIES.contains(&family) && kind.chars().all(usual));
    if !right {
        let families = FAMILIES.join(", ");
        let text = format!("MimeType — {families}, затем /, латинские буквы, цифры, -, + и точка");
        fields.flaw(node.place, text);
    }
}

/// PKCS#7 of a file.
fn signature(version: Version, fields: &mut Sequence<'_, '_>) -> Option<Vec<u8>> {
    let node = fields.optional(version.basic(), "SignaturePKCS7")?;
    base64(fields, node)
}

/// Judges what is said of a file that is an archive.
fn archive(version: Version, fields: &mut Sequence<'_, '_>) {
    let basic = version.basic();
    if version != Version::V13 {
        return;
    }
    let Some(list) = fields.optional(basic, "Archive") else { return };
    let mut files = fields.inside(list);
    let mut count = 0;
    while let Some(node) = files.optional(basic, "File") {
        count += 1;
        let mut file = files.inside(node);
        for name in ["Name", "NamespaceUri"] {
            if let Some(node) = file.required(basic, name) {
                file.text(node, LONGEST);
            }
        }
        file.finish();
    }
    if count > MOST_FILES {
        files.flaw(list.place, format!("Файлов в Archive не более {MOST_FILES}"));
    }
    some(&mut files, list);
    files.finish();
}

/// Notes a list in which nothing stands.
fn some(items: &mut Sequence<'_, '_>, list: &Node) {
    if list.children.is_empty() {
        items.flaw(list.place, format!("Список {} пуст; без файлов его не нужно", list.local));
    }
}

/// Files in the message.
pub(in crate::codec::smev3) fn attachments(
    version: Version,
    parts: &mut Sequence<'_, '_>,
) -> Vec<Attachment> {
    let basic = version.basic();
    let Some(list) = parts.optional(basic, "AttachmentContentList") else { return Vec::new() };
    let mut inside = parts.inside(list);
    let mut found = Vec::new();
    while let Some(node) = inside.optional(basic, "AttachmentContent") {
        let mut fields = inside.inside(node);
        let id = fields.required(basic, "Id").and_then(|node| file_id(&mut fields, node));
        let content = fields.required(basic, "Content");
        let bytes = content.and_then(|node| base64(&mut fields, node));
        fields.finish();
        found.extend(id.zip(bytes).map(|(id, bytes)| Attachment { id: id.to_owned(), bytes }));
    }
    if found.len() > MOST_FILES {
        inside.flaw(list.place, format!("Файлов не более {MOST_FILES}"));
    }
    some(&mut inside, list);
    inside.finish();
    found
}

/// An Id of a file: a name, which may begin with a digit, as many do that the exchange carries.
fn file_id<'n>(fields: &mut Sequence<'_, '_>, node: &'n Node) -> Option<&'n str> {
    let id = fields.filled(node, LONGEST)?;
    let behind_digit = id.starts_with(|c: char| c.is_ascii_digit()).then(|| format!("_{id}"));
    if is_ncname(behind_digit.as_deref().unwrap_or(id)) {
        return Some(id);
    }
    fields.flaw(node.place, "Id вложения начинается с буквы, цифры или подчёркивания; дальше буквы, цифры, точка, дефис");
    None
}

/// Notes Ids of files that stand twice in the message.
pub(super) fn unambiguous(parts: &mut Sequence<'_, '_>, data: Option<&Node>, files: &[Attachment]) {
    let signed = data.and_then(|data| data.attribute("Id")).map(str::trim);
    let mut taken: HashSet<&str> = signed.into_iter().collect();
    for file in files {
        if !taken.insert(&file.id) {
            parts.flaw(parts.place(), format!("Id вложения {} уже есть в сообщении", file.id));
        }
    }
}

fn base64(fields: &mut Sequence<'_, '_>, node: &Node) -> Option<Vec<u8>> {
    let packed: String = fields.exact(node, usize::MAX)?.split_ascii_whitespace().collect();
    let bytes = STANDARD.decode(packed).ok();
    if bytes.is_none() {
        fields.flaw(node.place, format!("{} — не base64", node.local));
    }
    bytes
}
