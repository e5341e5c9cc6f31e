//! The suppliers' doors: SOAP intake and REST.
