//! Who may sign: trust store, certificate paths, signature suites, signers.

pub mod certificate;
