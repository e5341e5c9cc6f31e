//! Bytes to values and back: XML, signatures, SOAP, packages, receipts.
