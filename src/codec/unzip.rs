//! Reads the one XML file of a zip archive as a stream, from its first byte to its last.
//!
//! The `zip` crate cannot stream entries whose sizes follow the data, which is what Java's
//! `ZipOutputStream` writes; and nothing but one flat entry is ever needed here. The central
//! directory, met at the end, must tell the same story as the local header and the data.

use std::io::{self, Read};

use flate2::{Crc, bufread::DeflateDecoder};

use crate::{
    codec::inflate::{Inflating, Source, broken},
    model::refusal::{Refusal, RefusalCode},
};

/// Longest possible rest after the data: descriptor, directory entry with name, extra field and
/// comment, zip64 records, and the archive's comment.
const TAIL_BYTES: u64 = 24 + 46 + 4 * 65_536 + 56 + 20 + 22;

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;

/// Flag: sizes and checksum follow the data.
const DESCRIBED: u16 = 1 << 3;
/// Flags: encrypted, strongly encrypted, patched, masked headers.
const FORBIDDEN: u16 = 1 | 1 << 5 | 1 << 6 | 1 << 13;

/// A zip archive that yields the content of its only entry.
pub(crate) struct Unzip {
    stage: Stage,
    crc: Crc,
    taken: u64,
}

enum Stage {
    Start(Source),
    Stored(Entry, io::Take<Source>),
    Deflated(Entry, Box<DeflateDecoder<Source>>),
    /// Read to its end, or broken.
    Over,
}

/// What the local header says.
struct Entry {
    name: Vec<u8>,
    method: u16,
    described: bool,
    told: Told,
}

/// Checksum and sizes, as told in one place or as found.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Told {
    crc: u32,
    packed: u64,
    size: u64,
}

impl Unzip {
    pub(crate) fn new(source: Source) -> Self {
        Self { stage: Stage::Start(source), crc: Crc::new(), taken: 0 }
    }

    /// Checks the end of the archive against what was read.
    fn finish(&self, entry: &Entry, packed: u64, size: u64, source: Source) -> io::Result<()> {
        let found = Told { crc: self.crc.sum(), packed, size };
        if !entry.described && entry.told.crc != found.crc {
            return Err(Refusal::new(RefusalCode::Compression)
                .detail("контрольная сумма CRC-32 не совпадает")
                .into());
        }
        if !entry.described && entry.told != found {
            return Err(refused("размер не совпадает с заголовком"));
        }
        let mut tail = Vec::new();
        source.take(TAIL_BYTES + 1).read_to_end(&mut tail)?;
        let mut tail = tail.as_slice();
        if entry.described {
            tail = after_descriptor(tail, found)
                .ok_or_else(|| refused("описатель данных не совпадает с данными"))?;
        }
        check_directory(tail, entry, found).map_err(refused)
    }
}

impl Inflating for Unzip {
    fn taken(&self) -> u64 {
        self.taken
    }
}

impl Read for Unzip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match std::mem::replace(&mut self.stage, Stage::Over) {
                Stage::Over => return Ok(0),
                Stage::Start(mut source) => {
                    let entry = local_header(&mut source)
                        .map_err(|error| broken(error, "архив оборван"))?;
                    self.stage = match entry.method {
                        0 => {
                            let packed = entry.told.packed;
                            Stage::Stored(entry, source.take(packed))
                        }
                        _ => Stage::Deflated(entry, Box::new(DeflateDecoder::new(source))),
                    };
                }
                Stage::Stored(entry, mut data) => {
                    let count = data.read(buffer)?;
                    self.taken = data.get_ref().get_ref().taken;
                    self.crc.update(&buffer[..count]);
                    if count == 0 {
                        let size = entry.told.packed - data.limit();
                        self.finish(&entry, size, size, data.into_inner())?;
                        return Ok(0);
                    }
                    self.stage = Stage::Stored(entry, data);
                    return Ok(count);
                }
                Stage::Deflated(entry, mut data) => {
                    let count = data.read(buffer)?;
                    self.taken = data.get_ref().get_ref().taken;
                    self.crc.update(&buffer[..count]);
                    if count == 0 {
                        let (packed, size) = (data.total_in(), data.total_out());
                        self.finish(&entry, packed, size, data.into_inner())?;
                        return Ok(0);
                    }
                    self.stage = Stage::Deflated(entry, data);
                    return Ok(count);
                }
            }
        }
    }
}

fn local_header(source: &mut Source) -> io::Result<Entry> {
    let mut fixed = [0; 30];
    source.read_exact(&mut fixed[..4])?;
    match u32_at(&fixed, 0) {
        Some(LOCAL) => source.read_exact(&mut fixed[4..])?,
        Some(END) => return Err(refused("архив пуст")),
        _ => return Err(refused("это не архив zip")),
    }
    let [flags, method, name_len, extra_len] =
        [6, 8, 26, 28].map(|at| u16::from_le_bytes([fixed[at], fixed[at + 1]]));
    let mut name = vec![0; usize::from(name_len)];
    source.read_exact(&mut name)?;
    let mut extra = vec![0; usize::from(extra_len)];
    source.read_exact(&mut extra)?;
    let described = flags & DESCRIBED != 0;
    if flags & FORBIDDEN != 0 {
        return Err(refused("шифрование не поддерживается"));
    }
    if !matches!(method, 0 | 8) || (method == 0 && described) {
        return Err(refused("способ сжатия внутри архива не поддерживается: нужен deflate"));
    }
    if !plain_xml_name(&name) {
        return Err(refused("имя файла должно быть без пути и оканчиваться на .xml"));
    }
    let told = told(&fixed, 14, &extra).ok_or_else(|| refused("заголовок zip64 повреждён"))?;
    Ok(Entry { name, method, described, told })
}

/// Whether the name is one file name, without anything that some system reads as a path.
fn plain_xml_name(name: &[u8]) -> bool {
    let plain = name.iter().all(|&byte| byte >= 0x20 && !b"/\\:*?\"<>|\x7f".contains(&byte));
    let stem = name.len().checked_sub(4).and_then(|at| name.split_at_checked(at));
    plain && stem.is_some_and(|(stem, end)| !stem.is_empty() && end.eq_ignore_ascii_case(b".xml"))
}

/// Checksum and sizes at `at` of a header, from the zip64 field where the header points there.
fn told(header: &[u8], at: usize, extra: &[u8]) -> Option<Told> {
    let crc = u32_at(header, at)?;
    let (packed, size) = (u32_at(header, at + 4)?, u32_at(header, at + 8)?);
    let mut wide = zip64(extra);
    let size = widen(size, &mut wide)?;
    let packed = widen(packed, &mut wide)?;
    Some(Told { crc, packed, size })
}

fn widen(value: u32, wide: &mut &[u8]) -> Option<u64> {
    if value != u32::MAX {
        return Some(value.into());
    }
    let (first, rest) = wide.split_first_chunk::<8>()?;
    *wide = rest;
    Some(u64::from_le_bytes(*first))
}

/// The body of the zip64 extra field, empty if there is none.
fn zip64(mut extra: &[u8]) -> &[u8] {
    while let (Some(id), Some(length)) = (u16_at(extra, 0), u16_at(extra, 2)) {
        let Some((field, rest)) = extra[4..].split_at_checked(length.into()) else { break };
        if id == 1 {
            return field;
        }
        extra = rest;
    }
    &[]
}

/// What follows the data descriptor, in whichever of its four forms it says what was found.
fn after_descriptor(tail: &[u8], found: Told) -> Option<&[u8]> {
    let narrow = |value: u64| u32::try_from(value).ok().map(u32::to_le_bytes);
    let mut forms = vec![
        [&found.crc.to_le_bytes()[..], &found.packed.to_le_bytes(), &found.size.to_le_bytes()]
            .concat(),
    ];
    if let (Some(packed), Some(size)) = (narrow(found.packed), narrow(found.size)) {
        forms.push([found.crc.to_le_bytes(), packed, size].concat());
    }
    let bare = tail.strip_prefix(&DESCRIPTOR.to_le_bytes());
    [bare, Some(tail)].into_iter().flatten().find_map(|tail| {
        forms.iter().find_map(|form| {
            tail.strip_prefix(form.as_slice()).filter(|rest| u32_at(rest, 0) == Some(CENTRAL))
        })
    })
}

/// Checks that the rest is a directory of this entry only.
fn check_directory(tail: &[u8], entry: &Entry, found: Told) -> Result<(), &'static str> {
    let torn = "оглавление архива оборвано";
    match u32_at(tail, 0) {
        Some(CENTRAL) => {}
        Some(LOCAL) => return Err("в архиве больше одного файла"),
        _ => return Err("после данных нет оглавления архива"),
    }
    let header = tail.get(..46).ok_or(torn)?;
    let lengths = [28, 30, 32].map(|at| u16_at(header, at).map_or(0, usize::from));
    let (name, rest) = tail[46..].split_at_checked(lengths[0]).ok_or(torn)?;
    let (extra, rest) = rest.split_at_checked(lengths[1]).ok_or(torn)?;
    let (_, rest) = rest.split_at_checked(lengths[2]).ok_or(torn)?;
    let same = u16_at(header, 10) == Some(entry.method)
        && name == entry.name
        && told(header, 16, extra) == Some(found);
    if !same {
        return Err("оглавление архива расходится с его содержимым");
    }
    let unix_type = u32_at(header, 38).map_or(0, |attributes| (attributes >> 28) & 0xf);
    if !matches!(unix_type, 0 | 8) {
        return Err("в архиве не обычный файл");
    }
    check_end(rest)
}

/// Checks the records after the directory's only entry, up to the last byte.
fn check_end(mut rest: &[u8]) -> Result<(), &'static str> {
    let torn = "конец архива повреждён";
    let several = "в архиве больше одного файла";
    if u32_at(rest, 0) == Some(CENTRAL) {
        return Err(several);
    }
    if u32_at(rest, 0) == Some(END_64) {
        let length = rest.get(4..12).and_then(|bytes| bytes.try_into().ok()).ok_or(torn)?;
        let length = usize::try_from(u64::from_le_bytes(length)).map_err(|_| torn)?;
        let (record, after) = rest
            .split_at_checked(length.checked_add(12).ok_or(torn)?)
            .filter(|(record, _)| record.len() >= 56)
            .ok_or(torn)?;
        if record[24..40] != [1_u64.to_le_bytes(), 1_u64.to_le_bytes()].concat() {
            return Err(several);
        }
        if u32_at(after, 0) != Some(LOCATOR_64) {
            return Err(torn);
        }
        rest = after.get(20..).ok_or(torn)?;
    }
    let (end, comment) = rest.split_at_checked(22).ok_or(torn)?;
    if u32_at(end, 0) != Some(END) || u16_at(end, 20).map(usize::from) != Some(comment.len()) {
        return Err(torn);
    }
    match (u16_at(end, 4), u16_at(end, 8), u16_at(end, 10)) {
        (Some(0 | u16::MAX), Some(1 | u16::MAX), Some(1 | u16::MAX)) => Ok(()),
        _ => Err(several),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn refused(detail: &str) -> io::Error {
    Refusal::new(RefusalCode::ZipStructure).detail(detail).into()
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

    use super::*;
    use crate::codec::inflate::{Encoding, Limits, open, refusal_of};

    const XML: &[u8] = b"<Package>0123456789 0123456789 0123456789</Package>";

    fn archive(entries: &[&str], options: SimpleFileOptions) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for name in entries {
            writer.start_file(*name, options).unwrap();
            writer.write_all(XML).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    /// What a writer makes that cannot seek back: sizes after the data, as Java does.
    fn streamed(entries: &[&str]) -> Vec<u8> {
        let mut writer = ZipWriter::new_stream(Vec::new());
        for name in entries {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(XML).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn check(bytes: Vec<u8>) -> Result<Vec<u8>, &'static str> {
        let mut out = Vec::new();
        let mut reader = open(Encoding::Zip, Box::new(Cursor::new(bytes)), Limits::default());
        match reader.read_to_end(&mut out) {
            Ok(_) => Ok(out),
            Err(error) => Err(refusal_of(&error).expect("a refusal").code.as_str()),
        }
    }

    #[test]
    fn one_file_comes_out_whole() {
        let plain = SimpleFileOptions::default();
        assert_eq!(check(archive(&["a.xml"], plain)), Ok(XML.to_vec()));
        assert_eq!(check(archive(&["пакет.XML"], plain)), Ok(XML.to_vec()));
        let stored = plain.compression_method(CompressionMethod::Stored);
        assert_eq!(check(archive(&["a.xml"], stored)), Ok(XML.to_vec()));
        assert_eq!(check(archive(&["a.xml"], plain.large_file(true))), Ok(XML.to_vec()));
        assert_eq!(check(streamed(&["a.xml"])), Ok(XML.to_vec()));
    }

    #[test]
    fn other_shapes_are_refused() {
        let plain = SimpleFileOptions::default();
        for names in [
            &["a.xml", "b.xml"][..],
            &["../a.xml"],
            &["/a.xml"],
            &["d\\a.xml"],
            &["c:a.xml"],
            &[".xml"],
            &["a.txt"],
            &[],
        ] {
            assert_eq!(check(archive(names, plain)), Err("ZIP_STRUCTURE"), "{names:?}");
        }
        assert_eq!(check(streamed(&["a.xml", "b.xml"])), Err("ZIP_STRUCTURE"));
        let mut link = ZipWriter::new(Cursor::new(Vec::new()));
        link.add_symlink("a.xml", "/etc/passwd", plain).unwrap();
        assert_eq!(check(link.finish().unwrap().into_inner()), Err("ZIP_STRUCTURE"));
        assert_eq!(check(XML.to_vec()), Err("ZIP_STRUCTURE"));
    }

    #[test]
    fn no_byte_outside_the_times_and_attributes_can_be_changed() {
        let good = archive(&["a.xml"], SimpleFileOptions::default());
        assert_eq!(check([good.clone(), b"x".to_vec()].concat()), Err("ZIP_STRUCTURE"));
        for length in 0..good.len() {
            assert!(check(good[..length].to_vec()).is_err(), "cut at {length}");
        }
        let directory = good.windows(4).position(|at| at == b"PK\x01\x02").unwrap();
        // Versions, flags that mean nothing here, times, attributes, and where the directory
        // starts: nothing hangs on them.
        let idle = |at: usize| match at.checked_sub(directory) {
            None => matches!(at, 4..=7 | 10..=13),
            Some(at) => matches!(at, 4..=9 | 12..=15 | 34..=45 | 57 | 58 | 63..=70),
        };
        for at in (0..good.len()).filter(|&at| !idle(at)) {
            let mut bad = good.clone();
            bad[at] ^= 0x5a;
            let said = check(bad);
            assert!(said.is_err(), "byte {at} of {}: {said:?}", good.len());
        }
    }
}
