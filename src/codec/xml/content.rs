//! Between and around tags: text, CDATA, comments, end tags, the XML declaration.

use memchr::memmem;

use super::XmlError;
use super::chars::{is_blank, is_ncname, plain_length};
use super::reader::{Core, Found, Stage};
use super::tag::Stop;
use crate::model::refusal::RefusalCode;

/// Longest XML declaration.
const MAX_DECLARATION: usize = 256;

impl Core {
    /// Looks at what stands at the window's position. `None`: something that is no event.
    pub(super) fn scan(&mut self) -> Result<Option<Found>, Stop> {
        let at = self.window.pos;
        self.event = at;
        match self.stage {
            Stage::Content => {
                let Some(&byte) = self.window.text.as_bytes().get(at) else {
                    return Err(Stop::More);
                };
                if byte == b'<' { self.markup(at) } else { self.text(at).map(Some) }
            }
            Stage::Cdata => self.cdata(at),
            Stage::Fresh => self.declaration().map(|()| None),
            Stage::Prolog | Stage::Epilog => {
                let from = match self.blanks(at) {
                    Ok(from) => from,
                    Err(stop) => {
                        self.window.pos = self.window.text.len();
                        return Err(stop);
                    }
                };
                self.window.pos = from;
                self.event = from;
                self.begun = true;
                if self.window.text.as_bytes()[from] == b'<' {
                    return self.markup(from);
                }
                Err(self.error(RefusalCode::XmlMalformed, from).into())
            }
        }
    }

    /// Reads what begins with `<`.
    fn markup(&mut self, at: usize) -> Result<Option<Found>, Stop> {
        let bytes = self.window.text.as_bytes();
        match bytes.get(at + 1) {
            None => Err(Stop::More),
            Some(b'/') => self.end_tag(at).map(Some),
            Some(b'!') => self.bang(at).map(|()| None),
            Some(b'?') => self.processing(at).map(Some),
            Some(_) if self.stage == Stage::Epilog => {
                Err(self.error(RefusalCode::XmlMalformed, at).into())
            }
            Some(_) => {
                let end = self.start_tag(at)?;
                if end - at > self.limits.token {
                    return Err(self.error(RefusalCode::XmlToken, at).into());
                }
                self.window.pos = end;
                self.run = 0;
                self.stage = Stage::Content;
                self.empty = self.tag.empty;
                self.verbatim = self.tag.canonical && !self.empty;
                Ok(Some(Found::Start))
            }
        }
    }

    /// Reads a processing instruction.
    fn processing(&mut self, at: usize) -> Result<Found, Stop> {
        if let Some(code) = self.no_markup {
            return Err(self.error(code, at).into());
        }
        if self.instructions >= self.limits.instructions {
            return Err(self.error(RefusalCode::XmlPi, at).into());
        }
        let inside = &self.window.text[at + 2..];
        let length = memmem::find(inside.as_bytes(), b"?>").ok_or(Stop::More)?;
        let (target, _) = split_instruction(&inside[..length]);
        if !is_ncname(target) || target.eq_ignore_ascii_case("xml") {
            return Err(self.error(RefusalCode::XmlMalformed, at).into());
        }
        if length > self.limits.token {
            return Err(self.error(RefusalCode::XmlToken, at).into());
        }
        self.instructions += 1;
        self.verbatim = false;
        self.text_end = at + 4 + length;
        self.window.pos = self.text_end;
        self.run = 0;
        Ok(Found::Instruction)
    }

    /// Target and data of the processing instruction that was found last.
    pub(super) fn instruction(&self) -> (&str, &str) {
        split_instruction(&self.window.text[self.event + 2..self.text_end - 2])
    }

    fn end_tag(&mut self, at: usize) -> Result<Found, Stop> {
        let open = self.open_name();
        let rest = &self.window.text.as_bytes()[at + 2..];
        if rest.len() <= open.len() {
            return Err(Stop::More);
        }
        if open.is_empty() || !rest.starts_with(open.as_bytes()) {
            return Err(self.error(RefusalCode::XmlMalformed, at).into());
        }
        let mut end = at + 2 + open.len();
        self.verbatim = self.window.text.as_bytes()[end] == b'>';
        if !self.verbatim {
            end = self.blanks(end)?;
            if self.window.text.as_bytes()[end] != b'>' {
                return Err(self.error(RefusalCode::XmlMalformed, at).into());
            }
        }
        self.window.pos = end + 1;
        self.run = 0;
        self.closing = true;
        Ok(Found::End)
    }

    /// Skips a comment, enters a CDATA section, refuses a document type.
    fn bang(&mut self, at: usize) -> Result<(), Stop> {
        let rest = &self.window.text.as_bytes()[at..];
        let begins = |with: &[u8]| rest.len() < with.len() && with.starts_with(rest);
        if rest.starts_with(b"<!--") {
            if let Some(code) = self.no_markup {
                return Err(self.error(code, at).into());
            }
            if !self.limits.comments {
                return Err(self.error(RefusalCode::XmlComment, at).into());
            }
            let dashes = memmem::find(&rest[4..], b"--").ok_or(Stop::More)? + 4;
            match rest.get(dashes + 2) {
                None => return Err(Stop::More),
                Some(b'>') => self.window.pos = at + dashes + 3,
                Some(_) => return Err(self.error(RefusalCode::XmlMalformed, at + dashes).into()),
            }
            return Ok(());
        }
        if rest.starts_with(b"<![CDATA[") && self.stage == Stage::Content {
            if let Some(code) = self.no_markup {
                return Err(self.error(code, at).into());
            }
            self.window.pos = at + 9;
            self.stage = Stage::Cdata;
            return Ok(());
        }
        if rest.starts_with(b"<!DOCTYPE") {
            return Err(self.error(RefusalCode::XmlDtd, at).into());
        }
        if begins(b"<!--") || begins(b"<![CDATA[") || begins(b"<!DOCTYPE") {
            return Err(Stop::More);
        }
        Err(self.error(RefusalCode::XmlMalformed, at).into())
    }

    /// Hands out a piece of a CDATA section.
    fn cdata(&mut self, at: usize) -> Result<Option<Found>, Stop> {
        self.verbatim = false;
        let text = &self.window.text;
        let end = if let Some(length) = memmem::find(&text.as_bytes()[at..], b"]]>") {
            self.stage = Stage::Content;
            self.window.pos = at + length + 3;
            at + length
        } else {
            let end = text.floor_char_boundary(text.len().saturating_sub(2));
            if end <= at {
                return Err(Stop::More);
            }
            self.window.pos = end;
            end
        };
        self.count_text(end - at)?;
        self.text_end = end;
        Ok((end > at).then_some(Found::Text))
    }

    fn count_text(&mut self, bytes: usize) -> Result<(), XmlError> {
        self.run += bytes as u64;
        if self.run > self.limits.text {
            return Err(self.error(RefusalCode::XmlToken, self.event));
        }
        Ok(())
    }

    /// Hands out text up to the next tag, reference or end of the window.
    fn text(&mut self, at: usize) -> Result<Found, Stop> {
        let bytes = self.window.text.as_bytes();
        let mut end = at;
        self.verbatim = true;
        loop {
            end += plain_length(&bytes[end..]);
            match bytes.get(end) {
                Some(b'>') if bytes[at..end].ends_with(b"]]") => {
                    return Err(self.error(RefusalCode::XmlMalformed, end - 2).into());
                }
                Some(b'>') => {
                    self.verbatim = false;
                    end += 1;
                }
                Some(b'&') if end == at => return self.references(at),
                Some(_) => break,
                None => {
                    // Brackets wait for what follows them.
                    let brackets = |byte: &&u8| **byte == b']';
                    end -= bytes[at..end].iter().rev().take(2).take_while(brackets).count();
                    if end == at {
                        return Err(Stop::More);
                    }
                    break;
                }
            }
        }
        self.window.pos = end;
        self.text_end = end;
        self.count_text(end - at)?;
        Ok(Found::Text)
    }

    /// Hands out the characters that adjoining references stand for.
    fn references(&mut self, at: usize) -> Result<Found, Stop> {
        self.verbatim = false;
        self.scratch.clear();
        let mut end = at;
        while self.window.text.as_bytes().get(end) == Some(&b'&') {
            match self.reference_at(end) {
                Ok((character, after)) => {
                    self.scratch.push(character);
                    end = after;
                }
                Err(Stop::More) if end > at => break,
                Err(stop) => return Err(stop),
            }
        }
        self.window.pos = end;
        self.count_text(end - at)?;
        Ok(Found::Resolved)
    }

    /// Reads the XML declaration, when there is one.
    fn declaration(&mut self) -> Result<(), Stop> {
        const OPENING: &[u8] = b"<?xml";
        let bytes = self.window.text.as_bytes();
        if bytes.len() <= OPENING.len() && OPENING.starts_with(bytes) {
            return Err(Stop::More);
        }
        self.stage = Stage::Prolog;
        if !bytes.starts_with(OPENING) || !is_blank(bytes[OPENING.len()]) {
            return Ok(());
        }
        let near = &bytes[..bytes.len().min(MAX_DECLARATION)];
        let Some(end) = memmem::find(near, b"?>") else {
            if near.len() < MAX_DECLARATION {
                self.stage = Stage::Fresh;
                return Err(Stop::More);
            }
            return Err(self.error(RefusalCode::XmlMalformed, 0).into());
        };
        let inside = &self.window.text[OPENING.len()..end];
        judge_declaration(inside, self.window.marked).map_err(|code| self.error(code, 0))?;
        self.begun = true;
        self.window.pos = end + 2;
        Ok(())
    }
}

/// Splits what stands between `<?` and `?>`.
fn split_instruction(inside: &str) -> (&str, &str) {
    let blanks: &[char] = &[' ', '\t', '\n'];
    match inside.split_once(blanks) {
        Some((target, data)) => (target, data.trim_start_matches(blanks)),
        None => (inside, ""),
    }
}

/// Judges what stands between `<?xml` and `?>`; `marked` when a UTF-8 byte order mark came first.
fn judge_declaration(mut rest: &str, marked: bool) -> Result<(), RefusalCode> {
    let mut expected = ["version", "encoding", "standalone"].iter();
    let mut versioned = false;
    loop {
        let trimmed = rest.trim_start_matches([' ', '\t', '\n']);
        if trimmed.is_empty() {
            return if versioned { Ok(()) } else { Err(RefusalCode::XmlMalformed) };
        }
        let (name, value, after) = pseudo_attribute(trimmed).ok_or(RefusalCode::XmlMalformed)?;
        if trimmed.len() == rest.len() || !expected.any(|&expected| expected == name) {
            return Err(RefusalCode::XmlMalformed);
        }
        match name {
            "version" if value != "1.0" => return Err(RefusalCode::XmlVersion),
            "version" => versioned = true,
            _ if !versioned => return Err(RefusalCode::XmlMalformed),
            "encoding" if !value.eq_ignore_ascii_case("utf-8") && marked => {
                return Err(RefusalCode::XmlEncodingConflict);
            }
            "encoding" if !value.eq_ignore_ascii_case("utf-8") => {
                return Err(RefusalCode::XmlEncoding);
            }
            "standalone" if value != "yes" && value != "no" => {
                return Err(RefusalCode::XmlMalformed);
            }
            _ => {}
        }
        rest = after;
    }
}

/// Splits `name="value"` off; gives name, value and the rest.
fn pseudo_attribute(text: &str) -> Option<(&str, &str, &str)> {
    let blanks: &[char] = &[' ', '\t', '\n'];
    let (name, rest) = text.split_once('=')?;
    let rest = rest.trim_start_matches(blanks);
    let quote = rest.chars().next().filter(|&quote| quote == '"' || quote == '\'')?;
    let (value, after) = rest[1..].split_once(quote)?;
    Some((name.trim_end_matches(blanks), value, after))
}
