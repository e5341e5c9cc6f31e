//! Who may sign: trust store, certificate paths, signature suites, signers.

pub mod authority;
pub mod certificate;
mod cms;
pub mod crl;
mod der;
pub mod fitness;
pub mod folder;
pub mod gost;
pub mod ocsp;
pub mod path;
pub mod pkcs11;
pub mod signer;
pub mod store;
pub mod suite;
pub mod timestamp;

pub use cms::FileCheck;
pub use signer::{Signer, SignerError};
pub use store::{SignerCertificate, TrustStore};
