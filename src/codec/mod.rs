//! Bytes to values and back: XML, signatures, SOAP, packages, receipts.

pub mod base64;
pub mod c14n;
pub mod digest;
pub mod excerpt;
pub mod federal;
pub mod form;
pub mod inflate;
pub mod intake;
pub mod mtom;
pub mod node;
pub mod package;
pub mod receipt;
pub mod shape;
pub mod smev3;
pub mod smev_transform;
pub mod soap;
pub mod streebog;
pub mod unzip;
pub mod xml;
pub mod xmldsig;
pub mod xop;
