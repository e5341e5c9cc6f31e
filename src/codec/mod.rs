//! Bytes to values and back: XML, signatures, SOAP, packages, receipts.

pub mod base64;
pub mod inflate;
pub mod intake;
pub mod mtom;
pub mod package;
pub mod soap;
pub mod unzip;
pub mod xml;
