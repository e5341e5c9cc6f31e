//! XOP: parts of a multipart message put back into the envelope as base64, as they were when it was
//! signed. A stack that sends MTOM also takes signatures of files out, which are signed content.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::xml::{Event, Limits, Reader};
use crate::model::refusal::{Refusal, RefusalCode};

/// Namespace of `Include`.
const XOP: &str = "http://www.w3.org/2004/08/xop/include";

/// Replaces each `xop:Include` of an envelope by the base64 text, without line breaks, of the part
/// that `part` gives for its `Content-ID`. Each part may be meant once.
///
/// # Errors
/// What is wrong with the XML; `MIME_STRUCTURE` for an `Include` that has content, refers to no part or to one
/// that was put in already.
pub fn inline(
    envelope: &[u8],
    limits: Limits,
    part: impl Fn(&str) -> Option<Vec<u8>>,
) -> Result<Vec<u8>, Refusal> {
    let mut reader = Reader::new(envelope, limits);
    let mut whole = Vec::with_capacity(envelope.len());
    let (mut copied, mut meant) = (0, Vec::new());
    // Where the `Include` at hand began, and the part that it means.
    let mut include: Option<(usize, String)> = None;
    loop {
        let (event, at) = reader.step()?;
        let place = at.place();
        let here = usize::try_from(place.offset).map_err(|_| RefusalCode::LimitBytes)?;
        let wrong = |what: &str| Refusal::new(RefusalCode::Mime).detail(what).at(place);
        match (&event, &include) {
            (Event::Start(start), None) if start.is(XOP, "Include") => {
                let id = start.attribute("", "href").and_then(content_id);
                include = Some((here, id.ok_or_else(|| wrong("xop:Include без ссылки cid:"))?));
                continue;
            }
            (Event::End(end), Some(_)) if end.is(XOP, "Include") => continue,
            (_, None) => {}
            // The first event after its end tag; nothing may stand inside.
            (Event::End(_) | Event::Text(_), Some((begin, id)))
                if !inside(envelope, *begin, here) =>
            {
                let bytes = part(id).filter(|_| !meant.contains(id));
                let bytes = bytes.ok_or_else(|| wrong("xop:Include не находит своей части"))?;
                whole.extend_from_slice(&envelope[copied..*begin]);
                whole.extend_from_slice(STANDARD.encode(bytes).as_bytes());
                (copied, include) = (here, {
                    meant.push(id.clone());
                    None
                });
            }
            (_, Some(_)) => return Err(wrong("xop:Include не пуст или стоит не один")),
        }
        if matches!(event, Event::Eof) {
            whole.extend_from_slice(&envelope[copied..]);
            return Ok(whole);
        }
    }
}

/// Whether a place is before the end of the `Include` that begins at `begin`.
fn inside(envelope: &[u8], begin: usize, place: usize) -> bool {
    let element = &envelope[begin..place];
    let tags = memchr::memchr_iter(b'<', element).count();
    let empty = element.trim_ascii_end().ends_with(b"/>");
    !(element.trim_ascii_end().ends_with(b">") && (tags == 2 || (tags == 1 && empty)))
}

/// The `Content-ID` of a `cid:` reference, percent-encoding undone.
fn content_id(href: &str) -> Option<String> {
    let encoded = href.strip_prefix("cid:")?.as_bytes();
    let (mut bytes, mut at) = (Vec::new(), 0);
    while let Some(&byte) = encoded.get(at) {
        if byte == b'%' {
            let digits = std::str::from_utf8(encoded.get(at + 1..at + 3)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            at += 3;
        } else {
            bytes.push(byte);
            at += 1;
        }
    }
    String::from_utf8(bytes).ok().filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::shape;

    #[test]
    fn a_message_whose_parts_were_taken_out_is_the_signed_one_again() {
        let path = "fixtures/smev/messages/positive/p17_v11_inline_attachment.xml";
        let signed = std::fs::read_to_string(path).unwrap();
        let between = |name: &str| {
            let open = signed.find(&format!(":{name}>")).unwrap() + name.len() + 2;
            &signed[open..open + signed[open..].find('<').unwrap()]
        };
        let (pkcs7, content) = (between("SignaturePKCS7"), between("Content"));
        let include =
            |id: &str, end: &str| format!("<x:Include xmlns:x=\"{XOP}\" href=\"cid:{id}\"{end}");
        let taken = signed.replace(pkcs7, &include("a%40urn%3Ab", "/>")).replacen(
            content,
            &include("c", "></x:Include>"),
            1,
        );
        assert_ne!(taken, signed);
        let part = |id: &str| match id {
            "a@urn:b" => STANDARD.decode(pkcs7).ok(),
            "c" => STANDARD.decode(content).ok(),
            _ => None,
        };
        let limits = shape::limits();
        let whole = inline(taken.as_bytes(), limits, part).unwrap();
        assert_eq!(String::from_utf8(whole.clone()).unwrap(), signed);
        let plan = shape::smev3(&whole).unwrap();
        assert!(plan.spots.iter().all(|spot| spot.verify(&whole, limits).is_ok()));
        for broken in [
            taken.replace("cid:c", "cid:d"),
            taken.replace("cid:c", "cid:a@urn:b"),
            taken.replace("cid:c", "http://c"),
            taken.replace("></x:Include>", ">text</x:Include>"),
        ] {
            let refused = inline(broken.as_bytes(), limits, part).unwrap_err();
            assert_eq!(refused.code, RefusalCode::Mime, "{broken}");
        }
    }
}
