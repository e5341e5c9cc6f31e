//! Entry points for fuzzing: each takes any bytes and must neither panic nor take long.

use std::io::{Cursor, Read};

use futures_util::{StreamExt as _, stream};
use kontingent::codec::form::{Form, octets};
use kontingent::codec::inflate::{self, Encoding};
use kontingent::codec::mtom::Related;
use kontingent::codec::shape;
use kontingent::codec::soap::Envelope;
use kontingent::codec::xml::{Event, Limits, Reader, Transcoder};
use kontingent::codec::xmldsig::{self, verify_bytes};

/// The reader, in any encoding.
pub fn reader(data: &[u8]) {
    let limits = Limits { instructions: 10, ..Limits::default() };
    let mut reader = Reader::new(Transcoder::new(data), limits);
    while let Ok(event) = reader.next() {
        if matches!(event, Event::Eof) {
            break;
        }
    }
}

/// Canonicalisation: what is canonical stays as it is.
pub fn canonical(data: &[u8]) {
    let form = Form::default();
    if let Ok(once) = octets(data, &form) {
        assert_eq!(octets(&once, &form).as_deref(), Ok(once.as_slice()), "canonical twice");
    }
}

/// The transform of SMEV: it is the same before canonicalisation and after it.
pub fn transform(data: &[u8]) {
    let smev = Form { smev: true, ..Form::default() };
    if let Ok(direct) = octets(data, &smev) {
        let canonical =
            octets(data, &Form::default()).expect("what has the one form has the other");
        assert_eq!(octets(&canonical, &smev), Ok(direct));
    }
}

/// Signatures: enveloped, and the shapes of messages.
pub fn signature(data: &[u8]) {
    let _ = verify_bytes(data, xmldsig::Envelope::package(Limits::default()));
    let at = chrono::DateTime::UNIX_EPOCH;
    for plan in [shape::smev3(data), shape::smev2(data, at)].into_iter().flatten() {
        for spot in plan.spots {
            let _ = spot.verify(data, shape::limits());
        }
    }
}

/// A SOAP envelope.
pub fn soap(data: &[u8]) {
    if let Ok(mut envelope) = Envelope::open(data, Limits::default(), &[]) {
        let _ = envelope.reader().skip_element();
        let _ = envelope.finish();
    }
}

/// A multipart message with an envelope and an attachment, coming in small pieces.
pub fn mime(data: &[u8]) {
    let kind = "multipart/related; type=\"application/xop+xml\"; boundary=b; start=\"<r>\"";
    let kind: mime::Mime = kind.parse().expect("a content type");
    let pieces: Vec<_> = data.chunks(7).map(|piece| Ok(piece.to_vec().into())).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut related = Related::new(&kind, stream::iter(pieces)).expect("the type is right");
        if related.root().await.is_ok()
            && let Ok(attachment) = related.attachment("a").await
        {
            attachment.for_each(|_| std::future::ready(())).await;
        }
    });
}

/// Compressed documents: gzip and zip.
pub fn zip(data: &[u8]) {
    let limits = inflate::Limits { document_bytes: 1 << 20, ..inflate::Limits::default() };
    for encoding in [Encoding::Gzip, Encoding::Zip] {
        let source = inflate::open(encoding, Box::new(Cursor::new(data.to_vec())), limits);
        let _ = source.take(2 << 20).read_to_end(&mut Vec::new());
    }
}
