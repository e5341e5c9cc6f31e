//! The grammar of `ds:Signature`, by expanded names and in order; nothing beside it is let in.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::algorithm::{
    ENVELOPED, EXCLUSIVE, INCLUSIVE, INCLUSIVE_11, SMEV, SignatureAlgorithm, digest_from_uri,
};
use super::child::{Child, Fault, INCLUSIVE_NAMESPACES, TOKEN_LINK, TOKEN_REFERENCE, known_name};
use super::ids::{Ids, identifies};
use super::parsed::{Parsed, Transform};
use super::{DSIG, DigestAlgorithm};
use crate::codec::c14n::{Canonicaliser, Inherited, Method};
use crate::codec::form::{Form, octets_within};
use crate::codec::xml::{Event, Reader};
use crate::model::refusal::{Refusal, RefusalCode};

/// Most transforms looked at in one reference.
const MAX_TRANSFORMS: usize = 3;
/// Most certificates.
const MAX_CERTIFICATES: usize = 5;
/// Longest text of a simple element: a certificate in base64.
const MAX_TEXT: usize = 64 << 10;
/// Longest list of prefixes.
const MAX_PREFIXES: usize = 16;

/// The only kind of token there may be.
const X509_TOKEN: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509v3";
/// Longest name or number in a hint at a certificate, in bytes.
const MOST_WORDS: usize = 4096;

/// Reads one signature from the reader, whose last event was its start.
pub(super) struct Grammar<'r, R> {
    reader: &'r mut Reader<R>,
    ids: &'r mut Ids,
    /// `SignedInfo` as exclusive canonicalisation has it.
    narrow: Option<Canonicaliser<Vec<u8>>>,
    /// The same with every namespace in scope, so that any form can be made of it; attributes of the
    /// prefix `xml` above are not yet in it.
    wide: Option<Canonicaliser<Vec<u8>>>,
    /// Canonicalisation of `SignedInfo`.
    own_method: Method,
    /// Attributes of the prefix `xml` above.
    inherited: &'r Inherited,
    parsed: Draft,
}

/// What has been read so far.
#[derive(Default)]
struct Draft {
    algorithm: Option<SignatureAlgorithm>,
    uri: String,
    transforms: Vec<Transform>,
    digest: DigestAlgorithm,
    digest_value: Vec<u8>,
    certificates: Vec<Vec<u8>>,
    token: Option<String>,
}

impl<R: Read> Grammar<'_, R> {
    /// Reads through the end tag of the signature.
    pub(super) fn read(
        reader: &mut Reader<R>,
        ids: &mut Ids,
        inherited: &Inherited,
    ) -> Result<Parsed, Refusal> {
        reader.refuse_markup(Some(RefusalCode::SigStructure));
        let mut grammar = Grammar {
            reader: &mut *reader,
            ids,
            narrow: None,
            wide: None,
            own_method: Method::default(),
            inherited,
            parsed: Draft::default(),
        };
        let result = grammar.signature();
        let place = grammar.reader.position();
        reader.refuse_markup(None);
        result.map_err(|fault| match fault {
            Fault::Code(code) => Refusal::new(code).at(place),
            Fault::Told(code, what) => Refusal::new(code).at(place).detail(what),
            Fault::Placed(refusal) => refusal,
        })
    }

    fn signature(&mut self) -> Result<Parsed, Fault> {
        self.expect("SignedInfo")?.only_id()?;
        let signed_info = self.signed_info()?;
        self.expect("SignatureValue")?.only_id()?;
        let value = self.base64()?;
        match self.child()? {
            Some(child) if child.name == "KeyInfo" => {
                child.only_id()?;
                self.key_info()?;
            }
            Some(child) => return Err(child.misplaced()),
            None => return Err(Fault::key_info("нет ds:KeyInfo с сертификатом подписанта")),
        }
        self.close()?;
        let draft = std::mem::take(&mut self.parsed);
        Ok(Parsed {
            signed_info,
            algorithm: draft.algorithm.ok_or(RefusalCode::SigStructure)?,
            uri: draft.uri,
            transforms: draft.transforms,
            digest: draft.digest,
            digest_value: draft.digest_value,
            value,
            certificates: draft.certificates,
            token: draft.token,
        })
    }

    /// Reads `SignedInfo`; gives its canonical bytes.
    fn signed_info(&mut self) -> Result<Vec<u8>, Fault> {
        let mut method = self.expect("CanonicalizationMethod")?;
        let algorithm = method.algorithm()?;
        let unknown = || {
            let what = format!("каноническая форма {} не разрешена", brief(&algorithm));
            Fault::told(RefusalCode::SigTransform, what)
        };
        let method = self.method(&algorithm)?.ok_or_else(unknown)?;
        if method == Method::default() {
            self.wide = None;
        }
        self.own_method = method;
        let mut method = self.expect("SignatureMethod")?;
        let algorithm = method.algorithm()?;
        let unknown = |code| Fault::told(code, format!("метод подписи {}", brief(&algorithm)));
        let known = SignatureAlgorithm::from_uri(&algorithm).map_err(unknown)?;
        self.parsed.algorithm = Some(known);
        self.close()?;
        match self.child()? {
            Some(child) if child.name == "Reference" => self.reference(child)?,
            Some(child) => return Err(child.misplaced()),
            None => {
                let what = "в ds:SignedInfo нет ds:Reference";
                return Err(Fault::told(RefusalCode::SigReference, what));
            }
        }
        match self.child()? {
            None => {}
            Some(child) if child.name == "Reference" => {
                let what =
                    "ds:Reference должна быть одна: оставьте ссылку на то, что подписывается";
                return Err(Fault::told(RefusalCode::SigLimit, what));
            }
            Some(child) => return Err(child.misplaced()),
        }
        let narrow = self.narrow.take().map(Canonicaliser::into_sink);
        let wide = self.wide.take().map(Canonicaliser::into_sink);
        match (wide, std::mem::take(&mut self.own_method)) {
            (None, _) => Ok(narrow.unwrap_or_default()),
            (Some(wide), method) => {
                Ok(octets_within(&wide, &Form { method, smev: false }, self.inherited)?)
            }
        }
    }

    /// Reads what a canonicalisation may hold, and the end of its element. `None` for a step of
    /// another kind, of which nothing was read.
    fn method(&mut self, algorithm: &str) -> Result<Option<Method>, Fault> {
        Ok(match algorithm {
            EXCLUSIVE => Some(Method::Exclusive(self.prefixes()?)),
            INCLUSIVE | INCLUSIVE_11 => {
                self.close()?;
                let first = algorithm == INCLUSIVE;
                Some(if first { Method::Inclusive } else { Method::Inclusive11 })
            }
            _ => None,
        })
    }

    fn reference(&mut self, mut reference: Child) -> Result<(), Fault> {
        let absent = || Fault::told(RefusalCode::SigReference, "у ds:Reference нет атрибута URI");
        self.parsed.uri = reference.take("URI").ok_or_else(absent)?;
        reference.take("Id");
        reference.nothing_else()?;
        match self.child()? {
            Some(child) if child.name == "Transforms" => child.nothing_else()?,
            Some(child) if child.name == "DigestMethod" => {
                return Err(Fault::told(
                    RefusalCode::SigTransform,
                    "в ds:Reference нет ds:Transforms",
                ));
            }
            _ => return Err(Fault::structure("ds:Reference начинается с ds:Transforms")),
        }
        while let Some(mut child) = self.child()? {
            if child.name != "Transform" {
                return Err(child.misplaced());
            }
            let algorithm = child.algorithm()?;
            let transform = match (self.method(&algorithm)?, algorithm.as_str()) {
                (Some(method), _) => Transform::Canonical(method),
                (None, ENVELOPED) => Transform::Enveloped,
                (None, SMEV) => Transform::Smev,
                _ => {
                    let what = format!("преобразование {} не разрешено", brief(&algorithm));
                    return Err(Fault::told(RefusalCode::SigTransform, what));
                }
            };
            if self.parsed.transforms.len() >= MAX_TRANSFORMS {
                let what = format!("преобразований больше {MAX_TRANSFORMS}");
                return Err(Fault::told(RefusalCode::SigLimit, what));
            }
            if matches!(transform, Transform::Enveloped | Transform::Smev) {
                self.close()?;
            }
            self.parsed.transforms.push(transform);
        }
        let algorithm = self.expect("DigestMethod")?.algorithm()?;
        let unknown = |code| Fault::told(code, format!("хэш {}", brief(&algorithm)));
        self.parsed.digest = digest_from_uri(&algorithm).map_err(unknown)?;
        self.close()?;
        self.expect("DigestValue")?.nothing_else()?;
        self.parsed.digest_value = self.base64()?;
        self.close()
    }

    /// Reads `InclusiveNamespaces`, when it is there, and the end of the algorithm it belongs to.
    fn prefixes(&mut self) -> Result<Vec<String>, Fault> {
        let Some(mut child) = self.child()? else { return Ok(Vec::new()) };
        if child.name != INCLUSIVE_NAMESPACES {
            return Err(child.misplaced());
        }
        let list = child.take("PrefixList").unwrap_or_default();
        child.nothing_else()?;
        self.close()?;
        self.close()?;
        let prefixes: Vec<String> = list
            .split_ascii_whitespace()
            .map(|prefix| if prefix == "#default" { "" } else { prefix }.to_owned())
            .collect();
        if prefixes.len() > MAX_PREFIXES {
            let what = format!("в PrefixList больше {MAX_PREFIXES} префиксов");
            return Err(Fault::told(RefusalCode::SigLimit, what));
        }
        Ok(prefixes)
    }

    fn key_info(&mut self) -> Result<(), Fault> {
        match self.child()? {
            Some(child) if child.name == "X509Data" && child.attributes.is_empty() => {}
            Some(child) if child.name == TOKEN_REFERENCE => return self.token_reference(),
            _ => {
                return Err(Fault::key_info("в ds:KeyInfo нет ни ds:X509Data, ни ссылки на токен"));
            }
        }
        while let Some(child) = self.child()? {
            match child.name {
                "X509Certificate" if self.parsed.certificates.len() < MAX_CERTIFICATES => {
                    child.nothing_else()?;
                    let certificate = self.base64()?;
                    self.parsed.certificates.push(certificate);
                }
                "X509Certificate" => {
                    let what = format!("сертификатов больше {MAX_CERTIFICATES}");
                    return Err(Fault::key_info(what));
                }
                // Hints at the certificate that is there; nothing is taken from them.
                "X509SubjectName" | "X509SKI" => {
                    child.nothing_else()?;
                    self.words()?;
                }
                "X509IssuerSerial" => {
                    child.nothing_else()?;
                    while let Some(inner) = self.child()? {
                        let known = matches!(inner.name, "X509IssuerName" | "X509SerialNumber");
                        if !known {
                            return Err(inner.misplaced());
                        }
                        inner.nothing_else()?;
                        self.words()?;
                    }
                }
                _ => {
                    return Err(Fault::key_info(
                        "в ds:X509Data элемент, которого там быть не может",
                    ));
                }
            }
        }
        if self.parsed.certificates.is_empty() {
            return Err(Fault::key_info("в ds:X509Data нет ds:X509Certificate"));
        }
        match self.child()? {
            None => Ok(()),
            Some(_) => Err(Fault::key_info("в ds:KeyInfo кроме ds:X509Data не должно быть ничего")),
        }
    }

    /// Reads the link to a security token in the same header, and the ends of its elements.
    fn token_reference(&mut self) -> Result<(), Fault> {
        match self.child()? {
            Some(mut link) if link.name == TOKEN_LINK => {
                let kind = link.take("ValueType").unwrap_or_else(|| X509_TOKEN.to_owned());
                let uri = link.take("URI").unwrap_or_default();
                link.nothing_else()?;
                let id = uri.strip_prefix('#').filter(|id| !id.is_empty() && kind == X509_TOKEN);
                let wrong = || Fault::key_info("wsse:Reference не ведёт к токену X509v3");
                self.parsed.token = Some(id.ok_or_else(wrong)?.to_owned());
            }
            _ => return Err(Fault::key_info("в wsse:SecurityTokenReference нет wsse:Reference")),
        }
        for _ in 0..3 {
            self.close()?;
        }
        Ok(())
    }

    /// The next event, also written where `SignedInfo` is gathered.
    fn event(&mut self) -> Result<Event<'_>, Fault> {
        let (event, at) = self.reader.step().map_err(Refusal::from)?;
        if let Event::Start(start) = &event
            && self.narrow.is_none()
            && start.is(DSIG, "SignedInfo")
        {
            let narrow = Vec::with_capacity(2048);
            self.narrow = Some(Canonicaliser::beside(narrow, Method::default()));
            self.wide = Some(Canonicaliser::beside(Vec::new(), Method::Inclusive));
        }
        for tape in [&mut self.narrow, &mut self.wide].into_iter().flatten() {
            tape.event(&event, at);
        }
        Ok(event)
    }

    /// The next child of the element at hand, or `None` at its end tag. Only blanks may stand between.
    fn child(&mut self) -> Result<Option<Child>, Fault> {
        loop {
            match self.event()? {
                Event::Text(text) if text.bytes().all(|byte| byte.is_ascii_whitespace()) => {}
                Event::Text(_) | Event::Instruction(_) | Event::Eof => {
                    return Err(Fault::structure(
                        "между элементами подписи стоит текст или инструкция",
                    ));
                }
                Event::End(_) => return Ok(None),
                Event::Start(start) => {
                    let mut attributes = Vec::new();
                    for attribute in start.attributes() {
                        if !attribute.prefix.is_empty() {
                            return Err(Fault::structure("у элемента подписи атрибут с префиксом"));
                        }
                        attributes.push((attribute.local.to_owned(), attribute.value.to_owned()));
                    }
                    let child = Child { name: known_name(start), attributes };
                    if let Some((_, id)) =
                        child.attributes.iter().find(|(attribute, _)| identifies(attribute))
                    {
                        self.ids.note(id)?;
                    }
                    return Ok(Some(child));
                }
            }
        }
    }

    fn expect(&mut self, name: &str) -> Result<Child, Fault> {
        match self.child()? {
            Some(child) if child.name == name => Ok(child),
            Some(child) => Err(child.misplaced()),
            None => Err(Fault::structure(format!("нет ds:{name}"))),
        }
    }

    /// Expects the end tag of the element at hand.
    fn close(&mut self) -> Result<(), Fault> {
        match self.child()? {
            None => Ok(()),
            Some(child) => Err(child.misplaced()),
        }
    }

    /// Reads base64 through the end tag; blanks are allowed in it.
    fn base64(&mut self) -> Result<Vec<u8>, Fault> {
        let mut text = Vec::new();
        loop {
            match self.event()? {
                Event::Text(piece) => {
                    text.extend(piece.bytes().filter(|byte| !byte.is_ascii_whitespace()));
                }
                Event::End(_) => break,
                Event::Start(_) | Event::Instruction(_) | Event::Eof => {
                    return Err(Fault::structure("внутри base64 стоит элемент или инструкция"));
                }
            }
            if text.len() > MAX_TEXT {
                let what = format!("значение длиннее {MAX_TEXT} байт");
                return Err(Fault::told(RefusalCode::SigLimit, what));
            }
        }
        let wrong = |_| Fault::structure("значение не является правильным base64");
        STANDARD.decode(text).map_err(wrong)
    }

    /// Reads on through the end tag of the element at hand, which holds a short text.
    fn words(&mut self) -> Result<(), Fault> {
        let mut length = 0;
        loop {
            match self.event()? {
                Event::Text(text) => length += text.len(),
                Event::End(_) if length <= MOST_WORDS => return Ok(()),
                _ => return Err(Fault::key_info("имя или номер в ds:X509Data нельзя прочитать")),
            }
        }
    }
}

/// An identifier of an algorithm as far as it is shown: it is whatever the sender wrote.
fn brief(uri: &str) -> String {
    uri.chars().filter(|c| !c.is_control()).take(100).collect()
}
