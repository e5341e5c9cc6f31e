//! Places of a document as paths.

use super::{Profile, Source, envelope, whole};
use crate::codec::shape::Path;
use crate::codec::xml::{Event, Limits, Reader, Transcoder};
use crate::model::refusal::Place;

/// The path of the element at a place: `/Envelope[1]/Body[1]`, local names only. Nothing where the
/// document cannot be read as far as that.
pub fn xpath(profile: &Profile, source: Source<'_>, place: Place) -> Option<String> {
    if profile.is_whole() {
        let document = Transcoder::new((source.open)().ok()?);
        return Some(path_to(document, envelope().limits, place.offset));
    }
    let document = whole(source.open).ok()?;
    Some(path_to(document.as_slice(), profile.limits(), place.offset))
}

/// The path of a place that is known by its names only.
pub fn named(path: &Path) -> String {
    path.iter().fold(String::new(), |text, (_, local)| text + "/" + local)
}

fn path_to(document: impl std::io::Read, limits: Limits, offset: u64) -> String {
    let mut reader = Reader::new(document, Limits { comments: true, ..limits });
    // Of each open element: its step, and how many children of each name it has had.
    let mut open: Vec<(String, Vec<(String, usize)>)> = vec![(String::new(), Vec::new())];
    let mut ended = false;
    // What is wrong with the document comes after the place, or is at it.
    while let Ok(event) = reader.next() {
        let beyond = match &event {
            Event::Start(start) => start.place().offset > offset,
            Event::End(end) => end.place().offset > offset,
            Event::Text(_) | Event::Instruction(_) => false,
            Event::Eof => true,
        };
        if beyond {
            break;
        }
        if std::mem::take(&mut ended) && open.len() > 1 {
            open.pop();
        }
        match event {
            Event::Start(start) => {
                let name = start.local().to_owned();
                let step = open.last_mut().map_or(1, |(_, seen)| count(seen, &name));
                open.push((format!("{name}[{step}]"), Vec::new()));
            }
            Event::End(_) => ended = true,
            Event::Text(_) | Event::Instruction(_) | Event::Eof => {}
        }
    }
    open.iter().skip(1).fold(String::new(), |text, (step, _)| text + "/" + step)
}

/// Counts a child; gives its number among those of its name.
fn count(seen: &mut Vec<(String, usize)>, name: &str) -> usize {
    if let Some((_, number)) = seen.iter_mut().find(|(known, _)| known == name) {
        *number += 1;
        return *number;
    }
    // Of a record's neighbours only so many names are kept: past them the first number is told.
    if seen.len() < 64 {
        seen.push((name.to_owned(), 1));
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_the_path_of_the_element_that_begins_there_or_is_open_there() {
        let document = "<a><b/><b><c>x</c></b><d/></a>";
        let path = |at: &str| {
            let offset = document.find(at).unwrap() as u64;
            path_to(document.as_bytes(), Limits::default(), offset)
        };
        assert_eq!(path("<c>"), "/a[1]/b[2]/c[1]");
        assert_eq!(path("x"), "/a[1]/b[2]/c[1]");
        assert_eq!(path("<d/>"), "/a[1]/d[1]");
    }
}
