//! Listening, TLS, limits, spooling of bodies. Knows no XML.
