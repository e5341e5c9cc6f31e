//! What a `ds:Signature` says, once its grammar was right.

use super::algorithm::SignatureAlgorithm;
use super::{DigestAlgorithm, EnvelopedSignature, Profile};
use crate::codec::c14n::Method;
use crate::codec::form::Form;
use crate::model::refusal::{Refusal, RefusalCode};

/// What a `ds:Signature` says.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) signed_info: Vec<u8>,
    pub(super) algorithm: SignatureAlgorithm,
    pub(super) uri: String,
    pub(super) transforms: Vec<Transform>,
    pub(super) digest: DigestAlgorithm,
    pub(super) digest_value: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) certificates: Vec<Vec<u8>>,
    /// Id of the security token that has the certificate instead.
    pub(super) token: Option<String>,
}

/// A step from the signed element to the octets that are hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Transform {
    Enveloped,
    Canonical(Method),
    Smev,
}

impl Parsed {
    /// Whether the signature leaves itself out, and the form of the rest. Canonicalisation must
    /// be there and the transform of SMEV may follow it.
    pub(super) fn form(&self) -> Result<(bool, Form), Refusal> {
        let (enveloped, rest) = match self.transforms.as_slice() {
            [Transform::Enveloped, rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let (method, smev) = match rest {
            [Transform::Canonical(method)] => (method, false),
            [Transform::Canonical(method), Transform::Smev] => (method, true),
            _ => {
                let what = "нужны по порядку: enveloped-signature, где он нужен, одна каноническая форма, \
                            преобразование СМЭВ, где оно нужно";
                return Err(Refusal::new(RefusalCode::SigTransform).detail(what));
            }
        };
        Ok((enveloped, Form { method: method.clone(), smev }))
    }

    /// Compares the digest; the signature is as it was found.
    pub(super) fn signed(
        self,
        digest: Vec<u8>,
        profile: Profile,
    ) -> Result<EnvelopedSignature, Refusal> {
        if digest != self.digest_value {
            return Err(RefusalCode::SigDigest.into());
        }
        Ok(EnvelopedSignature {
            signed_info: self.signed_info,
            algorithm: self.algorithm,
            value: self.value,
            certificates: self.certificates,
            profile,
            digest,
        })
    }
}

/// The refusal of a token where a certificate must stand.
pub(super) fn has_token() -> Refusal {
    let what = "вместо ds:X509Data стоит ссылка на токен WS-Security";
    Refusal::new(RefusalCode::SigKeyInfo).detail(what)
}
