//! Ids as types of their own, so that one is never passed for another.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// A supplier's row.
    SupplierId(i64)
}
id! {
    /// The number we give an accepted package, rising with acceptance.
    PackageNo(i64)
}
id! {
    /// The id the supplier gave its package: a UUID, unique for that supplier, its idempotency key.
    PackageId(Uuid)
}
impl PackageId {
    /// Reads the usual form of a UUID, 36 characters with hyphens; `None` for any other.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 36).then(|| Uuid::try_parse(text).ok().map(Self)).flatten()
    }
}
id! {
    /// One try at processing a package, from the first or from a replay.
    AttemptId(i64)
}
id! {
    /// A row of the registry, of any kind; `RegionalID` of the federal exchange for a person.
    EntityId(i64)
}
