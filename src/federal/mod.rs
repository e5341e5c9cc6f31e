//! The federal segment's door: SMEV 3 message exchange.
