//! The entry points of the fuzz targets over a small corpus, broken at random: a short run of what
//! `cargo fuzz run` does for long.

use crate::mutate::Mutator;

#[allow(unreachable_pub, reason = "public to the fuzz targets")]
#[path = "../../fuzz/src/lib.rs"]
mod entry;

/// Documents given to each entry point.
const DOCUMENTS: usize = 1_500;

fn run(name: &str, target: fn(&[u8]), folders: &[&str], wrap: fn(&[u8]) -> Vec<u8>) {
    let mut mutator = Mutator::new(name.len() as u64, folders);
    for _ in 0..DOCUMENTS {
        target(&wrap(&mutator.next()));
    }
}

/// A multipart message whose envelope is the document.
fn multipart(document: &[u8]) -> Vec<u8> {
    let head = b"--b\r\nContent-ID: <r>\r\nContent-Type: application/xop+xml\r\n\r\n";
    [&head[..], document, b"\r\n--b\r\nContent-ID: <a>\r\n\r\nx\r\n--b--\r\n"].concat()
}

#[test]
fn no_entry_point_panics_or_contradicts_itself_on_broken_input() {
    let documents = ["fixtures/hostile/a", "fixtures/hostile/b", "fixtures/xmldsig/valid"];
    let messages = ["fixtures/smev/messages/positive", "fixtures/smev/messages/negative"];
    let forms = ["fixtures/smev/transform", "fixtures/smev/messages/positive"];
    run("reader", entry::reader, &documents, <[u8]>::to_vec);
    run("canonical", entry::canonical, &documents, <[u8]>::to_vec);
    run("transform", entry::transform, &forms, <[u8]>::to_vec);
    run("signature", entry::signature, &documents, <[u8]>::to_vec);
    run("messages", entry::signature, &messages, <[u8]>::to_vec);
    run("soap", entry::soap, &messages, <[u8]>::to_vec);
    run("mime", entry::mime, &messages, multipart);
    run("zip", entry::zip, &documents, <[u8]>::to_vec);
}
