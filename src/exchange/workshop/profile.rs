//! Profiles by name: which shape a signed document must have.

use std::str::FromStr;

use crate::codec::shape::{self, Role};
use crate::codec::xml::Limits;
use crate::model::refusal::Refusal;

/// The shape that a document must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Signed as a whole, whatever its root.
    Enveloped,
    /// A receipt of ours.
    Receipt,
    /// A SOAP message of the operation of this name, its first child signed.
    Detached {
        /// Namespace of the operation.
        namespace: String,
        /// Its local name.
        local: String,
    },
    /// A message of SMEV 3.
    Smev3,
    /// A message of SMEV 2.
    Smev2,
}

/// There is no profile of this name.
#[derive(Debug, thiserror::Error)]
#[error("профиль: enveloped, receipt, smev3, smev2 или detached:{{пространство имён}}Элемент")]
pub struct UnknownProfile;

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(name: &str) -> Result<Self, UnknownProfile> {
        match name {
            "enveloped" => Ok(Self::Enveloped),
            "receipt" => Ok(Self::Receipt),
            "smev3" => Ok(Self::Smev3),
            "smev2" => Ok(Self::Smev2),
            _ => {
                let rest = name.strip_prefix("detached:{").ok_or(UnknownProfile)?;
                let (namespace, local) = rest.split_once('}').ok_or(UnknownProfile)?;
                if local.is_empty() {
                    return Err(UnknownProfile);
                }
                Ok(Self::Detached { namespace: namespace.to_owned(), local: local.to_owned() })
            }
        }
    }
}

impl Profile {
    /// Whether the document is signed as a whole; else it is a message.
    pub fn is_whole(&self) -> bool {
        matches!(self, Self::Enveloped | Self::Receipt)
    }

    /// Says whose signature a refusal is about, where a message may have several.
    pub(super) fn about(&self, role: Role, refusal: Refusal) -> Refusal {
        if !matches!(self, Self::Smev3 | Self::Smev2) {
            return refusal;
        }
        let what = refusal.detail.as_deref().map(|what| format!(": {what}")).unwrap_or_default();
        let detail = format!("{}{what}", role.name());
        refusal.detail(detail)
    }

    /// Limits of its messages: only SMEV lets comments pass, since its transform drops them.
    pub fn limits(&self) -> Limits {
        Limits { comments: matches!(self, Self::Smev3 | Self::Smev2), ..shape::limits() }
    }
}
